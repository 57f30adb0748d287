package teststate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stocktrading/local/localtest"
	"stocktrading/local/setup"
	"stocktrading/local/states"
)

const machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:StockTrading"

// definition has a state of each type that the workflow uses, and names of its states that mocks depend on.
const definition = `{"StartAt":"Check Stock Price","States":{
	"Check Stock Price":{"Type":"Task","Resource":"arn:aws:lambda:eu-west-1:123456789012:function:Check","Next":"Generate Buy/Sell recommendation"},
	"Generate Buy/Sell recommendation":{"Type":"Task","Resource":"arn:aws:lambda:eu-west-1:123456789012:function:Generate","ResultPath":"$.recommended_type",
		"Retry":[{"ErrorEquals":["States.ALL"],"MaxAttempts":2}],"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.failure","Next":"Failed"}],"Next":"Ask"},
	"Ask":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.waitForTaskToken","ResultPath":null,
		"Parameters":{"QueueUrl":"q","MessageBody":{"TaskToken.$":"$$.Task.Token"}},
		"Catch":[{"ErrorEquals":["No","Never"],"ResultPath":"$.decision","Next":"Named"}],"Next":"Buy?"},
	"Buy?":{"Type":"Choice","Choices":[{"Variable":"$.recommended_type","StringEquals":"buy","Next":"Named"}],"Default":"Failed"},
	"Named":{"Type":"Pass","Parameters":{"name.$":"$$.Execution.Name"},"End":true},
	"Failed":{"Type":"Fail","Error":"Broken","CausePath":"States.Format('{}', $.symbol)"}}}`

// interpreter answers TestState as AWS documents it, by an engine whose executions begin with the state that they are
// named after. It may lie about one.
type interpreter struct {
	engine *states.Engine
	asked  []sfn.TestStateInput
	lie    func(in *sfn.TestStateInput, out *sfn.TestStateOutput) error
}

func (i *interpreter) TestState(ctx context.Context, in *sfn.TestStateInput, _ ...func(*sfn.Options)) (*sfn.TestStateOutput, error) {
	i.asked = append(i.asked, *in)
	arn, err := i.engine.StartExecution(lettersOf(*in.StateName)+uuid.NewString(), []byte(*in.Input))
	if err != nil {
		return nil, err
	}
	x, err := i.engine.Wait(ctx, arn)
	if err != nil {
		return nil, err
	}
	h, err := i.engine.GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	if err != nil {
		return nil, err
	}
	out := &sfn.TestStateOutput{Status: types.TestExecutionStatusFailed, Error: aws.String(x.Error), Cause: aws.String(x.Cause)}
	for n, event := range h.Events {
		if strings.HasSuffix(event.Type, "StateExited") && event.Details.Name == *in.StateName {
			out = &sfn.TestStateOutput{Status: types.TestExecutionStatusSucceeded, Output: aws.String(event.Details.Output)}
			if in.Mock != nil && in.Mock.ErrorOutput != nil {
				out.Status, out.Error = types.TestExecutionStatusCaughtError, in.Mock.ErrorOutput.Error
			}
			if next := h.Events[n+1].Details.Name; next != "" {
				out.NextState = aws.String(next)
			}
			break
		}
	}
	if i.lie != nil {
		err = i.lie(in, out)
	}
	return out, err
}

// lettersOf are what an execution's name may have of a state's, and a hyphen.
func lettersOf(state string) string {
	return regexp.MustCompile(`\W`).ReplaceAllString(state, "") + "-"
}

func startHere(t *testing.T, text string) *local {
	t.Helper()
	localtest.Look(t, "local/states")
	l, err := start(t.Context(), machine, text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.engine.Close() })
	return l
}

func newInterpreter(t *testing.T) *interpreter {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(definition), &d); err != nil {
		t.Fatal(err)
	}
	var choices []map[string]string
	all := d["States"].(map[string]any)
	for name := range all {
		choices = append(choices, map[string]string{"Variable": "$$.Execution.Name", "StringMatches": lettersOf(name) + "*", "Next": name})
	}
	slices.SortFunc(choices, func(a, b map[string]string) int { return strings.Compare(a["Next"], b["Next"]) }) // one text, validated once
	all["Begin"], d["StartAt"] = map[string]any{"Type": "Choice", "Choices": choices}, "Begin"
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	root := localtest.Look(t, "local/states")
	valid, err := setup.Project{Root: root}.Interpreter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := &interpreter{}
	i.engine, err = states.Start(t.Context(), states.Config{
		Node: "node", Dir: "../../local/states", Valid: valid, Definition: text, ARN: machine, Name: "StockTrading", RetryInterval: time.Millisecond,
		Run: func(_ context.Context, task states.Task) (json.RawMessage, error) {
			mock := i.asked[len(i.asked)-1].Mock // which the states behind the one that is asked for get, too
			switch failure := mock.ErrorOutput; {
			case task.Token != "" && failure != nil:
				return nil, i.engine.SendTaskFailure(&sfn.SendTaskFailureInput{TaskToken: &task.Token, Error: failure.Error, Cause: failure.Cause})
			case task.Token != "":
				return nil, i.engine.SendTaskSuccess(&sfn.SendTaskSuccessInput{TaskToken: &task.Token, Output: mock.Result})
			case failure != nil:
				return nil, &states.Error{Name: *failure.Error, Cause: *failure.Cause}
			}
			return json.RawMessage(*mock.Result), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.engine.Close() })
	return i
}

func TestCompare(t *testing.T) {
	i, here := newInterpreter(t), startHere(t, definition)
	begun := 0
	compare := func() (Result, error) {
		i.asked = nil
		return here.compare(t.Context(), i, func(steps int) { begun = steps })
	}
	t.Run("agrees", func(t *testing.T) {
		result, err := compare()
		if err != nil || len(result.Differences) > 0 {
			t.Fatalf("got %+v, %v", result, err)
		}
		// Three recommendations, and three errors that are caught.
		if result.Paths != 6 || result.Steps != begun || result.Steps != len(i.asked) {
			t.Errorf("%d paths, %d steps, %d announced, %d taken", result.Paths, result.Steps, begun, len(i.asked))
		}
		taken := map[string]int{}
		for _, in := range i.asked {
			step := *in.StateName
			if in.Mock != nil && in.Mock.ErrorOutput != nil {
				step += " " + *in.Mock.ErrorOutput.Error
			}
			taken[step]++
			if (in.Mock == nil) != (in.Context == nil) || in.RoleArn != nil {
				t.Errorf("%s: mock %v, context %v, role %v", step, in.Mock, in.Context, in.RoleArn)
			}
			if in.Context != nil && strings.Contains(*in.Context, `"Token"`) != (*in.StateName == "Ask") {
				t.Errorf("%s: context %s", step, *in.Context)
			}
			if retried := in.StateConfiguration != nil; retried != (step == "Generate Buy/Sell recommendation Unexpected") {
				t.Errorf("%s: configured with %v", step, in.StateConfiguration)
			} else if retried && *in.StateConfiguration.RetrierRetryCount != 2 {
				t.Errorf("%d retries", *in.StateConfiguration.RetrierRetryCount)
			}
		}
		want := map[string]int{
			"Check Stock Price": 1, "Generate Buy/Sell recommendation": 3, "Generate Buy/Sell recommendation Unexpected": 1,
			"Ask": 3, "Ask No": 1, "Ask Never": 1, "Buy?": 3, "Named": 3, "Failed": 3,
		}
		if diff := cmp.Diff(want, taken); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})

	for _, test := range []struct {
		name, state string
		lie         func(out *sfn.TestStateOutput) error
		want        string // the difference
		err         error
	}{
		{"status", "Named", func(out *sfn.TestStateOutput) error { out.Status = "FAILED"; return nil }, `the status is "FAILED" on AWS and "SUCCEEDED" here`, nil},
		{"next state", "Buy?", func(out *sfn.TestStateOutput) error { out.NextState = aws.String("Ask"); return nil }, `the next state is "Ask" on AWS and "`, nil},
		{"cause", "Failed", func(out *sfn.TestStateOutput) error { out.Cause = nil; return nil }, `the cause is "" on AWS and "AMZN" here`, nil},
		{"output", "Check Stock Price", func(out *sfn.TestStateOutput) error { out.Output = aws.String(`{}`); return nil }, `the output is {} on AWS and {"stock_price":30`, nil},
		{"the same in another order", "Buy?", func(out *sfn.TestStateOutput) error { out.Output = aws.String(" " + *out.Output); return nil }, "", nil},
		{"a name of an execution", "Named", func(out *sfn.TestStateOutput) error { out.Output = aws.String(`{"name":"another"}`); return nil }, "", nil},
		{"no permission", "Ask", func(*sfn.TestStateOutput) error { return &smithy.GenericAPIError{Code: "AccessDeniedException"} }, "", ErrSkipped},
		{"no such API", "Ask", func(*sfn.TestStateOutput) error { return &smithy.GenericAPIError{Code: "UnknownOperationException"} }, "", ErrSkipped},
		{"no connection", "Ask", func(*sfn.TestStateOutput) error { return os.ErrDeadlineExceeded }, "", os.ErrDeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			i.lie = func(in *sfn.TestStateInput, out *sfn.TestStateOutput) error {
				if *in.StateName == test.state {
					return test.lie(out)
				}
				return nil
			}
			result, err := compare()
			if !errors.Is(err, test.err) {
				t.Fatalf("got error %v, want %v", err, test.err)
			}
			switch {
			case test.err != nil:
			case test.want == "" && len(result.Differences) > 0, test.want != "" && len(result.Differences) == 0:
				t.Errorf("differences %q, want %q", result.Differences, test.want)
			case test.want != "" && !strings.Contains(result.Differences[0], test.state+": "+test.want):
				t.Errorf("difference %q, want %q", result.Differences[0], test.want)
			}
		})
	}
}

// An endpoint of one's own, such as the local run's, is asked under its own name, and need not have the API.
func TestCompareAtAnEndpoint(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-ErrorType", "UnknownOperationException")
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	client := sfn.New(sfn.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	if _, err := Compare(t.Context(), client, machine, definition, func(int) {}); !errors.Is(err, ErrSkipped) {
		t.Errorf("got %v", err)
	}
}

func TestCompareNeedsADefinition(t *testing.T) {
	_, err := Compare(t.Context(), nil, machine, `{"StartAt":"A","States":{"A":{"Type":"Fail","CausePath":"States.Nothing()"}}}`, nil)
	if err == nil || errors.Is(err, ErrSkipped) || !strings.Contains(err.Error(), "run the definition here") {
		t.Errorf("got %v", err)
	}
}

// Every state of the workflow is on a path.
func TestPathsOfTheWorkflow(t *testing.T) {
	text, err := os.ReadFile("../../stacks/stock_trading.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	workflow := regexp.MustCompile(`"Resource": "\$\{(\w+)\}"`).ReplaceAllString(string(text), `"Resource": "arn:aws:lambda:eu-west-1:123456789012:function:$1"`)
	workflow = regexp.MustCompile(`"\$\{\w+Seconds\}"`).ReplaceAllString(workflow, "3600")
	workflow = regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllString(workflow, "$1")
	l := startHere(t, workflow)
	_, steps, err := l.explore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, s := range steps {
		taken[s.state] = true
		if s.want.Status == "" || s.want.Status == types.TestExecutionStatusFailed && aws.ToString(s.want.Error) == "States.Runtime" {
			t.Errorf("%s ends as %+v", s, s.want)
		}
	}
	for name := range l.states {
		if !taken[name] {
			t.Errorf("no path comes to %s", name)
		}
	}
}
