package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test's binary the command itself for tests that send it
// signals.
func TestMain(m *testing.M) {
	if os.Getenv("CREDENCE_TEST_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestPolicyCheckEnds: a signal ends a check of a set that takes minutes.
func TestPolicyCheckEnds(t *testing.T) {
	dir := t.TempDir()
	var set strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&set, "permit (principal, action in AWS::Action::\"s3:*\", resource) when { resource.arn like \"%d*\" };\n", i)
	}
	if err := os.WriteFile(filepath.Join(dir, "large.cedar"), []byte(set.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "policy", "check", dir)
			cmd.Env = append(os.Environ(), "CREDENCE_TEST_COMMAND=1")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case err := <-ended:
				t.Fatalf("the check ended by itself: %v", err)
			case <-time.After(2 * time.Second):
			}
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Success() {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(10 * time.Second):
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
				t.Error("10 s after the signal it is still there")
			}
		})
	}
}
