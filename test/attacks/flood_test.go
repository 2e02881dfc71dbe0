package attacks_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credence-gateway/credence/test/gateway"
)

// Strangers whose large bodies never end are refused by their heads: Envoy keeps
// nothing of them, and agents go on being served. What they would hold is more than
// Envoy's whole memory.
func TestStrangersBodiesNeverEnd(t *testing.T) {
	u, _ := gateway.Up(t, gateway.Config{Policy: policy})
	const strangers = 80
	keys := u.Keys
	keys.SessionToken = keys.SessionToken[:len(keys.SessionToken)-4] + "AAAA"
	ends := make(chan error, strangers)
	for i := range strangers {
		q := item()(keys)
		q.host = u.Address
		q.sign()
		if i%2 == 0 {
			q.add("transfer-encoding", "chunked")
		} else {
			q.add("content-length", fmt.Sprint(unending))
		}
		go func() { ends <- neverWhole(t, u, q) }()
	}
	for range strangers {
		if err := <-ends; err != nil {
			t.Errorf("a stranger is not refused: %v", err)
			break
		}
	}
	for range 5 {
		anotherIsServed(t, u)
		q := batch()(u.Keys)
		q.host = u.Address
		q.sign()
		if got := q.send(t, u.Address); got.status != http.StatusOK {
			t.Errorf("a large call is told %d %s", got.status, got.body)
		}
	}
}

const unending = 16 << 20 // bytes of a body, which Envoy would read whole

var unended = sync.OnceValue(func() []byte { return make([]byte, unending-1) })

// neverWhole sends a request, its body all bytes but the last as far as they are
// taken, and keeps the connection until the test ends. It returns an error when the
// answer is not 403, and when there is none within 20 s and the connection lives.
func neverWhole(t *testing.T, u *gateway.Unit, q *request) error {
	conn, err := net.Dial("tcp", u.Address)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = conn.Close() })
	head, _, _ := bytes.Cut(q.bytes(), []byte("\r\n\r\n"))
	begin := "\r\n\r\n"
	if q.headers.Has("transfer-encoding") {
		begin += fmt.Sprintf("%x\r\n", unending)
	}
	go func() { // it may be refused already
		_, _ = conn.Write(append(head, begin...))
		_, _ = conn.Write(unended())
	}()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if line == "" && !errors.Is(err, os.ErrDeadlineExceeded) || strings.HasPrefix(line, "HTTP/1.1 403 ") {
		return nil
	}
	return fmt.Errorf("told %q, %w", line, err)
}
