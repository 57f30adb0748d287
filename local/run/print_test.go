package main

import (
	"strings"
	"testing"
	"time"

	"stocktrading/local/states"
)

// A state that waits is shown under its own name, whatever the definition calls it.
func TestPrintNamesTheStateThatWaits(t *testing.T) {
	var out strings.Builder
	p := newPrinter(&out)
	at := states.Time{Time: time.Now()}
	for _, e := range []states.HistoryEvent{
		{Type: "TaskStateEntered", Timestamp: at, Details: states.Details{Name: "Ask Twice"}},
		{Type: "TaskSubmitted", Timestamp: at},
	} {
		p.event("arn:aws:states:eu-west-1:123456789012:execution:StockTrading:order-1", e)
	}
	if !strings.Contains(out.String(), "Ask Twice") || len(p.waiting) != 1 {
		t.Errorf("printed %q, and told of %d waits", out.String(), len(p.waiting))
	}
}
