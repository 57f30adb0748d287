package decision_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/internal/sfntest"
)

// deployment is a state machine that does as the stack's does, unless a test changes it.
type deployment struct {
	*sfntest.Service
	interrupt context.CancelFunc

	execution *sfntest.Execution // the one that was started
	input     string             // of the request
	outcome   string             // that is reported
	reply     string             // of the topic
	passes    string             // a state on the way to the report
	end       string             // the last event
}

func newDeployment() *deployment {
	d := &deployment{
		Service: &sfntest.Service{Definition: `{"Comment":"Trades. Approval: human. Market: simulated."}`},
		input:   sell, outcome: "declined", reply: `{"MessageId":"b7c28148"}`, passes: "Trade Declined", end: "ExecutionSucceeded",
	}
	d.OnStart = func(call func() *sfntest.Execution) error {
		d.start(call)
		return nil
	}
	d.OnSend = func(_ context.Context, call func() error) error {
		if err := call(); err != nil {
			return err
		}
		d.report()
		return nil
	}
	return d
}

// start starts the execution, which asks within a second.
func (d *deployment) start(call func() *sfntest.Execution) {
	d.execution = call()
	time.AfterFunc(900*time.Millisecond, func() { d.execution.Ask(time.Now(), token, d.input) })
}

// report brings the execution to its end.
func (d *deployment) report() {
	entered := sfntest.Entered("Task", "Report Result")
	entered.StateEnteredEventDetails.Input = aws.String(`{"outcome":"` + d.outcome + `"}`)
	d.execution.Append(time.Now(),
		sfntest.Entered("Pass", d.passes), sfntest.Exited("Pass", d.passes),
		entered, sfntest.Scheduled("publish", `{}`), sfntest.Succeeded(d.reply), sfntest.Exited("Task", "Report Result"),
		sfntest.Event(d.end))
}

var executionName = regexp.MustCompile(`desk-check-[0-9]{8}T[0-9]{6}Z-[a-z0-9]{6}`)

func TestCheck(t *testing.T) {
	const (
		harmless = "✓ The state machine says: Approval: human. Market: simulated."
		started  = "✓ Started NAME."
		asks     = "✓ It asks, and the history carries the request and the task token."
		listed   = "✓ It is in the list of running executions."
		decided  = "✓ You may decide, and the token was taken. Declined by jo at 00:00 UTC: a check of the deployment. Nothing was traded."
		ended    = "✓ The execution succeeded."
		outcome  = "✓ The report's outcome is declined."
		message  = "✓ The topic took the report, and the history carries its message id: b7c28148."
		untraded = "✓ Nothing was traded."

		refused = "✗ a check is for deployments where a person approves and no real money is traded, and "
		nothing = "the check failed, and nothing was started"
		nobody  = "the check failed; NAME waits for nobody"
		waits   = "the check failed, and NAME may still wait, because it can't be declined ("
		stop    = `): decline it, stop it with "aws stepfunctions stop-execution --execution-arn ` + "arn:aws:states:eu-west-1:123456789012:execution:StockTrading:NAME" + `", or let it expire`
		policy  = ": ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it"
	)
	says := func(comment string) func(*deployment) {
		return func(d *deployment) { d.Definition = `{"Comment":"` + comment + `"}` }
	}
	for _, test := range []struct {
		name    string
		disturb func(*deployment)
		lines   []string
		error   string
	}{
		{"all works", nil, []string{harmless, started, asks, listed, decided, ended, outcome, message, untraded}, ""},
		{
			"paper", says("Trades. Approval: human. Market: paper."),
			[]string{"✓ The state machine says: Approval: human. Market: paper.", started, asks, listed, decided, ended, outcome, message, untraded},
			"",
		},

		{"automatic approval", says("Trades. Approval: automatic. Market: simulated."), []string{refused + "this state machine says: Approval: automatic. Market: simulated."}, nothing},
		{"live market", says("Trades. Approval: human. Market: live."), []string{refused + "this state machine says: Approval: human. Market: live."}, nothing},
		{"more after it", says("Approval: human. Market: simulated. Or not."), []string{refused + "this state machine says: Approval: human. Market: simulated. Or not."}, nothing},
		{"nothing said", says("Trades."), []string{refused + "the state machine's Comment doesn't say which those are; deploy a version of the stack that does"}, nothing},
		{"no definition", func(d *deployment) { d.Definition = "" }, []string{"✗ the state machine's definition can't be read, so whether a check is harmless is unknown"}, nothing},

		{
			"may not start", func(d *deployment) {
				d.OnStart = func(func() *sfntest.Execution) error { return sfntest.Error("AccessDeniedException") }
			},
			[]string{harmless, "✗ you may not call states:StartExecution on " + sfntest.Machine + ", which the stack's ApproverPolicy does not allow: let somebody run this who has that permission beside the policy"},
			nothing,
		},
		{
			"the start's reply is lost", func(d *deployment) {
				d.OnStart = func(call func() *sfntest.Execution) error {
					d.start(call)
					return fault{}
				}
			},
			[]string{harmless, "✗ states:StartExecution failed:  (InternalServerError)"},
			nobody,
		},
		{
			"never asks", func(d *deployment) {
				d.OnStart = func(call func() *sfntest.Execution) error { call(); return nil }
			},
			[]string{harmless, started, "✗ NAME has not come to ask within 2m0s"},
			waits + "NAME has not come to ask within 2m0s" + stop,
		},
		{
			"asks late", func(d *deployment) {
				d.OnStart = func(call func() *sfntest.Execution) error {
					d.execution = call()
					time.AfterFunc(3*time.Minute, func() { d.execution.Ask(time.Now(), token, sell) })
					return nil
				}
			},
			[]string{harmless, started, "✗ NAME has not come to ask within 2m0s"},
			nobody,
		},
		{
			"fails before it asks", func(d *deployment) {
				d.OnStart = func(call func() *sfntest.Execution) error {
					x := call().Append(time.Now(), sfntest.Event("ExecutionFailed"))
					x.Error, x.Cause = "InvalidRequest", "no such stock"
					return nil
				}
			},
			[]string{
				harmless, started, "✗ NAME asked nobody and is over (ExecutionFailed at 2000-01-01T00:00:00Z): there is nothing to decide",
				"✗ the execution ended as FAILED InvalidRequest: no such stock", "✗ nothing was reported: the history has no Report Result",
				"✗ the history has no message id of a report: whether the topic took one is unknown", untraded,
			},
			nobody,
		},
		{
			"no token in the history", func(d *deployment) {
				d.OnStart = func(call func() *sfntest.Execution) error {
					d.execution = call().Ask(time.Now(), "", sell)
					return nil
				}
			},
			[]string{harmless, started, "✗ NAME asks, but the request can't be read: TaskToken is missing or no text"},
			waits + "NAME asks, but the request can't be read: TaskToken is missing or no text" + stop,
		},
		{
			"may not read the history", func(d *deployment) {
				d.OnHistory = func(context.Context, string, func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
					return nil, sfntest.Error("AccessDeniedException")
				}
			},
			[]string{harmless, started, "✗ you may not call states:GetExecutionHistory on ARN" + policy},
			waits + "you may not call states:GetExecutionHistory on ARN" + policy + stop,
		},
		{
			"may not list", func(d *deployment) {
				d.OnList = func(context.Context, func() (*sfn.ListExecutionsOutput, error)) (*sfn.ListExecutionsOutput, error) {
					return nil, sfntest.Error("AccessDeniedException")
				}
			},
			[]string{harmless, started, asks, "✗ you may not call states:ListExecutions on " + sfntest.Machine + policy, decided, ended, outcome, message, untraded},
			nobody,
		},
		{
			"not in the list", func(d *deployment) {
				d.OnList = func(context.Context, func() (*sfn.ListExecutionsOutput, error)) (*sfn.ListExecutionsOutput, error) {
					return &sfn.ListExecutionsOutput{}, nil
				}
			},
			[]string{harmless, started, asks, "✗ it is not in the list of running executions", strings.Replace(decided, "00:00:01", "00:00:05", 1), ended, outcome, message, untraded},
			nobody,
		},
		{
			"may not decide", func(d *deployment) {
				d.OnSend = func(context.Context, func() error) error { return sfntest.Error("AccessDeniedException") }
			},
			[]string{harmless, started, asks, listed, "✗ you may not call states:SendTaskFailure on " + sfntest.Machine + policy},
			waits + "you may not call states:SendTaskFailure on " + sfntest.Machine + policy + stop,
		},
		{
			"somebody else approves first", func(d *deployment) {
				d.passes, d.outcome = "Buy Stock", "traded"
				d.OnSend = func(context.Context, func() error) error {
					d.execution.Append(time.Now(), sfntest.Succeeded(`{"decision":"approve","decided_by":"jo"}`), sfntest.Exited("Task", "Request Human Approval"))
					d.report()
					return &types.TaskTimedOut{}
				}
			},
			[]string{
				harmless, started, asks, listed, "✗ too late, the answer did not count for NAME: approved by jo at 00:00 UTC; it went on with Buy Stock",
				ended, `✗ the report's outcome is "traded" and should be "declined"`, message, "✗ a trade was made: the execution passed Buy Stock or Sell Stock",
			},
			nobody,
		},
		{
			"somebody sells instead", func(d *deployment) {
				d.passes, d.outcome = "Sell Stock", "traded"
				d.OnStart = func(call func() *sfntest.Execution) error {
					d.execution = call().Ask(time.Now(), token, sell).Append(time.Now(), sfntest.Failed("SellInstead", "jo"))
					d.report()
					return nil
				}
			},
			[]string{
				harmless, started, "✗ too late, nothing was sent for NAME: changed to sell at 00:00 UTC: jo; it went on with Sell Stock",
				ended, `✗ the report's outcome is "traded" and should be "declined"`, message, "✗ a trade was made: the execution passed Buy Stock or Sell Stock",
			},
			nobody,
		},
		{
			"expires at once", func(d *deployment) {
				d.outcome = "expired"
				d.OnStart = func(call func() *sfntest.Execution) error {
					d.execution = call().Ask(time.Now(), token, sell).Append(time.Now(), sfntest.Event("TaskTimedOut"))
					d.report()
					return nil
				}
			},
			[]string{
				harmless, started, "✗ too late, nothing was sent for NAME: expired at 00:00 UTC; nothing was traded",
				ended, `✗ the report's outcome is "expired" and should be "declined"`, message, untraded,
			},
			nobody,
		},
		{
			"no message id", func(d *deployment) { d.reply = `{}` },
			[]string{harmless, started, asks, listed, decided, ended, outcome, "✗ the history has no message id of a report: whether the topic took one is unknown", untraded},
			nobody,
		},
		{
			"fails after the decision", func(d *deployment) {
				d.end = "ExecutionFailed"
				d.OnStart = func(call func() *sfntest.Execution) error {
					d.start(call)
					d.execution.Error, d.execution.Cause = "InvalidRequest", "no such stock"
					return nil
				}
			},
			[]string{harmless, started, asks, listed, decided, "✗ the execution ended as FAILED InvalidRequest: no such stock", outcome, message, untraded},
			nobody,
		},
		{
			"never ends", func(d *deployment) { d.end = "TaskStateExited" },
			[]string{harmless, started, asks, listed, decided, "✗ the execution has not ended within 2m0s"},
			nobody,
		},
		{
			"interrupted before it asks", func(d *deployment) {
				d.OnStart = func(call func() *sfntest.Execution) error {
					d.start(call)
					d.interrupt()
					return nil
				}
			},
			[]string{harmless, started, "✗ interrupted"},
			nobody,
		},
		{
			"interrupted when it asks", func(d *deployment) {
				d.OnList = func(context.Context, func() (*sfn.ListExecutionsOutput, error)) (*sfn.ListExecutionsOutput, error) {
					d.interrupt()
					return nil, context.Canceled
				}
			},
			[]string{harmless, started, asks, "✗ interrupted", "✗ interrupted"},
			nobody,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				d := newDeployment()
				d.interrupt = cancel
				if test.disturb != nil {
					test.disturb(d)
				}
				var lines []string
				err := newDesk(t, d.Service).Check(ctx, func(ok bool, sentence string) {
					mark := "✗ "
					if ok {
						mark = "✓ "
					}
					lines = append(lines, mark+sentence)
				})
				text := strings.Join(lines, "\n")
				if err != nil {
					text += "\n" + err.Error()
				}
				noToken(t, text)
				want := strings.Join(test.lines, "\n")
				if test.error != "" {
					want += "\n" + test.error
				}
				want = strings.ReplaceAll(want, "ARN"+policy, sfntest.Arn("NAME")+policy)
				if diff := cmp.Diff(want, executionName.ReplaceAllString(text, "NAME")); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if sent := d.Calls("SendTaskSuccess"); len(sent) > 0 {
					t.Errorf("approved: %q", sent)
				}
				if starts := len(d.Calls("StartExecution")); (starts > 0) != (len(test.lines) > 1) || starts > 1 {
					t.Errorf("%d starts", starts)
				}
			})
		})
	}
}
