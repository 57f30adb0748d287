package asl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const small = `{"StartAt": "B", "States": {
	"B": {"Type": "Choice", "Choices": [{"Variable": "$.x", "StringEquals": "yes", "Next": "A"}, {"Variable": "$.x", "NumericGreaterThan": 3, "Next": "A"}], "Default": "F"},
	"A": {"Type": "Task", "Comment": "why", "Catch": [{"ErrorEquals": ["X", "Y"], "Next": "F"}, {"ErrorEquals": ["Z"], "Next": "F"}], "End": true},
	"F": {"Type": "Fail"}}}`

func TestRead(t *testing.T) {
	got, err := Read(small)
	if err != nil {
		t.Fatal(err)
	}
	want := Workflow{
		States: []State{{Name: "B", Type: "Choice"}, {Name: "A", Type: "Task", Comment: "why"}, {Name: "F", Type: "Fail"}},
		Edges: []Edge{
			{To: "B"},
			{From: "B", To: "A", Label: "yes, 3"},
			{From: "B", To: "F", Label: "otherwise"},
			{From: "A"},
			{From: "A", To: "F", Label: "X, Y, Z", Caught: true},
			{From: "F"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workflow (-want +got):\n%s", diff)
	}
	if _, err := Read("{"); err == nil {
		t.Error("no error for a definition that is not JSON")
	}
}

// What looks the same has the same key, and nothing else has.
func TestKey(t *testing.T) {
	read := func(definition string) Workflow {
		w, err := Read(definition)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	key := read(small).Key()
	for name, test := range map[string]struct {
		from, to string
		same     bool
	}{
		"comment": {"why", "because", true}, "type": {`"Fail"`, `"Succeed"`, false}, "name": {`"A"`, `"D"`, false},
		"label": {`"yes"`, `"no"`, false}, "error": {`"Z"`, `"W"`, false}, "way": {`"Default": "F"`, `"Default": "A"`, false},
	} {
		if other := read(strings.ReplaceAll(small, test.from, test.to)); (other.Key() == key) != test.same {
			t.Errorf("another %s: the same key is %t, want %t", name, !test.same, test.same)
		}
	}
}
