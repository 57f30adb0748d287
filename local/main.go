// Command local runs the whole stock trading system on this machine, without an AWS account.
//
// What runs is the program in local/run. This one builds it and hands over: it imports so
// little that it can soon say what takes so long, where the other one is still to be compiled
// with the AWS SDK.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"stocktrading/local/setup"
)

// Exit statuses, beside those of local/run.
const (
	exitFailed      = 1
	exitUsage       = 2 // a tool is missing
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	exe, err := build(ctx)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil:
		err = become(exe)
	case interrupted:
		fmt.Fprintln(os.Stderr, "interrupted")
		os.Exit(exitInterrupted)
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	if errors.Is(err, setup.ErrTool) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

func build(ctx context.Context) (exe string, err error) {
	project, err := setup.Open(nil, setup.NewProgress(os.Stderr))
	if err != nil {
		return "", err
	}
	return project.BuildRun(ctx)
}

// become runs the program in the place of this one, with its arguments. It returns if that fails.
func become(exe string) error {
	args := append([]string{exe}, os.Args[1:]...)
	err := syscall.Exec(exe, args, os.Environ())
	if !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("run %s: %w", exe, err)
	}
	// Where a program can't take another one's place, as on Windows, it waits for it. Ctrl-C reaches both.
	signal.Ignore(os.Interrupt)
	cmd := exec.Command(exe, args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	return err
}
