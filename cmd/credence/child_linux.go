package main

import (
	"os/exec"
	"runtime"
	"syscall"
)

// start runs cmd to its end. The kernel ends the child when this process dies,
// however it dies. Pdeathsig follows the thread that forked, so the thread is
// kept for as long as the child lives.
func start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd.Run()
}
