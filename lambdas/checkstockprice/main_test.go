package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"stocktrading/lambdas/trading"
)

// fake is a market with one price, or with none.
type fake struct {
	price trading.SharePrice
	err   error
}

func (f fake) Price(context.Context, string) (trading.SharePrice, error) { return f.price, f.err }

func (fake) DefaultQty() int { return 7 }

func (fake) Market() trading.Market { return trading.PaperMarket }

func newHandler(m quoter) handler {
	return handler{
		market: m,
		newID:  func() string { return "0123456789abcdef0123456789abcdef" },
		now:    func() time.Time { return time.Date(2026, 1, 2, 4, 4, 5, 999, time.FixedZone("CET", 3600)) },
		log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestHandle(t *testing.T) {
	for _, test := range []struct {
		name    string
		request trading.Request
		price   trading.SharePrice
		want    string
	}{
		{"as asked", trading.Request{Symbol: "BRK.B", Qty: 3}, trading.SharePrice{Latest: 42}, `{"stock_price":42,"market":"paper","symbol":"BRK.B","qty":3,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`},
		{"of a real market", trading.Request{Symbol: "AMZN", Qty: 3}, trading.SharePrice{Latest: 187.12, Limit: "187.12", PreviousClose: 190.5}, `{"stock_price":187.12,"limit_price":"187.12","previous_close":190.5,"market":"paper","symbol":"AMZN","qty":3,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`},
		{"defaults", trading.Request{}, trading.SharePrice{Latest: 42}, `{"stock_price":42,"market":"paper","symbol":"AMZN","qty":7,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, err := newHandler(fake{price: test.price}).handle(t.Context(), test.request)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(q)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// The state machine knows an error by the name of its type, which nothing may hide.
func TestHandlePassesTheMarketsErrorOn(t *testing.T) {
	closed := &trading.OrderRefused{Reason: "the market is closed"}
	if _, err := newHandler(fake{err: closed}).handle(t.Context(), trading.Request{Symbol: "X"}); err != error(closed) {
		t.Errorf("got error %#v, want %#v", err, closed)
	}
}

// The simulated market keeps the sample's ranges and reaches both ends of each.
func TestSimulatedMarket(t *testing.T) {
	m := trading.Simulated{IntN: rand.New(rand.NewPCG(1, 2)).IntN}
	prices, quantities := map[float64]bool{}, map[int]bool{}
	for range 10_000 {
		price, err := m.Price(t.Context(), "AMZN")
		if err != nil {
			t.Fatal(err)
		}
		if price.Limit != "" || price.PreviousClose != 0 {
			t.Fatalf("%+v is more than the sample draws", price)
		}
		prices[price.Latest] = true
		quantities[m.DefaultQty()] = true
	}
	if len(prices) != 100 || !prices[0] || !prices[99] {
		t.Errorf("%d different prices, want the 100 from 0 to 99", len(prices))
	}
	if len(quantities) != 10 || !quantities[1] || !quantities[10] {
		t.Errorf("%d different quantities, want the 10 from 1 to 10", len(quantities))
	}
}
