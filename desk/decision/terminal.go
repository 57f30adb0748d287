package decision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fatih/color"
	"golang.org/x/term"

	"stocktrading/lambdas/trading"
)

// Terminal is where a person reads and answers. What it writes of an execution has no
// control characters, whatever the execution's texts hold.
type Terminal struct {
	// Now is the clock by which it tells how long something has waited. It is time.Now unless set.
	Now func() time.Time

	in    lines
	out   io.Writer
	paint palette
}

// NewTerminal returns a terminal that reads from in and writes to out. Only one terminal
// may read from in.
func NewTerminal(in io.Reader, out io.Writer, colour bool) *Terminal {
	return &Terminal{Now: time.Now, in: lines{in: in}, out: out, paint: newPalette(colour)}
}

// IsTerminal tells whether a reader or writer is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colour tells whether to write colours to out: to a terminal that has them, unless
// NO_COLOR is set (https://no-color.org).
func Colour(out io.Writer, getenv func(string) string) bool {
	return IsTerminal(out) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// palette paints text, or leaves it as it is.
type palette struct{ bold, faint, buy, sell, warn func(...any) string }

func newPalette(colour bool) palette {
	ink := func(attributes ...color.Attribute) func(...any) string {
		c := color.New(attributes...)
		if colour {
			c.EnableColor()
		} else {
			c.DisableColor() // fatih/color goes by the standard output otherwise
		}
		return c.SprintFunc()
	}
	return palette{
		bold: ink(color.Bold), faint: ink(color.Faint),
		buy: ink(color.FgGreen), sell: ink(color.FgMagenta), warn: ink(color.FgYellow),
	}
}

func (p palette) side(w Wait) func(...any) string {
	switch side, known := w.side(); {
	case !known:
		return p.warn
	case side == trading.Buy:
		return p.buy
	default:
		return p.sell
	}
}

// recommendation is what is recommended, with a word of warning where that is no side.
func recommendation(w Wait) string {
	text := trading.OneLine(w.Recommended, 20)
	if _, known := w.side(); !known {
		return fmt.Sprintf("unknown (%s)", text)
	}
	return text
}

// Table writes waits for people, one on a line.
func (t *Terminal) Table(waits []Wait) error {
	type cell struct {
		text  string
		paint func(...any) string
	}
	plain := fmt.Sprint
	head := t.paint.bold
	rows := [][]cell{{
		{"MARKET", head},
		{"SYMBOL", head},
		{"PRICE", head},
		{"QTY", head},
		{"TOTAL", head},
		{"RECOMMENDED", head},
		{"WAITING", head},
		{"LEFT", head},
		{"EXECUTION", head},
	}}
	for _, w := range waits {
		waiting, left := cell{t.waiting(w), plain}, t.left(w)
		leftPaint := plain
		if !w.Deadline.IsZero() && w.Deadline.Sub(t.Now()) < hurry {
			leftPaint = t.paint.warn
		}
		row := []cell{{"?", plain}, {"?", plain}, {"?", plain}, {"?", plain}, {"?", plain}, {"?", t.paint.warn}, waiting, {left, leftPaint}, {w.Name() + "  " + trading.OneLine(w.Problem, maxARN), plain}}
		if w.Problem == "" {
			market := cell{cmp.Or(string(w.Quote.Market), "unknown"), plain}
			if w.Quote.Market == trading.LiveMarket {
				market = cell{"REAL MONEY", t.paint.warn}
			}
			row = []cell{
				market,
				{trading.OneLine(w.Quote.Symbol, 24), plain},
				{trading.OneLine(trading.Dollars(w.Quote.Price()), 24), plain},
				{fmt.Sprint(w.Quote.Qty), plain},
				{trading.OneLine(trading.Dollars(w.Quote.Total()), 24), plain},
				{recommendation(w), t.paint.side(w)},
				waiting,
				{left, leftPaint},
				{w.Name(), plain},
			}
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, c := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			switch {
			case i == len(row)-1:
				b.WriteString(c.paint(c.text) + "\n")
			case i >= 2 && i <= 4: // numbers
				b.WriteString(padding + c.paint(c.text) + "  ")
			default:
				b.WriteString(c.paint(c.text) + padding + "  ")
			}
		}
	}
	return t.write(b.String())
}

// Show writes one wait in full.
func (t *Terminal) Show(w Wait) error {
	rows := [][2]string{{"Execution", w.Name()}}
	if w.Problem != "" {
		rows = append(rows, [2]string{"Problem", t.paint.warn(trading.OneLine(w.Problem, maxARN))})
	} else {
		stakes := w.Quote.Market.Stakes()
		if w.Quote.Market == trading.LiveMarket {
			stakes = t.paint.warn(stakes)
		}
		rows = append(rows,
			[2]string{"Market", stakes},
			[2]string{"Recommendation", t.paint.side(w)(recommendation(w))},
			[2]string{"Symbol", trading.OneLine(w.Quote.Symbol, 24)},
			[2]string{"Price", trading.Dollars(w.Quote.Price())},
		)
		if limit := w.Quote.Limit(); limit != "" {
			rows = append(rows, [2]string{"Limit price", limit})
		}
		rows = append(rows,
			[2]string{"Quantity", fmt.Sprint(w.Quote.Qty)},
			[2]string{"Total", trading.Dollars(w.Quote.Total())},
			[2]string{"Quoted at", stamp(w.Quote.QuotedAt)},
		)
	}
	if !w.Since.IsZero() {
		rows = append(rows, [2]string{"Waiting", t.waiting(w) + t.paint.faint(", since "+stamp(w.Since))})
	}
	if !w.Deadline.IsZero() {
		rows = append(rows, [2]string{"Left", t.left(w) + t.paint.faint(", until "+stamp(w.Deadline))})
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "  %s %s\n", t.paint.bold(fmt.Sprintf("%-15s", row[0])), row[1])
	}
	return t.write(b.String())
}

// Ask shows a wait and asks what to do about it, until it gets an answer that it knows.
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
		if err := t.write("\n" + question); err != nil {
			return Later, "", err
		}
		line, err := t.read(ctx)
		if err != nil || line == "" && t.in.ended {
			return Later, "", err
		}
		answer, known := answers[strings.ToLower(line)]
		if !known && line == "" {
			continue
		}
		if !known {
			if err := t.write(fmt.Sprintf("%q is none of these.\n", trading.OneLine(line, 40))); err != nil {
				return Later, "", err
			}
			continue
		}
		if answer == Later {
			return Later, "", nil
		}
		if _, err := w.Consequence(answer); err != nil {
			if err := t.write(err.Error() + ".\n"); err != nil {
				return Later, "", err
			}
			continue
		}
		reason := ""
		if answer == Decline {
			if reason, err = t.askReason(ctx); err != nil || reason == "" && t.in.ended {
				return Later, "", err
			}
		}
		sure, err := t.Confirm(ctx, w, answer)
		if err != nil || !sure && t.in.ended {
			return Later, "", err
		}
		if sure {
			return answer, reason, nil
		}
	}
}

// Confirm says what an answer leads to, and asks once more where that is a trade with real
// money: then it is false unless the person types yes.
func (t *Terminal) Confirm(ctx context.Context, w Wait, a Answer) (sure bool, err error) {
	consequence, err := w.Consequence(a)
	if err != nil {
		return false, err
	}
	if err := t.write(t.paint.bold(consequence) + "\n"); err != nil || !w.RealMoney(a) {
		return err == nil, err
	}
	if err := t.write(t.paint.warn("This is real money.") + " Type yes to send it: "); err != nil {
		return false, err
	}
	line, err := t.read(ctx)
	return strings.EqualFold(line, "yes"), err
}

var answers = map[string]Answer{
	"a": Approve, "approve": Approve, "b": Buy, "buy": Buy, "s": Sell, "sell": Sell, "d": Decline, "decline": Decline,
	"q": Later, "quit": Later, "l": Later, "later": Later,
}

func (t *Terminal) question(w Wait) string {
	offers := "[b]uy, [s]ell"
	switch side, known := w.side(); {
	case known && side == trading.Buy:
		offers = "[a]pprove to buy, [s]ell instead"
	case known:
		offers = "[a]pprove to sell, [b]uy instead"
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
		if err := t.write(err.Error() + ".\n"); err != nil {
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
	return span(t.Now().Sub(w.Since))
}

func (t *Terminal) left(w Wait) string {
	if w.Deadline.IsZero() {
		return "?"
	}
	if left := w.Deadline.Sub(t.Now()); left > 0 {
		return span(left)
	}
	return "none"
}

// span writes a duration in its two largest units, rounded down.
func span(d time.Duration) string {
	d = max(d, 0)
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// lines reads lines in a way that a context can end, which a read from a terminal can't.
type lines struct {
	in      io.Reader
	pending chan line // of a read that has not been taken
	ended   bool
}

type line struct {
	text string
	err  error
}

// next returns the next line. After the end of the input it returns "", and ended is set.
func (l *lines) next(ctx context.Context) (string, error) {
	if l.ended {
		return "", nil
	}
	if l.pending != nil {
		select {
		case got := <-l.pending: // it answered a question that was withdrawn
			l.pending = nil
			if got.err != nil {
				l.ended = true
				return "", nil
			}
		default:
		}
	}
	if l.pending == nil {
		pending := make(chan line, 1)
		go func() { pending <- readLine(l.in) }()
		l.pending = pending
	}
	select {
	case <-ctx.Done():
		return "", problem(ctx.Err(), "interrupted, nothing was sent")
	case got := <-l.pending:
		l.pending = nil
		l.ended = got.err != nil
		if l.ended && !errors.Is(got.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", got.err)
		}
		return got.text, nil
	}
}

// readLine reads byte by byte, so that it takes nothing from the input but its line.
func readLine(in io.Reader) line {
	var text []byte
	for b := make([]byte, 1); ; {
		n, err := in.Read(b)
		if n == 1 && b[0] == '\n' {
			return line{text: string(text)}
		}
		text = append(text, b[:n]...)
		if err != nil {
			return line{text: string(text), err: err}
		}
	}
}
