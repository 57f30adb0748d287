package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stocktrading/desk/decision"
	"stocktrading/local/localtest"
	"stocktrading/local/states"
	"stocktrading/local/system"
)

// running is a system with all that came out of it.
type running struct {
	*system.System
	desk *decision.Desk
	sfn  *sfn.Client

	mu            sync.Mutex
	notifications []system.Notification
	logs          []string
	events        []states.HistoryEvent
}

// start runs the stack of a configuration.
func start(t *testing.T, context map[string]any, change func(*system.Config)) *running {
	t.Helper()
	c := localtest.Prepare(t, context)
	r := &running{}
	c.OnEvent = func(_ string, e states.HistoryEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	}
	c.OnNotification = func(n system.Notification) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notifications = append(r.notifications, n)
	}
	c.OnLog = func(function string, line []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logs = append(r.logs, function+" "+string(line))
	}
	if change != nil {
		change(&c)
	}
	var err error
	if r.System, err = system.Start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	r.desk = r.newDesk(t)
	r.sfn = sfn.NewFromConfig(r.AWSConfig("developer"))
	return r
}

// newDesk returns an approver's desk that has made no calls yet: each desk keeps the limits of AWS's API.
func (r *running) newDesk(t *testing.T) *decision.Desk {
	t.Helper()
	machine, err := decision.ParseMachine(r.StateMachineARN())
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.AWSConfig(system.Approver)
	return decision.New(decision.NewClient(cfg), machine, decision.Caller(cfg))
}

func (r *running) startExecution(t *testing.T, input string) string {
	t.Helper()
	arn, err := r.Engine().StartExecution("", []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

// waiting returns the open wait of an execution, as the desk finds it.
func (r *running) waiting(t *testing.T, arn string) decision.Wait {
	t.Helper()
	r.token(t, arn) // asked of the engine itself, which has no limits that the desk has to keep
	w, err := r.desk.Find(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// end returns how an execution ended and its one report.
func (r *running) end(t *testing.T, arn string) (states.Execution, map[string]any) {
	t.Helper()
	x := r.wait(t, arn)
	reports := r.reports(t, arn)
	if len(reports) != 1 {
		t.Fatalf("%d reports, want 1: %v", len(reports), reports)
	}
	return x, reports[0]
}

// wait returns how an execution ended.
func (r *running) wait(t *testing.T, arn string) states.Execution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	x, err := r.Engine().Wait(ctx, arn)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (r *running) reports(t *testing.T, arn string) (inputs []map[string]any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.notifications {
		if n.Attributes["type"] != "trade-report" || n.Attributes["execution"] != arn {
			continue
		}
		var report struct{ Input map[string]any }
		if err := json.Unmarshal([]byte(n.Message), &report); err != nil {
			t.Fatalf("report %q: %v", n.Message, err)
		}
		inputs = append(inputs, report.Input)
	}
	return inputs
}

func TestDecisions(t *testing.T) {
	r := start(t, nil, nil)
	for _, test := range []struct {
		name        string
		recommended string // of the execution to decide about, or "" for any
		answer      decision.Answer
		wantEvent   string
		wantReport  map[string]any
	}{
		{"approve a buy", "buy", decision.Approve, "TaskSucceeded", map[string]any{"outcome": "traded", "type": "buy"}},
		{"approve a sale", "sell", decision.Approve, "TaskSucceeded", map[string]any{"outcome": "traded", "type": "sell"}},
		{"buy instead", "sell", decision.Buy, "TaskFailed", map[string]any{"outcome": "traded", "type": "buy"}},
		{"sell instead", "buy", decision.Sell, "TaskFailed", map[string]any{"outcome": "traded", "type": "sell"}},
		{"decline", "buy", decision.Decline, "TaskFailed", map[string]any{"outcome": "declined"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			arn, wait := r.recommending(t, test.recommended)
			record, err := r.desk.Decide(t.Context(), wait, test.answer, "because")
			if err != nil {
				t.Fatal(err)
			}
			if record.Event != test.wantEvent || !strings.Contains(record.String(), "because") {
				t.Errorf("recorded %v, want %s with the reason", record, test.wantEvent)
			}
			x, report := r.end(t, arn)
			if x.Status != "SUCCEEDED" {
				t.Errorf("status %s, want SUCCEEDED", x.Status)
			}
			for key, want := range test.wantReport {
				if report[key] != want {
					t.Errorf("the report's %s is %v, want %v", key, report[key], want)
				}
			}
			if report["id"] != wait.Quote.QuoteID || report["symbol"] != "AMZN" {
				t.Errorf("the report is of another trade: %v", report)
			}
			if _, err := r.desk.Decide(t.Context(), wait, decision.Approve, ""); err == nil {
				t.Error("a second answer was taken")
			}
		})
	}
}

// recommending starts executions until one has the recommendation, which is drawn by chance.
func (r *running) recommending(t *testing.T, side string) (string, decision.Wait) {
	t.Helper()
	for range 100 {
		arn := r.startExecution(t, `{"symbol":"AMZN","qty":5}`)
		wait := r.waiting(t, arn)
		if wait.Recommended == side {
			return arn, wait
		}
		if _, err := r.desk.Decide(t.Context(), wait, decision.Decline, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("100 executions and none recommends to %s", side)
	return "", decision.Wait{}
}

func TestExpiry(t *testing.T) {
	r := start(t, map[string]any{"approvalTimeout": "1s"}, nil)
	arn := r.startExecution(t, `{}`)
	wait := r.waiting(t, arn)
	x, report := r.end(t, arn)
	if x.Status != "SUCCEEDED" || report["outcome"] != "expired" {
		t.Errorf("status %s, report %v", x.Status, report)
	}
	if _, err := r.desk.Decide(t.Context(), wait, decision.Approve, ""); err == nil {
		t.Error("a late answer was taken")
	}
}

func TestAutomaticApproval(t *testing.T) {
	r := start(t, map[string]any{"approval": "automatic"}, nil)
	// A token that nobody gave out approves nothing, and its message does not come back.
	t.Run("forged token", func(t *testing.T) {
		forged := `{"Input":{"stock_price":42,"market":"simulated","symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z","recommended_type":"buy"},` +
			`"TaskToken":"` + marker + `","Execution":"arn:aws:states:us-east-1:123456789012:execution:Forged:token","EnteredTime":"2026-01-02T03:04:06Z","TimeoutSeconds":60}`
		queue := r.queueURL()
		if _, err := sqs.NewFromConfig(r.AWSConfig("developer")).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &forged}); err != nil {
			t.Fatal(err)
		}
		r.notice(t, "arn:aws:states:us-east-1:123456789012:execution:Forged:token")
		r.emptyQueue(t)
		r.mu.Lock()
		defer r.mu.Unlock()
		if text := strings.Join(r.logs, "\n"); !strings.Contains(text, "too late to approve") || strings.Contains(text, marker) {
			t.Errorf("the log is\n%s", text)
		}
		if len(r.events) > 0 {
			t.Errorf("something was started: %v", r.events)
		}
	})
	x, report := r.end(t, r.startExecution(t, `{"qty":3}`))
	if x.Status != "SUCCEEDED" || report["outcome"] != "traded" || report["qty"] != "3" {
		t.Errorf("status %s, report %v", x.Status, report)
	}
}

// An error at the start is reported, and leaves nothing behind for a later start.
func TestStartFails(t *testing.T) {
	c := localtest.Prepare(t, nil)
	c.Node = "no-such-node"
	for range 2 {
		s, err := system.Start(t.Context(), c)
		if s != nil || err == nil || !strings.Contains(err.Error(), "no-such-node") {
			t.Fatalf("got %v, %v; want an error that names the missing program", s, err)
		}
	}
	c.Node = filepath.Join(t.TempDir(), "node") // hangs
	if err := os.WriteFile(c.Node, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	s, err := system.Start(ctx, c)
	if took := time.Since(began); s != nil || !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
		t.Errorf("got %v, %v after %v; want the end of the context, at once", s, err, took)
	}
}

// What is synthesized for a region of China names the integrations of that partition, and runs all the same.
func TestAnotherPartition(t *testing.T) {
	t.Setenv("CDK_DEFAULT_REGION", "cn-north-1")
	r := start(t, map[string]any{"approval": "automatic", "approvalTimeout": "2m"}, nil) // which no other test has prepared
	arn := r.StateMachineARN()
	machine, err := r.sfn.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &arn})
	if err != nil || !strings.Contains(*machine.Definition, `"arn:aws-cn:states:::sns:publish"`) || strings.Contains(*machine.Definition, "arn:aws:states:::") {
		t.Fatalf("the definition is %v, %v", machine, err)
	}
	if _, report := r.end(t, r.startExecution(t, `{}`)); report["outcome"] != "traded" {
		t.Errorf("report %v", report)
	}
}
