//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// start runs cmd to its end, in a process group of its own so that an
// interrupt at the terminal reaches it only through `up`.
func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Run()
}
