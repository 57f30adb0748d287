// Package tradehandler is the Lambda handler that the functions of "Buy Stock" and
// "Sell Stock" share.
package tradehandler

import (
	"context"
	"log/slog"

	"stocktrading/lambdas/trading"
)

// New returns a handler that trades the quote of its input on the given side. What
// the input recommends does not count: the state machine has chosen the side.
func New(side trading.Side, log *slog.Logger) func(context.Context, trading.Quote) (trading.Receipt, error) {
	return func(ctx context.Context, q trading.Quote) (trading.Receipt, error) {
		r := trading.Trade(side, q)
		log.InfoContext(ctx, "traded", "side", r.Type, "symbol", r.Symbol, "price", r.Price, "qty", r.Qty, "id", r.ID)
		return r, nil
	}
}
