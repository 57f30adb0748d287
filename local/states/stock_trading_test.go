package states

import (
	"cmp"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const quote = `{"stock_price":30,"symbol":"AMZN","qty":3,"quote_id":"q-1","quoted_at":"2026-01-02T03:04:05Z"}`

var placeholder = regexp.MustCompile(`\$\{(\w+)\}`)

// stockTrading is the project's own definition with its placeholders replaced: each that is
// not listed is a function's.
func stockTrading(t *testing.T, approvalTimeout string) string {
	return placeholder.ReplaceAllString(strings.NewReplacer(
		`"${ExecutionTimeoutSeconds}"`, "3600",
		`"${ApprovalTimeoutSeconds}"`, approvalTimeout,
		"${RequestHumanApprovalQueue}", "https://sqs.eu-west-1.amazonaws.com/123456789012/Approvals",
		"${ReportResultTopic}", "arn:aws:sns:eu-west-1:123456789012:Reports",
	).Replace(readFile(t)), function+"$1")
}

// market performs the tasks of the project's state machine.
type market struct {
	mu        sync.Mutex
	recommend string             // JSON
	fail      map[string][]error // by state, one for each attempt
	attempts  map[string]int
	tokens    chan string
	reports   []string // messages published
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
		return json.RawMessage(cmp.Or(m.recommend, `"buy"`)), nil
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
	approve := func(e *Engine, token string) error { return e.SendTaskSuccess(success(token, `{"decidedBy":"me"}`)) }
	decide := func(name, cause string) func(*Engine, string) error {
		return func(e *Engine, token string) error { return e.SendTaskFailure(failure(token, name, cause)) }
	}
	quoted := []string{"Check Stock Price", "Generate Buy/Sell recommendation", "Request Human Approval"}
	passing, broken := &Error{"Lambda.ServiceException", "again"}, &Error{"Broken", ""}
	tests := []struct {
		name      string
		input     string
		recommend string // JSON; "buy" if empty
		timeout   string
		fail      map[string][]error
		decide    func(*Engine, string) error
		asked     int // how often; once if 0
		path      []string
		error     string
		cause     string
		outcome   string
		attempts  map[string]int
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
			name: "an answer without a name", decide: decide("", ""), asked: 4, outcome: "failed", error: "TradeFailed",
			cause: "Request Human Approval failed. Trade placed: no. Id: q-1. Error: null. Cause: null",
			path:  append(quoted[:3:3], "Describe Failure", "Report Failure", "Trade Failed"),
		},
		{
			name: "a function fails twice and succeeds", decide: approve, outcome: "traded",
			fail:     map[string][]error{"Buy Stock": {passing, passing}},
			path:     append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Report Result"),
			attempts: map[string]int{"Buy Stock": 3},
		},
		{
			name: "a trade is rejected", decide: approve, outcome: "failed", error: "TradeFailed",
			cause:    "Buy Stock failed. Trade placed: no. Id: q-1. Error: InvalidRequest. Cause: market closed",
			fail:     map[string][]error{"Buy Stock": {&Error{"InvalidRequest", "market closed"}}},
			path:     append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Describe Failure", "Report Failure", "Trade Failed"),
			attempts: map[string]int{"Buy Stock": 1},
		},
		{
			name: "a trade fails", decide: decide("SellInstead", ""), outcome: "failed", error: "TradeFailed",
			cause:    "Sell Stock failed. Trade placed: unknown. Id: q-1. Error: Broken. Cause: null",
			fail:     map[string][]error{"Sell Stock": {broken, broken, broken, broken}},
			path:     append(quoted[:3:3], "Sell Stock", "Describe Failure", "Report Failure", "Trade Failed"),
			attempts: map[string]int{"Sell Stock": 4},
		},
		{
			name: "no quote for an input that is not an object", input: `["AMZN"]`, outcome: "failed", error: "TradeFailed",
			cause:    "Check Stock Price failed. Trade placed: no. Id: no-quote-for-an-input-that-is-not-an-object. Error: InvalidRequest. Cause: want an object",
			fail:     map[string][]error{"Check Stock Price": {&Error{"InvalidRequest", "want an object"}}},
			path:     []string{"Check Stock Price", "Quote Failed", "Report Failure", "Trade Failed"},
			attempts: map[string]int{"Check Stock Price": 1},
		},
		{
			name: "no recommendation", outcome: "failed", error: "TradeFailed",
			cause: "Generate Buy/Sell recommendation failed. Trade placed: no. Id: q-1. Error: InvalidRequest. Cause: no quote",
			fail:  map[string][]error{"Generate Buy/Sell recommendation": {&Error{"InvalidRequest", "no quote"}}},
			path:  append(quoted[:2:2], "Describe Failure", "Report Failure", "Trade Failed"),
		},
		{
			name: "a recommendation that is neither", recommend: `"hold"`, decide: approve, outcome: "failed", error: "TradeFailed",
			cause: `Buy or Sell? failed. Trade placed: no. Id: q-1. Error: UnknownRecommendation. Cause: recommended_type is "hold", want "buy" or "sell"`,
			path:  append(quoted[:3:3], "Buy or Sell?", "Recommendation Unknown", "Report Failure", "Trade Failed"),
		},
		{
			name: "throttled for minutes", decide: approve, outcome: "traded",
			fail:     map[string][]error{"Buy Stock": slices.Repeat([]error{&Error{"Lambda.TooManyRequestsException", "Rate Exceeded."}}, 20)},
			path:     append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Report Result"),
			attempts: map[string]int{"Buy Stock": 21},
		},
		{
			name: "no report", decide: approve, error: "ReportNotSent", outcome: "",
			fail: map[string][]error{"Report Result": {
				&Error{"SNS.NotFoundException", ""}, &Error{"SNS.NotFoundException", ""},
				&Error{"SNS.NotFoundException", ""}, &Error{"SNS.NotFoundException", "gone"},
			}},
			cause:    `The report could not be published. Outcome: traded. Id: r-1. Error: SNS.NotFoundException. Report: {"id":"r-1","outcome":"traded","type":"Buy Stock","report_failure":{"Error":"SNS.NotFoundException","Cause":"gone"}}`,
			path:     append(quoted[:3:3], "Buy or Sell?", "Buy Stock", "Report Result", "Report Not Sent"),
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
		}, quickly)
	}
	expected := map[string]bool{} // all states that a test names: another one was added, as a recipe of docs/make-it-yours.md does
	for _, test := range tests {
		for _, state := range test.path {
			expected[state] = true
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &market{recommend: test.recommend, fail: test.fail, attempts: map[string]int{}, tokens: make(chan string, 4)}
			name := strings.ReplaceAll(test.name, " ", "-")
			routes.Store(name, m)
			e := engines["3600"]
			if test.timeout != "" {
				e = engines[test.timeout]
			}
			if test.input == "" {
				test.input = `{}`
			}
			arn := must(e.StartExecution(name, []byte(test.input)))(t)
			for range max(test.asked, 1) {
				if test.decide == nil {
					break
				}
				ok(t, test.decide(e, <-m.tokens))
			}
			x := await(t, e, arn)

			want := StatusSucceeded
			if test.error != "" {
				want = StatusFailed
			}
			if x.Status != want || x.Error != test.error || x.Cause != test.cause {
				t.Errorf("got %s with error %q and cause %q, want %s with %q and %q", x.Status, x.Error, x.Cause, want, test.error, test.cause)
			}
			equal(t, "states", test.path, slices.DeleteFunc(path(history(t, e, arn)), func(state string) bool { return !expected[state] }))
			var report struct {
				Subject string
				Message struct{ Input struct{ Outcome string } }
			}
			if len(m.reports) > 0 {
				ok(t, json.Unmarshal([]byte(m.reports[0]), &report))
			}
			if got := report.Message.Input.Outcome; len(m.reports) > 1 || got != test.outcome {
				t.Errorf("reports %s, want one of %q", m.reports, test.outcome)
			}
			if test.outcome != "" && !strings.HasPrefix(report.Subject, "Stock trade: "+test.outcome) {
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
