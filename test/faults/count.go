package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

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
	history, err := r.system.Engine().GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
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
	if of, s := r.sentIn([]byte(end.answered)); s == nil || !s.rightly || of != x {
		end.allowed = ""
	}
	return end, nil
}

// counter is a number that must be zero, in the words of the table.
type counter string

const (
	unapproved        counter = "trades without approval"
	tradedTwice       counter = "trades made twice"
	placedTwice       counter = "orders placed twice"
	wrongMarket       counter = "trades in the wrong market mode"
	denied            counter = `"nothing was traded" said of an order that exists`
	unreported        counter = "executions without a report"
	reportedOtherwise counter = "executions with two different reports"
	untrue            counter = "reports that say otherwise than what happened"
	acceptedInVain    counter = "decisions told accepted that did not count"
	refusedButCounted counter = "decisions told refused that counted"
	countedLate       counter = "decisions that counted after the deadline"
	intruded          counter = "decisions taken from those who may not decide"
	askedAgain        counter = "answers asked for again"
	unnoticed         counter = "waits without a notice"
	stray             counter = "notices that no execution asked for"
	unexplained       counter = "executions that failed though their faults left an attempt"
	leftOver          counter = "messages left on the queue"
	goroutines        counter = "goroutines left (each process has one)"
)

// counters are those of a run. The simulated market has no orders.
func (o options) counters() []counter {
	all := []counter{
		unapproved, tradedTwice, placedTwice, wrongMarket, denied, unreported, reportedOtherwise, untrue, acceptedInVain,
		refusedButCounted, countedLate, intruded, askedAgain, unnoticed, stray, unexplained, leftOver, goroutines,
	}
	if !o.alpaca {
		all = slices.DeleteFunc(all, func(c counter) bool { return c == placedTwice || c == wrongMarket || c == denied })
	}
	return all
}

// outcome is how an execution ends, in the words of the table.
type outcome string

const (
	traded         outcome = "traded"
	declined       outcome = "declined"
	expired        outcome = "expired"
	failedUntraded outcome = "failed, no trade placed"
	failedTraded   outcome = "failed, a trade placed (its report not sent)"
	failedUnknown  outcome = "failed, unknown whether a trade was placed"
)

var outcomes = []outcome{traded, declined, expired, failedUntraded, failedTraded, failedUnknown}

// summary is what a group of executions is counted to.
type summary struct {
	*group
	run      *run
	planned  map[fault]int
	outcomes map[outcome]int
	zero     map[counter]int
	examples map[counter]string // of what should not be

	// What may be above 0.
	plannedUnsent, unsent int // executions whose report was made to fail for good
	reportsAgain          int // under their id
	noticesAgain          int
	tradesAgain           int              // under their id
	told                  [refused + 1]int // answers
	slow                  int              // executions that expired before they could be answered
}

func (r *run) summarize(g *group) *summary {
	s := &summary{
		group: g, run: r,
		planned: map[fault]int{}, outcomes: map[outcome]int{}, examples: map[counter]string{},
		zero: map[counter]int{stray: int(r.strayNotices.Load()), leftOver: r.left, goroutines: r.goroutines},
	}
	for _, x := range g.executions {
		for _, f := range x.plan.all() {
			s.planned[f]++
		}
		if x.plan.exhausts(placeReport) {
			s.plannedUnsent++
		}
		s.add(x)
	}
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
	if end.timedOut && end.answered != "" {
		s.found(countedLate, x, "%s", end.answered)
	}
	if end.timedOut && !x.plan.waits() { // a machine that is busy may bring the answer too late
		s.slow++
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
	_, counted := s.run.sentIn([]byte(x.end.answered))
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
	o := said.outcome()
	if err != nil || o == "" {
		s.found(untrue, x, "%s", x.reports[0])
		return
	}
	s.addOutcome(x, o)
	if truth := x.contradicts(o, said); truth != "" {
		s.found(untrue, x, "%s: %s", truth, x.reports[0])
	}
}

// outcome is what the report says of how the execution ended, or empty.
func (r report) outcome() outcome {
	return map[string]outcome{
		"traded ": traded, "declined ": declined, "expired ": expired, "failed no": failedUntraded, "failed unknown": failedUnknown,
	}[r.result+" "+r.tradePlaced]
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
	case o == declined && (x.end.answered == "" || x.end.allowed != ""), o == failedUnknown && x.end.allowed == "":
		return fmt.Sprintf("the answer was %q, which allows %q", x.end.answered, x.end.allowed)
	case o == expired && !x.end.timedOut:
		return "the wait was answered in time"
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
	if (o == failedUnknown || o == failedUntraded && len(x.reports) > 0) && !x.plan.mayFail() {
		s.found(unexplained, x, "%s, %s %s", o, x.end.status, x.end.error)
	}
}

// complaint says what is wrong with a run, or nothing.
func (s *summary) complaint() string {
	if c := s.control; c != nil {
		if s.zero[c.protects] == 0 {
			return fmt.Sprintf("with %s, %q must be above 0: the run proves nothing", c.off, c.protects)
		}
		return ""
	}
	for _, c := range s.counters() {
		if s.zero[c] != 0 {
			return fmt.Sprintf("%q must be 0", c)
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
		row("  "+string(f), s.planned[f], s.done[f])
	}
	if s.control != nil {
		row("Must be above 0", "", "*")
		row("  "+string(s.control.protects), "", s.zero[s.control.protects])
	} else {
		s.writeCounters(row)
	}
	fmt.Fprintf(w, "\n* depends on the timing and on the prices, which are drawn anew; what is planned depends on the seed alone\n")
}

func (s *summary) writeCounters(row func(label string, values ...any)) {
	row("Outcomes", "", "*")
	total := 0
	for _, o := range outcomes {
		row("  "+string(o), "", s.outcomes[o])
		total += s.outcomes[o]
	}
	row("  together", "", total)
	row("Must be 0", "", "")
	for _, c := range s.counters() {
		row("  "+string(c), "", s.zero[c])
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
		{"batches with good and malformed messages", int(s.run.mixedBatches.Load())},
	} {
		row("  "+line.label, "", line.n)
	}
}
