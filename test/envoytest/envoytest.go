// Package envoytest starts the real Envoy for a test, configured by
// credence's xDS over Unix sockets and listening on a port that the kernel
// chose. What Envoy logged is shown only when the test fails. Everything ends
// with the test.
package envoytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"

	"github.com/credence-gateway/credence/envoy"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/xds"
)

// Doors are what stands behind Envoy. A door that is nil is not there: its
// socket does not exist.
type Doors struct {
	Authz authv3.AuthorizationServer
	Proc  extprocv3.ExternalProcessorServer
	Login http.Handler
}

// Gateway is an Envoy that serves.
type Gateway struct {
	URL   string // http://127.0.0.1:port
	Addr  string // 127.0.0.1:port
	Admin string // Unix socket of the admin interface
	Dir   string // holds the sockets

	t      testing.TB
	config xds.Config
	server *xds.Server
	behind Doors
	doors  map[string]func() // close functions by name
	stop   func()
	nacks  chan error
}

// startTimeout is generous: the machine may be busy.
const startTimeout = 30 * time.Second

// Start starts Envoy with c. Fields of c that name sockets or addresses and
// are empty are filled in; c.Listen defaults to a free port on 127.0.0.1. An
// absent Envoy skips the test, or fails it when CI is set.
func Start(t testing.TB, c xds.Config, d Doors) *Gateway {
	t.Helper()
	path := Path(t)
	dir, err := os.MkdirTemp("", "envoytest") // t.TempDir is too long for a socket
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	g := &Gateway{t: t, Dir: dir, Admin: filepath.Join(dir, "admin.sock"), doors: map[string]func(){}, nacks: make(chan error, 16)}
	g.config = g.fill(c)
	g.open(d)
	g.serve()
	g.run(path)
	g.Addr = g.address()
	g.URL = "http://" + g.Addr
	return g
}

// Path finds Envoy: CREDENCE_ENVOY, PATH, then .venv of any folder above.
func Path(t testing.TB) string {
	t.Helper()
	named := os.Getenv("CREDENCE_ENVOY")
	if named == "" {
		named = venv()
	}
	path, _, err := envoy.Find(named)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

func venv() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		candidate := filepath.Join(dir, ".venv", "bin", "envoy")
		if _, statErr := os.Stat(candidate); statErr == nil {
			return candidate
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

func (g *Gateway) fill(c xds.Config) xds.Config {
	if len(c.Listen) == 0 {
		c.Listen = []xds.Listener{{Address: netip.MustParseAddrPort("127.0.0.1:0")}}
	}
	for name, field := range map[string]*string{"authz": &c.Authz, "proc": &c.Proc, "login": &c.Login} {
		if *field == "" {
			*field = filepath.Join(g.Dir, name+".sock")
		}
	}
	return c
}

// maxCheck is the largest message a door takes: a large body and its headers.
const maxCheck = 17 << 20

func (g *Gateway) open(d Doors) {
	g.behind = d
	for _, name := range []string{"authz", "proc", "login"} {
		g.OpenDoor(name)
	}
}

// OpenDoor opens a door that CloseDoor has closed.
func (g *Gateway) OpenDoor(name string) {
	g.t.Helper()
	d, rpc := g.behind, grpc.NewServer(grpc.MaxRecvMsgSize(maxCheck), grpc.ForceServerCodecV2(envoymsg.Codec{}),
		grpc.InitialWindowSize(512<<10), grpc.InitialConnWindowSize(16<<20)) // as credence serve has them: measured ones vary with the load
	switch {
	case name == "authz" && d.Authz != nil:
		authv3.RegisterAuthorizationServer(rpc, d.Authz)
		g.listen(name, g.config.Authz, rpc.Serve, rpc.Stop)
	case name == "proc" && d.Proc != nil:
		extprocv3.RegisterExternalProcessorServer(rpc, d.Proc)
		g.listen(name, g.config.Proc, rpc.Serve, rpc.Stop)
	case name == "login" && d.Login != nil:
		s := &http.Server{Handler: d.Login, ReadHeaderTimeout: startTimeout}
		g.listen(name, g.config.Login, s.Serve, func() { _ = s.Close() })
	}
}

func (g *Gateway) listen(name, socket string, serve func(net.Listener) error, stop func()) {
	l, err := net.Listen("unix", socket)
	check(g.t, err)
	go func() { _ = serve(l) }() // ends by stop
	g.doors[name] = sync.OnceFunc(stop)
	g.t.Cleanup(g.doors[name])
}

// CloseDoor ends the door "authz", "proc" or "login" and its socket.
func (g *Gateway) CloseDoor(name string) { g.doors[name]() }

func (g *Gateway) serve() {
	server, err := xds.New(xds.ServerConfig{Config: g.config, OnNack: func(typeURL string, err error) {
		g.nacks <- fmt.Errorf("%s: %w", typeURL, err)
	}})
	check(g.t, err)
	g.server = server
	l, err := xds.Listen(filepath.Join(g.Dir, "xds.sock"))
	check(g.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	g.t.Cleanup(func() {
		cancel()
		check(g.t, <-done)
		close(g.nacks)
		for err := range g.nacks {
			g.t.Error(err)
		}
	})
}

// Nack waits until Envoy rejects a configuration and returns its error. One
// that no test waits for is a failure.
func (g *Gateway) Nack() error {
	g.t.Helper()
	select {
	case err := <-g.nacks:
		return err
	case <-time.After(startTimeout):
		g.t.Fatal("Envoy rejected nothing")
		return nil
	}
}

// Update gives Envoy another configuration; listeners and sockets stay.
func (g *Gateway) Update(c xds.Config) {
	g.t.Helper()
	check(g.t, g.server.Update(g.fill(c)))
}

func (g *Gateway) run(path string) {
	ctx, cancel := context.WithCancel(context.Background())
	ready, done, log := make(chan struct{}), make(chan error, 1), &buffer{}
	level := os.Getenv("ENVOY_LOG_LEVEL")
	go func() {
		done <- envoy.Run(ctx, envoy.Config{
			Path: path, XDS: filepath.Join(g.Dir, "xds.sock"), Admin: g.Admin, Concurrency: 1,
			Drain: time.Second, LogLevel: level, Log: log, Ready: func() { close(ready) },
		})
	}()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, errGone) {
			g.t.Error(err)
		}
	})
	g.t.Cleanup(func() {
		g.stop()
		if g.t.Failed() {
			g.t.Logf("Envoy's log:\n%s", log)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- errGone
		g.t.Fatal(err)
	case <-time.After(startTimeout):
		g.t.Fatal("Envoy did not get ready")
	}
}

var errGone = errors.New("the Envoy is gone, and that was told")

// address is the first listener's address.
func (g *Gateway) address() string {
	g.t.Helper()
	var answer struct {
		Statuses []struct {
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(g.Ask("/listeners?format=json")), &answer); err != nil || len(answer.Statuses) == 0 {
		g.t.Fatalf("Envoy has no listener: %v", err)
	}
	s := answer.Statuses[0].Local.Socket
	return net.JoinHostPort(s.Address, fmt.Sprint(s.Port))
}

// Stop drains Envoy and ends it before the test does.
func (g *Gateway) Stop() { g.stop() }

// Ask gets a page of Envoy's admin interface.
func (g *Gateway) Ask(target string) string {
	g.t.Helper()
	client := http.Client{Timeout: startTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", g.Admin)
		},
	}}
	answer, err := client.Get("http://admin" + target)
	check(g.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(g.t, err)
	return string(body)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// buffer is a log that one process writes while a test may read it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends p; it never fails.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written so far.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
