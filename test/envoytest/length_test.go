package envoytest_test

import (
	"fmt"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/wire"
)

var classes = []string{"none", "request", "response", "both"}

// An upload keeps its framing in every class when the exchange knows its
// length, and is never sent with a length that nobody vouched for.
func TestRequestLength(t *testing.T) {
	u := newUpstream(t, nil)
	a, p := &authz{decide: byClass}, &proc{lengths: true}
	g := u.start(t, a, p)
	body := strings.Repeat("0123456789abcdef", 20<<10)
	for _, class := range classes {
		for _, size := range []int{0, 1, 65535, 65536, 65537, len(body)} {
			upload(t, u, g.Addr, class, body[:size], false)
			upload(t, u, g.Addr, class, body[:size], true)
		}
	}
	if u.junk != 0 {
		t.Errorf("%d bytes reached the upstream outside of requests", u.junk)
	}
}

func upload(t *testing.T, u *upstream, addr, class, body string, chunked bool) {
	t.Helper()
	framing := fmt.Sprintf("content-length: %d\r\n\r\n%s", len(body), body)
	want := fmt.Sprintf("length %d", len(body))
	if chunked {
		want = "chunked"
		framing = fmt.Sprintf("transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		if body == "" {
			framing = "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
		}
	}
	n := u.count()
	status, rest := raw(t, addr, "PUT /"+class+"/k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: "+credential+"\r\n"+framing)
	if status != "HTTP/1.1 200 OK" {
		t.Errorf("%s, %d bytes, chunked %t: %s %s", class, len(body), chunked, status, rest)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.framing[n] != want || u.bodies[n] != body {
		t.Errorf("%s, %d bytes, chunked %t: reached the upstream as %s with %d bytes", class, len(body), chunked, u.framing[n], len(u.bodies[n]))
	}
}

// A download likewise.
func TestResponseLength(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 20<<10)
	u := newUpstream(t, func(head string, _ []byte) string {
		length := fmt.Sprintf("content-length: %d\r\n", len(body))
		if strings.HasPrefix(head, "HEAD") {
			return "HTTP/1.1 200 OK\r\n" + length + "\r\n"
		}
		if strings.Contains(head, "chunked") {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		}
		return "HTTP/1.1 200 OK\r\n" + length + "\r\n" + body
	})
	a, p := &authz{decide: byClass}, &proc{lengths: true}
	g := u.start(t, a, p)
	for _, class := range classes {
		for _, kind := range []string{"GET length", "GET chunked", "HEAD length"} {
			method, _, _ := strings.Cut(kind, " ")
			status, header, got := ask(t, g.Addr, method, "/"+class+"/"+strings.TrimPrefix(kind, method+" "), "", "Accept-Encoding: identity")
			wantBody, wantLength := body, fmt.Sprint(len(body))
			if method == "HEAD" {
				wantBody = ""
			}
			if kind == "GET chunked" {
				wantLength = ""
			}
			if status != 200 || got != wantBody || header.Get("Content-Length") != wantLength {
				t.Errorf("%s %s: %d, %d bytes, content-length %q", class, kind, status, len(got), header.Get("Content-Length"))
			}
		}
	}
}

// Lengths that a client or an upstream spoofs have no effect.
func TestSpoofedLength(t *testing.T) {
	const body = "0123456789"
	u := newUpstream(t, func(string, []byte) string {
		return "HTTP/1.1 200 OK\r\nx-credence-length: 3\r\nx-credence-class: none\r\ncontent-length: 10\r\n\r\n" + body
	})
	a, p := &authz{decide: byClass}, &proc{}
	g := u.start(t, a, p)
	for _, class := range classes {
		n := u.count()
		status, rest := raw(t, g.Addr, "PUT /"+class+"/k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-credence-length: 3\r\nX-Credence-Length: 3\r\nauthorization: "+credential+
			"\r\ncontent-length: 10\r\n\r\n"+body)
		if !strings.HasPrefix(status, "HTTP/1.1 200") || !strings.HasSuffix(rest, body) || strings.Contains(rest, "credence") || strings.Contains(rest, "length: 3") {
			t.Errorf("%s: %s %s", class, status, rest)
		}
		u.mu.Lock()
		if u.bodies[n] != body || strings.Contains(u.received[n], "credence") {
			t.Errorf("%s: upstream got %q in\n%s", class, u.bodies[n], u.received[n])
		}
		u.mu.Unlock()
	}
	if u.junk != 0 {
		t.Errorf("%d bytes reached the upstream outside of requests", u.junk)
	}
}

// The exchange may set what re-signing needs, on requests and responses, and
// nothing that routes or frames.
func TestMutations(t *testing.T) {
	u := newUpstream(t, func(string, []byte) string {
		return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-drop: 1\r\nx-keep: 1\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nok"
	})
	p := &proc{script: rewrite}
	g := u.start(t, &authz{decide: byClass}, p)
	for _, class := range classes {
		status, header, body := ask(t, g.Addr, "GET", "/"+class+"/k?x=1", "", "X-Drop: 1", "X-Keep: 1")
		if status != 201 || body != "ok" || header.Get("X-Drop") != "" || strings.Join(header["X-New"], ",") != "1,2" || strings.Join(header["Set-Cookie"], ",") != "a,b" {
			t.Errorf("%s: %d %v %q", class, status, header, body)
		}
	}
	for _, head := range u.received {
		for _, want := range []string{"GET /new?y=2 HTTP/1.1\r\n", "\r\nhost: new.example\r\n", "\r\nauthorization: new\r\n", "\r\nx-new: 1\r\n", "\r\nx-new: 2\r\n", "\r\nx-keep: 1\r\n"} {
			if !strings.Contains(head, want) {
				t.Errorf("%q is missing:\n%s", want, head)
			}
		}
		if strings.Contains(head, "x-drop") || strings.Contains(head, "user-agent") {
			t.Errorf("not removed:\n%s", head)
		}
	}
}

func rewrite(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	added := wire.Headers{{Name: "x-new", Value: "1"}, {Name: "x-new", Value: "2"}}
	switch v := m.Request.(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		r, err := envoymsg.RequestHeaders(v.RequestHeaders)
		if err != nil {
			return nil
		}
		to := append(wire.Headers{{Name: "authorization", Value: "new"}, {Name: "x-keep", Value: "1"}}, added...)
		change := envoymsg.Rebuild(r.Headers, to)
		change.Authority, change.Target = "new.example", "/new?y=2"
		return envoymsg.ContinueRequest(change)
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return envoymsg.ContinueResponse(envoymsg.Mutation{Status: 201, Set: added, Remove: []string{"x-drop"}})
	}
	return nil
}
