package envoytest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/credence-gateway/credence/xds"
)

// New configurations under load fail no request.
func TestReloadUnderLoad(t *testing.T) {
	u := newUpstream(t, nil)
	g := u.start(t, &authz{decide: byClass}, &proc{lengths: true})
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, class := range classes {
		clients.Go(func() {
			client := http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if err := get(&client, g.URL+"/"+class+"/k"); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	const reloads = 100
	for i := range reloads {
		c := u.config()
		c.Services = append(c.Services, xds.Service{ID: fmt.Sprint("extra", i)})
		c.Stall = time.Duration(5+i%20) * time.Second // a new listener
		if i%2 == 0 {
			c.Resolve = u.byName // a new cluster
		}
		g.Update(c)
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	clients.Wait()
	t.Logf("%d requests over %d reloads, %d failed", asked.Load(), reloads, failed.Load())
	if asked.Load() < 100 {
		t.Error("too few requests to tell")
	}
}

func get(client *http.Client, url string) error {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", credential)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		return fmt.Errorf("%d %s %w", answer.StatusCode, body, err)
	}
	return nil
}

// A cluster that is known no longer is gone after an update, and comes back.
func TestClusterRemoved(t *testing.T) {
	u := newUpstream(t, nil)
	g := u.start(t, &authz{decide: byClass}, &proc{})
	if status, _, body := ask(t, g.Addr, "GET", "/none/k", ""); status != 200 {
		t.Fatal(status, body)
	}
	c := u.config()
	c.Resolve = nil
	g.Update(c)
	deadline := time.Now().Add(time.Minute)
	for {
		status, _, _ := ask(t, g.Addr, "GET", "/none/k", "")
		if status == 503 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the removed cluster still works")
		}
	}
	g.Update(u.config())
	for {
		if status, _, _ := ask(t, g.Addr, "GET", "/none/k", ""); status == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the cluster does not come back")
		}
	}
}

// An Envoy that is told to end lets the call in flight finish.
func TestDrain(t *testing.T) {
	arrived := make(chan struct{})
	u := newUpstream(t, func(string, []byte) string {
		close(arrived)
		time.Sleep(500 * time.Millisecond)
		return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
	})
	g := u.start(t, &authz{decide: byClass}, &proc{lengths: true})
	answered := make(chan string, 1)
	go func() {
		_, _, body := ask(t, g.Addr, "GET", "/both/k", "")
		answered <- body
	}()
	<-arrived
	g.Stop()
	if body := <-answered; body != "ok" {
		t.Errorf("the call in flight got %q", body)
	}
	if conn, err := net.Dial("tcp", g.Addr); err == nil {
		conn.Close()
		t.Error("Envoy still listens")
	}
}
