package alpaca

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/alpacahq/alpaca-trade-api-go/v3/alpaca"
	"github.com/shopspring/decimal"

	"stocktrading/lambdas/trading"
)

// order is what a quote and a side amount to.
type order struct {
	side   trading.Side
	quote  trading.Quote
	symbol string // as Alpaca spells it
	qty    decimal.Decimal
	limit  decimal.Decimal // per share, in whole ticks
}

// newOrder rounds the approved price to a tick, in favour of the person: no share is
// bought for more, nor sold for less, than was approved. A tick is a cent, or a hundredth
// of a cent below a dollar (rule 612 of the SEC's Regulation NMS; Alpaca rejects the rest).
func newOrder(side trading.Side, q trading.Quote) (order, error) {
	approved, err := decimal.NewFromString(q.LimitPrice)
	if err != nil {
		return order{}, &trading.InvalidRequest{Reason: "limit_price is missing: the quote is not of this market"}
	}
	places := int32(2)
	if approved.LessThan(decimal.NewFromInt(1)) {
		places = 4
	}
	limit := approved.RoundFloor(places)
	if side == trading.Sell {
		limit = approved.RoundCeil(places)
	}
	o := order{side: side, quote: q, symbol: strings.ToUpper(q.Symbol), qty: decimal.NewFromInt(int64(q.Qty)), limit: limit}
	if !limit.IsPositive() {
		return order{}, refused("%s is less than the smallest price that a stock can be bought at", trading.Dollars(q.LimitPrice))
	}
	return o, nil
}

func (o order) String() string {
	return fmt.Sprintf("the order to %s %d %s at %s or better", o.side, o.quote.Qty, o.quote.Symbol, trading.Dollars(o.limit.String()))
}

// Trade places the order of a quote, waits until it has ended and returns what was traded.
// It may be called again, whatever became of the call before: a quote has one order.
// Its error is an *InvalidRequest, an *OrderRefused, a *MarketUnavailable, an
// *OrderUnknown or an *OrderConflict.
func (m *Market) Trade(ctx context.Context, side trading.Side, q trading.Quote) (trading.Receipt, error) {
	o, err := newOrder(side, q)
	if err != nil {
		return trading.Receipt{}, err
	}
	s, end, denied := m.begin(ctx)
	if denied != nil {
		return trading.Receipt{}, o.unknown("", denied)
	}
	defer end()
	client := sdk.NewClient(sdk.ClientOpts{
		APIKey: s.keys.id.reveal(), APISecret: s.keys.secret.reveal(), BaseURL: m.orders, RetryLimit: noRetries, HTTPClient: s.http,
	})
	placed, err := s.find(client, o)
	if placed == nil && err == nil {
		placed, err = s.place(client, o)
	}
	var refusal *trading.OrderRefused
	if errors.As(err, &refusal) {
		placed, err = s.findAgain(client, o, refusal)
	}
	if err != nil {
		return trading.Receipt{}, err
	}
	if err := o.check(placed); err != nil {
		return trading.Receipt{}, err
	}
	if placed, err = s.await(ctx, client, o, placed); err != nil {
		return trading.Receipt{}, err
	}
	return o.receipt(placed)
}

// place places the order, if the market is open and, for a sale, there is what to sell.
// Alpaca would treat a sale of shares that the account does not have as a short sale; the
// position intent prevents that if they are sold between the check and the order.
func (s session) place(client *sdk.Client, o order) (*sdk.Order, error) {
	clock, err := client.GetClock()
	if err != nil {
		return nil, s.failed(o, err, "was not asked for it")
	}
	if !clock.IsOpen {
		return nil, refused("the market is closed until %s", clock.NextOpen.UTC().Format(time.RFC3339))
	}
	var intent sdk.PositionIntent
	if o.side == trading.Sell {
		intent = sdk.SellToClose
		position, err := client.GetPosition(o.symbol)
		switch {
		case err != nil && s.explain(err).notFound:
			return nil, refused("there are no %s to sell", o.quote.Symbol)
		case err != nil:
			return nil, s.failed(o, err, "was not asked for it")
		case position.QtyAvailable.LessThan(o.qty): // the rest is held for other orders
			return nil, refused("there are %s %s to sell, and not %s", position.QtyAvailable, o.quote.Symbol, o.qty)
		}
	}
	placed, err := client.PlaceOrder(sdk.PlaceOrderRequest{
		Symbol:         o.symbol,
		Qty:            &o.qty,
		Side:           sdk.Side(o.side),
		Type:           sdk.Limit,
		TimeInForce:    sdk.IOC,
		LimitPrice:     &o.limit,
		ClientOrderID:  o.quote.QuoteID,
		PositionIntent: intent,
	})
	if err != nil {
		return nil, s.failed(o, err, "was asked for it, and what became of that is unknown")
	}
	return placed, nil
}

// failed maps the error of an attempt; asked says whether Alpaca may have the order.
func (s session) failed(o order, err error, asked string) error {
	f := s.explain(err)
	switch {
	case f.permanent:
		return refused("Alpaca refused %s: %s", o, f)
	case f.limited:
		asked = "did not take it"
	}
	return unavailable("%s is not known to be placed: Alpaca %s: %s", o, asked, f)
}

// find looks for the order by its id. It is nil if there is none.
func (s session) find(client *sdk.Client, o order) (*sdk.Order, error) {
	placed, err := client.GetOrderByClientOrderID(o.quote.QuoteID)
	switch f := s.explain(err); {
	case err == nil:
		return placed, nil
	case f.notFound:
		return nil, nil
	default:
		f.permanent = f.keys // any other refusal is not of Alpaca's own
		return nil, o.unknown("Alpaca does not say: ", f)
	}
}

// findAgain looks for the order after this attempt was refused. An earlier attempt may have
// placed it and lost the reply: then this one is refused for a repeated id, for shares that
// are sold already, or for a market that has closed since. So the order decides, if there is
// one, as soon as Alpaca has had the time to process an earlier request.
func (s session) findAgain(client *sdk.Client, o order, refusal error) (*sdk.Order, error) {
	for until := time.Now().Add(s.settle); ; time.Sleep(lookEvery) {
		placed, err := s.find(client, o)
		switch {
		case placed != nil, err != nil:
			return placed, err
		case !time.Now().Before(until):
			return nil, refusal
		}
	}
}

// unknown is the error of an attempt that could not look for the order, which an earlier
// attempt may have placed. If the failure is permanent, retrying would not help.
func (o order) unknown(who string, f *failure) error {
	if f.permanent {
		return &trading.OrderUnknown{Reason: fmt.Sprintf("it can't be looked up whether there is %s: %s%s", o, who, f)}
	}
	return unavailable("it could not be looked up whether there is %s: %s%s", o, who, f)
}

// check returns an error unless the order that was found is this one.
func (o order) check(found *sdk.Order) error {
	if found.ClientOrderID == o.quote.QuoteID && strings.EqualFold(found.Symbol, o.symbol) && string(found.Side) == string(o.side) &&
		found.Qty != nil && found.Qty.Equal(o.qty) && found.LimitPrice != nil && found.LimitPrice.Equal(o.limit) {
		return nil
	}
	limit := "no limit"
	if found.LimitPrice != nil {
		limit = trading.Dollars(found.LimitPrice.String())
	}
	return &trading.OrderConflict{Reason: fmt.Sprintf("Alpaca has an order %s that is not %s, but %s %s %s at %s: look there what was traded",
		o.quote.QuoteID, o, found.Side, found.Qty, trading.OneLine(found.Symbol, trading.MaxSymbolLen), limit)}
}

// ended are the final states of an order.
var ended = map[string]bool{"filled": true, "canceled": true, "expired": true, "rejected": true}

// await polls the order until it has ended. One that takes too long is cancelled, and polled
// again: it may have been filled meanwhile.
func (s session) await(ctx context.Context, client *sdk.Client, o order, placed *sdk.Order) (*sdk.Order, error) {
	cancelAt := time.Now().Add(s.patience)
	giveUpAt := cancelAt.Add(toCancel)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-toAnswer).Before(giveUpAt) {
		giveUpAt = deadline.Add(-toAnswer)
		cancelAt = giveUpAt.Add(-toCancel)
	}
	cancelled := false
	for wait := time.Duration(0); !ended[placed.Status]; wait = lookEvery {
		if !cancelled && !time.Now().Before(cancelAt) {
			cancelled = client.CancelOrder(placed.ID) == nil // the next look shows whether it was in time
		}
		if !time.Now().Before(giveUpAt) {
			return nil, unavailable("%s was placed, and Alpaca does not say how it ended", o)
		}
		time.Sleep(wait)
		if now, err := client.GetOrder(placed.ID); err == nil { // otherwise the next look may succeed
			placed = now
		}
	}
	return placed, nil
}

// receipt returns what was traded of an order that has ended.
func (o order) receipt(placed *sdk.Order) (trading.Receipt, error) {
	switch {
	case placed.FilledQty.IsPositive() && placed.FilledAvgPrice != nil:
		r := o.quote.Receipt(o.side)
		r.Price, r.Qty = placed.FilledAvgPrice.String(), placed.FilledQty.String()
		if !placed.FilledQty.Equal(o.qty) {
			r.OrderedQty = strconv.Itoa(o.quote.Qty)
		}
		return r, nil
	case placed.FilledQty.IsPositive():
		return trading.Receipt{}, unavailable("of %s, %s were filled, and Alpaca does not give the price yet", o, placed.FilledQty)
	case placed.Status == "rejected":
		return trading.Receipt{}, refused("%s was rejected by the exchange", o)
	default:
		return trading.Receipt{}, refused("%s found nobody to trade with: 0 of %d filled", o, o.quote.Qty)
	}
}
