package awsfake

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/awschunk"
)

// Call is one request while it is answered.
type Call struct {
	Request // the head; of the body see Server.Requests

	server *Server
	kept   *Request // guarded by server.mu
	tcp    net.Conn
	conn   net.Conn
	in     *reader
	next   func() ([]byte, error)
	sum    hash.Hash
	framed *io.PipeWriter // the body's bytes, to be decoded; nil when it has no chunks
	result chan struct{}  // closed when they are
	over   bool
	closed bool
}

func (c *Call) body() {
	c.next, c.sum = c.in.body(c.Framing), sha256.New()
}

// ReadBody reads the body to its end and reports whether it had one, as its
// framing says.
func (c *Call) ReadBody() bool { return c.ReadSome(1<<63 - 1) }

// ReadSome reads until n bytes of the body have arrived, or its end, and
// reports whether that was reached.
func (c *Call) ReadSome(n int64) bool {
	for c.kept.Length < n && !c.over {
		piece, err := c.next()
		c.take(piece, err)
	}
	return c.kept.Length >= n || c.kept.Whole
}

// Mismatch reports whether the body, which has been read, is another than the
// digest in x-amz-content-sha256 says. S3 stores nothing then.
func (c *Call) Mismatch() bool {
	digest := c.Request.Headers.Value("x-amz-content-sha256")
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return len(digest) == 64 && c.over && c.kept.SHA256 != digest
}

// chunks verifies the body as it comes.
func (c *Call) chunks(keys map[string]sigv4.Credentials) {
	_, credential, _ := strings.Cut(c.Headers.Value("authorization"), "Credential=")
	id, _, _ := strings.Cut(credential, "/")
	seed, err := awschunk.SeedOf(c.Headers, keys[id].Secret.Reveal())
	body, framed := io.Pipe()
	c.framed, c.result = framed, make(chan struct{})
	go func() {
		defer close(c.result)
		var result awschunk.Result
		if err == nil {
			result, err = seed.Decode(body)
		}
		_, _ = io.Copy(io.Discard, body) // what is left of a wrong one
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		c.kept.Chunks, c.kept.Data = err, result
	}()
}

func (c *Call) take(piece []byte, err error) {
	if c.framed != nil {
		_, _ = c.framed.Write(piece) // the other end reads to the end
		if err != nil {
			_ = c.framed.Close()
			<-c.result
			c.framed = nil
		}
	}
	c.sum.Write(piece)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.kept.Length += int64(len(piece))
	room := max(0, c.server.config.Keep-len(c.kept.Body))
	c.kept.Body = append(c.kept.Body, piece[:min(len(piece), room)]...)
	if err != nil {
		c.over = true
		c.kept.Whole = errors.Is(err, errOver)
		c.kept.SHA256 = hex.EncodeToString(c.sum.Sum(nil))
	}
}

// Write sends raw bytes.
func (c *Call) Write(raw string) {
	if _, err := io.WriteString(c.conn, raw); err != nil {
		c.closed = true
	}
}

// Reply sends a whole answer with a content-length. A header is "name: value".
func (c *Call) Reply(status int, body string, headers ...string) {
	c.Head(status, append(headers, fmt.Sprint("content-length: ", len(body)))...)
	if c.Method != http.MethodHead {
		c.Write(body)
	}
}

// ReplyChunked sends a whole answer, each piece a chunk.
func (c *Call) ReplyChunked(status int, pieces []string, headers ...string) {
	c.Head(status, append(headers, "transfer-encoding: chunked")...)
	for _, p := range pieces {
		c.Write(fmt.Sprintf("%x\r\n%s\r\n", len(p), p))
	}
	c.Write("0\r\n\r\n")
}

// Head sends a status line and headers.
func (c *Call) Head(status int, headers ...string) {
	c.Write(fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n\r\n", status, http.StatusText(status), strings.Join(headers, "\r\n")))
}

// Reset ends the connection by a TCP reset.
func (c *Call) Reset() {
	if tcp, ok := c.tcp.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// Close ends the connection.
func (c *Call) Close() {
	_ = c.tcp.Close()
	c.closed = true
}

// Received is the body as far as it was read and kept.
func (c *Call) Received() []byte {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return bytes.Clone(c.kept.Body)
}
