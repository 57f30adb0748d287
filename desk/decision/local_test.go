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
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

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

var placeholder = regexp.MustCompile(`\$\{(\w+)\}`)

func startLocalRun(t *testing.T, approvalSeconds int) *localRun {
	t.Helper()
	root := localtest.Look(t, "local/states") // with the interpreter's bridge
	valid, err := setup.Project{Root: root, Progress: setup.NewProgress(os.Stderr)}.Interpreter(t.Context())
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
		// Every placeholder that is not listed is a function's.
		Definition: placeholder.ReplaceAll([]byte(strings.NewReplacer(
			`"${ExecutionTimeoutSeconds}"`, "3600",
			`"${ApprovalTimeoutSeconds}"`, fmt.Sprint(approvalSeconds),
			"${RequestHumanApprovalQueue}", "https://sqs.eu-west-1.amazonaws.com/123456789012/Approvals",
			"${ReportResultTopic}", "arn:aws:sns:eu-west-1:123456789012:Reports",
		).Replace(string(definition))), []byte(function+"$1")),
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
// Some fail, as the execution's name says.
func (l *localRun) perform(_ context.Context, task states.Task) (json.RawMessage, error) {
	name := task.ExecutionARN[strings.LastIndex(task.ExecutionARN, ":")+1:]
	if failure, ok := map[[2]string]*states.Error{
		{"no-quote", "Check Stock Price"}: {Name: "OrderRefused", Cause: `{"errorMessage":"the market is closed.","errorType":"OrderRefused"}`},
		{"refused", "Buy Stock"}:          {Name: "OrderRefused", Cause: `{"errorMessage":"too many shares","errorType":"OrderRefused"}`},
		{"lost", "Sell Stock"}:            {Name: "OrderConflict", Cause: "no reply"},
	}[[2]string{name, task.State}]; ok {
		return nil, failure
	}
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
		{"approve", decision.Approve, "fine", "TaskSucceeded", "approved", "Sell Stock", "traded sell"},
		{"sell-as-recommended", decision.Sell, "", "TaskSucceeded", "approved", "Sell Stock", "traded sell"},
		{"buy-instead", decision.Buy, "", "TaskFailed", "changed to buy", "Buy Stock", "traded buy"},
		{"decline", decision.Decline, "too \"dear\" ☂", "TaskFailed", "declined", "Trade Declined", "declined too \"dear\" ☂ (decided by " + me + ")"},
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
			if record.Event != test.event || record.What != test.what || record.By != me || record.Reason != test.reason || record.Next != test.next {
				t.Errorf("recorded %q", record)
			}
			if got := l.report(t, w); got != test.report {
				t.Errorf("reported %q, want %q", got, test.report)
			}
			_, err = l.desk.Decide(t.Context(), w, decision.Approve, "")
			if want := "too late, nothing was sent for " + test.name + ": " + test.what + " by jo at "; !errors.Is(err, decision.ErrGone) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("the second answer: %v, want %s", err, want)
			}
		})
	}
}

// What came of executions is read from histories of the real interpreter.
func TestTradesOnThisMachine(t *testing.T) {
	t.Parallel()
	l := startLocalRun(t, 3600)
	want := []string{
		"waits: Recommended: sell 5 AMZN at $62, $310 in all: waiting, no: It waits for a decision.",
		"no-quote: 3 DOWN: failed, no: Check Stock Price failed: the market is closed (OrderRefused). Nothing was traded.",
		"refused: Buy 5 AMZN at $62, $310 in all, against the recommendation to sell: failed, no: Changed to buy by jo at NOW: refused. Buy Stock failed: too many shares (OrderRefused). Nothing was traded.",
		"lost: Sell 5 AMZN at $62, $310 in all: failed, unknown: Approved by jo at NOW: lost. Sell Stock failed: no reply (OrderConflict). Whether anything was traded is unknown: look at the broker's orders.",
		"declined: Recommended: sell 5 AMZN at $62, $310 in all: declined, no: Declined by jo at NOW: declined. Nothing was traded.",
		"bought: Buy 5 AMZN at $62, $310 in all, against the recommendation to sell: traded, yes: Changed to buy by jo at NOW: bought. It was traded.",
		"approved: Sell 5 AMZN at $62, $310 in all: traded, yes: Approved by jo at NOW: approved. It was traded.",
	}
	for _, x := range []struct {
		name   string
		answer decision.Answer
	}{
		{"approved", decision.Approve},
		{"bought", decision.Buy},
		{"declined", decision.Decline},
		{"lost", decision.Approve},
		{"refused", decision.Buy},
	} {
		w := l.wait(t, x.name)
		if _, err := l.desk.Decide(t.Context(), w, x.answer, x.name); err != nil {
			t.Fatal(err)
		}
		l.report(t, w)
	}
	arn, err := l.engine.StartExecution("no-quote", []byte(`{"symbol":"DOWN","qty":3}`))
	if err != nil {
		t.Fatal(err)
	}
	l.report(t, decision.Wait{Execution: arn})
	l.wait(t, "waits")

	trades, next, err := l.desk.Trades(t.Context(), decision.Filter{}, "")
	if err != nil || next != "" {
		t.Fatalf("error %v and a next page %q", err, next)
	}
	var got []string
	for _, trade := range trades {
		text := fmt.Sprintf("%s: %s: %s, %s: %s", trade.Name(), trade.Act(), trade.Outcome, trade.Placed, trade)
		got = append(got, regexp.MustCompile(`[0-9]{2}:[0-9]{2} UTC`).ReplaceAllString(text, "NOW"))
		if decided := trade.Decision.By != ""; trade.Took() > 0 != decided || trade.Ended.IsZero() != (trade.Outcome == decision.Waiting) {
			t.Errorf("%s took %v and ended at %v", trade.Name(), trade.Took(), trade.Ended)
		}
		x, err := l.desk.Open(t.Context(), trade.Execution)
		if diff := cmp.Diff(toJSON(t, trade), toJSON(t, x.Trade)); err != nil || diff != "" {
			t.Errorf("opened, error %v (-listed +opened):\n%s", err, diff)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trades (-want +got):\n%s", diff)
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
