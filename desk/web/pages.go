package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/desk/decision"
	"stocktrading/desk/timefmt"
	"stocktrading/lambdas/trading"
	"stocktrading/stacks/asl"
)

// poll is how often a page looks again, in milliseconds. AWS limits how often an account may.
func (s *Server) poll(local, onAWS int) int {
	if s.config.Start != nil {
		return local
	}
	return onAWS
}

// waitView is a wait as the page shows it.
type waitView struct {
	decision.Wait
	Raw     string // the execution's name as it is
	Verb    string // what is recommended, in words
	Stakes  string
	Live    bool   // real money is at stake
	Quoted  string // how long ago
	Old     bool   // the quote is
	Waiting string
	Left    string
	Answers []answer
}

// answer is a way to decide.
type answer struct {
	Value decision.Answer
	Label string
	Act   string // such as "Buy 5 AMZN", on the button that sends it
}

func view(w decision.Wait, now time.Time) waitView {
	v := waitView{Wait: w, Raw: decision.Execution{ARN: w.Execution}.Name(), Verb: line(w.Recommended, 20), Waiting: "unknown", Left: "unknown"}
	v.Quoted, v.Old = w.QuoteAge(now)
	v.Stakes, v.Live = w.Quote.Market.Stakes(), w.Quote.Market == trading.LiveMarket
	if !w.Since.IsZero() {
		v.Waiting = timefmt.Span(now.Sub(w.Since).Truncate(time.Second))
	}
	if !w.Deadline.IsZero() {
		v.Left = timefmt.Span(w.Deadline.Sub(now).Truncate(time.Second))
	}
	if w.Problem != "" {
		return v
	}
	switch trading.Side(w.Recommended) {
	case trading.Buy:
		v.Answers = []answer{{Value: decision.Approve, Label: "Approve to buy"}, {Value: decision.Sell, Label: "Sell instead"}}
	case trading.Sell:
		v.Answers = []answer{{Value: decision.Approve, Label: "Approve to sell"}, {Value: decision.Buy, Label: "Buy instead"}}
	default:
		v.Answers = []answer{{Value: decision.Buy, Label: "Buy"}, {Value: decision.Sell, Label: "Sell"}}
	}
	v.Answers = append(v.Answers, answer{Value: decision.Decline, Label: "Decline"})
	for i, a := range v.Answers {
		act, _ := w.Act(a.Value) // an answer that is offered can be given
		v.Answers[i].Act, _, _ = strings.Cut(act, " at ")
	}
	return v
}

// listing is a list of what waits that is being made. Thousands take minutes, so it belongs to
// no request: whoever looks meanwhile sees how far it has come.
type listing struct {
	ended chan struct{}
	list  []decision.Wait
	err   error

	done, total int // executions; the server's mutex guards them
}

// patience is how long a page waits for a list before it shows how far that has come.
const patience = time.Second

// startListing returns the list that is being made, and begins one if there is none.
func (s *Server) startListing() *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listing != nil {
		return s.listing
	}
	l := &listing{ended: make(chan struct{})}
	s.listing = l
	go func() {
		defer close(l.ended)
		l.list, l.err = s.desk.List(s.ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listing = nil
	}()
	return l
}

// progress is told how far the list has come.
func (s *Server) progress(done, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listing.done, s.listing.total = done, total
}

// waitsView is what waits, or what is known of it while the list is being made.
type waitsView struct {
	List    []waitView
	Reading string // how far the list has come; empty if it is complete
}

const waitsTitle = "What waits for a decision"

// waits shows what waits for a decision.
func (s *Server) waits(*http.Request) (page, error) {
	p := page{Title: waitsTitle, Section: "waits", Template: "waits", Poll: s.poll(500, 20_000)}
	var (
		l    = s.startListing()
		list []decision.Wait
		v    waitsView
	)
	select {
	case <-l.ended:
		if l.err != nil {
			return page{}, l.err
		}
		list = l.list
	case <-time.After(patience):
		s.mu.Lock()
		v.Reading = "Reading executions."
		if l.total > 0 {
			v.Reading = fmt.Sprintf("Reading executions: %d of %d.", l.done, l.total)
		}
		s.mu.Unlock()
		list, p.Poll = s.desk.Seen(), 1000
	}
	now := time.Now()
	for _, w := range list {
		v.List = append(v.List, view(w, now))
	}
	if n := len(v.List); n > 0 {
		p.Title = fmt.Sprintf("(%d) %s", n, waitsTitle)
	}
	p.Data = v
	return p, nil
}

// decideView is a decision that is about to be sent, or was.
type decideView struct {
	waitView
	Answer    answer
	Act       string // what it does, in full
	RealMoney bool   // the answer trades with it
	Reason    string
	MaxReason int
	Standing  decision.Standing // before it is sent
	Record    decision.Record   // of one that was
}

// choose finds the wait of a request and the answer that it names.
func (s *Server) choose(r *http.Request) (v decideView, err error) {
	name, value := r.FormValue("name"), decision.Answer(r.FormValue("answer"))
	w, err := s.desk.Find(r.Context(), name)
	if err != nil {
		return v, err
	}
	v = decideView{waitView: view(w, time.Now()), Reason: r.FormValue("reason"), MaxReason: decision.MaxReason}
	if v.Act, err = w.Act(value); err != nil {
		return v, err
	}
	i := slices.IndexFunc(v.Answers, func(a answer) bool { return a.Value == value })
	if i < 0 {
		i = 0 // the recommended side by its name: the approval
	}
	v.Answer, v.RealMoney = v.Answers[i], w.RealMoney(value)
	return v, nil
}

// confirm says what an answer does, before it is sent, or what was decided already.
func (s *Server) confirm(r *http.Request) (page, error) {
	v, err := s.choose(r)
	if errors.Is(err, decision.ErrGone) {
		return page{Location: s.guard.base + "execution?name=" + url.QueryEscape(r.FormValue("name"))}, nil
	} else if err != nil {
		return page{}, err
	}
	if v.Standing, err = s.desk.Standing(r.Context()); err != nil {
		return page{}, err
	}
	return page{Title: v.Act, Section: "waits", Template: "confirm", Data: v}, nil
}

// errAnother: what was confirmed is not what waits now.
var errAnother = &statusError{decision.ErrGone, "nothing was sent: the execution asks something else now than what you saw; look again before you decide"}

// errUnsure: real money takes a second yes.
var errUnsure = &statusError{decision.ErrWrongUse, "nothing was sent: this trades with real money; go back and tick that you mean it"}

// decide sends an answer and shows what was recorded.
func (s *Server) decide(r *http.Request) (page, error) {
	v, err := s.choose(r)
	if err != nil {
		return page{}, err
	}
	if r.PostFormValue("wait") != v.ID() {
		return page{}, errAnother
	}
	if v.RealMoney && r.PostFormValue("real-money") != "yes" {
		return page{}, errUnsure
	}
	if v.Record, err = s.desk.Decide(r.Context(), v.Wait, v.Answer.Value, v.Reason); err != nil {
		return page{}, err
	}
	return page{Title: "Decided", Section: "waits", Template: "decided", Data: v}, nil
}

// filter chooses executions of a status.
type filter struct {
	Value types.ExecutionStatus
	Label string
}

var filters = []filter{
	{"", "All"},
	{types.ExecutionStatusRunning, "Running"},
	{types.ExecutionStatusSucceeded, "Completed"},
	{types.ExecutionStatusFailed, "Failed"},
	{types.ExecutionStatusTimedOut, "Timed out"},
	{types.ExecutionStatusAborted, "Stopped"},
}

// tradesView is a page of executions, or of the log of decisions.
type tradesView struct {
	Status            types.ExecutionStatus
	Filters           []filter
	Since, Before, By string // of the log
	JSON, CSV, Older  string // addresses under the base; Older is empty if there are none
	List              []tradeView
}

// tradeView is an execution as a row shows it.
type tradeView struct {
	decision.Trade
	Raw  string // the execution's name as it is
	When string
	Said string // the reason that a person gave, or why it failed
}

func row(t decision.Trade, now time.Time) tradeView {
	v := tradeView{Trade: t, Raw: decision.Execution{ARN: t.Execution}.Name(), When: timefmt.Clock(t.At(), now), Said: t.Decision.Reason}
	if t.Outcome == decision.Failed {
		v.Said = t.Result()
	}
	return v
}

// executionView is an execution as the page shows it.
type executionView struct {
	decision.Execution
	Took   string
	Visits []visit
	Graph  template.HTML // empty where there is none
	States []stateView
	Report *report
}

// stateView is a state and what an execution did there.
type stateView struct {
	asl.State
	ID     string
	Ways   []way
	Visits []visit
}

// way leads to the state with an ID of the page.
type way struct {
	asl.Edge
	ID string
}

// executions lists recent executions.
func (s *Server) executions(r *http.Request) (page, error) {
	status := types.ExecutionStatus(r.FormValue("status"))
	if !slices.ContainsFunc(filters, func(f filter) bool { return f.Value == status }) {
		return page{}, &statusError{decision.ErrWrongUse, fmt.Sprintf("there is no status %q", line(string(status), 40))}
	}
	v := tradesView{Status: status, Filters: filters}
	return s.trades(r, page{Title: "Executions", Section: "list", Template: "list"}, v, decision.Filter{Status: status}, url.Values{"status": {string(status)}})
}

// readFilter reads which decisions a page asks for, and returns that as a query, too.
func readFilter(r *http.Request) (f decision.Filter, query url.Values, err error) {
	query = url.Values{}
	for _, name := range []string{"since", "before", "by"} {
		if text := strings.TrimSpace(r.FormValue(name)); text != "" {
			query.Set(name, text)
		}
	}
	f.By = query.Get("by")
	for name, t := range map[string]*time.Time{"since": &f.Since, "before": &f.Before} {
		if *t, err = decision.ParseTime(query.Get(name)); err != nil {
			return f, query, &statusError{decision.ErrWrongUse, "the time is " + err.Error()}
		}
	}
	if !f.Before.IsZero() && !f.Since.Before(f.Before) {
		return f, query, &statusError{decision.ErrWrongUse, "the first day must be earlier than the day before which it ends"}
	}
	return f, query, nil
}

// decisions lists who decided what.
func (s *Server) decisions(r *http.Request) (page, error) {
	f, query, err := readFilter(r)
	if err != nil {
		return page{}, err
	}
	v := tradesView{Since: query.Get("since"), Before: query.Get("before"), By: query.Get("by")}
	v.JSON, v.CSV = "decisions.json?"+query.Encode(), "decisions.csv?"+query.Encode()
	return s.trades(r, page{Title: "Decisions", Section: "decisions", Template: "decisions"}, v, f, query)
}

// trades fills a page of executions.
func (s *Server) trades(r *http.Request, p page, v tradesView, f decision.Filter, query url.Values) (page, error) {
	list, next, err := s.desk.Trades(r.Context(), f, r.FormValue("page"))
	if err != nil {
		return page{}, err
	}
	if next != "" {
		query.Set("page", next)
		v.Older = p.Section + "?" + query.Encode()
	}
	for _, t := range list {
		v.List = append(v.List, row(t, time.Now()))
	}
	p.Poll, p.Data = s.poll(5_000, 20_000), v // each look reads a history for every execution that runs
	return p, nil
}

// export writes all decisions that the query chooses, as "desk log" does.
func (s *Server) export(kind string, write func(io.Writer, []decision.Trade) error) handler {
	return func(r *http.Request) (page, error) {
		f, _, err := readFilter(r)
		if err != nil {
			return page{}, err
		}
		var all []decision.Trade
		for next, done := "", false; !done; done = next == "" {
			var list []decision.Trade
			if list, next, err = s.desk.Trades(r.Context(), f, next); err != nil {
				return page{}, err
			}
			all = append(all, list...)
		}
		var b bytes.Buffer
		if err := write(&b, all); err != nil {
			return page{}, err
		}
		return page{Type: kind, File: b.Bytes()}, nil
	}
}

// execution shows one execution.
func (s *Server) execution(r *http.Request) (page, error) {
	x, err := s.desk.Open(r.Context(), r.FormValue("name"))
	if err != nil {
		return page{}, err
	}
	w, _, err := s.definition(r.Context())
	if err != nil {
		return page{}, err
	}
	v := executionView{Execution: x, Took: timefmt.Span(cmp.Or(x.Stopped, time.Now()).Sub(x.Started)), Visits: visits(x)}
	v.show(w)
	if report, ok := readReport(x); ok {
		v.Report = &report
	}
	poll := 0
	if x.Status == types.ExecutionStatusRunning {
		poll = s.poll(250, 5_000)
	}
	return page{Title: cmp.Or(x.Trade.Act(), line(x.Name(), 80)), Section: "list", Template: "execution", Poll: poll, Data: v}, nil
}

// show puts the picture and the states into the view.
func (v *executionView) show(w asl.Workflow) {
	v.Graph = draw(w, v.Visits)
	for _, state := range w.States {
		view := stateView{State: state, ID: w.ID(state.Name)}
		for _, e := range w.Edges {
			if e.From == state.Name {
				view.Ways = append(view.Ways, way{e, w.ID(e.To)})
			}
		}
		v.States = append(v.States, view)
	}
	for _, visit := range v.Visits {
		i := slices.IndexFunc(v.States, func(s stateView) bool { return s.Name == visit.State })
		if i < 0 { // of another version of the definition
			v.States = append(v.States, stateView{State: asl.State{Name: visit.State}, ID: fmt.Sprintf("s%d", len(v.States))})
			i = len(v.States) - 1
		}
		v.States[i].Visits = append(v.States[i].Visits, visit)
	}
}

type workflowView struct {
	executionView
	Definition string
}

// workflow shows the state machine by itself.
func (s *Server) workflow(r *http.Request) (page, error) {
	w, definition, err := s.definition(r.Context())
	if err != nil {
		return page{}, err
	}
	v := workflowView{Definition: definition}
	v.show(w)
	return page{Title: "Workflow", Section: "workflow", Template: "workflow", Data: v}, nil
}

// startView is the form that starts an execution.
type startView struct {
	Name, Input string
	Odd         string // why the workflow will not like the input
}

const sampleInput = `{"symbol": "AMZN", "qty": 5}`

func (s *Server) startForm(*http.Request) (page, error) {
	return s.startPage(startView{Input: sampleInput}, "", 0), nil
}

func (s *Server) startPage(v startView, problem string, status int) page {
	return page{Title: "Start an execution", Section: "start", Template: "start", Problem: problem, Status: status, Data: v}
}

// errOnAWS: the page starts executions on the local run alone.
var errOnAWS = &statusError{decision.ErrWrongUse, "executions on AWS are started in the AWS console or with the AWS CLI"}

// maxInput is how many bytes Step Functions takes.
const maxInput = 262144

// start checks an input and starts an execution with it.
func (s *Server) start(r *http.Request) (page, error) {
	if s.config.Start == nil {
		return page{}, errOnAWS
	}
	v := startView{Name: r.PostFormValue("name"), Input: r.PostFormValue("input")}
	reject := func(problem string) (page, error) { return s.startPage(v, problem, http.StatusBadRequest), nil }
	var request trading.Request
	switch err := json.Unmarshal([]byte(v.Input), &request); {
	case !json.Valid([]byte(v.Input)):
		return reject("The input is not JSON; it looks like " + sampleInput + ".")
	case len(v.Input) > maxInput:
		return reject(fmt.Sprintf("The input has %d bytes, and %d are allowed.", len(v.Input), maxInput))
	case v.Name != "" && !decision.ValidName(v.Name):
		return reject("This can't be a name: it has 1 to 80 characters, no spaces and none of < > { } [ ] ? * \" # % \\ ^ | ~ ` $ & , ; : /")
	case err != nil && r.PostFormValue("anyway") == "":
		v.Odd = line(err.Error(), 300)
		return reject("The workflow will fail at this input: " + v.Odd + ".")
	}
	name, err := s.config.Start(v.Name, v.Input)
	if err != nil {
		return reject(line(err.Error(), 300))
	}
	return page{Location: s.guard.base + "execution?name=" + url.QueryEscape(name)}, nil
}
