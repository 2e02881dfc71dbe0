package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// firstMinutes returns the commands of the README's first five minutes, word
// by word.
func firstMinutes(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- first minutes -->\n```\n(.*?)```").FindSubmatch(readme)
	if m == nil {
		t.Fatal("the README has no block of commands behind <!-- first minutes -->")
	}
	return strings.Split(strings.TrimSpace(string(m[1])), "\n")
}

// TestREADMEFirstMinutes runs the README's commands as a newcomer would: one
// shell, an empty folder, nothing else.
func TestREADMEFirstMinutes(t *testing.T) {
	commands := firstMinutes(t)
	if len(commands) > 6 {
		t.Errorf("the README needs %d commands; six are promised", len(commands))
	}
	root, home := repository(t), t.TempDir()
	needs(t, filepath.Join(root, ".venv", "bin", "moto_server"), filepath.Join(root, "bin", "credence"))
	if err := os.Symlink(root, filepath.Join(home, "credence")); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(home, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "set -e\ntrap 'kill $(jobs -p); wait' EXIT\n" + strings.Join(commands, "\n") + "\n"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \S+ reports$`).Match(out) {
		t.Errorf("`credence run -- aws s3 ls` did not list the bucket:\n%s", out)
	}
}

// TestDemo runs `make demo`'s script on ports of its own.
func TestDemo(t *testing.T) {
	root := repository(t)
	needs(t, filepath.Join(root, ".venv", "bin", "moto_server"), filepath.Join(root, "bin", "credence"))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", filepath.Join(root, "examples", "demo", "demo.sh"))
	cmd.Env = append(os.Environ(),
		"PATH="+filepath.Join(root, "bin")+":"+filepath.Join(root, ".venv", "bin")+":"+os.Getenv("PATH"),
		"CREDENCE_DEMO_MOTO_PORT=5099", "CREDENCE_DEMO_LISTEN=127.0.0.1:8099", "CREDENCE_DEMO_ISSUER=http://127.0.0.1:8199")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"order 1: lamp", "queued: hello", "refused: AccessDenied", "AccessDenied", "call.begin", "call.end", "decision.deny"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out)
		}
	}
}

// repository returns the repository's root.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// needs skips the test where `make setup` has not been run.
func needs(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			t.Skipf("run `make setup` first: %v", err)
		}
	}
}
