// Package awsfake is AWS for tests: Start is an HTTP/1.1 upstream that reads
// its connections byte by byte without a library's kindness, counts everything,
// and verifies signatures by the AWS SDK's own signer; StartMoto is the real
// moto server with IAM switched on.
package awsfake

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awschunk"
)

// Config scripts a Server. Its zero value answers every request with 200 "ok"
// and verifies nothing.
type Config struct {
	// Answer answers one request, whose head has arrived. When it returns,
	// what is left of the body is read. Default: c.Reply(200, "ok") after the
	// body.
	Answer func(c *Call)
	// Keys are the credentials that a request must be signed with, by access
	// key id. When set, a bad signature is answered 403 instead of by Answer,
	// and noted in Request.Signature.
	Keys map[string]sigv4.Credentials
	// TLS serves with a certificate for 127.0.0.1 that chains to Server.CA.
	TLS bool
	// Keep is how much of a body is kept, in bytes. Default 64 KiB.
	Keep int
}

// Server is an upstream that serves until the test ends.
type Server struct {
	Addr netip.AddrPort
	CA   []byte // PEM; nil without TLS

	config Config
	tls    *tls.Config
	done   sync.WaitGroup

	mu       sync.Mutex
	requests []*Request // guarded by mu, and so is what they point to
	conns    map[net.Conn]struct{}
	accepted int
	received int64
	junk     int64
}

// Request is one request as it arrived.
type Request struct {
	Conn    int // number of the connection, from 1
	Method  string
	Target  string
	Head    string       // request line and headers, raw
	Headers wire.Headers // names in lower case, in order

	Framing   string          // "length N", "chunked" or "none"
	Body      []byte          // the first Config.Keep bytes, without framing
	Length    int64           // bytes of body that arrived, without framing
	SHA256    string          // hex, of the whole body
	Whole     bool            // the body arrived to its end
	Signature error           // what is wrong with the signature; only with Config.Keys
	Chunks    error           // what is wrong with a whole body in aws-chunked framing; only with Config.Keys
	Data      awschunk.Result // of a body in aws-chunked framing
}

// Start starts a Server on 127.0.0.1.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Answer == nil {
		c.Answer = func(c *Call) {
			if c.ReadBody() {
				c.Reply(200, "ok")
			}
		}
	}
	if c.Keep == 0 {
		c.Keep = 64 << 10
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: l.Addr().(*net.TCPAddr).AddrPort(), config: c, conns: map[net.Conn]struct{}{}}
	if c.TLS {
		s.tls, s.CA = certificate(t)
	}
	s.done.Go(func() { s.accept(l) })
	t.Cleanup(func() {
		_ = l.Close()
		s.closeAll()
		s.done.Wait()
	})
	return s
}

// URL is the server's base URL.
func (s *Server) URL() string {
	if s.tls != nil {
		return "https://" + s.Addr.String()
	}
	return "http://" + s.Addr.String()
}

// Requests are the requests so far, in the order in which their heads arrived.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Request, len(s.requests))
	for i, r := range s.requests {
		list[i] = *r
	}
	return list
}

// Last waits until n requests have been read to their end, or to the end of
// their connection, and returns the last of them.
func (s *Server) Last(t testing.TB, n int) Request {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if list := s.Requests(); len(list) >= n && list[n-1].SHA256 != "" {
			return list[n-1]
		}
	}
	t.Fatalf("the upstream has %d requests, wanted %d", len(s.Requests()), n)
	return Request{}
}

// Received is every byte that arrived, on all connections, above TLS.
func (s *Server) Received() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

// Junk is how many of the bytes received belonged to no request: what was
// smuggled behind one, or a head that never ended.
func (s *Server) Junk() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.junk
}

func (s *Server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.accepted++
		n := s.accepted
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.done.Go(func() { s.serve(conn, n) })
	}
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// serve answers the requests of one connection.
func (s *Server) serve(tcp net.Conn, number int) {
	defer func() {
		_ = tcp.Close()
		s.mu.Lock()
		delete(s.conns, tcp)
		s.mu.Unlock()
	}()
	conn := tcp
	if s.tls != nil {
		conn = tls.Server(tcp, s.tls)
	}
	in := newReader(conn, func(n int) {
		s.mu.Lock()
		s.received += int64(n)
		s.mu.Unlock()
	})
	for {
		r, err := in.head()
		if err != nil {
			s.mu.Lock()
			s.junk += int64(in.left())
			s.mu.Unlock()
			return
		}
		r.Conn = number
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		if !s.answer(&Call{Request: *r, server: s, kept: r, tcp: tcp, conn: conn, in: in}) {
			return
		}
	}
}

// answer answers one request and reports whether the connection goes on.
func (s *Server) answer(c *Call) bool {
	c.body()
	if s.config.Keys == nil {
		s.config.Answer(c)
	} else if err := s.verify(c); err != nil {
		c.Reply(403, "<Error><Code>SignatureDoesNotMatch</Code><Message>"+err.Error()+"</Message></Error>", "content-type: application/xml")
	} else {
		s.config.Answer(c)
	}
	return c.ReadBody() && !c.closed
}

// verify checks the head's signature; where that covers the body, it reads the
// body first.
func (s *Server) verify(c *Call) error {
	digest := c.Request.Headers.Value("x-amz-content-sha256")
	if strings.HasPrefix(digest, "STREAMING-") {
		c.chunks(s.config.Keys)
	} else if len(digest) != 64 && digest != "UNSIGNED-PAYLOAD" {
		if !c.ReadBody() {
			return fmt.Errorf("the body is not whole")
		}
		digest = c.kept.SHA256
	}
	err := verify(&c.Request, s.scheme(), digest, s.config.Keys)
	s.mu.Lock()
	c.kept.Signature = err
	s.mu.Unlock()
	return err
}

func (s *Server) scheme() string {
	if s.tls != nil {
		return "https"
	}
	return "http"
}
