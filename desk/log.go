package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stocktrading/desk/decision"
	"stocktrading/lambdas/trading"
)

// log shows what was decided, newest first.
type log struct {
	Since   string `placeholder:"TIME" help:"Of executions that started then or later: 2006-01-02, 2006-01-02T15:04:05Z, or a duration before now such as 36h."`
	Before  string `placeholder:"TIME" help:"Of executions that started before then."`
	By      string `placeholder:"PERSON" help:"Decided by the person with this ARN, or the name that it ends with."`
	Limit   int    `default:"50" help:"At most so many; 0 for all."`
	Format  string `enum:"table,json,csv" default:"table" help:"One of table, json, csv."`
	Details bool   `help:"Show the technical names in the table, too."`

	filter decision.Filter
}

// Help is what --help shows below the flags' list.
func (*log) Help() string {
	return "It reads the executions of the last 90 days, which is how long Step Functions keeps them, with one call for each: some ten a second, within the account's limits. Times are UTC."
}

func (*log) execution() string { return "" }

func (c *log) check() (err error) {
	c.filter.By = c.By
	if c.filter.Since, err = parseTime("--since", c.Since); err != nil {
		return err
	}
	if c.filter.Before, err = parseTime("--before", c.Before); err != nil {
		return err
	}
	if since, before := c.filter.Since, c.filter.Before; !before.IsZero() && !since.Before(before) {
		return wrongUse("--since must be earlier than --before")
	}
	if c.Limit < 0 {
		return wrongUse("--limit must be 0 or more")
	}
	return nil
}

// parseTime reads a day, a time, or how long ago it was. No text is no time.
func parseTime(flag, text string) (time.Time, error) {
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
	return time.Time{}, wrongUse(fmt.Sprintf("%s is %q, want a day such as 2006-01-02, a time such as 2006-01-02T15:04:05Z, or a duration such as 36h", flag, trading.OneLine(text, 40)))
}

func (c *log) run(ctx context.Context, s session) error {
	var trades []decision.Trade
	show, clear := progress(s.world)
	for page, done := "", false; !done; done = page == "" || c.Limit > 0 && len(trades) >= c.Limit {
		more, next, err := s.desk.Trades(ctx, c.filter, page)
		if err != nil {
			clear()
			return err
		}
		trades, page = append(trades, more...), next
		if show != nil {
			show(len(trades), 0)
		}
	}
	clear()
	if c.Limit > 0 && len(trades) > c.Limit {
		trades = trades[:c.Limit]
	}
	switch {
	case c.Format == "json":
		return writeJSON(s.stdout, trades)
	case c.Format == "csv":
		return writeCSV(s, trades)
	case len(trades) == 0:
		fmt.Fprintln(s.stdout, "No executions were found.")
		return nil
	}
	return s.terminal.Log(trades, c.Details)
}

// writeCSV writes what the JSON has in rows, and a text that a spreadsheet would take for a
// formula behind an apostrophe; see OWASP's page on CSV injection.
func writeCSV(s session, trades []decision.Trade) error {
	out := csv.NewWriter(s.stdout)
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
