//go:build unix

package setup

import (
	"syscall"
	"testing"
)

// checkEnded waits until there is no process with an id: one that has been killed is there until its parent knows.
func checkEnded(t *testing.T, pid int) {
	t.Helper()
	waitFor(t, "end of a process", func() bool { return syscall.Kill(pid, 0) != nil })
}
