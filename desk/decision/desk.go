// Package decision is the desk: it finds the executions that wait for a person, shows
// what each asks and sends the answer. It is a client of the Step Functions API, on AWS
// and on the local run alike, and has the rights of whoever runs it. The task token goes
// from an execution's history into the answer and nowhere else.
package decision

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"stocktrading/lambdas/trading"
)

// Client is what the desk calls of the Step Functions API. NewClient makes one.
type Client interface {
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
	GetExecutionHistory(context.Context, *sfn.GetExecutionHistoryInput, ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	DescribeStateMachine(context.Context, *sfn.DescribeStateMachineInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error)
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
	SendTaskFailure(context.Context, *sfn.SendTaskFailureInput, ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error)
}

// The API's token buckets belong to the account and region, so the console, colleagues
// and scripts draw from them too. The desk takes half of the smallest published ones:
// GetExecutionHistory has 400 and 20 a second, ListExecutions 100 and 2 a second (more in
// some regions). See "Quotas related to API action throttling" in the service's guide.
const (
	historyBurst, historyRate = 200, 10
	listBurst, listRate       = 50, 1
)

const (
	readers   = 16   // histories read at once
	listPage  = 1000 // executions in a page, the API's maximum
	glance    = 10   // events in a page when an open wait is within the newest few
	wholePage = 100  // events in a page when the answer may lie further back
)

// Desk decides about the executions of one state machine. Its methods may be called from
// any goroutine; their errors are sentences for a person.
type Desk struct {
	// Progress, if set, is told how many of the running executions List has read. It is
	// called by one goroutine at a time.
	Progress func(done, total int)

	client    Client
	machine   Machine
	who       func(context.Context) (string, error)
	histories *rate.Limiter
	lists     *rate.Limiter
}

// New returns a desk for the executions of machine. An answer says who gave it: what who
// returns, which the desk asks for each decision.
func New(client Client, machine Machine, who func(context.Context) (string, error)) *Desk {
	return &Desk{
		client:    client,
		machine:   machine,
		who:       who,
		histories: rate.NewLimiter(historyRate, historyBurst),
		lists:     rate.NewLimiter(listRate, listBurst),
	}
}

// List returns what waits for a decision, oldest first. An execution that is busy with
// something else is left out; one whose request can't be read is there, with a Problem.
func (d *Desk) List(ctx context.Context) ([]Wait, error) {
	running, err := d.running(ctx)
	if err != nil {
		return nil, err
	}
	var (
		mu    sync.Mutex
		done  int
		waits []Wait
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, execution := range running {
		group.Go(func() error {
			w, open, err := d.glance(ctx, execution)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if open {
				waits = append(waits, w)
			}
			done++
			if d.Progress != nil {
				d.Progress(done, len(running))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(waits, byAge)
	return waits, nil
}

// running lists the executions that have not ended.
func (d *Desk) running(ctx context.Context) ([]types.ExecutionListItem, error) {
	var (
		all  []types.ExecutionListItem
		seen = map[string]bool{} // what moves while pages are turned may come twice
		next *string
	)
	for {
		if err := d.lists.Wait(ctx); err != nil {
			return nil, explain(ctx, listExecutions, d.machine.ARN, err)
		}
		page, err := d.client.ListExecutions(ctx, &sfn.ListExecutionsInput{
			StateMachineArn: aws.String(d.machine.ARN),
			StatusFilter:    types.ExecutionStatusRunning,
			MaxResults:      listPage,
			NextToken:       next,
		})
		if err != nil {
			return nil, explain(ctx, listExecutions, d.machine.ARN, err)
		}
		for _, execution := range page.Executions {
			if arn := aws.ToString(execution.ExecutionArn); !seen[arn] {
				seen[arn] = true
				all = append(all, execution)
			}
		}
		if next = page.NextToken; next == nil {
			return all, nil
		}
	}
}

// glance tells whether a running execution waits, by the few newest events of its history.
func (d *Desk) glance(ctx context.Context, execution types.ExecutionListItem) (w Wait, open bool, err error) {
	arn := aws.ToString(execution.ExecutionArn)
	t, err := d.history(ctx, arn, glance, func(e types.HistoryEvent) bool { return asks(e) || closes(e) })
	switch {
	case errors.Is(err, errThisExecution):
		return Wait{Execution: arn, Since: aws.ToTime(execution.StartDate), Problem: err.Error()}, true, nil
	case err != nil:
		return Wait{}, false, err
	case t.found == nil || !asks(*t.found):
		return Wait{}, false, nil
	}
	return readWait(arn, *t.found), true, nil
}

// Find returns the open wait of an execution, which is named by its ARN or its name. The
// error of one that waits no longer is ErrGone, that of one that does not wait yet ErrNotYet.
func (d *Desk) Find(ctx context.Context, execution string) (Wait, error) {
	arn, err := d.machine.execution(execution)
	if err != nil {
		return Wait{}, err
	}
	t, err := d.history(ctx, arn, wholePage, asks)
	if errors.Is(err, ErrNoExecution) {
		if arn = d.lookalike(ctx, arn); arn == "" {
			return Wait{}, err
		}
		t, err = d.history(ctx, arn, wholePage, asks)
	}
	if err != nil {
		return Wait{}, err
	}
	if t.found == nil {
		return Wait{}, t.notYet(arn)
	}
	if r, over := t.record(); over {
		return Wait{}, gone(arn, "nothing was sent", r)
	}
	return readWait(arn, *t.found), nil
}

// lookalike returns the one running execution that is shown as arn is. A name may hold
// characters that no terminal and no notice shows, and what is shown is all that a person
// can type.
func (d *Desk) lookalike(ctx context.Context, arn string) string {
	running, err := d.running(ctx)
	if err != nil {
		return ""
	}
	var found []string
	for _, execution := range running {
		candidate := aws.ToString(execution.ExecutionArn)
		if trading.OneLine(candidate, maxARN) == trading.OneLine(arn, maxARN) {
			found = append(found, candidate)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

func byAge(a, b Wait) int {
	if c := a.Since.Compare(b.Since); c != 0 {
		return c
	}
	return strings.Compare(a.Execution, b.Execution)
}

// pause waits, or returns false when the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// stamp writes a time as the notices do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
