package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// grace is how long a child may take to drain before it is killed.
const grace = 15 * time.Second

// keep runs a child until ctx ends, and starts it again with back-off when it
// dies: 100 ms, doubled up to 10 s, and from the start again once it has lived
// for 30 s. When ctx ends the child gets SIGTERM, and SIGKILL after grace.
func keep(ctx context.Context, log zerolog.Logger, name string, command func(context.Context) *exec.Cmd) {
	const least, most, healthy = 100 * time.Millisecond, 10 * time.Second, 30 * time.Second
	wait := least
	for ctx.Err() == nil {
		began := time.Now()
		err := runChild(command(ctx))
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > healthy {
			wait = least
		}
		log.Error().Err(err).Str("child", name).Dur("restart_in", wait).Msg("child ended and will be started again")
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, most)
	}
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
