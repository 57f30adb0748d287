// Package tradehandler is the Lambda handler that the functions of "Buy Stock" and
// "Sell Stock" share.
package tradehandler

import (
	"context"
	"log/slog"

	"stocktrading/lambdas/trading"
)

// market trades a quote on a side, at most once however often it is asked to: it
// recognizes a repetition by the quote's id. Its errors have types that the state machine
// matches.
type market interface {
	Market() trading.Market
	Trade(ctx context.Context, side trading.Side, q trading.Quote) (trading.Receipt, error)
}

// New returns a handler that trades the quote of its input on the given side, in the
// market that the quote was made in or not at all: a deployment may have changed the market
// while a person decided. It ignores the recommendation in the input, because the state
// machine has chosen the side.
func New(side trading.Side, m market, log *slog.Logger) func(context.Context, trading.Quote) (trading.Receipt, error) {
	return func(ctx context.Context, q trading.Quote) (trading.Receipt, error) {
		err := q.CheckMarket(m.Market())
		var r trading.Receipt
		if err == nil {
			r, err = m.Trade(ctx, side, q)
		}
		if err != nil {
			log.WarnContext(ctx, "not traded", "side", side, "symbol", q.Symbol, "id", q.QuoteID, "error", err)
			return trading.Receipt{}, err // unwrapped: the state machine matches the name of its type
		}
		log.InfoContext(ctx, "traded", "side", r.Type, "symbol", r.Symbol, "price", r.Price, "qty", r.Qty, "id", r.ID)
		return r, nil
	}
}
