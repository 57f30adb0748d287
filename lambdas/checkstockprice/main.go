// Command checkstockprice is the function of the state "Check Stock Price": it turns
// the execution's input into the quote that a person approves.
package main

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"stocktrading/lambdas/trading"
)

// market tells the price of one share.
type market interface {
	Price(ctx context.Context, symbol string) (float64, error)
}

type handler struct {
	market     market
	defaultQty func() int // shares for a request that names none
	newID      func() string
	now        func() time.Time
	log        *slog.Logger
}

func (h handler) handle(ctx context.Context, r trading.Request) (trading.Quote, error) {
	if r.Symbol == "" {
		r.Symbol = trading.DefaultSymbol
	}
	if r.Qty == 0 {
		r.Qty = h.defaultQty()
	}
	price, err := h.market.Price(ctx, r.Symbol)
	if err != nil {
		return trading.Quote{}, fmt.Errorf("get price of %s: %w", r.Symbol, err)
	}
	q := trading.Quote{
		StockPrice: price,
		Symbol:     r.Symbol,
		Qty:        r.Qty,
		QuoteID:    h.newID(),
		QuotedAt:   h.now().UTC().Truncate(time.Second),
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
	simulated := trading.Simulated{Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	h := handler{
		market:     simulated,
		defaultQty: simulated.DefaultQty,
		newID:      randomID,
		now:        time.Now,
		log:        lambdacontext.NewLogger(),
	}
	lambda.Start(h.handle)
}
