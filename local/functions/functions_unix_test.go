//go:build unix

package functions

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitForEnd fails the test if a process exists after some time.
func waitForEnd(t *testing.T, pid int, patience time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if !time.Now().Before(deadline) {
			t.Errorf("process %d is left", pid)
			syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
}

func TestProcessesHaveTheirOwnGroup(t *testing.T) {
	p, _ := start(t, nil)
	a := mustInvoke(t, p, request{Do: "echo"})
	if group, err := syscall.Getpgid(a.PID); err != nil || group != a.PID {
		t.Errorf("process %d is in group %d (%v), want its own", a.PID, group, err)
	}
}

func TestParentKilled(t *testing.T) {
	t.Parallel()
	parent := exec.Command(executable)
	parent.Env = append(os.Environ(), "TEST_PARENT=1")
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	working, answered := false, 0
	for lines := bufio.NewScanner(output); !(working && answered == 2) && lines.Scan(); {
		switch text := lines.Text(); {
		case strings.HasPrefix(text, "process "):
			pid, err := strconv.Atoi(strings.TrimPrefix(text, "process "))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		case text == "work outlive":
			working = true
		case text == "done echo":
			answered++
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	if len(pids) != 2 {
		t.Errorf("%d processes were started, want one that works and one that waits", len(pids))
	}
	for _, pid := range pids {
		waitForEnd(t, pid, 10*time.Second)
	}
}
