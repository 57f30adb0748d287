package terminal_test

import (
	"os"
	"strings"
	"testing"

	"stocktrading/desk/terminal"
)

func TestNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, stream := range []any{file, &strings.Builder{}, nil} {
		if terminal.Is(stream) {
			t.Errorf("%T is not a terminal", stream)
		}
	}
	if terminal.HasColour(file, func(string) string { return "" }) || terminal.Columns(file) != 0 {
		t.Error("a file has neither colour nor columns")
	}
}

func TestFold(t *testing.T) {
	for width, want := range map[int]string{0: "one two extraordinary é fine yes", 7: "one two\n  extraordinary\n  é\n  fine\n  yes", 8: "one two\n  extraordinary\n  é fine\n  yes"} {
		if got := terminal.Fold("one two extraordinary é fine yes", "  ", width); got != want {
			t.Errorf("at %d columns: %q, want %q", width, got, want)
		}
	}
}
