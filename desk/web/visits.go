package web

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/desk/decision"
)

// What became of a visit to a state. The words are shown, and are classes of the style sheet.
const (
	running   = "running"
	waiting   = "waiting" // for a person
	succeeded = "succeeded"
	caught    = "caught" // failed, and the execution went on elsewhere
	failed    = "failed"
	aborted   = "aborted"
	timedOut  = "timed-out"
)

// visit is an execution's time in a state.
type visit struct {
	State         string
	Status        string
	Entered, Left time.Time // Left is zero while it lasts
	Input         string
	Parameters    string // of the last task, if it has any
	Output        string
	Attempts      int // tasks that were begun
	Failures      []failure
}

// Retries is how often a task was begun again.
func (v visit) Retries() int { return max(0, v.Attempts-1) }

type failure struct {
	At           time.Time
	Error, Cause string
}

// visits reads from an execution's history where it has been. The states of this project
// follow each other, so each event is about the state that was entered last.
func visits(x decision.Execution) (all []visit) {
	var (
		v    *visit
		open bool // the last task has failed
	)
	for _, e := range x.Events {
		if strings.HasSuffix(e.Type, "StateEntered") {
			all = append(all, visit{State: e.State, Status: running, Entered: e.At, Input: e.Input})
			v, open = &all[len(all)-1], false
			continue
		}
		if v == nil {
			continue
		}
		switch {
		case strings.HasSuffix(e.Type, "StateExited"):
			v.Left, v.Output, v.Status = e.At, e.Output, succeeded
			if open {
				v.Status = caught
			}
		case e.Type == string(types.HistoryEventTypeExecutionFailed):
			v.end(e, failed)
		case e.Type == string(types.HistoryEventTypeExecutionAborted):
			v.end(e, aborted)
		case e.Type == string(types.HistoryEventTypeExecutionTimedOut):
			v.end(e, timedOut)
		case strings.HasPrefix(e.Type, "Execution"):
		case strings.HasSuffix(e.Type, "ScheduleFailed"), strings.HasSuffix(e.Type, "Failed"), strings.HasSuffix(e.Type, "TimedOut"):
			open, v.Status = true, running
			v.Failures = append(v.Failures, failure{At: e.At, Error: e.Error, Cause: e.Cause})
		case strings.HasSuffix(e.Type, "Scheduled"):
			v.Attempts++
			open, v.Parameters = false, e.Parameters
		case e.Type == string(types.HistoryEventTypeTaskSubmitted) && strings.HasSuffix(e.Resource, ".waitForTaskToken"):
			v.Status = waiting
		case strings.HasSuffix(e.Type, "Succeeded"):
			open, v.Status = false, running
		}
	}
	return all
}

// end closes the visit in which the execution ended.
func (v *visit) end(e decision.Event, status string) {
	v.Status = status
	if v.Left.IsZero() {
		v.Left = e.At
	}
	if e.Error != "" || e.Cause != "" {
		v.Failures = append(v.Failures, failure{At: e.At, Error: e.Error, Cause: e.Cause})
	}
}

// report is the message that the execution published about its end.
type report struct {
	Subject, Message string
}

// readReport returns the last message that was handed to the topic, if any.
func readReport(x decision.Execution) (r report, ok bool) {
	for _, e := range x.Events {
		if e.Type != string(types.HistoryEventTypeTaskScheduled) || e.Resource != "publish" {
			continue
		}
		var parameters struct {
			Subject string
			Message json.RawMessage
		}
		if json.Unmarshal([]byte(e.Parameters), &parameters) == nil {
			r, ok = report{parameters.Subject, string(parameters.Message)}, true
		}
	}
	return r, ok
}
