package decision

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"golang.org/x/sync/errgroup"

	"stocktrading/lambdas/trading"
)

// Outcome is what came of an execution. The first four are those of the reports.
type Outcome string

// The outcomes.
const (
	Traded   Outcome = trading.OutcomeTraded
	Declined Outcome = declined
	Expired  Outcome = expired
	Failed   Outcome = "failed"  // also of an execution that was stopped or ran out of time
	Waiting  Outcome = "waiting" // for a person
	Running  Outcome = "running" // and waits for nobody
)

// Certainty says whether anything was traded. It is a report's trade_placed.
type Certainty string

// The answers to whether anything was traded.
const (
	Yes     Certainty = "yes"
	No      Certainty = "no"
	Unknown Certainty = "unknown" // an order may have been placed: look at the broker's
)

// Trade is one execution in a person's words: what was asked, who decided, and what came of
// it. What was not read or did not happen is the zero value. Its texts are safe to show on
// a line, and hold no task token.
type Trade struct {
	Execution string // its ARN
	Started   time.Time
	Ended     time.Time // zero while it runs

	// Quote is what was asked to trade. Of an execution that has no quote, it holds no more
	// than the symbol and the quantity of the input.
	Quote       trading.Quote
	Recommended string       // a trading.Side, if all is well
	Side        trading.Side // that the decision chose, recommended or not; empty if it chose none

	Asked    time.Time // when the person was asked, the last time
	Decision Record    // how that ended; its Event is empty while the execution waits
	Outcome  Outcome
	Placed   Certainty // whether anything was traded
	Failure  string    // of one that failed: why, in one sentence without its full stop
}

// Name is the execution's name, safe to show on one line.
func (t Trade) Name() string { return nameOf(t.Execution) }

// Took is how long the person took from the request to the decision, or 0 if nobody decided.
func (t Trade) Took() time.Duration {
	if t.Decision.By == "" || t.Asked.IsZero() {
		return 0
	}
	return max(0, t.Decision.At.Sub(t.Asked))
}

// Act names what was decided, such as "Buy 5 AMZN at $75, $375 in all, against the
// recommendation to sell", or what is recommended while or where nobody chose to trade, such as
// "Recommended: sell 5 AMZN at $75, $375 in all". Without a quote, it says as much as is known.
func (t Trade) Act() string {
	act := t.Quote.Symbol
	if t.Quote.Qty > 0 {
		act = strings.TrimSpace(fmt.Sprint(t.Quote.Qty) + " " + act)
	}
	if t.Quote.QuoteID != "" {
		act += " at " + cmp.Or(t.Quote.Limit(), trading.Dollars(t.Quote.Price())) + ", " + trading.Dollars(t.Quote.Total()) + " in all"
	}
	switch recommended := trading.Side(t.Recommended); {
	case t.Recommended == "":
		return act
	case t.Side == "":
		return "Recommended: " + t.Recommended + " " + act
	case t.Side != recommended:
		act += ", against the recommendation to " + t.Recommended
	}
	return strings.ToUpper(string(t.Side[:1])) + string(t.Side[1:]) + " " + act
}

// String is the whole in a few sentences: "Declined by ana at 10:46 UTC. Nothing was traded."
func (t Trade) String() string { return strings.TrimSpace(t.Decided() + " " + t.Result()) }

// Decided says in a sentence how the wait for a person ended, or is empty.
func (t Trade) Decided() string {
	if t.Decision.Event == "" {
		return ""
	}
	return Sentence(t.Decision.phrase())
}

// Result says why it failed, if it did, and whether anything was traded.
func (t Trade) Result() string {
	switch {
	case t.Outcome == Waiting:
		return "It waits for a decision."
	case t.Outcome == Running:
		return "It still runs."
	case t.Failure != "":
		return Sentence(t.Failure) + " " + t.Placed.sentence()
	}
	return t.Placed.sentence()
}

// At is when it was decided, or else ended, or else began.
func (t Trade) At() time.Time { return cmp.Or(t.Decision.At, t.Ended, t.Started) }

func (c Certainty) sentence() string {
	switch c {
	case Yes:
		return "It was traded."
	case No:
		return "Nothing was traded."
	}
	return "Whether anything was traded is unknown: look at the broker's orders."
}

// details are the technical names.
func (t Trade) details() string {
	text := t.Execution + ", started at " + stamp(t.Started)
	if t.Decision.Event != "" {
		text += ", " + t.Decision.Details()
	}
	return trading.OneLine(text, 4*maxARN)
}

// MarshalJSON writes the trade for scripts, in ASCII. What is unknown or did not happen is null.
func (t Trade) MarshalJSON() ([]byte, error) {
	type text = *string
	var took *float64
	if d := t.Took(); d > 0 {
		took = new(d.Seconds())
	}
	var price, total *json.Number
	if t.Quote.QuoteID != "" {
		price, total = number(t.Quote.Price()), number(t.Quote.Total())
	}
	return marshalASCII(struct {
		Execution      string       `json:"execution"`
		Started        *time.Time   `json:"started"`
		Ended          *time.Time   `json:"ended"`
		Market         text         `json:"market"`
		Symbol         text         `json:"symbol"`
		Qty            *int         `json:"qty"`
		Price          *json.Number `json:"price"`
		Total          *json.Number `json:"total"`
		Recommendation text         `json:"recommendation"`
		Side           text         `json:"side"`
		Asked          *time.Time   `json:"asked"`
		Decided        *time.Time   `json:"decided"`
		Took           *float64     `json:"took_seconds"`
		Decision       text         `json:"decision"`
		By             text         `json:"decided_by"`
		Reason         text         `json:"reason"`
		Outcome        Outcome      `json:"outcome"`
		Placed         Certainty    `json:"trade_placed"`
		Failure        text         `json:"failure"`
	}{
		t.Execution, instant(t.Started), instant(t.Ended), given(string(t.Quote.Market)), given(t.Quote.Symbol), given(t.Quote.Qty), price, total,
		given(t.Recommended), given(string(t.Side)), instant(t.Asked), instant(t.Decision.At), took, given(t.Decision.What), given(t.Decision.By), given(t.Decision.Reason),
		t.Outcome, t.Placed, given(t.Failure),
	})
}

// given is nil for a zero value.
func given[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// Filter chooses trades. The zero value chooses all.
type Filter struct {
	Since, Before time.Time             // the execution started at Since or later, and before Before; zero for no limit
	By            string                // who decided: an ARN or the name that it ends with, in any case
	Status        types.ExecutionStatus // of the execution
}

func (f Filter) matches(t Trade) bool {
	return f.By == "" || t.Decision.By != "" && (strings.EqualFold(f.By, t.Decision.By) || strings.EqualFold(f.By, Person(t.Decision.By)))
}

const (
	tradePage    = 25   // executions in a page of trades; each takes a call
	tradeReaders = 4    // histories read at once
	tradeMemory  = 1000 // trades that are remembered; those that are over don't change
)

// remembered is a trade that is over. A redrive changes that.
type remembered struct {
	trade    Trade
	redrives int32
}

// Trades returns a page of the trades that a filter chooses, newest first. page is what the
// page before returned as next, and empty for the first; next is empty after the last. A
// page reads up to 25 executions, so it may hold fewer trades, or none, even if others
// follow. It takes one call of ListExecutions and one of GetExecutionHistory for
// each execution that runs, or that the desk has not seen the end of.
func (d *Desk) Trades(ctx context.Context, f Filter, page string) (trades []Trade, next string, err error) {
	if err := d.lists.Wait(ctx); err != nil {
		return nil, "", explain(ctx, listExecutions, d.machine.ARN, err)
	}
	in := &sfn.ListExecutionsInput{StateMachineArn: aws.String(d.machine.ARN), StatusFilter: f.Status, MaxResults: tradePage}
	if page != "" {
		in.NextToken = aws.String(page)
	}
	out, err := d.client.ListExecutions(ctx, in)
	if err != nil {
		return nil, "", explain(ctx, listExecutions, d.machine.ARN, err)
	}
	next = aws.ToString(out.NextToken)
	var chosen []types.ExecutionListItem
	for _, item := range out.Executions {
		started := aws.ToTime(item.StartDate)
		switch {
		case !f.Before.IsZero() && !started.Before(f.Before):
		case started.Before(f.Since):
			next = "" // those that follow are older
		default:
			chosen = append(chosen, item)
		}
	}
	trades = make([]Trade, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(tradeReaders)
	for i, item := range chosen {
		group.Go(func() (err error) {
			trades[i], err = d.trade(ctx, item)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, "", err
	}
	return slices.DeleteFunc(trades, func(t Trade) bool { return !f.matches(t) }), next, nil
}

// trade reads what came of one execution of a list, or remembers it.
func (d *Desk) trade(ctx context.Context, item types.ExecutionListItem) (Trade, error) {
	arn, redrives := aws.ToString(item.ExecutionArn), aws.ToInt32(item.RedriveCount)
	d.mu.Lock()
	past, ok := d.over[arn]
	d.mu.Unlock()
	if ok && past.redrives == redrives {
		return past.trade, nil
	}
	events, err := d.wholeHistory(ctx, arn)
	if err != nil {
		return Trade{}, err
	}
	t := readTrade(arn, events)
	if item.Status != types.ExecutionStatusRunning {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.over) >= tradeMemory {
			clear(d.over)
		}
		d.over[arn] = remembered{t, redrives}
	}
	return t, nil
}

// readTrade reads a trade from an execution's whole history, oldest event first.
func readTrade(arn string, history []types.HistoryEvent) Trade {
	var (
		t        = Trade{Execution: arn, Outcome: Running, Placed: No}
		state    string // that was entered last
		reported report // what was handed to the topic, or was about to be
		secrets  redaction
	)
	for i, e := range history {
		event := readEvent(e)
		for _, text := range event.texts() {
			secrets.collect(*text)
		}
		switch {
		case e.Type == types.HistoryEventTypeExecutionStarted:
			t.Started = event.At
			var r trading.Request
			if json.Unmarshal([]byte(event.Input), &r) == nil {
				t.Quote.Symbol, t.Quote.Qty = r.Symbol, r.Qty
			}
		case e.Type == types.HistoryEventTypeExecutionRedriven:
			t.Ended, t.Outcome, t.Failure = time.Time{}, Running, ""
		case ends(e):
			t.Ended = event.At
			t.end(event, reported)
		case asks(e):
			t.ask(readWait(arn, e), trail{found: &e, after: history[i+1:]})
		case strings.HasSuffix(event.Type, "StateEntered"):
			state = event.State
			switch state {
			case buyState, sellState:
				t.Placed = Unknown
				t.Side = map[string]trading.Side{buyState: trading.Buy, sellState: trading.Sell}[state]
			case reportState, "Report Failure", "Report Not Sent":
				reported = report{}
				_ = json.Unmarshal([]byte(event.Input), &reported) // what can't be read counts as unknown
				t.Placed = cmp.Or(map[Outcome]Certainty{Traded: Yes, Declined: No, Expired: No}[reported.Outcome],
					map[Certainty]Certainty{Yes: Yes, No: No}[reported.Placed], Unknown)
			}
		case strings.HasSuffix(event.Type, "Succeeded") && (state == buyState || state == sellState):
			t.Placed = Yes
		}
	}
	for _, text := range []*string{&t.Failure, &t.Decision.What, &t.Decision.By, &t.Decision.Reason} {
		*text = secrets.apply(*text)
	}
	return t
}

// ask records what a person was asked, and what the history holds of the answer.
func (t *Trade) ask(w Wait, rest trail) {
	t.Asked, t.Outcome, t.Decision = w.Since, Waiting, Record{}
	if w.Problem == "" {
		t.Quote, t.Recommended = w.Quote, trading.OneLine(w.Recommended, 20)
	}
	r, over := rest.record()
	if !over {
		return
	}
	t.Decision, t.Outcome = r, Running
	switch r.What {
	case "approved":
		t.Side, _ = w.side()
	case "changed to buy":
		t.Side = trading.Buy
	case "changed to sell":
		t.Side = trading.Sell
	}
}

// report is what the state machine reports, as far as a Trade uses it.
type report struct {
	Outcome       Outcome
	Placed        Certainty `json:"trade_placed"`
	FailedState   string    `json:"failed_state"`
	Failure       fault
	ReportFailure *fault `json:"report_failure"`
}

// fault is an error of a state.
type fault struct{ Error, Cause string }

// String is the message of the fault, with its name behind it.
func (f fault) String() string {
	// A function's cause is JSON; see "Lambda function errors in Go" in the Lambda guide.
	var function struct{ ErrorMessage string }
	if json.Unmarshal([]byte(f.Cause), &function) == nil && function.ErrorMessage != "" {
		f.Cause = function.ErrorMessage
	}
	name, cause := trading.OneLine(f.Error, 80), strings.TrimSuffix(trading.OneLine(f.Cause, MaxReason), ".")
	if name == "" || cause == "" || name == cause {
		return cmp.Or(cause, name, "no reason is given")
	}
	return cause + " (" + name + ")"
}

// end records how the execution ended.
func (t *Trade) end(e Event, r report) {
	t.Outcome = Failed
	f := fault{e.Error, e.Cause}
	switch {
	case e.Type == string(types.HistoryEventTypeExecutionSucceeded):
		if slices.Contains([]Outcome{Traded, Declined, Expired}, r.Outcome) {
			t.Outcome = r.Outcome
		} else {
			t.Failure = "the execution ended without a report"
		}
		return
	case e.Type == string(types.HistoryEventTypeExecutionAborted) && f == fault{}:
		t.Failure = "the execution was stopped"
	case e.Type == string(types.HistoryEventTypeExecutionAborted):
		t.Failure = "the execution was stopped: " + f.String()
	case e.Type == string(types.HistoryEventTypeExecutionTimedOut):
		t.Failure = "the execution's own time ran out"
	case r.FailedState != "":
		t.Failure = trading.OneLine(r.FailedState, 80) + " failed: " + r.Failure.String()
	case r.ReportFailure == nil:
		t.Failure = "the execution failed: " + f.String()
	}
	if r.ReportFailure != nil && e.Type == string(types.HistoryEventTypeExecutionFailed) {
		if t.Failure != "" {
			t.Failure += "; then "
		}
		t.Failure += "the report could not be published: " + r.ReportFailure.String()
	}
}
