package decision

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

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

// asks tells whether an event begins a wait for a person.
func asks(e types.HistoryEvent) bool {
	return e.Type == types.HistoryEventTypeTaskScheduled && e.TaskScheduledEventDetails != nil &&
		aws.ToString(e.TaskScheduledEventDetails.Resource) == waitResource
}

// closes tells whether an event is one after which an earlier wait is open no more. Events
// of a type that isn't known don't: to show a wait that is over does no harm, because its
// token is refused, and to hide one that is open would.
func closes(e types.HistoryEvent) bool {
	switch e.Type {
	case types.HistoryEventTypeTaskScheduled, types.HistoryEventTypeTaskStartFailed, types.HistoryEventTypeTaskSubmitFailed,
		types.HistoryEventTypeTaskSucceeded, types.HistoryEventTypeTaskFailed, types.HistoryEventTypeTaskTimedOut:
		return true
	}
	name := string(e.Type)
	return ends(e) || strings.HasSuffix(name, "StateEntered") || strings.HasSuffix(name, "StateExited") || strings.HasSuffix(name, "StateAborted")
}

// ends tells whether an event is about the execution itself. Within a running execution
// these are its start and its redrive, after which it doesn't wait either.
func ends(e types.HistoryEvent) bool { return strings.HasPrefix(string(e.Type), "Execution") }

// Record is what an execution's history holds about the end of a wait.
type Record struct {
	Event string    // the type of the event that ended it, such as TaskSucceeded; empty if the history has none yet
	At    time.Time // of the event
	What  string    // what it means, such as "approved by arn:…"
	Next  string    // the state that the execution went on to, or "" if it isn't there yet
}

// String is a sentence.
func (r Record) String() string {
	if r.Event == "" {
		return "Step Functions has taken the answer; the history does not show it yet."
	}
	s := "Recorded as " + r.Event + " at " + stamp(r.At) + ": " + r.What + "."
	if r.Next != "" {
		s += " The execution goes on with " + r.Next + "."
	}
	return s
}

// record returns how the wait ended that the trail begins with, and whether it has.
func (t trail) record() (Record, bool) {
	i := slices.IndexFunc(t.after, closes)
	if i < 0 {
		return Record{}, false
	}
	e := t.after[i]
	r := Record{Event: string(e.Type), At: aws.ToTime(e.Timestamp), What: t.meaning(e)}
	for _, e := range t.after[i:] {
		switch {
		case asks(e):
			r.Next = "a new request"
			return r, true
		case e.StateEnteredEventDetails != nil && e.Type != types.HistoryEventTypeChoiceStateEntered:
			// A choice is passed at once. What it chose tells a person more.
			r.Next = trading.OneLine(aws.ToString(e.StateEnteredEventDetails.Name), 80)
			return r, true
		}
	}
	return r, true
}

// meaning says what the event means that ended a wait.
func (t trail) meaning(e types.HistoryEvent) string {
	switch e.Type {
	case types.HistoryEventTypeTaskSucceeded:
		a := readApproval(e)
		s := "approved"
		if a.DecidedBy != "" {
			s += " by " + trading.OneLine(a.DecidedBy, maxARN)
		}
		if a.Reason != "" {
			s += ", " + trading.OneLine(a.Reason, MaxReason)
		}
		return s
	case types.HistoryEventTypeTaskFailed:
		name, cause := readRefusal(e)
		said := map[string]string{
			trading.BuyInstead:    "buy instead",
			trading.SellInstead:   "sell instead",
			trading.TradeDeclined: "declined",
		}[name]
		if said == "" {
			said = "failed as " + trading.OneLine(name, 80)
		}
		if cause == "" {
			return said
		}
		return said + ", " + trading.OneLine(cause, MaxReason+maxARN)
	case types.HistoryEventTypeTaskTimedOut:
		return "expired"
	case types.HistoryEventTypeTaskSubmitFailed, types.HistoryEventTypeTaskStartFailed:
		return "the request could not be sent to the queue"
	case types.HistoryEventTypeTaskScheduled:
		return "asked anew"
	}
	if last := t.after[len(t.after)-1]; ends(last) {
		e = last
	}
	switch e.Type {
	case types.HistoryEventTypeExecutionTimedOut:
		return "the execution's own time ran out"
	case types.HistoryEventTypeExecutionAborted, types.HistoryEventTypeTaskStateAborted:
		return "the execution was stopped"
	}
	return "the execution moved on"
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
			return problem(ErrGone, "%s asked nobody and is over (%s at %s): there is nothing to decide", nameOf(execution), last.Type, stamp(aws.ToTime(last.Timestamp)))
		}
	}
	for _, e := range slices.Backward(t.after) {
		if e.StateEnteredEventDetails != nil {
			return problem(ErrNotYet, "%s does not wait for a decision yet, it is at %s: try again in a moment",
				nameOf(execution), trading.OneLine(aws.ToString(e.StateEnteredEventDetails.Name), 80))
		}
	}
	return problem(ErrNotYet, "%s does not wait for a decision yet, it has just begun: try again in a moment", nameOf(execution))
}

// gone is the error for a wait that is over. sent says what became of the answer.
func gone(execution, sent string, r Record) error {
	s := "too late, " + sent + " for " + nameOf(execution) + ": " + r.What + " at " + stamp(r.At)
	if r.Next != "" {
		s += ", then " + r.Next
	}
	return problem(ErrGone, "%s", s)
}
