package trading

import (
	"context"
	"math/rand/v2"
)

// Simulated is a market that does not exist: the price of every stock is a whole
// number drawn at random from 0 to 99, as in the original sample. It is the default
// market; whatever it trades is pretended.
type Simulated struct {
	Rand *rand.Rand // not safe for concurrent use; a Lambda function serves one request at a time
}

// Price draws the price of one share of any symbol.
func (s Simulated) Price(context.Context, string) (float64, error) {
	return float64(s.Rand.IntN(100)), nil
}

// DefaultQty draws the number of shares, 1 to 10, for a request that names none.
func (s Simulated) DefaultQty() int { return 1 + s.Rand.IntN(10) }
