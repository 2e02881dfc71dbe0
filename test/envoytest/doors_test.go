package envoytest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/xds"
)

// check is what ext_authz saw of one request.
type check struct {
	request *wire.Request
	body    envoymsg.Body
	err     error
}

// authz answers every check by its script and remembers it.
type authz struct {
	authv3.UnimplementedAuthorizationServer
	decide func(check) *authv3.CheckResponse
	refuse *authv3.CheckResponse // the answer to every look; nil lets the body be read

	mu     sync.Mutex
	checks []check
	looks  []check
}

func (a *authz) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	if envoymsg.Awaited(r) {
		return a.look(r), nil
	}
	var c check
	c.request, c.body, c.err = envoymsg.Request(r)
	a.mu.Lock()
	a.checks = append(a.checks, c)
	a.mu.Unlock()
	return a.decide(c), nil
}

// look answers before the body.
func (a *authz) look(r *authv3.CheckRequest) *authv3.CheckResponse {
	var c check
	c.request, c.body, c.err = envoymsg.Request(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looks = append(a.looks, c)
	if a.refuse != nil {
		return a.refuse
	}
	return envoymsg.Proceed()
}

func (a *authz) seen() []check {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.checks
}

// send lets everything through to the upstream, in a class of s3.
func send(class string) func(check) *authv3.CheckResponse {
	return func(check) *authv3.CheckResponse {
		return envoymsg.Allow(envoymsg.Destination{Service: "s3", Upstream: "test/s3.us-east-1", Class: class}, "grant of "+class)
	}
}

// byClass lets the path choose the class: /none/..., /both/...
func byClass(c check) *authv3.CheckResponse {
	class, _, _ := strings.Cut(strings.TrimPrefix(c.request.Path(), "/"), "/")
	return send(class)(c)
}

// proc is an exchange that changes nothing. When lengths is set it restores
// content-length in both directions.
type proc struct {
	extprocv3.UnimplementedExternalProcessorServer
	lengths  bool
	script   func(*extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse // first say, nil falls through
	mu       sync.Mutex
	openings []envoymsg.Opening
	errs     []error
}

func (p *proc) Process(s extprocv3.ExternalProcessor_ProcessServer) error {
	for first := true; ; first = false {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if first {
			p.remember(envoymsg.Open(m))
		}
		if err := p.answer(s, m); err != nil {
			return err
		}
	}
}

func (p *proc) remember(o envoymsg.Opening, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.openings = append(p.openings, o)
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

func (p *proc) seen(t *testing.T) []envoymsg.Opening {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, err := range p.errs {
		t.Error("ext_proc's first message:", err)
	}
	return p.openings
}

func (p *proc) answer(s extprocv3.ExternalProcessor_ProcessServer, m *extprocv3.ProcessingRequest) error {
	if p.script != nil {
		if r := p.script(m); r != nil {
			return s.Send(r)
		}
	}
	switch v := m.Request.(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		r, err := envoymsg.RequestHeaders(v.RequestHeaders)
		if err != nil {
			return err
		}
		return s.Send(envoymsg.ContinueRequest(p.length(r.Headers)))
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		r, err := envoymsg.ResponseHeaders(v.ResponseHeaders)
		if err != nil {
			return err
		}
		return s.Send(envoymsg.ContinueResponse(p.length(r.Headers)))
	case *extprocv3.ProcessingRequest_RequestBody:
		return envoymsg.SendRequestBody(s.Send, v.RequestBody.Body, v.RequestBody.EndOfStream)
	case *extprocv3.ProcessingRequest_ResponseBody:
		return envoymsg.SendResponseBody(s.Send, v.ResponseBody.Body, v.ResponseBody.EndOfStream)
	case *extprocv3.ProcessingRequest_RequestTrailers:
		return s.Send(envoymsg.RequestTrailers(nil))
	default:
		return s.Send(envoymsg.ResponseTrailers())
	}
}

func (p *proc) length(h wire.Headers) envoymsg.Mutation {
	n, err := envoymsg.ContentLength(h)
	if !p.lengths || err != nil || n < 0 {
		return envoymsg.Mutation{}
	}
	return envoymsg.Mutation{Length: &n}
}

// upstream is a plain server that keeps every byte that it received.
type upstream struct {
	addr   netip.AddrPort
	answer func(head string, body []byte) string // a whole HTTP answer

	mu       sync.Mutex
	received []string // heads, raw
	bodies   []string // bodies, chunk framing removed
	framing  []string // how each body was framed: "chunked", "length N" or "none"
	junk     int      // bytes that were no request
}

func newUpstream(t testing.TB, answer func(head string, body []byte) string) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if answer == nil {
		answer = func(string, []byte) string { return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" }
	}
	u := &upstream{addr: l.Addr().(*net.TCPAddr).AddrPort(), answer: answer}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	return u
}

// config is a gateway to this upstream.
func (u *upstream) config() xds.Config {
	return xds.Config{
		Services: []xds.Service{{ID: "s3"}},
		Resolve: func(name string) (xds.Upstream, bool) {
			return xds.Upstream{Host: u.addr.Addr().String(), Port: u.addr.Port()}, name == "test/s3.us-east-1"
		},
	}
}

// byName resolves the cluster to this upstream by a name.
func (u *upstream) byName(name string) (xds.Upstream, bool) {
	return xds.Upstream{Host: "localhost", Port: u.addr.Port()}, name == "test/s3.us-east-1"
}

func (u *upstream) start(t testing.TB, a *authz, p *proc) *envoytest.Gateway {
	t.Helper()
	return envoytest.Start(t, u.config(), envoytest.Doors{Authz: a, Proc: p, Login: http.NotFoundHandler()})
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.received)
}

// serve reads requests byte by byte, without a library's kindness.
func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	r := &rawReader{conn: conn}
	for {
		head, ok := r.until("\r\n\r\n")
		if !ok {
			u.mu.Lock()
			u.junk += len(head)
			u.mu.Unlock()
			return
		}
		body, framing, ok := r.body(head)
		u.mu.Lock()
		u.received = append(u.received, head)
		u.bodies = append(u.bodies, string(body))
		u.framing = append(u.framing, framing)
		u.mu.Unlock()
		if !ok {
			return
		}
		if _, err := io.WriteString(conn, u.answer(head, body)); err != nil {
			return
		}
	}
}

// rawReader reads an HTTP/1.1 connection.
type rawReader struct {
	conn net.Conn
	buf  []byte
}

func (r *rawReader) more() bool {
	p := make([]byte, 64<<10)
	n, err := r.conn.Read(p)
	r.buf = append(r.buf, p[:n]...)
	return err == nil
}

func (r *rawReader) until(mark string) (string, bool) {
	for {
		if i := strings.Index(string(r.buf), mark); i >= 0 {
			out := string(r.buf[:i+len(mark)])
			r.buf = r.buf[i+len(mark):]
			return out, true
		}
		if !r.more() {
			return string(r.buf), false
		}
	}
}

func (r *rawReader) take(n int) ([]byte, bool) {
	for len(r.buf) < n {
		if !r.more() {
			return r.buf, false
		}
	}
	out := r.buf[:n:n]
	r.buf = r.buf[n:]
	return out, true
}

func (r *rawReader) body(head string) ([]byte, string, bool) {
	lower := strings.ToLower(head)
	if _, after, found := strings.Cut(lower, "\r\ncontent-length: "); found {
		digits, _, _ := strings.Cut(after, "\r\n")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil, "bad", false
		}
		b, ok := r.take(n)
		return b, "length " + digits, ok
	}
	if !strings.Contains(lower, "\r\ntransfer-encoding: chunked\r\n") {
		return nil, "none", true
	}
	var out []byte
	for {
		line, ok := r.until("\r\n")
		n, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if !ok || err != nil {
			return out, "chunked", false
		}
		piece, ok := r.take(int(n) + 2)
		if !ok {
			return out, "chunked", false
		}
		out = append(out, piece[:n]...)
		if n == 0 {
			return out, "chunked", true
		}
	}
}
