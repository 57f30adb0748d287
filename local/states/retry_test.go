package states

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"
)

func TestRetryInterval(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	retry := `"Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":100,"MaxAttempts":2}],`
	e := launch(t, oneTask(publish, retry), func(context.Context, Task) (json.RawMessage, error) {
		attempts.Add(1)
		return nil, &Error{"E", ""}
	}, func(c *Config) { c.RetryInterval = 10 * time.Millisecond })
	start := time.Now()
	wantFailure(t, await(t, e, begin(t, e, `{}`)), "E")
	if took := time.Since(start); attempts.Load() != 3 || took < 20*time.Millisecond || took > 10*time.Second {
		t.Errorf("%d attempts in %s, want 3 with 10 ms between them", attempts.Load(), took)
	}
}
