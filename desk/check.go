package main

import (
	"context"
	"errors"
	"fmt"

	"stocktrading/desk/terminal"
	"stocktrading/desk/teststate"
	"stocktrading/lambdas/trading"
)

// check tries out a deployment.
type check struct{}

// Help is what --help shows below the flags' list.
func (*check) Help() string {
	return `It tries out a deployment where a person approves and no real money is traded. It needs states:StartExecution on the state machine beside what the desk needs; where fourEyes is true, an administrator runs it, since the approvers' policy denies that call. With states:TestState it also runs every path of the definition on AWS's interpreter with mocked results, which deploys and trades nothing, and compares it with the local engine; this was not tried yet.`
}

func (*check) execution() string { return "" }
func (*check) check() error      { return nil }

func (*check) run(ctx context.Context, s session) error {
	say := func(ok bool, sentence string) {
		mark := "✓"
		if !ok {
			mark = "✗"
		}
		fmt.Fprintln(s.stdout, mark, terminal.Fold(sentence, "  ", s.terminal.Width))
	}
	if err := s.desk.Check(ctx, say); err != nil {
		return err
	}
	return compare(ctx, s, say)
}

// compare compares the local engine with AWS's interpreter, on the deployed definition.
func compare(ctx context.Context, s session, say func(bool, string)) error {
	api, ok := s.client.(teststate.API)
	if !ok {
		return nil
	}
	definition, err := s.desk.Definition(ctx)
	if err != nil {
		return err
	}
	result, err := teststate.Compare(ctx, api, s.machine.ARN, definition, func(steps int) {
		fmt.Fprintf(s.stdout, "  Running %d steps of the definition on AWS's interpreter, about one a second\n", steps)
	})
	switch {
	case errors.Is(err, teststate.ErrSkipped):
		fmt.Fprintf(s.stdout, "- Not compared with AWS's interpreter: %s\n", trading.OneLine(err.Error(), 300))
		return nil
	case err != nil:
		return err
	}
	for _, difference := range result.Differences {
		say(false, trading.OneLine(difference, 2000))
	}
	if n := len(result.Differences); n > 0 {
		return fmt.Errorf("the local engine differs from AWS's interpreter in %d of %d steps", n, result.Steps)
	}
	say(true, fmt.Sprintf("AWS's interpreter takes the %d steps of %d paths as the local engine does.", result.Steps, result.Paths))
	return nil
}
