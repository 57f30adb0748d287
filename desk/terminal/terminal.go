// Package terminal is what a command has to know about the terminal that it writes to. It imports
// little, because go run ./local begins with it.
package terminal

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"
	"golang.org/x/term"
)

// Is reports whether a reader or writer is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// HasColour reports whether to write colours to out: to a terminal that has them, unless
// NO_COLOR is set (https://no-color.org).
func HasColour(out io.Writer, getenv func(string) string) bool {
	return Is(out) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// Paint returns a function that formats like fmt.Sprint, in colour or without.
func Paint(colour bool, attributes ...color.Attribute) func(...any) string {
	c := color.New(attributes...)
	if colour {
		c.EnableColor()
	} else {
		c.DisableColor() // fatih/color goes by the standard output otherwise
	}
	return c.SprintFunc()
}

// Columns returns the width of the terminal that out writes to, or 0 if out is not a terminal.
func Columns(out io.Writer) int {
	if !Is(out) {
		return 0
	}
	width, _, err := term.GetSize(int(out.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Fold breaks a text at spaces into lines of at most width columns, or longer where a word is.
// Lines after the first begin with indent. A width of 0 breaks nothing.
func Fold(text, indent string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width > 0 && column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
