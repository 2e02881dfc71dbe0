package extproc_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/awsfake"
)

// flipped is a sealed grant with one character changed.
func flipped(s string) string {
	at := len(s) / 2
	if s[at] == 'A' {
		return s[:at] + "B" + s[at+1:]
	}
	return s[:at] + "A" + s[at+1:]
}

// A43: without its own, fresh grant for this route and class a request is
// refused, recorded, and no byte of it is forwarded.
func TestEnvoyRefusesWithoutItsGrant(t *testing.T) {
	g := newRig(t, awsfake.Config{})
	body := pattern(100_000)
	for _, class := range classes {
		other := grant.Both
		if class == grant.Both {
			other = grant.None
		}
		used := ""
		for _, test := range []struct {
			name   string
			change func(*grant.Grant)
			sealed func(string) string
			status int
			rule   string
			end    bool // the call's own end is written
		}{
			{"no grant", nil, func(string) string { return "" }, 403, "grant-missing", false},
			{"garbage", nil, func(string) string { return "AAAA" }, 503, "grant-malformed", false},
			{"flipped", nil, flipped, 503, "grant-malformed", false},
			{"another request's", func(g *grant.Grant) { g.Fingerprint[0]++ }, nil, 403, "grant-request", false},
			{"used before", nil, func(s string) string {
				if _, err := g.door.grants.Redeem(s, [32]byte{}, ""); err == nil {
					panic("redeemed")
				}
				return s
			}, 403, "grant-redeemed", false},
			{"another route's", func(g *grant.Grant) { g.Route = "s3." + string(other) }, nil, 403, "grant-route", false},
			{"another class's", func(g *grant.Grant) { g.Class = other }, nil, 403, "grant-class", true},
			{"an unknown class's", func(g *grant.Grant) { g.Class = "all" }, nil, 403, "grant-class", true},
			{"another length", func(g *grant.Grant) { g.BodyLength-- }, nil, 400, "body-length", true},
			{"unknown length", func(g *grant.Grant) { g.BodyLength = -1 }, nil, 400, "body-length", true},
			{"forgotten credential", func(g *grant.Grant) { g.Credential = "key-2" }, nil, 500, "internal", true},
			{"signed chunks", func(g *grant.Grant) { g.PayloadHash = sigv4.StreamingSigned }, nil, 400, "payload-form", true},
			{"no scope", func(g *grant.Grant) { g.SignRegion = "" }, nil, 500, "internal", true},
		} {
			t.Run(fmt.Sprint(class, " ", test.name), func(t *testing.T) {
				g.door.change, g.door.sealed = test.change, test.sealed
				n := len(g.journal.list())
				resp, got, err := g.ask(t, "PUT", "/"+string(class)+"/key", body, false)
				if err != nil || resp.StatusCode != test.status || !strings.Contains(got, "<Code>") && !strings.Contains(got, "__type") && !strings.Contains(got, "message") {
					t.Fatalf("%v %v %s", err, resp, got)
				}
				e := g.journal.wait(t, n+1)
				want := audit.Event{Type: audit.Deny, Rule: test.rule}
				if test.end {
					want = audit.Event{Type: audit.CallEnd, Rule: test.rule, Call: "call-1", Outcome: "refused"}
				}
				if diff := cmp.Diff(want, audit.Event{Type: e.Type, Rule: e.Rule, Call: e.Call, Outcome: e.Outcome}); diff != "" {
					t.Error(diff)
				}
				if n := len(g.upstream.Requests()); n != 0 {
					t.Errorf("%d requests reached the upstream", n)
				}
			})
		}
		_ = used
	}
	if n := g.upstream.Received(); n != 0 {
		t.Errorf("%d bytes reached the upstream", n)
	}
}

// A25: an upload that is not what was signed fails at AWS, whatever its
// framing, and the agent is told so.
func TestEnvoyCutsWrongUploads(t *testing.T) {
	g := newRig(t, awsfake.Config{})
	for _, class := range []grant.Class{grant.Request, grant.Both} {
		for _, size := range []int{1, 65536, 65537, 500_000} {
			for _, chunked := range []bool{false, true} {
				t.Run(fmt.Sprint(class, " ", size, " chunked ", chunked), func(t *testing.T) {
					m, target := len(g.journal.list()), fmt.Sprintf("/%s/%d-%t", class, size, chunked)
					resp, got, err := g.ask(t, "PUT", target, pattern(size), chunked, "X-Amz-Content-Sha256: "+digest("another"))
					if err != nil || resp.StatusCode != 400 || !strings.Contains(got, "XAmzContentSHA256Mismatch") {
						t.Fatalf("%v %v %s", err, resp, got)
					}
					if e := g.journal.wait(t, m+1); e.Outcome != "refused" || e.Rule != "payload-mismatch" || e.Error != "XAmzContentSHA256Mismatch" {
						t.Errorf("%+v", e)
					}
					for _, seen := range g.settled(t, 0) { // perhaps nothing was released at all
						if seen.Target == target && (seen.Whole || seen.Length >= int64(size)) {
							t.Errorf("the upstream has %d bytes of %d, whole %t", seen.Length, size, seen.Whole)
						}
					}
				})
			}
		}
	}
}

// The empty digest with a body.
func TestEnvoyCutsBodyBehindEmptyDigest(t *testing.T) {
	g := newRig(t, awsfake.Config{})
	resp, got, err := g.ask(t, "PUT", "/both/key", "x", true, "X-Amz-Content-Sha256: "+sigv4.EmptySHA256)
	if err != nil || resp.StatusCode != 400 || !strings.Contains(got, "Mismatch") {
		t.Errorf("%v %v %s", err, resp, got)
	}
}

// A log that can't take the end withholds the response.
func TestEnvoyWithholdsUnrecordedResponses(t *testing.T) {
	payload := pattern(200_000)
	g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
		switch {
		case !c.ReadBody():
		case strings.Contains(c.Target, "nothing"):
			c.Head(204)
		case strings.Contains(c.Target, "chunked"):
			c.ReplyChunked(200, []string{payload[:100_000], payload[100_000:]})
		default:
			c.Reply(200, payload)
		}
	}})
	g.journal.set(0, errors.New("no space left on device"))
	for _, class := range classes {
		for _, kind := range []string{"length", "chunked", "nothing"} {
			t.Run(fmt.Sprint(class, " ", kind), func(t *testing.T) {
				resp, got, err := g.ask(t, "GET", fmt.Sprintf("/%s/%s", class, kind), "", false)
				if _, reads := class.Bodies(); reads && kind != "nothing" {
					if err == nil || strings.HasSuffix(got, payload[len(payload)-1:]) && len(got) == len(payload) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					return
				}
				if err != nil || resp.StatusCode != 503 || !strings.Contains(got, "ServiceUnavailable") {
					t.Errorf("%v %v %.200s", err, resp, got)
				}
			})
		}
	}
}

// Kill cuts uploads and downloads of its session, in every class, and no
// others.
func TestEnvoyKill(t *testing.T) {
	held := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(held) }) }
	t.Cleanup(release)
	payload := pattern(1 << 20)
	g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
		if strings.Contains(c.Target, "up") {
			c.ReadBody()
			return
		}
		c.Head(200, fmt.Sprint("content-length: ", len(payload)))
		c.Write(payload[:700_000])
		<-held
		c.Write(payload[700_000:])
	}})
	for _, class := range classes {
		for _, kind := range []string{"up", "down"} {
			t.Run(fmt.Sprint(class, " ", kind), func(t *testing.T) {
				n, m := len(g.journal.list()), len(g.upstream.Requests())
				conn, err := net.Dial("tcp", g.Addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				length := 0
				if kind == "up" {
					length = len(payload)
				}
				_, err = fmt.Fprintf(conn, "PUT /%s/%s HTTP/1.1\r\nhost: h\r\nauthorization: %s\r\ncontent-length: %d\r\n\r\n", class, kind, agentAuthorization, length)
				if err != nil {
					t.Fatal(err)
				}
				if kind == "up" {
					if _, err := io.WriteString(conn, payload[:700_000]); err != nil {
						t.Fatal(err)
					}
				}
				for len(g.upstream.Requests()) == m {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(50 * time.Millisecond)
				if k := g.server.Kill("session-2"); k != 0 {
					t.Errorf("killed %d of another session", k)
				}
				if k := g.server.Kill("session-1"); k != 1 {
					t.Errorf("killed %d", k)
				}
				// Nothing else ends the call: the upstream waits.
				if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(conn)
				if errors.Is(err, os.ErrDeadlineExceeded) || kind == "down" && len(got) > 700_500 {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if kind == "up" && !strings.Contains(string(got), "403 Forbidden") {
					t.Errorf("%.300s", got)
				}
				if e := g.journal.wait(t, n+1); class == grant.Both && (e.Outcome != "aborted" || e.Rule != "session-revoked") {
					t.Errorf("%+v", e)
				}
				if seen := g.upstream.Requests()[m]; kind == "up" && seen.Whole {
					t.Error("the upload is whole")
				}
			})
		}
	}
	release()
}

// What AWS does wrong is never passed on as right.
func TestEnvoyBadAnswers(t *testing.T) {
	payload := pattern(100_000)
	answers := map[string]func(*awsfake.Call){
		"reset before the head": func(c *awsfake.Call) { c.Reset() },
		"reset in the body": func(c *awsfake.Call) {
			c.Head(200, "content-length: 200000")
			c.Write(payload)
			time.Sleep(100 * time.Millisecond)
			c.Reset()
		},
		"short": func(c *awsfake.Call) {
			c.Head(200, "content-length: 200000")
			c.Write(payload)
			c.Close()
		},
		"chunks without end": func(c *awsfake.Call) {
			c.Head(200, "transfer-encoding: chunked")
			c.Write(fmt.Sprintf("%x\r\n%s\r\n", len(payload), payload))
			c.Close()
		},
		"no HTTP": func(c *awsfake.Call) { c.Write("nonsense\r\n\r\n") },
	}
	var current func(*awsfake.Call)
	g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
		if c.ReadBody() {
			current(c)
		}
	}})
	for name, answer := range answers {
		for _, class := range classes {
			t.Run(fmt.Sprint(name, " ", class), func(t *testing.T) {
				current = answer
				n := len(g.journal.list())
				resp, got, err := g.ask(t, "GET", "/"+string(class)+"/key", "", false)
				if err == nil && resp.StatusCode == 200 {
					t.Errorf("a whole answer of %d bytes", len(got))
				}
				e := g.journal.wait(t, n+1)
				_, reads := class.Bodies()
				if e.Response.Status == 503 && (e.Outcome != "failed" || e.Detail["envoy"] == "") {
					t.Errorf("Envoy answered in AWS's place: %+v %+v", e, e.Response)
				}
				if reads && e.Response.Status == 200 && e.Outcome != "aborted" {
					t.Errorf("%+v %+v", e, e.Response)
				}
			})
		}
	}
}

// An answer that comes before the request's end reaches the agent.
func TestEnvoyEarlyAnswers(t *testing.T) {
	const denied = "<Error><Code>AccessDenied</Code></Error>"
	g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
		c.Reply(403, denied, "connection: close", "x-amz-request-id: R1")
		c.ReadBody()
	}})
	for _, class := range classes {
		for _, size := range []int{10, 3 << 20} {
			t.Run(fmt.Sprint(class, " ", size), func(t *testing.T) {
				n := len(g.journal.list())
				_, got := g.trickle(t, fmt.Sprintf("PUT /%s/k HTTP/1.1\r\nhost: h\r\nauthorization: %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s", class, agentAuthorization, size, pattern(min(size, 100_000))[:min(size, 100_000)/2]))
				if !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.HasSuffix(got, denied) {
					t.Errorf("%.300s", got)
				}
				if e := g.journal.wait(t, n+1); e.Outcome != "complete" || e.Response.Status != 403 || e.Response.RequestID != "R1" {
					t.Errorf("%+v %+v", e, e.Response)
				}
			})
		}
	}
}

// envoyproxy/envoy#46237: a last chunk that is delivered twice.
// envoyproxy/envoy#40340: a first chunk that bypasses the processor.
func TestEnvoyUploadsAreExact(t *testing.T) {
	g := newRig(t, awsfake.Config{})
	whole := pattern(1_300_000)
	n := 0
	for size := 70_000; size <= len(whole); size += 61_501 {
		for _, class := range []grant.Class{grant.Request, grant.Both} {
			for _, chunked := range []bool{false, true} {
				n++
				body := whole[len(whole)-size:]
				resp, got, err := g.ask(t, "PUT", "/"+string(class)+"/key", body, chunked, "X-Amz-Content-Sha256: "+digest(body))
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%s %d: %v %v %s", class, size, err, resp, got)
				}
				if seen := g.upstream.Last(t, n); !seen.Whole || seen.Length != int64(size) || seen.SHA256 != digest(body) {
					t.Errorf("%s %d: the upstream got %d bytes", class, size, seen.Length)
				}
				if e := g.journal.wait(t, n); e.Outcome != "complete" || e.Request.Body != "sha256:"+digest(body) {
					t.Errorf("%s %d: %+v %+v", class, size, e, e.Request)
				}
			}
		}
	}
	if g.upstream.Junk() != 0 {
		t.Errorf("%d bytes of junk", g.upstream.Junk())
	}
}

// The agent leaves: the call has its end, once.
func TestEnvoyAgentLeaves(t *testing.T) {
	held := make(chan struct{})
	g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
		if strings.Contains(c.Target, "down") {
			c.Head(200, "content-length: 1000000")
			c.Write(pattern(300_000))
		}
		<-held
	}})
	t.Cleanup(func() { close(held) })
	for _, class := range classes {
		for _, kind := range []string{"up", "wait", "down"} {
			t.Run(fmt.Sprint(class, " ", kind), func(t *testing.T) {
				n, m := len(g.journal.list()), len(g.upstream.Requests())
				conn, err := net.Dial("tcp", g.Addr)
				if err != nil {
					t.Fatal(err)
				}
				length := map[string]int{"up": 1000}[kind]
				if _, err := fmt.Fprintf(conn, "PUT /%s/%s HTTP/1.1\r\nhost: h\r\nauthorization: %s\r\ncontent-length: %d\r\n\r\n%s", class, kind, agentAuthorization, length, pattern(length/2)); err != nil {
					t.Fatal(err)
				}
				for len(g.upstream.Requests()) == m {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(50 * time.Millisecond)
				conn.Close()
				e := g.journal.wait(t, n+1)
				_, reads := class.Bodies()
				if want := map[bool]string{true: "complete", false: "aborted"}[kind == "down" && !reads]; e.Outcome != want {
					t.Errorf("%s, wanted %s: %+v", e.Outcome, want, e)
				}
				time.Sleep(50 * time.Millisecond)
				if k := len(g.journal.list()); k != n+1 {
					t.Errorf("%d events", k-n)
				}
			})
		}
	}
}

// A44: a door that goes away under load lets nothing through that it did not
// see; agents are told to try again, and can as soon as it is back.
func TestEnvoyDoorClosedUnderLoad(t *testing.T) {
	for _, door := range []string{"authz", "proc"} {
		t.Run(door, func(t *testing.T) {
			g := newRig(t, awsfake.Config{})
			var granted, whole, later atomic.Int64
			g.door.change = func(*grant.Grant) { granted.Add(1) }
			stop := make(chan struct{})
			var agents sync.WaitGroup
			for i := range 8 {
				agents.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						resp, got, err := g.ask(t, "PUT", fmt.Sprintf("/%s/%d-%d", classes[i%len(classes)], i, n), "hello", false)
						switch {
						case err == nil && resp.StatusCode == 200:
							whole.Add(1)
						case err == nil && resp.StatusCode == 503 && strings.Contains(got, "<Code>ServiceUnavailable</Code>"):
							later.Add(1)
						case err == nil || !errors.Is(err, io.ErrUnexpectedEOF): // an answer that the door was holding is cut
							t.Error(resp, got, err)
						}
					}
				})
			}
			for range 3 {
				above(t, &whole, whole.Load()+40)
				g.CloseDoor(door)
				above(t, &later, later.Load()+40)
				g.OpenDoor(door)
			}
			above(t, &whole, whole.Load()+40)
			close(stop)
			agents.Wait()
			sent := g.upstream.Requests()
			for _, r := range sent {
				if r.Signature != nil {
					t.Error(r.Signature, r.Head)
				}
			}
			if n := int64(len(sent)); n > granted.Load() || n < whole.Load() || g.upstream.Junk() != 0 {
				t.Errorf("%d requests reached the upstream, %d were granted, %d answered; %d bytes of junk", n, granted.Load(), whole.Load(), g.upstream.Junk())
			}
			t.Logf("%d answered, %d told to come later, %d granted", whole.Load(), later.Load(), granted.Load())
		})
	}
}

// above waits until a count is above n.
func above(t *testing.T, count *atomic.Int64, n int64) {
	t.Helper()
	for range 6000 {
		if count.Load() > n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d, wanted more than %d", count.Load(), n)
}

// A call whose upstream nobody can tell Envoy has its end in the log too.
func TestEnvoyUpstreamUnknown(t *testing.T) {
	g := newRig(t, awsfake.Config{})
	g.door.away = "test/nowhere"
	for n, class := range classes {
		resp, got, err := g.ask(t, "PUT", "/"+string(class)+"/key", "body", false)
		if err != nil || resp.StatusCode != 503 || !strings.Contains(got, "<Code>ServiceUnavailable</Code>") {
			t.Errorf("%s: %v %v %s", class, err, resp, got)
		}
		if e := g.journal.wait(t, n+1); e.Type != audit.CallEnd || e.Outcome == "complete" {
			t.Errorf("%s: recorded %+v", class, e)
		}
	}
	if n := len(g.upstream.Requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}
