package functions

import (
	"testing"
	"time"
)

// waitForEnd has nothing to look at: Windows gives the id of a process that has ended to another one.
func waitForEnd(*testing.T, int, time.Duration) {}
