// Command run is the local run, which go run ./local builds and starts: the synthesized
// stack's state machine, functions, queue, topic and roles, without an AWS account.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"stocktrading/desk/decision"
	"stocktrading/desk/web"
	"stocktrading/local/setup"
	"stocktrading/local/system"
	"stocktrading/stacks/config"
)

// Exit statuses.
const (
	exitSucceeded   = 0
	exitFailed      = 1
	exitUsage       = 2 // or a tool is missing
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// usageError is a mistake of the person who called.
type usageError struct{ error }

func run(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer) int {
	o, err := parse(args, term.IsTerminal(int(stdin.Fd())), stderr)
	if err == nil {
		err = o.run(ctx, stdin, stdout, stderr)
	}
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitSucceeded
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case errors.Is(err, errExecutionFailed): // which the output has told
		return exitFailed
	case errors.As(err, &usage), errors.Is(err, setup.ErrTool):
		fmt.Fprintln(stderr, "error:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "error:", err)
		return exitFailed
	}
}

// options are what the command line says.
type options struct {
	project  setup.Project
	config   config.Config
	input    string
	decision string
	reason   string
	serve    bool
	web      bool // and serve
	port     int
	logs     bool
	market   market
}

const usage = `Usage: go run ./local [flags]

Runs one trade through the whole system on this machine and shows each step, or keeps
the system up with -serve or -web.

  go run ./local                                  asks for your decision
  go run ./local -decision decline -reason "no"   decides by itself
  go run ./local -input '{"symbol":"AMZN","qty":5}'
  go run ./local -c approvalTimeout=30s           a deployment's configuration
  go run ./local -serve                           for the AWS CLI, SDKs and the desk
  go run ./local -web                             the desk as a page in your browser
  go run ./local -c market=alpaca                 a broker that stands in for Alpaca
  go run ./local -c market=alpaca -paper          Alpaca's paper trading, with your keys

Flags:
`

func parse(args []string, terminal bool, stderr io.Writer) (options, error) {
	var o options
	given := map[string]any{}
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.Func("c", "a `key=value` of the configuration: "+strings.Join(config.Keys(), ", "), func(arg string) error {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || !slices.Contains(config.Keys(), key) {
			return fmt.Errorf("want key=value with one of the keys %s", strings.Join(config.Keys(), ", "))
		}
		given[key] = value
		return nil
	})
	flags.StringVar(&o.input, "input", "{}", "the execution's input, a `JSON` object")
	flags.StringVar(&o.decision, "decision", "", "`approve, buy, sell or decline`, in place of a question")
	flags.StringVar(&o.reason, "reason", "", "the decision's reason")
	flags.BoolVar(&o.serve, "serve", false, "keep the system up")
	flags.BoolVar(&o.web, "web", false, "keep the system up, with the desk as a page in your browser")
	flags.IntVar(&o.port, "port", 0, "the endpoint's port on 127.0.0.1; 0 takes any free one")
	flags.BoolVar(&o.logs, "logs", false, "show the functions' logs")
	paper := flags.Bool("paper", false, "with -c market=alpaca, trade at Alpaca with play money: takes the keys of your paper\naccount from APCA_API_KEY_ID and APCA_API_SECRET_KEY")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, usageError{err}
	}
	o.serve = o.serve || o.web
	_, reasonErr := decision.CleanReason(o.reason)
	var err error
	if o.project, err = setup.Open(given, nil); err != nil {
		return o, err
	}
	context := o.project.Context
	if context["market"] == string(config.AlpacaMarket) && context["marketSecret"] == nil {
		context["marketSecret"] = localSecret
	}
	if o.config, err = config.FromContext(func(key string) any { return context[key] }); err != nil {
		return o, usageError{err}
	}
	o.market, err = chooseMarket(o.config, *paper, os.Getenv)
	switch {
	case err != nil:
		return o, usageError{err}
	case flags.NArg() > 0:
		return o, usageError{fmt.Errorf("unexpected argument %q; -h shows the flags", flags.Arg(0))}
	case !json.Valid([]byte(o.input)):
		return o, usageError{fmt.Errorf(`-input %q is not JSON, want for example '{"symbol":"AMZN","qty":5}'`, o.input)}
	case o.decision != "" && !slices.Contains([]decision.Answer{decision.Approve, decision.Buy, decision.Sell, decision.Decline}, decision.Answer(o.decision)):
		return o, usageError{fmt.Errorf("-decision is %q, want approve, buy, sell or decline", o.decision)}
	case reasonErr != nil:
		return o, usageError{reasonErr}
	case o.decision != "" && o.serve:
		return o, usageError{errors.New("-decision answers one trade; with -serve or -web decide at the desk")}
	case o.decision != "" && o.config.Approval == config.AutomaticApproval:
		return o, usageError{errors.New("-decision has nothing to decide with -c approval=automatic")}
	case o.decision == "" && !terminal && !o.serve && o.config.Approval == config.HumanApproval:
		return o, usageError{errors.New("nobody to ask: this is not a terminal, so -decision approve, buy, sell or decline must say what to do")}
	case o.port < 0 || o.port > 65535:
		return o, usageError{fmt.Errorf("-port is %d, want 0 to 65535", o.port)}
	}
	return o, nil
}

// prepare is another function in tests.
var prepare = system.Prepare

func (o options) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port)))
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d is in use, choose another with -port: %w", o.port, err)
		}
		return fmt.Errorf("port %d can't be opened, choose another with -port: %w", o.port, err)
	}
	defer listener.Close()
	o.project.Progress = setup.NewProgress(stderr)
	c, err := prepare(ctx, o.project)
	if err != nil {
		return err
	}
	for _, m := range c.Assembly.Messages {
		fmt.Fprintf(stderr, "%s: %s\n", m.Level, m.Text)
	}

	p := newPrinter(stdout)
	p.many, p.asks = o.serve, !o.serve && o.decision == ""
	c.Listener, c.OnEvent, c.OnNotification = listener, p.event, p.notification
	where, end, err := o.market.open(&c)
	if err != nil {
		return err
	}
	defer end()
	if where != "" {
		fmt.Fprintln(stdout, where)
	}
	if o.logs {
		c.OnLog = func(function string, line []byte) { fmt.Fprintf(stderr, "%s %s\n", function, line) }
	}
	s, err := system.Start(ctx, c)
	if err != nil {
		return err
	}
	defer s.Close()
	if o.serve {
		return o.keepUp(ctx, s, p, stdout)
	}
	return o.trade(ctx, s, p, stdin, stdout)
}

var (
	errExecutionFailed = errors.New("the execution failed")
	errLeft            = errors.New("the person who was asked has left")
)

// trade runs one execution to its end.
func (o options) trade(ctx context.Context, s *system.System, p *printer, stdin io.Reader, stdout io.Writer) error {
	fmt.Fprintf(stdout, "Starting an execution with input %s\n\n", o.input)
	arn, err := s.Engine().StartExecution("", []byte(o.input))
	if err != nil {
		return fmt.Errorf("start execution: %w", err)
	}
	asking, stopAsking := context.WithCancel(ctx)
	defer stopAsking()
	var decided sync.WaitGroup
	left := make(chan error, 1) // the wait was, and nobody will come to it again
	if o.config.Approval == config.HumanApproval {
		decided.Go(func() {
			err := o.decide(ctx, asking, s, p, arn, stdin, stdout)
			switch {
			case err == nil, asking.Err() != nil:
			case errors.Is(err, errLeft):
				left <- err
			case o.decision != "" && !errors.Is(err, decision.ErrGone): // nobody is there to answer again
				left <- fmt.Errorf("no decision: %w", err)
			default:
				fmt.Fprintln(stdout, bad("No decision:"), err)
			}
		})
	}
	select {
	case err := <-left:
		if errors.Is(err, errLeft) {
			return nil
		}
		return err
	case succeeded := <-p.ended:
		stopAsking()
		decided.Wait() // an answer that was sent is still to be confirmed
		if !succeeded {
			return errExecutionFailed
		}
		return nil
	case <-s.Engine().Done():
		return s.Engine().Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keepUp keeps the system up until it is interrupted.
func (o options) keepUp(ctx context.Context, s *system.System, p *printer, stdout io.Writer) error {
	environment := fmt.Sprintf("AWS_ENDPOINT_URL=%s AWS_DEFAULT_REGION=%s AWS_ACCESS_KEY_ID=%%s AWS_SECRET_ACCESS_KEY=local", s.Endpoint(), system.Region)
	if s.Token() != "" {
		environment += " AWS_SESSION_TOKEN=" + s.Token()
	}
	fmt.Fprintf(stdout, `The system is up at %s. Ctrl-C ends it.

Start an execution:
  `+environment+` \
    aws stepfunctions start-execution --state-machine-arn %s --input '{"symbol":"AMZN","qty":5}'

Decide:
  `+environment+` \
    go run ./desk --state-machine %s

`, s.Endpoint(), "developer", s.StateMachineARN(), system.Approver, s.StateMachineARN())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	page := make(chan error, 1)
	if o.web {
		go func() { page <- servePage(ctx, s, p) }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-page:
		return err
	case <-s.Engine().Done():
		return s.Engine().Err()
	}
}

// servePage serves the desk's page: with the approver's permissions, and the developer's
// to start executions.
func servePage(ctx context.Context, s *system.System, p *printer) error {
	machine, err := decision.ParseMachine(s.StateMachineARN())
	if err != nil {
		return err
	}
	cfg := s.AWSConfig(system.Approver)
	return web.Serve(ctx, web.Config{
		Client: decision.NewClient(cfg), Machine: machine, Who: decision.Caller(cfg),
		Start: func(name, input string) (string, error) {
			arn, err := s.Engine().StartExecution(name, []byte(input))
			return decision.Execution{ARN: arn}.Name(), err
		},
		Tell: p.invite,
	})
}

// patience is how long the notice may take to arrive before the question is asked.
const patience = 3 * time.Second

// decide asks the person at the terminal, or answers as the command line says, with the
// desk's own code: a client of the endpoint with the approver's permissions. The end of
// asking takes the question back, and not an answer that was given.
func (o options) decide(ctx, asking context.Context, s *system.System, p *printer, arn string, stdin io.Reader, stdout io.Writer) error {
	select {
	case <-p.waiting:
	case <-asking.Done():
		return asking.Err()
	}
	select {
	case <-p.noticed:
	case <-time.After(patience):
	case <-asking.Done():
		return asking.Err()
	}
	machine, err := decision.ParseMachine(s.StateMachineARN())
	if err != nil {
		return err
	}
	cfg := s.AWSConfig(system.Approver)
	desk := decision.New(decision.NewClient(cfg), machine, decision.Caller(cfg))
	wait, err := desk.Find(asking, arn)
	if err != nil {
		return err
	}
	release := p.hold() // so that the record of an answer comes before what follows from it
	defer release()
	asking, stopAsking := context.WithCancel(asking)
	defer stopAsking()
	go func() {
		select {
		case <-p.answered: // by somebody else, or it has expired
			stopAsking()
		case <-asking.Done():
		}
	}()
	answer, reason := decision.Answer(o.decision), o.reason
	if answer == decision.Later {
		fmt.Fprintln(stdout)
		terminal := decision.NewTerminal(stdin, stdout, decision.Colour(stdout, os.Getenv))
		terminal.Final = true
		if answer, reason, err = terminal.Ask(asking, wait); asking.Err() != nil {
			return nil // what ended the wait is told
		} else if err != nil {
			return err
		}
	}
	if answer == decision.Later {
		fmt.Fprintln(stdout, decision.Fold("Nothing was decided and nothing was traded. The run ends here, and the execution with it.", "", p.width))
		return errLeft
	}
	record, err := desk.Decide(ctx, wait, answer, reason)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, decision.Fold(record.String(), "", p.width))
	return nil
}
