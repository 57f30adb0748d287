package decision_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
)

// wire answers the requests of the SDK's real client, by operation. The replies come in
// turn, and the last one stays.
type wire struct {
	mu      sync.Mutex
	replies map[string][]reply
	calls   []string

	// strict throttles each history the first time that it is asked for.
	strict bool
	seen   map[string]bool
}

type reply struct {
	status int
	body   string // of an error: its code
	err    error  // instead of a reply
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if operation == "" {
		operation = "GetCallerIdentity" // the one call in the query protocol
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, operation)
	replies := w.replies[operation]
	if len(replies) == 0 {
		return nil, fmt.Errorf("%s was not to be called", operation)
	}
	now := replies[0]
	if len(replies) > 1 {
		w.replies[operation] = replies[1:]
	}
	if operation == "GetExecutionHistory" && w.strict {
		input, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if !w.seen[string(input)] {
			w.seen[string(input)] = true
			now = throttle
		}
	}
	if now.err != nil {
		return nil, now.err
	}
	if now.status != http.StatusOK && operation != "GetCallerIdentity" {
		words := "The service's own words"
		if strings.HasPrefix(operation, "SendTask") {
			words += " about " + token
		}
		now.body = fmt.Sprintf(`{"__type":%q,"message":%q}`, now.body, words)
	}
	return &http.Response{
		StatusCode: now.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(now.body))), Request: r,
	}, nil
}

func (w *wire) config() aws.Config {
	return aws.Config{Region: "eu-west-1", HTTPClient: w, Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")}
}

var (
	history = reply{status: 200, body: `{"events":[
		{"id":3,"previousEventId":2,"timestamp":1767355200,"type":"TaskScheduled","taskScheduledEventDetails":{"resourceType":"sqs","resource":"sendMessage.waitForTaskToken","region":"eu-west-1","timeoutInSeconds":3600,"parameters":` +
		fmt.Sprintf("%q", `{"MessageBody":{"Input":`+sell+`,"TaskToken":"`+token+`","Execution":"`+sfntest.Arn("order-1")+`","EnteredTime":"2026-01-02T12:00:00Z","TimeoutSeconds":3600}}`) + `}}]}`}
	answered = reply{status: 200, body: `{"events":[
		{"id":5,"previousEventId":4,"timestamp":1767355260,"type":"PassStateEntered","stateEnteredEventDetails":{"name":"Trade Declined"}},
		{"id":4,"previousEventId":3,"timestamp":1767355260,"type":"TaskFailed","taskFailedEventDetails":{"resourceType":"sqs","resource":"sendMessage","error":"TradeDeclined","cause":"no reason given (decided by ` + me + `)"}},
		{"id":3,"previousEventId":2,"timestamp":1767355200,"type":"TaskScheduled"}]}`}
	identity = reply{status: 200, body: `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>` + me + `</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`}
	running  = reply{status: 200, body: `{"executions":[{"executionArn":"` + sfntest.Arn("order-1") + `","name":"order-1","startDate":1767355200,"status":"RUNNING","stateMachineArn":"` + sfntest.Machine + `"}]}`}
	empty    = reply{status: 200, body: `{}`}

	throttle    = reply{status: 400, body: "ThrottlingException"}
	broken      = reply{err: &url.Error{Op: "Post", URL: "https://states.eu-west-1.amazonaws.com/", Err: io.EOF}}
	unavailable = reply{status: 503, body: "ServiceUnavailable"}
)

func times(n int, r reply) []reply {
	var all []reply
	for range n {
		all = append(all, r)
	}
	return all
}

func (w *wire) desk(t *testing.T) *decision.Desk {
	t.Helper()
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	return decision.New(decision.NewClient(w.config()), machine, decision.Caller(w.config()))
}

func TestReadsAreRetried(t *testing.T) {
	for _, test := range []struct {
		name    string
		replies []reply
		calls   int
		wantErr string
	}{
		{"throttled for a while", append(times(9, throttle), running), 10, ""},
		{"throttled for good", times(1, throttle), 10, "AWS has throttled states:ListExecutions again and again (ThrottlingException): wait a minute and try again"},
		{"two faults", []reply{broken, unavailable, running}, 3, ""},
		{"faults for good", times(1, unavailable), 3, "states:ListExecutions failed: The service's own words (ServiceUnavailable)"},
		{"unreachable", []reply{{err: &url.Error{Op: "Post", URL: "https://states.eu-west-1.amazonaws.com/", Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}}}}, 3, "Step Functions can't be reached (dial tcp: connection refused): check the region in " + sfntest.Machine + ", the network, and AWS_ENDPOINT_URL if it is set"},
		{"access denied", []reply{{status: 400, body: "AccessDeniedException"}}, 1, "you may not call states:ListExecutions on " + sfntest.Machine + ": ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it"},
		{"expired session", []reply{{status: 400, body: "ExpiredTokenException"}}, 1, `your AWS session has expired: sign in again, for example with "aws sso login"`},
		{"no state machine", []reply{{status: 400, body: "StateMachineDoesNotExist"}}, 1, "there is no state machine " + sfntest.Machine + ": compare its region, account and name with the stack's output StateMachineArn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{replies: map[string][]reply{"ListExecutions": test.replies, "GetExecutionHistory": {history}}}
				began := time.Now()
				waits, err := w.desk(t).List(t.Context())
				got := ""
				if err != nil {
					got = err.Error()
				}
				if diff := cmp.Diff(test.wantErr, got); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				if err == nil && (len(waits) != 1 || waits[0].Quote.Qty != 5 || waits[0].Deadline.Sub(waits[0].Since) != time.Hour) {
					t.Errorf("listed %v", waits)
				}
				if n := strings.Count(strings.Join(w.calls, " "), "ListExecutions"); n != test.calls {
					t.Errorf("%d calls, want %d", n, test.calls)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestAnswersAreSentOnce(t *testing.T) {
	for _, test := range []struct {
		name    string
		replies []reply
		after   reply // the history after the answer was sent
		sent    int
		wantErr string
	}{
		{"at once", []reply{empty}, answered, 1, ""},
		{"after throttling", []reply{throttle, throttle, empty}, answered, 3, ""},
		{"throttled for good", times(1, throttle), history, 10, "AWS has throttled states:SendTaskFailure again and again (ThrottlingException): wait a minute and try again"},
		{"the reply lost, and it counts", times(1, broken), answered, 1, ""},
		{"the reply lost, and it doesn't count", times(1, broken), history, 1, "the connection broke while the answer was sent, and order-1 still waits: nothing is recorded, so answer again"},
		{"a fault, and it counts", times(1, unavailable), answered, 1, ""},
		{"a fault, and it doesn't count", times(1, unavailable), history, 1, "the connection broke while the answer was sent, and order-1 still waits: nothing is recorded, so answer again"},
		{"too late", []reply{{status: 400, body: "TaskTimedOut"}}, answered, 1, "too late, the answer did not count for order-1: declined by jo at 2026-01-02 12:01 UTC; nothing was traded"},
		{"refused, with the token in its message", []reply{{status: 400, body: "ValidationException"}}, history, 1, "states:SendTaskFailure refused the answer (ValidationException): nothing is decided"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{replies: map[string][]reply{
					"GetCallerIdentity": {identity}, "SendTaskFailure": test.replies,
					"GetExecutionHistory": {history, history, test.after},
				}}
				desk := w.desk(t)
				record, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Decline, "")
				if test.wantErr == "" {
					if err != nil || record.Next != "Trade Declined" {
						t.Errorf("recorded %v, error %v", record, err)
					}
				} else {
					is := error(nil)
					if test.name == "too late" {
						is = decision.ErrGone
					}
					wantError(t, err, is, test.wantErr)
				}
				if n := strings.Count(strings.Join(w.calls, " "), "SendTask"); n != test.sent {
					t.Errorf("sent %d times, want %d", n, test.sent)
				}
			})
		})
	}
}

// An approval takes another call than the other answers, and the same care.
func TestApprovalsAreSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{replies: map[string][]reply{
			"GetCallerIdentity": {identity}, "SendTaskSuccess": {throttle, broken, empty}, "GetExecutionHistory": {history},
		}}
		desk := w.desk(t)
		_, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Approve, "")
		wantError(t, err, nil, "the connection broke while the answer was sent, and order-1 still waits: nothing is recorded, so answer again")
		if n := strings.Count(strings.Join(w.calls, " "), "SendTaskSuccess"); n != 2 {
			t.Errorf("sent %d times, want twice, the first throttled", n)
		}
	})
}

// The SDK's allowance for retries, 100 for a client, would not last for a long list.
func TestManyReadsAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var executions []string
		for i := range 150 {
			executions = append(executions, fmt.Sprintf(`{"executionArn":%q}`, sfntest.Arn(fmt.Sprint(i))))
		}
		w := &wire{strict: true, seen: map[string]bool{}, replies: map[string][]reply{
			"ListExecutions":      {{status: 200, body: `{"executions":[` + strings.Join(executions, ",") + `]}`}},
			"GetExecutionHistory": {history},
		}}
		waits, err := w.desk(t).List(t.Context())
		if err != nil || len(waits) != 150 {
			t.Errorf("%d wait, error %v", len(waits), err)
		}
	})
}

type noCredentials struct{}

func (noCredentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, fmt.Errorf("the SSO session has expired\nor is invalid: %w", io.EOF)
}

func TestNoCredentials(t *testing.T) {
	w := &wire{}
	cfg := w.config()
	cfg.Credentials = aws.NewCredentialsCache(noCredentials{})
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	_, err = decision.New(decision.NewClient(cfg), machine, decision.Caller(cfg)).List(t.Context())
	wantError(t, err, nil, `there are no AWS credentials that work (the SSO session has expired or is invalid: EOF): sign in with "aws sso login" or "aws configure", or name a profile in AWS_PROFILE`)
	if len(w.calls) > 0 {
		t.Errorf("called %v", w.calls)
	}
}

func TestNoRegion(t *testing.T) {
	w := &wire{}
	cfg := w.config()
	cfg.Region = ""
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	_, err = decision.New(decision.NewClient(cfg), machine, decision.Caller(cfg)).List(t.Context())
	wantError(t, err, nil, "no AWS region is known: name the state machine by its ARN, which holds the region, or set AWS_REGION")
}
