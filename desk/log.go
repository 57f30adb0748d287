package main

import (
	"context"
	"fmt"
	"time"

	"stocktrading/desk/decision"
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

// parseTime reads the time of a flag.
func parseTime(flag, text string) (time.Time, error) {
	t, err := decision.ParseTime(text)
	if err != nil {
		return t, wrongUse(flag + " is " + err.Error())
	}
	return t, nil
}

func (c *log) run(ctx context.Context, s session) error {
	var trades []decision.Trade
	show, clear := progress(s.environment)
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
		return decision.WriteJSON(s.stdout, trades)
	case c.Format == "csv":
		return decision.WriteCSV(s.stdout, trades)
	case len(trades) == 0:
		fmt.Fprintln(s.stdout, "No executions were found.")
		return nil
	}
	return s.terminal.Log(trades, c.Details)
}
