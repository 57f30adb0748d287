package states

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stocktrading/local/setup"
)

const (
	machine  = "arn:aws:states:eu-west-1:123456789012:stateMachine:StockTrading"
	role     = "arn:aws:iam::123456789012:role/StockTrading"
	function = "arn:aws:lambda:eu-west-1:123456789012:function:"
	wait     = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
	publish  = "arn:aws:states:::sns:publish"
)

// valid is the folder in which the engines remember valid definitions.
var valid string

func TestMain(m *testing.M) {
	root, err := setup.Root()
	if err == nil {
		_, err = os.ReadDir(".") // so that go runs the tests again when the bridge changes
	}
	if err == nil {
		valid, err = setup.Project{Root: root, Progress: setup.NewProgress(os.Stderr)}.Interpreter(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	code := m.Run()
	if shared.engine != nil {
		if err := shared.engine.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// shared is an engine of many tests: each execution begins with the state that its name starts with.
var shared struct {
	start   sync.Once
	engine  *Engine
	runners sync.Map // of TaskRunner, by an execution's name
}

// session is a test's use of the shared engine, for executions of one state. Its histories leave out the choice of the
// state.
type session struct {
	*Engine
	state string
	run   TaskRunner
}

// share returns the shared engine for executions of a state.
func share(t *testing.T, state string, run TaskRunner) session {
	t.Helper()
	shared.start.Do(func() {
		e, err := Start(context.Background(), config(oneOf(sharedStates), func(ctx context.Context, task Task) (json.RawMessage, error) {
			run, _ := shared.runners.Load(task.ExecutionARN[strings.LastIndex(task.ExecutionARN, ":")+1:])
			return run.(TaskRunner)(ctx, task)
		}))
		if err != nil {
			t.Error(err)
		}
		shared.engine = e
	})
	if shared.engine == nil || sharedStates[state] == "" {
		t.Fatalf("no shared engine has a state %q", state)
	}
	return session{shared.engine, state, run}
}

func (s session) StartExecution(_ string, input []byte) (string, error) {
	name := s.state + "." + uuid.NewString()
	shared.runners.Store(name, s.run)
	return s.Engine.StartExecution(name, input)
}

func (s session) GetExecutionHistory(in *sfn.GetExecutionHistoryInput) (GetExecutionHistoryOutput, error) {
	out, err := s.Engine.GetExecutionHistory(in)
	if n := len(out.Events); n > 1 {
		out.Events = slices.Delete(out.Events, 1, min(3, n))
	}
	return out, err
}

var sharedStates = map[string]string{
	"wait":              taskState(wait, waitForToken),
	"wait-caught":       taskState(wait, waitForToken+`"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Caught"}],`),
	"wait-retried":      taskState(wait, waitForToken+retryAll),
	"wait-retried-late": taskState(wait, waitForToken+`"Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":100}],`+catchAll),
	"wait-all":          taskState(wait, waitForToken+retryAll+catchAll),
	"wait-1-second":     taskState(wait, `"TimeoutSeconds":1,`+waitForToken),
	"publish-retried":   taskState(publish, `"Parameters":{"n.$":"$$.State.RetryCount"},`+retryAll),
	"publish-token":     taskState(publish, `"Parameters":{"t.$":"$$.Task.Token"},`+catchAll),
	"slow":              taskState(function+"Slow", `"TimeoutSeconds":1,`+catchAll),
	"caught":            taskState(function+"F", catchAll),
}

// engine is an Engine or a session.
type engine interface {
	StartExecution(name string, input []byte) (arn string, err error)
	Wait(ctx context.Context, executionARN string) (Execution, error)
	GetExecutionHistory(in *sfn.GetExecutionHistoryInput) (GetExecutionHistoryOutput, error)
}

// launch starts an engine that is closed at the end of the test.
func launch(t *testing.T, definition string, run TaskRunner, change ...func(*Config)) *Engine {
	t.Helper()
	c := config(definition, run)
	for _, f := range change {
		f(&c)
	}
	e := must(Start(t.Context(), c))(t)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func startAndClose(t *testing.T, c Config) error {
	e, err := Start(t.Context(), c)
	if err == nil {
		err = e.Close()
	}
	return err
}

func config(definition string, run TaskRunner) Config {
	return Config{
		Node: "node", Dir: ".", Valid: valid, Definition: []byte(definition),
		ARN: machine, Name: "StockTrading", RoleARN: role, Run: run,
	}
}

// begin starts an execution.
func begin(t *testing.T, e engine, input string) string {
	t.Helper()
	arn := must(e.StartExecution("", []byte(input)))(t)
	return arn
}

// await waits for the end of an execution.
func await(t *testing.T, e engine, arn string) Execution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	x := must(e.Wait(ctx, arn))(t)
	return x
}

// run runs an execution from beginning to end.
func run(t *testing.T, e engine, input string) (Execution, []HistoryEvent) {
	t.Helper()
	x := await(t, e, begin(t, e, input))
	return x, history(t, e, x.ARN)
}

// oneOf is a state machine that begins with the state that an execution is named after, up to a dot; validating one takes
// the interpreter so long that the cases of a table share it. A task of theirs may go on to "Caught".
func oneOf(states map[string]string) string {
	choices, all := []string{}, `"Caught":{"Type":"Pass","End":true}`
	for _, name := range slices.Sorted(maps.Keys(states)) {
		choices = append(choices, `{"Variable":"$$.Execution.Name","StringMatches":"`+slug(name)+`.*","Next":"`+slug(name)+`"}`)
		all += `,"` + slug(name) + `":` + states[name]
	}
	return `{"StartAt":"Which","States":{"Which":{"Type":"Choice","Choices":[` + strings.Join(choices, ",") +
		`],"Default":"Caught"},` + all + `}}`
}

// slug makes the name of a case one of an execution.
func slug(name string) string { return strings.ReplaceAll(name, " ", "-") }

// runCase runs an execution of a case, and gives the events that follow on the choice.
func runCase(t *testing.T, e *Engine, name, input string) (Execution, []HistoryEvent) {
	t.Helper()
	arn := must(e.StartExecution(slug(name)+".", []byte(input)))(t)
	x := await(t, e, arn)
	events := history(t, e, arn)
	return x, events[min(3, len(events)-1):]
}

func history(t *testing.T, e engine, arn string) []HistoryEvent {
	t.Helper()
	out := must(e.GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: maxPage}))(t)
	return out.Events
}

func eventTypes(events []HistoryEvent) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Type)
	}
	return all
}

// path returns the names of the states that were entered.
func path(events []HistoryEvent) []string {
	var all []string
	for _, e := range events {
		if strings.HasSuffix(e.Type, "StateEntered") {
			all = append(all, e.Details.Name)
		}
	}
	return all
}

func wantFailure(t *testing.T, x Execution, name string) {
	t.Helper()
	if x.Status != StatusFailed || x.Error != name {
		t.Errorf("got %s with error %q (cause %q), want FAILED with %s", x.Status, x.Error, x.Cause, name)
	}
}

// equal reports how what was got differs from what is wanted.
func equal(t *testing.T, what string, want, got any, options ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantTypes(t *testing.T, events []HistoryEvent, want ...string) {
	t.Helper()
	equal(t, "types", want, eventTypes(events))
}

func wantSuccess(t *testing.T, x Execution) {
	t.Helper()
	if x.Status != StatusSucceeded {
		t.Errorf("got %+v, want a success", x)
	}
}

// wantCode checks the code of an error of the API; it is empty for no error.
func wantCode(t *testing.T, what string, err error, want string) {
	t.Helper()
	if code(err) != want {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

// answer is a TaskRunner that returns the same for every task.
func answer(output string, err error) TaskRunner {
	return func(context.Context, Task) (json.RawMessage, error) { return json.RawMessage(output), err }
}

// sender is a TaskRunner that hands out the tokens.
type sender chan string

func (s sender) run(_ context.Context, task Task) (json.RawMessage, error) {
	s <- task.Token
	return json.RawMessage(`{"MessageId":"m"}`), nil
}

func code(err error) string {
	if api, ok := errors.AsType[*APIError](err); ok {
		return api.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func ptr[T any](v T) *T { return &v }

// oneTask is a state machine of one task, with more fields of it in JSON.
func oneTask(resource, fields string) string {
	states := `"Work":` + taskState(resource, fields)
	if strings.Contains(fields, "Caught") {
		states += `,"Caught":{"Type":"Pass","End":true}`
	}
	return `{"StartAt":"Work","States":{` + states + `}}`
}

func taskState(resource, fields string) string {
	return `{"Type":"Task","Resource":"` + resource + `",` + fields + `"End":true}`
}

const (
	catchAll = `"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.failure","Next":"Caught"}],`
	retryAll = `"Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":1,"MaxAttempts":2,"JitterStrategy":"FULL"}],`
)

func TestHistoryOfAFunction(t *testing.T) {
	t.Parallel()
	observed := make(chan HistoryEvent, 100)
	e := launch(t, oneTask(function+"Check", `"TimeoutSeconds":15,"ResultPath":"$.price",`), answer(`7`, nil),
		func(c *Config) { c.Observe = func(_ string, e HistoryEvent) { observed <- e } })
	x := await(t, e, begin(t, e, `{ "symbol": "AMZN" }`))

	want := []HistoryEvent{
		{ID: 1, Type: "ExecutionStarted", Details: Details{Input: `{ "symbol": "AMZN" }`, RoleARN: role}},
		{ID: 2, Type: "TaskStateEntered", Details: Details{Name: "Work", Input: `{"symbol":"AMZN"}`}},
		{ID: 3, PreviousID: 2, Type: "LambdaFunctionScheduled", Details: Details{
			Resource: function + "Check", Input: `{"symbol":"AMZN"}`, TimeoutInSeconds: 15,
		}},
		{ID: 4, PreviousID: 3, Type: "LambdaFunctionStarted"},
		{ID: 5, PreviousID: 4, Type: "LambdaFunctionSucceeded", Details: Details{Output: `7`}},
		{ID: 6, PreviousID: 5, Type: "TaskStateExited", Details: Details{
			Name: "Work", Output: `{"symbol":"AMZN","price":7}`,
		}},
		{ID: 7, PreviousID: 6, Type: "ExecutionSucceeded", Details: Details{Output: `{"symbol":"AMZN","price":7}`}},
	}
	got := history(t, e, x.ARN)
	ignoreTimes := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Timestamp" }, cmp.Ignore())
	equal(t, "history", want, got, ignoreTimes)
	for i, event := range got {
		if i > 0 && event.Timestamp.Before(got[i-1].Timestamp.Time) {
			t.Errorf("event %d at %s is before the one before it", event.ID, event.Timestamp)
		}
		equal(t, fmt.Sprintf("observed event %d", event.ID), event, <-observed)
	}
	if x.Status != StatusSucceeded || x.Output != `{"symbol":"AMZN","price":7}` || x.StopDate.Before(x.StartDate.Time) {
		t.Errorf("described as %+v", x)
	}
}

func TestHistoryOfAWait(t *testing.T) {
	t.Parallel()
	tokens := make(sender, 1)
	e := launch(t, oneTask(wait, `"Parameters":{"QueueUrl":"q","MessageBody":{"TaskToken.$":"$$.Task.Token"}},`), tokens.run)
	arn := begin(t, e, "")
	token := <-tokens
	eventually(t, func() bool { return len(history(t, e, arn)) == 5 })
	ok(t, e.SendTaskSuccess(success(token, `"yes"`)))
	if got := history(t, e, arn); got[5].Type != "TaskSucceeded" {
		t.Errorf("when the answer was taken, the history had %s as its sixth event", got[5].Type)
	}
	await(t, e, arn)

	events := history(t, e, arn)
	want := []Details{
		{Input: `{}`, RoleARN: role},
		{Name: "Work", Input: `{}`},
		{
			ResourceType: "sqs", Resource: "sendMessage.waitForTaskToken", Region: "eu-west-1",
			Parameters: `{"QueueUrl":"q","MessageBody":{"TaskToken":"` + token + `"}}`,
		},
		{ResourceType: "sqs", Resource: "sendMessage.waitForTaskToken"},
		{ResourceType: "sqs", Resource: "sendMessage.waitForTaskToken", Output: `{"MessageId":"m"}`},
		{ResourceType: "sqs", Resource: "sendMessage.waitForTaskToken", Output: `"yes"`},
		{Name: "Work", Output: `"yes"`},
		{Output: `"yes"`},
	}
	var got []Details
	for _, e := range events {
		got = append(got, e.Details)
	}
	equal(t, "details", want, got)
	wantTypes(t, events,
		"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded",
		"TaskStateExited", "ExecutionSucceeded")
	if len(token) < 44 { // 32 bytes in base64
		t.Errorf("token of %d characters", len(token))
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen in a minute")
		}
	}
}

func TestFailuresOfATask(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fields string
		err    error
		output string // of the state machine, when it succeeds
		error  string // of the state machine, when it fails
	}{
		{name: "named", err: &Error{"NotTraded", "closed"}, error: "NotTraded"},
		{name: "wrapped", err: errors.Join(errors.New("sell"), &Error{"NotTraded", "closed"}), error: "NotTraded"},
		{name: "unnamed", err: errors.New("no route"), error: "States.TaskFailed"},
		{
			name: "caught", fields: catchAll, err: &Error{"NotTraded", "closed"},
			output: `{"failure":{"Error":"NotTraded","Cause":"closed"}}`,
		},
		{
			name: "caught with the name of a JavaScript error", fields: catchAll, err: &Error{"TypeError", "x is null"},
			output: `{"failure":{"Error":"TypeError","Cause":"x is null"}}`,
		},
		{
			name: "caught as the whole input", err: &Error{"NotTraded", ""},
			fields: `"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$","Next":"Caught"}],`,
			output: `{"Error":"NotTraded","Cause":null}`,
		},
		{name: "States.Runtime is terminal", fields: retryAll + catchAll, err: &Error{"States.Runtime", ""}, error: "States.Runtime"},
		{
			name: "States.TaskFailed does not match a timeout that the task reports",
			fields: `"Retry":[{"ErrorEquals":["States.TaskFailed"]}],"Catch":[` +
				`{"ErrorEquals":["States.TaskFailed"],"Next":"named"},{"ErrorEquals":["States.Timeout"],"Next":"Caught"}],`,
			err: &Error{"States.Timeout", "slow"}, output: `{"Error":"States.Timeout","Cause":"slow"}`,
		},
	}
	states, errs := map[string]string{}, map[string]error{}
	for _, test := range tests {
		states[test.name] = taskState(function+"Trade", test.fields)
		errs[slug(test.name)] = test.err
	}
	e := launch(t, oneOf(states), func(_ context.Context, task Task) (json.RawMessage, error) {
		return nil, errs[task.State]
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x, events := runCase(t, e, test.name, `{}`)
			if test.error != "" {
				wantFailure(t, x, test.error)
			} else if x.Output != test.output {
				t.Errorf("output %s, want %s", x.Output, test.output)
			}
			want := []string{
				"TaskStateEntered", "LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionFailed",
			}
			if test.error != "" {
				want = append(want, "ExecutionFailed")
			} else {
				want = append(want, "TaskStateExited", "PassStateEntered", "PassStateExited", "ExecutionSucceeded")
			}
			wantTypes(t, events, want...)
		})
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	x, events := run(t, share(t, "publish-retried", func(_ context.Context, task Task) (json.RawMessage, error) {
		if attempts.Add(1) == 1 {
			return nil, &Error{"SNS.InternalErrorException", "again"}
		}
		return task.Input, nil
	}), `{}`)
	if x.Output != `{"n":1}` {
		t.Errorf("%s with output %s, want the second attempt's", x.Status, x.Output)
	}
	wantTypes(t, events,
		"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskFailed",
		"TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited", "ExecutionSucceeded")
}

func TestContextObject(t *testing.T) {
	t.Parallel()
	definition := `{"StartAt":"First","States":{
		"First":{"Type":"Pass","Parameters":{"State.$":"$$.State.Name","Execution.$":"$$.Execution","Machine.$":"$$.StateMachine"},
			"ResultPath":"$.first","Next":"Work"},
		"Work":{"Type":"Task","Resource":"` + wait + `","Parameters":{
			"State.$":"$$.State.Name","Entered.$":"$$.State.EnteredTime","One.$":"$$.Task.Token","Two.$":"$$.Task.Token"},"End":true}}}`
	inputs := make(chan Task, 1)
	e := launch(t, definition, func(_ context.Context, task Task) (json.RawMessage, error) {
		inputs <- task
		return nil, nil
	})
	arn := begin(t, e, `{}`)
	task := <-inputs

	var got struct{ State, Entered, One, Two string }
	ok(t, json.Unmarshal(task.Input, &got))
	if got.State != "Work" || got.One != task.Token || got.Two != task.Token || task.Token == "" {
		t.Errorf("state %q, the task's token is the one in the parameters: %t", got.State, got.One == task.Token)
	}
	events := history(t, e, arn)
	entered, err := time.Parse(time.RFC3339Nano, got.Entered)
	if since := events[3].Timestamp.Sub(entered); err != nil || since < 0 || since > time.Second {
		t.Errorf("EnteredTime %s, event at %s", got.Entered, events[3].Timestamp)
	}
	var first struct {
		First struct {
			State     string
			Execution struct{ Id, Name, RoleArn, StartTime string }
			Machine   struct{ Id, Name string }
		}
	}
	ok(t, json.Unmarshal([]byte(events[2].Details.Output), &first))
	name := arn[strings.LastIndex(arn, ":")+1:]
	if f := first.First; f.State != "First" || f.Execution.Id != arn || f.Execution.Name != name ||
		f.Execution.RoleArn != role || f.Execution.StartTime == "" || f.Machine.Id != machine || f.Machine.Name != "StockTrading" {
		t.Errorf("context %+v", f)
	}
}

func TestTokenOutsideOfAWait(t *testing.T) {
	t.Parallel()
	x, _ := run(t, share(t, "publish-token", answer(`1`, nil)), `{}`)
	wantFailure(t, x, "States.Runtime")
}

func TestTimeoutOfATask(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	x, events := run(t, share(t, "slow", func(ctx context.Context, task Task) (json.RawMessage, error) {
		if task.Timeout != time.Second {
			t.Errorf("timeout %s", task.Timeout)
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return json.RawMessage(`"late"`), nil
	}), `{}`)
	if !strings.Contains(x.Output, `"Error":"States.Timeout"`) {
		t.Errorf("%s with output %s, want States.Timeout caught", x.Status, x.Output)
	}
	if got := events[4]; got.Type != "LambdaFunctionTimedOut" || got.Details.Error != "States.Timeout" {
		t.Errorf("the task's end is %+v", got)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the task's context ended with %v", err)
	}
}

// The interpreter's own limits, a minute without TimeoutSeconds and timers of 24 days, must not end a task.
func TestLongTimeouts(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]string{"none": ``, "the longest": `"TimeoutSeconds":99999999,`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			definition := strings.Replace(oneTask(wait, fields), `{`, `{"TimeoutSeconds":99999999,`, 1)
			timeouts := make(chan time.Duration, 1)
			e := launch(t, definition, func(_ context.Context, task Task) (json.RawMessage, error) {
				timeouts <- task.Timeout
				return nil, nil
			})
			arn := begin(t, e, `{}`)
			if got := <-timeouts; got != 99999999*time.Second {
				t.Errorf("timeout %s", got)
			}
			time.Sleep(50 * time.Millisecond)
			if x, err := e.DescribeExecution(arn); err != nil || x.Status != StatusRunning {
				t.Errorf("got %+v, %v", x, err)
			}
		})
	}
}

func TestTimeoutOfTheStateMachine(t *testing.T) {
	t.Parallel()
	tokens := make(sender, 1)
	definition := strings.Replace(oneTask(wait, retryAll+catchAll), `{`, `{"TimeoutSeconds":1,`, 1)
	e := launch(t, definition, tokens.run)
	x := await(t, e, begin(t, e, `{}`))
	if x.Status != StatusTimedOut || x.Error != "" {
		t.Errorf("got %+v, want TIMED_OUT without an error, as AWS describes it", x)
	}
	events := history(t, e, x.ARN)
	if last := events[len(events)-1]; last.Type != "ExecutionTimedOut" || last.Details.Error != "States.Timeout" {
		t.Errorf("last event %+v", last)
	}
	wantCode(t, "a late answer", e.SendTaskSuccess(success(<-tokens, `1`)), "TaskTimedOut")
}

func TestDataLimit(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("x", maxData-1) + `"` // one byte too many
	largest := large[:1] + large[2:]
	half := `"` + strings.Repeat("é", maxData/4) + `"` // two bytes each
	twice := `"Parameters":{"a.$":"$","b.$":"$"},`
	tests := []struct {
		name, state, input, output string
		performed                  bool
		error                      string
	}{
		{"output as large as may be", taskState(function+"F", ""), `{}`, largest, true, ""},
		{"output that nothing catches", taskState(function+"F", ""), `{}`, large, true, "States.DataLimitExceeded"},
		{"output that is caught", taskState(function+"F", catchAll), `{}`, large, true, ""},
		{"input", taskState(publish, twice+retryAll+catchAll), half, `1`, false, "States.DataLimitExceeded"},
		{
			"output of a state", taskState(function+"F", `"ResultPath":"$.a",`+catchAll), `{"b":` + half + `}`, half,
			true, "States.DataLimitExceeded",
		},
		{
			"output of a Pass before a task", `{"Type":"Pass",` + twice + `"Next":"output-that-is-caught"}`, half, `1`,
			false, "States.DataLimitExceeded",
		},
	}
	states, outputs := map[string]string{}, map[string]string{}
	var tasks sync.Map // names of executions
	for _, test := range tests {
		states[test.name] = test.state
		outputs[slug(test.name)] = test.output
	}
	e := launch(t, oneOf(states), func(_ context.Context, task Task) (json.RawMessage, error) {
		name := strings.TrimSuffix(task.ExecutionARN[strings.LastIndex(task.ExecutionARN, ":")+1:], ".")
		tasks.Store(name, true)
		return json.RawMessage(outputs[name]), nil
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x, events := runCase(t, e, test.name, test.input)
			if test.error != "" {
				wantFailure(t, x, test.error)
			} else if x.Status != StatusSucceeded || strings.Contains(x.Output, "States.DataLimitExceeded") != strings.Contains(test.name, "caught") {
				t.Errorf("got %s: %.200s %s", x.Status, x.Output, x.Cause)
			}
			if _, performed := tasks.Load(slug(test.name)); performed != test.performed {
				t.Errorf("a task was performed: %t, want %t", performed, test.performed)
			}
			if last := events[len(events)-1].Type; test.error != "" && last != "ExecutionFailed" {
				t.Errorf("last event %s", last)
			}
			if failed := slices.Contains(eventTypes(events), "LambdaFunctionFailed"); failed != strings.Contains(test.name, "output that") {
				t.Errorf("events %v", eventTypes(events))
			}
		})
	}
}

func TestErrorsOfTheInterpreter(t *testing.T) {
	t.Parallel()
	parameters := func(value string) string {
		return taskState(publish, `"Parameters":{"a.$":"`+value+`"},`+retryAll+catchAll)
	}
	tests := []struct{ name, state, input string }{
		{"not JSON", parameters("States.StringToJson($)"), `"{"`},
		{"wrong arguments", parameters("States.MathAdd($, $)"), `"1"`},
		{"path to nothing", parameters("$.b"), `{}`},
		{"too deep", taskState(publish, catchAll), strings.Repeat("[", 9000) + strings.Repeat("]", 9000)},
	}
	states := map[string]string{}
	for _, test := range tests {
		states[test.name] = test.state
	}
	e := launch(t, oneOf(states), answer(`1`, nil))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x, events := runCase(t, e, test.name, test.input)
			wantFailure(t, x, "States.Runtime")
			if last := events[len(events)-1].Type; x.Cause == "" || last != "ExecutionFailed" {
				t.Errorf("cause %q, last event %s", x.Cause, last)
			}
		})
	}
}

// A Catch that puts the error into an input that is not an object fails by itself, and no catcher catches that.
func TestCatchIntoNoObject(t *testing.T) {
	t.Parallel()
	x, _ := run(t, share(t, "caught", answer(``, &Error{"NotTraded", ""})), `[]`)
	wantFailure(t, x, "States.ResultPathMatchFailure")
}

func TestFailState(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("ü", n) } // a limit in characters, not in bytes
	tests := []struct{ name, fields, input, error, cause string }{
		{"nothing", ``, `{}`, "", ""},
		{"both", `,"Error":"E","Cause":"c"`, `{}`, "E", "c"},
		{"paths", `,"ErrorPath":"$.e","CausePath":"$.c"`, `{"e":"E","c":"c"}`, "E", "c"},
		{
			"a path to no string", `,"ErrorPath":"$.e"`, `{"e":null}`, "States.Runtime",
			"An error occurred while executing the state 'a-path-to-no-string' (entered at the event id #4). " +
				"Path expression '$.e' evaluated to null, but expected a string",
		},
		{
			"as long as may be", `,"ErrorPath":"$.e","CausePath":"$.c"`, `{"e":"` + long(256) + `","c":"` + long(32768) + `"}`,
			long(256), long(32768),
		},
		{
			"too long", `,"ErrorPath":"$.e","CausePath":"$.c"`, `{"e":"` + long(257) + `","c":"` + long(32769) + `"}`,
			long(256), long(32768),
		},
	}
	states := map[string]string{}
	for _, test := range tests {
		states[test.name] = `{"Type":"Fail"` + test.fields + `}`
	}
	e := launch(t, oneOf(states), nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x, events := runCase(t, e, test.name, test.input)
			if x.Status != StatusFailed || x.Error != test.error || x.Cause != test.cause {
				t.Errorf("got %+v", x)
			}
			if d := events[len(events)-1].Details; d.Error != test.error || d.Cause != test.cause {
				t.Errorf("the history has %+v", d)
			}
			wantTypes(t, events, "FailStateEntered", "ExecutionFailed")
		})
	}
}

func TestEndlessCycleEnds(t *testing.T) {
	t.Parallel()
	e := launch(t, `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"C":{"Type":"Succeed"},"B":{"Type":"Choice",`+
		`"Choices":[{"Variable":"$.a","StringEquals":"b","Next":"C"}],"Default":"A"}}}`, nil)
	x, events := run(t, e, `{"a":1}`)
	wantFailure(t, x, "States.Runtime")
	if len(events) != maxPage || !strings.Contains(x.Cause, "25000") {
		t.Errorf("%d events in the first page, cause %q", len(events), x.Cause)
	}
}

func TestWaitState(t *testing.T) {
	t.Parallel()
	definition := `{"StartAt":"Wait","States":{"Wait":{"Type":"Wait","Seconds":%,"Next":"Done"},"Done":{"Type":"Succeed"}}}`
	x, events := run(t, launch(t, strings.Replace(definition, "%", "1", 1), nil), `{"a":1}`)
	if x.Output != `{"a":1}` || x.StopDate.Sub(x.StartDate.Time) < time.Second {
		t.Errorf("got %+v", x)
	}
	wantTypes(t, events,
		"ExecutionStarted", "WaitStateEntered", "WaitStateExited", "SucceedStateEntered", "SucceedStateExited",
		"ExecutionSucceeded")

	t.Run("longer than a timer", func(t *testing.T) {
		e := launch(t, strings.Replace(definition, "%", "9999999", 1), nil)
		arn := begin(t, e, `{}`)
		time.Sleep(50 * time.Millisecond)
		if x, err := e.DescribeExecution(arn); err != nil || x.Status != StatusRunning {
			t.Errorf("got %+v, %v", x, err)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	pass := func(fields string) string {
		return `{"StartAt":"S","States":{"S":{"Type":"Pass",` + fields + `"End":true}}}`
	}
	choice := func(rule string) string {
		return `{"StartAt":"S","States":{"S":{"Type":"Choice","Choices":[{` + rule + `,"Next":"T"}]},"T":{"Type":"Succeed"}}}`
	}
	tests := []struct {
		name       string
		definition string
		change     func(*Config)
		want       string
	}{
		{"no JSON", `{`, nil, "decode definition"},
		{"Map", `{"StartAt":"M","States":{"M":{"Type":"Map","End":true}}}`, nil, `state "M": the Type Map`},
		{"Parallel", `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true}}}`, nil, `state "P": the Type Parallel`},
		{"JSONata", `{"QueryLanguage":"JSONata","StartAt":"S","States":{"S":{"Type":"Succeed"}}}`, nil, "QueryLanguage JSONata"},
		{"JSONata of a state", pass(`"QueryLanguage":"JSONata",`), nil, `state "S": the QueryLanguage JSONata`},
		{"Assign", pass(`"Assign":{"a":1},`), nil, `state "S": Assign`},
		{"Assign of a catcher", oneTask(publish, `"Catch":[{"ErrorEquals":["E"],"Assign":{},"Next":"Caught"}],`), nil, "Assign in Catch"},
		{"Assign of a choice", choice(`"Assign":{},"Variable":"$.a","IsNull":true`), nil, "Assign in Choices"},
		{"heartbeat", oneTask(wait, `"HeartbeatSeconds":5,`), nil, "HeartbeatSeconds"},
		{"empty Result", pass(`"Result":"",`), nil, `state "S": the Result ""`},
		{"ResultPath in brackets", pass(`"ResultPath":"$['a']",`), nil, "the ResultPath $['a']"},
		{"illegal escape", pass(`"Parameters":{"a.$":"States.Format('\\\"{}\\\"', $.a)"},`), nil, `the escape \" is illegal`},
		{"illegal escape of a Fail", `{"StartAt":"F","States":{"F":{"Type":"Fail","CausePath":"States.Format('\\n')"}}}`, nil, `the escape \n is illegal`},
		{"no such function", pass(`"Parameters":{"a":[{"b.$":"States.Nothing($)"}]},`), nil, "no function States.Nothing"},
		{"a brace alone", pass(`"Parameters":{"a.$":"States.Format('{0}', $)"},`), nil, "neither {} nor escaped"},
		{"too few arguments", pass(`"Parameters":{"a.$":"States.MathAdd(1)"},`), nil, "1 arguments are too many or too few for States.MathAdd"},
		{"no end", pass(`"Parameters":{"a.$":"States.Array(1, 2"},`), nil, "a comma or ) is expected at character 18"},
		{"activity", oneTask("arn:aws:states:eu-west-1:123456789012:activity:A", ``), nil, "the Resource"},
		{"invalid", `{"StartAt":"Nowhere","States":{"S":{"Type":"Succeed"}}}`, nil, "State machine definition is invalid"},
		{"a state that is null", `{"StartAt":"S","States":{"S":null}}`, nil, `state "S": null`},
		{"no placeholders replaced", readFile(t), nil, "decode definition"},
		{"no Node", pass(``), func(c *Config) { c.Node = "no-such-node" }, "run interpreter"},
		{"no bridge", pass(``), func(c *Config) { c.Dir = "no-such-folder" }, "Cannot find module"},
		{"no package", pass(``), func(c *Config) { c.Dir = copyOfBridge(t) }, "npm ci"},
		{"another name", pass(``), func(c *Config) { c.Name = "Other" }, "is not the ARN"},
		{"no ARN", pass(``), func(c *Config) { c.ARN = "StockTrading" }, "is not the ARN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := config(test.definition, nil)
			if test.change != nil {
				test.change(&c)
			}
			if err := startAndClose(t, c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// The port of the local run changes from start to start; any other difference makes another definition.
func TestValidMarkerWhateverThePort(t *testing.T) {
	marker := func(url string) string {
		return (&Engine{config: Config{Valid: "valid", Definition: []byte(`{"QueueUrl":"` + url + `"}`)}}).validMarker()
	}
	first := marker("http://127.0.0.1:4711/123456789012/Queue")
	if marker("http://127.0.0.1:815/123456789012/Queue") != first {
		t.Error("with another port it is another definition")
	}
	for _, url := range []string{"http://127.0.0.1:4711/123456789012/Other", "http://192.0.2.1:4711/123456789012/Queue"} {
		if marker(url) == first {
			t.Errorf("%s is taken for another one", url)
		}
	}
}

// A definition is validated until it has passed once, by an engine that remembers.
func TestStartRemembersValidDefinitions(t *testing.T) {
	t.Parallel()
	const good, bad = `{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}`, `{"StartAt":"Nowhere","States":{"S":{"Type":"Succeed"}}}`
	// This interpreter rejects the bad definition when it is asked to validate it; to validate truly takes half a second.
	node := script(t, `read -r load
case $load in *Nowhere*'"validate":true'*) echo '{"is":"invalid","cause":"bad"}' ;; *) echo '{"is":"ready"}' ;; esac
read -r end`)
	start := func(definition, valid, node string) error {
		c := config(definition, nil)
		c.Valid, c.Node = valid, node
		return startAndClose(t, c)
	}
	dir := t.TempDir()
	if err := start(good, dir, node); err != nil {
		t.Error(err)
	}
	if err := start(bad, dir, node); err == nil {
		t.Error("an invalid definition is taken, after another one that is valid")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v are remembered (%v), want the valid definition", files, err)
	}
	// What is remembered is believed, by Node as well: this is what makes the next start short.
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(bad)))), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := start(bad, dir, "node"); err != nil {
		t.Errorf("a definition that is remembered is validated: %v", err)
	}
	for _, valid := range []string{"", os.DevNull} { // nothing is to be remembered, or nothing can be
		if err := start(good, valid, node); err != nil {
			t.Errorf("a valid definition where %q remembers: %v", valid, err)
		}
		if err := start(bad, valid, node); err == nil {
			t.Errorf("an invalid definition is taken where %q remembers", valid)
		}
	}
}

// script is an executable that stands in for Node.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node")
	// A process of its own writes it: one that another test starts meanwhile could inherit the open file, and a file that
	// is open for writing can't be run.
	write := exec.Command("sh", "-c", `cat >"$0" && chmod 700 "$0"`, path)
	write.Stdin = strings.NewReader("#!/bin/sh\n" + text + "\n")
	if output, err := write.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v\n%s", path, err, output)
	}
	return path
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := config(oneTask(publish, ""), nil)
	if _, err := Start(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	// Node hangs before it reads anything, and something that it started holds its output.
	c.Node = script(t, "sleep 60")
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Start(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func readFile(t *testing.T) string {
	t.Helper()
	text := must(os.ReadFile("../../stacks/stock_trading.asl.json"))(t)
	return string(text)
}

func copyOfBridge(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"bridge.mjs", "data.mjs"} {
		text := must(os.ReadFile(name))(t)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
