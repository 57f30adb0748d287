package main

import (
	"context"
	"fmt"

	"stocktrading/desk/decision"
	"stocktrading/desk/terminal"
)

// answer is an answer on the command line: the command's name.
type answer struct {
	Execution string `arg:"" help:"Its ARN or name."`
	Reason    string `placeholder:"TEXT" help:"Why; up to 1000 characters, and recorded."`
	Yes       bool   `help:"Send it without asking, as where there is no terminal."`
	RealMoney bool   `help:"The same where it trades with real money; needed there if there is no terminal."`
	Details   bool   `help:"Show the technical names of what was recorded, too."`
}

func (a *answer) execution() string { return a.Execution }

func (a *answer) check() (err error) {
	if a.Execution == "" {
		return wrongUse("the execution's name is empty")
	}
	a.Reason, err = decision.CleanReason(a.Reason)
	return err
}

func (a *answer) run(ctx context.Context, s session) error {
	value := decision.Answer(s.command)
	if a.RealMoney && value == decision.Decline {
		return wrongUse("--real-money is for an answer that trades: approve, buy or sell")
	}
	wait, err := s.desk.Find(ctx, a.Execution)
	if err != nil {
		return err
	}
	confirmed := a.Yes || !s.asks()
	if wait.RealMoney(value) {
		confirmed = a.RealMoney
	}
	if !confirmed && s.asks() {
		if err := s.introduce(ctx); err != nil {
			return err
		}
	}
	if err := s.terminal.Show(wait); err != nil {
		return err
	}
	act, err := wait.Act(value)
	if err != nil {
		return err
	}
	switch {
	case confirmed:
		fmt.Fprintf(s.stdout, "\n%s.\n", terminal.Fold(act, "", s.terminal.Width))
	case !s.asks():
		return wrongUse("nothing was sent: this trades with real money, and there is no terminal to ask once more at, so it takes --real-money")
	default:
		reason, sure, err := s.terminal.Confirm(ctx, wait, value, a.Reason)
		if err != nil {
			return err
		}
		if a.Reason = reason; !sure {
			value = decision.Later
		}
	}
	return s.send(ctx, wait, value, a.Reason, a.Details)
}

// send sends an answer, unless it is Later, and shows what was recorded.
func (s session) send(ctx context.Context, wait decision.Wait, a decision.Answer, reason string, details bool) error {
	if a == decision.Later {
		fmt.Fprintf(s.stdout, "Nothing was sent. %s still waits.\n", wait.Name())
		return nil
	}
	record, err := s.desk.Decide(ctx, wait, a, reason)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, terminal.Fold(record.String(), "", s.terminal.Width))
	if details && record.Event != "" {
		fmt.Fprintln(s.stdout, record.Details())
	}
	return nil
}
