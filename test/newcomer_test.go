package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// TestScripts runs test/scripts/*.txt: the README's commands word by word, and
// what the command line says to those who use it wrongly or too early.
//
// Beside testscript's own commands they have
//
//	block NAME FILE         write the block behind <!-- NAME --> of the README or a page into FILE
//	contains FILE PART      FILE holds all of PART's text
//	exits CODE COMMAND...   run it; its exit code must be CODE
//	port NAME               $NAME becomes a free port of 127.0.0.1
//	readme NAME [COMMAND]   run such a block behind <!-- NAME -->, then COMMAND, in one shell
//	replace FILE OLD NEW    replace the only OLD in FILE
//	waitfor ADDRESS         wait until something listens there
//	waitlog FILE PATTERN    wait until a line of FILE matches
func TestScripts(t *testing.T) {
	home := newcomer(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "scripts",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"block": writeBlock, "contains": contains, "exits": exits, "port": port, "readme": readme, "replace": replace, "waitfor": waitFor, "waitlog": waitLog,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Join(home, "credence", "bin")+":"+filepath.Join(home, "credence", ".venv", "bin")+":"+os.Getenv("PATH"))
			e.Setenv("REPOSITORY", filepath.Join(home, "credence"))
			e.Setenv("HOME", e.WorkDir)
			return os.Symlink(filepath.Join(home, "credence"), filepath.Join(e.WorkDir, "credence"))
		},
	})
}

func TestMain(m *testing.M) {
	gateway.NoSettings()
	os.Exit(m.Run())
}

// newcomer returns a home with the repository in it as credence, after `make
// setup`.
func newcomer(t testing.TB) string {
	t.Helper()
	needs(t, "moto_server", "aws")
	build(t)
	home := t.TempDir()
	if err := os.Symlink(repository(t), filepath.Join(home, "credence")); err != nil {
		t.Fatal(err)
	}
	return home
}

// needs looks for programs of .venv, which `make setup` fetches: without them
// the test is skipped, or fails where CI is set.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	envoytest.Path(t)
	for _, p := range programs {
		if _, err := os.Stat(filepath.Join(repository(t), ".venv", "bin", p)); err != nil && os.Getenv("CI") != "" {
			t.Fatal(err)
		} else if err != nil {
			t.Skipf("run `make setup` first: %v", err)
		}
	}
}

// repository returns the repository's root.
func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

var built = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", "bin/credence", "./cmd/credence")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
})

// build brings bin/credence up to date, as `make build` does, and returns its
// path.
func build(t testing.TB) string {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(repository(t), "bin", "credence")
}

// pages are what scripts run blocks of.
var pages = []string{"../README.md", "../docs/policies.md", "../docs/approvals.md", "../docs/masking.md", "../docs/configuration.md", "../docs/sdks.md"}

// block returns the block behind <!-- name --> of the README or a page.
func block(name string) (string, error) {
	marked := regexp.MustCompile("(?s)<!-- " + regexp.QuoteMeta(name) + " -->\n```[a-z]*\n(.*?)```")
	for _, file := range pages {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if m := marked.FindSubmatch(text); m != nil {
			return string(m[1]), nil
		}
	}
	return "", fmt.Errorf("no page of %v has a block behind <!-- %s -->", pages, name)
}

// own runs a shell script in a network of its own where the system lets us, so
// that the ports which the README names are free.
func own(script string) []string {
	const loopback = "ip link set lo up && exec bash -c \"$0\""
	if exec.Command("unshare", "-rn", "bash", "-c", "ip link set lo up").Run() == nil {
		return []string{"unshare", "-rn", "bash", "-c", loopback, script}
	}
	return []string{"bash", "-c", script}
}

// alone is held by a script with ports that the README names, since not every
// system lets it have a network of its own.
var alone sync.Mutex

func readme(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: readme NAME [COMMAND]")
	}
	commands, err := block(args[0])
	ts.Check(err)
	if lines := strings.Count(strings.TrimSpace(commands), "\n") + 1; args[0] == "first minutes" && lines > 6 {
		ts.Fatalf("the README needs %d commands; six are promised", lines)
	}
	alone.Lock()
	defer alone.Unlock()
	script := "set -eo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" + commands + strings.Join(args[1:], " ") + "\n"
	argv := own(script)
	ts.Check(ts.Exec(argv[0], argv[1:]...))
}

func writeBlock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: block NAME FILE")
	}
	text, err := block(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

func contains(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: contains FILE PART")
	}
	if !strings.Contains(ts.ReadFile(args[0]), ts.ReadFile(args[1])) {
		ts.Fatalf("%s does not hold what is in %s:\n%s", args[0], args[1], ts.ReadFile(args[1]))
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("%s: exit code %s, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: port NAME...")
	}
	for _, name := range args {
		address, release, err := gateway.Reserve()
		ts.Check(err)
		ts.Defer(release)
		_, p, err := net.SplitHostPort(address)
		ts.Check(err)
		ts.Setenv(name, p)
	}
}

func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if strings.Count(text, args[1]) != 1 {
		ts.Fatalf("%s has %d times %q, want one:\n%s", args[0], strings.Count(text, args[1]), args[1], text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// soon is how long tests wait for what has no reason to take long, but may on
// a busy machine.
const soon = 3 * time.Minute

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor ADDRESS")
	}
	if !eventually(func() bool {
		conn, err := net.DialTimeout("tcp", args[0], time.Second)
		return err == nil && conn.Close() == nil
	}) {
		ts.Fatalf("nothing listens on %s", args[0])
	}
}

func waitLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitlog FILE PATTERN")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	if !eventually(func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && pattern.Match(text)
	}) {
		ts.Fatalf("no line of %s matches %s:\n%s", args[0], args[1], ts.ReadFile(args[0]))
	}
}

// eventually repeats f until it holds.
func eventually(f func() bool) bool {
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if f() {
			return true
		}
	}
	return f()
}

// TestDemo runs `make demo`. What the README shows of it must be what it
// prints.
func TestDemo(t *testing.T) {
	t.Parallel()
	out := newDemo(t)
	if err := out.cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	transcript, err := block("demo transcript")
	if err != nil {
		t.Fatal(err)
	}
	printed := plain(out.String())
	for line := range strings.Lines(transcript) {
		if line = strings.TrimSpace(plain(line)); line != "..." && !strings.Contains(printed, line) {
			t.Errorf("the README shows a line that the demo does not print: %s", line)
		}
	}
	if t.Failed() {
		t.Log(printed)
	}
}

// TestDemoKeeps runs `make demo KEEP=1`: it stays up for another shell, and an
// interrupt ends it in order.
func TestDemoKeeps(t *testing.T) {
	t.Parallel()
	out := newDemo(t, "KEEP=1")
	if err := out.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return strings.Contains(out.String(), "export AWS_DISABLE_HOST_PREFIX_INJECTION") }) {
		t.Errorf("it prints no exports:\n%s", out)
	} else {
		_, exports, _ := strings.Cut(out.String(), "in another shell:\x1b[0m\n")
		shell := exec.Command("bash", "-ec", exports+"\naws s3 ls s3://reports/2026/")
		shell.Env = out.cmd.Env
		if listed, err := shell.CombinedOutput(); err != nil || !strings.Contains(string(listed), "report.txt") {
			t.Errorf("%v\n%s", err, listed)
		}
	}
	if err := out.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if err := out.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// demo is a run of the demo and what it has printed.
type demo struct {
	output
	cmd *exec.Cmd
}

func newDemo(t *testing.T, env ...string) *demo {
	t.Helper()
	home := newcomer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	d := &demo{cmd: exec.CommandContext(ctx, "bash", "examples/quickstart/demo.sh")}
	d.cmd.Dir = repository(t)
	d.cmd.Env = append(os.Environ(), append(env, "HOME="+home,
		"PATH="+filepath.Join(home, "credence/bin")+":"+filepath.Join(home, "credence/.venv/bin")+":"+os.Getenv("PATH"))...)
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	d.cmd.WaitDelay = 30 * time.Second
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	return d
}

var changing = regexp.MustCompile(`\x1b\[\d*m|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?|(CRDN)\w+|(127\.0\.0\.1:)\d+|(refusals: |record )\d+`)

// plain takes out of a transcript what differs from run to run.
func plain(s string) string { return changing.ReplaceAllString(s, "$1$2$3") }

// output collects what programs print; its zero value is ready.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
