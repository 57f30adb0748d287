// Command checkstockprice is the function of the state "Check Stock Price": it turns
// the execution's input into the quote that a person approves.
package main

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"stocktrading/lambdas/market"
	"stocktrading/lambdas/trading"
)

// quoter is a market that quotes the price of one share. DefaultQty is the number of
// shares of a request without one. The errors have types that the state machine matches.
type quoter interface {
	Price(ctx context.Context, symbol string) (trading.SharePrice, error)
	DefaultQty() int
	Market() trading.Market
}

type handler struct {
	market quoter
	newID  func() string
	now    func() time.Time
	log    *slog.Logger
}

func (h handler) handle(ctx context.Context, r trading.Request) (trading.Quote, error) {
	if r.Symbol == "" {
		r.Symbol = trading.DefaultSymbol
	}
	if r.Qty == 0 {
		r.Qty = h.market.DefaultQty()
	}
	price, err := h.market.Price(ctx, r.Symbol)
	if err != nil {
		h.log.WarnContext(ctx, "no price", "symbol", r.Symbol, "error", err)
		return trading.Quote{}, err // as it is: its type is its name in the state machine
	}
	q := trading.Quote{
		StockPrice:    price.Latest,
		LimitPrice:    price.Limit,
		PreviousClose: price.PreviousClose,
		Market:        h.market.Market(),
		Symbol:        r.Symbol,
		Qty:           r.Qty,
		QuoteID:       h.newID(),
		QuotedAt:      h.now().UTC().Truncate(time.Second),
	}
	h.log.InfoContext(ctx, "quoted", "symbol", q.Symbol, "price", q.Price(), "qty", q.Qty, "quoteId", q.QuoteID)
	return q, nil
}

func randomID() string {
	var id [16]byte
	crand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func main() {
	h := handler{market: market.Open(), newID: randomID, now: time.Now, log: lambdacontext.NewLogger()}
	lambda.Start(h.handle)
}
