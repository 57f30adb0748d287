package states

import (
	"context"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Status is where an execution is.
type Status string

// The statuses of an execution.
const (
	StatusRunning   Status = "RUNNING"
	StatusSucceeded Status = "SUCCEEDED"
	StatusFailed    Status = "FAILED"
	StatusTimedOut  Status = "TIMED_OUT"
	StatusAborted   Status = "ABORTED"
)

const (
	errRuntime    = "States.Runtime"
	errTaskFailed = "States.TaskFailed"
	errTimeout    = "States.Timeout"

	maxData  = 262144 // bytes of JSON
	maxError = 256    // characters
	maxCause = 32768  // characters
)

// execution is the record of one execution. The engine's mutex guards what changes.
type execution struct {
	id    int64
	arn   string
	name  string
	input string
	start Time
	ended chan struct{}

	timer  *time.Timer // of the state machine's TimeoutSeconds, if it has any
	status Status
	stop   Time
	output string
	err    string
	cause  string
	task   *task // the open one
	events []HistoryEvent
}

// task is one attempt of a Task state. It is open until the bridge says that it was settled.
type task struct {
	id        int64
	execution *execution
	state     state
	name      string // of the state
	open      bool
	cancel    context.CancelFunc
}

func (x *execution) stopTimer() {
	if x.timer != nil {
		x.timer.Stop()
	}
}

// record appends to the history of an execution.
func (e *Engine) record(x *execution, at Time, eventType string, d Details) {
	id := int64(len(x.events)) + 1
	previous := id - 1
	if id == 2 || eventType == "ExecutionAborted" {
		previous = 0 // as on AWS: neither follows from the event before it
	}
	event := HistoryEvent{ID: id, PreviousID: previous, Timestamp: at, Type: eventType, Details: d}
	x.events = append(x.events, event)
	e.observe.put(observed{x.arn, event})
}

// begin starts an execution of a new name.
func (e *Engine) begin(name, input string) *execution {
	x := &execution{
		id:     int64(len(e.executions)) + 1,
		arn:    e.execution + name,
		name:   name,
		input:  input,
		start:  now(),
		ended:  make(chan struct{}),
		status: StatusRunning,
	}
	e.executions = append(e.executions, x)
	e.byName[name] = x
	e.record(x, x.start, "ExecutionStarted", Details{Input: input, RoleARN: e.config.RoleARN})
	e.send(command{
		Do:          "start",
		Run:         x.id,
		ARN:         x.arn,
		Name:        name,
		RoleARN:     e.config.RoleARN,
		MachineARN:  e.config.ARN,
		MachineName: e.config.Name,
		Input:       input,
	})
	if seconds := e.definition.TimeoutSeconds; seconds > 0 {
		x.timer = time.AfterFunc(time.Duration(seconds)*time.Second, func() {
			e.send(command{Do: "stop", Run: x.id, Status: StatusTimedOut, Error: errTimeout})
		})
	}
	return x
}

// handle records a report of the bridge.
func (e *Engine) handle(r report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Is == "reply" {
		if reply, ok := e.replies[r.Reply]; ok {
			delete(e.replies, r.Reply)
			reply <- r.OK
		}
		return
	}
	x, at := e.executions[r.Run-1], milliseconds(r.At)
	switch r.Is {
	case "entered":
		e.record(x, at, r.StateType+"StateEntered", Details{Name: r.State, Input: aws.ToString(r.Data)})
	case "exited":
		e.record(x, at, r.StateType+"StateExited", Details{Name: r.State, Output: aws.ToString(r.Data)})
	case "task":
		e.schedule(x, r)
	case "submitted":
		if t := e.tasks[r.Task]; t != nil {
			e.recordTask(t, at, "Submitted", Details{Output: aws.ToString(r.Data)})
		}
	case "settled":
		if t := e.tasks[r.Task]; t != nil {
			e.settled(t, r)
		}
	case "ended":
		e.end(x, at, r.Status, aws.ToString(r.Data), r.Error, r.Cause)
	}
}

// schedule has a task performed that the bridge has opened.
func (e *Engine) schedule(x *execution, r report) {
	s, input, at := e.definition.States[r.State], aws.ToString(r.Data), milliseconds(r.At)
	ctx, cancel := context.WithCancel(e.ctx)
	t := &task{id: r.Task, execution: x, state: s, name: r.State, open: true, cancel: cancel}
	x.task = t
	e.tasks[t.id] = t
	if r.Token != "" {
		e.tokens[r.Token] = t
	}
	if s.isLambda() {
		e.record(x, at, "LambdaFunctionScheduled",
			Details{Resource: s.Resource, Input: input, TimeoutInSeconds: s.TimeoutSeconds})
	} else {
		e.recordTask(t, at, "Scheduled",
			Details{Region: e.region, Parameters: input, TimeoutInSeconds: s.TimeoutSeconds})
	}
	e.recordTask(t, at, "Started", Details{})
	attempt := Task{
		ExecutionARN: x.arn,
		State:        r.State,
		Resource:     s.Resource,
		Input:        json.RawMessage(input),
		Token:        r.Token,
		Timeout:      s.timeout(),
	}
	e.runners.Go(func() { e.perform(ctx, t, attempt) })
}

// perform runs a task and reports to the bridge, which drops a late result.
func (e *Engine) perform(ctx context.Context, t *task, attempt Task) {
	defer t.cancel()
	output, err := e.config.Run(ctx, attempt)
	if len(output) == 0 {
		output = json.RawMessage("null")
	}
	if err == nil && !json.Valid(output) {
		err = &Error{Name: errRuntime, Cause: "The task returned what is not JSON."}
	}
	if err != nil {
		name, cause := errTaskFailed, err.Error()
		if failure, ok := errors.AsType[*Error](err); ok {
			name, cause = failure.Name, failure.Cause
		}
		e.send(command{Do: "settle", Task: t.id, Error: shorten(name, maxError), Cause: shorten(cause, maxCause)})
		return
	}
	data := string(output)
	if attempt.Token != "" {
		e.send(command{Do: "submitted", Task: t.id, Data: &data})
		return
	}
	e.send(command{Do: "settle", Task: t.id, Data: &data})
}

func shorten(text string, characters int) string {
	if utf8.RuneCountInString(text) <= characters {
		return text
	}
	return string([]rune(text)[:characters])
}

// settled closes a task and records how it ended.
func (e *Engine) settled(t *task, r report) {
	at := milliseconds(r.At)
	e.closeTask(t)
	switch {
	case r.TimedOut:
		t.cancel()
		e.recordTask(t, at, "TimedOut", Details{Error: r.Error, Cause: r.Cause})
	case r.Data != nil:
		e.recordTask(t, at, "Succeeded", Details{Output: aws.ToString(r.Data)})
	default:
		e.recordTask(t, at, "Failed", Details{Error: r.Error, Cause: r.Cause})
	}
}

func (e *Engine) closeTask(t *task) {
	t.open = false
	t.execution.task = nil
	delete(e.tasks, t.id)
}

// recordTask records an event of a task, which is called otherwise for a function.
func (e *Engine) recordTask(t *task, at Time, event string, d Details) {
	if t.state.isLambda() {
		e.record(t.execution, at, "LambdaFunction"+event, d)
		return
	}
	d.ResourceType, d.Resource = t.state.service()
	e.record(t.execution, at, "Task"+event, d)
}

// end records that an execution has ended.
func (e *Engine) end(x *execution, at Time, status Status, output, name, cause string) {
	if t := x.task; t != nil {
		e.closeTask(t)
		t.cancel()
	}
	x.stopTimer()
	name, cause = shorten(name, maxError), shorten(cause, maxCause) // a Fail state's may be longer than what a history takes
	x.status, x.stop, x.output = status, at, output
	details := Details{Output: output, Error: name, Cause: cause}
	switch status {
	case StatusSucceeded:
		e.record(x, at, "ExecutionSucceeded", details)
	case StatusFailed:
		e.record(x, at, "ExecutionFailed", details)
	case StatusAborted:
		e.record(x, at, "ExecutionAborted", details)
	case StatusTimedOut:
		e.record(x, at, "ExecutionTimedOut", details)
		name, cause = "", "" // AWS describes no error of these
	}
	x.err, x.cause = name, cause
	close(x.ended)
}
