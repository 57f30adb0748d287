//go:build unix

package functions

import (
	"os/exec"
	"syscall"
)

// isolate keeps the terminal's Ctrl-C from the process: it would end in the middle of its work, before the pool could
// end it in order.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
