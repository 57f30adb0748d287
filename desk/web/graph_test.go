package web

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
)

const small = `{"StartAt": "B", "States": {
	"B": {"Type": "Choice", "Choices": [{"Variable": "$.x", "StringEquals": "yes", "Next": "A"}, {"Variable": "$.x", "NumericGreaterThan": 3, "Next": "A"}], "Default": "F"},
	"A": {"Type": "Task", "Comment": "why", "Catch": [{"ErrorEquals": ["X", "Y"], "Next": "F"}, {"ErrorEquals": ["Z"], "Next": "F"}], "End": true},
	"F": {"Type": "Fail"}}}`

func TestReadWorkflow(t *testing.T) {
	got, err := readWorkflow(small)
	if err != nil {
		t.Fatal(err)
	}
	want := workflow{
		states: []state{{name: "B", kind: "Choice"}, {name: "A", kind: "Task", comment: "why"}, {name: "F", kind: "Fail"}},
		edges: []edge{
			{to: "B"},
			{from: "B", to: "A", label: "yes, 3"},
			{from: "B", to: "F", label: "otherwise"},
			{from: "A"},
			{from: "A", to: "F", label: "X, Y, Z", caught: true},
			{from: "F"},
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(workflow{}, state{}, edge{})); diff != "" {
		t.Errorf("workflow (-want +got):\n%s", diff)
	}
	if _, err := readWorkflow("{"); err == nil {
		t.Error("no error for a definition that is not JSON")
	}
}

// The project's workflow and a hostile one, drawn by Graphviz, become well-formed SVG of
// the known elements, with the classes of an execution's way.
func TestPicture(t *testing.T) {
	project, err := os.ReadFile("../../stacks/stock_trading.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	odd := `{"StartAt":"<a href=\"javascript:x\">\\N &lt;\"}","States":{"<a href=\"javascript:x\">\\N &lt;\"}":{"Type":"Task","End":true}}}`
	for name, definition := range map[string]string{"project": string(project), "odd": odd} {
		t.Run(name, func(t *testing.T) {
			w, err := readWorkflow(definition)
			if err != nil {
				t.Fatal(err)
			}
			svg, err := graphviz(t.Context(), w.dot())
			if err != nil {
				t.Fatal(err)
			}
			p, err := readPicture(w, svg)
			if err != nil {
				t.Fatal(err)
			}
			drawn := p.draw([]visit{{State: w.states[0].name, Status: failed}})
			for _, want := range []string{`class="node state is-failed"`, `: failed"`, `href="#s0"`, `class="edge next is-taken"`} {
				if !strings.Contains(drawn, want) {
					t.Errorf("the picture lacks %s:\n%s", want, drawn)
				}
			}
			if n := strings.Count(drawn, `class="node state `); n != len(w.states) {
				t.Errorf("%d states are drawn, want %d", n, len(w.states))
			}
			decoder := xml.NewDecoder(strings.NewReader(drawn))
			for {
				token, err := decoder.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("the picture is not well-formed: %v\n%s", err, drawn)
				}
				if e, ok := token.(xml.StartElement); ok && e.Name.Local == "a" && !strings.HasPrefix(attribute(e, "href"), "#s") {
					t.Errorf("a link leads to %q", attribute(e, "href"))
				}
			}
		})
	}
}

func TestVisits(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0).UTC() }
	enter := decision.Event{Type: "TaskStateEntered", State: "A", Input: "in", At: at(1)}
	begin := decision.Event{Type: "TaskScheduled", Parameters: "p"}
	fail := decision.Event{Type: "TaskFailed", Error: "E", Cause: "C", At: at(2)}
	leave := decision.Event{Type: "TaskStateExited", State: "A", Output: "out", At: at(3)}
	failures := []failure{{at(2), "E", "C"}}
	for _, test := range []struct {
		name   string
		events []decision.Event
		want   visit
	}{
		{"running", []decision.Event{enter, begin}, visit{Status: running, Attempts: 1}},
		{"waiting", []decision.Event{enter, begin, {Type: "TaskSubmitted", Resource: "sendMessage.waitForTaskToken"}}, visit{Status: waiting, Attempts: 1}},
		{"succeeded", []decision.Event{enter, begin, {Type: "TaskSucceeded"}, leave}, visit{Status: succeeded, Attempts: 1, Left: at(3), Output: "out"}},
		{"retried", []decision.Event{enter, begin, fail, begin, {Type: "TaskSucceeded"}, leave}, visit{Status: succeeded, Attempts: 2, Failures: failures, Left: at(3), Output: "out"}},
		{"caught", []decision.Event{enter, begin, fail, leave}, visit{Status: caught, Attempts: 1, Failures: failures, Left: at(3), Output: "out"}},
		{"failed", []decision.Event{enter, begin, fail, {Type: "ExecutionFailed", At: at(4)}}, visit{Status: failed, Attempts: 1, Failures: failures, Left: at(4)}},
		{"stopped", []decision.Event{enter, begin, {Type: "ExecutionAborted", At: at(4)}}, visit{Status: aborted, Attempts: 1, Left: at(4)}},
		{"out of time", []decision.Event{enter, begin, {Type: "ExecutionTimedOut", At: at(4)}}, visit{Status: timedOut, Attempts: 1, Left: at(4)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			want.State, want.Entered, want.Input, want.Parameters = "A", at(1), "in", "p"
			started := decision.Event{Type: "ExecutionStarted"}
			got := visits(decision.Execution{Events: append([]decision.Event{started}, test.events...)})
			if diff := cmp.Diff([]visit{want}, got); diff != "" {
				t.Errorf("visits (-want +got):\n%s", diff)
			}
		})
	}
}
