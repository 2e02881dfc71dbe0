package audit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
)

// TestCopies: a log that is written all the while is copied as docs/audit.md says,
// the checkpoint first and then the segments, and each copy verifies, later too.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir, Origin: "credence/test/unit", SegmentSize: 20_000, Interval: time.Millisecond})
	liveCalls(t, l, 400) // the copies are of more than one bundle
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for ctx.Err() == nil {
			liveCalls(t, l, 16)
			time.Sleep(time.Millisecond)
		}
	})
	defer writer.Wait()
	defer cancel()
	for l.Head().Size < 300 {
		time.Sleep(time.Millisecond)
	}
	size := int64(0)
	for range 20 {
		to := t.TempDir()
		copyLog(t, dir, to)
		r := verify(t, audit.VerifyConfig{Log: os.DirFS(to), Now: func() time.Time { return time.Now().Add(time.Hour) }})
		if diff := cmp.Diff(consistent, r.Findings); diff != "" || r.Size < size {
			t.Errorf("a copy of %d records, after one of %d: %s", r.Size, size, diff)
		}
		size = r.Size
	}
}

// consistent is what is found of a log without anchors.
var consistent = []audit.Finding{{Kind: audit.Incomplete, What: "consistent but unanchored: whoever holds the log's key could have written it anew"}}

// copyLog copies the checkpoint, and then the segments that are there then.
func copyLog(t *testing.T, from, to string) {
	t.Helper()
	copyFile(t, from, to, "checkpoint")
	time.Sleep(3 * time.Millisecond) // the log goes on
	segments, err := filepath.Glob(filepath.Join(from, "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	for _, s := range segments {
		copyFile(t, from, to, filepath.Base(s))
	}
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCopyIsChecked: a copy of checkpoint and segments is held to the checkpoint,
// and the log's own folder to its tiles.
func TestCopyIsChecked(t *testing.T) {
	dir := t.TempDir()
	life(t, dir, 1, 400, false)
	for name, tt := range map[string]struct {
		change func(to string) error
		want   audit.Kind
	}{
		"nothing changed":  {func(string) error { return nil }, audit.Incomplete},
		"no first segment": {func(to string) error { return os.Remove(filepath.Join(to, "00000001.seg")) }, audit.Tampered},
		"one segment less": {func(to string) error { return os.Remove(filepath.Join(to, "00000002.seg")) }, audit.Tampered},
		"no segment":       {func(to string) error { return removeAll(filepath.Join(to, "*.seg")) }, audit.Tampered},
		"its lock beside":  {func(to string) error { return os.WriteFile(filepath.Join(to, "lock"), nil, 0o600) }, audit.Tampered},
		"a byte changed": {func(to string) error {
			file := filepath.Join(to, "00000001.seg")
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			return os.WriteFile(file, data, 0o600)
		}, audit.Tampered},
		"torn behind the checkpoint": {func(to string) error {
			last, err := filepath.Glob(filepath.Join(to, "*.seg"))
			if err != nil {
				return err
			}
			f, err := os.OpenFile(last[len(last)-1], os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			_, err = f.Write([]byte{0, 0, 1})
			return errors.Join(err, f.Close())
		}, audit.Incomplete},
	} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			copyLog(t, dir, to)
			if err := tt.change(to); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, audit.VerifyConfig{Log: os.DirFS(to)}); r.Worst() != tt.want || tt.want == audit.Incomplete && !cmp.Equal(consistent, r.Findings) {
				t.Errorf("%+v", r.Findings)
			}
		})
	}
}

func removeAll(pattern string) error {
	files, err := filepath.Glob(pattern)
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}
