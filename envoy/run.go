package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// ErrEnded is an Envoy that ended by itself.
var ErrEnded = errors.New("envoy: ended by itself")

// Run runs Envoy until ctx ends, then drains and ends it and returns nil. It
// returns an error that wraps ErrEnded when Envoy ends by itself.
func Run(ctx context.Context, c Config) error {
	c = c.fill()
	cmd, err := Command(c)
	if err != nil {
		return err
	}
	if err := os.Remove(c.Admin); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("envoy: replacing the admin socket: %w", err)
	}
	ended := make(chan error, 1)
	if err := start(cmd, ended); err != nil {
		return fmt.Errorf("envoy: starting %s: %w", c.Path, err)
	}
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if awaitReady(watch, c.Admin) == nil {
			c.Ready()
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("%w: %v", ErrEnded, err)
	case <-ctx.Done():
		return end(c, cmd, ended)
	}
}

// Supervise runs Envoy until ctx ends, and again when it dies, as Again does.
func Supervise(ctx context.Context, c Config, died func(err error, wait time.Duration)) {
	Again(ctx, func() error { return Run(ctx, c) }, died)
}

// Again runs a child until ctx ends, and again when it dies: after 100 ms at
// first, twice as long each time up to 10 s, and from the start again once it
// has lived for 30 s. It tells died of every death.
func Again(ctx context.Context, run func() error, died func(err error, wait time.Duration)) {
	const least, most, healthy = 100 * time.Millisecond, 10 * time.Second, 30 * time.Second
	wait := least
	for ctx.Err() == nil {
		began := time.Now()
		err := run()
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > healthy {
			wait = least
		}
		died(err, wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, most)
	}
}

// start starts cmd on a thread of its own, which lives as long as the child:
// the kernel ends the child when the thread that forked it ends.
func start(cmd *exec.Cmd, ended chan<- error) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		ended <- cmd.Wait()
	}()
	return <-started
}

// end drains, asks Envoy to end, and kills it when it does not.
func end(c Config, cmd *exec.Cmd, ended <-chan error) error {
	drain(c)
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
	return nil
}

// drain closes the listeners gracefully and waits until no call is in flight,
// at most for c.Drain.
func drain(c Config) {
	ctx, cancel := context.WithTimeout(context.Background(), c.Drain)
	defer cancel()
	if _, err := admin(ctx, c.Admin, http.MethodPost, "/drain_listeners?graceful&skip_exit"); err != nil {
		return
	}
	for ctx.Err() == nil {
		active, err := admin(ctx, c.Admin, http.MethodGet, "/stats?filter=^http\\.agents\\.downstream_rq_active$")
		if err != nil || active == "" || strings.HasSuffix(strings.TrimSpace(active), ": 0") {
			return // no agent was ever here, or none is
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitReady returns once Envoy has its configuration and serves.
func awaitReady(ctx context.Context, socket string) error {
	for {
		if body, err := admin(ctx, socket, http.MethodGet, "/ready"); err == nil && strings.TrimSpace(body) == "LIVE" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// admin calls Envoy's admin interface.
func admin(ctx context.Context, socket, method, target string) (string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	r, err := http.NewRequestWithContext(ctx, method, "http://admin"+target, nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("envoy: admin answered %s", answer.Status)
	}
	return string(body), err
}
