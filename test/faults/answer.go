package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"

	"stocktrading/desk/decision"
	"stocktrading/lambdas/trading"
)

// sentAnswer is an answer that somebody tries to give.
type sentAnswer struct {
	answer
	mark    string // in its reason, by which the history shows it
	rightly bool   // with the token of the wait, by somebody who may answer
	told    told
	lost    atomic.Bool // its reply, once
}

// told is what whoever gave an answer has heard of it.
type told int

const (
	unknown  told = iota
	accepted      // it counts
	refused       // it doesn't
)

func (x *execution) newAnswer(a answer, rightly bool) *sentAnswer {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &sentAnswer{answer: a, mark: fmt.Sprintf("answer-%06d-%d", x.number, len(x.sent)), rightly: rightly}
	x.sent = append(x.sent, s)
	return s
}

// answer gives the answers of an execution's plan, now that it waits.
func (r *run) answer(ctx context.Context, x *execution, arn string) {
	for _, f := range x.plan.intrude {
		r.intrude(ctx, x, f)
	}
	a := answering{run: r, execution: x}
	x.mu.Lock()
	a.token, a.deadline = x.tokens[len(x.tokens)-1], x.deadline
	x.mu.Unlock()
	for _, planned := range x.plan.answers {
		if planned.desk {
			// A desk of its own for each: the desk keeps the pace of one person.
			a.desk = decision.New(r.desk, r.machine, r.who)
			var err error
			if a.wait, err = a.desk.Find(ctx, arn); err != nil {
				return // so late that it waits no longer
			}
			break
		}
	}
	switch x.plan.manner {
	case unanswered:
	case late:
		select {
		case <-x.expired:
		case <-x.ended:
		case <-ctx.Done():
			return
		}
		for _, planned := range x.plan.answers {
			a.give(ctx, planned)
		}
	case atTheDeadline:
		select {
		case <-time.After(time.Until(a.deadline.Add(x.plan.lead))):
		case <-ctx.Done():
			return
		}
		a.give(ctx, x.plan.answers[0])
	case atOnce:
		var all sync.WaitGroup
		for _, planned := range x.plan.answers {
			all.Go(func() { a.give(ctx, planned) })
		}
		all.Wait()
	default:
		for _, planned := range x.plan.answers {
			a.give(ctx, planned)
		}
	}
	if x.plan.manner != nothing {
		x.did(x.plan.manner)
	}
}

// answering is what is needed to answer a wait.
type answering struct {
	*run
	execution *execution
	token     string
	deadline  time.Time
	desk      *decision.Desk // nil if no answer goes through it
	wait      decision.Wait
}

func (a answering) give(ctx context.Context, planned answer) {
	s := a.execution.newAnswer(planned, true)
	if !planned.desk {
		s.told = callAPI(ctx, a.approver, a.token, s)
		return
	}
	_, err := a.desk.Decide(ctx, a.wait, planned.decision, s.mark)
	switch {
	case err == nil:
		s.told = accepted
	case errors.Is(err, decision.ErrGone):
		s.told = refused
	}
}

// callAPI sends an answer by a call of the API.
func callAPI(ctx context.Context, client *sfn.Client, token string, s *sentAnswer) told {
	name := map[decision.Answer]string{
		decision.Buy: trading.BuyInstead, decision.Sell: trading.SellInstead, decision.Decline: trading.TradeDeclined,
	}[s.decision]
	var err error
	if name == "" {
		_, err = client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{
			TaskToken: aws.String(token), Output: aws.String(fmt.Sprintf(`{"decision":"approve","reason":%q}`, s.mark)),
		})
	} else {
		_, err = client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{
			TaskToken: aws.String(token), Error: aws.String(name), Cause: aws.String(s.mark),
		})
	}
	var api smithy.APIError
	switch {
	case err == nil:
		return accepted
	case errors.As(err, &api):
		return refused
	}
	return unknown
}

// intrude tries to answer without the right to it.
func (r *run) intrude(ctx context.Context, x *execution, f fault) {
	x.mu.Lock()
	token, first := x.tokens[len(x.tokens)-1], x.tokens[0]
	x.mu.Unlock()
	client := r.approver
	switch f {
	case outdated:
		token = first
	case forged:
		token = forge(token, x.number)
	case stranger:
		client = r.function
	}
	a := answer{decision: []decision.Answer{decision.Approve, decision.Buy, decision.Sell, decision.Decline}[x.number%4]}
	s := x.newAnswer(a, false)
	s.told = callAPI(ctx, client, token, s)
	x.did(f)
}

// forge makes a token that was never given out.
func forge(token string, number int) string {
	switch number % 4 {
	case 0:
		return base64.StdEncoding.EncodeToString(make([]byte, 48))
	case 1:
		return token[:len(token)-1]
	case 2:
		return token + "="
	}
	if token[0] == 'A' {
		return "B" + token[1:]
	}
	return "A" + token[1:]
}
