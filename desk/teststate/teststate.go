// Package teststate compares the local engine with AWS's own interpreter: it runs every path of a state machine's
// definition here, and each step of it on AWS by the TestState API with mocked results. That deploys nothing, calls no
// function and trades nothing.
//
// The caller needs states:TestState; with mocks the API takes no role. A step is one call; AWS allows about one
// a second. It was written after AWS's documents and after recordings of the API, and has not been run on an account.
package teststate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stocktrading/local/setup"
	"stocktrading/local/states"
)

// API is what is called of the Step Functions API.
type API interface {
	TestState(context.Context, *sfn.TestStateInput, ...func(*sfn.Options)) (*sfn.TestStateOutput, error)
}

// ErrSkipped is in the chain of an error that says why nothing could be compared, through no fault of the definition: the
// caller may not, the endpoint has no such API, or this machine lacks what the local engine needs.
var ErrSkipped = errors.New("not compared")

type skipped struct{ reason string }

func (s skipped) Error() string        { return s.reason }
func (s skipped) Is(target error) bool { return target == ErrSkipped }

// Result is what a comparison found.
type Result struct {
	Paths, Steps int
	Differences  []string // sentences
}

// The data of the paths. The recommendations lead every way that a choice has.
const (
	input = `{"symbol":"AMZN","qty":1}`
	quote = `{"stock_price":30,"symbol":"AMZN","qty":1,"quote_id":"q-1","quoted_at":"2026-01-02T03:04:05Z"}`
	trade = `{"id":"q-1","price":"30","type":"buy","qty":"1","timestamp":"2026-01-02T03:04:05Z","symbol":"AMZN","outcome":"traded"}`
	cause = `says "no" \ and {why}`
)

var recommendations = []string{`"buy"`, `"sell"`, `"hold"`}

// path is one way through the definition: what is recommended, and which states fail with which error.
type path struct {
	recommendation string
	failures       map[string]string
}

// step is a state of a path, with what the local engine made of it.
type step struct {
	state, input string
	task         bool
	token        bool   // it waits for one
	failure      string // the error that is mocked
	retries      int32
	result       string // that is mocked, if there is no failure
	want         sfn.TestStateOutput
}

// Compare runs the definition of the state machine with that ARN here and on AWS. It calls begin with the number of steps
// before the first one is taken on AWS.
func Compare(ctx context.Context, api API, arn, definition string, begin func(steps int)) (Result, error) {
	local, err := start(ctx, arn, definition)
	if err != nil {
		return Result{}, err
	}
	defer local.engine.Close()
	return local.compare(ctx, api, begin)
}

func (l *local) compare(ctx context.Context, api API, begin func(steps int)) (Result, error) {
	paths, steps, err := l.explore(ctx)
	if err != nil {
		return Result{}, err
	}
	begin(len(steps))
	result := Result{Paths: paths, Steps: len(steps)}
	for _, s := range steps {
		difference, err := l.try(ctx, api, s)
		if err != nil {
			return result, err
		}
		if difference != "" {
			result.Differences = append(result.Differences, fmt.Sprintf("%s: %s", s, difference))
		}
	}
	return result, nil
}

func (s step) String() string {
	if s.failure != "" {
		return fmt.Sprintf("%s after %s", s.state, s.failure)
	}
	return s.state
}

// local is the local engine with the paths that it runs.
type local struct {
	engine     *states.Engine
	arn        string
	definition string
	states     map[string]state
	contextual map[string]bool // states that read the context object and can't be given one, for lack of a mock
	running    path
}

type state struct {
	Type  string
	Catch []struct{ ErrorEquals []string }
}

func start(ctx context.Context, arn, text string) (*local, error) {
	l := &local{arn: arn, definition: text, states: map[string]state{}, contextual: map[string]bool{}}
	var parsed struct{ States map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		return nil, fmt.Errorf("read the definition: %w", err)
	}
	for name, part := range parsed.States {
		var s state
		if err := json.Unmarshal(part, &s); err != nil {
			return nil, fmt.Errorf("read the definition of %s: %w", name, err)
		}
		l.states[name] = s
		l.contextual[name] = s.Type != "Task" && strings.Contains(string(part), "$$.")
	}
	root, err := setup.Root()
	if err != nil {
		return nil, skipped{err.Error()}
	}
	node, err := setup.Node(ctx)
	if err != nil {
		return nil, skipped{err.Error()}
	}
	valid, err := setup.Project{Root: root}.Interpreter(ctx)
	if err != nil {
		return nil, skipped{err.Error()}
	}
	l.engine, err = states.Start(ctx, states.Config{
		Node: node, Dir: filepath.Join(root, "local", "states"), Valid: valid,
		Definition: []byte(text), ARN: arn, Name: arn[strings.LastIndex(arn, ":")+1:],
		RoleARN: "arn:aws:iam::123456789012:role/Mocked", Run: l.run, RetryInterval: time.Millisecond,
	})
	if err != nil {
		return nil, fmt.Errorf("run the definition here: %w", err)
	}
	return l, nil
}

// run mocks a task of the path that is running.
func (l *local) run(_ context.Context, task states.Task) (json.RawMessage, error) {
	failure := l.running.failures[task.State]
	if task.Token != "" {
		if failure != "" {
			return nil, l.engine.SendTaskFailure(&sfn.SendTaskFailureInput{TaskToken: &task.Token, Error: &failure, Cause: aws.String(cause)})
		}
		return nil, l.engine.SendTaskSuccess(&sfn.SendTaskSuccessInput{TaskToken: &task.Token, Output: aws.String(trade)})
	}
	if failure != "" {
		return nil, &states.Error{Name: failure, Cause: cause}
	}
	switch task.State {
	case "Check Stock Price":
		return json.RawMessage(quote), nil
	case "Generate Buy/Sell recommendation":
		return json.RawMessage(l.running.recommendation), nil
	}
	return json.RawMessage(trade), nil
}

// explore runs every path: from those on which nothing fails, each error that a state on them catches leads to another.
// It returns how many there are and the steps in which they differ.
func (l *local) explore(ctx context.Context) (paths int, steps []step, err error) {
	var queue []path
	for _, r := range recommendations {
		queue = append(queue, path{recommendation: r})
	}
	known, tried := map[string]bool{}, map[[2]string]bool{}
	for ; len(queue) > 0; queue = queue[1:] {
		l.running = queue[0]
		paths++
		taken, err := l.steps(ctx)
		if err != nil {
			return 0, nil, err
		}
		for _, s := range taken {
			if key := s.state + "\n" + s.input + "\n" + s.failure + "\n" + s.result; !known[key] {
				known[key] = true
				steps = append(steps, s)
			}
			for _, catcher := range l.states[s.state].Catch {
				for _, name := range catcher.ErrorEquals {
					if name == "States.ALL" || name == "States.TaskFailed" {
						name = "Unexpected"
					}
					failure := [2]string{s.state, name}
					if s.failure != "" || tried[failure] {
						continue
					}
					tried[failure] = true
					failures := map[string]string{s.state: name}
					maps.Copy(failures, l.running.failures)
					queue = append(queue, path{l.running.recommendation, failures})
				}
			}
		}
	}
	return paths, steps, nil
}

// steps runs the path and returns its states.
func (l *local) steps(ctx context.Context) ([]step, error) {
	arn, err := l.engine.StartExecution("", []byte(input))
	if err != nil {
		return nil, err
	}
	if _, err := l.engine.Wait(ctx, arn); err != nil {
		return nil, err
	}
	out, err := l.engine.GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
	if err != nil {
		return nil, err
	}
	var (
		taken  []step
		failed int32 // attempts
	)
	for i, e := range out.Events {
		kind, entered := strings.CutSuffix(e.Type, "StateEntered")
		switch {
		case entered:
			s := step{state: e.Details.Name, input: e.Details.Input, task: kind == "Task"}
			if s.task {
				s.failure = l.running.failures[s.state]
			}
			taken, failed = append(taken, s), 0
			continue
		case len(taken) == 0:
			continue
		}
		s := &taken[len(taken)-1]
		switch {
		case e.Type == "TaskScheduled":
			s.token = strings.HasSuffix(e.Details.Resource, ".waitForTaskToken")
		case e.Type == "TaskSucceeded", e.Type == "LambdaFunctionSucceeded":
			s.result = e.Details.Output
		case e.Type == "TaskFailed", e.Type == "LambdaFunctionFailed":
			s.retries = failed
			failed++
		case strings.HasSuffix(e.Type, "StateExited"):
			s.want = sfn.TestStateOutput{Status: types.TestExecutionStatusSucceeded, Output: aws.String(e.Details.Output)}
			if s.failure != "" {
				s.want.Status = types.TestExecutionStatusCaughtError
			}
			if next := out.Events[i+1]; strings.HasSuffix(next.Type, "StateEntered") {
				s.want.NextState = aws.String(next.Details.Name)
			}
		case e.Type == "ExecutionFailed":
			s.want = sfn.TestStateOutput{
				Status: types.TestExecutionStatusFailed, Error: aws.String(e.Details.Error), Cause: aws.String(e.Details.Cause),
			}
		}
	}
	return taken, nil
}

// try runs a step on AWS and says how it differs.
func (l *local) try(ctx context.Context, api API, s step) (difference string, err error) {
	in := &sfn.TestStateInput{Definition: aws.String(l.definition), StateName: aws.String(s.state), Input: aws.String(s.input)}
	if s.task {
		in.Context = aws.String(l.context(s))
		in.Mock = &types.MockInput{FieldValidationMode: types.MockResponseValidationModeNone}
		if s.failure == "" {
			in.Mock.Result = aws.String(s.result)
		} else {
			in.Mock.ErrorOutput = &types.MockErrorOutput{Error: aws.String(s.failure), Cause: aws.String(cause)}
			if s.retries > 0 { // AWS is told that they are behind it
				in.StateConfiguration = &types.TestStateConfiguration{RetrierRetryCount: aws.Int32(s.retries)}
			}
		}
	}
	got, err := api.TestState(ctx, in, keepHost)
	var refused smithy.APIError
	switch {
	case errors.As(err, &refused) && strings.HasPrefix(refused.ErrorCode(), "AccessDenied"):
		return "", skipped{"you may not call states:TestState"}
	case errors.As(err, &refused) && strings.HasPrefix(refused.ErrorCode(), "UnknownOperation"):
		return "", skipped{"this endpoint has no TestState"}
	case err != nil:
		return "", fmt.Errorf("run the step %s on AWS: %w", s, err)
	}
	for _, field := range []struct{ name, here, there string }{
		{"status", string(s.want.Status), string(got.Status)},
		{"next state", aws.ToString(s.want.NextState), aws.ToString(got.NextState)},
		{"error", aws.ToString(s.want.Error), failureOf(got, got.Error)},
		{"cause", aws.ToString(s.want.Cause), failureOf(got, got.Cause)},
	} {
		if field.here != field.there {
			return fmt.Sprintf("the %s is %q on AWS and %q here", field.name, field.there, field.here), nil
		}
	}
	if here, there := aws.ToString(s.want.Output), aws.ToString(got.Output); !l.contextual[s.state] && !same(here, there) {
		return fmt.Sprintf("the output is %s on AWS and %s here", there, here), nil
	}
	return "", nil
}

// keepHost keeps the SDK from prefixing a custom endpoint's host with "sync-", as this API's host has it on AWS.
func keepHost(o *sfn.Options) {
	if o.BaseEndpoint == nil {
		return
	}
	keep := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
	}
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("KeepHost", keep), middleware.Before)
	})
}

// failureOf is the error or cause of a state that has failed: AWS also reports those that were caught.
func failureOf(got *sfn.TestStateOutput, text *string) string {
	if got.Status != types.TestExecutionStatusFailed {
		return ""
	}
	return aws.ToString(text)
}

// context is the context object of a task, which AWS takes beside a mock.
func (l *local) context(s step) string {
	const at = "2026-01-02T03:04:05.000Z"
	name := l.arn[strings.LastIndex(l.arn, ":")+1:]
	object := map[string]any{
		"Execution": map[string]any{
			"Id": strings.Replace(l.arn, ":stateMachine:", ":execution:", 1) + ":compared", "Name": "compared", "StartTime": at,
			"RoleArn": "arn:aws:iam::123456789012:role/Mocked", "Input": json.RawMessage(input),
		},
		"StateMachine": map[string]string{"Id": l.arn, "Name": name},
		"State":        map[string]any{"Name": s.state, "EnteredTime": at, "RetryCount": s.retries},
	}
	if s.token {
		object["Task"] = map[string]string{"Token": "mocked"}
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(text)
}

// same reports whether two texts are the same JSON.
func same(one, other string) bool {
	var values [2]any
	for i, text := range []string{one, other} {
		if text != "" && json.Unmarshal([]byte(text), &values[i]) != nil {
			return false
		}
	}
	return (one == "") == (other == "") && reflect.DeepEqual(values[0], values[1])
}
