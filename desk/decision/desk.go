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

// decideReserve is how many history calls List leaves for a decision when it looks again at
// what it remembers.
const decideReserve = 50

const (
	readers   = 16   // histories read at once
	listPage  = 1000 // executions in a page, the API's maximum
	glance    = 10   // events in a page when an open wait is within the newest few
	wholePage = 100  // events in a page when the answer may lie further back
)

// Desk decides about the executions of one state machine. Its methods may be called from
// any goroutine; their errors are sentences for a person.
type Desk struct {
	// Progress, if set, is told how many of the running executions List has read or
	// remembers. It is called by one goroutine at a time.
	Progress func(done, total int)

	client    Client
	machine   Machine
	who       func(context.Context) (string, error)
	histories *rate.Limiter
	lists     *rate.Limiter

	listing sync.Mutex // one List at a time
	mu      sync.Mutex
	seen    map[string]sight      // what waits, by the execution's ARN
	over    map[string]remembered // what is over, by the same
}

// sight is what List has seen of an execution that waits.
type sight struct {
	wait     Wait
	redrives int32     // of the execution; each begins another wait
	at       time.Time // when the history was read
	lasting  bool      // the request is on the queue: what it shows stays as it is while the wait is open
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
		seen:      map[string]sight{},
		over:      map[string]remembered{},
	}
}

// List returns what waits for a decision, oldest first. An execution that is busy with
// something else is left out; one whose request can't be read is there, with a Problem.
//
// A wait shows the same as long as it is open, so a later List reads the history of what
// is new alone, and again of as many others as AWS allows without delay, the least recently
// read first. Until then it may still show a wait that somebody else has
// answered, if its execution is still running. Decide reads the history in any case.
func (d *Desk) List(ctx context.Context) ([]Wait, error) {
	d.listing.Lock()
	defer d.listing.Unlock()
	running, err := d.running(ctx)
	if err != nil {
		return nil, err
	}
	unread, seen := d.divide(running)
	var (
		mu   sync.Mutex
		done = len(seen)
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, execution := range unread {
		group.Go(func() error {
			if err := d.look(ctx, execution); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			if d.Progress != nil {
				d.Progress(done, len(running))
			}
			return nil
		})
	}
	for _, execution := range seen {
		if d.histories.Tokens() < decideReserve {
			break
		}
		group.Go(func() error { return d.look(ctx, execution) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return d.Seen(), nil
}

// divide forgets what does not run, and returns the executions whose history must be read
// and those that are remembered, the least recently read first.
func (d *Desk) divide(running []types.ExecutionListItem) (unread, seen []types.ExecutionListItem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	runs := map[string]sight{}
	for _, execution := range running {
		s, ok := d.seen[aws.ToString(execution.ExecutionArn)]
		expired := !s.wait.Deadline.IsZero() && !time.Now().Before(s.wait.Deadline)
		if !ok || !s.lasting || expired || s.redrives != aws.ToInt32(execution.RedriveCount) {
			unread = append(unread, execution)
			continue
		}
		runs[s.wait.Execution] = s
		seen = append(seen, execution)
	}
	d.seen = runs
	slices.SortStableFunc(seen, func(a, b types.ExecutionListItem) int {
		return runs[*a.ExecutionArn].at.Compare(runs[*b.ExecutionArn].at)
	})
	return unread, seen
}

// look reads whether an execution waits, and remembers it.
func (d *Desk) look(ctx context.Context, execution types.ExecutionListItem) error {
	s, open, err := d.glance(ctx, execution)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if open {
		d.seen[s.wait.Execution] = s
	} else {
		delete(d.seen, aws.ToString(execution.ExecutionArn))
	}
	return nil
}

// forget makes the next List read an execution's history.
func (d *Desk) forget(execution string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, execution)
}

// Seen returns what List has found so far or remembers, oldest first.
func (d *Desk) Seen() []Wait {
	d.mu.Lock()
	defer d.mu.Unlock()
	var waits []Wait
	for _, s := range d.seen {
		waits = append(waits, s.wait)
	}
	slices.SortFunc(waits, byAge)
	return waits
}

// running lists the executions that have not ended.
func (d *Desk) running(ctx context.Context) ([]types.ExecutionListItem, error) {
	var (
		all  []types.ExecutionListItem
		seen = map[string]bool{} // an execution can appear on two pages if the list changes meanwhile
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

// glance reports whether a running execution waits, by the few newest events of its history.
func (d *Desk) glance(ctx context.Context, execution types.ExecutionListItem) (s sight, open bool, err error) {
	arn := aws.ToString(execution.ExecutionArn)
	s = sight{redrives: aws.ToInt32(execution.RedriveCount), at: time.Now()}
	t, err := d.history(ctx, arn, glance, func(e types.HistoryEvent) bool { return asks(e) || closes(e) })
	switch {
	case errors.Is(err, errThisExecution):
		s.wait = Wait{Execution: arn, Since: aws.ToTime(execution.StartDate), Problem: err.Error()}
		return s, true, nil
	case err != nil:
		return sight{}, false, err
	case t.found == nil || !asks(*t.found):
		return sight{}, false, nil
	}
	s.wait = readWait(arn, *t.found)
	s.lasting = slices.ContainsFunc(t.after, func(e types.HistoryEvent) bool { return e.Type == types.HistoryEventTypeTaskSubmitted })
	return s, true, nil
}

// Find returns the open wait of an execution, which is named by its ARN or its name. Its
// error is ErrGone if the execution no longer waits, and ErrNotYet if it does not wait yet.
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
		d.forget(arn)
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
