package decision

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/desk/timefmt"
	"stocktrading/lambdas/trading"
)

// waitResource is the resource of the state that asks, as a history has it.
const waitResource = "sendMessage.waitForTaskToken"

// trail is the end of an execution's history: an event, and what followed it.
type trail struct {
	found *types.HistoryEvent  // nil if the history has no such event
	after []types.HistoryEvent // oldest first
}

// history reads an execution's history backwards up to the event that stop names.
func (d *Desk) history(ctx context.Context, execution string, page int32, stop func(types.HistoryEvent) bool) (trail, error) {
	var (
		t    trail
		next *string
	)
	for {
		if err := d.histories.Wait(ctx); err != nil {
			return trail{}, explain(ctx, getExecutionHistory, execution, err)
		}
		out, err := d.client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{
			ExecutionArn: aws.String(execution),
			ReverseOrder: true,
			MaxResults:   page,
			NextToken:    next,
		})
		if err != nil {
			return trail{}, explain(ctx, getExecutionHistory, execution, err)
		}
		for _, e := range out.Events {
			if stop(e) {
				t.found = &e
				break
			}
			t.after = append(t.after, e)
		}
		if next = out.NextToken; next == nil || t.found != nil {
			slices.Reverse(t.after)
			return t, nil
		}
	}
}

// asks reports whether an event begins a wait for a person.
func asks(e types.HistoryEvent) bool {
	return e.Type == types.HistoryEventTypeTaskScheduled && e.TaskScheduledEventDetails != nil &&
		aws.ToString(e.TaskScheduledEventDetails.Resource) == waitResource
}

// closes reports whether an event is one after which no earlier wait is open. Events of
// unknown types are not: showing a wait that is over does no harm, because its token is
// refused, but hiding an open one would.
func closes(e types.HistoryEvent) bool {
	switch e.Type {
	case types.HistoryEventTypeTaskScheduled, types.HistoryEventTypeTaskStartFailed, types.HistoryEventTypeTaskSubmitFailed,
		types.HistoryEventTypeTaskSucceeded, types.HistoryEventTypeTaskFailed, types.HistoryEventTypeTaskTimedOut:
		return true
	}
	name := string(e.Type)
	return ends(e) || strings.HasSuffix(name, "StateEntered") || strings.HasSuffix(name, "StateExited") || strings.HasSuffix(name, "StateAborted")
}

// ends reports whether an event is about the execution itself. Within a running execution
// these are its start and its redrive, after which it doesn't wait either.
func ends(e types.HistoryEvent) bool { return strings.HasPrefix(string(e.Type), "Execution") }

// Record is how a wait for a person ended, as the execution's history has it.
type Record struct {
	Event  string    // the type of the event that ended it, such as TaskSucceeded; empty if the history has none yet
	At     time.Time // of the event
	What   string    // such as "approved", "changed to buy", "declined" or "expired"
	By     string    // who decided, as they said so: an ARN, or "automatic approval"; empty if nobody did
	Reason string    // the person's, or the cause of a failure; empty if none was given
	Next   string    // the state that the execution went on to; empty if it isn't there yet
}

// What a Record says where nothing is traded.
const (
	declined = "declined"
	expired  = "expired"
)

// String says what was recorded in a person's words, such as "Declined by ana at 10:46 UTC:
// too expensive. Nothing was traded."
func (r Record) String() string {
	if r.Event == "" {
		return "Step Functions has taken the answer; the history does not show it yet."
	}
	s := Sentence(r.phrase())
	switch {
	case r.What == declined, r.What == expired:
		s += " Nothing was traded."
	case r.Next == buyState:
		s += " It buys now."
	case r.Next == sellState:
		s += " It sells now."
	}
	return s
}

// phrase is what was recorded, as part of a sentence.
func (r Record) phrase() string {
	s := r.What
	if r.By != "" {
		s += " by " + Person(r.By)
	}
	s += " at " + timefmt.Clock(r.At, time.Now())
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

// Details are the technical names of what was recorded, such as "TaskFailed at
// 2026-01-02T10:46:00Z by arn:aws:iam::123456789012:user/ana, then Trade Declined".
func (r Record) Details() string {
	s := r.Event + " at " + stamp(r.At)
	if r.By != "" {
		s += " by " + r.By
	}
	if r.Next != "" {
		s += ", then " + r.Next
	}
	return s
}

// Person is the name that the ARN of a caller ends with: that of a user or of a role's
// session. What is not an ARN is returned as it is.
func Person(arn string) string { return arn[strings.LastIndexAny(arn, "/:")+1:] }

// Sentence makes a text begin with a capital letter and end with a full stop.
func Sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// record returns how the wait ended that the trail begins with, and whether it has.
func (t trail) record() (Record, bool) {
	i := slices.IndexFunc(t.after, closes)
	if i < 0 {
		return Record{}, false
	}
	e := t.after[i]
	r := Record{Event: string(e.Type), At: aws.ToTime(e.Timestamp)}
	r.What, r.By, r.Reason = t.meaning(e)
	for _, e := range t.after[i:] {
		switch {
		case asks(e):
			r.Next = "a new request"
			return r, true
		case e.StateEnteredEventDetails != nil && e.Type != types.HistoryEventTypeChoiceStateEntered:
			// A choice is passed at once. What it chose says more to a person.
			r.Next = trading.OneLine(aws.ToString(e.StateEnteredEventDetails.Name), 80)
			return r, true
		}
	}
	return r, true
}

// decidedBy is the cause that compose has made of a reason and a person.
var decidedBy = regexp.MustCompile(`^(?s)(.*) \(decided by (.*)\)$`)

// meaning says what the event means that ended a wait, who decided so, and why.
func (t trail) meaning(e types.HistoryEvent) (what, by, reason string) {
	switch e.Type {
	case types.HistoryEventTypeTaskSucceeded:
		a := readApproval(e)
		return "approved", trading.OneLine(a.DecidedBy, maxARN), trading.OneLine(a.Reason, MaxReason)
	case types.HistoryEventTypeTaskFailed:
		name, cause := readRefusal(e)
		what = map[string]string{
			trading.BuyInstead:    "changed to buy",
			trading.SellInstead:   "changed to sell",
			trading.TradeDeclined: declined,
		}[name]
		if what == "" {
			what = "failed as " + trading.OneLine(name, 80)
		}
		if part := decidedBy.FindStringSubmatch(cause); part != nil {
			cause, by = part[1], trading.OneLine(part[2], maxARN)
		}
		if cause == noReason {
			cause = ""
		}
		return what, by, trading.OneLine(cause, MaxReason+maxARN)
	case types.HistoryEventTypeTaskTimedOut:
		return expired, "", ""
	case types.HistoryEventTypeTaskSubmitFailed, types.HistoryEventTypeTaskStartFailed:
		return "not sent to the queue", "", ""
	case types.HistoryEventTypeTaskScheduled:
		return "asked anew", "", ""
	}
	if last := t.after[len(t.after)-1]; ends(last) {
		e = last
	}
	switch e.Type {
	case types.HistoryEventTypeExecutionTimedOut:
		return "ended by the execution's own timeout", "", ""
	case types.HistoryEventTypeExecutionAborted, types.HistoryEventTypeTaskStateAborted:
		return "stopped with the execution", "", ""
	}
	return "left by the execution", "", ""
}

// approval is the output of the task that an approval ends.
type approval struct {
	Decision  Answer `json:"decision"`
	DecidedBy string `json:"decided_by"`
	Reason    string `json:"reason,omitempty"`
}

// readApproval reads what an approval says. Whoever may answer can send any output, so it
// may say nothing.
func readApproval(e types.HistoryEvent) (a approval) {
	if details := e.TaskSucceededEventDetails; details != nil {
		_ = json.Unmarshal([]byte(aws.ToString(details.Output)), &a)
	}
	return a
}

func readRefusal(e types.HistoryEvent) (name, cause string) {
	if details := e.TaskFailedEventDetails; details != nil {
		return aws.ToString(details.Error), aws.ToString(details.Cause)
	}
	return "", ""
}

// notYet is the error for an execution whose history has no wait.
func (t trail) notYet(execution string) error {
	if n := len(t.after); n > 0 {
		if last := t.after[n-1]; ends(last) && last.Type != types.HistoryEventTypeExecutionStarted && last.Type != types.HistoryEventTypeExecutionRedriven {
			return errorf(ErrGone, "%s asked nobody and is over (%s at %s): there is nothing to decide", nameOf(execution), last.Type, stamp(aws.ToTime(last.Timestamp)))
		}
	}
	for _, e := range slices.Backward(t.after) {
		if e.StateEnteredEventDetails != nil {
			return errorf(ErrNotYet, "%s does not wait for a decision yet, it is at %s: try again in a moment",
				nameOf(execution), trading.OneLine(aws.ToString(e.StateEnteredEventDetails.Name), 80))
		}
	}
	return errorf(ErrNotYet, "%s does not wait for a decision yet, it has just begun: try again in a moment", nameOf(execution))
}

// gone is the error for a wait that is over. sent says what became of the answer.
func gone(execution, sent string, r Record) error {
	text := "too late, " + sent + " for " + nameOf(execution) + ": " + r.phrase()
	switch {
	case r.What == declined, r.What == expired:
		text += "; nothing was traded"
	case r.Next != "":
		text += "; it went on with " + r.Next
	}
	return errorf(ErrGone, "%s", text)
}
