package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"time"

	"stocktrading/local/broker"
	"stocktrading/local/system"
)

// marketSecret is where the functions look for the keys of the broker.
const marketSecret = "arn:aws:secretsmanager:" + system.Region + ":" + system.AccountID + ":secret:alpaca-AbCdEf"

// lag is how long an order is on its way that is placed only later: less than the functions wait before they say that
// nothing was traded.
const lag = 500 * time.Millisecond

// openMarket starts the broker of a run that trades at one, and returns what the functions need for it.
func (r *run) openMarket() (secrets, environment map[string]string) {
	if !r.alpaca {
		return nil, nil
	}
	shares := maxQty // what was sold once can't be sold again, and that says no more than that it is gone
	r.broker = broker.New(broker.Config{Stock: r.stock, Shares: &shares, Lag: lag, IDsLast: true, Disturb: r.disturbBroker})
	r.brokerServer = httptest.NewServer(r.broker)
	return map[string]string{marketSecret: fmt.Sprintf(`{"APCA_API_KEY_ID":%q,"APCA_API_SECRET_KEY":%q}`, broker.KeyID, broker.SecretKey)},
		map[string]string{"MARKET_ENDPOINT": r.brokerServer.URL}
}

// closeMarket ends the broker. What it has is the truth of what was traded: a function that was killed, or that an
// order's reply did not reach, could not tell.
func (r *run) closeMarket() {
	if r.broker == nil {
		return
	}
	r.brokerServer.Close()
	r.broker.Settle()
	for _, o := range r.broker.Orders() {
		x := r.bySymbol[o.Symbol]
		x.orders++
		if o.Filled.IsPositive() {
			x.trades[trade{o.ClientOrderID, o.Side, o.Symbol, o.Price.String(), o.Filled.String()}]++
		}
		if f := x.plan.fill; f != nothing && x.orders == 1 {
			x.did(f)
		}
	}
}

// stock is what the broker has of an execution's symbol: as much as the plan says.
func (r *run) stock(symbol string) (broker.Stock, bool) {
	x := r.bySymbol[symbol]
	if x == nil {
		return broker.Stock{}, false
	}
	s := broker.AnyStock(symbol)
	switch x.plan.fill {
	case filledInPart:
		s.Liquidity = x.qty() - 1
	case notFilled:
		s.Liquidity = 0
	}
	return s, true
}

// ofBroker are the faults of a market as the broker knows them.
var ofBroker = map[fault]broker.Fault{
	marketLimited:   broker.RateLimited,
	marketFailed:    broker.Failed,
	marketUnreached: broker.Unreached,
	marketReplyLost: broker.ReplyLost,
	marketLate:      broker.Late,
	marketPoor:      broker.Poor,
	marketDenied:    broker.Denied,
}

// disturbMarket has the broker disturb what the next attempt asks of it, if that is the fault.
func (x *execution) disturbMarket(f fault) {
	if _, ok := ofBroker[f]; !ok {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.market = f
}

// disturbBroker disturbs the first request of an attempt that it is about: for a price, for an order, or for what became
// of that order, where a sale is not asked for again.
func (r *run) disturbBroker(q broker.Request) broker.Fault {
	x := r.bySymbol[q.Symbol]
	if x != nil && x.control().blind && q.Operation == broker.Find {
		return broker.Overlooked
	}
	if x == nil || q.Operation != broker.Quote && q.Operation != broker.Place && q.Operation != broker.Find {
		return broker.None
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.market
	x.market = nothing
	if f != nothing {
		x.did(f)
	}
	return ofBroker[f]
}

// inAnotherMarket is the payload of a trade whose quote another deployment has made: one with real money, one without a
// broker, or one of an older version, which did not say.
func inAnotherMarket(x *execution, payload []byte) []byte {
	x.did(anotherMarket)
	return withMarket(payload, []string{`"live"`, `"simulated"`, ``}[x.number%3])
}

// withMarket changes in which market a quote was made, or takes that out.
func withMarket(payload []byte, market string) []byte {
	return edited(payload, func(quote map[string]json.RawMessage) {
		quote["market"] = json.RawMessage(market)
		if market == "" {
			delete(quote, "market")
		}
	})
}
