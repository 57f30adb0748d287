package timefmt_test

import (
	"testing"
	"time"

	"stocktrading/desk/timefmt"
)

func TestSpan(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Hour, "39ms": 39*time.Millisecond + 999*time.Microsecond, "1s": time.Second, "9.9s": 9999 * time.Millisecond,
		"10s": 10500 * time.Millisecond, "59s": time.Minute - 1, "1m": time.Minute, "1m5s": 65 * time.Second, "59m59s": time.Hour - 1,
		"3h": 3*time.Hour + 59*time.Second, "47h59m": 48*time.Hour - 1, "2d": 48 * time.Hour, "2d1h": 50*time.Hour - 1,
	} {
		if got := timefmt.Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	at := time.Date(2026, 1, 2, 0, 46, 59, 0, time.FixedZone("", 2*3600))
	for want, now := range map[string]time.Time{"22:46 UTC": at.Add(time.Hour), "2026-01-01 22:46 UTC": at.Add(2 * time.Hour)} {
		if got := timefmt.Clock(at, now); got != want {
			t.Errorf("%v seen from %v is %q, want %q", at, now, got, want)
		}
	}
}
