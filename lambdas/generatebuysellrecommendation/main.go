// Command generatebuysellrecommendation is the function of the state "Generate
// Buy/Sell recommendation": it answers a quote with "buy" or "sell".
package main

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"stocktrading/lambdas/trading"
)

type handler struct {
	log *slog.Logger
}

func (h handler) handle(ctx context.Context, q trading.Quote) (trading.Side, error) {
	side := trading.Recommend(q)
	h.log.InfoContext(ctx, "recommended", "side", side, "price", q.Price(), "quoteId", q.QuoteID)
	return side, nil
}

func main() {
	lambda.Start(handler{log: lambdacontext.NewLogger()}.handle)
}
