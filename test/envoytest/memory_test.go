package envoytest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/credence-gateway/credence/test/envoytest"
)

// heap is what Envoy has allocated, in bytes.
func heap(t *testing.T, g *envoytest.Gateway) int {
	t.Helper()
	var answer struct {
		Allocated string `json:"allocated"`
	}
	if err := json.Unmarshal([]byte(g.Ask("/memory")), &answer); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(answer.Allocated)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A41: an agent that does not read, and an upstream that does not, cost Envoy
// little memory in any class.
func TestSlowReaders(t *testing.T) {
	const most, size = 8 << 20, 256 << 20
	down := &upstream{addr: fountain(t, size).AddrPort()}
	up := &upstream{addr: silence(t).AddrPort()}
	for _, class := range classes {
		t.Run("agent, "+class, func(t *testing.T) {
			g := down.start(t, &authz{decide: byClass}, &proc{lengths: true})
			before := heap(t, g)
			request(t, g.Addr, "GET", class, 0)
			if n := grow(t, g, before); n > most {
				t.Errorf("Envoy holds %d bytes", n)
			}
		})
		t.Run("upstream, "+class, func(t *testing.T) {
			g := up.start(t, &authz{decide: byClass}, &proc{lengths: true})
			before := heap(t, g)
			conn := request(t, g.Addr, "PUT", class, size)
			go func() { _, _ = io.CopyN(conn, zeros{}, size) }() // until the test closes it
			if n := grow(t, g, before); n > most {
				t.Errorf("Envoy holds %d bytes", n)
			}
		})
	}
}

// grow watches Envoy's memory for a while and returns the most it grew.
func grow(t *testing.T, g *envoytest.Gateway, before int) int {
	t.Helper()
	most := 0
	for range 15 {
		time.Sleep(100 * time.Millisecond)
		most = max(most, heap(t, g)-before)
	}
	return most
}

// fountain answers every request with size bytes, as fast as they are taken.
func fountain(t *testing.T, size int) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for line, err := "x", error(nil); strings.TrimSpace(line) != ""; line, err = r.ReadString('\n') {
					if err != nil {
						return
					}
				}
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", size)
				_, _ = io.CopyN(conn, zeros{}, int64(size))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Agents that do not read cost little each, and do not stop the others: 600 KiB,
// or on a busy machine what the windows of the door's stream hold beside.
func TestSlowReadersDoNotStopOthers(t *testing.T) {
	const stalled, size, most = 100, 64 << 20, 2 << 20
	u := &upstream{addr: fountain(t, size).AddrPort()}
	g := u.start(t, &authz{decide: byClass}, &proc{lengths: true})
	before := heap(t, g)
	for range stalled {
		ignore(t, g.Addr)
	}
	settle(g)
	each := (heap(t, g) - before) / stalled
	began := time.Now()
	conn := request(t, g.Addr, "GET", "both", 0)
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	n, err := io.CopyN(io.Discard, conn, size)
	t.Logf("%d KiB in Envoy for each agent that does not read; another received %d bytes in %s", each>>10, n, time.Since(began))
	if err != nil || each > most {
		t.Error(err)
	}
}

// request sends the head of a request with a body of that size to come.
func request(t *testing.T, addr, method, class string, size int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "%s /%s/k HTTP/1.1\r\nhost: h\r\nauthorization: %s\r\ncontent-length: %d\r\n\r\n", method, class, credential, size)
	return conn
}

// ignore asks, and lets the kernel read little of the answer for it.
func ignore(t *testing.T, addr string) {
	t.Helper()
	if err := request(t, addr, "GET", "both", 0).(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
}

// settle waits until the kernel's buffers are full and nothing moves.
func settle(g *envoytest.Gateway) {
	last := ""
	for range 60 {
		time.Sleep(500 * time.Millisecond)
		now := g.Ask("/stats?filter=agents.downstream_cx_tx_bytes_total")
		if now == last {
			return
		}
		last = now
	}
}

// silence accepts and never reads.
func silence(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l.Addr().(*net.TCPAddr)
}
