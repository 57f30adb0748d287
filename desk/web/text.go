package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"stocktrading/lambdas/trading"
)

// shown is how much of a text the page holds.
const shown = 20_000

// line makes a text safe to stand in a line.
func line(s string, limit int) string { return trading.OneLine(s, limit) }

// lines makes a text fit to be shown in lines of its own: JSON is indented, and what can't
// be seen or would turn the text around is spelled out.
func lines(s string) string {
	var indented bytes.Buffer
	if json.Indent(&indented, []byte(s), "", "  ") == nil {
		s = indented.String()
	}
	var b strings.Builder
	for i, c := range s {
		if b.Len() > shown {
			fmt.Fprintf(&b, "\n… and %d more characters", utf8.RuneCountInString(s[i:]))
			break
		}
		switch {
		case c == '\n', unicode.IsPrint(c):
			b.WriteRune(c)
		case c == '\t':
			b.WriteString("  ")
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String()
}
