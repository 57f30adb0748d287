//go:build alpaca

package market

import (
	"os"

	"stocktrading/lambdas/market/alpaca"
)

// Open returns Alpaca, as the function's environment says.
func Open() *alpaca.Market { return alpaca.Open(os.Getenv) }
