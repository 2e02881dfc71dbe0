package audit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
)

// TestDiskFull runs a log on a volume of 8 MiB and fills it: begins are refused
// and ends still written, the alarm says so; when there is room again begins are
// taken, and the log verifies.
func TestDiskFull(t *testing.T) {
	volume := t.TempDir()
	if err := syscall.Mount("tmpfs", volume, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("a full disk needs a volume of its own, and mount says: %v", err)
	}
	defer syscall.Unmount(volume, syscall.MNT_DETACH) //nolint:errcheck // the test's end
	dir := filepath.Join(volume, "log")
	alarm := make(chan string, 100)
	l, err := audit.Open(audit.Config{Dir: dir, Reserve: 64 << 10, Interval: 20 * time.Millisecond, Stall: 20 * time.Second, Alarm: func(what string, err error) {
		alarm <- fmt.Sprint(what, " ", err == nil)
	}})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, &audit.Event{Type: audit.CallBegin, Call: "inflight"})
	ballast := filepath.Join(volume, "ballast")
	fill(t, ballast)
	acked := endsUntilLow(t, l)
	if _, err := l.Append(t.Context(), &audit.Event{Type: audit.CallBegin, Call: "late"}); !errors.Is(err, audit.ErrLowDisk) {
		t.Errorf("a begin on a full disk: %v", err)
	}
	if err := l.Ready(); !errors.Is(err, audit.ErrLowDisk) {
		t.Errorf("ready: %v", err)
	}
	mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: "inflight"})
	wait(t, alarm, "disk false")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	wait(t, alarm, "disk true")
	mustAppend(t, l, &audit.Event{Type: audit.CallBegin, Call: "after"})
	mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: "after"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := types(t, dir)
	for _, call := range append(acked, "inflight", "after") {
		if !slices.Contains(all, "call.end "+call) {
			t.Errorf("%s was acknowledged and is gone", call)
		}
	}
	if slices.Contains(all, "call.begin late") || slices.Contains(all, "call.unknown inflight") {
		t.Errorf("a refused begin or a false unknown is in the log: %v", all)
	}
	if r := verify(t, audit.VerifyConfig{Log: os.DirFS(dir)}); r.Worst() == audit.Tampered || r.InFlight != 0 {
		t.Errorf("%+v", r)
	}
}

// fill writes until the volume is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is full
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// endsUntilLow appends ends until the log has given up its reserve, which some
// of them stand in.
func endsUntilLow(t *testing.T, l *audit.Log) []string {
	t.Helper()
	var acked []string
	for end := time.Now().Add(time.Minute); !errors.Is(l.Ready(), audit.ErrLowDisk) || len(acked) < 100; {
		call := fmt.Sprint("call", len(acked))
		mustAppend(t, l, &audit.Event{Type: audit.CallEnd, Call: call})
		acked = append(acked, call)
		if time.Now().After(end) {
			t.Fatal("the log does not see that its disk is full")
		}
	}
	return acked
}

func wait(t *testing.T, alarm chan string, want string) {
	t.Helper()
	for end := time.After(time.Minute); ; {
		select {
		case got := <-alarm:
			if got == want {
				return
			}
		case <-end:
			t.Fatalf("no alarm %q", want)
		}
	}
}
