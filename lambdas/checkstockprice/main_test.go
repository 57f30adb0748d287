package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"stocktrading/lambdas/trading"
)

type fixedPrice float64

func (p fixedPrice) Price(context.Context, string) (float64, error) { return float64(p), nil }

type closedMarket struct{}

func (closedMarket) Price(context.Context, string) (float64, error) {
	return 0, errors.New("market closed")
}

func newHandler(m market) handler {
	return handler{
		market:     m,
		defaultQty: func() int { return 7 },
		newID:      func() string { return "0123456789abcdef0123456789abcdef" },
		now:        func() time.Time { return time.Date(2026, 1, 2, 4, 4, 5, 999, time.FixedZone("CET", 3600)) },
		log:        slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestHandle(t *testing.T) {
	for _, test := range []struct {
		name    string
		request trading.Request
		want    string
	}{
		{"as asked", trading.Request{Symbol: "BRK.B", Qty: 3}, `{"stock_price":42,"symbol":"BRK.B","qty":3,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`},
		{"defaults", trading.Request{}, `{"stock_price":42,"symbol":"AMZN","qty":7,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, err := newHandler(fixedPrice(42)).handle(t.Context(), test.request)
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

func TestHandleNamesTheSymbolThatHasNoPrice(t *testing.T) {
	_, err := newHandler(closedMarket{}).handle(t.Context(), trading.Request{Symbol: "X"})
	if err == nil || !strings.Contains(err.Error(), "get price of X: market closed") {
		t.Errorf("got error %v", err)
	}
}

// The simulated market keeps the sample's ranges and reaches both ends of each.
func TestSimulatedMarket(t *testing.T) {
	m := trading.Simulated{Rand: rand.New(rand.NewPCG(1, 2))}
	prices, quantities := map[float64]bool{}, map[int]bool{}
	for range 10_000 {
		price, err := m.Price(t.Context(), "AMZN")
		if err != nil {
			t.Fatal(err)
		}
		prices[price] = true
		quantities[m.DefaultQty()] = true
	}
	if len(prices) != 100 || !prices[0] || !prices[99] {
		t.Errorf("%d different prices, want the 100 from 0 to 99", len(prices))
	}
	if len(quantities) != 10 || !quantities[1] || !quantities[10] {
		t.Errorf("%d different quantities, want the 10 from 1 to 10", len(quantities))
	}
}
