package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/credence-gateway/credence/envoy"
)

// grace is how long a child may take to drain before it is killed.
const grace = 15 * time.Second

// keep runs a child until ctx ends, and again when it dies. When ctx ends the
// child gets SIGTERM, and SIGKILL after grace.
func keep(ctx context.Context, log zerolog.Logger, name string, command func(context.Context) *exec.Cmd) {
	envoy.Again(ctx, func() error { return runChild(command(ctx)) }, func(err error, wait time.Duration) {
		log.Error().Err(err).Str("child", name).Dur("restart_in", wait).Msg("child ended and will be started again")
	})
}

// runChild starts cmd as a child that dies with this process, and waits for it.
func runChild(cmd *exec.Cmd) error {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	return start(cmd)
}
