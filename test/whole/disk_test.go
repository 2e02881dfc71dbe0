package whole_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// A full disk under the log: new calls are put off in AWS's shape and nothing of
// them goes up, the call in flight gets its whole answer and has its end, the
// alarm says so, and with room again everything goes on.
func TestDiskFull(t *testing.T) {
	release := make(chan struct{})
	u := &unit{gateway.New(t, gateway.Config{Policy: policy, Answer: func(c *awsfake.Call) {
		if strings.Contains(c.Target, "slow") {
			<-release
		}
		gateway.Amazon(c)
	}})}
	volume := filepath.Join(u.Dir, ".credence", "log")
	check(t, os.MkdirAll(volume, 0o700))
	if err := syscall.Mount("tmpfs", volume, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a full disk needs a volume of its own, and mount says: %v", err)
	}
	t.Cleanup(func() { check(t, syscall.Unmount(volume, syscall.MNT_DETACH)) })
	cmd := u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	check(t, u.get("/reports/k"))
	slow := make(chan error, 1)
	go func() { slow <- u.get("/recorded/slow") }()
	gateway.Within(t, "the slow call at AWS", func() error { return u.reached("/recorded/slow") })
	ballast := filepath.Join(volume, "ballast")
	fill(t, ballast)
	gateway.Within(t, "refusal", func() error { return u.putOff("/reports/late") })
	sent := u.Upstream.Received()
	check(t, u.putOff("/recorded/late"))
	if now := u.Upstream.Received(); now != sent {
		t.Errorf("%d bytes of a call that was put off reached AWS", now-sent)
	}
	if _, err := u.Open("agent-8"); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "the login can't be recorded now: try again") {
		t.Errorf("a login that can't be recorded: %v", err)
	}
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	check(t, os.Remove(ballast))
	gateway.Within(t, "calls again", func() error { return u.get("/recorded/after") })
	check(t, cmd.Process.Signal(syscall.SIGTERM))
	check(t, cmd.Wait())
	said := cmd.Stderr.(*bytes.Buffer).String()
	for _, want := range []string{`"alarm":"disk"`, "the log's disk is nearly full", "the log is well again"} {
		if !strings.Contains(said, want) {
			t.Errorf("the gateway does not say %q", want)
		}
	}
	u.whole(volume)
}

// reached reports whether AWS has had a call.
func (u *unit) reached(target string) error {
	for _, r := range u.Upstream.Requests() {
		if r.Target == target {
			return nil
		}
	}
	return fmt.Errorf("%s has not reached the upstream", target)
}

// putOff makes a call that must be put off.
func (u *unit) putOff(target string) error {
	status, body, err := gateway.Do(http.DefaultClient, u.sign(http.MethodGet, target, ""))
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(body), "<Code>ServiceUnavailable</Code>") {
		return fmt.Errorf("%d %s %w", status, body, err)
	}
	return nil
}

// whole checks that the log verifies, and that every call has its end.
func (u *unit) whole(dir string) {
	u.Helper()
	r, err := audit.Verify(u.Context(), audit.VerifyConfig{Log: os.DirFS(dir), Anchors: []audit.AnchorStore{{Name: "anchors", FS: os.DirFS(filepath.Join(u.Dir, "anchors"))}}})
	if err != nil || r.Worst() != "" || r.InFlight != 0 || r.Unknown != 0 || r.Calls < 3 {
		u.Errorf("%v %+v", err, r)
	}
}

// fill writes until the volume is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close() //nolint:errcheck // it is full
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// A full disk under the state file: who ends a session, or all of an agent's, is
// told that it could not be written there, and it is ended all the same, after the
// next start too. A login writes nothing but its record.
func TestStateFull(t *testing.T) {
	u := newUnit(t)
	state := filepath.Join(u.Dir, ".credence")
	check(t, os.Rename(state, state+".init"))
	for _, dir := range []string{state, filepath.Join(state, "log"), filepath.Join(state, "bodies")} {
		check(t, os.MkdirAll(dir, 0o700))
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
			t.Skipf("a full disk needs a volume of its own, and mount says: %v", err)
		}
		t.Cleanup(func() { check(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	}
	if out, err := exec.Command("cp", "-a", state+".init/.", state).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	up := []string{"up", "--envoy", envoytest.Path(t), "--concurrency", "1"}
	cmd := u.Spawn(up...)
	u.Login()
	alone := *u.Unit
	first := u.Last(audit.SessionOpen).Session.SessionID
	u.Login()
	all := *u.Unit
	check(t, u.get("/reports/k"))

	ballast := filepath.Join(state, "ballast")
	fill(t, ballast)
	for _, args := range [][]string{{first}, {"--agent", "dev|agent-7"}} {
		kill := u.Spawn(append([]string{"sessions", "kill", "--reason", "it leaked"}, args...)...)
		err := kill.Wait()
		said := kill.Stderr.(*bytes.Buffer).String()
		if kill.ProcessState.ExitCode() != 1 || !regexp.MustCompile(`ended.* and \d of .* calls are cut, which only the log keeps: the state file can't be written: .*full.*: mend it and run this again`).MatchString(said) {
			t.Errorf("%v: %v, and says %s", args, err, said)
		}
	}
	over := func() {
		t.Helper()
		for _, of := range []*gateway.Unit{&alone, &all} {
			ended := unit{of}
			status, body, err := gateway.Do(http.DefaultClient, ended.sign(http.MethodGet, "/reports/k", ""))
			if err != nil || status != http.StatusForbidden || !strings.Contains(string(body), "<Code>ExpiredToken</Code>") {
				t.Errorf("a session that was ended: %d %s %v", status, body, err)
			}
		}
		if _, err := u.Open("agent-7"); err == nil || !strings.Contains(err.Error(), "ExpiredTokenException") {
			t.Errorf("an agent that was ended logs in: %v", err)
		}
	}
	over()
	var err error
	if u.Keys, err = u.Open("agent-8"); err != nil {
		t.Errorf("another agent: %v", err)
	}
	check(t, u.get("/reports/k"))
	check(t, cmd.Process.Signal(syscall.SIGTERM))
	check(t, cmd.Wait())
	if said := cmd.Stderr.(*bytes.Buffer).String(); !strings.Contains(said, "what was ended stays so by the log alone") {
		t.Error("the gateway does not say that its state file can't be written")
	}
	check(t, os.Remove(ballast))
	u.Spawn(up...)
	gateway.Within(t, "calls again", func() error { return u.get("/reports/k") })
	over()
}

// A volume that fails under the log, at a sync: new calls are put off in AWS's
// shape and nothing of them goes up, and the answer of the call in flight is
// withheld, since its end can't be recorded.
func TestVolumeFails(t *testing.T) {
	release := make(chan struct{})
	u := &unit{gateway.New(t, gateway.Config{Policy: policy, Answer: func(c *awsfake.Call) {
		if strings.Contains(c.Target, "slow") {
			<-release
		}
		gateway.Amazon(c)
	}})}
	exhaust := failing(t, filepath.Join(u.Dir, ".credence", "log"))
	cmd := u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	for _, target := range []string{"/recorded/k", "/reports/k"} { // after these STS is not asked again
		check(t, u.get(target))
	}
	slow := make(chan error, 1)
	go func() { slow <- u.get("/recorded/slow") }()
	gateway.Within(t, "the slow call at AWS", func() error { return u.reached("/recorded/slow") })
	exhaust()
	gateway.Within(t, "refusal", func() error { return u.putOff("/recorded/late") })
	sent := u.Upstream.Received()
	check(t, u.putOff("/reports/late"))
	if now := u.Upstream.Received(); now != sent {
		t.Errorf("%d bytes of a call that was put off reached AWS", now-sent)
	}
	close(release)
	err := <-slow
	if err == nil {
		t.Error("the call in flight has its whole answer, and no end in the log")
	}
	t.Logf("the call in flight: %v", err)
	check(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait() // it was not well
	if said := cmd.Stderr.(*bytes.Buffer).String(); !strings.Contains(said, `"alarm":"log"`) || !strings.Contains(said, "the log can't be written") {
		t.Error("the gateway does not say that its log can't be written")
	}
}

// failing puts a volume under dir whose device, when the returned function has
// been called, has nowhere to write to: a file system in a file with holes, on a
// small tmpfs.
func failing(t *testing.T, dir string) func() {
	t.Helper()
	below := t.TempDir()
	if err := syscall.Mount("tmpfs", below, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("a failing volume needs mounts, and mount says: %v", err)
	}
	t.Cleanup(func() { check(t, syscall.Unmount(below, syscall.MNT_DETACH)) })
	check(t, os.MkdirAll(dir, 0o700))
	image := filepath.Join(below, "image")
	check(t, os.WriteFile(image, nil, 0o600))
	check(t, os.Truncate(image, 24<<20))
	for _, c := range [][]string{{"mkfs.ext4", "-q", "-F", "-O", "^has_journal", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("a failing volume needs a loop device, and %s says: %v %s", c[0], err, out)
		}
	}
	t.Cleanup(func() { check(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return func() { fill(t, filepath.Join(below, "ballast")) }
}
