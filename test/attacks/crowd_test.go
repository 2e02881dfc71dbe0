package attacks_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/gateway"
)

// What one agent may have of what all have in common. These attacks are on
// gateways of their own.

// anotherIsServed fails unless an agent who comes now is served.
func anotherIsServed(t *testing.T, u *gateway.Unit) {
	t.Helper()
	keys, err := u.Open("another")
	check(t, err)
	q := get()(keys)
	q.host = u.Address
	q.sign()
	if got := q.send(t, u.Address); got.status != http.StatusOK {
		t.Errorf("another agent is told %d %s", got.status, got.body)
	}
}

// begun is how many calls of a gateway have begun, and how many of them a rule has
// refused after that.
func begun(u *gateway.Unit, rule string) (calls, refused int) {
	for _, l := range u.Leaves() {
		switch {
		case l.Type == string(audit.CallBegin):
			calls++
		case l.Type == string(audit.CallEnd) && l.Rule == rule && l.Outcome == "refused":
			refused++
		}
	}
	return calls, refused
}

// An agent who begins calls and never ends them has half of what Envoy lets
// through, with however many sessions.
func TestCallsThatNeverEnd(t *testing.T) {
	u, _ := gateway.Up(t, gateway.Config{Policy: policy})
	const half = 2048
	calls := 0
	for deadline := time.Now().Add(5 * time.Minute); ; {
		keys, err := u.Open("attacker")
		check(t, err)
		for range 5 {
			neverEnd(t, u, func() *request {
				calls++
				q := s3(http.MethodPut, fmt.Sprintf("/reports/%d", calls), "")(keys)
				q.digest = sigv4.UnsignedPayload
				return q
			})
		}
		_, refused := begun(u, "session-calls")
		if refused > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("none of %d calls is refused", calls)
		}
	}
	if calls < half {
		t.Errorf("only %d calls were let in", calls)
	}
	for range 5 {
		anotherIsServed(t, u)
	}
}

// neverEnd begins the requests of one connection, each with one byte of body.
func neverEnd(t *testing.T, u *gateway.Unit, next func() *request) {
	t.Helper()
	conn, err := net.Dial("tcp", u.Address)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, http2.ClientPreface)
	check(t, err)
	f := http2.NewFramer(conn, conn)
	check(t, f.WriteSettings())
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := range 100 {
		q := next()
		q.host = u.Address
		q.sign()
		block.Reset()
		for _, h := range q.fields() {
			check(t, encoder.WriteField(h))
		}
		id := uint32(2*i + 1)
		check(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}))
		check(t, f.WriteData(id, false, []byte("x")))
		if i%25 == 24 { // more than 64 of a session are not decided at a time
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// fields are the headers of the request by HTTP/2.
func (q *request) fields() []hpack.HeaderField {
	list := []hpack.HeaderField{
		{Name: ":method", Value: q.method}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: q.host}, {Name: ":path", Value: q.target},
	}
	for _, h := range q.headers {
		list = append(list, hpack.HeaderField{Name: strings.ToLower(h.Name), Value: h.Value, Sensitive: true})
	}
	return list
}

// A signed chunk is held until it is whole: of those that never are, an agent
// has as much as is left for others.
func TestChunksThatNeverEnd(t *testing.T) {
	u, _ := gateway.Up(t, gateway.Config{Policy: policy})
	const half, chunk = 128, 1 << 20 // MiB
	data := strings.Repeat("x", chunk)
	for i := range half + half/2 {
		q := s3(http.MethodPut, fmt.Sprintf("/reports/%d", i), "")(u.Keys)
		q.host, q.digest = u.Address, sigv4.StreamingSigned
		q.add("x-amz-decoded-content-length", fmt.Sprint(chunk))
		q.sign()
		q.body = fmt.Sprintf("%x;chunk-signature=%064d\r\n%s", chunk, 0, data)
		q.add("content-length", fmt.Sprint(len(q.body)+len("\r\n0;chunk-signature=\r\n\r\n")+64))
		conn, err := net.Dial("tcp", u.Address)
		check(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, _ = conn.Write(q.bytes()) // it may be refused already
	}
	gateway.Within(t, "the refusal of an upload", func() error {
		if calls, refused := begun(u, "session-chunks"); refused == 0 {
			return fmt.Errorf("none of %d is refused", calls)
		}
		return nil
	})
	upload := newUpload(u.Keys, "/reports/another", sigv4.StreamingSigned, uploadSize)
	upload.keys, _ = u.Open("another")
	upload.host = u.Address
	upload.frame(t, pattern(uploadSize))
	if got := upload.send(t, u.Address); got.status != http.StatusOK {
		t.Errorf("another agent is told %d %s", got.status, got.body)
	}
}
