// Package timefmt writes durations and times for a person.
package timefmt

import (
	"fmt"
	"strings"
	"time"
)

// Span writes a duration, rounded down: "39ms", "1.2s", and from ten seconds on in its two largest
// units, such as "42s", "1h5m" or "3h". A negative duration is "0s".
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(n time.Duration, unit string, rest time.Duration, smaller string) string {
		if rest == 0 {
			return fmt.Sprintf("%d%s", n, unit)
		}
		return fmt.Sprintf("%d%s%d%s", n, unit, rest, smaller)
	}
	switch d = max(d, 0); {
	case d >= 2*day:
		return two(d/day, "d", d%day/time.Hour, "h")
	case d >= time.Hour:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "m")
	case d >= time.Minute:
		return two(d/time.Minute, "m", d%time.Minute/time.Second, "s")
	case d >= 10*time.Second:
		return d.Truncate(time.Second).String()
	case d >= time.Second:
		return d.Truncate(100 * time.Millisecond).String()
	}
	return d.Truncate(time.Millisecond).String()
}

// Clock writes a time in UTC, without the date if that is today's, such as "10:46 UTC".
func Clock(t, now time.Time) string {
	const day = "2006-01-02 "
	text := t.UTC().Format(day + "15:04 UTC")
	return strings.TrimPrefix(text, now.UTC().Format(day))
}
