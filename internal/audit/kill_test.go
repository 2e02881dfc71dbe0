package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
)

// TestKill kills a process that writes a log for many callers, at random
// moments: 100 times, 1,000 times in the nightly run. In half of the rounds what
// was not synced is lost too, as when the power fails. After each, the log opens
// and verifies, no call went up without its begin, nothing that was acknowledged
// is lost, and every begin has one end or one call.unknown, never both.
func TestKill(t *testing.T) {
	if dir := os.Getenv("AUDIT_CHILD"); dir != "" {
		killChild(dir)
		return
	}
	kills := 100
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		kills = 1000
	}
	const perLog = 10 // a log that grows is slow to open and verify
	var sum tally
	for range kills / perLog {
		k := &killed{TB: t, dir: filepath.Join(t.TempDir(), "log")}
		for range perLog {
			k.round()
		}
		if err := check(t, load(t, k.dir, k.dir+".anchor")); err != nil {
			t.Errorf("Tessera's fsck: %v", err)
		}
		sum.add(k.tally)
	}
	t.Logf("%d kills: %+v", kills, sum)
	if sum.Sent == 0 || sum.Answered == 0 || sum.Unknown == 0 || sum.Torn == 0 {
		t.Errorf("this proves nothing: %+v", sum)
	}
}

// tally is what the kills met.
type tally struct{ Sent, Answered, Unknown, Torn, Lost int }

func (a *tally) add(b tally) {
	a.Sent, a.Answered, a.Unknown, a.Torn, a.Lost = a.Sent+b.Sent, a.Answered+b.Answered, a.Unknown+b.Unknown, a.Torn+b.Torn, a.Lost+b.Lost
}

// killed is one log and what its killed writers have said.
type killed struct {
	testing.TB
	dir      string
	sent     []string // calls that may have gone up
	answered []string // calls whose answer may have gone down
	tally
}

func (k *killed) config() audit.Config {
	return audit.Config{
		Dir: k.dir, Reserve: -1, SegmentSize: 100_000, Interval: 5 * time.Millisecond,
		Anchors: []audit.Anchor{audit.FileAnchor(k.dir + ".anchor")},
	}
}

func (k *killed) round() {
	k.Helper()
	synced := k.kill()
	if rand.IntN(2) == 0 {
		k.losePower(synced)
	}
	l, err := audit.Open(k.config())
	if err != nil {
		k.Fatal(err)
	}
	if err := l.Close(); err != nil {
		k.Fatal(err)
	}
	k.check()
}

// kill starts a writer, kills it at a random moment and returns how much of its
// last segment was synced.
func (k *killed) kill() map[string]int64 {
	k.Helper()
	out := &said{first: make(chan struct{})}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKill$")
	cmd.Env = append(os.Environ(), "AUDIT_CHILD="+k.dir)
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	if rand.IntN(5) > 0 { // else it may be opening the log
		<-out.first
	}
	time.Sleep(rand.N(50 * time.Millisecond))
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return k.hear(out.String())
}

func (k *killed) hear(text string) map[string]int64 {
	synced := map[string]int64{}
	for line := range strings.Lines(text) {
		word, rest, whole := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !whole || !strings.HasSuffix(line, "\n") {
			continue
		}
		switch word {
		case "sent":
			k.sent = append(k.sent, rest)
		case "answered":
			k.answered = append(k.answered, rest)
		case "synced":
			var name string
			var size int64
			if _, err := fmt.Sscan(rest, &name, &size); err != nil {
				k.Fatal(err)
			}
			synced[name] = size
		}
	}
	return synced
}

// losePower cuts the last segment between what was synced and what was written.
func (k *killed) losePower(synced map[string]int64) {
	k.Helper()
	files, err := filepath.Glob(filepath.Join(k.dir, "*.seg"))
	if err != nil || len(files) == 0 {
		return
	}
	last := files[len(files)-1]
	kept, known := synced[filepath.Base(last)]
	info, err := os.Stat(last)
	if err != nil || !known || info.Size() == kept {
		return
	}
	if err := os.Truncate(last, kept+rand.Int64N(info.Size()-kept)); err != nil {
		k.Fatal(err)
	}
	k.Lost++
}

// check compares the log with what its writers have said.
func (k *killed) check() {
	k.Helper()
	begins, ends, unknowns := map[string]int{}, map[string]int{}, map[string]int{}
	torn := 0
	for leaf, err := range audit.Read(k.dir) {
		if err != nil {
			k.Fatal(err)
		}
		var e struct{ EventType, CallID string }
		if err := json.Unmarshal(leaf, &e); err != nil {
			k.Fatal(err)
		}
		switch audit.Type(e.EventType) {
		case audit.CallBegin:
			begins[e.CallID]++
		case audit.CallEnd:
			ends[e.CallID]++
		case audit.CallUnknown:
			unknowns[e.CallID]++
		case audit.LogRecovered:
			torn++
		}
	}
	for call, n := range begins {
		if n != 1 || ends[call]+unknowns[call] != 1 {
			k.Errorf("%s has %d begins, %d ends and %d unknown ends", call, n, ends[call], unknowns[call])
		}
	}
	for _, call := range k.sent {
		if begins[call] == 0 {
			k.Errorf("%s went up without a begin", call)
		}
	}
	for _, call := range k.answered {
		if ends[call] == 0 {
			k.Errorf("%s was answered: its end is lost, %d unknown ends", call, unknowns[call])
		}
	}
	k.Sent, k.Answered, k.Unknown, k.Torn = len(k.sent), len(k.answered), len(unknowns), torn
	k.verify()
}

func (k *killed) verify() {
	k.Helper()
	r := verify(k, audit.VerifyConfig{Log: os.DirFS(k.dir), Anchors: []audit.AnchorStore{{Name: "anchor", FS: os.DirFS(k.dir + ".anchor")}}})
	if r.Worst() != "" || r.InFlight != 0 || r.Unsigned != 0 || r.Anchored != r.Size {
		k.Errorf("%+v", r)
	}
}

// said collects what a process prints.
type said struct {
	mu    sync.Mutex
	b     bytes.Buffer
	first chan struct{} // closed when a call was sent
	once  sync.Once
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(p, []byte("sent ")) {
		s.once.Do(func() { close(s.first) })
	}
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// killChild writes calls from many goroutines, as the doors do, and says what
// it has done: what was synced, what may go up, what may go down.
func killChild(dir string) {
	k := killed{dir: dir}
	cfg := k.config()
	cfg.File = openTorn
	l, err := audit.Open(cfg)
	if err != nil {
		panic(err)
	}
	for range 32 {
		go func() {
			for {
				e := begin()
				e.Call = audit.NewID(time.Now())
				call := e.Call
				if _, err := l.Append(audit.Background(), e); err != nil {
					panic(err)
				}
				say("sent " + call)
				time.Sleep(rand.N(4 * time.Millisecond))
				if _, err := l.Append(audit.Background(), &audit.Event{Type: audit.CallEnd, Call: call, Outcome: "complete"}); err != nil {
					panic(err)
				}
				say("answered " + call)
			}
		}()
	}
	select {}
}

// say is one write, which a pipe takes whole.
func say(line string) { _, _ = os.Stdout.WriteString(line + "\n") }

// tornFile writes in two steps, so that kills tear records, and says what is
// synced.
type tornFile struct {
	*os.File
	size int64
}

func openTorn(path string) (audit.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &tornFile{f, info.Size()}, nil
}

func (f *tornFile) Write(p []byte) (int, error) {
	half := rand.IntN(len(p))
	n, err := f.File.Write(p[:half])
	f.size += int64(n)
	if err != nil {
		return n, err
	}
	time.Sleep(rand.N(time.Millisecond))
	m, err := f.File.Write(p[half:])
	f.size += int64(m)
	return n + m, err
}

func (f *tornFile) Truncate(size int64) error {
	f.size = size
	return f.File.Truncate(size)
}

func (f *tornFile) Sync() error {
	if err := syscall.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	say(fmt.Sprintf("synced %s %d", filepath.Base(f.Name()), f.size))
	return nil
}

// TestAnchoredAtOnce: a process that is killed within its first second has been
// anchored.
func TestAnchoredAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	anchored := make(chan int64, 1)
	l := open(t, audit.Config{Dir: dir, Interval: time.Hour, Anchors: []audit.Anchor{{
		Name: "there", Put: func(_ context.Context, c audit.Checkpoint, _ []byte) error {
			select {
			case anchored <- c.Size:
			default:
			}
			return nil
		},
	}}})
	select {
	case size := <-anchored:
		if size == 0 {
			t.Error("an empty log was anchored")
		}
	case <-time.After(time.Minute):
		t.Error("nothing was anchored")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
