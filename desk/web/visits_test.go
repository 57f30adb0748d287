package web

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
)

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
