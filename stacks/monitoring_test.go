package stacks

import (
	"testing"
	"time"
)

// The alarm goes off before the request that it is about is gone.
func TestStuckMinutes(t *testing.T) {
	for timeout, want := range map[time.Duration]float64{
		time.Second:                    1, // the request lives for a minute
		2 * time.Minute:                1,
		3 * time.Minute:                2,
		5*time.Minute + 59*time.Second: 4,
		6 * time.Minute:                5,
		24 * time.Hour:                 5,
	} {
		if got := stuckMinutes(timeout); got != want {
			t.Errorf("after a timeout of %s: %v minutes, want %v", timeout, got, want)
		}
	}
}
