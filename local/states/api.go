package states

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/uuid"
)

// APIError is an error of the Step Functions API, under AWS's name for it. It never holds a token.
type APIError struct {
	Code    string // such as "ExecutionDoesNotExist"
	Message string
}

func (e *APIError) Error() string { return e.Code + ": " + e.Message }

func apiErrorf(code, format string, args ...any) error {
	return &APIError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// missingMember is the error for a request without a member that it needs.
func missingMember(member string) error {
	return apiErrorf("ValidationException",
		"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must not be null", member)
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// Execution is an execution as DescribeExecution gives it. ListExecutions leaves out the input, the output, the error
// and the cause.
type Execution struct {
	ARN             string `json:"executionArn"`
	StateMachineARN string `json:"stateMachineArn"`
	Name            string `json:"name"`
	Status          Status `json:"status"`
	StartDate       Time   `json:"startDate"`
	StopDate        Time   `json:"stopDate,omitzero"` // zero while it runs
	Input           string `json:"input,omitempty"`   // JSON, as it was sent
	Output          string `json:"output,omitempty"`  // JSON, of a succeeded execution
	Error           string `json:"error,omitempty"`   // of a failed or aborted execution
	Cause           string `json:"cause,omitempty"`
}

// StateMachine is the state machine as DescribeStateMachine gives it.
type StateMachine struct {
	ARN          string `json:"stateMachineArn"`
	Name         string `json:"name"`
	Status       string `json:"status"`
	Type         string `json:"type"`
	Definition   string `json:"definition"`
	RoleARN      string `json:"roleArn"`
	CreationDate Time   `json:"creationDate"`
}

// ListExecutionsOutput is a page of executions, newest first.
type ListExecutionsOutput struct {
	Executions []Execution `json:"executions"`
	NextToken  string      `json:"nextToken,omitempty"`
}

// GetExecutionHistoryOutput is a page of a history.
type GetExecutionHistoryOutput struct {
	Events    []HistoryEvent `json:"events"`
	NextToken string         `json:"nextToken,omitempty"`
}

// StopExecutionOutput says when the execution stopped.
type StopExecutionOutput struct {
	StopDate Time `json:"stopDate"`
}

// StartExecution starts an execution and returns its ARN. Without a name it gets a UUID, without an input {}. A
// running execution of the same name and input is returned again.
func (e *Engine) StartExecution(name string, input []byte) (arn string, err error) {
	in := &sfn.StartExecutionInput{StateMachineArn: &e.config.ARN}
	if name != "" {
		in.Name = &name
	}
	if len(input) > 0 {
		in.Input = aws.String(string(input))
	}
	started, err := e.startExecution(in)
	return started.ExecutionARN, err
}

type startExecutionOutput struct {
	ExecutionARN string `json:"executionArn"`
	StartDate    Time   `json:"startDate"`
}

func (e *Engine) startExecution(in *sfn.StartExecutionInput) (startExecutionOutput, error) {
	if err := e.checkMachine(in.StateMachineArn); err != nil {
		return startExecutionOutput{}, err
	}
	name, input := uuid.NewString(), "{}"
	if in.Name != nil {
		name = *in.Name
	}
	if in.Input != nil {
		input = *in.Input
	}
	switch {
	case !validName(name):
		return startExecutionOutput{}, apiErrorf("InvalidName", "Invalid Name: '%s'", name)
	case len(input) > maxData:
		return startExecutionOutput{}, apiErrorf("InvalidExecutionInput",
			"Invalid State Machine Execution Input: 'The input is larger than %d bytes'", maxData)
	case !json.Valid([]byte(input)):
		return startExecutionOutput{}, apiErrorf("InvalidExecutionInput",
			"Invalid State Machine Execution Input: 'Invalid execution input.'")
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return startExecutionOutput{}, err
	}
	x, exists := e.byName[name]
	if exists && (x.status != StatusRunning || x.input != input) {
		return startExecutionOutput{}, apiErrorf("ExecutionAlreadyExists", "Execution Already Exists: '%s'", x.arn)
	}
	if !exists {
		x = e.begin(name, input)
	}
	return startExecutionOutput{ExecutionARN: x.arn, StartDate: x.start}, nil
}

// validName reports whether AWS accepts the name for an execution.
func validName(name string) bool {
	if n := utf8.RuneCountInString(name); n < 1 || n > 80 || !utf8.ValidString(name) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>{}[]?*\"#%\\^|~`$&,;:/", r) ||
			r == 0xfffe || r == 0xffff || r == 0x10ffff
	})
}

// DescribeStateMachine describes the state machine.
func (e *Engine) DescribeStateMachine(in *sfn.DescribeStateMachineInput) (StateMachine, error) {
	if err := e.checkMachine(in.StateMachineArn); err != nil {
		return StateMachine{}, err
	}
	return StateMachine{
		ARN:          e.config.ARN,
		Name:         e.config.Name,
		Status:       "ACTIVE",
		Type:         "STANDARD",
		Definition:   string(e.config.Definition),
		RoleARN:      e.config.RoleARN,
		CreationDate: e.created,
	}, nil
}

// DescribeExecution describes an execution.
func (e *Engine) DescribeExecution(executionARN string) (Execution, error) {
	x, err := e.find(executionARN)
	if err != nil {
		return Execution{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.summary(x)
	d.Input, d.Output, d.Error, d.Cause = x.input, x.output, x.err, x.cause
	return d, nil
}

func (e *Engine) summary(x *execution) Execution {
	return Execution{
		ARN:             x.arn,
		StateMachineARN: e.config.ARN,
		Name:            x.name,
		Status:          x.status,
		StartDate:       x.start,
		StopDate:        x.stop,
	}
}

// ListExecutions lists executions, newest first.
func (e *Engine) ListExecutions(in *sfn.ListExecutionsInput) (ListExecutionsOutput, error) {
	if aws.ToString(in.MapRunArn) != "" || in.RedriveFilter != "" {
		return ListExecutionsOutput{}, apiErrorf("ValidationException",
			"mapRunArn and redriveFilter are not supported: this state machine has no map runs and no redrives")
	}
	if err := e.checkMachine(in.StateMachineArn); err != nil {
		return ListExecutionsOutput{}, err
	}
	if in.StatusFilter != "" && !slices.Contains(in.StatusFilter.Values(), in.StatusFilter) {
		return ListExecutionsOutput{}, apiErrorf("ValidationException",
			"1 validation error detected: Value '%s' at 'statusFilter' failed to satisfy constraint", in.StatusFilter)
	}
	limit, err := pageSize(in.MaxResults)
	if err != nil {
		return ListExecutionsOutput{}, err
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	list := "executions " + string(in.StatusFilter)
	last := len(e.executions)
	at, err := readToken(in.NextToken, list, last, last)
	if err != nil {
		return ListExecutionsOutput{}, err
	}
	out := ListExecutionsOutput{Executions: []Execution{}}
	for ; at > 0; at-- {
		x := e.executions[at-1]
		if in.StatusFilter != "" && x.status != Status(in.StatusFilter) {
			continue
		}
		if len(out.Executions) == limit {
			out.NextToken = newToken(list, at)
			break
		}
		out.Executions = append(out.Executions, e.summary(x))
	}
	return out, nil
}

// GetExecutionHistory gives the events of an execution, oldest first unless they are asked for in reverse order.
func (e *Engine) GetExecutionHistory(in *sfn.GetExecutionHistoryInput) (GetExecutionHistoryOutput, error) {
	x, err := e.find(aws.ToString(in.ExecutionArn))
	if err != nil {
		return GetExecutionHistoryOutput{}, err
	}
	limit, err := pageSize(in.MaxResults)
	if err != nil {
		return GetExecutionHistoryOutput{}, err
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	last := len(x.events)
	first, step, list := 1, 1, "history "+x.arn
	if in.ReverseOrder {
		first, step, list = last, -1, "reverse history "+x.arn
	}
	id, err := readToken(in.NextToken, list, first, last)
	if err != nil {
		return GetExecutionHistoryOutput{}, err
	}
	out := GetExecutionHistoryOutput{Events: []HistoryEvent{}}
	for ; id >= 1 && id <= last; id += step {
		if len(out.Events) == limit {
			out.NextToken = newToken(list, id)
			break
		}
		event := x.events[id-1]
		if in.IncludeExecutionData != nil && !*in.IncludeExecutionData {
			event = event.withoutData()
		}
		out.Events = append(out.Events, event)
	}
	return out, nil
}

// StopExecution aborts an execution. One that has ended stays as it is.
func (e *Engine) StopExecution(in *sfn.StopExecutionInput) (StopExecutionOutput, error) {
	name, cause := aws.ToString(in.Error), aws.ToString(in.Cause)
	if err := checkFailure(name, cause); err != nil {
		return StopExecutionOutput{}, err
	}
	x, err := e.find(aws.ToString(in.ExecutionArn))
	if err != nil {
		return StopExecutionOutput{}, err
	}
	e.send(command{Do: "stop", Run: x.id, Status: StatusAborted, Error: name, Cause: cause})
	select {
	case <-x.ended:
	case <-e.done:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.status == StatusRunning {
		return StopExecutionOutput{}, e.alive()
	}
	return StopExecutionOutput{StopDate: x.stop}, nil
}

// SendTaskSuccess answers a token. Of several answers, and of an answer and the timeout, one wins; the others are told
// TaskTimedOut.
func (e *Engine) SendTaskSuccess(in *sfn.SendTaskSuccessInput) error {
	switch {
	case in.Output == nil:
		return missingMember("output")
	case len(*in.Output) > maxData:
		return apiErrorf("InvalidOutput", "Invalid Output: 'The output is larger than %d bytes'", maxData)
	case !json.Valid([]byte(*in.Output)):
		return apiErrorf("InvalidOutput", "Invalid Output: 'The output is not JSON'")
	}
	return e.answer(in.TaskToken, command{Data: in.Output})
}

// SendTaskFailure answers a token, as SendTaskSuccess does.
func (e *Engine) SendTaskFailure(in *sfn.SendTaskFailureInput) error {
	name, cause := aws.ToString(in.Error), aws.ToString(in.Cause)
	if err := checkFailure(name, cause); err != nil {
		return err
	}
	return e.answer(in.TaskToken, command{Error: name, Cause: cause})
}

// SendTaskHeartbeat reports whether a token is open. No task here has a heartbeat to miss.
func (e *Engine) SendTaskHeartbeat(in *sfn.SendTaskHeartbeatInput) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, err := e.openTask(in.TaskToken)
	return err
}

// answer has the bridge settle the task of a token, and waits to hear whether it was still open.
func (e *Engine) answer(token *string, c command) error {
	e.mu.Lock()
	t, err := e.openTask(token)
	if err != nil {
		e.mu.Unlock()
		return err
	}
	e.lastReply++
	reply := make(chan bool, 1)
	e.replies[e.lastReply] = reply
	c.Do, c.Task, c.Reply = "settle", t.id, e.lastReply
	e.send(c)
	e.mu.Unlock()

	accepted, ok := <-reply
	if !ok { // Node has ended
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.alive()
	}
	if !accepted {
		return errTaskTimedOut
	}
	return nil
}

var errTaskTimedOut = apiErrorf("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")

// openTask returns the task that waits for the token.
func (e *Engine) openTask(token *string) (*task, error) {
	if aws.ToString(token) == "" {
		return nil, missingMember("taskToken")
	}
	if err := e.alive(); err != nil {
		return nil, err
	}
	t := e.tokens[*token]
	if t == nil {
		return nil, apiErrorf("InvalidToken", "Invalid Token: 'Invalid token'")
	}
	if !t.open {
		return nil, errTaskTimedOut
	}
	return t, nil
}

// alive returns the error of all operations that need Node once it has ended.
func (e *Engine) alive() error {
	switch {
	case e.down != nil:
		return apiErrorf("InternalFailure", "%v", e.down)
	case e.closing:
		return apiErrorf("InternalFailure", "%v", errClosed)
	}
	return nil
}

func checkFailure(name, cause string) error {
	const tooLong = "1 validation error detected: Value at '%s' failed to satisfy constraint: " +
		"Member must have length less than or equal to %d"
	switch {
	case utf8.RuneCountInString(name) > maxError:
		return apiErrorf("ValidationException", tooLong, "error", maxError)
	case utf8.RuneCountInString(cause) > maxCause:
		return apiErrorf("ValidationException", tooLong, "cause", maxCause)
	}
	return nil
}

func (e *Engine) checkMachine(machine *string) error {
	switch arn := aws.ToString(machine); {
	case arn == e.config.ARN:
		return nil
	case arn == "":
		return missingMember("stateMachineArn")
	case !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, ":stateMachine:"):
		return apiErrorf("InvalidArn", "Invalid Arn: 'Invalid ARN: %s'", arn)
	default:
		return apiErrorf("StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", arn)
	}
}

var executionARN = regexp.MustCompile(`^arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:execution:[^:]+:[^:]+$`)

func (e *Engine) find(arn string) (*execution, error) {
	switch {
	case arn == "":
		return nil, missingMember("executionArn")
	case !executionARN.MatchString(arn):
		return nil, apiErrorf("InvalidArn", "Invalid Arn: 'Invalid ARN: %s'", arn)
	}
	if name, ok := strings.CutPrefix(arn, e.execution); ok {
		e.mu.Lock()
		defer e.mu.Unlock()
		if x := e.byName[name]; x != nil {
			return x, nil
		}
	}
	return nil, apiErrorf("ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", arn)
}

func pageSize(asked int32) (int, error) {
	switch {
	case asked < 0 || asked > maxPage:
		return 0, apiErrorf("ValidationException", "1 validation error detected: Value '%d' at 'maxResults' failed to "+
			"satisfy constraint: Member must have value between 0 and %d", asked, maxPage)
	case asked == 0:
		return defaultPage, nil
	}
	return int(asked), nil
}

// newToken says where the next page of a list begins. It is good for that list alone.
func newToken(list string, at int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", at, list))
}

// readToken returns where a page begins: at the token's place, from 1 to last, or first without a token.
func readToken(token *string, list string, first, last int) (int, error) {
	if aws.ToString(token) == "" {
		return first, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*token)
	number, of, _ := strings.Cut(string(text), " ")
	at, _ := strconv.Atoi(number) // 0 for what is not a number
	if err != nil || of != list || at < 1 || at > last {
		return 0, apiErrorf("InvalidToken", "Invalid Token: 'Invalid token'")
	}
	return at, nil
}
