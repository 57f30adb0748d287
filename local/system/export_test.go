package system

import (
	"testing"
	"time"
)

// SetRequestTime changes for a test how long a request may take to arrive.
func SetRequestTime(t *testing.T, d time.Duration) {
	before := requestTime
	requestTime = d
	t.Cleanup(func() { requestTime = before })
}
