package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"stocktrading/desk/decision"
)

// fault is a kind of disturbance, in the words of the table.
type fault string

const (
	nothing fault = ""

	// Of a function's invocation.
	killedBefore  fault = "function killed before its work"
	killedAfter   fault = "function killed after its work"
	replyLost     fault = "function's reply lost (Lambda.Unknown)"
	serviceFailed fault = "function's reply lost (Lambda.ServiceException)"
	throttled     fault = "function throttled"

	// Of the request on its way to the queue.
	requestRefused    fault = "request not taken by the queue"
	requestReplyLost  fault = "request taken, the queue's reply lost"
	requestDuplicated fault = "request duplicated on the queue"
	requestDelayed    fault = "request delayed, so overtaken by others"
	malformedBeside   fault = "malformed messages before and behind a request"

	// Of a publish to the topic.
	noticeRefused   fault = "notice not taken by the topic"
	noticeReplyLost fault = "notice published, the topic's reply lost"
	reportRefused   fault = "report not taken by the topic"
	reportReplyLost fault = "report published, the topic's reply lost"

	// Of whoever answers.
	unanswered      fault = "no decision at all"
	late            fault = "decisions after the deadline"
	atTheDeadline   fault = "decision within 40 ms of the deadline"
	atOnce          fault = "two or three decisions at once"
	repeated        fault = "decision repeated"
	answerReplyLost fault = "decision's reply lost"
	outdated        fault = "decision with the token of an earlier attempt"
	forged          fault = "decision with a forged token"
	stranger        fault = "decision with a function's credentials"

	// Of a real market, when it is asked for a price or an order.
	marketLimited   fault = "market takes no more requests (429)"
	marketFailed    fault = "market in a fault (503)"
	marketUnreached fault = "market not reached"
	marketReplyLost fault = "order placed, the market's reply lost"
	marketLate      fault = "the market's reply lost, and the order placed only later"
	marketPoor      fault = "order refused by the market"
	marketDenied    fault = "keys refused by the market after a lost reply"
	anotherMarket   fault = "quote of another market, or of an older version"
	filledInPart    fault = "order filled in part"
	notFilled       fault = "order not filled at all"
)

var (
	ofFunctions = []fault{killedBefore, killedAfter, replyLost, serviceFailed, throttled}
	ofMessages  = []fault{
		requestRefused, requestReplyLost, requestDuplicated, requestDelayed, malformedBeside,
		noticeRefused, noticeReplyLost, reportRefused, reportReplyLost,
	}
	ofAnswers = []fault{unanswered, late, atTheDeadline, atOnce, repeated, answerReplyLost, outdated, forged, stranger}
	ofMarkets = []fault{
		marketLimited, marketFailed, marketUnreached, marketReplyLost, marketLate, marketPoor, marketDenied,
		anotherMarket, filledInPart, notFilled,
	}
)

// kinds are the faults that a run has.
func (o options) kinds() []fault {
	kinds := slices.Concat(ofFunctions, ofMessages, ofAnswers)
	if o.alpaca {
		kinds = append(kinds, ofMarkets...)
	}
	return kinds
}

// place is a part of an execution that can be disturbed, one attempt after another.
type place int

const (
	placeQuote          place = iota // the function of "Check Stock Price"
	placeRecommendation              // the function of "Generate Buy/Sell recommendation"
	placeRequest                     // the request's way to the queue
	placeNotifier                    // the function that serves the queue
	placeNotice                      // its publish of the notice
	placeTrade                       // the function of "Buy Stock" or "Sell Stock"
	placeReport                      // the publish of the report
	places
)

// maxAttempts is how often the definition tries: once, and three retries. Throttling has retries of its own.
const maxAttempts = 4

// plan is what happens to one execution. It depends on the seed and on the execution's
// number alone, whatever the timing and the prices.
type plan struct {
	faults  [places][]fault // of the successive attempts; later ones are left alone
	intrude []fault         // attempts to answer without the right to it, before anybody answers
	manner  fault           // of the answers: nothing, unanswered, late, atTheDeadline, atOnce or repeated
	answers []answer
	lead    time.Duration // of an answer at the deadline
	fill    fault         // of the order: nothing, filledInPart or notFilled
}

// answer is a decision as it will be sent.
type answer struct {
	decision  decision.Answer
	desk      bool // through the desk, else by a call of the API
	replyLost bool
}

func (o options) newPlan(execution uint64) plan {
	d := dice{rand.New(rand.NewPCG(o.seed, execution))}
	var p plan
	p.faults[placeReport] = d.series(0.15, reportRefused, reportReplyLost)
	if p.exhausts(placeReport) { // for good, so nothing of it may arrive
		p.faults[placeReport] = slices.Repeat([]fault{reportRefused}, maxAttempts)
	}
	ofQuotes, ofTrades := ofFunctions, ofFunctions
	if o.alpaca {
		ofQuotes = append(slices.Clip(ofFunctions), marketLimited, marketFailed, marketUnreached)
		ofTrades = append(slices.Clip(ofQuotes), marketReplyLost, marketReplyLost)
	}
	if p.faults[placeQuote] = d.series(0.08, ofQuotes...); p.exhausts(placeQuote) {
		return p
	}
	if p.faults[placeRecommendation] = d.series(0.08, ofFunctions...); p.exhausts(placeRecommendation) {
		return p
	}
	if p.faults[placeRequest] = d.series(0.12, requestRefused, requestReplyLost); p.exhausts(placeRequest) {
		return p
	}
	asked := len(p.faults[placeRequest])
	if d.happens(0.2) {
		p.faults[placeRequest] = append(p.faults[placeRequest], d.one(requestDuplicated, requestDelayed, malformedBeside))
	}
	// Each of these takes a second and more, until the queue gives the message out again.
	p.faults[placeNotifier] = upTo(1, d.series(0.03, ofFunctions...))
	p.faults[placeNotice] = upTo(2, d.series(0.08, noticeRefused, noticeRefused, noticeReplyLost))

	d.answering(&p, asked > 0)
	if p.certainToTrade() {
		p.faults[placeTrade] = d.series(0.3, ofTrades...)
		if o.alpaca && d.happens(0.2) {
			p.faults[placeTrade] = [][]fault{
				{marketLate}, {marketLate, marketPoor}, {marketPoor}, {marketReplyLost, marketDenied}, {anotherMarket}, {anotherMarket},
			}[d.IntN(6)]
		}
		if o.alpaca && !p.exhausts(placeTrade) && !p.refused() && d.happens(0.3) {
			p.fill = d.one(filledInPart, notFilled)
		}
	}
	return p
}

type dice struct{ *rand.Rand }

func (d dice) happens(chance float64) bool { return d.Float64() < chance }

func (d dice) one(of ...fault) fault { return of[d.IntN(len(of))] }

// series draws the faults of successive attempts, mostly none and at most as many as exhaust them.
func (d dice) series(chance float64, of ...fault) []fault {
	if !d.happens(chance) {
		return nil
	}
	var s []fault
	for range []int{1, 1, 1, 1, 1, 1, 2, 2, 3, maxAttempts}[d.IntN(10)] {
		s = append(s, d.one(of...))
	}
	return s
}

func upTo(n int, s []fault) []fault { return s[:min(n, len(s))] }

// answering draws who answers and how. A token is outdated when sending the request took more than one attempt.
func (d dice) answering(p *plan, hasOutdatedToken bool) {
	for _, i := range []struct {
		fault    fault
		chance   float64
		possible bool
	}{{outdated, 0.6, hasOutdatedToken}, {forged, 0.08, true}, {stranger, 0.06, true}} {
		if d.happens(i.chance) && i.possible {
			p.intrude = append(p.intrude, i.fault)
		}
	}
	switch x := d.Float64(); {
	case x < 0.08:
		p.manner = unanswered
	case x < 0.15:
		p.manner = late
		first := d.answer()
		second := d.answer()
		first.desk, second.desk = true, false
		p.answers = []answer{first, second}
	case x < 0.20:
		p.manner = atTheDeadline
		p.answers = []answer{d.answer()}
		p.lead = time.Duration(d.IntN(81)-40) * time.Millisecond
	case x < 0.34:
		p.manner = atOnce
		for range 2 + d.IntN(2) {
			p.answers = append(p.answers, d.answer())
		}
	case x < 0.46:
		p.manner = repeated
		first := d.answer()
		first.replyLost = d.happens(0.3)
		again := first
		again.replyLost = false
		p.answers = append([]answer{first}, slices.Repeat([]answer{again}, 1+d.IntN(2))...)
	default:
		only := d.answer()
		only.replyLost = d.happens(0.1)
		p.answers = []answer{only}
	}
}

func (d dice) answer() answer {
	all := []decision.Answer{decision.Approve, decision.Approve, decision.Approve, decision.Buy, decision.Sell, decision.Decline}
	return answer{decision: all[d.IntN(len(all))], desk: d.happens(0.6)}
}

// exhausts tells whether every attempt at a place fails.
func (p plan) exhausts(at place) bool {
	return len(p.faults[at]) == maxAttempts && p.faults[at][maxAttempts-1].fails() && !slices.Contains(p.faults[at], throttled)
}

// refused tells whether no order can come of the trade.
func (p plan) refused() bool {
	trade := p.faults[placeTrade]
	return len(trade) > 0 && (trade[0] == marketPoor || trade[0] == anotherMarket)
}

// fails tells whether an attempt with this fault has to be made again.
func (f fault) fails() bool {
	return f != nothing && f != requestDuplicated && f != requestDelayed && f != malformedBeside
}

// waits tells whether the execution's wait goes on until its time is over, or nearly so.
func (p plan) waits() bool {
	return p.manner == unanswered || p.manner == late || p.manner == atTheDeadline
}

func (p plan) certainToTrade() bool {
	switch p.manner {
	case nothing, repeated:
		return p.answers[0].decision != decision.Decline
	case atOnce:
		return !slices.ContainsFunc(p.answers, func(a answer) bool { return a.decision == decision.Decline })
	}
	return false
}

// mayFail tells whether the faults explain that the execution fails.
func (p plan) mayFail() bool {
	return slices.ContainsFunc([]place{placeQuote, placeRecommendation, placeRequest, placeTrade}, p.exhausts) ||
		p.refused() || p.fill == notFilled || slices.Contains(p.faults[placeTrade], marketDenied)
}

// all are the plan's faults.
func (p plan) all() []fault {
	all := append(slices.Concat(p.faults[:]...), p.intrude...)
	for _, a := range p.answers {
		if a.replyLost {
			all = append(all, answerReplyLost)
		}
	}
	return slices.DeleteFunc(append(all, p.manner, p.fill), func(f fault) bool { return f == nothing })
}
