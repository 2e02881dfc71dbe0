package sdks_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tests "github.com/credence-gateway/credence/test/gateway"
)

// rig is what every cell runs against: two gateways, as `credence up` runs
// them, before one emulator that checks signatures; and a second emulator for
// the control.
type rig struct {
	root    string // the repository
	dir     string // what is built for the test
	binary  string // credence
	plain   gateway
	private gateway // behind https, under a CA of its own
	control string  // URL of the control's emulator
	tap     *tap    // between the gateways and their emulator
}

// gateway is one configuration of credence and the process that serves it.
type gateway struct{ url, config string }

func start(t *testing.T) *rig {
	t.Helper()
	root, err := filepath.Abs("../..")
	check(t, err)
	r := &rig{root: root, dir: t.TempDir()}
	if _, err := os.Stat(r.venv("moto_server")); err != nil {
		t.Skipf("run `make setup` first: %v", err)
	}
	r.binary = filepath.Join(r.dir, "credence")
	build(t, root, r.binary, "./cmd/credence")
	upstream, key := r.account(t, "prepare")
	r.tap = listenTap(t, upstream)
	control, _ := r.account(t, "fill")
	r.control = "http://" + control
	r.plain = r.up(t, key, "http")
	r.private = r.up(t, key, "https")
	for _, g := range []gateway{r.plain, r.private} {
		r.credence(t, "run", "--config", g.config, "--", "true")
	}
	return r
}

// venv is a program of the repository's Python environment.
func (r *rig) venv(name string) string { return filepath.Join(r.root, ".venv", "bin", name) }

// account starts moto, fills it and returns its address and the gateway's key.
func (r *rig) account(t *testing.T, verb string) (address string, key []string) {
	t.Helper()
	address = tests.Free(t)
	_, port, _ := net.SplitHostPort(address)
	child(t, exec.Command(r.venv("python"), "account.py", "serve", port))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.venv("python"), "account.py", verb, port)
	cmd.Env = bare(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	check(t, err)
	return address, strings.Fields(string(out))
}

// up configures a gateway and runs it with the grid's policies alone.
func (r *rig) up(t *testing.T, key []string, scheme string) gateway {
	t.Helper()
	address, dir := tests.Free(t), t.TempDir()
	g := gateway{url: scheme + "://" + address, config: filepath.Join(dir, "credence.yaml")}
	args := []string{"init", "--config", g.config, "--emulator", "http://" + r.tap.address, "--listen", address, "--issuer", "http://" + tests.Free(t), "--anchor", filepath.Join(dir, "anchors")}
	if scheme == "https" {
		args = append(args, "--public-url", g.url)
	}
	r.credence(t, args...)
	policies, err := os.ReadFile("policies.cedar")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "policies", "agents.cedar"), policies, 0o600))
	up := exec.Command(r.binary, "up", "--dev", "--config", g.config, "--envoy", r.envoy(), "--concurrency", "1")
	up.Env = append(bare(t), key...)
	child(t, up)
	return g
}

func (r *rig) envoy() string {
	if path, err := exec.LookPath("envoy"); err == nil {
		return path
	}
	return r.venv("envoy")
}

// credence runs a verb to its end and returns its output.
func (r *rig) credence(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), r.binary, args...)
	cmd.Env = bare(t)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("credence %v: %v\n%s", args, err, &errs)
	}
	return string(out)
}

// bare is an environment without anything that an SDK would take settings from.
func bare(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C.UTF-8",
		"AWS_CONFIG_FILE=" + filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "none"),
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// child runs a command until the test ends; what it printed is shown when the
// test failed.
func child(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = nil
	cmd.WaitDelay = 10 * time.Second
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(cmd.Path), tail(log.String(), 1500))
		}
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func build(t *testing.T, dir, output, pkg string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", output, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tap passes TCP connections on and counts the bytes towards the upstream.
type tap struct {
	address string
	bytes   atomic.Int64
}

func listenTap(t *testing.T, upstream string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = l.Close() })
	p := &tap{address: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(conn, upstream)
		}
	}()
	return p
}

// pass copies both ways until both sides have ended.
func (p *tap) pass(agent net.Conn, upstream string) {
	defer agent.Close() //nolint:errcheck // both copies have ended
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // both copies have ended
	go func() {
		_, _ = io.Copy(io.MultiWriter(server, (*counter)(&p.bytes)), agent)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(agent, server)
}

type counter atomic.Int64

func (c *counter) Write(p []byte) (int, error) {
	(*atomic.Int64)(c).Add(int64(len(p)))
	return len(p), nil
}
