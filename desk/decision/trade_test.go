package decision_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
)

// entered is the event of a state that was entered with an input.
func entered(name, input string) types.HistoryEvent {
	e := sfntest.Entered("Task", name)
	e.StateEnteredEventDetails.Input = aws.String(input)
	return e
}

// failed is the event of an execution that failed.
func failed(name, cause string) types.HistoryEvent {
	e := sfntest.Event("ExecutionFailed")
	e.ExecutionFailedEventDetails = &types.ExecutionFailedEventDetails{Error: aws.String(name), Cause: aws.String(cause)}
	return e
}

// What the real interpreter hardly ever produces.
func TestTrade(t *testing.T) {
	approved := sfntest.Succeeded(`{"decision":"approve","decided_by":"` + me + `"}`)
	by := "Approved by jo at 2026-01-02 12:01 UTC."
	for _, test := range []struct {
		name   string
		events []types.HistoryEvent // after the request
		want   string
	}{
		{"trades", []types.HistoryEvent{approved, entered("Sell Stock", "{}")}, "running, unknown: " + by + " It still runs."},
		{"has traded", []types.HistoryEvent{approved, entered("Sell Stock", "{}"), sfntest.Event("LambdaFunctionSucceeded")}, "running, yes: " + by + " It still runs."},
		{"stopped while it waits", []types.HistoryEvent{sfntest.Event("TaskStateAborted"), sfntest.Event("ExecutionAborted")}, "failed, no: Stopped with the execution at 2026-01-02 12:01 UTC. The execution was stopped. Nothing was traded."},
		{"stopped while it trades", []types.HistoryEvent{approved, entered("Sell Stock", "{}"), sfntest.Event("ExecutionAborted")}, "failed, unknown: " + by + " The execution was stopped. Whether anything was traded is unknown: look at the broker's orders."},
		{"out of time", []types.HistoryEvent{sfntest.Event("ExecutionTimedOut")}, "failed, no: Ended by the execution's own timeout at 2026-01-02 12:01 UTC. The execution's own time ran out. Nothing was traded."},
		{"expired", []types.HistoryEvent{sfntest.Event("TaskTimedOut"), entered("Report Result", `{"outcome":"expired"}`), sfntest.Event("ExecutionSucceeded")}, "expired, no: Expired at 2026-01-02 12:01 UTC. Nothing was traded."},
		{
			"not reported", []types.HistoryEvent{
				approved, entered("Sell Stock", "{}"), sfntest.Event("LambdaFunctionSucceeded"), entered("Report Result", `{"outcome":"traded"}`),
				entered("Report Not Sent", `{"outcome":"traded","report_failure":{"Error":"SNS.NotFound","Cause":"no such topic"}}`), failed("ReportNotSent", "all of it"),
			}, "failed, yes: " + by + " The report could not be published: no such topic (SNS.NotFound). It was traded.",
		},
		{
			"failed and not reported", []types.HistoryEvent{
				approved, entered("Report Not Sent", `{"outcome":"failed","trade_placed":"unknown","failed_state":"Sell Stock","failure":{"Error":"OrderUnknown","Cause":"none given"},"report_failure":{"Error":"SNS.NotFound"}}`), failed("ReportNotSent", ""),
			}, "failed, unknown: " + by + " Sell Stock failed: none given (OrderUnknown); then the report could not be published: SNS.NotFound. Whether anything was traded is unknown: look at the broker's orders.",
		},
		{"an error of the definition", []types.HistoryEvent{failed("States.Runtime", "no $.qty in "+token)}, "failed, no: Left by the execution at 2026-01-02 12:01 UTC. The execution failed: no $.qty in [hidden] (States.Runtime). Nothing was traded."},
		{"an end without a report", []types.HistoryEvent{sfntest.Event("ExecutionSucceeded")}, "failed, no: Left by the execution at 2026-01-02 12:01 UTC. The execution ended without a report. Nothing was traded."},
		{"a report of something else", []types.HistoryEvent{entered("Report Result", `{"outcome":"won","trade_placed":"maybe"}`), sfntest.Event("ExecutionSucceeded")}, "failed, unknown: Left by the execution at 2026-01-02 12:01 UTC. The execution ended without a report. Whether anything was traded is unknown: look at the broker's orders."},
		{"redriven", []types.HistoryEvent{failed("States.Runtime", ""), sfntest.Event("ExecutionRedriven")}, "running, no: Left by the execution at 2026-01-02 12:01 UTC. It still runs."},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sfntest.Service{}
			s.Start("order-1", noon).Ask(noon, token, sell).Append(noon.Add(time.Minute), test.events...)
			trades, _, err := newDesk(t, s).Trades(t.Context(), decision.Filter{}, "")
			if err != nil || len(trades) != 1 {
				t.Fatalf("%d trades, error %v", len(trades), err)
			}
			trade := trades[0]
			if diff := cmp.Diff(test.want, fmt.Sprintf("%s, %s: %s", trade.Outcome, trade.Placed, trade)); diff != "" {
				t.Errorf("trade (-want +got):\n%s", diff)
			}
			noToken(t, fmt.Sprintf("%+v", trade))
		})
	}
}

func TestTradeJSON(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon.Add(-time.Minute)).Ask(noon, token, sell).Append(noon.Add(time.Minute), sfntest.Failed("TradeDeclined", "zu teuer ☂ (decided by "+me+")"), entered("Report Result", `{"outcome":"declined"}`), sfntest.Event("ExecutionSucceeded"))
	s.Start("order-2", noon)
	trades, _, err := newDesk(t, s).Trades(t.Context(), decision.Filter{}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"execution":"` + sfntest.Arn("order-2") + `","started":"2026-01-02T12:00:00Z","ended":null,"market":null,"symbol":null,"qty":null,"price":null,"total":null,"recommendation":null,"side":null,"asked":null,"decided":null,"took_seconds":null,"decision":null,"decided_by":null,"reason":null,"outcome":"running","trade_placed":"no","failure":null},` +
		`{"execution":"` + sfntest.Arn("order-1") + `","started":"2026-01-02T11:59:00Z","ended":"2026-01-02T12:01:00Z","market":"simulated","symbol":"AMZN","qty":5,"price":62,"total":310,"recommendation":"sell","side":null,"asked":"2026-01-02T12:00:00Z","decided":"2026-01-02T12:01:00Z","took_seconds":60,"decision":"declined","decided_by":"` + me + `","reason":"zu teuer \u2602","outcome":"declined","trade_placed":"no","failure":null}]`
	got, err := json.Marshal(trades)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

// Pages hold what the filter chooses, and what is over is read once.
func TestTrades(t *testing.T) {
	s := &sfntest.Service{}
	for i := range 60 {
		at := noon.Add(time.Duration(i) * time.Minute)
		x := s.Start(fmt.Sprintf("order-%02d", i), at).Ask(at, token, sell)
		if i < 59 {
			x.Append(at, sfntest.Failed("TradeDeclined", fmt.Sprintf("no (decided by arn:aws:iam::123456789012:user/%s)", []string{"Ana", "jo"}[i%2])),
				entered("Report Result", `{"outcome":"declined"}`), sfntest.Event("ExecutionSucceeded"))
		}
	}
	desk := newDesk(t, s)
	read := func(f decision.Filter) (names []string, pages int) {
		for page := ""; ; {
			trades, next, err := desk.Trades(t.Context(), f, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, trade := range trades {
				names = append(names, strings.TrimPrefix(trade.Name(), "order-"))
			}
			pages++
			if page = next; page == "" {
				return names, pages
			}
		}
	}
	for _, test := range []struct {
		name         string
		filter       decision.Filter
		count, pages int
		first, last  string
		histories    int // calls of GetExecutionHistory
	}{
		{"all", decision.Filter{}, 60, 3, "59", "00", 60},
		{"all again", decision.Filter{}, 60, 3, "59", "00", 1},
		{"since", decision.Filter{Since: noon.Add(40 * time.Minute)}, 20, 1, "59", "40", 1},
		{"before", decision.Filter{Before: noon.Add(20 * time.Minute)}, 20, 3, "19", "00", 0},
		{"a person", decision.Filter{By: "ANA"}, 30, 3, "58", "00", 1},
		{"a person by ARN", decision.Filter{By: "arn:aws:iam::123456789012:user/jo"}, 29, 3, "57", "01", 1},
		{"a status", decision.Filter{Status: types.ExecutionStatusRunning}, 1, 1, "59", "59", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.Calls("GetExecutionHistory"))
			names, pages := read(test.filter)
			if len(names) != test.count || pages != test.pages || names[0] != test.first || names[len(names)-1] != test.last {
				t.Errorf("%d pages of %d: %v", pages, len(names), names)
			}
			if n := len(s.Calls("GetExecutionHistory")) - before; n != test.histories {
				t.Errorf("%d histories were read, want %d", n, test.histories)
			}
		})
	}
}

// A redrive makes an execution that was over go on.
func TestTradeAfterARedrive(t *testing.T) {
	s := &sfntest.Service{}
	x := s.Start("order-1", noon).Ask(noon, token, sell).Append(noon, sfntest.Succeeded("{}"), entered("Sell Stock", "{}"), failed("States.Runtime", ""))
	desk := newDesk(t, s)
	outcome := func() string {
		t.Helper()
		trades, _, err := desk.Trades(t.Context(), decision.Filter{}, "")
		if err != nil || len(trades) != 1 {
			t.Fatalf("%d trades, error %v", len(trades), err)
		}
		return fmt.Sprint(trades[0].Outcome, " ", trades[0].Placed)
	}
	if got := outcome(); got != "failed unknown" {
		t.Errorf("before: %s", got)
	}
	x.Redrives++
	x.Append(noon, sfntest.Event("ExecutionRedriven"), entered("Report Result", `{"outcome":"traded"}`), sfntest.Event("ExecutionSucceeded"))
	if got := outcome(); got != "traded yes" {
		t.Errorf("after: %s", got)
	}
}
