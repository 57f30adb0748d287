package test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/golden"
)

// A workflow is the part of a definition that tells which way an execution goes.
type workflow struct {
	StartAt string
	States  map[string]struct {
		Type, Resource, Next string
		Choices              []struct{ Next string }
		Catch                []struct {
			ErrorEquals []string
			Next        string
		}
	}
}

func readWorkflow(t *testing.T, file string) workflow {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := json.Unmarshal(text, &w); err != nil {
		t.Fatalf("decode %s: %v", file, err)
	}
	return w
}

// bill is what one execution is billed for, but for the time that the functions run.
type bill struct{ transitions, lambda, sqs, sns int }

// bill follows an execution in which the given states fail with the given errors, and
// nothing is retried. A choice takes its first way.
func (w workflow) bill(t *testing.T, failing map[string]string) (b bill) {
	t.Helper()
	for name := w.StartAt; name != ""; {
		state, ok := w.States[name]
		if !ok {
			t.Fatalf("there is no state %q", name)
		}
		b.transitions++
		switch {
		case state.Resource == "":
		case strings.HasSuffix(state.Resource, ":sqs:sendMessage.waitForTaskToken"):
			b.sqs += 3 // sent, received, deleted
			b.lambda++ // the function behind the queue
			b.sns++    // its notice
		case strings.HasSuffix(state.Resource, ":sns:publish"):
			b.sns++
		default:
			b.lambda++
		}
		next := state.Next
		if len(state.Choices) > 0 {
			next = state.Choices[0].Next
		}
		if failure := failing[name]; failure != "" {
			i := slices.IndexFunc(state.Catch, func(c struct {
				ErrorEquals []string
				Next        string
			},
			) bool {
				return slices.Contains(c.ErrorEquals, failure)
			})
			if i < 0 {
				t.Fatalf("%q does not catch %s", name, failure)
			}
			next = state.Catch[i].Next
		}
		name = next
	}
	return b
}

var costTable = regexp.MustCompile(`(?m)^\| An execution that ends .*\n(\|.*\n)+`)

// The table in docs/cost.md of what an execution is billed for is that of the definition;
// -update writes it.
func TestCostTable(t *testing.T) {
	w := readWorkflow(t, "stacks/stock_trading.asl.json")
	var table strings.Builder
	table.WriteString("| An execution that ends | State transitions | Lambda requests | SQS requests | SNS publishes |\n|---|---|---|---|---|\n")
	const ask = "Request Human Approval"
	for _, end := range []struct {
		as      string
		failing map[string]string
	}{
		{"approved, and traded", nil},
		{"with the other side traded", map[string]string{ask: "SellInstead"}},
		{"declined", map[string]string{ask: "TradeDeclined"}},
		{"without an answer", map[string]string{ask: "States.Timeout"}},
		{"failed at the quote", map[string]string{"Check Stock Price": "States.ALL"}},
		{"failed at the trade", map[string]string{"Buy Stock": "States.ALL"}},
	} {
		b := w.bill(t, end.failing)
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d |\n", end.as, b.transitions, b.lambda, b.sqs, b.sns)
	}
	page, err := os.ReadFile("docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	if current := costTable.ReplaceAllLiteral(page, []byte(table.String())); golden.FlagUpdate() {
		if err := os.WriteFile("docs/cost.md", current, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/cost.md lacks the table of the definition's state transitions (go test ./test -update writes it), which is\n%s", &table)
	}

	original := readWorkflow(t, "test/testdata/original.asl.json").bill(t, nil)
	want := original.transitions + len(addedFunctions)
	if ours := w.bill(t, nil); ours.transitions > want {
		t.Errorf("a trade takes %d state transitions, want %d at most: the original's, and one for each function that was added", ours.transitions, want)
	}
}
