package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stocktrading/desk/decision"
	"stocktrading/lambdas/trading"
)

// show lists what waits, or shows one execution and asks.
type show struct {
	Execution *string `arg:"" optional:"" help:"Its ARN or name."`
	JSON      bool    `xor:"form" help:"The list for scripts, as a JSON array."`
	Web       bool    `xor:"form" help:"All of it as a page in your browser, on this machine alone; Ctrl-C ends it."`
	Details   bool    `help:"Show the technical names of what was recorded, too."`
}

func (c *show) execution() string {
	if c.Execution == nil {
		return ""
	}
	return *c.Execution
}

func (c *show) check() error {
	switch {
	case c.Execution == nil:
		return nil
	case *c.Execution == "":
		return wrongUse("the execution's name is empty")
	case c.JSON:
		return wrongUse("--json is for the list")
	case c.Web:
		return wrongUse("--web stands for itself: choose the execution on the page")
	}
	return nil
}

func (c *show) run(ctx context.Context, s session) error {
	switch {
	case c.Web:
		return s.serve(ctx)
	case c.Execution == nil:
		return c.list(ctx, s)
	}
	wait, err := s.desk.Find(ctx, *c.Execution)
	if errors.Is(err, decision.ErrGone) {
		return c.showTrade(ctx, s, err)
	} else if err != nil {
		return err
	}
	if !s.asks() {
		if err := s.terminal.Show(wait); err != nil {
			return err
		}
		execution := trading.ShellQuote(trading.OneLine(*c.Execution, 400))
		fmt.Fprintf(s.stdout, "\nTo decide, run one of these:\n\n")
		for _, answer := range []string{"approve", "buy", "sell", "decline"} {
			fmt.Fprintf(s.stdout, "  go run ./desk %s%s %s\n", s.hint, answer, execution)
		}
		return wrongUse("there is no terminal to ask at")
	}
	if err := s.introduce(ctx); err != nil {
		return err
	}
	answer, reason, err := c.ask(ctx, s, wait)
	if errors.Is(err, decision.ErrGone) {
		return c.showTrade(ctx, s, err)
	} else if err != nil {
		return err
	}
	return s.send(ctx, wait, answer, reason, c.Details)
}

// showTrade shows what came of an execution that no longer asks, or returns gone.
func (c *show) showTrade(ctx context.Context, s session, gone error) error {
	x, err := s.desk.Open(ctx, *c.Execution)
	if errors.Is(err, decision.ErrNoExecution) { // Find went by how the name is displayed
		return gone
	} else if err != nil {
		return err
	}
	return s.terminal.ShowTrade(x.Trade, c.Details)
}

// grace is how much later than its deadline a history may show that a wait has expired.
const grace = 3 * time.Second

// ask asks until the wait's deadline, and on if the history says that the wait is open: this
// machine's clock may be fast. Its error is ErrGone if the wait has ended.
func (c *show) ask(ctx context.Context, s session, wait decision.Wait) (decision.Answer, string, error) {
	if wait.Deadline.IsZero() || !time.Now().Before(wait.Deadline) {
		return s.terminal.Ask(ctx, wait)
	}
	asking, cancel := context.WithDeadline(ctx, wait.Deadline.Add(grace))
	defer cancel()
	answer, reason, err := s.terminal.Ask(asking, wait)
	if err == nil || ctx.Err() != nil || asking.Err() == nil {
		return answer, reason, err
	}
	if wait, err = s.desk.Find(ctx, wait.Execution); err != nil {
		return decision.Later, "", err
	}
	return s.terminal.Ask(ctx, wait)
}

func (c *show) list(ctx context.Context, s session) error {
	var clear func()
	s.desk.Progress, clear = progress(s.environment)
	waits, err := s.desk.List(ctx)
	clear()
	switch {
	case err != nil:
		return err
	case c.JSON:
		return decision.WriteJSON(s.stdout, waits)
	case len(waits) == 0:
		fmt.Fprintln(s.stdout, "Nothing waits for a decision.")
		return nil
	}
	if err := s.terminal.Table(waits); err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "\nTo decide: go run ./desk %sNAME\n", s.hint)
	return nil
}

// patience is how long a list may take before it shows its progress.
const patience = 500 * time.Millisecond

// progress returns a function that shows a list's progress on one line of a terminal, of a
// total or of an unknown one (0), and a function that clears the line.
func progress(w environment) (show func(done, total int), clear func()) {
	if !w.isTerminal(w.stderr) {
		return nil, func() {}
	}
	began, width := time.Now(), 0
	show = func(done, total int) {
		if time.Since(began) < patience {
			return
		}
		line := fmt.Sprintf("Reading executions: %d of %d", done, total)
		if total == 0 {
			line = fmt.Sprintf("Reading executions: %d found", done)
		}
		fmt.Fprintf(w.stderr, "\r%s", line) // no shorter than the one before
		width = len(line)
	}
	clear = func() {
		if width > 0 {
			fmt.Fprintf(w.stderr, "\r%*s\r", width, "")
		}
	}
	return show, clear
}
