// Command bench measures what a user of this project waits for: builds, syntheses, local trades, starts of functions.
// It prints a table of medians with their spread, from the smallest to the largest value. Run it on a machine that does
// nothing else.
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

	"stocktrading/local/setup"
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

// bench is what all measurements share.
type bench struct {
	root     string // of the project
	dir      string // for temporary files
	n        int    // how often each is measured, or 0 for as often as each needs
	progress *setup.Progress
}

// times is how often something is measured that needs so many runs.
func (b bench) times(usual int) int {
	if b.n > 0 {
		return b.n
	}
	return usual
}

// A measurement gives rows of the table.
type measurement struct {
	name string
	long bool // takes minutes, and so is made only if it is asked for
	what string
	run  func(context.Context, bench) ([]row, error)
}

var measurements = []measurement{
	{"packages", false, "how much of the CDK is compiled", measurePackages},
	{"compile", true, "the app's first build, with an empty build cache", measureCompile},
	{"synth", false, "syntheses by the app itself", measureSynth},
	{"cli", false, "syntheses by the CDK CLI, and the functions' packages", measureCLI},
	{"edit", false, "a function is edited, then a trade is run", measureEdit},
	{"trade", false, "trades in a local system that runs", measureTrade},
	{"open", true, "500 and 5,000 executions that wait at once", measureOpen},
	{"start", false, "starts of a function", measureStart},
	{"word", true, "the first word of the local run, with an empty build cache", measureFirstWord},
	{"tests", true, "the tests", measureTests},
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	b, chosen, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitSucceeded
	case err != nil:
		fmt.Fprintln(stderr, "error:", err)
		return exitUsage
	}
	rows, err := b.measure(ctx, chosen, stderr)
	write(stdout, rows) // what there is, even if the next one failed
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "error:", err)
		return exitFailed
	}
	return exitSucceeded
}

func parse(args []string, stderr io.Writer) (b bench, chosen []measurement, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: go run ./test/bench [flags]\n\nMeasures what a user waits for:\n\n")
		for _, m := range measurements {
			note := ""
			if m.long {
				note = " (takes minutes: only if asked for)"
			}
			fmt.Fprintf(stderr, "  %-9s %s%s\n", m.name, m.what, note)
		}
		fmt.Fprint(stderr, "\nFlags:\n")
		flags.PrintDefaults()
	}
	only := flags.String("only", "", "`names` of what to measure, separated by commas, or all; all that takes no minutes if empty")
	flags.IntVar(&b.n, "n", 0, "how often each is measured; 0 for as often as each needs")
	if err := flags.Parse(args); err != nil {
		return b, nil, err
	}
	if flags.NArg() > 0 {
		return b, nil, fmt.Errorf("unexpected argument %q; -h shows the flags", flags.Arg(0))
	}
	if b.n < 0 {
		return b, nil, fmt.Errorf("-n is %d, want 0 or more", b.n)
	}
	chosen, err = choose(*only)
	return b, chosen, err
}

func choose(only string) ([]measurement, error) {
	var chosen []measurement
	asked := strings.FieldsFunc(only, func(c rune) bool { return c == ',' })
	for _, m := range measurements {
		if only == "all" || slices.Contains(asked, m.name) || only == "" && !m.long {
			chosen = append(chosen, m)
		}
	}
	if only != "all" && only != "" && len(chosen) != len(asked) {
		var names []string
		for _, m := range measurements {
			names = append(names, m.name)
		}
		return nil, fmt.Errorf("-only is %q, want all or some of %s, each once", only, strings.Join(names, ", "))
	}
	return chosen, nil
}

func (b bench) measure(ctx context.Context, chosen []measurement, stderr io.Writer) (rows []row, err error) {
	if b.root, err = setup.Root(); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	b.progress = setup.NewProgress(stderr)
	// All that is measured warm has been built before.
	if _, err := (setup.Project{Root: b.root, Progress: b.progress}).Build(ctx); err != nil {
		return nil, err
	}
	for i, m := range chosen {
		fmt.Fprintf(stderr, "%d of %d: %s\n", i+1, len(chosen), m.what)
		more, err := m.run(ctx, b)
		rows = append(rows, more...)
		if err != nil {
			return rows, fmt.Errorf("measure %s: %w", m.name, err)
		}
	}
	return rows, nil
}
