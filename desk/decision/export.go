package decision

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"stocktrading/lambdas/trading"
)

// ParseTime reads a day, a time, or how long ago it was. An empty text is the zero time.
func ParseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errorf(ErrWrongUse, "%q, want a day such as 2006-01-02, a time such as 2006-01-02T15:04:05Z, or a duration such as 36h", trading.OneLine(text, 40))
}

// WriteJSON writes a list as a JSON array, which is empty and not null for no list.
func WriteJSON[T any](w io.Writer, list []T) error {
	if list == nil {
		list = []T{}
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the list: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s\n", text); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}

// WriteCSV writes what the JSON of the trades has in rows, and a text that a spreadsheet would take for a
// formula behind an apostrophe; see OWASP's page on CSV injection.
func WriteCSV(w io.Writer, trades []Trade) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{
		"execution", "started", "ended", "market", "symbol", "qty", "price", "total", "recommendation", "side",
		"asked", "decided", "took_seconds", "decision", "decided_by", "reason", "outcome", "trade_placed", "failure",
	})
	instant := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	for _, t := range trades {
		row := []string{
			t.Execution, instant(t.Started), instant(t.Ended), string(t.Quote.Market), t.Quote.Symbol, "", "", "", t.Recommended, string(t.Side),
			instant(t.Asked), instant(t.Decision.At), "", t.Decision.What, t.Decision.By, t.Decision.Reason, string(t.Outcome), string(t.Placed), t.Failure,
		}
		if t.Quote.Qty > 0 {
			row[5] = strconv.Itoa(t.Quote.Qty)
		}
		if t.Quote.QuoteID != "" {
			row[6], row[7] = t.Quote.Price(), t.Quote.Total()
		}
		if took := t.Took(); took > 0 {
			row[12] = strconv.FormatFloat(took.Seconds(), 'f', -1, 64)
		}
		for i, text := range row {
			if text != "" && strings.ContainsAny(text[:1], "=+-@") {
				row[i] = "'" + text
			}
		}
		_ = out.Write(row)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}
