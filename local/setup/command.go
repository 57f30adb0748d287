package setup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"time"
)

// A command is a program to run to its end.
type command struct {
	path string
	args []string
	dir  string
	env  []string // on top of this program's own
}

// run returns what the program wrote. When ctx ends, the program and all that it started are killed, and the error is that
// of ctx.
func (c command) run(ctx context.Context) (stdout, stderr string, err error) {
	var output, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = &output, &problems
	cmd.WaitDelay = 5 * time.Second
	killTree(cmd)
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the program succeeded, and something that it left running still holds its output
	}
	return output.String(), problems.String(), err
}
