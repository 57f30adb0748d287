package states

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const quote = `{"stock_price":30,"symbol":"AMZN","qty":3,"quote_id":"q-1","quoted_at":"2026-01-02T03:04:05Z"}`

// stockTrading is the project's own definition with its placeholders replaced.
func stockTrading(t *testing.T, approvalTimeout string) string {
	return strings.NewReplacer(
		`"${ExecutionTimeoutSeconds}"`, "3600",
		`"${ApprovalTimeoutSeconds}"`, approvalTimeout,
		"${CheckStockPrice}", function+"CheckStockPrice",
		"${GenerateBuySellRecommendation}", function+"GenerateBuySellRecommendation",
		"${BuyStock}", function+"BuyStock",
		"${SellStock}", function+"SellStock",
		"${RequestHumanApprovalQueue}", "https://sqs.eu-west-1.amazonaws.com/123456789012/Approvals",
		"${ReportResultTopic}", "arn:aws:sns:eu-west-1:123456789012:Reports",
	).Replace(readFile(t))
}

// market performs the tasks of the project's state machine.
type market struct {
	mu       sync.Mutex
	fail     map[string][]error // by state, one for each attempt
	attempts map[string]int
	tokens   chan string
	reports  []string // messages published
}

func (m *market) run(_ context.Context, task Task) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts[task.State]++
	if errs := m.fail[task.State]; len(errs) > 0 {
		m.fail[task.State] = errs[1:]
		if errs[0] != nil {
			return nil, errs[0]
		}
	}
	switch task.State {
	case "Check Stock Price":
		return json.RawMessage(quote), nil
	case "Generate Buy/Sell recommendation":
		return json.RawMessage(`"buy"`), nil
	case "Request Human Approval":
		m.tokens <- task.Token
		return json.RawMessage(`{"MessageId":"1"}`), nil
	case "Report Result", "Report Failure":
		m.reports = append(m.reports, string(task.Input))
		return json.RawMessage(`{"MessageId":"2"}`), nil
	}
	return json.RawMessage(`{"id":"r-1","outcome":"traded","type":"` + task.State + `"}`), nil
}

func TestStockTrading(t *testing.T) {
	t.Parallel()
	approve := func(e *Engine, token string) error {
		return e.SendTaskSuccess(SendTaskSuccessInput{TaskToken: token, Output: ptr(`{"decidedBy":"me"}`)})
	}
	decide := func(name, cause string) func(*Engine, string) error {
		return func(e *Engine, token string) error {
			return e.SendTaskFailure(SendTaskFailureInput{TaskToken: token, Error: name, Cause: cause})
		}
	}
	quoted := []string{"Check Stock Price", "Generate Buy/Sell recommendation", "Request Human Approval"}
	passing := &Error{"Lambda.ServiceException", "again"}
	tests := []struct {
		name     string
		input    string
		timeout  string
		fail     map[string][]error
		decide   func(*Engine, string) error
		path     []string
		error    string
		outcome  string
		attempts map[string]int
	}{
		{
			name: "approved", decide: approve, outcome: "traded",
			path: append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Report Result"),
		},
		{
			name: "the other side", decide: decide("SellInstead", ""), outcome: "traded",
			path: append(quoted[:3:3], "Sell Stock", "Report Result"),
		},
		{
			name: "the same side by name", decide: decide("BuyInstead", ""), outcome: "traded",
			path: append(quoted[:3:3], "Buy Stock", "Report Result"),
		},
		{
			name: "declined", decide: decide("TradeDeclined", `too "dear"`), outcome: "declined",
			path: append(quoted[:3:3], "Trade Declined", "Report Result"),
		},
		{
			name: "expired", timeout: "1", outcome: "expired",
			path: append(quoted[:3:3], "Approval Expired", "Report Result"),
		},
		{
			name: "a function fails twice and succeeds", decide: approve, outcome: "traded",
			fail:     map[string][]error{"Buy Stock": {passing, passing}},
			path:     append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Report Result"),
			attempts: map[string]int{"Buy Stock": 3},
		},
		{
			name: "a trade is rejected", decide: approve, outcome: "failed", error: "InvalidRequest",
			fail:     map[string][]error{"Buy Stock": {&Error{"InvalidRequest", "market closed"}}},
			path:     append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Buy Rejected", "Report Failure", "Trade Failed"),
			attempts: map[string]int{"Buy Stock": 1},
		},
		{
			name: "a trade fails", decide: decide("SellInstead", ""), outcome: "failed", error: "Broken",
			fail: map[string][]error{"Sell Stock": {&Error{"Broken", ""}}},
			path: append(quoted[:3:3], "Sell Stock", "Sell Failed", "Report Failure", "Trade Failed"),
		},
		{
			name: "no quote for an input that is no object", input: `["AMZN"]`, outcome: "failed", error: "InvalidInput",
			fail: map[string][]error{"Check Stock Price": {&Error{"InvalidInput", "want an object"}}},
			path: []string{"Check Stock Price", "Quote Failed", "Report Failure", "Trade Failed"},
		},
		{
			name: "no report", decide: approve, error: "ReportNotSent", outcome: "",
			fail: map[string][]error{"Report Result": {
				&Error{"SNS.NotFoundException", ""}, &Error{"SNS.NotFoundException", ""},
				&Error{"SNS.NotFoundException", ""}, &Error{"SNS.NotFoundException", "gone"},
			}},
			path:     append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Report Result", "Report Not Sent", "Report Failed"),
			attempts: map[string]int{"Report Result": 4},
		},
	}
	// The executions share an engine for each approval timeout, as they do in the local run.
	engines := map[string]*Engine{}
	var routes sync.Map // a market for each execution's input
	for _, timeout := range []string{"3600", "1"} {
		engines[timeout] = launch(t, stockTrading(t, timeout), func(ctx context.Context, task Task) (json.RawMessage, error) {
			m, _ := routes.Load(task.ExecutionARN[strings.LastIndex(task.ExecutionARN, ":")+1:])
			return m.(*market).run(ctx, task)
		})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &market{fail: test.fail, attempts: map[string]int{}, tokens: make(chan string, 4)}
			name := strings.ReplaceAll(test.name, " ", "-")
			routes.Store(name, m)
			e := engines["3600"]
			if test.timeout != "" {
				e = engines[test.timeout]
			}
			if test.input == "" {
				test.input = `{}`
			}
			arn, err := e.StartExecution(name, []byte(test.input))
			if err != nil {
				t.Fatal(err)
			}
			if test.decide != nil {
				if err := test.decide(e, <-m.tokens); err != nil {
					t.Fatal(err)
				}
			}
			x := await(t, e, arn)

			want := StatusSucceeded
			if test.error != "" {
				want = StatusFailed
			}
			if x.Status != want || x.Error != test.error {
				t.Errorf("got %s with error %q (%s), want %s with %q", x.Status, x.Error, x.Cause, want, test.error)
			}
			if diff := cmp.Diff(test.path, path(history(t, e, arn))); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			var report struct {
				Subject string
				Message struct{ Input struct{ Outcome string } }
			}
			if len(m.reports) > 0 {
				if err := json.Unmarshal([]byte(m.reports[0]), &report); err != nil {
					t.Fatal(err)
				}
			}
			if got := report.Message.Input.Outcome; len(m.reports) > 1 || got != test.outcome {
				t.Errorf("reports %s, want one of %q", m.reports, test.outcome)
			}
			if test.outcome != "" && report.Subject != "Stock trade: "+test.outcome {
				t.Errorf("subject %q", report.Subject)
			}
			for state, want := range test.attempts {
				if got := m.attempts[state]; got != want {
					t.Errorf("%d attempts of %s, want %d", got, state, want)
				}
			}
		})
	}
}
