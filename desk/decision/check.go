package decision

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/lambdas/trading"
	"stocktrading/stacks/config"
)

const (
	checkInput    = `{"symbol":"AMZN","qty":1}`
	checkPatience = 2 * time.Minute        // until the execution asks, and again until it ends
	checkInterval = 500 * time.Millisecond // between two looks at it
)

// harmless are the stakes of the deployments that a check may start an execution on: a
// person is asked, and no real money is traded should somebody approve.
var harmless = []string{
	config.Config{Approval: config.HumanApproval, Market: config.SimulatedMarket}.Stakes(),
	config.Config{Approval: config.HumanApproval, Market: config.AlpacaMarket, MarketMode: config.PaperMode}.Stakes(),
}

// Check tries out a deployment: it starts an execution, waits until that asks, declines it
// and looks at its history. It says for each step, in a sentence, whether it works. It starts nothing where the state machine doesn't say that a person approves
// and that no real money is traded.
//
// The caller needs the stack's ApproverPolicy, and states:StartExecution on the state
// machine, which approvers don't have. Only a caller with no other permissions learns
// that the policy is enough.
//
// An execution that was started is declined also when the check fails or is interrupted.
// The error is not nil unless all works; it says if the execution still waits.
func (d *Desk) Check(ctx context.Context, say func(ok bool, sentence string)) error {
	c := &check{
		Desk: d,
		say:  say,
		name: "desk-check-" + time.Now().UTC().Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:6]),
	}
	c.perform(ctx)
	switch {
	case !c.failed:
		return nil
	case !c.started:
		return errorf(nil, "the check failed, and nothing was started")
	}
	if err := c.withdraw(context.WithoutCancel(ctx)); err != nil {
		return errorf(nil, "the check failed, and %s may still wait, because it can't be declined (%v): decline it, stop it with \"aws stepfunctions stop-execution --execution-arn %s\", or let it expire",
			c.name, err, c.arn())
	}
	return errorf(nil, "the check failed; %s waits for nobody", c.name)
}

// check is a check that is being made.
type check struct {
	*Desk
	say     func(ok bool, sentence string)
	name    string // of the execution
	failed  bool
	started bool      // perhaps: a reply may be lost
	open    bool      // it may wait for a decision
	wait    Wait      // once it does
	x       Execution // once it has ended
}

func (c *check) arn() string { return c.machine.prefix + c.name }

// perform runs the check as far as it gets.
func (c *check) perform(ctx context.Context) {
	if !c.step(c.isHarmless(ctx)) || !c.step(c.start(ctx)) {
		return
	}
	if c.step(c.asks(ctx)) {
		c.step(c.isListed(ctx))
		c.step(c.decline(ctx))
	}
	if c.open {
		return
	}
	c.step(c.ends(ctx))
	if c.x.ARN == "" {
		return
	}
	c.step(c.outcome())
	c.step(c.messageID())
	c.step(c.tradesNothing())
}

// step says how a step went, and reports whether it succeeded.
func (c *check) step(sentence string, err error) bool {
	if err != nil {
		c.failed = true
		sentence = err.Error()
	}
	c.say(err == nil, sentence)
	return err == nil
}

func (c *check) isHarmless(ctx context.Context) (string, error) {
	text, err := c.Definition(ctx)
	if err != nil {
		return "", err
	}
	var definition struct{ Comment string }
	if err := json.Unmarshal([]byte(text), &definition); err != nil {
		return "", errorf(nil, "the state machine's definition can't be read, so whether a check is harmless is unknown")
	}
	comment := definition.Comment
	for _, stakes := range harmless {
		if strings.HasSuffix(comment, " "+stakes) {
			return "The state machine says: " + stakes, nil
		}
	}
	says := "the state machine's Comment doesn't say which those are; deploy a version of the stack that does"
	if i := strings.LastIndex(comment, "Approval: "); i >= 0 {
		says = "this state machine says: " + trading.OneLine(comment[i:], 80)
	}
	return "", errorf(nil, "a check is for deployments where a person approves and no real money is traded, and %s", says)
}

func (c *check) start(ctx context.Context) (string, error) {
	_, err := c.client.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String(c.machine.ARN), Name: aws.String(c.name), Input: aws.String(checkInput),
	})
	c.started = err == nil || !refused(err) && !unsent(err)
	c.open = c.started
	if err != nil {
		return "", explain(ctx, startExecution, c.machine.ARN, err)
	}
	return "Started " + c.name + ".", nil
}

// asks waits until the execution waits for a decision.
func (c *check) asks(ctx context.Context) (string, error) {
	for began := time.Now(); ; {
		w, err := c.Find(ctx, c.arn())
		switch {
		case errors.Is(err, ErrGone):
			c.open = false
			return "", err
		case errors.Is(err, ErrNotYet), errors.Is(err, ErrNoExecution): // a new one may not be seen at once
			if time.Since(began) >= checkPatience {
				return "", errorf(nil, "%s has not come to ask within %v", c.name, checkPatience)
			}
			pause(ctx, checkInterval) // the next call returns the error of an interruption
			continue
		case err != nil:
			return "", err
		case w.Problem != "":
			return "", errorf(nil, "%s asks, but %s", c.name, w.Problem)
		}
		c.wait = w
		return "It asks, and the history carries the request and the task token.", nil
	}
}

func (c *check) isListed(ctx context.Context) (string, error) {
	for _, lag := range lags { // a new execution may be missing from the list for a while
		if !pause(ctx, lag) {
			break
		}
		list, _, err := c.Executions(ctx, types.ExecutionStatusRunning, "")
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(list, func(x Execution) bool { return x.ARN == c.arn() }) {
			return "It is in the list of running executions.", nil
		}
	}
	return "", errorf(nil, "it is not in the list of running executions")
}

func (c *check) decline(ctx context.Context) (string, error) {
	record, err := c.Decide(ctx, c.wait, Decline, "a check of the deployment")
	c.open = err != nil && !errors.Is(err, ErrGone)
	if err != nil {
		return "", err
	}
	return "You may decide, and the token was taken. " + record.String(), nil
}

// ends waits until the execution has ended.
func (c *check) ends(ctx context.Context) (string, error) {
	for began := time.Now(); ; pause(ctx, checkInterval) {
		x, err := c.Open(ctx, c.arn())
		switch {
		case err != nil:
			return "", err
		case x.Status == types.ExecutionStatusSucceeded:
			c.x = x
			return "The execution succeeded.", nil
		case x.Status != types.ExecutionStatusRunning:
			c.x = x
			return "", errorf(nil, "the execution ended as %s %s: %s", x.Status, trading.OneLine(x.Error, 80), trading.OneLine(x.Cause, MaxReason))
		case time.Since(began) >= checkPatience:
			return "", errorf(nil, "the execution has not ended within %v", checkPatience)
		}
	}
}

// The states of the definition that the history is searched for.
const (
	reportState = "Report Result"
	buyState    = "Buy Stock"
	sellState   = "Sell Stock"
)

// report returns the events of the state that reports, beginning with its entry.
func (c *check) report() []Event {
	i := slices.IndexFunc(c.x.Events, func(e Event) bool { return e.State == reportState })
	if i < 0 {
		return nil
	}
	return c.x.Events[i:]
}

func (c *check) outcome() (string, error) {
	events := c.report()
	if len(events) == 0 {
		return "", errorf(nil, "nothing was reported: the history has no %s", reportState)
	}
	var report struct{ Outcome string }
	if err := json.Unmarshal([]byte(events[0].Input), &report); err != nil || report.Outcome != "declined" {
		return "", errorf(nil, "the report's outcome is %q and should be \"declined\"", trading.OneLine(report.Outcome, 40))
	}
	return "The report's outcome is declined.", nil
}

func (c *check) messageID() (string, error) {
	for _, e := range c.report() {
		var reply struct{ MessageId string }
		if e.Type == string(types.HistoryEventTypeTaskSucceeded) && json.Unmarshal([]byte(e.Output), &reply) == nil && reply.MessageId != "" {
			return "The topic took the report, and the history carries its message id: " + trading.OneLine(reply.MessageId, 80) + ".", nil
		}
	}
	return "", errorf(nil, "the history has no message id of a report: whether the topic took one is unknown")
}

func (c *check) tradesNothing() (string, error) {
	if slices.ContainsFunc(c.x.Events, func(e Event) bool { return e.State == buyState || e.State == sellState }) {
		return "", errorf(nil, "a trade was made: the execution passed %s or %s", buyState, sellState)
	}
	return "Nothing was traded.", nil
}

// withdraw declines the execution if it may still wait.
func (c *check) withdraw(ctx context.Context) error {
	if !c.open {
		return nil
	}
	_, err := c.asks(ctx)
	if err == nil {
		_, err = c.decline(ctx)
	}
	if !c.open { // whatever happened in between
		return nil
	}
	return err
}
