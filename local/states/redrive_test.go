package states

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"stocktrading/lambdas/trading"
)

// redriven performs the tasks of the project's state machine, with its simulated market, and
// remembers what it did.
type redriven struct {
	mu       sync.Mutex
	tasks    []string // states
	receipts []string // of trades
	reports  []string // messages
	tokens   chan string
	hang     chan struct{} // if not nil, a trade's reply is lost, and this is closed once it is made
	refuse   bool
	unsent   bool
}

func (r *redriven) run(ctx context.Context, task Task) (json.RawMessage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks = append(r.tasks, task.State)
	switch task.State {
	case "Check Stock Price":
		return json.RawMessage(`{"stock_price":30,"symbol":"AMZN","qty":3,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`), nil
	case "Generate Buy/Sell recommendation":
		return json.RawMessage(`"buy"`), nil
	case "Request Human Approval":
		r.tokens <- task.Token
		return json.RawMessage(`{}`), nil
	case "Buy Stock":
		if r.refuse {
			return nil, &Error{"OrderRefused", "the market is closed"}
		}
		var q trading.Quote
		if err := json.Unmarshal(task.Input, &q); err != nil {
			return nil, err
		}
		receipt, err := trading.Simulated{}.Trade(ctx, trading.Buy, q)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(receipt)
		r.receipts = append(r.receipts, string(text))
		if r.hang != nil {
			close(r.hang)
			<-ctx.Done()
		}
		return text, err
	}
	if !strings.HasPrefix(task.State, "Report ") {
		return json.RawMessage(`{}`), nil
	}
	if r.unsent {
		return nil, &Error{"SNS.AuthorizationErrorException", "not authorized"}
	}
	r.reports = append(r.reports, string(task.Input))
	return json.RawMessage(`{}`), nil
}

// A redrive goes on with the state that an execution ended in and with its input. It trades
// nothing a second time: a failure that was reported ends in a Fail state, which fails again,
// and a trade that was aborted is made again with the same receipt.
func TestRedrive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		redriven *redriven
		stopIn   string // the state in which it is aborted, if it is
		again    []string
		status   Status
	}{
		{"a trade that was refused", &redriven{refuse: true}, "", nil, StatusFailed},
		{"a report that was not sent", &redriven{unsent: true}, "", nil, StatusFailed},
		{"a trade whose reply was lost", &redriven{hang: make(chan struct{})}, "Buy Stock", []string{"Buy Stock", "Report Result"}, StatusSucceeded},
		{"a wait", &redriven{}, "Request Human Approval", []string{"Request Human Approval", "Buy Stock", "Report Result"}, StatusSucceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.redriven
			r.tokens = make(chan string, 1)
			definition := stockTrading(t, "3600")
			e := launch(t, definition, r.run, quickly)
			arn := begin(t, e, `{}`)
			token := <-r.tokens
			if test.stopIn != "Request Human Approval" {
				approve(t, e, token)
			}
			if r.hang != nil {
				<-r.hang
			}
			if test.stopIn != "" {
				must(e.StopExecution(&sfn.StopExecutionInput{ExecutionArn: &arn}))(t)
			}
			before := await(t, e, arn)
			state, input := ended(history(t, e, arn))
			if test.stopIn != "" && state != test.stopIn {
				t.Fatalf("it ended in %s", state)
			}

			r.mu.Lock()
			r.tasks, r.hang = nil, nil
			r.mu.Unlock()
			e = launch(t, startingAt(t, definition, state), r.run, quickly)
			arn = begin(t, e, input)
			if test.stopIn == "Request Human Approval" {
				approve(t, e, <-r.tokens)
			}
			after := await(t, e, arn)
			if after.Status != test.status || test.stopIn == "" && (after.Error != before.Error || after.Cause != before.Cause) {
				t.Errorf("it is %s with %q, %q; before it was %q, %q", after.Status, after.Error, after.Cause, before.Error, before.Cause)
			}
			equal(t, "tasks of the redrive", test.again, r.tasks)
			for _, receipt := range r.receipts {
				if receipt != r.receipts[0] {
					t.Errorf("two trades: %s and %s", r.receipts[0], receipt)
				}
			}
			if !r.unsent && len(r.reports) != 1 {
				t.Errorf("%d reports, want one: %s", len(r.reports), r.reports)
			}
		})
	}
}

func quickly(c *Config) { c.RetryInterval = time.Millisecond }

func approve(t *testing.T, e *Engine, token string) {
	t.Helper()
	ok(t, e.SendTaskSuccess(success(token, `{}`)))
}

// ended returns the state in which an execution ended, and its input.
func ended(events []HistoryEvent) (state, input string) {
	for _, e := range events {
		if strings.HasSuffix(e.Type, "StateEntered") {
			state, input = e.Details.Name, e.Details.Input
		}
	}
	return state, input
}

// startingAt is the definition from a state on. A Choice before it leads to the others as well, without which the
// interpreter would not take it.
func startingAt(t *testing.T, definition, state string) string {
	t.Helper()
	var d map[string]any
	ok(t, json.Unmarshal([]byte(definition), &d))
	d["States"].(map[string]any)["Redrive"] = map[string]any{
		"Type": "Choice", "Default": state,
		"Choices": []any{map[string]any{"Variable": "$.never", "IsPresent": true, "Next": d["StartAt"]}},
	}
	d["StartAt"] = "Redrive"
	text := must(json.Marshal(d))(t)
	return string(text)
}
