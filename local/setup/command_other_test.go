//go:build !unix

package setup

import "testing"

// checkEnded has nothing to check: what a killed program has started ends by itself there.
func checkEnded(*testing.T, int) {}
