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

// Trade pretends to trade a quote. A quote with a limit price is of a real market, where
// whoever approved it believes that it is traded: its error is an *InvalidRequest.
func (Simulated) Trade(_ context.Context, side Side, q Quote) (Receipt, error) {
	if q.LimitPrice != "" {
		return Receipt{}, invalid("the quote is of a real market, and this is the simulated one")
	}
	return q.Receipt(side), nil
}

// DefaultQty draws the number of shares, 1 to 10, for a request that names none.
func (s Simulated) DefaultQty() int { return 1 + s.IntN(10) }
