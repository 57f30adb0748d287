package setup

import (
	"bytes"
	"context"
	"errors"
	"io"
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

	// onLine, if set, gets each line of the standard error as it comes.
	onLine func(line string)
}

// run returns what the program wrote. When ctx ends, the program and all that it started are killed, and the error is that
// of ctx.
func (c command) run(ctx context.Context) (stdout, stderr string, err error) {
	var output, errorOutput bytes.Buffer
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = &output, &errorOutput
	if c.onLine != nil {
		cmd.Stderr = io.MultiWriter(&errorOutput, &lineWriter{onLine: c.onLine})
	}
	cmd.WaitDelay = 5 * time.Second
	killTree(cmd)
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the program succeeded, and a process that it left behind still holds its output
	}
	return output.String(), errorOutput.String(), err
}

// lineWriter calls onLine with each line that is written to it.
type lineWriter struct {
	onLine func(line string)
	rest   []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, complete := bytes.Cut(w.rest, []byte("\n"))
		if !complete {
			return len(p), nil
		}
		w.rest = rest
		w.onLine(string(line))
	}
}
