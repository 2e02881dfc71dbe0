package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"

	"github.com/credence-gateway/credence/internal/audit"
)

func open(t testing.TB, cfg audit.Config) *audit.Log {
	t.Helper()
	cfg.Reserve = -1
	l, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// types lists the log's events as "type call".
func types(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	for leaf, err := range audit.Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ EventType, CallID string }
		if err := json.Unmarshal(leaf, &e); err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(e.EventType+" "+e.CallID))
	}
	return list
}

func mustAppend(t testing.TB, l *audit.Log, e *audit.Event) {
	t.Helper()
	if _, err := l.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	mustAppend(t, l, &audit.Event{Type: audit.CallBegin, Call: "a"})
	mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: "a"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"log.open", "call.begin a", "call.end a", "log.close"}
	if diff := cmp.Diff(want, types(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestBeginWithoutEndBecomesUnknownOnce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	mustAppend(t, l, &audit.Event{Type: audit.CallBegin, Call: "lost"})
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, audit.Config{Dir: dir})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(strings.Join(types(t, dir), "\n"), "call.unknown lost"); n != 1 {
		t.Errorf("call.unknown stands there %d times", n)
	}
}

func TestSegmentsRotateAndReadOn(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir, SegmentSize: 1000})
	for i := range 50 {
		mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: fmt.Sprint(i)})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.seg")); len(files) < 3 {
		t.Errorf("only %d segments", len(files))
	}
	if got := types(t, dir); len(got) != 52 || got[50] != "call.end 49" {
		t.Errorf("read %d leaves", len(got))
	}
}

// TestDamage edits the files of a closed log of 20 ends and opens it again.
func TestDamage(t *testing.T) {
	for name, tt := range map[string]struct {
		edit    func(data []byte) []byte
		corrupt bool
		left    int // whole ends that must still be there
	}{
		"torn head":     {func(d []byte) []byte { return append(d, 0, 0) }, false, 20},
		"torn leaf":     {func(d []byte) []byte { return append(d, 0, 0, 0, 9, 1, 2, 3, 4, 'x') }, false, 20},
		"zeroed tail":   {func(d []byte) []byte { return append(d, make([]byte, 4096)...) }, false, 20},
		"cut last leaf": {func(d []byte) []byte { return d[:len(d)-5] }, true, 0},
		"flipped bit":   {func(d []byte) []byte { d[len(d)/2] ^= 1; return d }, true, 0},
		"first bytes":   {func(d []byte) []byte { d[9] ^= 1; return d }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, audit.Config{Dir: dir})
			for i := range 20 {
				mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: fmt.Sprint(i)})
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			rewrite(t, filepath.Join(dir, "00000001.seg"), tt.edit)
			l, err := audit.Open(audit.Config{Dir: dir, Reserve: -1})
			if tt.corrupt {
				if !errors.Is(err, audit.ErrCorrupt) {
					t.Fatalf("got %v, want ErrCorrupt", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			all := strings.Join(types(t, dir), "\n")
			if n := strings.Count(all, "call.end"); n != tt.left || !strings.Contains(all, "log.recovered") {
				t.Errorf("%d ends left:\n%s", n, all)
			}
		})
	}
}

func rewrite(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMissingSegmentRefuses(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir, SegmentSize: 300})
	for i := range 9 {
		mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: fmt.Sprint(i)})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "00000002.seg")); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Config{Dir: dir}); !errors.Is(err, audit.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

func TestTwoWritersRefuse(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	defer l.Close() //nolint:errcheck // the test's end
	if _, err := audit.Open(audit.Config{Dir: dir}); !errors.Is(err, audit.ErrLocked) {
		t.Errorf("got %v", err)
	}
}

// faulty is a segment whose n-th write or sync goes wrong: with or without the
// data having reached the disk.
type faulty struct {
	audit.File
	mu      sync.Mutex
	left    int
	onSync  bool
	persist bool
	err     error
	hang    time.Duration
}

func (f *faulty) trip() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left--
	return f.left == 0
}

func (f *faulty) Write(p []byte) (int, error) {
	if f.onSync || !f.trip() {
		return f.File.Write(p)
	}
	time.Sleep(f.hang)
	if f.persist {
		_, _ = f.File.Write(p)
	}
	return 0, f.err
}

func (f *faulty) Sync() error {
	if !f.onSync || !f.trip() {
		return f.File.Sync()
	}
	time.Sleep(f.hang)
	if f.persist {
		_ = f.File.Sync()
	}
	return f.err
}

// TestFailure: whatever fails, Append says so, the log takes nothing more, and
// what was acknowledged before is there after the next start.
func TestFailure(t *testing.T) {
	for name, f := range map[string]*faulty{
		"write fails":                   {err: syscall.EIO},
		"write fails but persisted":     {err: syscall.EIO, persist: true},
		"sync fails":                    {err: syscall.EIO, onSync: true},
		"sync fails but persisted":      {err: syscall.EIO, onSync: true, persist: true},
		"write stalls":                  {hang: time.Second},
		"sync stalls":                   {hang: time.Second, onSync: true},
		"disk full, no reserve to give": {err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f.left = 4
			l := open(t, audit.Config{Dir: dir, Stall: 200 * time.Millisecond, File: func(path string) (audit.File, error) {
				return wrap(path, f)
			}})
			if f.err == syscall.ENOSPC { //nolint:errorlint // a bare errno
				if err := os.Remove(filepath.Join(dir, "reserve")); err != nil {
					t.Fatal(err)
				}
			}
			acked := appendUntilRefused(t, l)
			if _, err := l.Append(t.Context(), &audit.Event{Type: audit.CallEnd}); !errors.Is(err, audit.ErrPoisoned) {
				t.Errorf("after the failure Append says %v", err)
			}
			if err := l.Ready(); !errors.Is(err, audit.ErrPoisoned) {
				t.Errorf("after the failure Ready says %v", err)
			}
			time.Sleep(f.hang)
			_ = l.Close()
			checkAcked(t, dir, acked)
		})
	}
}

// TestFailureOfStart: a start whose first records can't be written says so, and
// the next one makes up for it.
func TestFailureOfStart(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	if _, err := l.Append(t.Context(), &audit.Event{Type: audit.CallBegin, Call: "cut"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := audit.Open(audit.Config{Dir: dir, File: func(path string) (audit.File, error) {
		return wrap(path, &faulty{left: 1, err: syscall.EIO})
	}})
	if !errors.Is(err, audit.ErrPoisoned) {
		t.Errorf("opened with %v", err)
	}
	l = open(t, audit.Config{Dir: dir})
	defer l.Close() //nolint:errcheck // the test's end
	if all := types(t, dir); !slices.Contains(all, "call.unknown cut") {
		t.Errorf("the call that was cut is not told of: %s", all)
	}
}

func wrap(path string, f *faulty) (audit.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	f.File = file
	return f, nil
}

func appendUntilRefused(t *testing.T, l *audit.Log) []string {
	t.Helper()
	var acked []string
	for i := range 10 {
		call := fmt.Sprint("call", i)
		if _, err := l.Append(t.Context(), &audit.Event{Type: audit.CallEnd, Call: call}); err != nil {
			return acked
		}
		acked = append(acked, call)
	}
	t.Fatal("nothing failed")
	return nil
}

func checkAcked(t *testing.T, dir string, acked []string) {
	t.Helper()
	l := open(t, audit.Config{Dir: dir})
	defer l.Close() //nolint:errcheck // the test's end
	all := types(t, dir)
	for _, call := range acked {
		if !slices.Contains(all, "call.end "+call) {
			t.Errorf("%s was acknowledged and is gone", call)
		}
	}
}

// TestFullDiskKeepsEnds: the reserve is given up for what is in flight, begins
// are refused.
func TestFullDiskKeepsEnds(t *testing.T) {
	dir := t.TempDir()
	f := &faulty{left: 3, err: syscall.ENOSPC}
	l := open(t, audit.Config{Dir: dir, File: func(path string) (audit.File, error) { return wrap(path, f) }})
	defer l.Close() //nolint:errcheck // the test's end
	for i := range 5 {
		mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: fmt.Sprint(i)})
	}
	if _, err := l.Append(t.Context(), &audit.Event{Type: audit.CallBegin}); !errors.Is(err, audit.ErrLowDisk) {
		t.Errorf("a begin on a full disk: %v", err)
	}
	if err := l.Ready(); !errors.Is(err, audit.ErrLowDisk) {
		t.Errorf("ready: %v", err)
	}
	if n := strings.Count(strings.Join(types(t, dir), "\n"), "call.end"); n != 5 {
		t.Errorf("%d ends", n)
	}
}

// TestLeafIsCanonical: our encoder against somebody else's.
func TestLeafIsCanonical(t *testing.T) {
	for name, e := range leaves() {
		t.Run(name, func(t *testing.T) {
			got := audit.AppendLeaf(nil, e)
			want, err := jcs.Transform(got)
			if err != nil {
				t.Fatalf("%v\n%s", err, got)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
			if len(got) > audit.MaxLeaf {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}

func leaves() map[string]*audit.Event {
	long := strings.Repeat("ü", 5000)
	many := slices.Repeat([]string{long}, 500)
	resources := slices.Repeat([]audit.Resource{{Type: "s3:object", ARN: "arn:aws:s3:::b/" + long}}, 500)
	return map[string]*audit.Event{
		"empty": {},
		"whole": {
			ID: "1", Type: audit.CallBegin, Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Call: "c", Source: "s3.amazonaws.com",
			Name: "GetObject", Region: "us-east-1", Account: "1", Peer: "::1", Agent: "aws \x00\x1f\u2028\"\\\t\xff", ReadOnly: true,
			Identity: &audit.Identity{Principal: "a|b", Groups: []string{"g"}, OnBehalfOf: []string{"h"}, Session: "s", Role: "r", Key: "k"},
			Actions:  []string{"s3:GetObject"}, Resources: []audit.Resource{{Type: "s3:object", ARN: "arn:aws:s3:::b/ü\n"}},
			Decision: &audit.Decision{Effect: "allow", Policies: []string{"p"}, Set: "x", Errors: []string{"e"}, Denied: "d", Masks: []string{"pii"}, Approval: true},
			Upstream: &audit.Upstream{Role: "r", SourceIdentity: "s", Level: "exact", Widened: true, Host: "h", Class: "none"},
			Request:  &audit.Message{Hash: "h", Body: "sha256:00", Length: 5, Presigned: 900}, Response: &audit.Message{Status: 200, Length: -1, RequestID: "q",
				Recording: &audit.Recording{Pack: "90/x.pack", Stream: 7, Key: "s/1", Commitment: "00", SHA256: "11", Chunks: 2, Bytes: 9, Cut: true}},
			Shred: &audit.Shred{Keys: []string{"s/1"}, Packs: []string{"90/x.pack"}, Reason: "asked"},
			Error: "e", Message: "m", Outcome: "complete", Count: 7, Rule: "r", Detail: map[string]string{"z": "1", "a": "2"},
		},
		"too much of everything": {
			Agent: long, Actions: many, Resources: resources, Message: long, Detail: map[string]string{"x": long},
			Identity: &audit.Identity{Groups: many, OnBehalfOf: many}, Decision: &audit.Decision{Policies: many, Errors: many, Denied: long, Masks: many},
		},
	}
}

func FuzzLeaf(f *testing.F) {
	f.Add("plain", "\u2028\x7f")
	f.Add("\xff\"\\", "\x00\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		got := audit.AppendLeaf(nil, &audit.Event{Agent: a, Message: b, Actions: []string{a, b}})
		want, err := jcs.Transform(got)
		if err != nil || !bytes.Equal(want, got) {
			t.Errorf("%v\n%s\n%s", err, got, want)
		}
	})
}

func TestIDsSortByTime(t *testing.T) {
	early, late := audit.NewID(time.UnixMilli(1)), audit.NewID(time.UnixMilli(2))
	if len(early) != 26 || early >= late || audit.NewID(time.UnixMilli(1)) == early {
		t.Error(early, late)
	}
}

// watched is a segment that tells of its syncs.
type watched struct {
	audit.File
	synced func()
}

func (w watched) Sync() error { w.synced(); return w.File.Sync() }

// TestOpenSyncsWhatItTakesOver: what a killed process wrote and did not sync
// must be on the disk before a checkpoint covers it, also when a new segment is
// begun at once.
func TestOpenSyncsWhatItTakesOver(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		var synced []string
		l := open(t, audit.Config{Dir: dir, SegmentSize: 1, File: func(path string) (audit.File, error) {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			return watched{f, func() { synced = append(synced, filepath.Base(path)) }}, err
		}})
		before, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if len(before) > 1 && !slices.Contains(synced, "00000002.seg") {
			t.Errorf("the last segment that was there is not synced: %v", synced)
		}
	}
}

// TestRevocationsAreTold: who opens a log learns what it says was ended.
func TestRevocationsAreTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	at := time.Date(2026, 11, 26, 12, 0, 0, 1000, time.UTC)
	before := at.Add(time.Minute).Truncate(time.Second)
	l, err := audit.Open(audit.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*audit.Event{
		{Type: audit.SessionOpen, Identity: &audit.Identity{Session: "s1", Principal: "corp|a"}},
		{Type: audit.AgentRevoke, Time: at, Identity: &audit.Identity{Principal: "corp|a"}, Detail: map[string]string{"before": before.Format(time.RFC3339)}},
		{Type: audit.SessionRevoke, Time: at, Identity: &audit.Identity{Session: "s1"}},
	} {
		if _, err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var told []audit.Revocation
	if l, err = audit.Open(audit.Config{Dir: dir, Revoked: func(r audit.Revocation) { told = append(told, r) }}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]audit.Revocation{{Agent: "corp|a", Before: before, At: at}, {Session: "s1", At: at}}, told); diff != "" {
		t.Error(diff)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
