package decision

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// How much a page of a list and of a whole history holds.
const (
	browsePage  = 50
	historyPage = 1000 // the API's maximum
)

// Execution is an execution of the state machine. Its texts may hold anything, task tokens
// aside: those are hidden.
type Execution struct {
	ARN     string
	Status  types.ExecutionStatus
	Started time.Time
	Stopped time.Time // zero while it runs

	// Of an execution that was opened, and not of one in a list.
	Input  string // JSON
	Output string // JSON, if it succeeded
	Error  string // if it failed or was stopped
	Cause  string
	Events []Event // its history, oldest first
	Trade  Trade   // the same in a person's words
}

// Name is the execution's name as it is, for a request. It may hold characters that must not be shown.
func (x Execution) Name() string { return x.ARN[strings.LastIndex(x.ARN, ":")+1:] }

// Event is an event of an execution's history. Each type has its own choice of fields.
type Event struct {
	ID         int64
	At         time.Time
	Type       string // such as TaskScheduled
	State      string // the name of the state that was entered or left
	Resource   string // of a task
	Input      string // JSON
	Parameters string // JSON, without the task token
	Output     string // JSON
	Error      string
	Cause      string
}

// Executions returns a page of the executions, newest first. The status, if not empty,
// chooses which; page is what the page before returned as next, and empty for the first.
func (d *Desk) Executions(ctx context.Context, status types.ExecutionStatus, page string) (list []Execution, next string, err error) {
	if err := d.lists.Wait(ctx); err != nil {
		return nil, "", explain(ctx, listExecutions, d.machine.ARN, err)
	}
	in := &sfn.ListExecutionsInput{StateMachineArn: aws.String(d.machine.ARN), StatusFilter: status, MaxResults: browsePage}
	if page != "" {
		in.NextToken = aws.String(page)
	}
	out, err := d.client.ListExecutions(ctx, in)
	if err != nil {
		return nil, "", explain(ctx, listExecutions, d.machine.ARN, err)
	}
	for _, item := range out.Executions {
		list = append(list, Execution{
			ARN: aws.ToString(item.ExecutionArn), Status: item.Status,
			Started: aws.ToTime(item.StartDate), Stopped: aws.ToTime(item.StopDate),
		})
	}
	return list, aws.ToString(out.NextToken), nil
}

// Open returns an execution, which is named by its ARN or its name, with its history.
func (d *Desk) Open(ctx context.Context, execution string) (Execution, error) {
	arn, err := d.machine.execution(execution)
	if err != nil {
		return Execution{}, err
	}
	out, err := d.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn)})
	if err != nil {
		return Execution{}, explain(ctx, describeExecution, arn, err)
	}
	x := Execution{
		ARN: arn, Status: out.Status, Started: aws.ToTime(out.StartDate), Stopped: aws.ToTime(out.StopDate),
		Input: aws.ToString(out.Input), Output: aws.ToString(out.Output), Error: aws.ToString(out.Error), Cause: aws.ToString(out.Cause),
	}
	history, err := d.wholeHistory(ctx, arn)
	if err != nil {
		return Execution{}, err
	}
	for _, e := range history {
		x.Events = append(x.Events, readEvent(e))
	}
	x.hideTokens()
	x.Trade = readTrade(arn, history)
	return x, nil
}

// Definition returns the state machine's definition, in Amazon States Language.
func (d *Desk) Definition(ctx context.Context) (string, error) {
	out, err := d.client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(d.machine.ARN)})
	if err != nil {
		return "", explain(ctx, describeStateMachine, d.machine.ARN, err)
	}
	return aws.ToString(out.Definition), nil
}

// wholeHistory returns all events of an execution, oldest first.
func (d *Desk) wholeHistory(ctx context.Context, execution string) ([]types.HistoryEvent, error) {
	var (
		all  []types.HistoryEvent
		next *string
	)
	for {
		if err := d.histories.Wait(ctx); err != nil {
			return nil, explain(ctx, getExecutionHistory, execution, err)
		}
		out, err := d.client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{
			ExecutionArn: aws.String(execution), MaxResults: historyPage, NextToken: next,
		})
		if err != nil {
			return nil, explain(ctx, getExecutionHistory, execution, err)
		}
		all = append(all, out.Events...)
		if next = out.NextToken; next == nil {
			return all, nil
		}
	}
}

// readEvent reads what a person wants to see from the one details field that an event has.
func readEvent(e types.HistoryEvent) Event {
	out := Event{ID: e.Id, At: aws.ToTime(e.Timestamp), Type: string(e.Type)}
	text := func(field *string, value *string) { *field = aws.ToString(value) }
	failed := func(name, cause *string) { text(&out.Error, name); text(&out.Cause, cause) }
	if d := e.ExecutionStartedEventDetails; d != nil {
		text(&out.Input, d.Input)
	}
	if d := e.ExecutionSucceededEventDetails; d != nil {
		text(&out.Output, d.Output)
	}
	if d := e.ExecutionFailedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.ExecutionAbortedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.ExecutionTimedOutEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.StateEnteredEventDetails; d != nil {
		text(&out.State, d.Name)
		text(&out.Input, d.Input)
	}
	if d := e.StateExitedEventDetails; d != nil {
		text(&out.State, d.Name)
		text(&out.Output, d.Output)
	}
	if d := e.TaskScheduledEventDetails; d != nil {
		text(&out.Resource, d.Resource)
		text(&out.Parameters, d.Parameters)
	}
	if d := e.TaskSubmittedEventDetails; d != nil {
		text(&out.Resource, d.Resource)
		text(&out.Output, d.Output)
	}
	if d := e.TaskSucceededEventDetails; d != nil {
		text(&out.Resource, d.Resource)
		text(&out.Output, d.Output)
	}
	if d := e.TaskFailedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.TaskTimedOutEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.TaskStartFailedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.TaskSubmitFailedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.LambdaFunctionScheduledEventDetails; d != nil {
		text(&out.Resource, d.Resource)
		text(&out.Input, d.Input)
	}
	if d := e.LambdaFunctionSucceededEventDetails; d != nil {
		text(&out.Output, d.Output)
	}
	if d := e.LambdaFunctionFailedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.LambdaFunctionTimedOutEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.LambdaFunctionScheduleFailedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.LambdaFunctionStartFailedEventDetails; d != nil {
		failed(d.Error, d.Cause)
	}
	if d := e.EvaluationFailedEventDetails; d != nil {
		text(&out.State, d.State)
		failed(d.Error, d.Cause)
	}
	return out
}
