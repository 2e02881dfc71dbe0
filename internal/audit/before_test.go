package audit_test

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
)

// order writes down what a log does with its disk, and holds syncs of segments
// back until it is let.
type order struct {
	mu    sync.Mutex
	steps []string
	hold  sync.Mutex // a sync waits for it
}

func (o *order) step(s string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.steps = append(o.steps, s)
}

// ordered is a segment that tells what is done with it.
type ordered struct {
	*os.File
	*order
}

func (w ordered) Write(p []byte) (int, error) {
	w.step("write")
	return w.File.Write(p)
}

func (w ordered) Sync() error {
	w.step("sync")
	w.hold.Lock()
	defer w.hold.Unlock()
	return w.File.Sync()
}

func named(call string) *audit.Event {
	return &audit.Event{Type: audit.CallEnd, Call: call, Response: &audit.Message{Recording: &audit.Recording{Pack: "90/a.pack", Key: "s/k"}}}
}

// A leaf that names a recording is written after the recording is durable, and
// leaves that are written together share one wait for it.
func TestRecordingsAreDurableFirst(t *testing.T) {
	o := &order{}
	l := open(t, audit.Config{
		Dir:    t.TempDir(),
		Before: func() error { o.step("recordings"); return nil },
		File: func(path string) (audit.File, error) {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
			return ordered{f, o}, err
		},
	})
	o.hold.Lock()
	before := len(o.list())
	var appends sync.WaitGroup
	appends.Go(func() { mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: "first"}) })
	for len(o.list()) < before+2 { // its sync waits
		runtime.Gosched()
	}
	for _, e := range []*audit.Event{named("a"), named("b"), {Type: audit.CallEnd, Call: "c"}, named("d")} {
		appends.Go(func() { mustAppend(t, l, e) })
	}
	for audit.Queued(l) < 4 {
		runtime.Gosched()
	}
	o.hold.Unlock()
	appends.Wait()
	if diff := cmp.Diff("write sync recordings write sync", strings.Join(o.list()[before:], " ")); diff != "" {
		t.Error(diff)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func (o *order) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.steps)
}

// When recordings can't be made durable no leaf names one; other leaves are
// written, and the log goes on.
func TestRecordingsThatAreLost(t *testing.T) {
	dir, full := t.TempDir(), errors.New("no space left on device")
	l := open(t, audit.Config{Dir: dir, Before: func() error { return full }})
	for _, call := range []string{"a", "b"} {
		if _, err := l.Append(t.Context(), named(call)); !errors.Is(err, audit.ErrUnkept) || !errors.Is(err, full) {
			t.Errorf("a leaf that names what is lost: %v", err)
		}
	}
	mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: "c"})
	if err := l.Ready(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"log.open", "call.end c", "log.close"}, types(t, dir)); diff != "" {
		t.Error(diff)
	}
}
