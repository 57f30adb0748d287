// Command run is the local run, which go run ./local builds and starts: the synthesized
// stack's state machine, functions, queue, topic and roles, without an AWS account.
package main

import (
	"context"
	"encoding/json"
	"errors"
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

	"github.com/alecthomas/kong"

	"stocktrading/desk/decision"
	"stocktrading/desk/terminal"
	"stocktrading/desk/web"
	"stocktrading/lambdas/trading"
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
	o, err := parse(args, terminal.Is(stdin), stdout, stderr)
	if err == nil {
		err = o.run(ctx, stdin, stdout, stderr)
	}
	var usage usageError
	switch {
	case err == nil, errors.Is(err, errHelp):
		return exitSucceeded
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case errors.Is(err, errExecutionFailed): // the output has said so
		return exitFailed
	case errors.As(err, &usage), errors.Is(err, setup.ErrTool):
		fmt.Fprintln(stderr, "error:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "error:", err)
		return exitFailed
	}
}

// flags are the command line's.
type flags struct {
	Context  map[string]string `short:"c" mapsep:"none" placeholder:"KEY=VALUE" help:"The configuration of the deployment, one key each: ${keys}."`
	Input    string            `default:"{}" placeholder:"JSON" help:"The execution's input, a JSON object."`
	Decision string            `placeholder:"ANSWER" help:"Approve, buy, sell or decline, in place of a question."`
	Reason   string            `placeholder:"TEXT" help:"Why."`
	Serve    bool              `help:"Keep the system up, for the AWS CLI, SDKs and the desk."`
	Web      bool              `help:"Keep the system up, with the desk as a page in your browser."`
	Port     int               `placeholder:"N" help:"The endpoint's port on 127.0.0.1; 0 takes any free one."`
	Logs     bool              `help:"Show the functions' logs."`
	Paper    bool              `help:"With -c market=alpaca, trade at Alpaca with play money: takes the keys of your paper account from APCA_API_KEY_ID and APCA_API_SECRET_KEY."`
}

const about = `Runs one trade through the whole system on this machine and shows each step, or keeps the system up with --serve or --web.

  go run ./local                                   asks for your decision
  go run ./local --decision decline --reason no    decides by itself
  go run ./local --input '{"symbol":"AMZN","qty":5}'
  go run ./local -c approvalTimeout=30s            a deployment's configuration
  go run ./local --web                             the desk in your browser
  go run ./local -c market=alpaca                  a broker stands in for Alpaca
  go run ./local -c market=alpaca --paper          Alpaca, with your keys`

// options are what the command line asks for.
type options struct {
	flags
	project setup.Project
	config  config.Config
	market  market
}

// keepsUp reports whether the system stays up, in place of one trade.
func (o options) keepsUp() bool { return o.Serve || o.Web }

// errHelp says that help was asked for and shown.
var errHelp = errors.New("help was asked for")

func parse(args []string, terminal bool, stdout, stderr io.Writer) (options, error) {
	var o options
	helped := false
	parser, err := kong.New(&o.flags, kong.Name("go run ./local"), kong.Description(about), kong.Writers(stdout, stderr),
		kong.Vars{"keys": strings.Join(config.Keys(), ", ")}, kong.Exit(func(int) { helped = true }), kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}))
	if err != nil {
		return o, err // a defect of the grammar
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return o, errHelp
	case err != nil:
		return o, wrongFlag(args, err)
	}
	given := map[string]any{}
	for key, value := range o.Context {
		if !slices.Contains(config.Keys(), key) {
			return o, usageError{fmt.Errorf("-c %s=%s: want one of the keys %s", key, value, strings.Join(config.Keys(), ", "))}
		}
		given[key] = value
	}
	_, reasonErr := decision.CleanReason(o.Reason)
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
	o.market, err = chooseMarket(o.config, o.Paper, os.Getenv)
	switch {
	case err != nil:
	case !json.Valid([]byte(o.Input)):
		err = fmt.Errorf(`--input %q is not JSON, want for example '{"symbol":"AMZN","qty":5}'`, o.Input)
	case o.Decision != "" && !slices.Contains([]decision.Answer{decision.Approve, decision.Buy, decision.Sell, decision.Decline}, decision.Answer(o.Decision)):
		err = fmt.Errorf("--decision is %q, want approve, buy, sell or decline", o.Decision)
	case reasonErr != nil:
		err = reasonErr
	case o.Decision != "" && o.keepsUp():
		err = errors.New("--decision answers one trade; with --serve or --web decide at the desk")
	case o.Decision != "" && o.config.Approval == config.AutomaticApproval:
		err = errors.New("--decision has nothing to decide with -c approval=automatic")
	case o.Decision == "" && !terminal && !o.keepsUp() && o.config.Approval == config.HumanApproval:
		err = errors.New("nobody to ask: this is not a terminal, so --decision approve, buy, sell or decline must say what to do")
	case o.Port < 0 || o.Port > 65535:
		err = fmt.Errorf("--port is %d, want 0 to 65535", o.Port)
	}
	if err != nil {
		return o, usageError{err}
	}
	return o, nil
}

// wrongFlag says what is wrong with a command line that Kong rejects.
func wrongFlag(args []string, err error) error {
	for _, arg := range args {
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' && arg[1] != 'c' {
			return usageError{fmt.Errorf("%s is not a flag: the names of flags begin with two dashes, as in --decision; --help shows them", trading.OneLine(arg, 40))}
		}
	}
	return usageError{fmt.Errorf("%s; --help shows the flags", trading.OneLine(err.Error(), 200))}
}

// prepare is another function in tests.
var prepare = system.Prepare

func (o options) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)))
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d is in use, choose another with --port: %w", o.Port, err)
		}
		return fmt.Errorf("port %d can't be opened, choose another with --port: %w", o.Port, err)
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
	p.many, p.asks = o.keepsUp(), !o.keepsUp() && o.Decision == ""
	c.Listener, c.OnEvent, c.OnNotification = listener, p.event, p.notification
	where, end, err := o.market.open(&c)
	if err != nil {
		return err
	}
	defer end()
	if where != "" {
		fmt.Fprintln(stdout, where)
	}
	if o.Logs {
		c.OnLog = func(function string, line []byte) { fmt.Fprintf(stderr, "%s %s\n", function, line) }
	}
	s, err := system.Start(ctx, c)
	if err != nil {
		return err
	}
	defer s.Close()
	if o.keepsUp() {
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
	fmt.Fprintf(stdout, "Starting an execution with input %s\n\n", o.Input)
	arn, err := s.Engine().StartExecution("", []byte(o.Input))
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
			case o.Decision != "" && !errors.Is(err, decision.ErrGone): // nobody is there to answer again
				left <- fmt.Errorf("no decision: %w", err)
			default:
				fmt.Fprintln(stdout, p.paint.bad("No decision:"), err)
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
	if o.Web {
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
// asking withdraws the question, but not an answer that was given.
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
	answer, reason := decision.Answer(o.Decision), o.Reason
	if answer == decision.Later {
		fmt.Fprintln(stdout)
		person := decision.NewTerminal(stdin, stdout, terminal.HasColour(stdout, os.Getenv))
		person.Final = true
		if answer, reason, err = person.Ask(asking, wait); asking.Err() != nil {
			return nil // what ended the wait is printed
		} else if err != nil {
			return err
		}
	}
	if answer == decision.Later {
		fmt.Fprintln(stdout, terminal.Fold("Nothing was decided and nothing was traded. The run ends here, and the execution with it.", "", p.width))
		return errLeft
	}
	record, err := desk.Decide(ctx, wait, answer, reason)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, terminal.Fold(record.String(), "", p.width))
	return nil
}
