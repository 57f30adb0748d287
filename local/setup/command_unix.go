//go:build unix

package setup

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// killTree makes the end of the command's context the end of all that the command has started, too. They have a process
// group of their own for that, which also keeps the terminal's Ctrl-C from them: how a run ends is decided in one place,
// the context.
func killTree(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
