package decision_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
)

func TestExecutions(t *testing.T) {
	s := &sfntest.Service{Page: 2}
	s.Start("first", noon).Append(noon, sfntest.Event("ExecutionFailed"))
	s.Start("second", noon)
	s.Start("third", noon).Append(noon, sfntest.Event("ExecutionFailed"))
	d := newDesk(t, s)
	var names []string
	for page := ""; ; {
		list, next, err := d.Executions(t.Context(), "", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			names = append(names, x.Name())
		}
		if page = next; page == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"third", "second", "first"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	failed, _, err := d.Executions(t.Context(), types.ExecutionStatusFailed, "")
	if err != nil || len(failed) != 2 {
		t.Errorf("%d failed, error %v; want 2", len(failed), err)
	}
}

// What is opened holds every event and no token, wherever it is repeated.
func TestOpen(t *testing.T) {
	s := &sfntest.Service{Page: 2, Definition: "{}"}
	x := s.Start("order-1", noon).Ask(noon, token, sell)
	x.Input = fmt.Sprintf(`{"nested":%q}`, `{"taskToken":"`+token+`"}`)
	x.Append(noon, sfntest.Failed("Odd", "said "+token), sfntest.Succeeded(strings.ReplaceAll(`{"a":["`+token+`"]}`, "/", `\/`)), sfntest.Scheduled("publish", `{"TaskToken": cut off`))
	d := newDesk(t, s)
	got, err := d.Open(t.Context(), "order-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Events) != 12 || got.Status != types.ExecutionStatusRunning {
		t.Errorf("%d events and status %s", len(got.Events), got.Status)
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, token) || strings.Contains(text, strings.ReplaceAll(token, "/", `\/`)) {
		t.Errorf("the token is in %s", text)
	}
	last := got.Events[len(got.Events)-3:]
	want := []decision.Event{{Error: "Odd", Cause: "said [hidden]"}, {Output: `{"a":["[hidden]"]}`}, {Resource: "publish", Parameters: "[hidden]"}}
	for i, w := range want {
		w.ID, w.At, w.Type = last[i].ID, last[i].At, last[i].Type
		if diff := cmp.Diff(w, last[i]); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", w.ID, diff)
		}
	}
	if definition, err := d.Definition(t.Context()); err != nil || definition != "{}" {
		t.Errorf("definition %q, error %v", definition, err)
	}
	_, err = d.Open(t.Context(), "other")
	wantError(t, err, decision.ErrNoExecution, "there is no execution "+sfntest.Arn("other")+`: "go run ./desk" lists what waits`)
}
