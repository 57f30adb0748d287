package decision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
	"stocktrading/local/localtest"
	"stocktrading/local/setup"
	"stocktrading/local/states"
)

// localRun is the project's state machine, interpreted on this machine and served as AWS
// serves it, with functions that trade without a market.
type localRun struct {
	engine  *states.Engine
	desk    *decision.Desk
	reports sync.Map // the outcome and what was traded, by the execution's ARN
}

func startLocalRun(t *testing.T, approvalSeconds int) *localRun {
	t.Helper()
	root := localtest.Look(t, "local/states") // with the interpreter's bridge
	valid, err := setup.Interpreter(t.Context(), root, setup.NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	definition, err := os.ReadFile(filepath.Join(root, "stacks", "stock_trading.asl.json"))
	if err != nil {
		t.Fatal(err)
	}
	const function = "arn:aws:lambda:eu-west-1:123456789012:function:"
	l := &localRun{}
	l.engine, err = states.Start(t.Context(), states.Config{
		Node: "node", Dir: filepath.Join(root, "local", "states"), Valid: valid,
		ARN: sfntest.Machine, Name: "StockTrading", RoleARN: "arn:aws:iam::123456789012:role/StockTrading",
		Run: l.perform,
		Definition: []byte(strings.NewReplacer(
			`"${ExecutionTimeoutSeconds}"`, "3600",
			`"${ApprovalTimeoutSeconds}"`, fmt.Sprint(approvalSeconds),
			"${CheckStockPrice}", function+"CheckStockPrice",
			"${GenerateBuySellRecommendation}", function+"GenerateBuySellRecommendation",
			"${BuyStock}", function+"BuyStock",
			"${SellStock}", function+"SellStock",
			"${RequestHumanApprovalQueue}", "https://sqs.eu-west-1.amazonaws.com/123456789012/Approvals",
			"${ReportResultTopic}", "arn:aws:sns:eu-west-1:123456789012:Reports",
		).Replace(string(definition))),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.engine.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "" {
			fmt.Fprint(w, identity.body)
			return
		}
		l.engine.ServeHTTP(w, r)
	}))
	t.Cleanup(endpoint.Close)
	cfg := aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(endpoint.URL),
		Credentials: credentials.NewStaticCredentialsProvider("approver", "local", ""),
	}
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	l.desk = decision.New(decision.NewClient(cfg), machine, decision.Caller(cfg))
	return l
}

// perform is the five functions, the queue and the topic.
func (l *localRun) perform(_ context.Context, task states.Task) (json.RawMessage, error) {
	switch task.State {
	case "Check Stock Price":
		return json.RawMessage(`{"stock_price":62,"market":"simulated","symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`), nil
	case "Generate Buy/Sell recommendation":
		return json.RawMessage(`"sell"`), nil
	case "Buy Stock":
		return json.RawMessage(`{"outcome":"traded","type":"buy"}`), nil
	case "Sell Stock":
		return json.RawMessage(`{"outcome":"traded","type":"sell"}`), nil
	case "Report Result", "Report Failure":
		var report struct {
			Message struct {
				Input struct {
					Outcome, Type string
					Decision      struct{ Cause string }
				}
			}
		}
		if err := json.Unmarshal(task.Input, &report); err != nil {
			return nil, fmt.Errorf("read the report: %w", err)
		}
		in := report.Message.Input
		l.reports.Store(task.ExecutionARN, strings.TrimSpace(in.Outcome+" "+in.Type+in.Decision.Cause))
	}
	return json.RawMessage(`{"MessageId":"1"}`), nil
}

// wait starts an execution and returns its wait, once it is there.
func (l *localRun) wait(t *testing.T, name string) decision.Wait {
	t.Helper()
	if _, err := l.engine.StartExecution(name, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		w, err := l.desk.Find(t.Context(), name)
		if err == nil {
			return w
		}
		if !errors.Is(err, decision.ErrNotYet) {
			t.Fatal(err)
		}
	}
	t.Fatalf("%s does not come to wait", name)
	return decision.Wait{}
}

// report returns what was reported about an execution, once it has ended.
func (l *localRun) report(t *testing.T, w decision.Wait) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := l.engine.Wait(ctx, w.Execution); err != nil {
		t.Fatal(err)
	}
	report, _ := l.reports.Load(w.Execution)
	return fmt.Sprint(report)
}

func TestOnThisMachine(t *testing.T) {
	t.Parallel()
	l := startLocalRun(t, 3600)
	for _, test := range []struct {
		name   string
		answer decision.Answer
		reason string
		event  string
		what   string
		next   string
		report string
	}{
		{"approve", decision.Approve, "fine", "TaskSucceeded", "approved by " + me + ", fine", "Sell Stock", "traded sell"},
		{"sell-as-recommended", decision.Sell, "", "TaskSucceeded", "approved by " + me, "Sell Stock", "traded sell"},
		{"buy-instead", decision.Buy, "", "TaskFailed", "buy instead, no reason given (decided by " + me + ")", "Buy Stock", "traded buy"},
		{"decline", decision.Decline, "too \"dear\" ☂", "TaskFailed", "declined, too \"dear\" ☂ (decided by " + me + ")", "Trade Declined", "declined too \"dear\" ☂ (decided by " + me + ")"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := l.wait(t, test.name)
			if w.Quote.Total() != "310" || w.Recommended != "sell" || w.Deadline.Sub(w.Since) != time.Hour {
				t.Errorf("found %+v", w)
			}
			record, err := l.desk.Decide(t.Context(), w, test.answer, test.reason)
			if err != nil {
				t.Fatal(err)
			}
			if record.Event != test.event || record.What != test.what || record.Next != test.next {
				t.Errorf("recorded %q", record)
			}
			if got := l.report(t, w); got != test.report {
				t.Errorf("reported %q, want %q", got, test.report)
			}
			_, err = l.desk.Decide(t.Context(), w, decision.Approve, "")
			wantError(t, err, decision.ErrGone, "too late, nothing was sent for "+test.name+": "+test.what+" at "+record.At.UTC().Format(time.RFC3339)+", then "+test.next)
		})
	}
}

func TestManyOnThisMachine(t *testing.T) {
	t.Parallel()
	l := startLocalRun(t, 3600)
	const waiting = 40
	for i := range waiting {
		if _, err := l.engine.StartExecution(fmt.Sprintf("order-%d", i), []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	first := l.wait(t, "first")
	// Several answers to one at the same moment: exactly one counts.
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		won int
	)
	for _, answer := range []decision.Answer{decision.Approve, decision.Buy, decision.Decline, decision.Approve, decision.Decline} {
		all.Go(func() {
			_, err := l.desk.Decide(t.Context(), first, answer, "")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, decision.ErrGone) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d answers count, want 1", won)
	}
	for i := range waiting { // all have come to wait
		for _, err := l.desk.Find(t.Context(), fmt.Sprintf("order-%d", i)); errors.Is(err, decision.ErrNotYet); {
			time.Sleep(50 * time.Millisecond)
			_, err = l.desk.Find(t.Context(), fmt.Sprintf("order-%d", i))
		}
	}
	if waits, err := l.desk.List(t.Context()); err != nil || len(waits) != waiting {
		t.Errorf("%d wait and error %v, want %d", len(waits), err, waiting)
	}
}

func TestExpiryOnThisMachine(t *testing.T) {
	t.Parallel()
	l := startLocalRun(t, 1)
	w := l.wait(t, "slow")
	if got := l.report(t, w); !strings.HasPrefix(got, "expired") {
		t.Errorf("reported %q", got)
	}
	_, err := l.desk.Decide(t.Context(), w, decision.Approve, "")
	if !errors.Is(err, decision.ErrGone) || !strings.Contains(err.Error(), "too late, nothing was sent for slow: expired at ") {
		t.Errorf("an answer after the end: %v", err)
	}
	if _, err := l.desk.Find(t.Context(), "slow"); !errors.Is(err, decision.ErrGone) {
		t.Errorf("found after the end: %v", err)
	}
	if waits, err := l.desk.List(t.Context()); err != nil || len(waits) != 0 {
		t.Errorf("%d wait after the end, error %v", len(waits), err)
	}
}
