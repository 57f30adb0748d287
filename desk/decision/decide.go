package decision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/desk/timefmt"
	"stocktrading/lambdas/trading"
)

// Answer is what a person says to a request.
type Answer string

// The answers, and that of a person who decides later: none.
const (
	Approve Answer = "approve" // do as recommended
	Buy     Answer = "buy"     // the same as Approve where that is what is recommended
	Sell    Answer = "sell"
	Decline Answer = "decline" // trade nothing
	Later   Answer = ""
)

// MaxReason is how many characters a reason may have. The API would take a cause of 32,768.
const MaxReason = 1000

// CleanReason makes a reason fit to be recorded: one line, without what no one can see.
func CleanReason(reason string) (string, error) {
	reason = strings.Join(strings.Fields(reason), " ")
	reason = trading.OneLine(reason, len(reason)+1)
	if n := utf8.RuneCountInString(reason); n > MaxReason {
		return "", errorf(ErrWrongUse, "the reason has %d characters, and %d are allowed: shorten it", n, MaxReason)
	}
	return reason, nil
}

// side returns what is recommended, or false if that is neither to buy nor to sell.
func (w Wait) side() (trading.Side, bool) {
	side := trading.Side(w.Recommended)
	return side, side == trading.Buy || side == trading.Sell
}

// resolve turns the answer that names the recommended side into the approval.
func (w Wait) resolve(a Answer) (Answer, error) {
	side, ok := w.side()
	switch {
	case w.Problem != "":
		return "", errorf(nil, "nothing can be decided about %s, %s: stop the execution or let the request expire", w.Name(), w.Problem)
	case a == Approve && !ok:
		return "", errorf(ErrWrongUse, "%s recommends neither to buy nor to sell, so there is nothing to approve: answer buy, sell or decline", w.Name())
	case a == Buy && side == trading.Buy, a == Sell && side == trading.Sell:
		return Approve, nil
	case a == Approve, a == Buy, a == Sell, a == Decline:
		return a, nil
	}
	return "", errorf(ErrWrongUse, "%q is not an answer: approve, buy, sell or decline", trading.OneLine(string(a), 40))
}

// Act names what an answer does, as a headline: "Buy 5 AMZN at $75, $375 in all, against
// the recommendation to sell". Its error is ErrWrongUse where the answer can't be given.
func (w Wait) Act(a Answer) (string, error) {
	a, err := w.resolve(a)
	if err != nil {
		return "", err
	}
	recommended, ok := w.side()
	verb := map[Answer]string{Buy: "Buy", Sell: "Sell", Decline: "Decline to " + string(recommended)}[a]
	switch {
	case a == Approve && recommended == trading.Buy:
		verb = "Buy"
	case a == Approve:
		verb = "Sell"
	case a == Decline && !ok:
		verb = "Decline to trade"
	}
	act := fmt.Sprintf("%s %d %s at %s, %s in all", verb, w.Quote.Qty, w.Quote.Symbol,
		cmp.Or(w.Quote.Limit(), trading.Dollars(w.Quote.Price())), trading.Dollars(w.Quote.Total()))
	switch {
	case a == Decline:
		return act + "; nothing is traded", nil
	case a == Approve:
		act += ", as recommended"
	case ok:
		act += fmt.Sprintf(", against the recommendation to %s", recommended)
	}
	switch w.Quote.Market {
	case trading.LiveMarket:
		act += ", with REAL MONEY"
	case "":
		act += ", which will be refused: the request is of an older version of the app"
	}
	return act, nil
}

// QuoteAge is how old the quote is, such as "3h4m", and whether that is old enough to say
// so beside it: the price may have moved since.
func (w Wait) QuoteAge(now time.Time) (age string, old bool) {
	d := now.Sub(w.Quote.QuotedAt)
	return timefmt.Span(d.Truncate(time.Second)), d >= oldQuote
}

const oldQuote = 10 * time.Minute

// message is an answer as it is sent: the success of the task, or a failure with a name.
type message struct {
	approval     approval
	error, cause string // of a failure; the error of an approval is empty
}

// noReason stands in a cause where a reason would.
const noReason = "no reason given"

func compose(a Answer, reason, who string) message {
	if a == Approve {
		return message{approval: approval{Decision: Approve, DecidedBy: who, Reason: reason}}
	}
	return message{
		error: map[Answer]string{Buy: trading.BuyInstead, Sell: trading.SellInstead, Decline: trading.TradeDeclined}[a],
		cause: fmt.Sprintf("%s (decided by %s)", cmp.Or(reason, noReason), who),
	}
}

// made reports whether this message caused an event.
func (m message) made(e types.HistoryEvent) bool {
	switch e.Type {
	case types.HistoryEventTypeTaskSucceeded:
		return m.error == "" && readApproval(e) == m.approval
	case types.HistoryEventTypeTaskFailed:
		name, cause := readRefusal(e)
		return m.error != "" && name == m.error && cause == m.cause
	}
	return false
}

// action is the call that sends the message.
func (m message) action() action {
	if m.error == "" {
		return sendTaskSuccess
	}
	return sendTaskFailure
}

func (d *Desk) send(ctx context.Context, token secret, m message) error {
	if m.error != "" {
		_, err := d.client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{
			TaskToken: aws.String(token.reveal()),
			Error:     aws.String(m.error),
			Cause:     aws.String(m.cause),
		}, sendOnce)
		return err
	}
	output, err := json.Marshal(m.approval)
	if err != nil {
		return fmt.Errorf("encode approval: %w", err)
	}
	_, err = d.client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{
		TaskToken: aws.String(token.reveal()),
		Output:    aws.String(string(output)),
	}, sendOnce)
	return err
}

// Decide sends an answer to the wait and returns what the execution's history recorded.
// It sends nothing if the wait is not the one that is open now; then, and when another
// answer was faster, the error is ErrGone.
//
// An answer is sent once. If its reply is lost, the history shows whether it counted.
func (d *Desk) Decide(ctx context.Context, w Wait, a Answer, reason string) (Record, error) {
	a, err := w.resolve(a)
	if err != nil {
		return Record{}, err
	}
	if reason, err = CleanReason(reason); err != nil {
		return Record{}, err
	}
	who, err := d.caller(ctx)
	if err != nil {
		return Record{}, err
	}
	defer d.forget(w.Execution)
	if err := d.stillOpen(ctx, w); err != nil {
		return Record{}, err
	}
	if err := d.notDeleting(ctx, w); err != nil {
		return Record{}, err
	}
	m := compose(a, reason, who)
	return d.settle(ctx, w, m, d.send(ctx, w.token, m))
}

// Standing is what can be known of a person's right to decide before they try. No call says
// whether an answer would be taken: the policy simulator of IAM needs more permissions than
// the stack's ApproverPolicy gives.
type Standing struct {
	Caller string // the ARN of the person, as an answer would carry it
	Lacks  string // a permission of the ApproverPolicy that they certainly lack, or empty
}

// String says so: "You decide as ana."
func (s Standing) String() string {
	if s.Lacks == "" {
		return "You decide as " + Person(s.Caller) + "."
	}
	return "You are " + Person(s.Caller) + ", and Step Functions may refuse your answer: you lack " + s.Lacks +
		", which the stack's ApproverPolicy allows. The output ApproverPolicyArn names it."
}

// Standing finds out who decides, and whether they lack the ApproverPolicy. Its error is that
// of credentials that don't work. "desk check" tries all of the policy, with an execution of
// its own.
func (d *Desk) Standing(ctx context.Context) (Standing, error) {
	who, err := d.caller(ctx)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Caller: who}
	// The policy allows this in the same statement as the answers.
	_, err = d.client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(d.machine.ARN)})
	if denied(err) {
		s.Lacks = string(describeStateMachine)
	}
	return s, nil
}

// caller returns the ARN of the person who decides.
func (d *Desk) caller(ctx context.Context) (string, error) {
	who, err := d.who(ctx)
	if err != nil {
		return "", explain(ctx, getCallerIdentity, "", err)
	}
	if who = trading.OneLine(who, maxARN); who == "" {
		return "", errorf(nil, "nothing was sent, because it is unknown who decides: check the credentials")
	}
	return who, nil
}

// since reads what has followed the event that began a wait.
func (d *Desk) since(ctx context.Context, w Wait) (trail, error) {
	return d.history(ctx, w.Execution, wholePage, func(e types.HistoryEvent) bool { return e.Id <= w.event })
}

// stillOpen returns an error if the wait is not open now. The history alone says so: this
// machine's clock may be wrong, and Step Functions refuses what is late.
func (d *Desk) stillOpen(ctx context.Context, w Wait) error {
	t, err := d.since(ctx, w)
	if err != nil {
		return err
	}
	if t.found == nil || !asks(*t.found) || readWait(w.Execution, *t.found).token.reveal() != w.token.reveal() {
		return errorf(ErrGone, "nothing was sent for %s: its history is not the one that was shown; look again before you decide", w.Name())
	}
	if r, over := t.record(); over {
		return gone(w.Execution, "nothing was sent", r)
	}
	return nil
}

// notDeleting returns an error if the state machine is being deleted. Step Functions still takes
// answers then, and ends each execution at its next step. A failure to find out
// does not keep anybody from deciding.
func (d *Desk) notDeleting(ctx context.Context, w Wait) error {
	out, err := d.client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(d.machine.ARN)})
	if err == nil && out.Status == types.StateMachineStatusDeleting {
		return errorf(ErrGone, "nothing was sent for %s: its state machine is being deleted, and AWS ends the execution at its next step, so nothing would be traded or reported; stop the execution", w.Name())
	}
	return nil
}

// How long the history may take to show an answer.
var lags = []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, time.Second, 2 * time.Second}

// settle reads from the history whether the answer counted; sent is the error of sending it.
func (d *Desk) settle(ctx context.Context, w Wait, m message, sent error) (Record, error) {
	verdict := judge(sent)
	if verdict == notTaken {
		return Record{}, explain(ctx, m.action(), d.machine.ARN, sent)
	}
	// Whoever interrupts now wants to leave, but should learn whether the answer counted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()

	var (
		r    Record
		over bool
		mine bool
		err  error
	)
	for _, lag := range lags {
		if !pause(ctx, lag) {
			break
		}
		var t trail
		if t, err = d.since(ctx, w); err != nil {
			break
		}
		if r, over = t.record(); over {
			mine = m.made(t.after[slices.IndexFunc(t.after, closes)])
			if r.Next != "" || ends(t.after[len(t.after)-1]) {
				break
			}
		}
	}
	switch {
	case over && (!mine || verdict == tooLate):
		return Record{}, gone(w.Execution, "the answer did not count", r)
	case over:
		return r, nil
	case verdict == taken:
		return Record{}, nil // its String says so
	case verdict == tooLate:
		return Record{}, errorf(ErrGone, "too late, the answer for %s did not count: Step Functions takes none for this request any more", w.Name())
	case err != nil:
		return Record{}, errorf(nil, "the connection broke while the answer was sent, and the history can't be read (%v): look whether %s still waits before you answer again", err, w.Name())
	}
	return Record{}, errorf(nil, "the connection broke while the answer was sent, and %s still waits: nothing is recorded, so answer again", w.Name())
}

// verdict is what the reply to an answer says about it.
type verdict int

const (
	taken    verdict = iota // it counts
	tooLate                 // another was faster, or the time is over
	notTaken                // it does not count, and the wait is still open
	unknown                 // the reply was lost: it may count
)

func judge(err error) verdict {
	var (
		timedOut *types.TaskTimedOut
		gone     *types.TaskDoesNotExist
		token    *types.InvalidToken
	)
	switch {
	case err == nil:
		return taken
	case errors.As(err, &timedOut), errors.As(err, &gone), errors.As(err, &token):
		return tooLate
	case refused(err), unsent(err):
		return notTaken
	}
	return unknown
}
