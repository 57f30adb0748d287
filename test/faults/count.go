package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"stocktrading/lambdas/trading"
	"stocktrading/local/states"
)

// waitResource is the resource of the state that waits, as a history has it.
const waitResource = "sendMessage.waitForTaskToken"

// endOfExecution is what an execution's history shows when it has ended.
type endOfExecution struct {
	status       states.Status
	error, cause string
	quoteID      string
	recommended  string
	asked        bool   // its request was put on the queue
	askedAgain   bool   // after an answer
	answered     string // what the answer holds that was recorded, if any was
	allowed      string // the side of the trade that this answer allows, if it was given rightly
	timedOut     bool   // the wait did
}

// readEnd reads the history of an execution that has ended.
func (r *run) readEnd(x *execution, arn string) (endOfExecution, error) {
	described, err := r.system.Engine().DescribeExecution(arn)
	if err != nil {
		return endOfExecution{}, err
	}
	history, err := r.system.Engine().GetExecutionHistory(states.GetExecutionHistoryInput{ExecutionARN: arn, MaxResults: 1000})
	if err != nil {
		return endOfExecution{}, err
	}
	end := endOfExecution{status: described.Status, error: described.Error, cause: described.Cause}
	for _, e := range history.Events {
		if e.Type == "TaskStateExited" && e.Details.Name == "Generate Buy/Sell recommendation" {
			var quote struct {
				QuoteID     string `json:"quote_id"`
				Recommended string `json:"recommended_type"`
			}
			if err := json.Unmarshal([]byte(e.Details.Output), &quote); err != nil {
				return endOfExecution{}, fmt.Errorf("read the recommendation: %w", err)
			}
			end.quoteID, end.recommended = quote.QuoteID, quote.Recommended
		}
		if e.Details.Resource != waitResource {
			continue
		}
		answers := map[string]string{trading.BuyInstead: "buy", trading.SellInstead: "sell", trading.TradeDeclined: ""}
		switch e.Type {
		case "TaskScheduled":
			end.askedAgain = end.askedAgain || end.answered != ""
		case "TaskSubmitted":
			end.asked = true
		case "TaskTimedOut":
			end.timedOut = true
		case "TaskSucceeded":
			end.answered = e.Details.Output
			end.allowed = end.recommended
		case "TaskFailed":
			if side, ok := answers[e.Details.Error]; ok {
				end.answered = e.Details.Cause
				end.allowed = side
			}
		}
	}
	if s := r.sentIn([]byte(end.answered)); s == nil || !s.rightly || !slices.Contains(x.sent, s) {
		end.allowed = ""
	}
	return end, nil
}

// counter is a number that must be zero.
type counter int

const (
	unapproved counter = iota
	tradedTwice
	placedTwice
	wrongMarket
	denied
	unreported
	reportedOtherwise
	untrue
	acceptedInVain
	refusedButCounted
	intruded
	askedAgain
	unnoticed
	stray
	otherwise
	leftOver
	goroutines
	counters
)

var counterLabels = [counters]string{
	unapproved:        "trades without approval",
	tradedTwice:       "trades made twice",
	placedTwice:       "orders placed twice",
	wrongMarket:       "trades in the wrong market mode",
	denied:            "\"nothing was traded\" said of an order that exists",
	unreported:        "executions without a report",
	reportedOtherwise: "executions with two different reports",
	untrue:            "reports that say otherwise than what was traded",
	acceptedInVain:    "decisions told accepted that did not count",
	refusedButCounted: "decisions told refused that counted",
	intruded:          "decisions taken from those who may not decide",
	askedAgain:        "answers asked for again",
	unnoticed:         "waits without a notice",
	stray:             "notices that no execution asked for",
	otherwise:         "executions that ended otherwise than their faults allow",
	leftOver:          "messages left on the queue",
	goroutines:        "goroutines left (each process has one)",
}

// summary is what a run is counted to.
type summary struct {
	*run
	planned  [faults]int
	outcomes [outcomes]int
	zero     [counters]int
	examples [counters]string // of what should not be

	// What may be above 0.
	plannedUnsent, unsent int // executions whose report was made to fail for good
	reportsAgain          int // under their id
	noticesAgain          int
	tradesAgain           int              // under their id
	told                  [refused + 1]int // answers
	slow                  int              // executions that expired before they could be answered
}

func (r *run) summarize() *summary {
	s := &summary{run: r}
	for _, x := range r.executions {
		x.plan.count(&s.planned)
		if x.plan.exhausts(placeReport) {
			s.plannedUnsent++
		}
		s.add(x)
	}
	s.zero[stray] = int(r.strayNotices.Load())
	s.zero[leftOver] = r.left
	s.zero[goroutines] = r.goroutines
	return s
}

// found counts what should not be.
func (s *summary) found(c counter, x *execution, format string, args ...any) {
	if s.zero[c]++; s.zero[c] == 1 {
		s.examples[c] = fmt.Sprintf("%s: %s", x.name, fmt.Sprintf(format, args...))
	}
}

// report is what a report says.
type report struct {
	result, tradePlaced, id string
	trade                   trade // of a receipt
}

func readReport(message string) (report, error) {
	var m struct {
		Input struct {
			Outcome     string
			TradePlaced string `json:"trade_placed"`
			ID          string
			Type        string
			Symbol      string
			Price, Qty  any // a receipt has strings, the others have numbers
		}
	}
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		return report{}, fmt.Errorf("read report: %w", err)
	}
	i := m.Input
	return report{
		result: i.Outcome, tradePlaced: i.TradePlaced, id: i.ID,
		trade: trade{i.ID, i.Type, i.Symbol, fmt.Sprint(i.Price), fmt.Sprint(i.Qty)},
	}, nil
}

// add counts an execution.
func (s *summary) add(x *execution) {
	end := x.end
	for t, times := range x.trades {
		s.tradesAgain += times - 1
		if t.Side != end.allowed {
			s.found(unapproved, x, "%s, and the history allows %q", t.Side, end.allowed)
		}
	}
	if len(x.trades) > 1 {
		s.found(tradedTwice, x, "%v", x.trades)
	}
	if x.orders > 1 {
		s.found(placedTwice, x, "%d orders", x.orders)
	}
	if x.orders > 0 && slices.Contains(x.plan.faults[placeTrade], anotherMarket) {
		s.found(wrongMarket, x, "%v", x.trades)
	}
	if said := strings.Join(append(slices.Clone(x.reports), end.cause), "\n"); x.orders > 0 &&
		strings.Contains(said, "nothing was traded") && !strings.Contains(said, "found nobody to trade with") {
		s.found(denied, x, "%d orders: %s", x.orders, said)
	}
	if end.askedAgain {
		s.found(askedAgain, x, "after %s", end.answered)
	}
	switch {
	case end.asked && x.notices == 0:
		s.found(unnoticed, x, "its request was sent")
	case x.notices > 1:
		s.noticesAgain += x.notices - 1
	}
	s.addAnswers(x)
	s.addReports(x)
}

func (s *summary) addAnswers(x *execution) {
	counted := s.sentIn([]byte(x.end.answered))
	for _, a := range x.sent {
		s.told[a.told]++
		switch {
		case a.told == accepted && a != counted:
			s.found(acceptedInVain, x, "%s %s, and the history has %q", a.mark, a.decision, x.end.answered)
		case a.told == refused && a == counted:
			s.found(refusedButCounted, x, "%s %s", a.mark, a.decision)
		}
		if !a.rightly && (a.told == accepted || a == counted) {
			s.found(intruded, x, "%s %s", a.mark, a.decision)
		}
	}
}

func (s *summary) addReports(x *execution) {
	reports := slices.Compact(slices.Sorted(slices.Values(x.reports)))
	switch len(reports) {
	case 0:
		s.addUnreported(x)
		return
	case 1:
		s.reportsAgain += len(x.reports) - 1
	default:
		s.found(reportedOtherwise, x, "%v", reports)
	}
	said, err := readReport(x.reports[0])
	o, ok := said.outcome()
	if err != nil || !ok {
		s.found(untrue, x, "%s", x.reports[0])
		return
	}
	s.addOutcome(x, o)
	if truth := x.contradicts(o, said); truth != "" {
		s.found(untrue, x, "%s: %s", truth, x.reports[0])
	}
}

// outcome is what the report says of how the execution ended.
func (r report) outcome() (outcome, bool) {
	switch r.result + " " + r.tradePlaced {
	case "traded ":
		return traded, true
	case "declined ":
		return declined, true
	case "expired ":
		return expired, true
	case "failed no":
		return failedUntraded, true
	case "failed unknown":
		return failedUnknown, true
	}
	return 0, false
}

// contradicts tells in which way a report is wrong about the execution.
func (x *execution) contradicts(o outcome, said report) string {
	status := states.StatusSucceeded
	if o == failedUntraded || o == failedUnknown {
		status = states.StatusFailed
	}
	switch {
	case x.end.status != status:
		return "the execution is " + string(x.end.status)
	case o == traded && x.trades[said.trade] == 0:
		return fmt.Sprintf("traded was %v", x.trades)
	case o != traded && o != failedUnknown && len(x.trades) > 0:
		return fmt.Sprintf("traded was %v", x.trades)
	case x.end.quoteID != "" && said.id != x.end.quoteID:
		return "the quote is " + x.end.quoteID
	}
	return ""
}

// addUnreported counts an execution whose report has not arrived. That must be because its publish was made to fail
// for good, and then the execution fails with an error that says so and carries the report.
func (s *summary) addUnreported(x *execution) {
	carries := func(text string) bool { return strings.Contains(x.end.cause, text) }
	if !x.plan.exhausts(placeReport) || x.end.status != states.StatusFailed || x.end.error != "ReportNotSent" {
		s.found(unreported, x, "%s %s %s", x.end.status, x.end.error, x.end.cause)
		return
	}
	o := failedUntraded
	switch {
	case carries(`"outcome":"traded"`):
		o = failedTraded
		for t := range x.trades {
			if !carries(`"id":"`+t.ID+`"`) || !carries(`"type":"`+t.Side+`"`) || !carries(`"symbol":"`+t.Symbol+`"`) ||
				!carries(`"price":"`+t.Price+`"`) || !carries(`"qty":"`+t.Qty+`"`) {
				s.found(unreported, x, "without the trade %v: %s", t, x.end.cause)
				return
			}
		}
	case carries(`"trade_placed":"unknown"`) && carries(`"id":"`+x.end.quoteID+`"`):
		o = failedUnknown
	}
	if (o == failedTraded) != (len(x.trades) > 0) && o != failedUnknown {
		s.found(untrue, x, "traded was %v: %s", x.trades, x.end.cause)
	}
	s.unsent++
	s.addOutcome(x, o)
}

func (s *summary) addOutcome(x *execution, o outcome) {
	s.outcomes[o]++
	if x.plan.allows(o) {
		return
	}
	// A machine that is busy may bring the answer too late; then nobody was told that it counts.
	if x.end.timedOut && x.end.answered == "" && !slices.ContainsFunc(x.sent, func(a *sentAnswer) bool { return a.told == accepted }) {
		s.slow++
		return
	}
	s.found(otherwise, x, "%s, %s %s", outcomeLabels[o], x.end.status, x.end.error)
}

// complaint says what is wrong with a run, or nothing.
func (s *summary) complaint() string {
	if c := s.control; c != nil {
		if s.zero[c.protects] == 0 {
			return fmt.Sprintf("with %s, %q must be above 0: the run proves nothing", c.off, counterLabels[c.protects])
		}
		return ""
	}
	for c, n := range s.zero {
		if n != 0 {
			return fmt.Sprintf("%q must be 0", counterLabels[c])
		}
	}
	total := 0
	for _, n := range s.outcomes {
		total += n
	}
	if total != s.n {
		return fmt.Sprintf("%d outcomes of %d executions", total, s.n)
	}
	return ""
}

// write prints the table.
func (s *summary) write(w io.Writer) {
	fmt.Fprintf(w, "%d executions with seed %d", s.n, s.seed)
	if s.alpaca {
		fmt.Fprint(w, " at a broker")
	}
	if s.control != nil {
		fmt.Fprintf(w, ", control %s: %s", s.control.name, s.control.off)
	}
	fmt.Fprint(w, "\n\n")
	row := func(label string, values ...any) {
		fmt.Fprintf(w, "%-60s", label)
		for _, v := range values {
			fmt.Fprintf(w, "%9v", v)
		}
		fmt.Fprintln(w)
	}
	row("Faults", "planned", "done*")
	for _, f := range s.kinds() {
		row("  "+faultLabels[f], s.planned[f], s.done[f].Load())
	}
	if s.control != nil {
		row("Must be above 0", "", "*")
		row("  "+counterLabels[s.control.protects], "", s.zero[s.control.protects])
	} else {
		s.writeCounters(row)
	}
	fmt.Fprintf(w, "\n* depends on the timing and on the prices, which are drawn anew; what is planned depends on the seed alone\n")
}

func (s *summary) writeCounters(row func(label string, values ...any)) {
	row("Outcomes", "", "*")
	total := 0
	for o, n := range s.outcomes {
		row("  "+outcomeLabels[o], "", n)
		total += n
	}
	row("  together", "", total)
	row("Must be 0", "", "")
	for c, n := range s.zero {
		if counter(c) < placedTwice || counter(c) > denied || s.alpaca { // the simulated market has no orders
			row("  "+counterLabels[c], "", n)
		}
	}
	row("Counted apart", "planned", "*")
	row("  executions whose report was made to fail for good", s.plannedUnsent, s.unsent)
	for _, line := range []struct {
		label string
		n     int
	}{
		{"reports repeated under their id", s.reportsAgain},
		{"notices repeated", s.noticesAgain},
		{"trades repeated under their id", s.tradesAgain},
		{"decisions told accepted", s.told[accepted]},
		{"decisions told refused", s.told[refused]},
		{"decisions of which nothing was told, the reply being lost", s.told[unknown]},
		{"executions that expired since this machine was too busy", s.slow},
		{"batches with good and malformed messages", int(s.mixedBatches.Load())},
	} {
		row("  "+line.label, "", line.n)
	}
}
