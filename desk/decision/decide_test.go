package decision_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	smithy "github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
)

func TestDecide(t *testing.T) {
	const (
		bare   = "no reason given (decided by " + me + ")"
		output = `{"decision":"approve","decided_by":"` + me + `"}`
	)
	for _, test := range []struct {
		name, recommended string
		answer            decision.Answer
		reason            string
		sent, record      string
		wantErr           string
	}{
		{name: "approve", recommended: "sell", answer: decision.Approve, sent: "SendTaskSuccess TOKEN " + output, record: "Approved by jo AT."},
		{name: "approve with a reason", recommended: "buy", answer: decision.Approve, reason: " cheap\n<enough>\x1b[31m ", sent: `SendTaskSuccess TOKEN {"decision":"approve","decided_by":"` + me + `","reason":"cheap \u003cenough\u003e[31m"}`, record: "Approved by jo AT: cheap <enough>[31m."},
		{name: "sell as recommended", recommended: "sell", answer: decision.Sell, sent: "SendTaskSuccess TOKEN " + output, record: "Approved by jo AT."},
		{name: "buy as recommended", recommended: "buy", answer: decision.Buy, sent: "SendTaskSuccess TOKEN " + output, record: "Approved by jo AT."},
		{name: "buy instead", recommended: "sell", answer: decision.Buy, sent: "SendTaskFailure TOKEN BuyInstead " + bare, record: "Changed to buy by jo AT. It buys now."},
		{name: "sell instead", recommended: "buy", answer: decision.Sell, reason: "too risky", sent: "SendTaskFailure TOKEN SellInstead too risky (decided by " + me + ")", record: "Changed to sell by jo AT: too risky. It sells now."},
		{name: "decline", recommended: "sell", answer: decision.Decline, reason: "too expensive", sent: "SendTaskFailure TOKEN TradeDeclined too expensive (decided by " + me + ")", record: "Declined by jo AT: too expensive. Nothing was traded."},
		{name: "decline without a reason", recommended: "sell", answer: decision.Decline, sent: "SendTaskFailure TOKEN TradeDeclined " + bare, record: "Declined by jo AT. Nothing was traded."},
		{name: "buy what is unknown", recommended: "hold", answer: decision.Buy, sent: "SendTaskFailure TOKEN BuyInstead " + bare, record: "Changed to buy by jo AT. It buys now."},
		{name: "longest reason", recommended: "sell", answer: decision.Decline, reason: strings.Repeat("ü", 1000), sent: "SendTaskFailure TOKEN TradeDeclined " + strings.Repeat("ü", 1000) + " (decided by " + me + ")", record: "Declined by jo AT: " + strings.Repeat("ü", 1000) + ". Nothing was traded."},
		{name: "reason too long", recommended: "sell", answer: decision.Decline, reason: strings.Repeat("ü", 1001), wantErr: "the reason has 1001 characters, and 1000 are allowed: shorten it"},
		{name: "approve what is unknown", recommended: "sell\u200b", answer: decision.Approve, wantErr: "order-1 recommends neither to buy nor to sell, so there is nothing to approve: answer buy, sell or decline"},
		{name: "no answer", recommended: "sell", answer: decision.Later, wantErr: `"" is not an answer: approve, buy, sell or decline`},
		{name: "another answer", recommended: "sell", answer: "hold\x1b", wantErr: `"hold" is not an answer: approve, buy, sell or decline`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sfntest.Service{}
				s.Start("order-1", time.Now()).Ask(time.Now(), token, sfntest.Quote("AMZN", 62, 5, test.recommended))
				desk := newDesk(t, s)
				record, err := desk.Decide(t.Context(), find(t, desk, "order-1"), test.answer, test.reason)
				if test.wantErr != "" {
					wantError(t, err, decision.ErrWrongUse, test.wantErr)
				} else if err != nil {
					t.Fatal(err)
				} else if diff := cmp.Diff(strings.Replace(test.record, " AT", " at 00:00 UTC", 1), record.String()); diff != "" {
					t.Errorf("record (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.sent, strings.Replace(strings.Join(s.Calls("SendTask"), "\n"), token, "TOKEN", 1)); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// While a state machine is being deleted, Step Functions accepts answers that lead to nothing.
func TestDecideInVain(t *testing.T) {
	s := &sfntest.Service{Deleting: true}
	s.Start("order-1", noon).Ask(noon, token, sell)
	desk := newDesk(t, s)
	_, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Approve, "")
	wantError(t, err, decision.ErrGone, "nothing was sent for order-1: its state machine is being deleted, and AWS ends the execution at its next step, so nothing would be traded or reported; stop the execution")
	if sent := s.Calls("SendTask"); len(sent) != 0 {
		t.Errorf("sent %q", sent)
	}
}

func TestDecideWithoutARequest(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Append(noon, sfntest.Scheduled("sendMessage.waitForTaskToken", "{}"))
	desk := newDesk(t, s)
	w := find(t, desk, "order-1")
	want := "nothing can be decided about order-1, the history doesn't hold the request's message: stop the execution or let the request expire"
	_, err := desk.Decide(t.Context(), w, decision.Decline, "")
	wantError(t, err, nil, want)
	_, err = w.Act(decision.Decline)
	wantError(t, err, nil, want)
	_, _, err = decision.NewTerminal(strings.NewReader("d\n\n"), io.Discard, false).Ask(t.Context(), w)
	wantError(t, err, nil, want)
}

func TestDecideNeedsToKnowWho(t *testing.T) {
	for _, test := range []struct {
		name, who string
		err       error
		want      string
	}{
		{"nobody", "\u200b", nil, "nothing was sent, because it is unknown who decides: check the credentials"},
		{"denied", "", sfntest.Error("AccessDenied"), "you may not call sts:GetCallerIdentity on the state machine's ARN: ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it"},
		{"expired", "", sfntest.Error("ExpiredToken"), `your AWS session has expired: sign in again, for example with "aws sso login"`},
		{"unreachable", "", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}, "AWS STS can't be reached (dial tcp: refused): check the region in the state machine's ARN, the network, and AWS_ENDPOINT_URL if it is set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sfntest.Service{}
			s.Start("order-1", noon).Ask(noon, token, sell)
			machine, err := decision.ParseMachine(sfntest.Machine)
			if err != nil {
				t.Fatal(err)
			}
			desk := decision.New(s, machine, func(context.Context) (string, error) { return test.who, test.err })
			_, err = desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Approve, "")
			wantError(t, err, nil, test.want)
			_, err = desk.Standing(t.Context())
			wantError(t, err, nil, test.want)
			if sent := s.Calls("SendTask"); len(sent) > 0 {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// What can be known of a person's right to decide before they try.
func TestStanding(t *testing.T) {
	const lacks = "You are jo, and Step Functions may refuse your answer: you lack states:DescribeStateMachine, which the stack's ApproverPolicy allows. The output ApproverPolicyArn names it."
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing speaks against it", nil, "You decide as jo."},
		{"no policy", sfntest.Error("AccessDeniedException"), lacks},
		{"a fault", sfntest.Error("InternalError"), "You decide as jo."}, // it says nothing of permissions
	} {
		s := &sfntest.Service{Undescribed: test.err}
		standing, err := newDesk(t, s).Standing(t.Context())
		if err != nil || standing.String() != test.want || standing.Caller != me || len(s.Calls("SendTask")) > 0 {
			t.Errorf("%s: %q by %q and error %v, want %q", test.name, standing, standing.Caller, err, test.want)
		}
	}
}

// The wait that was shown is over when the person decides: nothing is sent.
func TestDecideTooLate(t *testing.T) {
	for _, test := range endings {
		if test.open {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			s := &sfntest.Service{}
			x := s.Start("order-1", noon).Ask(noon, token, sell)
			desk := newDesk(t, s)
			w := find(t, desk, "order-1")
			x.Append(noon.Add(time.Minute), test.events...)
			_, err := desk.Decide(t.Context(), w, decision.Approve, "")
			wantError(t, err, decision.ErrGone, "too late, nothing was sent for order-1: "+test.gone)
			if sent := s.Calls("SendTask"); len(sent) > 0 {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// The history has another request at the place of the one that was shown.
func TestDecideAboutAnotherHistory(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, "hush-1", sell)
	w := find(t, newDesk(t, s), "order-1")
	other := &sfntest.Service{}
	other.Start("order-1", noon).Ask(noon, "hush-2", sell)
	_, err := newDesk(t, other).Decide(t.Context(), w, decision.Approve, "")
	wantError(t, err, decision.ErrGone, "nothing was sent for order-1: its history is not the one that was shown; look again before you decide")
	if sent := other.Calls("SendTask"); len(sent) > 0 {
		t.Errorf("sent %q", sent)
	}
}

// Another person's answer comes between the last look at the history and the sending.
func TestDecideSecond(t *testing.T) {
	for name, refusal := range map[string]error{
		"timed out":      &types.TaskTimedOut{},
		"does not exist": &types.TaskDoesNotExist{},
		"invalid token":  &types.InvalidToken{},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sfntest.Service{}
				x := s.Start("order-1", time.Now()).Ask(time.Now(), token, sell)
				s.OnSend = func(context.Context, func() error) error {
					x.Append(time.Now(), sfntest.Failed("TradeDeclined", "no (decided by arn:jo)"), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Pass", "Trade Declined"))
					return refusal
				}
				desk := newDesk(t, s)
				_, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Approve, "")
				wantError(t, err, decision.ErrGone, "too late, the answer did not count for order-1: declined by jo at 00:00 UTC: no; nothing was traded")
			})
		})
	}
}

// The service says it is too late, and the history never says why.
func TestDecideTooLateWithoutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sfntest.Service{OnSend: func(context.Context, func() error) error { return &types.TaskTimedOut{} }}
		s.Start("order-1", time.Now()).Ask(time.Now(), token, sell)
		desk := newDesk(t, s)
		_, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Approve, "")
		wantError(t, err, decision.ErrGone, "too late, the answer for order-1 did not count: Step Functions takes none for this request any more")
		if n := len(s.Calls("SendTask")); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestManyDecideAtOnce(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	// All look at the history before the first answer arrives.
	var together sync.WaitGroup
	const people = 8
	together.Add(people)
	s.OnSend = func(_ context.Context, call func() error) error {
		together.Done()
		together.Wait()
		return call()
	}
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		won  []string
		lost []string
	)
	for i := range people {
		desk := decision.New(s, machine, func(context.Context) (string, error) { return fmt.Sprintf("arn:person-%d", i), nil })
		w := find(t, desk, "order-1")
		answer := []decision.Answer{decision.Approve, decision.Buy, decision.Decline}[i%3]
		all.Go(func() {
			record, err := desk.Decide(t.Context(), w, answer, "")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, record.What)
			} else if errors.Is(err, decision.ErrGone) {
				lost = append(lost, err.Error())
			} else {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 || len(lost) != people-1 {
		t.Fatalf("%d won and %d were told that they lost, want 1 and %d", len(won), len(lost), people-1)
	}
	for _, sentence := range lost {
		if !strings.Contains(sentence, "too late, the answer did not count for order-1: "+won[0]) {
			t.Errorf("one was told %q, want it to name who won: %s", sentence, won[0])
		}
	}
}

// The answer leaves, and its reply is lost.
func TestDecideWithoutAReply(t *testing.T) {
	lost := fmt.Errorf("send: %w", io.ErrUnexpectedEOF)
	approved := "TaskSucceeded at 2000-01-01T00:00:00Z by " + me + ", then Recommended Stock"
	for _, test := range []struct {
		name    string
		send    func(x *sfntest.Execution, call func() error) error
		history func() error // of a history that is read after the answer was sent
		record  string
		is      error
		wantErr string
	}{
		{
			name:   "it counts",
			send:   func(_ *sfntest.Execution, call func() error) error { return errors.Join(call(), lost) },
			record: approved,
		},
		{
			name: "it counts, a second later",
			send: func(_ *sfntest.Execution, call func() error) error {
				time.AfterFunc(time.Second, func() { call() })
				return lost
			},
			record: strings.Replace(approved, ":00Z", ":01Z", 1),
		},
		{
			name: "another answer counts",
			send: func(x *sfntest.Execution, _ func() error) error {
				x.Append(time.Now(), sfntest.Succeeded(`{"decision":"approve","decided_by":"arn:jo"}`), sfntest.Entered("Task", "Sell Stock"))
				return lost
			},
			is: decision.ErrGone, wantErr: "too late, the answer did not count for order-1: approved by jo at 00:00 UTC; it went on with Sell Stock",
		},
		{
			name:    "it doesn't count",
			send:    func(*sfntest.Execution, func() error) error { return lost },
			wantErr: "the connection broke while the answer was sent, and order-1 still waits: nothing is recorded, so answer again",
		},
		{
			name:    "a fault of the service",
			send:    func(*sfntest.Execution, func() error) error { return fault{} },
			wantErr: "the connection broke while the answer was sent, and order-1 still waits: nothing is recorded, so answer again",
		},
		{
			name:    "the history can't be read either",
			send:    func(*sfntest.Execution, func() error) error { return lost },
			history: func() error { return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")} },
			wantErr: "the connection broke while the answer was sent, and the history can't be read (Step Functions can't be reached (dial tcp: no route to host): check the region in " + sfntest.Arn("order-1") + ", the network, and AWS_ENDPOINT_URL if it is set): look whether order-1 still waits before you answer again",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sfntest.Service{}
				x := s.Start("order-1", time.Now()).Ask(time.Now(), token, sell)
				desk := newDesk(t, s)
				w := find(t, desk, "order-1")
				s.OnSend = func(_ context.Context, call func() error) error {
					if test.history != nil {
						s.OnHistory = func(context.Context, string, func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
							return nil, test.history()
						}
					}
					return test.send(x, call)
				}
				record, err := desk.Decide(t.Context(), w, decision.Approve, "")
				if test.wantErr != "" {
					wantError(t, err, test.is, test.wantErr)
				} else if err != nil || record.Details() != test.record {
					t.Errorf("got %q and error %v, want %q", record.Details(), err, test.record)
				}
				if n := len(s.Calls("SendTask")); n != 1 {
					t.Errorf("sent %d times, want once", n)
				}
			})
		})
	}
}

// fault is an error of the service's own.
type fault struct{}

func (fault) Error() string                 { return "InternalServerError" }
func (fault) ErrorCode() string             { return "InternalServerError" }
func (fault) ErrorMessage() string          { return "" }
func (fault) ErrorFault() smithy.ErrorFault { return smithy.FaultServer }

// Who interrupts while an answer is under way learns what became of it.
func TestInterruptedWhileSending(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	desk := newDesk(t, s)
	w := find(t, desk, "order-1")
	ctx, cancel := context.WithCancel(t.Context())
	s.OnSend = func(ctx context.Context, call func() error) error {
		cancel()
		return errors.Join(call(), ctx.Err())
	}
	record, err := desk.Decide(ctx, w, decision.Approve, "")
	if err != nil || record.Event != "TaskSucceeded" {
		t.Errorf("got %v and error %v", record, err)
	}
}

// AWS refuses the answer, or it never leaves: the wait is still open, and so says the error.
func TestDecideNotTaken(t *testing.T) {
	quoting := fmt.Errorf("1 validation error: Value '%s' at 'taskToken' failed", token)
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"access denied", sfntest.Error("AccessDeniedException"), "you may not call states:SendTaskSuccess on " + sfntest.Machine + ": ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it"},
		{"expired session", sfntest.Error("ExpiredTokenException"), `your AWS session has expired: sign in again, for example with "aws sso login"`},
		{"throttled for good", sfntest.Error("ThrottlingException"), "AWS has throttled states:SendTaskSuccess again and again (ThrottlingException): wait a minute and try again"},
		{"refused with the token in the message", refusal{quoting.Error()}, "states:SendTaskSuccess refused the answer (ValidationException): nothing is decided"},
		{"no address", &net.DNSError{Err: "no such host", Name: "states.eu-west-1.amazonaws.com"}, "Step Functions can't be reached (lookup states.eu-west-1.amazonaws.com: no such host): check the region in " + sfntest.Machine + ", the network, and AWS_ENDPOINT_URL if it is set"},
		{"no connection", fmt.Errorf("%s: %w", quoting, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}), "Step Functions can't be reached (dial tcp: connection refused): check the region in " + sfntest.Machine + ", the network, and AWS_ENDPOINT_URL if it is set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sfntest.Service{OnSend: func(context.Context, func() error) error { return test.err }}
			s.Start("order-1", noon).Ask(noon, token, sell)
			desk := newDesk(t, s)
			_, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Approve, "")
			wantError(t, err, nil, test.want)
			if n := len(s.Calls("SendTask")); n != 1 {
				t.Errorf("sent %d times, want once", n)
			}
		})
	}
}

// refusal is an error of the API whose message quotes what was sent.
type refusal struct{ message string }

func (r refusal) Error() string               { return "ValidationException: " + r.message }
func (r refusal) ErrorCode() string           { return "ValidationException" }
func (r refusal) ErrorMessage() string        { return r.message }
func (refusal) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }

// A history may lag behind the answer.
func TestRecordComesLate(t *testing.T) {
	for _, test := range []struct {
		name string
		lag  time.Duration
		want string
	}{
		{"by a second", time.Second, "Declined by jo at 00:00 UTC. Nothing was traded."},
		{"by a minute", time.Minute, "Step Functions has taken the answer; the history does not show it yet."},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sfntest.Service{}
				s.Start("order-1", time.Now()).Ask(time.Now(), token, sell)
				desk := newDesk(t, s)
				w := find(t, desk, "order-1")
				s.OnSend = func(ctx context.Context, call func() error) error {
					old, _ := s.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &w.Execution, ReverseOrder: true})
					sent := time.Now()
					s.OnHistory = func(_ context.Context, _ string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
						if time.Since(sent) < test.lag {
							return old, nil
						}
						return call()
					}
					return call()
				}
				record, err := desk.Decide(t.Context(), w, decision.Decline, "")
				if err != nil || record.String() != test.want {
					t.Errorf("got %q and error %v, want %q", record, err, test.want)
				}
			})
		})
	}
}

// The history has the answer, and what the execution does next a moment later.
func TestRecordComesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sfntest.Service{}
		x := s.Start("order-1", time.Now()).Ask(time.Now(), token, sell)
		s.OnSend = func(context.Context, func() error) error {
			x.Append(time.Now(), sfntest.Failed("TradeDeclined", "no reason given (decided by "+me+")"))
			time.AfterFunc(time.Second, func() { x.Append(time.Now(), sfntest.Entered("Pass", "Trade Declined")) })
			return nil
		}
		desk := newDesk(t, s)
		record, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Decline, "")
		if err != nil || record.Next != "Trade Declined" {
			t.Errorf("got %q and error %v", record, err)
		}
	})
}

// A cause that the API would refuse can't come about.
func TestCauseIsWithinTheLimit(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	desk := decision.New(s, machine, func(context.Context) (string, error) { return strings.Repeat("é", 100000), nil })
	if _, err := desk.Decide(t.Context(), find(t, desk, "order-1"), decision.Decline, strings.Repeat("x", decision.MaxReason)); err != nil {
		t.Fatal(err)
	}
	if n := utf8.RuneCountInString(s.Calls("SendTask")[0]); n > 2000 {
		t.Errorf("sent %d characters", n)
	}
}

func TestAct(t *testing.T) {
	for _, test := range []struct {
		recommended string
		answer      decision.Answer
		want        string
	}{
		{"sell", decision.Approve, "Sell 5 AMZN at $62, $310 in all, as recommended"},
		{"buy", decision.Approve, "Buy 5 AMZN at $62, $310 in all, as recommended"},
		{"sell", decision.Sell, "Sell 5 AMZN at $62, $310 in all, as recommended"},
		{"sell", decision.Buy, "Buy 5 AMZN at $62, $310 in all, against the recommendation to sell"},
		{"buy", decision.Sell, "Sell 5 AMZN at $62, $310 in all, against the recommendation to buy"},
		{"hold", decision.Sell, "Sell 5 AMZN at $62, $310 in all"},
		{"buy", decision.Decline, "Decline to buy 5 AMZN at $62, $310 in all; nothing is traded"},
		{"hold", decision.Decline, "Decline to trade 5 AMZN at $62, $310 in all; nothing is traded"},
	} {
		s := &sfntest.Service{}
		s.Start("order-1", noon).Ask(noon, token, sfntest.Quote("AMZN", 62, 5, test.recommended))
		got, err := find(t, newDesk(t, s), "order-1").Act(test.answer)
		if err != nil || got != test.want {
			t.Errorf("%s where %s is recommended: got %q and error %v, want %q", test.answer, test.recommended, got, err, test.want)
		}
	}
}
