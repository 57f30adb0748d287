// Command desk shows which trades wait for a person's decision, and decides.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"stocktrading/desk/decision"
	"stocktrading/desk/teststate"
	"stocktrading/desk/web"
	"stocktrading/lambdas/trading"
)

const usage = `desk shows which trades wait for a person's decision, and decides.

  go run ./desk [flags]                        list what waits
  go run ./desk [flags] EXECUTION              show one and ask
  go run ./desk [flags] approve EXECUTION      do as recommended
  go run ./desk [flags] buy EXECUTION          buy, whatever is recommended
  go run ./desk [flags] sell EXECUTION         sell, whatever is recommended
  go run ./desk [flags] decline EXECUTION      trade nothing
  go run ./desk [flags] -web                   all of it as a page in your browser
  go run ./desk [flags] check                  start an execution, decline it, and tell what works

EXECUTION is the ARN or the name of an execution. Flags may stand anywhere; after
-- there are none.

  -state-machine ARN   the state machine, the stack's output StateMachineArn; without it
                       $STATE_MACHINE_ARN. The ARN of an execution names its own.
  -reason TEXT         why, for an answer; up to 1000 characters, and recorded
  -real-money          with approve, buy or sell, where that trades with real money and no
                       terminal is there at which the desk could ask once more
  -json                the list for scripts, as a JSON array
  -web                 a page on this machine alone; Ctrl-C ends it

check tries out a deployment where a person approves and no real money is traded. It needs
states:StartExecution on the state machine beside what the desk needs. With states:TestState
it also runs every path of the definition on AWS's interpreter with mocked results, which
deploys and trades nothing, and compares it with the local engine; this was not tried yet.

Decide before the stack is destroyed: AWS ends the executions of a state machine that is
being deleted at their next step, and nothing would be traded or reported.

The region is the ARN's. Credentials, profiles and AWS_ENDPOINT_URL are as for the AWS
CLI; the stack's ApproverPolicy allows what the desk does.

Exit status: 0 done, 1 failed, 2 wrong use, 3 too late: the wait is gone. ("go run"
itself ends with 1 for all of these but 0; "go install ./desk" makes a command that does not.)

Examples:
  export STATE_MACHINE_ARN=arn:aws:states:eu-west-1:123456789012:stateMachine:StockTrading
  go run ./desk
  go run ./desk order-1
  go run ./desk approve order-1
  go run ./desk decline order-1 -reason 'too expensive'
`

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], world{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, isTerminal: decision.IsTerminal, connect: connect,
	}))
}

// world is what the command has to do with outside of itself.
type world struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	isTerminal     func(stream any) bool
	connect        func(ctx context.Context, region string) (decision.Client, func(context.Context) (string, error), error)
}

// connect returns a client of the region's Step Functions and a function that tells who
// calls it.
func connect(ctx context.Context, region string) (decision.Client, func(context.Context) (string, error), error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, nil, fmt.Errorf("the AWS configuration can't be used (%s): check AWS_PROFILE and the files in ~/.aws", trading.OneLine(err.Error(), 300))
	}
	return decision.NewClient(cfg), decision.Caller(cfg), nil
}

// run is the command. It returns the exit status.
func run(ctx context.Context, args []string, w world) int {
	o, err := parse(args, w.getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(w.stdout, usage)
		return 0
	case err == nil:
		err = o.perform(ctx, w)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(w.stderr, "desk: %v\n", err)
	switch {
	case errors.Is(err, decision.ErrWrongUse):
		return 2
	case errors.Is(err, decision.ErrGone), errors.Is(err, decision.ErrNotYet):
		return 3
	}
	return 1
}

// order is what the command line asks for.
type order struct {
	machine   decision.Machine
	hint      string // the flag that names the machine, for the commands that are shown
	json      bool
	web       bool
	check     bool
	execution string          // its ARN or name; empty for the list
	answer    decision.Answer // Later: ask
	reason    string
	realMoney bool // is what the answer is meant to trade with, if it is
}

// wrongUse says what is wrong with a command line.
type wrongUse string

func (w wrongUse) Error() string        { return string(w) + "; \"go run ./desk -h\" shows what can be" }
func (w wrongUse) Is(target error) bool { return target == decision.ErrWrongUse }

// parse reads a command line. Its error is wrong use, or flag.ErrHelp.
func parse(args []string, getenv func(string) string) (order, error) {
	var (
		o             order
		machine, name string
	)
	words, given, err := scan(args, func(flags *flag.FlagSet) {
		flags.StringVar(&machine, "state-machine", "", "")
		flags.StringVar(&o.reason, "reason", "", "")
		flags.BoolVar(&o.realMoney, "real-money", false, "")
		flags.BoolVar(&o.json, "json", false, "")
		flags.BoolVar(&o.web, "web", false, "")
	})
	if err != nil {
		return o, err
	}
	if len(words) > 0 && words[0] == "check" {
		o.check, words = true, words[1:]
	} else if len(words) > 0 && isAnswer(words[0]) {
		o.answer, words = decision.Answer(words[0]), words[1:]
		if len(words) == 0 {
			return o, wrongUse(fmt.Sprintf("%s what? Name the execution", o.answer))
		}
	}
	switch {
	case o.check && len(words) > 0:
		return o, wrongUse("check starts an execution of its own: name none")
	case len(words) > 1:
		return o, wrongUse(fmt.Sprintf("%q is one word too many", trading.OneLine(words[1], 80)))
	case len(words) == 1 && words[0] == "":
		return o, wrongUse("the execution's name is empty")
	case len(words) == 1:
		o.execution = words[0]
	}
	switch {
	case o.web && (o.execution != "" || o.json):
		return o, wrongUse("-web stands for itself: choose the execution on the page")
	case o.check && (o.json || o.web):
		return o, wrongUse("-json and -web don't go with check")
	case o.json && o.execution != "":
		return o, wrongUse("-json is for the list")
	case given["reason"] && o.answer == decision.Later:
		return o, wrongUse("-reason is for an answer: approve, buy, sell or decline")
	case o.realMoney && (o.answer == decision.Later || o.answer == decision.Decline):
		return o, wrongUse("-real-money is for an answer that trades: approve, buy or sell")
	}
	if o.reason, err = decision.CleanReason(o.reason); err != nil {
		return o, err
	}

	switch {
	case given["state-machine"]:
		name = machine
	case decision.IsARN(o.execution):
		name = o.execution
	default:
		name = getenv("STATE_MACHINE_ARN")
	}
	if name == "" {
		return o, wrongUse("which state machine? Set STATE_MACHINE_ARN or use -state-machine: it is the stack's output StateMachineArn")
	}
	if o.machine, err = decision.ParseMachine(name); err != nil {
		return o, err
	}
	if given["state-machine"] {
		o.hint = "-state-machine " + o.machine.ARN + " "
	}
	return o, nil
}

// scan separates flags, which may stand anywhere, from words. It returns the words and
// which flags were given.
func scan(args []string, define func(*flag.FlagSet)) (words []string, given map[string]bool, err error) {
	flags := flag.NewFlagSet("desk", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	for len(args) > 0 {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, nil, err
		} else if err != nil {
			return nil, nil, wrongUse(trading.OneLine(err.Error(), 200))
		}
		rest := flags.Args()
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			words = append(words, rest...)
			break
		}
		if len(rest) > 0 {
			words, rest = append(words, rest[0]), rest[1:]
		}
		args = rest
	}
	given = map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return words, given, nil
}

func isAnswer(word string) bool {
	switch decision.Answer(word) {
	case decision.Approve, decision.Buy, decision.Sell, decision.Decline:
		return true
	}
	return false
}

func (o order) perform(ctx context.Context, w world) error {
	client, who, err := w.connect(ctx, o.machine.Region)
	if err != nil {
		return err
	}
	if o.web {
		return web.Serve(ctx, web.Config{Client: client, Machine: o.machine, Who: who, Tell: func(address string) {
			fmt.Fprintf(w.stdout, "Open the desk in your browser; this address works once: %s\n", address)
		}})
	}
	desk := decision.New(client, o.machine, who)
	if o.check {
		tell := func(ok bool, sentence string) {
			mark := "✓"
			if !ok {
				mark = "✗"
			}
			fmt.Fprintln(w.stdout, mark, sentence)
		}
		if err := desk.Check(ctx, tell); err != nil {
			return err
		}
		return o.compare(ctx, w, client, desk, tell)
	}
	terminal := decision.NewTerminal(w.stdin, w.stdout, decision.Colour(w.stdout, w.getenv))
	if o.execution == "" {
		return o.list(ctx, w, desk, terminal)
	}
	wait, err := desk.Find(ctx, o.execution)
	if err != nil {
		return err
	}
	answer, reason, err := o.decide(ctx, w, terminal, wait)
	if err != nil {
		return err
	}
	if answer == decision.Later {
		fmt.Fprintf(w.stdout, "Nothing was sent. %s still waits.\n", wait.Name())
		return nil
	}
	record, err := desk.Decide(ctx, wait, answer, reason)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.stdout, record)
	return nil
}

// compare holds the local engine against AWS's interpreter, by the definition that is deployed.
func (o order) compare(ctx context.Context, w world, client decision.Client, desk *decision.Desk, tell func(bool, string)) error {
	api, ok := client.(teststate.API)
	if !ok {
		return nil
	}
	definition, err := desk.Definition(ctx)
	if err != nil {
		return err
	}
	result, err := teststate.Compare(ctx, api, o.machine.ARN, definition, func(steps int) {
		fmt.Fprintf(w.stdout, "  Running %d steps of the definition on AWS's interpreter, about one a second\n", steps)
	})
	switch {
	case errors.Is(err, teststate.ErrSkipped):
		fmt.Fprintf(w.stdout, "- Not compared with AWS's interpreter: %s\n", trading.OneLine(err.Error(), 300))
		return nil
	case err != nil:
		return err
	}
	for _, difference := range result.Differences {
		tell(false, trading.OneLine(difference, 2000))
	}
	if n := len(result.Differences); n > 0 {
		return fmt.Errorf("the local engine differs from AWS's interpreter in %d of %d steps", n, result.Steps)
	}
	tell(true, fmt.Sprintf("AWS's interpreter takes the %d steps of %d paths as the local engine does.", result.Steps, result.Paths))
	return nil
}

// decide shows the wait and returns the command line's answer, or else the person's.
func (o order) decide(ctx context.Context, w world, terminal *decision.Terminal, wait decision.Wait) (decision.Answer, string, error) {
	if o.answer == decision.Later && w.isTerminal(w.stdin) && w.isTerminal(w.stdout) {
		return terminal.Ask(ctx, wait)
	}
	if err := terminal.Show(wait); err != nil {
		return decision.Later, "", err
	}
	if o.answer == decision.Later {
		execution := trading.ShellQuote(trading.OneLine(o.execution, 400))
		fmt.Fprintf(w.stdout, "\nTo decide, run one of these:\n\n")
		for _, answer := range []string{"approve", "buy", "sell", "decline"} {
			fmt.Fprintf(w.stdout, "  go run ./desk %s%s %s\n", o.hint, answer, execution)
		}
		return decision.Later, "", wrongUse("there is no terminal to ask at")
	}
	consequence, err := wait.Consequence(o.answer)
	if err != nil {
		return decision.Later, "", err
	}
	fmt.Fprintln(w.stdout)
	if !wait.RealMoney(o.answer) || o.realMoney {
		fmt.Fprintln(w.stdout, consequence)
		return o.answer, o.reason, nil
	}
	if !w.isTerminal(w.stdin) || !w.isTerminal(w.stdout) {
		return decision.Later, "", wrongUse("nothing was sent: this trades with real money, and there is no terminal to ask once more at, so it takes -real-money")
	}
	if sure, err := terminal.Confirm(ctx, wait, o.answer); err != nil || !sure {
		return decision.Later, "", err
	}
	return o.answer, o.reason, nil
}

func (o order) list(ctx context.Context, w world, desk *decision.Desk, terminal *decision.Terminal) error {
	var clear func()
	desk.Progress, clear = progress(w)
	waits, err := desk.List(ctx)
	clear()
	switch {
	case err != nil:
		return err
	case o.json:
		return writeJSON(w.stdout, waits)
	case len(waits) == 0:
		fmt.Fprintln(w.stdout, "Nothing waits for a decision.")
		return nil
	}
	if err := terminal.Table(waits); err != nil {
		return err
	}
	fmt.Fprintf(w.stdout, "\nTo decide: go run ./desk %sNAME\n", o.hint)
	return nil
}

func writeJSON(out io.Writer, waits []decision.Wait) error {
	if waits == nil {
		waits = []decision.Wait{}
	}
	text, err := json.MarshalIndent(waits, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the list: %w", err)
	}
	if _, err := fmt.Fprintf(out, "%s\n", text); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}

// patience is how long a list may take before it shows how far it has come.
const patience = 500 * time.Millisecond

// progress returns a function that shows on one line of a terminal how far a list has
// come, and one that takes the line away.
func progress(w world) (show func(done, total int), clear func()) {
	if !w.isTerminal(w.stderr) {
		return nil, func() {}
	}
	began, width := time.Now(), 0
	show = func(done, total int) {
		if time.Since(began) < patience {
			return
		}
		line := fmt.Sprintf("Reading executions: %d of %d", done, total)
		fmt.Fprintf(w.stderr, "\r%s", line) // no shorter than the one before
		width = len(line)
	}
	clear = func() {
		if width > 0 {
			fmt.Fprintf(w.stderr, "\r%*s\r", width, "")
		}
	}
	return show, clear
}
