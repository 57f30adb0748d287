// Package sfntest is the part of Step Functions that the desk calls, in memory, for tests.
package sfntest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	smithy "github.com/aws/smithy-go"
)

// The state machine that a Service has.
const (
	Machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:StockTrading"
	prefix  = "arn:aws:states:eu-west-1:123456789012:execution:StockTrading:"
)

// Arn returns the ARN of the execution with a name.
func Arn(name string) string { return prefix + name }

// Service is an API with executions. A hook, if set, stands in for a call, which it may
// make or not.
type Service struct {
	OnList    func(ctx context.Context, call func() (*sfn.ListExecutionsOutput, error)) (*sfn.ListExecutionsOutput, error)
	OnHistory func(ctx context.Context, executionARN string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error)
	OnSend    func(ctx context.Context, call func() error) error // of either answer
	OnStart   func(call func() *Execution) error                 // without it nothing follows the start

	Definition  string // of the state machine
	Deleting    bool   // the state machine is being deleted
	Undescribed error  // of DescribeStateMachine, if set

	// Page, if not 0, is the most that a page of a list or a history holds.
	Page int

	mu         sync.Mutex
	executions []*Execution
	calls      []string
}

// Execution is one execution of the state machine. Its history is what is appended to it.
type Execution struct {
	Name     string
	Input    string // {} if empty
	Error    string // of one that failed
	Cause    string
	Redrives int32

	service *Service
	start   time.Time
	events  []types.HistoryEvent
}

// Start adds an execution that has begun at a time.
func (s *Service) Start(name string, at time.Time) *Execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &Execution{Name: name, service: s, start: at}
	s.executions = append(s.executions, x)
	x.add(at, Event("ExecutionStarted"), Entered("Task", "Check Stock Price"), Event("LambdaFunctionScheduled"))
	return x
}

// Quote is the state data of a request in JSON.
func Quote(symbol string, price float64, qty int, recommended string) string {
	return fmt.Sprintf(`{"stock_price":%v,"market":"simulated","symbol":%s,"qty":%d,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z","recommended_type":%s}`,
		price, quote(symbol), qty, quote(recommended))
}

// RealQuote is Quote of a market that takes orders with a limit, "paper" or "live".
func RealQuote(market, symbol string, price float64, limit string, qty int, recommended string) string {
	return strings.Replace(Quote(symbol, price, qty, recommended), `,"market":"simulated"`, `,"limit_price":`+quote(limit)+`,"previous_close":1,"market":`+quote(market), 1)
}

// OldQuote is Quote as older versions made it, which don't say which market it is from.
func OldQuote(symbol string, price float64, qty int, recommended string) string {
	return strings.Replace(Quote(symbol, price, qty, recommended), `,"market":"simulated"`, "", 1)
}

// quote makes a text a string of JSON.
func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string can be marshaled
	}
	return string(text)
}

// Ask makes the execution send its request and wait for an answer with the token.
func (x *Execution) Ask(at time.Time, token, input string) *Execution {
	x.Append(at, Event("LambdaFunctionSucceeded"), Exited("Task", "Generate Buy/Sell recommendation"), Entered("Task", "Request Human Approval"))
	return x.Wait(at, token, input)
}

// Wait makes the execution wait for an answer to the token, for an hour.
func (x *Execution) Wait(at time.Time, token, input string) *Execution {
	parameters := fmt.Sprintf(`{"QueueUrl":"q","MessageBody":{"Input":%s,"TaskToken":%s,"Execution":%s,"EnteredTime":%q,"TimeoutSeconds":3600}}`,
		input, quote(token), quote(Arn(x.Name)), at.UTC().Format(time.RFC3339Nano))
	return x.Append(at, Scheduled("sendMessage.waitForTaskToken", parameters), Event("TaskStarted"), Event("TaskSubmitted"))
}

// Append adds events to the history.
func (x *Execution) Append(at time.Time, events ...types.HistoryEvent) *Execution {
	x.service.mu.Lock()
	defer x.service.mu.Unlock()
	x.add(at, events...)
	return x
}

func (x *Execution) add(at time.Time, events ...types.HistoryEvent) {
	for _, e := range events {
		e.PreviousEventId = int64(len(x.events))
		e.Id = e.PreviousEventId + 1
		e.Timestamp = aws.Time(at)
		x.events = append(x.events, e)
	}
}

// Event returns an event without details.
func Event(name string) types.HistoryEvent {
	return types.HistoryEvent{Type: types.HistoryEventType(name)}
}

// Entered returns the event of a state of some type that was entered.
func Entered(stateType, name string) types.HistoryEvent {
	e := Event(stateType + "StateEntered")
	e.StateEnteredEventDetails = &types.StateEnteredEventDetails{Name: aws.String(name)}
	return e
}

// Exited returns the event of a state of some type that was left.
func Exited(stateType, name string) types.HistoryEvent {
	e := Event(stateType + "StateExited")
	e.StateExitedEventDetails = &types.StateExitedEventDetails{Name: aws.String(name)}
	return e
}

// Scheduled returns the event of a task that calls a resource.
func Scheduled(resource, parameters string) types.HistoryEvent {
	e := Event("TaskScheduled")
	e.TaskScheduledEventDetails = &types.TaskScheduledEventDetails{
		Resource: aws.String(resource), Parameters: aws.String(parameters), TimeoutInSeconds: aws.Int64(3600),
	}
	return e
}

// Succeeded returns the event of a task that was answered with an output.
func Succeeded(output string) types.HistoryEvent {
	e := Event("TaskSucceeded")
	e.TaskSucceededEventDetails = &types.TaskSucceededEventDetails{Output: aws.String(output)}
	return e
}

// Failed returns the event of a task that was answered with an error.
func Failed(name, cause string) types.HistoryEvent {
	e := Event("TaskFailed")
	e.TaskFailedEventDetails = &types.TaskFailedEventDetails{Error: aws.String(name), Cause: aws.String(cause)}
	return e
}

// Calls returns the calls that came and begin with prefix: an operation's name, and for an
// answer its token and what it says.
func (s *Service) Calls(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(call string) bool { return !strings.HasPrefix(call, prefix) })
}

func (s *Service) called(parts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, strings.Join(parts, " "))
}

// ListExecutions lists the executions.
func (s *Service) ListExecutions(ctx context.Context, in *sfn.ListExecutionsInput, _ ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	s.called("ListExecutions")
	call := func() (*sfn.ListExecutionsOutput, error) { return s.list(in) }
	if s.OnList != nil {
		return s.OnList(ctx, call)
	}
	return call()
}

func (s *Service) list(in *sfn.ListExecutionsInput) (*sfn.ListExecutionsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if aws.ToString(in.StateMachineArn) != Machine {
		return nil, &types.StateMachineDoesNotExist{}
	}
	var all []types.ExecutionListItem
	for _, x := range slices.Backward(s.executions) { // the newest first, as on AWS
		if status := x.status(); in.StatusFilter == "" || status == in.StatusFilter {
			all = append(all, types.ExecutionListItem{ExecutionArn: aws.String(Arn(x.Name)), Name: aws.String(x.Name), StartDate: aws.Time(x.start), Status: status, RedriveCount: aws.Int32(x.Redrives)})
		}
	}
	page, next, err := paginate(all, in.NextToken, in.MaxResults, s.Page)
	return &sfn.ListExecutionsOutput{Executions: page, NextToken: next}, err
}

// status is what the last event says, if it is about the end.
func (x *Execution) status() types.ExecutionStatus {
	switch x.events[len(x.events)-1].Type {
	case types.HistoryEventTypeExecutionSucceeded:
		return types.ExecutionStatusSucceeded
	case types.HistoryEventTypeExecutionFailed:
		return types.ExecutionStatusFailed
	case types.HistoryEventTypeExecutionAborted:
		return types.ExecutionStatusAborted
	case types.HistoryEventTypeExecutionTimedOut:
		return types.ExecutionStatusTimedOut
	}
	return types.ExecutionStatusRunning
}

// DescribeExecution describes an execution.
func (s *Service) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	s.called("DescribeExecution")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.executions {
		if Arn(x.Name) == aws.ToString(in.ExecutionArn) {
			return &sfn.DescribeExecutionOutput{
				ExecutionArn: in.ExecutionArn, StateMachineArn: aws.String(Machine), Name: aws.String(x.Name),
				Status: x.status(), StartDate: aws.Time(x.start), Input: aws.String(cmp.Or(x.Input, "{}")),
				Error: aws.String(x.Error), Cause: aws.String(x.Cause),
			}, nil
		}
	}
	return nil, &types.ExecutionDoesNotExist{}
}

// StartExecution starts an execution.
func (s *Service) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	s.called("StartExecution", aws.ToString(in.Name), aws.ToString(in.Input))
	call := func() *Execution { return s.Start(aws.ToString(in.Name), time.Now()) }
	if s.OnStart == nil {
		call()
	} else if err := s.OnStart(call); err != nil {
		return nil, err
	}
	return &sfn.StartExecutionOutput{ExecutionArn: aws.String(Arn(aws.ToString(in.Name)))}, nil
}

// DescribeStateMachine describes the state machine.
func (s *Service) DescribeStateMachine(_ context.Context, in *sfn.DescribeStateMachineInput, _ ...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error) {
	s.called("DescribeStateMachine")
	if aws.ToString(in.StateMachineArn) != Machine {
		return nil, &types.StateMachineDoesNotExist{}
	}
	if s.Undescribed != nil {
		return nil, s.Undescribed
	}
	status := types.StateMachineStatusActive
	if s.Deleting {
		status = types.StateMachineStatusDeleting
	}
	return &sfn.DescribeStateMachineOutput{StateMachineArn: in.StateMachineArn, Definition: aws.String(s.Definition), Status: status}, nil
}

// GetExecutionHistory returns a page of an execution's history.
func (s *Service) GetExecutionHistory(ctx context.Context, in *sfn.GetExecutionHistoryInput, _ ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	s.called("GetExecutionHistory")
	call := func() (*sfn.GetExecutionHistoryOutput, error) { return s.history(in) }
	if s.OnHistory != nil {
		return s.OnHistory(ctx, aws.ToString(in.ExecutionArn), call)
	}
	return call()
}

func (s *Service) history(in *sfn.GetExecutionHistoryInput) (*sfn.GetExecutionHistoryOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.executions {
		if Arn(x.Name) != aws.ToString(in.ExecutionArn) {
			continue
		}
		events := slices.Clone(x.events)
		if in.ReverseOrder {
			slices.Reverse(events)
		}
		page, next, err := paginate(events, in.NextToken, in.MaxResults, s.Page)
		return &sfn.GetExecutionHistoryOutput{Events: page, NextToken: next}, err
	}
	return nil, &types.ExecutionDoesNotExist{}
}

func paginate[T any](all []T, token *string, asked int32, most int) (page []T, next *string, err error) {
	from := 0
	if token != nil {
		if from, err = strconv.Atoi(*token); err != nil {
			return nil, nil, &types.InvalidToken{}
		}
	}
	size := int(asked)
	if size == 0 {
		size = 100
	}
	if most > 0 {
		size = min(size, most)
	}
	to := min(from+size, len(all))
	if to < len(all) {
		next = aws.String(strconv.Itoa(to))
	}
	return all[from:to], next, nil
}

// SendTaskSuccess ends an open wait: the execution goes on as recommended.
func (s *Service) SendTaskSuccess(ctx context.Context, in *sfn.SendTaskSuccessInput, _ ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error) {
	token, output := aws.ToString(in.TaskToken), aws.ToString(in.Output)
	s.called("SendTaskSuccess", token, output)
	return &sfn.SendTaskSuccessOutput{}, s.send(ctx, token, Succeeded(output),
		Entered("Choice", "Buy or Sell?"), Exited("Choice", "Buy or Sell?"), Entered("Task", "Recommended Stock"))
}

// SendTaskFailure ends an open wait: the execution goes on as the error's name says.
func (s *Service) SendTaskFailure(ctx context.Context, in *sfn.SendTaskFailureInput, _ ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error) {
	token, name, cause := aws.ToString(in.TaskToken), aws.ToString(in.Error), aws.ToString(in.Cause)
	s.called("SendTaskFailure", token, name, cause)
	return &sfn.SendTaskFailureOutput{}, s.send(ctx, token, Failed(name, cause), map[string]types.HistoryEvent{
		"BuyInstead":    Entered("Task", "Buy Stock"),
		"SellInstead":   Entered("Task", "Sell Stock"),
		"TradeDeclined": Entered("Pass", "Trade Declined"),
	}[name])
}

func (s *Service) send(ctx context.Context, token string, e types.HistoryEvent, then ...types.HistoryEvent) error {
	call := func() error { return s.answer(token, e, then...) }
	if s.OnSend != nil {
		return s.OnSend(ctx, call)
	}
	return call()
}

func (s *Service) answer(token string, e types.HistoryEvent, then ...types.HistoryEvent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.executions {
		last := x.events[len(x.events)-1]
		if last.Type != "TaskSubmitted" {
			continue
		}
		scheduled := x.events[len(x.events)-3].TaskScheduledEventDetails
		if strings.Contains(*scheduled.Parameters, quote(token)) {
			x.add(time.Now(), append([]types.HistoryEvent{e, Exited("Task", "Request Human Approval")}, then...)...)
			return nil
		}
	}
	return &types.TaskTimedOut{Message: aws.String("Task Timed Out: 'Provided task does not exist anymore'")}
}

// Error returns an error of the API by its code.
func Error(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "a message of the service", Fault: smithy.FaultClient}
}
