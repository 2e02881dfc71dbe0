package attacks_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// slowUnit is a gateway whose upstream answers /reports/slow with half of what it
// says, and no more until the test ends.
func slowUnit(t *testing.T) *gateway.Unit {
	t.Helper()
	over := make(chan struct{})
	u := gateway.New(t, gateway.Config{Policy: policy, Answer: func(c *awsfake.Call) {
		if !strings.HasSuffix(c.Target, "/slow") {
			amazon(c)
			return
		}
		c.Head(200, "content-length: 200000", "x-amz-request-id: R1")
		c.Write(strings.Repeat("x", 100_000))
		c.ReadBody()
		<-over
	}})
	t.Cleanup(func() { close(over) })
	return u
}

// cutWithin is how soon the calls of a session are cut that was ended: a second,
// but for what a busy machine takes.
const cutWithin = 10 * time.Second

// A session that a person ended is refused, in calls that are open too, within a
// second and after the next start; another of the same agent goes on.
func TestA21_Revoked(t *testing.T) {
	u := slowUnit(t)
	up := []string{"up", "--envoy", envoytest.Path(t), "--concurrency", "1"}
	first := u.Spawn(up...)
	u.Login()
	keys := u.Keys
	opened := u.Last(audit.SessionOpen).Session.SessionID
	u.Login()
	if got := withSignature(get()(keys)).send(t, u.Address); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}

	streamed := newUpload(keys, "/reports/streamed", sigv4.StreamingSigned, uploadSize)
	streamed.frame(t, pattern(uploadSize))
	hashed := withSignature(s3(http.MethodPut, "/reports/hashed", strings.Repeat("a", 200_000))(keys))
	uploads := []net.Conn{begin(t, u, streamed.request, 3), begin(t, u, hashed, 3)}
	download := begin(t, u, withSignature(s3(http.MethodGet, "/reports/slow", "")(keys)), 0)
	for _, path := range []string{"/streamed", "/hashed", "/slow"} {
		eventually(t, func() error { return arrived(u, path) })
	}

	kill := u.Spawn("sessions", "kill", opened, "--reason", "its token leaked")
	check(t, kill.Wait())
	killed := time.Now()
	var calls sync.WaitGroup
	for i, conn := range append(uploads, download) {
		calls.Go(func() {
			answer, last := drain(t, conn)
			if took := last.Sub(killed); took > cutWithin {
				t.Errorf("call %d is cut after %s", i, took)
			}
			if head, body, _ := strings.Cut(answer, "\r\n\r\n"); len(body) >= 200_000 || strings.HasPrefix(head, "HTTP/1.1 200") && conn != download {
				t.Errorf("call %d has %q and %d bytes", i, head, len(body))
			}
		})
	}
	calls.Wait()
	eventually(t, func() error {
		for _, path := range []string{"/streamed", "/hashed"} {
			for _, r := range u.Upstream.Requests() {
				if strings.HasSuffix(r.Target, path) && (r.Whole || r.SHA256 == "") {
					return fmt.Errorf("%s: whole %t, over %t", path, r.Whole, r.SHA256 != "")
				}
			}
		}
		return nil
	})
	eventually(t, func() error { // the download's end was written before its head went
		if n := count(u, "session-revoked"); n != len(uploads) {
			return fmt.Errorf("%d uploads ended with their session", n)
		}
		return nil
	})
	stopped(t, u, keys)

	check(t, first.Process.Signal(syscall.SIGTERM))
	check(t, first.Wait())
	u.Spawn(up...)
	u.Login()
	stopped(t, u, keys)
	last := u.Last(audit.SessionRevoke)
	if last.Session.SessionID != opened || last.Detail["reason"] != "its token leaked" || !strings.HasPrefix(last.Detail["by"], "uid ") {
		t.Errorf("recorded %+v", last)
	}
}

// drain reads until a connection ends, and says when its last byte came: Envoy
// closes it a second later.
func drain(t *testing.T, conn net.Conn) (text string, last time.Time) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	piece := make([]byte, 64<<10)
	for {
		n, err := conn.Read(piece)
		if n > 0 {
			text, last = text+string(piece[:n]), time.Now()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a call of a session that was ended stays open")
		}
		if err != nil {
			return text, last
		}
	}
}

// begin sends a request but for its last bytes.
func begin(t *testing.T, u *gateway.Unit, q *request, kept int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", u.Address)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	raw := q.bytes()
	_, err = conn.Write(raw[:len(raw)-kept])
	check(t, err)
	return conn
}

func arrived(u *gateway.Unit, path string) error {
	for _, r := range u.Upstream.Requests() {
		if strings.HasSuffix(r.Target, path) {
			return nil
		}
	}
	return fmt.Errorf("%s has not reached the upstream", path)
}

// count is how many calls ended by a rule.
func count(u *gateway.Unit, rule string) (n int) {
	for _, l := range u.Leaves() {
		if l.Type == string(audit.CallEnd) && l.Rule == rule {
			n++
		}
	}
	return n
}

// stopped checks that keys are refused, and that the agent's other session goes
// on.
func stopped(t *testing.T, u *gateway.Unit, keys aws.Credentials) {
	t.Helper()
	for name, base := range map[string]base{"S3": get(), "DynamoDB": item(), "link": getLink()} {
		if got := withSignature(base(keys)).send(t, u.Address); got.status != 403 || got.code != "ExpiredToken" && got.code != "ExpiredTokenException" {
			t.Errorf("%s by a session that was ended: %d %s", name, got.status, got.body)
		}
	}
	if got := withSignature(get()(u.Keys)).send(t, u.Address); got.status != 200 {
		t.Errorf("another session: %d %s", got.status, got.body)
	}
}

func withSignature(q *request) *request {
	q.sign()
	return q
}

// All sessions of an agent that a person ended are refused, in calls that are open
// too, and so is a login by a token from before, a restart later too, when the
// state file is lost. Another agent's go on.
func TestA21_AgentRevoked(t *testing.T) {
	u := slowUnit(t)
	up := []string{"up", "--envoy", envoytest.Path(t), "--concurrency", "1"}
	first := u.Spawn(up...)
	u.Login()
	other, err := u.Open("agent-8")
	check(t, err)
	sessions := []aws.Credentials{u.Keys}
	for range 2 {
		u.Login()
		sessions = append(sessions, u.Keys)
	}
	u.Keys = other
	old, err := u.Issuer.Token(t.Context(), "agent-7", []string{"agents"})
	check(t, err)

	var uploads []net.Conn
	for i, keys := range sessions[:2] {
		path := fmt.Sprintf("/reports/open-%d", i)
		uploads = append(uploads, begin(t, u, withSignature(s3(http.MethodPut, path, strings.Repeat("a", 200_000))(keys)), 3))
		eventually(t, func() error { return arrived(u, path) })
	}
	kill := u.Spawn("sessions", "kill", "--agent", "dev|agent-7", "--reason", "its host was broken into")
	check(t, kill.Wait())
	killed := time.Now()
	var calls sync.WaitGroup
	for i, conn := range uploads {
		calls.Go(func() {
			answer, last := drain(t, conn)
			if took := last.Sub(killed); took > cutWithin || strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Errorf("call %d is cut after %s, by %.80q", i, took, answer)
			}
		})
	}
	calls.Wait()
	eventually(t, func() error {
		if n := count(u, "session-revoked"); n != len(uploads) {
			return fmt.Errorf("%d uploads ended with their sessions", n)
		}
		return nil
	})
	over := func() {
		t.Helper()
		for _, keys := range sessions {
			stopped(t, u, keys)
		}
		if _, err := u.OpenWith(old); err == nil || !strings.Contains(err.Error(), "ExpiredTokenException") {
			t.Errorf("a login by a token from before: %v", err)
		}
	}
	over()
	revoked := u.Last(audit.AgentRevoke)
	if revoked.Session.PrincipalID != "dev|agent-7" || revoked.Detail["reason"] != "its host was broken into" || !strings.HasPrefix(revoked.Detail["by"], "uid ") {
		t.Errorf("recorded %+v", revoked)
	}
	each := 0
	for _, l := range u.Leaves() {
		if l.Type == string(audit.SessionRevoke) {
			each++
		}
	}
	if each != len(sessions) {
		t.Errorf("%d of %d sessions have a record of their own", each, len(sessions))
	}

	check(t, first.Process.Signal(syscall.SIGTERM))
	check(t, first.Wait())
	for _, name := range []string{"state.sqlite", "state.sqlite-wal", "state.sqlite-shm"} {
		if err := os.Remove(filepath.Join(u.Dir, ".credence", name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	u.Spawn(up...)
	gateway.Within(t, "another agent's login", func() error {
		_, err := u.Open("agent-8")
		return err
	})
	over()
}
