// Command faults runs many executions through the whole system on this machine and disturbs them: functions are killed,
// replies get lost, messages come twice, late or malformed, publishes fail, and decisions come late, twice, forged or
// not at all. Where it trades at a broker, that one fails, loses replies and fills orders in part. Then it counts: what
// must never happen must have happened 0 times.
//
// A seed gives the same faults in every run. A control takes one guard of the system off, and the run must notice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Exit statuses.
const (
	exitSucceeded   = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitSucceeded
	case err != nil:
		fmt.Fprintln(stderr, "error:", err)
		return exitUsage
	}
	s, err := measure(ctx, o, stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "error:", err)
		return exitFailed
	}
	s.write(stdout)
	for _, c := range s.counters() {
		if example := s.examples[c]; example != "" && (o.control == nil || o.control.protects == c) {
			fmt.Fprintf(stderr, "%s, for example in %s\n", c, example)
		}
	}
	fmt.Fprintf(stderr, "took %s\n", s.run.took.Round(time.Second/10))
	if complaint := s.complaint(); complaint != "" {
		fmt.Fprintln(stderr, "error:", complaint)
		return exitFailed
	}
	return exitSucceeded
}

func measure(ctx context.Context, o options, stderr io.Writer) (*summary, error) {
	c, err := prepare(ctx, o.alpaca, stderr)
	if err != nil {
		return nil, err
	}
	r, err := disturb(ctx, c, stderr, o)
	if err != nil {
		return nil, err
	}
	return r.summarize(r.groups[0]), nil
}

const usage = `Usage: go run ./test/faults [flags]

Runs executions under seeded faults and counts what became of them. The exit status is 1
if anything happened that must not; with -control, if nothing of it did.

  go run ./test/faults -n 10000 -seed 7
  go run ./test/faults -control no-catch
  go run ./test/faults -market alpaca -n 1000

Flags:
`

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.IntVar(&o.n, "n", 200, "the `number` of executions")
	flags.Uint64Var(&o.seed, "seed", 7, "of the faults")
	var names []string
	for _, c := range controls {
		names = append(names, c.name)
	}
	flags.Func("control", "the guard to take off: "+strings.Join(names, ", "), func(name string) error {
		i := slices.Index(names, name)
		if i < 0 {
			return fmt.Errorf("want one of %s", strings.Join(names, ", "))
		}
		o.control = controls[i]
		return nil
	})
	market := flags.String("market", "simulated", "`simulated or alpaca`: the latter is a broker on this machine, which is disturbed too")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.alpaca = *market == "alpaca"
	switch {
	case !o.alpaca && *market != "simulated":
		return o, fmt.Errorf("-market is %q, want simulated or alpaca", *market)
	case o.control != nil && o.control.alpaca && !o.alpaca:
		return o, fmt.Errorf("-control %s goes with -market alpaca only", o.control.name)
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; -h shows the flags", flags.Arg(0))
	case o.n < 1 || o.n > 1_000_000:
		return o, fmt.Errorf("-n is %d, want 1 to 1000000", o.n)
	}
	return o, nil
}
