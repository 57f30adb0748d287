package decision

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fatih/color"

	"stocktrading/desk/terminal"
	"stocktrading/desk/timefmt"
	"stocktrading/lambdas/trading"
)

// Terminal is where a person reads and answers. What it writes of an execution has no
// control characters, whatever the execution's texts hold.
type Terminal struct {
	// Now is the clock that waiting times are measured by. It is time.Now unless set.
	Now func() time.Time

	// Width is how many columns a line may have, or 0 for any number. It is that of the terminal unless set.
	Width int

	// Final says that nothing can be decided later, because what is asked about ends with the question.
	Final bool

	in    lines
	out   io.Writer
	paint palette
}

// NewTerminal returns a terminal that reads from in and writes to out. Only one terminal
// may read from in.
func NewTerminal(in io.Reader, out io.Writer, colour bool) *Terminal {
	return &Terminal{Now: time.Now, Width: terminal.Columns(out), in: lines{in: in}, out: out, paint: newPalette(colour)}
}

// palette paints text, or leaves it as it is.
type palette struct{ bold, faint, buy, sell, warn func(...any) string }

func newPalette(colour bool) palette {
	ink := func(attribute color.Attribute) func(...any) string { return terminal.Paint(colour, attribute) }
	return palette{
		bold: ink(color.Bold), faint: ink(color.Faint),
		buy: ink(color.FgGreen), sell: ink(color.FgMagenta), warn: ink(color.FgYellow),
	}
}

func (p palette) side(w Wait) func(...any) string {
	switch side, ok := w.side(); {
	case !ok:
		return p.warn
	case side == trading.Buy:
		return p.buy
	default:
		return p.sell
	}
}

// recommendation is what is recommended, with a word of warning where that is not a side.
func recommendation(w Wait) string {
	text := trading.OneLine(w.Recommended, 20)
	if _, ok := w.side(); !ok {
		return fmt.Sprintf("unknown (%s)", text)
	}
	return text
}

// ShowTrade writes what came of an execution.
func (t *Terminal) ShowTrade(x Trade, details bool) error {
	var text string
	if act := x.Act(); act != "" {
		text = t.paint.bold(terminal.Fold(act+".", "", t.Width)) + "\n"
	}
	if text += terminal.Fold(x.String(), "", t.Width) + "\n"; details {
		text += t.paint.faint(terminal.Fold(x.details(), "", t.Width)) + "\n"
	}
	return t.write(text)
}

// Show writes one wait in full.
func (t *Terminal) Show(w Wait) error {
	var rows [][2]string
	if w.Problem != "" {
		rows = append(rows, [2]string{"Problem", t.paint.warn(trading.OneLine(w.Problem, maxARN))})
	} else {
		stakes := w.Quote.Market.Stakes()
		if w.Quote.Market == trading.LiveMarket {
			stakes = t.paint.warn(stakes)
		}
		age, old := w.QuoteAge(t.Now())
		if age += " ago"; old {
			age = t.paint.warn(age)
		}
		price := trading.Dollars(w.Quote.Price())
		if limit := w.Quote.Limit(); limit != "" {
			price += ", limit " + limit
		}
		rows = append(rows,
			[2]string{"Recommended", fmt.Sprintf("%s %d %s, %s in all", t.paint.side(w)(recommendation(w)), w.Quote.Qty, trading.OneLine(w.Quote.Symbol, 24), trading.Dollars(w.Quote.Total()))},
			[2]string{"Price", price},
			[2]string{"Quoted", age + t.paint.faint(", at "+timefmt.Clock(w.Quote.QuotedAt, t.Now()))},
			[2]string{"Market", stakes},
		)
	}
	if !w.Since.IsZero() {
		rows = append(rows, [2]string{"Waiting", t.waiting(w) + t.paint.faint(", since "+timefmt.Clock(w.Since, t.Now()))})
	}
	if !w.Deadline.IsZero() {
		rows = append(rows, [2]string{"Left", t.left(w) + t.paint.faint(", until "+timefmt.Clock(w.Deadline, t.Now()))})
	}
	rows = append(rows, [2]string{"Execution", w.Name()})
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "  %s %s\n", t.paint.bold(fmt.Sprintf("%-12s", row[0])), terminal.Fold(row[1], strings.Repeat(" ", 15), t.Width))
	}
	return t.write(b.String())
}

// Ask shows a wait and asks what to do about it, until it gets one of the answers.
// The end of the input is Later. When the context ends, so does the question, with the
// context's error; a line that was typed for it is dropped if it is complete before the
// next question.
func (t *Terminal) Ask(ctx context.Context, w Wait) (Answer, string, error) {
	if _, err := w.resolve(Decline); err != nil {
		return Later, "", err
	}
	if err := t.Show(w); err != nil {
		return Later, "", err
	}
	question := t.question(w)
	for {
		if err := t.write("\n" + terminal.Fold(question, "", t.Width)); err != nil {
			return Later, "", err
		}
		line, err := t.read(ctx)
		if err != nil || line == "" && t.in.ended {
			return Later, "", err
		}
		answer, ok := answers[strings.ToLower(line)]
		if !ok && line == "" {
			continue
		}
		if !ok {
			if err := t.write(fmt.Sprintf("%q is not one of these.\n", trading.OneLine(line, 40))); err != nil {
				return Later, "", err
			}
			continue
		}
		if answer == Later {
			return Later, "", nil
		}
		if _, err := w.Act(answer); err != nil {
			if err := t.writeSentence(err.Error()); err != nil {
				return Later, "", err
			}
			continue
		}
		reason, sure, err := t.Confirm(ctx, w, answer, "")
		if err != nil || !sure && t.in.ended {
			return Later, "", err
		}
		if sure {
			return answer, reason, nil
		}
	}
}

// Confirm names what an answer does, asks for a reason unless there is one, and whether to
// send the answer. It is sure if the person types y or yes; where real money is traded, only
// yes will do.
func (t *Terminal) Confirm(ctx context.Context, w Wait, a Answer, given string) (reason string, sure bool, err error) {
	act, err := w.Act(a)
	if err != nil {
		return "", false, err
	}
	if err := t.write("\n" + t.paint.bold(terminal.Fold(act+".", "", t.Width)) + "\n"); err != nil {
		return "", false, err
	}
	if reason = given; reason == "" {
		if reason, err = t.askReason(ctx); err != nil || t.in.ended {
			return "", false, err
		}
	}
	question := "Type y to send it, or Enter to go back: "
	if w.RealMoney(a) {
		question = t.paint.warn("This is real money.") + " Type yes to send it, or Enter to go back: "
	}
	if err := t.write(question); err != nil {
		return "", false, err
	}
	line, err := t.read(ctx)
	line = strings.ToLower(line)
	return reason, line == "yes" || line == "y" && !w.RealMoney(a), err
}

var answers = map[string]Answer{
	"a": Approve, "approve": Approve, "b": Buy, "buy": Buy, "s": Sell, "sell": Sell, "d": Decline, "decline": Decline,
	"q": Later, "quit": Later, "l": Later, "later": Later,
}

func (t *Terminal) question(w Wait) string {
	offers := "[b]uy, [s]ell"
	switch side, ok := w.side(); {
	case ok && side == trading.Buy:
		offers = "[a]pprove to buy, [s]ell instead"
	case ok:
		offers = "[a]pprove to sell, [b]uy instead"
	}
	if t.Final {
		return offers + ", [d]ecline, or [q]uit? "
	}
	return offers + ", [d]ecline, or [q]uit and decide later? "
}

func (t *Terminal) askReason(ctx context.Context) (string, error) {
	for {
		if err := t.write("Why (Enter for no reason)? "); err != nil {
			return "", err
		}
		line, err := t.read(ctx)
		if err != nil {
			return "", err
		}
		reason, err := CleanReason(line)
		if err == nil {
			return reason, nil
		}
		if err := t.writeSentence(err.Error()); err != nil {
			return "", err
		}
	}
}

// read returns the next line. At the end of the input it is empty and t.in.ended is set.
func (t *Terminal) read(ctx context.Context) (string, error) {
	line, err := t.in.next(ctx)
	if err != nil || t.in.ended {
		t.write("\n") // what comes next should not stand beside the question
	}
	return strings.TrimSpace(line), err
}

func (t *Terminal) writeSentence(text string) error {
	return t.write(terminal.Fold(Sentence(text), "", t.Width) + "\n")
}

func (t *Terminal) write(s string) error {
	if _, err := io.WriteString(t.out, s); err != nil {
		return fmt.Errorf("write to the terminal: %w", err)
	}
	return nil
}

// hurry is when a wait is marked because little time is left.
const hurry = 10 * time.Minute

func (t *Terminal) waiting(w Wait) string {
	if w.Since.IsZero() {
		return "?"
	}
	return timefmt.Span(t.Now().Sub(w.Since).Truncate(time.Second))
}

func (t *Terminal) left(w Wait) string {
	if w.Deadline.IsZero() {
		return "?"
	}
	if left := w.Deadline.Sub(t.Now()); left > 0 {
		return timefmt.Span(left.Truncate(time.Second))
	}
	return "none"
}
