// Command desk shows which trades wait for a person's decision, and decides.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/config"

	"stocktrading/desk/decision"
	"stocktrading/desk/terminal"
	"stocktrading/lambdas/trading"
)

const about = `Shows which trades wait for a person's decision, and decides.

EXECUTION is the ARN or the name of an execution. Flags follow the command; after -- there are none.

Decide before the stack is destroyed: AWS ends the executions of a state machine that is being deleted at their next step, and nothing would be traded or reported.

The region is the ARN's. Credentials, profiles and AWS_ENDPOINT_URL are as for the AWS CLI; the stack's ApproverPolicy allows what the desk does.

Exit status: 0 done, 1 failed, 2 wrong use, 3 too late: the wait is gone. ("go run" itself ends with 1 for all of these but 0; "go install ./desk" makes a command that does not.)`

// cli is the command line.
type cli struct {
	StateMachine string `placeholder:"ARN" help:"The state machine, the stack's output StateMachineArn; without it $$STATE_MACHINE_ARN. The ARN of an execution names its own."`

	Show show `cmd:"" default:"withargs" help:"List what waits, or show one execution and ask; with --web, all as a page in your browser. The word show may be left out."`
	named
}

// named are the commands whose names may not be left out.
type named struct {
	Approve answer `cmd:"" help:"Do as recommended."`
	Buy     answer `cmd:"" help:"Buy, whatever is recommended."`
	Sell    answer `cmd:"" help:"Sell, whatever is recommended."`
	Decline answer `cmd:"" help:"Trade nothing."`
	Log     log    `cmd:"" help:"Show who decided what, when, why, and what came of it."`
	Check   check  `cmd:"" help:"Start an execution, decline it, and say what works."`
}

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], environment{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, isTerminal: terminal.Is, connect: connect,
	}))
}

// environment is what surrounds the command: its streams, its variables and AWS.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	isTerminal     func(stream any) bool
	connect        func(ctx context.Context, region string) (decision.Client, func(context.Context) (string, error), error)
}

// connect returns a client of the region's Step Functions and a function that returns
// the caller's ARN.
func connect(ctx context.Context, region string) (decision.Client, func(context.Context) (string, error), error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, nil, fmt.Errorf("the AWS configuration can't be used (%s): check AWS_PROFILE and the files in ~/.aws", trading.OneLine(err.Error(), 300))
	}
	return decision.NewClient(cfg), decision.Caller(cfg), nil
}

// run is the command. It returns the exit status.
func run(ctx context.Context, args []string, w environment) int {
	err := w.run(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(w.stderr, terminal.Fold(fmt.Sprintf("desk: %v", err), "", terminal.Columns(w.stderr)))
	switch {
	case errors.Is(err, decision.ErrWrongUse):
		return 2
	case errors.Is(err, decision.ErrGone), errors.Is(err, decision.ErrNotYet):
		return 3
	}
	return 1
}

// wrongUse says what is wrong with a command line.
type wrongUse string

func (w wrongUse) Error() string        { return string(w) + "; \"go run ./desk --help\" shows what can be" }
func (w wrongUse) Is(target error) bool { return target == decision.ErrWrongUse }

// session is what a command works with.
type session struct {
	environment
	command  string // its name
	machine  decision.Machine
	hint     string // the flag that names the machine, for the commands that are shown
	client   decision.Client
	who      func(context.Context) (string, error)
	desk     *decision.Desk
	terminal *decision.Terminal
}

// command is a command that was parsed.
type command interface {
	check() error      // what Kong does not check
	execution() string // that it names, if any
	run(ctx context.Context, s session) error
}

// run parses a command line and runs the command.
func (w environment) run(ctx context.Context, args []string) error {
	var (
		line   cli
		helped bool
	)
	parser, err := kong.New(&line, kong.Name("go run ./desk"), kong.Description(about), kong.Writers(w.stdout, w.stderr),
		kong.Exit(func(int) { helped = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		return err // a defect of the grammar
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return nil
	case err != nil && strings.HasSuffix(err.Error(), `expected "<execution>"`):
		return wrongUse("which execution? Give its ARN or name")
	case err != nil:
		return suggest(args, wrongUse(trading.OneLine(err.Error(), 200)))
	}
	c := parsed.Selected().Target.Addr().Interface().(command)
	s := session{environment: w, command: parsed.Selected().Name}
	if err := c.check(); err != nil {
		return err
	}
	arn := line.StateMachine
	switch {
	case arn != "":
	case decision.IsARN(c.execution()):
		arn = c.execution()
	default:
		arn = w.getenv("STATE_MACHINE_ARN")
	}
	if arn == "" {
		return suggest(args, wrongUse("which state machine? Set STATE_MACHINE_ARN or use --state-machine: it is the stack's output StateMachineArn"))
	}
	if s.machine, err = decision.ParseMachine(arn); err != nil {
		return err
	}
	if line.StateMachine != "" {
		s.hint = "--state-machine " + s.machine.ARN + " "
	}
	if s.client, s.who, err = w.connect(ctx, s.machine.Region); err != nil {
		return err
	}
	s.desk = decision.New(s.client, s.machine, s.who)
	s.terminal = decision.NewTerminal(w.stdin, w.stdout, terminal.HasColour(w.stdout, w.getenv))
	if err = c.run(ctx, s); errors.Is(err, decision.ErrNoExecution) && s.command == "show" {
		return suggest(args, err)
	}
	return err
}

// suggest names what a word or a flag was perhaps meant to be, or else returns err.
func suggest(args []string, err error) error {
	if i := slices.IndexFunc(args, func(arg string) bool { return len(arg) > 2 && arg[0] == '-' && arg[1] != '-' }); i >= 0 {
		return wrongUse(fmt.Sprintf("%s is not a flag: the names of flags begin with two dashes, as in --reason", trading.OneLine(args[i], 40)))
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return err
	}
	_, unknown := kong.Must(&named{}, kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard)).Parse(args[:1])
	if unknown == nil {
		return err
	}
	if _, nearest, ok := strings.Cut(unknown.Error(), ", did you mean "); ok {
		return wrongUse(fmt.Sprintf("%q is not a command: did you mean %s", trading.OneLine(args[0], 40), strings.TrimSuffix(nearest, "?")))
	}
	return err
}

// asks reports whether there is a person to ask.
func (s session) asks() bool { return s.isTerminal(s.stdin) && s.isTerminal(s.stdout) }

// introduce says who decides before anything is asked.
func (s session) introduce(ctx context.Context) error {
	standing, err := s.desk.Standing(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, terminal.Fold(standing.String(), "", s.terminal.Width))
	return err
}
