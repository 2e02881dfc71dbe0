package envoytest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/xds"
)

// Many calls at once may be the first that need an upstream: each is answered,
// is admitted once, and reaches the upstream once.
func TestFirstCallsAtOnce(t *testing.T) {
	const calls = 32
	for _, body := range []string{"", "hello"} {
		for round := range 5 {
			u := newUpstream(t, nil)
			a := &authz{decide: byClass}
			g := u.start(t, a, &proc{lengths: true})
			var clients sync.WaitGroup
			for i := range calls {
				clients.Go(func() {
					client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
					if err := put(&client, fmt.Sprintf("%s/%s/k%d", g.URL, classes[i%len(classes)], i), body); err != nil {
						t.Error(round, err)
					}
				})
			}
			clients.Wait()
			if n := len(a.seen()); n != calls || u.count() != calls {
				t.Errorf("%d calls were checked %d times and sent %d times", calls, n, u.count())
			}
			if t.Failed() {
				t.Fatal(g.Ask("/stats?filter=(rq_active|rq_pending|odcds|cluster_manager|ext_proc|credence)"))
			}
			g.Stop()
		}
	}
}

func put(client *http.Client, url, body string) error {
	r, err := http.NewRequest(http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", credential)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", answer.Status)
	}
	return nil
}

// An upload is whole that ends while its cluster is still being fetched and the
// exchange has not given its body back: a filter that lets headers go on when
// the end of the body was seen, and nothing of it, would end it at the upstream
// with nothing in it.
func TestFirstUploadIsWhole(t *testing.T) {
	for _, class := range []string{"request", "both"} {
		for _, framing := range []string{"Content-Length: 5\r\n\r\nhel|lo", "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n|2\r\nlo\r\n0\r\n\r\n"} {
			u := newUpstream(t, nil)
			g := envoytest.Start(t, u.late(), envoytest.Doors{Authz: &authz{decide: byClass}, Proc: &proc{lengths: true, script: slowBody}, Login: http.NotFoundHandler()})
			first, rest, _ := strings.Cut("PUT /"+class+"/key HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: "+credential+"\r\n"+framing, "|")
			conn, err := net.Dial("tcp", g.Addr)
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			write(t, conn, first)
			time.Sleep(100 * time.Millisecond)
			write(t, conn, rest)
			answer, err := io.ReadAll(conn)
			if !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK\r\n") || u.count() != 1 || u.bodies[0] != "hello" {
				t.Errorf("%s, %.14s: %q, %v, %d requests reached the upstream, with %q", class, framing, answer, err, u.count(), u.bodies)
			}
			_ = conn.Close()
			g.Stop()
		}
	}
}

// late takes its time to say where the upstream is.
func (u *upstream) late() xds.Config {
	c := u.config()
	known := c.Resolve
	c.Resolve = func(name string) (xds.Upstream, bool) {
		time.Sleep(300 * time.Millisecond)
		return known(name)
	}
	return c
}

// slowBody gives a request's body back late.
func slowBody(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	if m.GetRequestBody() != nil {
		time.Sleep(500 * time.Millisecond)
	}
	return nil
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}
