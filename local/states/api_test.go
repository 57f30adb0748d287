package states

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// serve returns the AWS SDK's client of an engine, and its address.
func serve(t *testing.T, e *Engine) (*sfn.Client, string) {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return sfn.New(sfn.Options{
		BaseEndpoint:     aws.String(server.URL),
		Region:           "eu-west-1",
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}), server.URL
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return out
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	tokens := make(sender, 1)
	definition := oneTask(wait, `"TimeoutSeconds":60,`+waitForToken)
	e := launch(t, definition, tokens.run)
	client, _ := serve(t, e)

	described := must(client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(machine)}))(t)
	if aws.ToString(described.Definition) != definition || described.Status != types.StateMachineStatusActive ||
		described.Type != types.StateMachineTypeStandard || aws.ToString(described.RoleArn) != role ||
		aws.ToString(described.Name) != "StockTrading" || time.Since(*described.CreationDate) > time.Minute ||
		described.LoggingConfiguration.Level != types.LogLevelOff || described.TracingConfiguration.Enabled {
		t.Errorf("state machine %+v", described)
	}

	start := &sfn.StartExecutionInput{
		StateMachineArn: aws.String(machine), Name: aws.String("één"), Input: aws.String(`{"a": 1}`),
	}
	started := must(client.StartExecution(ctx, start))(t)
	arn := started.ExecutionArn
	if want := "arn:aws:states:eu-west-1:123456789012:execution:StockTrading:één"; *arn != want {
		t.Errorf("ARN %s, want %s", *arn, want)
	}
	if again := must(client.StartExecution(ctx, start))(t); *again.ExecutionArn != *arn || *again.StartDate != *started.StartDate {
		t.Errorf("started again: %+v", again)
	}
	token := <-tokens
	eventually(t, func() bool { return len(history(t, e, *arn)) == 5 }) // an answer may overtake TaskSubmitted
	running := must(client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: arn}))(t)
	if running.Status != types.ExecutionStatusRunning || running.StopDate != nil || running.Output != nil ||
		*running.Input != `{"a": 1}` || !running.InputDetails.Included || *running.StartDate != *started.StartDate ||
		*running.StateMachineArn != machine || *running.Name != "één" {
		t.Errorf("running: %+v", running)
	}

	must(client.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: &token}))(t)
	must(client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(`{"<b>": "é"}`)}))(t)
	await(t, e, *arn)
	done := must(client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: arn}))(t)
	if done.Status != types.ExecutionStatusSucceeded || *done.Output != `{"<b>":"é"}` || !done.OutputDetails.Included ||
		done.StopDate.Before(*done.StartDate) || done.Error != nil || done.Cause != nil {
		t.Errorf("done: %+v", done)
	}

	events := must(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: arn}))(t).Events
	if len(events) != 8 {
		t.Fatalf("%d events", len(events))
	}
	scheduled := events[2].TaskScheduledEventDetails
	var parameters struct{ MessageBody struct{ TaskToken string } }
	if err := json.Unmarshal([]byte(*scheduled.Parameters), &parameters); err != nil || parameters.MessageBody.TaskToken != token {
		t.Errorf("the parameters have the token: %t, %v", parameters.MessageBody.TaskToken == token, err)
	}
	if *scheduled.Region != "eu-west-1" || *scheduled.ResourceType != "sqs" ||
		*scheduled.Resource != "sendMessage.waitForTaskToken" || *scheduled.TimeoutInSeconds != 60 {
		t.Errorf("scheduled: %+v", scheduled)
	}
	if d := events[0].ExecutionStartedEventDetails; *d.Input != `{"a": 1}` || *d.RoleArn != role || d.InputDetails == nil {
		t.Errorf("started: %+v", d)
	}
	if d := events[1].StateEnteredEventDetails; *d.Name != "Work" || *d.Input != `{"a":1}` {
		t.Errorf("entered: %+v", d)
	}
	if d := events[6].StateExitedEventDetails; *d.Name != "Work" || *d.Output != `{"<b>":"é"}` {
		t.Errorf("exited: %+v", d)
	}
	for i, has := range []bool{
		events[3].TaskStartedEventDetails != nil, events[4].TaskSubmittedEventDetails != nil,
		events[5].TaskSucceededEventDetails != nil, events[7].ExecutionSucceededEventDetails != nil,
	} {
		if !has {
			t.Errorf("details %d are missing", i)
		}
	}

	without := must(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{
		ExecutionArn: arn, IncludeExecutionData: aws.Bool(false),
	}))(t).Events
	if without[0].ExecutionStartedEventDetails.Input != nil || without[2].TaskScheduledEventDetails.Parameters != nil ||
		without[7].ExecutionSucceededEventDetails.Output != nil {
		t.Error("the history has data that was not asked for")
	}

	stopping := must(client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(machine)}))(t)
	<-tokens
	stopped := must(client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: stopping.ExecutionArn, Error: aws.String("E")}))(t)
	aborted := must(client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: stopping.ExecutionArn}))(t)
	if aborted.Status != types.ExecutionStatusAborted || *aborted.Error != "E" || *aborted.StopDate != *stopped.StopDate ||
		*aborted.Input != `{}` || len(*aborted.Name) != 36 {
		t.Errorf("aborted: %+v", aborted)
	}

	failing := must(client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(machine)}))(t)
	token = <-tokens
	must(client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: &token, Error: aws.String("E"), Cause: aws.String("c")}))(t)
	await(t, e, *failing.ExecutionArn)
	reversed := must(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{
		ExecutionArn: failing.ExecutionArn, ReverseOrder: true,
	}))(t).Events
	if d := reversed[0].ExecutionFailedEventDetails; d == nil || *d.Error != "E" || *d.Cause != "c" {
		t.Errorf("failed: %+v", d)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pass := `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Choice","Choices":[` +
		`{"Variable":"$.fail","BooleanEquals":true,"Next":"C"}],"Default":"D"},"C":{"Type":"Fail"},"D":{"Type":"Succeed"}}}`
	e := launch(t, pass, nil)
	client, _ := serve(t, e)
	var want []string
	for i := range 7 {
		arn := must(e.StartExecution(fmt.Sprintf("e%d", i), fmt.Appendf(nil, `{"fail":%t}`, i%2 == 1)))(t)
		await(t, e, arn)
		want = append([]string{arn}, want...)
	}

	var got []string
	pages := 0
	for p := sfn.NewListExecutionsPaginator(client, &sfn.ListExecutionsInput{StateMachineArn: aws.String(machine), MaxResults: 2}); p.HasMorePages(); pages++ {
		for _, x := range must(p.NextPage(ctx))(t).Executions {
			got = append(got, *x.ExecutionArn)
		}
		if pages == 0 { // an execution that starts between two pages moves none
			await(t, e, must(e.StartExecution("new", []byte(`{"fail":false}`)))(t))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || pages != 4 {
		t.Errorf("%d pages of executions (-want +got):\n%s", pages, diff)
	}
	failed := must(client.ListExecutions(ctx, &sfn.ListExecutionsInput{
		StateMachineArn: aws.String(machine), StatusFilter: types.ExecutionStatusFailed,
	}))(t)
	if len(failed.Executions) != 3 || failed.NextToken != nil || *failed.Executions[0].Name != "e5" ||
		failed.Executions[0].Status != types.ExecutionStatusFailed || failed.Executions[0].StopDate == nil {
		t.Errorf("failed: %+v", failed)
	}

	for _, reverse := range []bool{false, true} {
		in := &sfn.GetExecutionHistoryInput{ExecutionArn: &want[0], ReverseOrder: reverse, MaxResults: 3}
		var ids []int64
		for p := sfn.NewGetExecutionHistoryPaginator(client, in); p.HasMorePages(); {
			for _, event := range must(p.NextPage(ctx))(t).Events {
				ids = append(ids, event.Id)
			}
		}
		wantIDs := []int64{1, 2, 3, 4, 5, 6, 7, 8}
		if reverse {
			slices.Reverse(wantIDs)
		}
		if diff := cmp.Diff(wantIDs, ids); diff != "" {
			t.Errorf("reverse %t: events (-want +got):\n%s", reverse, diff)
		}
	}

	page := must(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &want[0], MaxResults: 1}))(t)
	for name, err := range map[string]error{
		"garbage":               second(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &want[0], NextToken: aws.String("x!")})),
		"of another execution":  second(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &want[1], NextToken: page.NextToken})),
		"of the other order":    second(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &want[0], NextToken: page.NextToken, ReverseOrder: true})),
		"of a history":          second(client.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(machine), NextToken: page.NextToken})),
		"garbage for the list":  second(client.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(machine), NextToken: aws.String("e30")})),
		"beyond what there was": second(client.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(machine), NextToken: aws.String(newToken("executions ", 1<<60))})),
	} {
		if _, ok := errors.AsType[*types.InvalidToken](err); !ok {
			t.Errorf("a token %s got %v, want InvalidToken", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	tokens := make(sender, 10)
	e := launch(t, oneTask(wait, waitForToken), tokens.run)
	client, _ := serve(t, e)
	must(e.StartExecution("taken", []byte(`{"a":1}`)))(t)
	ended := must(e.StartExecution("ended", nil))(t)
	must(e.StopExecution(&sfn.StopExecutionInput{ExecutionArn: &ended}))(t)
	other := strings.Replace(machine, "StockTrading", "Other", 1)

	start := func(name, input *string) error {
		return second(client.StartExecution(ctx, &sfn.StartExecutionInput{
			StateMachineArn: aws.String(machine), Name: name, Input: input,
		}))
	}
	describe := func(arn string) error {
		return second(client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn}))
	}
	list := func(in sfn.ListExecutionsInput) error {
		in.StateMachineArn = aws.String(machine)
		return second(client.ListExecutions(ctx, &in))
	}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"the same name, another input", start(aws.String("taken"), aws.String(`{"a":2}`)), "ExecutionAlreadyExists"},
		{"the same name, after its end", start(aws.String("ended"), nil), "ExecutionAlreadyExists"},
		{"empty name", start(aws.String(""), nil), "InvalidName"},
		{"longest name", start(aws.String(strings.Repeat("é", 80)), nil), ""},
		{"too long a name", start(aws.String(strings.Repeat("é", 81)), nil), "InvalidName"},
		{"name with a space", start(aws.String("a b"), nil), "InvalidName"},
		{"name with a colon", start(aws.String("a:b"), nil), "InvalidName"},
		{"name with a control character", start(aws.String("a\u0085"), nil), "InvalidName"},
		{"empty input", start(nil, aws.String("")), "InvalidExecutionInput"},
		{"input in text", start(nil, aws.String("buy")), "InvalidExecutionInput"},
		{"two values as input", start(nil, aws.String("1 2")), "InvalidExecutionInput"},
		{"input with twice the same key", start(nil, aws.String(`{"a":1,"a":2}`)), ""},
		{"input with half a character", start(nil, aws.String(`"\ud800"`)), ""},
		{"nested input", start(nil, aws.String(strings.Repeat("[", 100_000))), "InvalidExecutionInput"},
		{"largest input", start(nil, aws.String(`"`+strings.Repeat("x", maxData-2)+`"`)), ""},
		{"too large an input", start(nil, aws.String(`"`+strings.Repeat("x", maxData-1)+`"`)), "InvalidExecutionInput"},
		{"too large a request", start(nil, aws.String(strings.Repeat("x", maxBody))), "RequestEntityTooLargeException"},
		{"another state machine", second(client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &other})), "StateMachineDoesNotExist"},
		{"no ARN of a state machine", second(client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String("x")})), "InvalidArn"},
		{"describe another state machine", second(client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &other})), "StateMachineDoesNotExist"},
		{"describe no execution", describe(strings.Replace(ended, ":ended", ":other", 1)), "ExecutionDoesNotExist"},
		{"describe another state machine's execution", describe(strings.Replace(ended, "StockTrading", "Other", 1)), "ExecutionDoesNotExist"},
		{"describe no ARN", describe("ended"), "InvalidArn"},
		{"history of no execution", second(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: aws.String(ended + "x")})), "ExecutionDoesNotExist"},
		{"too many events", second(client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &ended, MaxResults: 1001})), "ValidationException"},
		{"stop no execution", second(client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: aws.String(ended + "x")})), "ExecutionDoesNotExist"},
		{"stop with too long an error", second(client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &ended, Error: aws.String(strings.Repeat("x", 257))})), "ValidationException"},
		{"list in a status that there is not", list(sfn.ListExecutionsInput{StatusFilter: "OPEN"}), "ValidationException"},
		{"list too many", list(sfn.ListExecutionsInput{MaxResults: 1001}), "ValidationException"},
		{"list fewer than none", list(sfn.ListExecutionsInput{MaxResults: -1}), "ValidationException"},
		{"list redrives", list(sfn.ListExecutionsInput{RedriveFilter: "REDRIVEN"}), "ValidationException"},
		{"success of an unknown token", second(client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: aws.String("x"), Output: aws.String("1")})), "InvalidToken"},
		{"failure of an unknown token", second(client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: aws.String("x")})), "InvalidToken"},
		{"success without JSON", second(client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: aws.String("x"), Output: aws.String("")})), "InvalidOutput"},
		{"an operation that there is not", second(client.ListStateMachines(ctx, &sfn.ListStateMachinesInput{})), "UnknownOperationException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if api, ok := errors.AsType[smithy.APIError](test.err); ok {
				got = api.ErrorCode()
			} else if test.err != nil {
				got = test.err.Error()
			}
			if got != test.want {
				t.Errorf("got %v, want %q", test.err, test.want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	e := launch(t, `{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}`, nil)
	_, url := serve(t, e)
	request := func(change func(*http.Request)) (status int, header http.Header, body string) {
		t.Helper()
		r := must(http.NewRequest(http.MethodPost, url, strings.NewReader(`{"stateMachineArn":"`+machine+`"}`)))(t)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Amz-Target", "AWSStepFunctions.DescribeStateMachine")
		change(r)
		response := must(http.DefaultClient.Do(r))(t)
		defer response.Body.Close()
		return response.StatusCode, response.Header, string(must(io.ReadAll(response.Body))(t))
	}
	body := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), -1 }
	}
	target := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Amz-Target", text) }
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		want   string // in the body
	}{
		{"good", func(*http.Request) {}, 200, `"stateMachineArn":"` + machine + `"`},
		{"twice the same key", body(`{"stateMachineArn":"x","stateMachineArn":"` + machine + `"}`), 200, machine},
		{"no body", body(``), 400, "ValidationException"},
		{"no JSON", body(`{"stateMachineArn":`), 400, "SerializationException"},
		{"no object", body(`[]`), 400, "SerializationException"},
		{"no string", body(`{"stateMachineArn":1}`), 400, "SerializationException"},
		{"null", body(`{"stateMachineArn":null}`), 400, "ValidationException"},
		{"more after it", body(`{} {}`), 400, "SerializationException"},
		{"too deep", body(strings.Repeat("[", 500_000)), 400, "SerializationException"},
		{"too large", body(strings.Repeat(" ", maxBody+1)), 413, "RequestEntityTooLargeException"},
		{"no target", target(""), 400, "UnknownOperationException"},
		{"no prefix", target("DescribeStateMachine"), 400, "UnknownOperationException"},
		{"another service", target("AmazonSQS.SendMessage"), 400, "UnknownOperationException"},
		{"a form", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "UnsupportedMediaType"},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet }, 404, "UnknownOperationException"},
		{"another path", func(r *http.Request) { r.URL.Path = "/x" }, 404, "UnknownOperationException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, header, body := request(test.change)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("got %d %s, want %d with %s", status, body, test.status, test.want)
			}
			if header.Get("Content-Type") != contentType || header.Get("X-Amzn-RequestId") == "" {
				t.Errorf("headers %v", header)
			}
			if status != 200 && !strings.Contains(body, `"__type":"`) {
				t.Errorf("body %s has no __type", body)
			}
		})
	}

	t.Run("after the end of Node", func(t *testing.T) {
		e.Close()
		status, _, body := request(target("AWSStepFunctions.StartExecution"))
		if status != 500 || !strings.Contains(body, `"__type":"InternalFailure"`) {
			t.Errorf("got %d %s", status, body)
		}
	})
}
