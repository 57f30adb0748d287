package tradehandler_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"testing"

	"stocktrading/lambdas/trading"
	"stocktrading/lambdas/trading/tradehandler"
)

// The state machine chooses the side; what stands in the input as recommended does not count.
func TestHandlerTradesItsOwnSide(t *testing.T) {
	input := `{"stock_price":42,"market":"simulated","symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z","recommended_type":"buy"}`
	for _, side := range []trading.Side{trading.Buy, trading.Sell} {
		t.Run(string(side), func(t *testing.T) {
			var q trading.Quote
			if err := json.Unmarshal([]byte(input), &q); err != nil {
				t.Fatal(err)
			}
			got, err := tradehandler.New(side, trading.Simulated{}, slog.New(slog.NewTextHandler(io.Discard, nil)))(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if want := q.Receipt(side); got != want || got.Type != side {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

type closed struct{ err error }

func (closed) Market() trading.Market { return trading.PaperMarket }

func (c closed) Trade(context.Context, trading.Side, trading.Quote) (trading.Receipt, error) {
	return trading.Receipt{}, c.err
}

// The state machine knows an error by the name of its type, which nothing may hide.
func TestHandlerPassesTheMarketsErrorOn(t *testing.T) {
	want := &trading.OrderRefused{Reason: "the market is closed"}
	_, err := tradehandler.New(trading.Buy, closed{want}, slog.New(slog.NewTextHandler(io.Discard, nil)))(t.Context(), trading.Quote{Market: trading.PaperMarket})
	if err != error(want) {
		t.Errorf("got error %#v, want %#v", err, want)
	}
}

// A market that counts what it is asked to trade.
type counting struct {
	market trading.Market
	trades *int
}

func (c counting) Market() trading.Market { return c.market }

func (c counting) Trade(_ context.Context, side trading.Side, q trading.Quote) (trading.Receipt, error) {
	*c.trades++
	return q.Receipt(side), nil
}

// A quote that waited while the deployment's market changed is not traded, and neither is
// one of a version that did not say in which market it was made.
func TestHandlerTradesInTheMarketOfTheQuote(t *testing.T) {
	markets := []trading.Market{trading.SimulatedMarket, trading.PaperMarket, trading.LiveMarket}
	for _, own := range markets {
		for _, made := range append(markets, "") {
			trades := 0
			_, err := tradehandler.New(trading.Sell, counting{own, &trades}, slog.New(slog.NewTextHandler(io.Discard, nil)))(t.Context(), trading.Quote{Market: made})
			var invalid *trading.InvalidRequest
			if same := made == own; same != (trades == 1) || same != (err == nil) || !same && !errors.As(err, &invalid) {
				t.Errorf("a quote of the market %q in %s: %d trades, error %v", made, own, trades, err)
			}
		}
	}
}
