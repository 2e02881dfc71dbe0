package audit_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
)

// TestShip ships a log again and again while it grows: each time the copy
// verifies by itself, and no full tile goes twice.
func TestShip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	copied := fstest.MapFS{}
	fails, again := 0, false
	put := func(_ context.Context, name string, data []byte) error {
		if fails--; fails == 0 {
			return errors.New("down")
		}
		if _, ok := copied[name]; ok && !strings.HasSuffix(name, "/checkpoint") && !strings.Contains(name, ".p/") && !again {
			t.Errorf("%s is shipped twice", name)
		}
		copied[name] = &fstest.MapFile{Data: data}
		return nil
	}
	var done audit.Shipped
	l := open(t, audit.Config{Dir: dir, Interval: time.Millisecond, SegmentSize: 50_000})
	for round, calls := range []int{8, 80, 8, 400, 160} {
		liveCalls(t, l, calls)
		var err error
		if round == 2 {
			fails = 2
			if next, err := audit.Ship(t.Context(), dir, done, put); err == nil || next != done {
				t.Errorf("a round that failed: %v, %v", next, err)
			}
			again = true // what a failed round has put may be put again
		}
		if done, err = audit.Ship(t.Context(), dir, done, put); err != nil {
			t.Fatal(err)
		}
		again = false
		sub, err := copied.Sub(done.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		if r := verify(t, audit.VerifyConfig{Log: sub}); r.Worst() == audit.Tampered || r.Size != done.Size {
			t.Errorf("the copy of %d records: %+v", done.Size, r)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if last, err := audit.Ship(t.Context(), dir, done, put); err != nil || last.Size <= done.Size {
		t.Errorf("the last records: %v, %v", last, err)
	}
	// Another log in the same place does not write over it.
	before := string(copied[done.Epoch+"/checkpoint"].Data)
	other := filepath.Join(t.TempDir(), "log")
	if err := open(t, audit.Config{Dir: other}).Close(); err != nil {
		t.Fatal(err)
	}
	next, err := audit.Ship(t.Context(), other, done, put)
	if err != nil || next.Epoch == done.Epoch || before != string(copied[done.Epoch+"/checkpoint"].Data) {
		t.Errorf("another log: %v, %v", next, err)
	}
}
