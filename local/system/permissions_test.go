package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stocktrading/desk/decision"
	"stocktrading/local/assembly"
	"stocktrading/local/system"
)

// permission is one action that a role or the approvers' policy has on one resource.
type permission struct{ holder, action, resource string }

// permissions lists those of the resolved template, writing logs aside: the local run
// has no log service that could refuse.
func permissions(t *testing.T, stack *assembly.Stack) (list []permission) {
	t.Helper()
	add := func(r assembly.Resource, document any) {
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		var policy struct {
			Statement []struct{ Action, Resource any }
		}
		if err := json.Unmarshal(text, &policy); err != nil {
			t.Fatal(err)
		}
		for _, s := range policy.Statement {
			actions, many := s.Action.([]any)
			if !many {
				actions = []any{s.Action}
			}
			for _, action := range actions {
				if !strings.HasPrefix(action.(string), "logs:") {
					list = append(list, permission{strings.Split(r.ConstructPath, "/")[1], action.(string), s.Resource.(string)})
				}
			}
		}
	}
	for _, r := range stack.ByType("AWS::IAM::Role") {
		for _, p := range r.Properties["Policies"].([]any) {
			add(r, p.(map[string]any)["PolicyDocument"])
		}
	}
	for _, r := range stack.ByType("AWS::IAM::ManagedPolicy") {
		add(r, r.Properties["PolicyDocument"])
	}
	return list
}

// The roles and the approvers' policy allow what a tour through the system needs, and
// nothing that it does not: with any one action taken away some run fails, as AWS would
// fail it.
func TestAblation(t *testing.T) {
	for _, configuration := range []map[string]any{{"approval": "human"}, {"approval": "automatic"}} {
		t.Run(fmt.Sprint(configuration["approval"]), func(t *testing.T) {
			var taken atomic.Pointer[permission]
			r := start(t, configuration, func(c *system.Config) {
				c.Deny = func(holder, action, resource string) bool {
					p := taken.Load()
					return p != nil && holder == p.holder && action == p.action && (resource == p.resource || strings.HasSuffix(p.resource, "*"))
				}
			})
			human := configuration["approval"] == "human"
			if denied := r.tour(t, human, permission{}); len(denied) > 0 {
				t.Fatalf("with every permission there is still denied: %q", denied)
			}
			for _, p := range permissions(t, r.Stack()) {
				if configuration["approval"] == "automatic" && p.holder != "RequestHumanApprovalRole" {
					continue // only this role differs; nobody is asked, and chance alone chooses the way
				}
				t.Run(p.holder+" "+p.action+" "+p.resource[strings.LastIndex(p.resource, ":")+1:], func(t *testing.T) {
					taken.Store(&p)
					denied := r.tour(t, human, p)
					taken.Store(nil)
					if len(denied) == 0 {
						t.Error("nothing failed without it: nothing uses it")
					}
				})
			}
		})
	}
}

// With four eyes an approver may not start an execution, whatever other policies they have,
// and may decide as before. Without, such a policy counts.
func TestFourEyes(t *testing.T) {
	for _, test := range []struct{ fourEyes, denied string }{
		{"true", " on resource: ARN with an explicit deny in an identity-based policy"},
		{"false", ""},
	} {
		t.Run(test.fourEyes, func(t *testing.T) {
			r := start(t, map[string]any{"fourEyes": test.fourEyes}, nil)
			approver := sfn.NewFromConfig(r.AWSConfig(system.Approver))
			arn := r.StateMachineARN()
			r.AlsoAllow("states:*", "*")
			_, err := approver.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &arn})
			if want := strings.ReplaceAll(test.denied, "ARN", arn); (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("with another policy that allows it: %v, want %q", err, want)
			}
			wait := r.waiting(t, r.startExecution(t, `{}`))
			if _, err := r.desk.Decide(t.Context(), wait, decision.Decline, ""); err != nil {
				t.Errorf("decide: %v", err)
			}
		})
	}
}

// tour has executions go every way, each by the answer that leads there, and returns
// what was denied on the way for want of a permission (of any, if it is empty), at which
// it ends.
func (r *running) tour(t *testing.T, human bool, p permission) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, desk := r.newDenials(p), r.newDesk(t)
	_, err := desk.List(ctx)
	d.note(err)
	_, err = desk.Definition(ctx)
	d.note(err)
	answers := []decision.Answer{decision.Approve, decision.Buy, decision.Sell, decision.Decline}
	var ended sync.WaitGroup
	for _, answer := range answers {
		arn := r.startExecution(t, `{}`)
		ended.Go(func() {
			for human && ctx.Err() == nil {
				wait, err := desk.Find(ctx, arn)
				if err == nil {
					_, err = desk.Decide(t.Context(), wait, answer, "") // the end of a tour must not cut an answer off: the desk would look for it
				}
				if err == nil {
					break
				}
				d.note(err)
				time.Sleep(25 * time.Millisecond)
			}
			_, err := desk.Open(ctx, arn)
			d.note(err)
			r.Engine().Wait(ctx, arn)
			r.Engine().StopExecution(&sfn.StopExecutionInput{ExecutionArn: &arn}) // if it was left waiting
		})
	}
	all := make(chan struct{})
	go func() { ended.Wait(); close(all) }()
	for finished := false; !finished && len(d.seen()) == 0; time.Sleep(2 * time.Millisecond) {
		select {
		case <-all:
			finished = d.notices() >= len(answers)
		case <-ctx.Done():
			t.Error("neither came to an end nor was denied")
			finished = true
		default:
		}
	}
	cancel()
	<-all
	queue := r.Stack().ByType("AWS::SQS::Queue")[0].Ref
	if _, err := sqs.NewFromConfig(r.AWSConfig("developer")).PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &queue}); err != nil {
		t.Fatal(err) // what a missing permission left there would be served in the next tour
	}
	return d.seen()
}

// denials are found in what came out of the system since a moment.
type denials struct {
	r                    *running
	of                   permission
	firstEvent, firstLog int

	mu   sync.Mutex
	desk []string
}

func (r *running) newDenials(p permission) *denials {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &denials{r: r, of: p, firstEvent: len(r.events), firstLog: len(r.logs)}
}

// note takes an error of the desk, which says whose permission is missing.
func (d *denials) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && strings.Contains(err.Error(), "ApproverPolicy") && strings.Contains(err.Error(), d.of.action) {
		d.desk = append(d.desk, err.Error())
	}
}

func (d *denials) seen() []string {
	d.mu.Lock()
	found := slices.Clone(d.desk)
	d.mu.Unlock()
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	sought := "is not authorized to perform: "
	if d.of.action != "" { // what an earlier tour left behind may still be denied something else
		sought += d.of.action + " on resource: " + d.of.resource
	}
	add := func(text string) {
		if strings.Contains(text, sought) {
			found = append(found, text)
		}
	}
	for _, e := range d.r.events[d.firstEvent:] {
		add(e.Details.Cause)
	}
	for _, line := range d.r.logs[d.firstLog:] {
		add(line)
	}
	return found
}

func (d *denials) notices() int {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	return strings.Count(strings.Join(d.r.logs[d.firstLog:], "\n"), "notice published")
}
