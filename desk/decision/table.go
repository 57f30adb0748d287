package decision

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"stocktrading/desk/terminal"
	"stocktrading/desk/timefmt"
	"stocktrading/lambdas/trading"
)

// cell is a cell of a table.
type cell struct {
	text   string
	paint  func(...any) string
	number bool // stands to the right
}

// table writes rows; the first is the heading. Where they are wider than the terminal,
// the last cell of each row goes on its own line. notes are written below their rows.
func (t *Terminal) table(rows [][]cell, notes map[int]string) error {
	for i := range rows[0] {
		rows[0][i].paint = t.paint.bold
	}
	last := len(rows[0]) - 1
	widths := make([]int, last+1)
	total := 2 * last
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
		total += widths[i]
	}
	split := t.Width > 0 && total > t.Width
	var b strings.Builder
	for n, row := range rows {
		for i, c := range row {
			if c.paint == nil {
				c.paint = fmt.Sprint
			}
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			switch text := c.paint(c.text); {
			case i == last:
				b.WriteString(text + "\n")
			case split && i == last-1:
				b.WriteString(text + "\n  ")
			case c.number:
				b.WriteString(padding + text + "  ")
			default:
				b.WriteString(text + padding + "  ")
			}
		}
		if note := notes[n]; note != "" {
			b.WriteString("  " + t.paint.faint(terminal.Fold(note, "  ", t.Width-2)) + "\n")
		}
	}
	return t.write(b.String())
}

// Table writes waits for people, one on a line.
func (t *Terminal) Table(waits []Wait) error {
	rows := [][]cell{{
		{text: "MARKET"},
		{text: "SYMBOL"},
		{text: "PRICE", number: true},
		{text: "QTY", number: true},
		{text: "TOTAL", number: true},
		{text: "RECOMMENDED"},
		{text: "WAITING"},
		{text: "LEFT"},
		{text: "EXECUTION"},
	}}
	notes := map[int]string{}
	for _, w := range waits {
		left := cell{text: t.left(w)}
		if !w.Deadline.IsZero() && w.Deadline.Sub(t.Now()) < hurry {
			left.paint = t.paint.warn
		}
		row := slices.Repeat([]cell{{text: "?"}}, 6)
		if w.Problem == "" {
			market := cell{text: cmp.Or(string(w.Quote.Market), "unknown")}
			if w.Quote.Market == trading.LiveMarket {
				market = cell{text: "REAL MONEY", paint: t.paint.warn}
			}
			row = []cell{
				market,
				{text: trading.OneLine(w.Quote.Symbol, 24)},
				{text: trading.OneLine(trading.Dollars(w.Quote.Price()), 24)},
				{text: fmt.Sprint(w.Quote.Qty)},
				{text: trading.OneLine(trading.Dollars(w.Quote.Total()), 24)},
				{text: recommendation(w), paint: t.paint.side(w)},
			}
			if age, old := w.QuoteAge(t.Now()); old {
				notes[len(rows)] = "quoted " + age + " ago"
			}
		} else {
			notes[len(rows)] = trading.OneLine(w.Problem, maxARN)
		}
		for i := 2; i <= 4; i++ {
			row[i].number = true
		}
		rows = append(rows, append(row, cell{text: t.waiting(w)}, left, cell{text: w.Name()}))
	}
	return t.table(rows, notes)
}

// Log writes trades for people, the newest first, with their reasons and failures. Details
// are the technical names.
func (t *Terminal) Log(trades []Trade, details bool) error {
	rows := [][]cell{{
		{text: "SYMBOL"},
		{text: "SIDE"},
		{text: "QTY", number: true},
		{text: "TOTAL", number: true},
		{text: "OUTCOME"},
		{text: "DECIDED BY"},
		{text: "WHEN"},
		{text: "AFTER"},
		{text: "EXECUTION"},
	}}
	notes := map[int]string{}
	for _, x := range trades {
		row := []cell{
			{text: x.Quote.Symbol},
			{text: string(cmp.Or(x.Side, trading.Side(x.Recommended)))},
			{number: true},
			{number: true},
			{text: string(x.Outcome)},
			{text: trading.OneLine(Person(x.Decision.By), 24)},
			{text: timefmt.Clock(x.At(), t.Now())},
			{},
			{text: x.Name()},
		}
		if x.Quote.Qty > 0 {
			row[2].text = fmt.Sprint(x.Quote.Qty)
		}
		if x.Quote.QuoteID != "" {
			row[3].text = trading.OneLine(trading.Dollars(x.Quote.Total()), 24)
		}
		if x.Outcome == Failed || x.Outcome == Waiting {
			row[4].paint = t.paint.warn
		}
		if took := x.Took(); took > 0 {
			row[7].text = timefmt.Span(took)
		}
		for i := range row {
			row[i].text = cmp.Or(row[i].text, "–")
		}
		var said []string
		if x.Decision.Reason != "" {
			said = append(said, "“"+x.Decision.Reason+"”")
		}
		if x.Outcome == Failed {
			said = append(said, x.Result())
		}
		if details {
			said = append(said, x.details())
		}
		notes[len(rows)] = strings.Join(said, " ")
		rows = append(rows, row)
	}
	return t.table(rows, notes)
}
