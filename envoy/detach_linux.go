package envoy

import (
	"os/exec"
	"syscall"
)

// detach puts the child into a process group of its own, so that an interrupt
// at the terminal reaches only its parent, and ties its life to ours.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
