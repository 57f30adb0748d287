package trading

import "context"

// Simulated is a market that does not exist: the price of every stock is a whole
// number drawn at random from 0 to 99, as in the original sample. It is the default
// market; whatever it trades is pretended.
type Simulated struct {
	IntN func(n int) int // draws from 0 to n-1, as rand.IntN does
}

// Price draws the price of one share of any symbol.
func (s Simulated) Price(context.Context, string) (SharePrice, error) {
	return SharePrice{Latest: float64(s.IntN(100))}, nil
}

// Trade pretends to trade a quote.
func (Simulated) Trade(_ context.Context, side Side, q Quote) (Receipt, error) {
	return q.Receipt(side), nil
}

// Market is the simulated one.
func (Simulated) Market() Market { return SimulatedMarket }

// DefaultQty draws the number of shares, 1 to 10, for a request that names none.
func (s Simulated) DefaultQty() int { return 1 + s.IntN(10) }
