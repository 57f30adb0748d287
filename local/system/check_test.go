package system_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/local/system"
)

// checker is the access key of an approver who may also start executions.
const checker = "checker"

// disturbance is what a check meets.
type disturbance struct {
	deny    string         // an action that the approvers' policy lacks
	history *regexp.Regexp // what is taken out of the histories
}

// startForCheck runs the stack of a configuration, for checks that are disturbed as now says.
func startForCheck(t *testing.T, context map[string]any, now *atomic.Pointer[disturbance]) *running {
	t.Helper()
	now.Store(&disturbance{})
	return start(t, context, func(c *system.Config) {
		c.Deny = func(holder, action, _ string) bool { return holder == "ApproverPolicy" && action == now.Load().deny }
		c.Endpoint = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions.")
				if operation != "StartExecution" {
					r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "="+checker+"/", "="+system.Approver+"/", 1))
				}
				hole := now.Load().history
				if operation != "GetExecutionHistory" || hole == nil {
					next.ServeHTTP(w, r)
					return
				}
				reply := httptest.NewRecorder()
				next.ServeHTTP(reply, r)
				maps.Copy(w.Header(), reply.Header())
				w.WriteHeader(reply.Code)
				w.Write(hole.ReplaceAll(reply.Body.Bytes(), nil))
			})
		}
	})
}

// check makes a check with an access key. It returns what is told, with what differs from
// run to run made the same, and the error at its end.
func (r *running) check(t *testing.T, key string) []string {
	t.Helper()
	machine, err := decision.ParseMachine(r.StateMachineARN())
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.AWSConfig(key)
	var told []string
	err = decision.New(decision.NewClient(cfg), machine, decision.Caller(cfg)).Check(t.Context(), func(ok bool, sentence string) {
		mark := "✗ "
		if ok {
			mark = "✓ "
		}
		told = append(told, mark+sentence)
	})
	if err != nil {
		told = append(told, err.Error())
	}
	for i, text := range told {
		text = regexp.MustCompile(`desk-check-[0-9TZ]+-[a-z0-9]+`).ReplaceAllString(text, "NAME")
		text = regexp.MustCompile(`[0-9]{4}-[0-9T:-]+Z`).ReplaceAllString(text, "TIME")
		text = regexp.MustCompile(`[0-9]{2}:[0-9]{2} UTC`).ReplaceAllString(text, "CLOCK")
		text = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(text, "ID")
		told[i] = strings.NewReplacer("execution:"+machine.ARN[strings.LastIndex(machine.ARN, ":")+1:], "EXECUTION", machine.ARN, "MACHINE").Replace(text)
	}
	return told
}

func TestCheck(t *testing.T) {
	const (
		harmless = "✓ The state machine says: Approval: human. Market: simulated."
		started  = "✓ Started NAME."
		asks     = "✓ It asks, and the history carries the request and the task token."
		listed   = "✓ It is in the list of running executions."
		decided  = "✓ You may decide, and the token was taken. Declined by approver at CLOCK: a check of the deployment. Nothing was traded."
		ended    = "✓ The execution succeeded."
		outcome  = "✓ The report's outcome is declined."
		message  = "✓ The topic took the report, and the history carries its message id: ID."
		untraded = "✓ Nothing was traded."

		refused = "✗ a check is for deployments where a person approves and no real money is traded, and this state machine says: "
		nothing = "the check failed, and nothing was started"
		stop    = `): decline it, stop it with "aws stepfunctions stop-execution --execution-arn arn:aws:states:us-east-1:123456789012:EXECUTION:NAME", or let it expire`
		policy  = ": ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it"
		noToken = "NAME asks, but the request can't be read: TaskToken is missing or no text"
		mayNot  = "you may not call states:SendTaskFailure on MACHINE" + policy
	)
	type test struct {
		name string
		key  string
		disturbance
		want []string
	}
	for _, deployment := range []struct {
		name    string
		context map[string]any
		tests   []test
	}{
		{"human", nil, []test{
			{name: "all works", key: checker, want: []string{harmless, started, asks, listed, decided, ended, outcome, message, untraded}},
			{name: "an approver", key: system.Approver, want: []string{
				harmless, "✗ you may not call states:StartExecution on MACHINE, which the stack's ApproverPolicy does not allow: let somebody run this who has that permission beside the policy", nothing,
			}},
			{name: "no token", key: checker, disturbance: disturbance{history: regexp.MustCompile(`\\"TaskToken\\":\\"[^"]*\\",`)}, want: []string{
				harmless, started, "✗ " + noToken, "the check failed, and NAME may still wait, because it can't be declined (" + noToken + stop,
			}},
			{name: "no message id", key: checker, disturbance: disturbance{history: regexp.MustCompile(`\\"MessageId\\":\\"[^"]*\\"`)}, want: []string{
				harmless, started, asks, listed, decided, ended, outcome, "✗ the history has no message id of a report: whether the topic took one is unknown", untraded, "the check failed; NAME waits for nobody",
			}},
			{name: "may not decide", key: checker, disturbance: disturbance{deny: "states:SendTaskFailure"}, want: []string{
				harmless, started, asks, listed, "✗ " + mayNot, "the check failed, and NAME may still wait, because it can't be declined (" + mayNot + stop,
			}},
			{name: "may not describe", key: checker, disturbance: disturbance{deny: "states:DescribeStateMachine"}, want: []string{
				"✗ you may not call states:DescribeStateMachine on MACHINE" + policy, nothing,
			}},
		}},
		{"four eyes", map[string]any{"fourEyes": "true"}, []test{
			{name: "an approver", key: system.Approver, want: []string{
				harmless, "✗ you may not call states:StartExecution on MACHINE, because a policy denies it: with fourEyes=true, who approves may not start; let an administrator run this, without the stack's ApproverPolicy", nothing,
			}},
		}},
		{"automatic", map[string]any{"approval": "automatic"}, []test{
			{name: "refused", key: checker, want: []string{refused + "Approval: automatic. Market: simulated.", nothing}},
		}},
		{"live", map[string]any{"market": "alpaca", "marketMode": "live", "marketSecret": marketSecret}, []test{
			{name: "refused", key: checker, want: []string{refused + "Approval: human. Market: live.", nothing}},
		}},
	} {
		t.Run(deployment.name, func(t *testing.T) {
			var now atomic.Pointer[disturbance]
			r := startForCheck(t, deployment.context, &now)
			for _, test := range deployment.tests {
				t.Run(test.name, func(t *testing.T) {
					now.Store(&test.disturbance)
					told := r.check(t, test.key)
					now.Store(&disturbance{})
					if diff := cmp.Diff(test.want, told); diff != "" {
						t.Errorf("told (-want +got):\n%s", diff)
					}
					waits, err := r.desk.List(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if left := strings.Contains(told[len(told)-1], "may still wait"); (len(waits) > 0) != left {
						t.Errorf("%d wait afterwards, and it was told that one may: %v", len(waits), left)
					}
					for _, w := range waits {
						r.Engine().StopExecution(&sfn.StopExecutionInput{ExecutionArn: &w.Execution})
					}
				})
			}
		})
	}
}
