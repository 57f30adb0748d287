//go:build !alpaca

// Package market is where the functions get the market that they were built for. The
// build tag alpaca chooses a real one; without it nothing of that one is in a function's
// executable.
package market

import (
	"math/rand/v2"

	"stocktrading/lambdas/trading"
)

// Open returns the simulated market.
func Open() trading.Simulated { return trading.Simulated{IntN: rand.IntN} }
