package states

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

const waitForToken = `"Parameters":{"QueueUrl":"q","MessageBody":{"TaskToken.$":"$$.Task.Token"}},`

func success(token, output string) *sfn.SendTaskSuccessInput {
	return &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output}
}

func failure(token, name, cause string) *sfn.SendTaskFailureInput {
	return &sfn.SendTaskFailureInput{TaskToken: &token, Error: &name, Cause: &cause}
}

func heartbeat(token string) *sfn.SendTaskHeartbeatInput {
	return &sfn.SendTaskHeartbeatInput{TaskToken: &token}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	tokens := make(sender, 1)
	e := share(t, "wait-caught", tokens.run)
	long := func(n int) string { return strings.Repeat("é", n) }
	succeed := func(output string) func(string) error {
		return func(token string) error { return e.SendTaskSuccess(success(token, output)) }
	}
	fail := func(name, cause string) func(string) error {
		return func(token string) error { return e.SendTaskFailure(failure(token, name, cause)) }
	}
	tests := []struct {
		name   string
		send   func(token string) error
		want   string // error code
		output string // of the execution, if the answer was taken
	}{
		{"success", succeed(`1`), "", `1`},
		{"success without output", func(s string) error { return e.SendTaskSuccess(&sfn.SendTaskSuccessInput{TaskToken: &s}) }, "ValidationException", ""},
		{"success with text", succeed("yes"), "InvalidOutput", ""},
		{"success with too much", succeed(`"` + long(maxData/2) + `"`), "InvalidOutput", ""},
		{"failure", fail("E", "c"), "", `{"Error":"E","Cause":"c"}`},
		{"failure without a name", fail("", ""), "", `{"Error":null,"Cause":null}`}, // as AWS answers it
		{"failure with the longest texts", fail(long(256), long(32768)), "", `{"Error":"` + long(256) + `","Cause":"` + long(32768) + `"}`},
		{"failure with too long a name", fail(long(257), ""), "ValidationException", ""},
		{"failure with too long a cause", fail("", long(32769)), "ValidationException", ""},
		{"no token", func(string) error { return e.SendTaskSuccess(success("", `1`)) }, "ValidationException", ""},
		{"unknown token", func(s string) error { return e.SendTaskSuccess(success(s+"x", `1`)) }, "InvalidToken", ""},
		{"heartbeat of an unknown token", func(string) error { return e.SendTaskHeartbeat(heartbeat("x")) }, "InvalidToken", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			arn := begin(t, e, `{}`)
			token := <-tokens
			ok(t, e.SendTaskHeartbeat(heartbeat(token)))
			err := test.send(token)
			wantCode(t, "answer", err, test.want)
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the error has the token in it: %v", err)
			}
			if test.want != "" { // which leaves the task open
				ok(t, e.SendTaskFailure(failure(token, "Enough", "")))
			}
			if x := await(t, e, arn); test.output != "" && x.Output != test.output {
				t.Errorf("output %s, want %s", x.Output, test.output)
			}
			wantCode(t, "a late success", e.SendTaskSuccess(success(token, `1`)), "TaskTimedOut")
			wantCode(t, "a late failure", e.SendTaskFailure(failure(token, "", "")), "TaskTimedOut")
			wantCode(t, "a late heartbeat", e.SendTaskHeartbeat(heartbeat(token)), "TaskTimedOut")
		})
	}
}

// Each attempt has a token of its own, and the token of an attempt that is over opens nothing.
func TestTokenOfAnotherAttempt(t *testing.T) {
	t.Parallel()
	tokens := make(sender, 1)
	e := share(t, "wait-retried", tokens.run)
	arn := begin(t, e, `{}`)
	first := <-tokens
	ok(t, e.SendTaskFailure(failure(first, "", "")))
	second := <-tokens
	if first == second {
		t.Error("both attempts have the same token")
	}
	wantCode(t, "the first token", e.SendTaskSuccess(success(first, `1`)), "TaskTimedOut")
	ok(t, e.SendTaskSuccess(success(second, `1`)))
	wantSuccess(t, await(t, e, arn))
}

func TestOneAnswerWins(t *testing.T) {
	t.Parallel()
	tokens := make(sender, 1)
	e := share(t, "wait", tokens.run)
	for range 50 {
		arn := begin(t, e, `{}`)
		token := <-tokens
		var taken, late atomic.Int32
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				switch err := e.SendTaskSuccess(success(token, fmt.Sprint(i))); code(err) {
				case "":
					taken.Add(1)
				case "TaskTimedOut":
					late.Add(1)
				}
			})
		}
		all.Wait()
		if taken.Load() != 1 || late.Load() != 3 {
			t.Fatalf("%d answers were taken and %d refused, want 1 and 3", taken.Load(), late.Load())
		}
		await(t, e, arn)
	}
}

// Answers that race the timeout either win, and the execution succeeds, or are refused, and it timed out.
func TestAnswersAgainstTheTimeout(t *testing.T) {
	t.Parallel()
	const executions = 60
	tokens := make(sender, executions)
	e := share(t, "wait-1-second", tokens.run)
	start := time.Now()
	arns := map[string]string{}
	for range executions {
		arn := begin(t, e, `{}`)
		arns[<-tokens] = arn
	}
	var all sync.WaitGroup
	i := 0
	for token, arn := range arns {
		delay := time.Until(start.Add(970*time.Millisecond + time.Duration(i)*2*time.Millisecond))
		i++
		all.Go(func() {
			time.Sleep(delay)
			err := e.SendTaskSuccess(success(token, `1`))
			x := await(t, e, arn)
			switch {
			case err == nil && x.Status != StatusSucceeded:
				t.Errorf("the answer was taken, and the execution is %s", x.Status)
			case err != nil && (code(err) != "TaskTimedOut" || x.Error != "States.Timeout"):
				t.Errorf("the answer got %v, and the execution is %s with %q", err, x.Status, x.Error)
			}
		})
	}
	all.Wait()
}

// An answer may arrive before the message that carries the token has been sent.
func TestAnswerWhileSending(t *testing.T) {
	t.Parallel()
	tokens, sent := make(chan string), make(chan bool)
	e := share(t, "wait", func(ctx context.Context, task Task) (json.RawMessage, error) {
		tokens <- task.Token
		<-sent
		return nil, ctx.Err()
	})
	arn := begin(t, e, `{}`)
	ok(t, e.SendTaskSuccess(success(<-tokens, `1`)))
	x := await(t, e, arn)
	close(sent)
	wantSuccess(t, x)
}

func TestSendingFails(t *testing.T) {
	t.Parallel()
	tokens := make(chan string, 1)
	e := share(t, "wait", func(_ context.Context, task Task) (json.RawMessage, error) {
		tokens <- task.Token
		return nil, &Error{"SQS.QueueDoesNotExistException", "gone"}
	})
	x := await(t, e, begin(t, e, `{}`))
	wantFailure(t, x, "SQS.QueueDoesNotExistException")
	wantCode(t, "an answer afterwards", e.SendTaskSuccess(success(<-tokens, `1`)), "TaskTimedOut")
}

func TestStop(t *testing.T) {
	t.Parallel()
	ended := make(chan bool, 1)
	tokens := make(chan string, 1)
	e := share(t, "wait-all", func(ctx context.Context, task Task) (json.RawMessage, error) {
		tokens <- task.Token
		<-ctx.Done()
		ended <- true
		return nil, ctx.Err()
	})
	arn := begin(t, e, `{}`)
	token := <-tokens
	out := must(e.StopExecution(&sfn.StopExecutionInput{ExecutionArn: &arn, Error: ptr("Enough"), Cause: ptr("changed my mind")}))(t)
	<-ended
	x := await(t, e, arn)
	if x.Status != StatusAborted || x.Error != "Enough" || x.Cause != "changed my mind" || x.StopDate != out.StopDate {
		t.Errorf("got %+v", x)
	}
	events := history(t, e, arn)
	if last := events[len(events)-1]; last.Type != "ExecutionAborted" || last.Details.Error != "Enough" || last.PreviousID != 0 {
		t.Errorf("last event %+v", last)
	}
	wantCode(t, "a late answer", e.SendTaskSuccess(success(token, `1`)), "TaskTimedOut")
	again, err := e.StopExecution(&sfn.StopExecutionInput{ExecutionArn: &arn, Error: ptr("Again")})
	if err != nil || again != out || await(t, e, arn).Error != "Enough" {
		t.Errorf("stopped again: %+v, %v", again, err)
	}
}

// Stopping while a retry waits must not perform the task again.
func TestStopBetweenAttempts(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	e := share(t, "wait-retried-late", func(context.Context, Task) (json.RawMessage, error) {
		attempts.Add(1)
		return nil, &Error{"E", ""}
	})
	arn := begin(t, e, `{}`)
	eventually(t, func() bool { return len(history(t, e, arn)) == 5 })
	must(e.StopExecution(&sfn.StopExecutionInput{ExecutionArn: &arn}))(t)
	second := begin(t, e, `{}`) // while it comes to its attempt, the first has every chance of another
	eventually(t, func() bool { return len(history(t, e, second)) == 5 })
	if n := attempts.Load(); n != 2 {
		t.Errorf("%d attempts of two executions, want 2", n)
	}
}

func TestManyWaitAtOnce(t *testing.T) {
	t.Parallel()
	const executions = 1000
	tokens := make(sender, executions)
	e := launch(t, oneTask(wait, waitForToken), tokens.run)
	start := time.Now()
	var arns []string
	for range executions {
		arns = append(arns, begin(t, e, `{}`))
	}
	var all sync.WaitGroup
	for range executions {
		token := <-tokens
		all.Go(func() {
			if err := e.SendTaskSuccess(success(token, `1`)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, arn := range arns {
		wantSuccess(t, await(t, e, arn))
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("took %s", took)
	}
	if len(e.tasks) != 0 || len(e.replies) != 0 {
		t.Errorf("%d tasks and %d replies are still kept", len(e.tasks), len(e.replies))
	}
}

// An interrupt from the terminal reaches Node as well; the executions go on until the engine is closed.
func TestInterruptLeavesNodeAlone(t *testing.T) {
	t.Parallel()
	e := launch(t, oneTask(publish, ""), answer(`1`, nil))
	if err := e.node.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	wantSuccess(t, await(t, e, begin(t, e, `{}`)))
}

func TestNodeDies(t *testing.T) {
	t.Parallel()
	tokens := make(sender, 2)
	e := must(Start(t.Context(), config(oneTask(wait, waitForToken+catchAll), tokens.run)))(t)
	one, two := begin(t, e, `{}`), begin(t, e, `{}`)
	token := <-tokens
	if err := e.Err(); err != nil {
		t.Errorf("before its death: %v", err)
	}
	e.node.Process.Kill()
	for _, arn := range []string{one, two} {
		x := await(t, e, arn)
		wantFailure(t, x, "States.Runtime")
		if !strings.Contains(x.Cause, "interpreter ended (signal: killed)") {
			t.Errorf("cause %q", x.Cause)
		}
	}
	<-e.Done()
	if e.Err() == nil {
		t.Error("no error after its death")
	}
	_, startErr := e.StartExecution("", nil)
	wantCode(t, "StartExecution", startErr, "InternalFailure")
	wantCode(t, "SendTaskSuccess", e.SendTaskSuccess(success(token, `1`)), "InternalFailure")
	wantCode(t, "SendTaskFailure", e.SendTaskFailure(failure(token, "", "")), "InternalFailure")
	wantCode(t, "SendTaskHeartbeat", e.SendTaskHeartbeat(heartbeat(token)), "InternalFailure")
	if err := e.Close(); err == nil {
		t.Error("Close returned no error")
	}
}

func TestCloseEndsTasks(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan bool), make(chan bool, 1)
	observed := 0
	c := config(oneTask(publish, ""), func(ctx context.Context, _ Task) (json.RawMessage, error) {
		begun <- true
		<-ctx.Done()
		ended <- true
		return nil, ctx.Err()
	})
	c.Observe = func(string, HistoryEvent) { time.Sleep(10 * time.Millisecond); observed++ }
	e := must(Start(t.Context(), c))(t)
	arn := begin(t, e, `{}`)
	waited := make(chan error, 1)
	<-begun
	go func() {
		_, err := e.Wait(context.Background(), arn)
		waited <- err
	}()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("the task was still performed")
	}
	if observed != 4 {
		t.Errorf("%d events were observed, want 4", observed)
	}
	if err := <-waited; err == nil {
		t.Error("Wait returned no error")
	}
	if _, err := e.StartExecution("", nil); code(err) != "InternalFailure" {
		t.Errorf("StartExecution: %v", err)
	}
	if e.node.ProcessState == nil {
		t.Error("Node was not waited for")
	}
}

// The engine may be used from Observe, which a handler of tokens is most likely to do.
func TestAnswerFromObserve(t *testing.T) {
	t.Parallel()
	tokens := make(sender, 1)
	engines := make(chan *Engine, 1)
	answered := make(chan error, 1)
	e := launch(t, oneTask(wait, waitForToken), tokens.run, func(c *Config) {
		c.Observe = func(_ string, event HistoryEvent) {
			if event.Type == "TaskSubmitted" {
				answered <- (<-engines).SendTaskSuccess(success(<-tokens, `1`))
			}
		}
	})
	engines <- e
	arn := begin(t, e, `{}`)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	await(t, e, arn)
}
