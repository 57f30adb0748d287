package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"stocktrading/desk/decision"
	"stocktrading/local/assembly"
	"stocktrading/local/broker"
	"stocktrading/local/setup"
	"stocktrading/local/states"
	"stocktrading/local/system"
)

const (
	// approvalTimeout is the deployment's configuration: long enough for every decision that is not meant to be late.
	approvalTimeout = "2s"
	// visibilityTimeout, in seconds, takes the place of the queue's own, so that a request comes again while its
	// execution waits.
	visibilityTimeout = "1"
	// retryInterval takes the place of the definition's 1 to 10 s.
	retryInterval = 10 * time.Millisecond
	// inFlight is how many executions run at once.
	inFlight = 40
	// patience is how long a notice may take to come, the queue to run empty and the goroutines to end.
	patience = 15 * time.Second
)

// operator is the access key of the run itself. It belongs to no principal of the stack, and so to an administrator.
const operator = "faults"

// options are what a run is asked for.
type options struct {
	n       int // executions
	seed    uint64
	control *control // nil for the system as it is
	alpaca  bool     // trade at a broker, and not in the simulated market
}

// execution is one execution, with all that is seen of it from outside.
type execution struct {
	group  *group
	number int
	name   string
	symbol string // names the execution in the functions' payloads and logs
	plan   plan

	waiting chan struct{} // closed when its request is on the queue
	expired chan struct{} // closed when its wait has timed out
	ended   chan struct{}
	noticed chan struct{} // closed when its first notice has arrived

	mu       sync.Mutex
	attempts [places]int
	tokens   []string // of its wait, the newest at the end
	deadline time.Time
	sent     []*sentAnswer
	notices  int
	reports  []string       // as they arrived
	trades   map[trade]int  // what "Buy Stock" or "Sell Stock" really did, and how often
	market   fault          // of the next request to the market
	kills    [places]fault  // of the next process that works for it there
	orders   int            // that the broker has taken
	end      endOfExecution // set when it has ended
}

func newExecution(g *group, number int, p plan) *execution {
	return &execution{
		group:   g,
		number:  number,
		name:    fmt.Sprintf("faults-%06d", number),
		symbol:  fmt.Sprintf("X%06d", number),
		plan:    p,
		waiting: make(chan struct{}),
		expired: make(chan struct{}),
		ended:   make(chan struct{}),
		noticed: make(chan struct{}),
		trades:  map[trade]int{},
	}
}

// maxQty is how many shares are asked for at most.
const maxQty = 10

// qty is how many shares are asked for: more than one, so that an order can be filled in part.
func (x *execution) qty() int { return 2 + x.number%(maxQty-1) }

// trade is what was traded: in the simulated market what a function's log says, at a broker what that has.
type trade struct{ ID, Side, Symbol, Price, Qty string }

// next returns the fault of the next attempt at a place.
func (x *execution) next(at place) fault {
	if at == places {
		return nothing
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	i := x.attempts[at]
	x.attempts[at]++
	if i >= len(x.plan.faults[at]) {
		return nothing
	}
	return x.plan.faults[at][i]
}

// group is executions that share what is asked for them.
type group struct {
	options
	executions []*execution

	mu   sync.Mutex
	done map[fault]int
}

// did counts a fault that was done.
func (x *execution) did(f fault) {
	x.group.mu.Lock()
	defer x.group.mu.Unlock()
	x.group.done[f]++
}

// control is the execution's, an empty one if it has none.
func (x *execution) control() *control {
	if x.group.control == nil {
		return &control{}
	}
	return x.group.control
}

// run is a run of the system.
type run struct {
	alpaca     bool
	groups     []*group
	system     *system.System
	queueURL   string
	executions []*execution
	byName     map[string]*execution
	bySymbol   map[string]*execution

	machine  decision.Machine
	desk     *sfn.Client // as the desk calls it
	who      func(context.Context) (string, error)
	approver *sfn.Client // calls once
	function *sfn.Client // the same with the credentials of the function that serves the queue
	queue    *sqs.Client

	broker       *broker.Server // nil for the simulated market
	brokerServer *httptest.Server

	strayNotices atomic.Int64
	mixedBatches atomic.Int64 // with good and malformed requests
	left         int          // messages on the queue
	goroutines   int          // left
	took         time.Duration
}

// prepare makes what all runs of a process in one market share.
func prepare(ctx context.Context, alpaca bool, stderr io.Writer) (system.Config, error) {
	project, err := setup.Open(configuration(alpaca), setup.NewProgress(stderr))
	if err != nil {
		return system.Config{}, err
	}
	return system.Prepare(ctx, project)
}

// configuration is the deployment's.
func configuration(alpaca bool) map[string]any {
	choices := map[string]any{"approvalTimeout": approvalTimeout}
	if alpaca {
		choices["market"], choices["marketSecret"] = "alpaca", marketSecret
	}
	return choices
}

// disturb runs groups of executions to their end in a system of their own, all in the same market.
func disturb(ctx context.Context, c system.Config, progress io.Writer, asked ...options) (*run, error) {
	r := &run{alpaca: asked[0].alpaca, byName: map[string]*execution{}, bySymbol: map[string]*execution{}}
	drains := false
	for _, o := range asked {
		g := &group{options: o, done: map[fault]int{}}
		r.groups = append(r.groups, g)
		drains = drains || o.control == nil || o.control.drains
		for n := uint64(0); len(g.executions) < o.n; n++ {
			p := o.newPlan(n)
			if o.control != nil && p.waits() {
				continue // which would show nothing more, and takes time
			}
			x := newExecution(g, len(r.executions), p)
			g.executions, r.executions = append(g.executions, x), append(r.executions, x)
			r.byName[x.name], r.bySymbol[x.symbol] = x, x
		}
	}
	before := runtime.NumGoroutine()
	began := time.Now()
	if err := r.start(ctx, c); err != nil {
		return nil, err
	}
	err := r.runAll(ctx, progress)
	if err == nil && drains {
		r.left, err = r.drain(ctx)
	}
	// Only a function that has ended has told all that it did.
	if closeErr := r.system.Close(); err == nil {
		err = closeErr
	}
	r.closeMarket()
	r.took = time.Since(began)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if r.goroutines = max(0, runtime.NumGoroutine()-before); r.goroutines == 0 || time.Now().After(deadline) {
			return r, nil
		}
	}
}

func (r *run) start(ctx context.Context, c system.Config) (err error) {
	if c.Assembly, err = assembly.Read(c.Assembly.Dir); err != nil { // one of its own, to change
		return err
	}
	if err := r.change(c.Assembly.Template); err != nil {
		return err
	}
	c.OnEvent, c.OnNotification, c.OnLog = r.observe, r.receive, r.read
	c.Kill, c.Invoke, c.Endpoint = r.kill, r.invoke, r.endpoint
	c.RetryInterval = retryInterval
	c.Secrets, c.Environment = r.openMarket()
	if r.system, err = system.Start(ctx, c); err != nil {
		r.closeMarket()
		return err
	}
	if err := r.connect(); err != nil {
		r.system.Close()
		r.closeMarket()
		return err
	}
	return nil
}

func (r *run) connect() error {
	var err error
	if r.machine, err = decision.ParseMachine(r.system.StateMachineARN()); err != nil {
		return err
	}
	once := func(accessKey string) aws.Config {
		cfg := r.system.AWSConfig(accessKey)
		cfg.RetryMaxAttempts = 1
		return cfg
	}
	cfg := r.system.AWSConfig(system.Approver)
	r.desk, r.who = decision.NewClient(cfg), decision.Caller(cfg)
	r.approver = sfn.NewFromConfig(once(system.Approver))
	r.queue = sqs.NewFromConfig(once(operator))
	stack := r.system.Stack()
	for _, q := range stack.ByType("AWS::SQS::Queue") {
		r.queueURL = q.Ref
	}
	for _, role := range stack.ByType("AWS::IAM::Role") {
		if strings.Contains(role.ConstructPath, "/RequestHumanApproval") {
			r.function = sfn.NewFromConfig(once(role.Ref))
		}
	}
	if r.function == nil {
		return fmt.Errorf("the stack has no role of the function that serves the queue")
	}
	return nil
}

func (r *run) runAll(ctx context.Context, progress io.Writer) error {
	var ended atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	began, done := time.Now(), make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(10 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(progress, "%d of %d executions have ended, after %s\n", ended.Load(), len(r.executions), time.Since(began).Round(time.Second))
			case <-done:
				return
			}
		}
	}()
	for _, x := range r.executions {
		group.Go(func() error {
			if err := r.execute(ctx, x); err != nil {
				return fmt.Errorf("run execution %s: %w", x.name, err)
			}
			ended.Add(1)
			return nil
		})
	}
	return group.Wait()
}

// execute runs one execution to its end.
func (r *run) execute(ctx context.Context, x *execution) error {
	input := fmt.Sprintf(`{"symbol":%q,"qty":%d}`, x.symbol, x.qty())
	arn, err := r.system.Engine().StartExecution(x.name, []byte(input))
	if err != nil {
		return err
	}
	if err := r.await(ctx, x.waiting, x.ended); err != nil {
		return err
	}
	select {
	case <-x.waiting:
		r.answer(ctx, x, arn)
	default:
	}
	if err := r.await(ctx, x.ended, nil); err != nil {
		return err
	}
	if x.end, err = r.readEnd(x, arn); err != nil || !x.end.asked || x.group.control != nil {
		return err
	}
	// Five pollers serve the queue: executions that came faster than they can serve would have their requests expire there.
	select {
	case <-x.noticed:
	case <-time.After(patience):
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// await waits for either of two events.
func (r *run) await(ctx context.Context, event, other <-chan struct{}) error {
	select {
	case <-event:
	case <-other:
	case <-r.system.Engine().Done():
		return r.system.Engine().Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// drain waits until the queue is empty, and returns how many messages are left.
func (r *run) drain(ctx context.Context) (int, error) {
	const number = types.QueueAttributeNameApproximateNumberOfMessages // which goaws counts with those in flight
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		out, err := r.queue.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl:       aws.String(r.queueURL),
			AttributeNames: []types.QueueAttributeName{number},
		})
		if err != nil {
			return 0, fmt.Errorf("count the messages that are left: %w", err)
		}
		var left int
		if _, err := fmt.Sscan(out.Attributes[string(number)], &left); err != nil {
			return 0, fmt.Errorf("count the messages that are left: %w", err)
		}
		if left == 0 || time.Now().After(deadline) {
			return left, nil
		}
	}
}

// observe takes an event of a history.
func (r *run) observe(executionARN string, e states.HistoryEvent) {
	x := r.byName[nameOf(executionARN)]
	switch e.Type {
	case "ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted":
		close(x.ended)
	}
	if e.Details.Resource != waitResource {
		return
	}
	switch e.Type {
	case "TaskScheduled":
		x.mu.Lock()
		defer x.mu.Unlock()
		x.tokens = append(x.tokens, readRequest(e.Details.Parameters).TaskToken)
		x.deadline = e.Timestamp.Add(time.Duration(e.Details.TimeoutInSeconds) * time.Second)
	case "TaskSubmitted":
		closeOnce(x.waiting)
	case "TaskTimedOut":
		closeOnce(x.expired)
	}
}

// closeOnce closes a channel that one goroutine closes.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func nameOf(executionARN string) string { return executionARN[strings.LastIndex(executionARN, ":")+1:] }

// request is what the state machine sends to the queue.
type request struct{ TaskToken, Execution string }

// readRequest reads it from the parameters of its task.
func readRequest(parameters string) request {
	var p struct{ MessageBody request }
	_ = json.Unmarshal([]byte(parameters), &p) // what can't be read has no token
	return p.MessageBody
}

// receive takes what the topic delivers.
func (r *run) receive(n system.Notification) {
	x := r.byName[nameOf(n.Attributes["execution"])]
	if x == nil {
		r.strayNotices.Add(1)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if n.Attributes["type"] == "trade-report" {
		x.reports = append(x.reports, n.Message)
	} else {
		x.notices++
		closeOnce(x.noticed)
	}
}

// read takes what a function logs. The log alone tells of a trade whose function was killed before it could answer.
func (r *run) read(function string, line []byte) {
	if r.broker != nil || placeOf(function) != placeTrade || !bytes.Contains(line, []byte(`"traded"`)) {
		return
	}
	var entry struct {
		Message                      string
		ID, Side, Symbol, Price, Qty string
	}
	if json.Unmarshal(line, &entry) != nil || entry.Message != "traded" {
		return
	}
	x := r.bySymbol[entry.Symbol]
	x.mu.Lock()
	defer x.mu.Unlock()
	x.trades[trade{entry.ID, entry.Side, entry.Symbol, entry.Price, entry.Qty}]++
}
