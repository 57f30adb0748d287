package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"stocktrading/lambdas/trading"
	"stocktrading/local/states"
	"stocktrading/local/system"
)

// marker stands in what must not come to light: the bodies of messages and forged tokens.
const marker = "SECRET"

// maxInput is how many bytes Step Functions takes as an input or an output.
const maxInput = 262144

// TestBadInput feeds one system what nobody should, everywhere that something can be fed.
func TestBadInput(t *testing.T) {
	var served batches
	r := start(t, nil, func(c *system.Config) { c.Invoke, c.RetryInterval = served.watch, 10*time.Millisecond })
	odd := r.oddAnswers(t) // which take seconds; all else happens meanwhile
	r.badExecutions(t)
	r.oddExecutions(t)
	r.badStarts(t)
	r.badMessages(t, &served)
	r.badAnswers(t)
	r.nothingLeft(t, odd())
}

// batches are the messages that the queue's function was given.
type batches struct {
	mu   sync.Mutex
	list [][]events.SQSMessage
}

func (b *batches) watch(next system.Invoker) system.Invoker {
	return func(ctx context.Context, functionARN string, payload []byte) ([]byte, error) {
		var batch events.SQSEvent
		if json.Unmarshal(payload, &batch) == nil && len(batch.Records) > 0 {
			b.mu.Lock()
			b.list = append(b.list, batch.Records)
			b.mu.Unlock()
		}
		return next(ctx, functionARN, payload)
	}
}

// find returns the id of the message with a body, and the size of its batch.
func (b *batches) find(t *testing.T, body string) (id string, size int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, batch := range b.list {
		for _, m := range batch {
			if m.Body == body {
				return m.MessageId, len(batch)
			}
		}
	}
	t.Fatalf("no batch holds %.80s", body)
	return "", 0
}

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// Inputs that are refused: the execution ends FAILED, and its one report says in the
// function's own words what is wrong.
func (r *running) badExecutions(t *testing.T) {
	const wantSymbol, wantQty = ", want a string of 1 to 12 letters, digits, dots and hyphens", ", want a whole number from 1 to 1000"
	for _, test := range []struct{ name, input, message string }{
		{"null", `null`, "the execution's input is null, want a JSON object"},
		{"array", `["AMZN",5]`, `the execution's input is ["AMZN",5], want a JSON object`},
		{"string", `"AMZN"`, `the execution's input is "AMZN", want a JSON object`},
		{"number", `7`, "the execution's input is 7, want a JSON object"},
		{"boolean", `false`, "the execution's input is false, want a JSON object"},
		{"string of 256 KiB", `"` + strings.Repeat("A", maxInput-2) + `"`, `the execution's input is "` + strings.Repeat("A", 39) + "..., want a JSON object"},
		{"symbol empty", `{"symbol":""}`, `symbol is ""` + wantSymbol},
		{"symbol null", `{"symbol":null,"qty":5}`, "symbol is null" + wantSymbol},
		{"symbol a number", `{"symbol":7}`, "symbol is 7" + wantSymbol},
		{"symbol an array", `{"symbol":["AMZN"]}`, `symbol is ["AMZN"]` + wantSymbol},
		{"symbol an object", `{"symbol":{"S":"AMZN"}}`, `symbol is {"S":"AMZN"}` + wantSymbol},
		{"symbol too long", `{"symbol":"ABCDEFGHIJKLM"}`, `symbol is "ABCDEFGHIJKLM"` + wantSymbol},
		{"symbol of 256 KiB", `{"symbol":"` + strings.Repeat("A", maxInput-13) + `"}`, `symbol is "` + strings.Repeat("A", 39) + "..." + wantSymbol},
		{"symbol with quotes", `{"symbol":"A'B\"C"}`, `symbol is "A'B\"C"` + wantSymbol},
		{"symbol with a line break", `{"symbol":"A\r\nB"}`, `symbol is "A\r\nB"` + wantSymbol},
		{"symbol with a direction mark", "{\"symbol\":\"A\u202eB\"}", `symbol is "A\u202eB"` + wantSymbol},
		{"symbol with a zero-width space", "{\"symbol\":\"AMZN\u200b\"}", `symbol is "AMZN\u200b"` + wantSymbol},
		{"symbol with an escape sequence", `{"symbol":"\u001b[2J"}`, `symbol is "\u001b[2J"` + wantSymbol},
		{"symbol with a placeholder", `{"symbol":"{}"}`, `symbol is "{}"` + wantSymbol},
		{"symbol a path", `{"symbol":"$.qty"}`, `symbol is "$.qty"` + wantSymbol},
		{"symbol 1,000 levels deep", `{"symbol":` + nested(1_000) + `}`, "symbol is " + strings.Repeat("[", 40) + "..." + wantSymbol},
		{"the last of two symbols", `{"symbol":"AMZN","symbol":"A B"}`, `symbol is "A B"` + wantSymbol},
		{"qty zero", `{"qty":0}`, "qty is 0" + wantQty},
		{"qty negative", `{"qty":-1}`, "qty is -1" + wantQty},
		{"qty above", `{"qty":1001}`, "qty is 1001" + wantQty},
		{"qty a fraction", `{"qty":1.5}`, "qty is 1.5" + wantQty},
		{"qty a string", `{"qty":"5"}`, `qty is "5"` + wantQty},
		{"qty null", `{"qty":null}`, "qty is null" + wantQty},
		{"qty an array", `{"qty":[5]}`, "qty is [5]" + wantQty},
		{"qty an object", `{"qty":{"N":5}}`, `qty is {"N":5}` + wantQty},
		{"qty a boolean", `{"qty":true}`, "qty is true" + wantQty},
	} {
		arn := r.startExecution(t, test.input)
		t.Run("execution "+test.name, func(t *testing.T) {
			x, report := r.end(t, arn)
			if x.Status != states.StatusFailed || x.Error != "TradeFailed" || !strings.HasPrefix(x.Cause, "Check Stock Price failed. Trade placed: no. Id: ") || !strings.Contains(x.Cause, ". Error: InvalidRequest. Cause: {") {
				t.Errorf("the execution is %s: %s, %s", x.Status, x.Error, x.Cause)
			}
			failure, _ := report["failure"].(map[string]any)
			var cause struct{ ErrorMessage string }
			if err := json.Unmarshal(fmt.Append(nil, failure["Cause"]), &cause); err != nil || cause.ErrorMessage != test.message {
				t.Errorf("the report says %q, %v, want %q", cause.ErrorMessage, err, test.message)
			}
			if report["outcome"] != "failed" || report["failed_state"] != "Check Stock Price" || report["trade_placed"] != "no" || failure["Error"] != "InvalidRequest" {
				t.Errorf("the report is %v", report)
			}
		})
	}
}

// Inputs that hold more or other than they need: what is not a field of a request counts
// for nothing, whatever it is.
func (r *running) oddExecutions(t *testing.T) {
	for _, test := range []struct {
		name, input string
		symbol      string
		qty         float64 // 0 for any
	}{
		{"nothing", `{}`, "AMZN", 0},
		{"fields in another case", `{"Symbol":7,"QTY":"x"}`, "AMZN", 0},
		{"256 KiB of something else", `{"qty":3,"Comment":"` + strings.Repeat("x", maxInput-22) + `"}`, "AMZN", 3},
		{"fields of later states", `{"qty":4,"stock_price":99,"quote_id":"x","recommended_type":"sell","failure":{"Error":"x"},"decision":{},"outcome":"traded"}`, "AMZN", 4},
		{"fields of JavaScript", `{"qty":5,"__proto__":{"symbol":"X"},"constructor":{"prototype":{"qty":9}},"toString":null}`, "AMZN", 5},
		{"paths", `{"symbol":"BRK.B","qty":6,"symbol.$":"$.qty","TaskToken.$":"$$.Task.Token","$":1}`, "BRK.B", 6},
		{"the last of two quantities", `{"qty":"x","qty":7}`, "AMZN", 7},
		{"a whole number with a fraction of zero", `{"qty":8.0}`, "AMZN", 8},
		{"something 1,000 levels deep", `{"qty":9,"Comment":` + nested(1_000) + `}`, "AMZN", 9},
	} {
		arn := r.startExecution(t, test.input)
		t.Run("execution with "+test.name, func(t *testing.T) {
			r.decide(t, arn, failure("TradeDeclined", "a test"))
			x, report := r.end(t, arn)
			if x.Status != states.StatusSucceeded || report["outcome"] != "declined" {
				t.Errorf("the execution is %s: %s; report %v", x.Status, x.Cause, report)
			}
			if report["symbol"] != test.symbol || test.qty != 0 && report["qty"] != test.qty || len(fmt.Sprint(report["id"])) != 32 {
				t.Errorf("the report is of another trade: %v", report)
			}
			if len(report) != 7 {
				t.Errorf("the report holds something else: %v", report)
			}
		})
	}
}

// Starts that the API refuses, and names that it takes and nobody can read.
func (r *running) badStarts(t *testing.T) {
	ctx := t.Context()
	machine := r.StateMachineARN()
	running := "running"
	if _, err := r.Engine().StartExecution(running, []byte(`{"qty":1}`)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		in   sfn.StartExecutionInput
		code string
	}{
		{"no JSON", sfn.StartExecutionInput{Input: aws.String(`{symbol:"AMZN"}`)}, "InvalidExecutionInput"},
		{"no input at all", sfn.StartExecutionInput{Input: aws.String("")}, "InvalidExecutionInput"},
		{"two inputs", sfn.StartExecutionInput{Input: aws.String(`{}{}`)}, "InvalidExecutionInput"},
		{"a number that is none", sfn.StartExecutionInput{Input: aws.String(`{"qty":05}`)}, "InvalidExecutionInput"},
		{"more than 256 KiB", sfn.StartExecutionInput{Input: aws.String(`"` + strings.Repeat("A", maxInput-1) + `"`)}, "InvalidExecutionInput"},
		{"the name of another execution", sfn.StartExecutionInput{Name: &running, Input: aws.String(`{"qty":2}`)}, "ExecutionAlreadyExists"},
		{"an empty name", sfn.StartExecutionInput{Name: aws.String("")}, "InvalidName"},
		{"a name with a space", sfn.StartExecutionInput{Name: aws.String("a b")}, "InvalidName"},
		{"a name with a line break", sfn.StartExecutionInput{Name: aws.String("a\nb")}, "InvalidName"},
		{"a name with a slash", sfn.StartExecutionInput{Name: aws.String("../a")}, "InvalidName"},
		{"a name with quotes", sfn.StartExecutionInput{Name: aws.String(`"a"`)}, "InvalidName"},
		{"a name with a colon", sfn.StartExecutionInput{Name: aws.String("a:b")}, "InvalidName"},
		{"a name of 81 characters", sfn.StartExecutionInput{Name: aws.String(strings.Repeat("n", 81))}, "InvalidName"},
		{"another state machine", sfn.StartExecutionInput{StateMachineArn: aws.String(machine + "x")}, "StateMachineDoesNotExist"},
		{"something that is not a state machine", sfn.StartExecutionInput{StateMachineArn: aws.String("StockTrading")}, "InvalidArn"},
	} {
		t.Run("start with "+test.name, func(t *testing.T) {
			if test.in.StateMachineArn == nil {
				test.in.StateMachineArn = &machine
			}
			_, err := r.sfn.StartExecution(ctx, &test.in)
			wantCode(t, err, test.code)
		})
	}
	for _, test := range []struct{ name, shown string }{
		{"it's", "it's"},
		{"-rf", "-rf"},
		{"..", ".."},
		{"(a)", "(a)"},
		{"日本語", "日本語"},
		{"Ünïcödé", "Ünïcödé"},
		{"😀", "😀"},
		{strings.Repeat("n", 80), strings.Repeat("n", 80)},
		{"r\u202eth", "rth"},
		{"zero\u200bwidth", "zerowidth"},
		{"variant\ufe0f", "variant"},
		{"soft\u00adhyphen", "softhyphen"},
		{"fill\u3164er", "filler"},
	} {
		t.Run(fmt.Sprintf("name %+q", test.name), func(t *testing.T) {
			arn, err := r.Engine().StartExecution(test.name, []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			// What the notice shows is what a person types, and it leads to this execution.
			_, command, _ := strings.Cut(r.notice(t, arn).Message, "\n  go run ./desk ")
			command, _, _ = strings.Cut(command, "\n")
			word := strings.TrimSuffix(arn, test.name) + test.shown
			if command != trading.ShellQuote(word) {
				t.Errorf("the notice of %+q says %+q, want %+q", arn, command, word)
			}
			wait, err := r.desk.Find(t.Context(), word)
			if err != nil || wait.Execution != arn {
				t.Errorf("the desk finds %+q, %v", wait.Execution, err)
			}
			r.decide(t, arn, failure("TradeDeclined", "a test"))
			r.end(t, arn)
		})
	}
	r.decide(t, strings.Replace(machine, ":stateMachine:", ":execution:", 1)+":"+running, failure("TradeDeclined", "a test"))
}

// Messages that somebody puts on the queue: each is dropped, and the log says why
// without saying what was in it. The good one among them is served.
func (r *running) badMessages(t *testing.T, served *batches) {
	const (
		noObject = "the body is not the JSON object that the state machine sends"
		noToken  = "TaskToken is missing or no text"
		noARN    = "Execution is missing or not the ARN of an execution"
		noTime   = "EnteredTime is missing or no time"
		noLimit  = "TimeoutSeconds is missing or no whole number from 1 to 99999999"
		noQuote  = "Input holds no quote"
	)
	const good = `{"Input":{"stock_price":42,"market":"simulated","symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z","recommended_type":"buy"},` +
		`"TaskToken":"` + marker + `","Execution":"arn:aws:states:us-east-1:123456789012:execution:Forged:good","EnteredTime":"2026-01-02T03:04:06Z","TimeoutSeconds":60}`
	with := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in the message", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	tests := []struct{ name, body, want string }{
		{"no JSON", marker, noObject},
		{"a space", " ", noObject},
		{"null", `null`, noObject},
		{"array", `["` + marker + `"]`, noObject},
		// In the middle of the first batch of ten, the good one and one whose token nobody gave out.
		{"good", good, ""},
		{"forged token", with("Forged:good", "Forged:token"), ""},
		{"string", `"` + marker + `"`, noObject},
		{"cut off", good[:len(good)-1], noObject},
		{"twice", good + good, noObject},
		{"empty object", `{}`, noToken},
		{"another object", `{"Type":"Notification","Message":"` + marker + `"}`, noToken},
		{"nested 10,001 levels deep", nested(10_001), noObject},
		{"something 9,000 levels deep", with(`"Input":{`, `"Input":{"Comment":`+nested(9_000)+`,`), ""},
		{"huge", `{"Comment":"` + strings.Repeat(marker, 40_000) + `"}`, noToken},
		{"token missing", with(`"TaskToken"`, `"Token"`), noToken},
		{"token null", with(`"`+marker+`"`, `null`), noToken},
		{"token a number", with(`"`+marker+`"`, `7`), noToken},
		{"token an object", with(`"`+marker+`"`, `{"S":"`+marker+`"}`), noToken},
		{"execution a number", with(`"arn:aws:states:us-east-1:123456789012:execution:Forged:good"`, `7`), noARN},
		{"execution a flag of the desk", with("arn:aws:states:us-east-1:123456789012:execution:Forged:good", "-state-machine=x"), noARN},
		{"execution a state machine", with("execution:Forged:good", "stateMachine:Forged"), noARN},
		{"time a number", with(`"2026-01-02T03:04:06Z"`, `1767323046`), noTime},
		{"time a date", with(`2026-01-02T03:04:06Z`, `2026-01-02`), noTime},
		{"timeout a string", with(`:60}`, `:"60"}`), noLimit},
		{"timeout negative", with(`:60}`, `:-60}`), noLimit},
		{"timeout of 31 years", with(`:60}`, `:999999999}`), noLimit},
		{"input null", with(`"Input":{`, `"Input":null,"Other":{`), noQuote},
		{"input an array", with(`"Input":{`, `"Input":[],"Other":{`), noQuote},
		{"price a string", with(`42`, `"42"`), noQuote},
		{"price negative", with(`42`, `-42`), noQuote},
		{"symbol with a line break", with(`"AMZN"`, `"AMZN\nExecution  `+marker+`"`), noQuote},
		{"qty null", with(`"qty":5`, `"qty":null`), noQuote},
		{"quote without an id", with(`"quote_id"`, `"id"`), noQuote},
		{"recommendation an object", with(`"buy"`, `{"a":"\n`+"\u202e"+`"}`), ""},
		{"recommendation of many lines", with(`"buy"`, `"buy\r\n\r\n  go run ./desk 'evil'"`), ""},
	}
	client := sqs.NewFromConfig(r.AWSConfig("developer"))
	queue := r.queueURL()
	var first []types.SendMessageBatchRequestEntry
	for i, test := range tests[:10] {
		first = append(first, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint("m", i)), MessageBody: &test.body})
	}
	if _, err := client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &queue, Entries: first}); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests[10:] {
		if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &test.body}); err != nil {
			t.Fatalf("send %s: %v", test.name, err)
		}
	}
	r.emptyQueue(t)
	for _, test := range tests {
		t.Run("message "+test.name, func(t *testing.T) {
			id, _ := served.find(t, test.body)
			line := r.logOf(t, id)
			if test.want == "" && line["message"] != "notice published" {
				t.Errorf("logged %v, want a notice", line)
			}
			if test.want != "" && (line["message"] != "malformed request dropped" || line["error"] != test.want) {
				t.Errorf("logged %v, want %s", line, test.want)
			}
		})
	}
	if _, size := served.find(t, good); size == 1 {
		t.Error("the good message was in a batch of its own")
	}
	for _, n := range r.notices(t) {
		if strings.Count(n.Message, "\n") != 21 || strings.Contains(n.Message+n.Subject, marker) || strings.Contains(n.Message, "\n  go run ./desk 'evil'") {
			t.Errorf("notice %q: %q", n.Subject, n.Message)
		}
	}
	for _, arn := range []string{"good", "token"} {
		r.notice(t, "arn:aws:states:us-east-1:123456789012:execution:Forged:"+arn)
	}
}

// answer is what somebody sends to a token.
type answer func(ctx context.Context, client *sfn.Client, token string) error

func success(output string) answer {
	return func(ctx context.Context, client *sfn.Client, token string) error {
		_, err := client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output})
		return err
	}
}

func failure(name, cause string) answer {
	return func(ctx context.Context, client *sfn.Client, token string) error {
		_, err := client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: &token, Error: &name, Cause: &cause})
		return err
	}
}

// to sends an answer to another token than it is given.
func (a answer) to(change func(token string) string) answer {
	return func(ctx context.Context, client *sfn.Client, token string) error {
		return a(ctx, client, change(token))
	}
}

// Answers that the API refuses: the wait stays open for a good one.
func (r *running) badAnswers(t *testing.T) {
	forged := func(string) string { return "AAAA" + marker }
	empty := func(string) string { return "" }
	damaged := func(token string) string { return strings.ToLower(token) }
	longer := func(token string) string { return token + "A" }
	ended := r.startExecution(t, `{}`)
	old := r.token(t, ended)
	r.decide(t, ended, failure("TradeDeclined", "a test"))
	r.end(t, ended)
	endedToken := func(string) string { return old }
	for _, test := range []struct {
		name   string
		answer answer
		code   string
	}{
		{"success, forged token", success(`{}`).to(forged), "InvalidToken"},
		{"failure, forged token", failure("BuyInstead", "").to(forged), "InvalidToken"},
		{"success, empty token", success(`{}`).to(empty), "ValidationException"},
		{"failure, empty token", failure("BuyInstead", "").to(empty), "ValidationException"},
		{"success, damaged token", success(`{}`).to(damaged), "InvalidToken"},
		{"success, token with something at its end", success(`{}`).to(longer), "InvalidToken"},
		{"success, token of an execution that has ended", success(`{}`).to(endedToken), "TaskTimedOut"},
		{"failure, token of an execution that has ended", failure("SellInstead", "").to(endedToken), "TaskTimedOut"},
		{"output that is not JSON", success(`approve`), "InvalidOutput"},
		{"output that is empty", success(``), "InvalidOutput"},
		{"output of two values", success(`{}{}`), "InvalidOutput"},
		{"output over 262,144 bytes", success(`"` + strings.Repeat("A", maxInput-1) + `"`), "InvalidOutput"},
		{"error over 256 characters", failure(strings.Repeat("E", 257), ""), "ValidationException"},
		{"cause over 32,768 characters", failure("TradeDeclined", strings.Repeat("C", 32_769)), "ValidationException"},
	} {
		arn := r.startExecution(t, `{}`)
		t.Run("answer of "+test.name, func(t *testing.T) {
			token := r.token(t, arn)
			err := test.answer(t.Context(), r.sfn, token)
			wantCode(t, err, test.code)
			if text := err.Error(); strings.Contains(text, token) || strings.Contains(text, marker) || strings.Contains(text, old) {
				t.Errorf("the error holds a token: %.200s", text)
			}
			r.decide(t, arn, failure("TradeDeclined", "a test"))
			if x, report := r.end(t, arn); x.Status != states.StatusSucceeded || report["outcome"] != "declined" {
				t.Errorf("the execution is %s, report %v", x.Status, report)
			}
		})
	}
}

// asked is an execution whose requests are answered while the test goes on.
type asked struct {
	arn  string
	done chan error
}

// answers starts an execution and sends the answer to so many of its requests, each of
// which has another token.
func (r *running) answers(t *testing.T, times int, a answer) asked {
	t.Helper()
	x := asked{r.startExecution(t, `{"qty":5}`), make(chan error, 1)}
	ctx := t.Context()
	go func() {
		x.done <- func() error {
			last := ""
			for range times {
				token, err := r.newToken(ctx, x.arn, last)
				if err != nil {
					return err
				}
				if last != "" {
					var over *sfntypes.TaskTimedOut
					if err := success(`{}`)(ctx, r.sfn, last); !errors.As(err, &over) {
						return fmt.Errorf("an answer to an old token of %s: got error %v, want TaskTimedOut", x.arn, err)
					}
				}
				if err := a(ctx, r.sfn, token); err != nil {
					return err
				}
				last = token
			}
			return nil
		}()
	}()
	return x
}

// Answers that the API takes, and nobody would send from the desk. The function that is
// returned waits for them to end, and returns the executions without a report.
func (r *running) oddAnswers(t *testing.T) (check func() (unreported []string)) {
	failed := map[string]any{"outcome": "failed", "trade_placed": "no"}
	const hostile = "'\"\\{}\r\n\u202e\u200b</script>$(reboot)"
	tests := []struct {
		name   string
		answer answer // to each request of the execution
		asked  int    // how often there was one
		status states.Status
		err    string         // of the execution
		want   map[string]any // in the report; nil for none
	}{
		// Success means to go ahead, whatever comes with it.
		{"null", success(`null`), 1, states.StatusSucceeded, "", map[string]any{"outcome": "traded"}},
		{"a refusal as success", success(`{"decision":"decline"}`), 1, states.StatusSucceeded, "", map[string]any{"outcome": "traded"}},
		{"another trade", success(`{"symbol":"X","qty":1000,"recommended_type":"sell"}`), 1, states.StatusSucceeded, "", map[string]any{"outcome": "traded", "symbol": "AMZN", "qty": "5"}},
		{"something 1,000 levels deep", success(nested(1_000)), 1, states.StatusSucceeded, "", map[string]any{"outcome": "traded"}},
		{"262,144 bytes", success(`"` + strings.Repeat("A", maxInput-2) + `"`), 1, states.StatusSucceeded, "", map[string]any{"outcome": "traded"}},
		// The named answers, with causes that no desk sends.
		{"a hostile cause", failure("TradeDeclined", hostile), 1, states.StatusSucceeded, "", map[string]any{"outcome": "declined", "decision": map[string]any{"Error": "TradeDeclined", "Cause": hostile}}},
		{"a cause of 32,768 characters", failure("TradeDeclined", strings.Repeat("\u20ac", 32_768)), 1, states.StatusSucceeded, "", map[string]any{"outcome": "declined"}},
		{"buy, with no cause", failure("BuyInstead", ""), 1, states.StatusSucceeded, "", map[string]any{"outcome": "traded", "type": "buy"}},
		{"sell, with no cause", failure("SellInstead", ""), 1, states.StatusSucceeded, "", map[string]any{"outcome": "traded", "type": "sell"}},
		{"a timeout that was none", failure("States.Timeout", "it took too long"), 1, states.StatusSucceeded, "", map[string]any{"outcome": "expired"}},
		// An unknown name is taken for a request that was not delivered: asked again three times, then reported.
		{"an unknown error", failure("Maybe", "later"), 4, states.StatusFailed, "TradeFailed", map[string]any{"outcome": "failed", "failed_state": "Request Human Approval", "trade_placed": "no"}},
		{"an answer in another case", failure("buyinstead", ""), 4, states.StatusFailed, "TradeFailed", failed},
		{"two answers at once", failure("BuyInstead,SellInstead", ""), 4, states.StatusFailed, "TradeFailed", failed},
		{"an error of everything", failure("States.ALL", ""), 4, states.StatusFailed, "TradeFailed", failed},
		{"an error of 256 characters", failure(strings.Repeat("E", 256), ""), 4, states.StatusFailed, "TradeFailed", failed},
		{"an error with quotes in its cause", failure("Maybe", strings.Repeat(`"`, 32_768)), 4, states.StatusFailed, "TradeFailed", failed},
		{"an error without a name", failure("", "later"), 4, states.StatusFailed, "TradeFailed", map[string]any{"outcome": "failed", "trade_placed": "no", "failure": map[string]any{"Error": nil, "Cause": "later"}}},
		{"a cause that takes six times its length in JSON", failure("Maybe", strings.Repeat("\x01", 32_768)), 4, states.StatusFailed, "TradeFailed", failed},
		{"a hostile error", failure(hostile, hostile), 4, states.StatusFailed, "TradeFailed", map[string]any{"outcome": "failed", "trade_placed": "no", "failure": map[string]any{"Error": hostile, "Cause": hostile}}},
		{"the error States.DataLimitExceeded", failure("States.DataLimitExceeded", "x"), 4, states.StatusFailed, "TradeFailed", failed},
		// It ends the execution past every Catch: the alarm on failed executions reports it.
		{"the error States.Runtime", failure("States.Runtime", "x"), 1, states.StatusFailed, "States.Runtime", nil},
	}
	var executions []asked
	for _, test := range tests {
		executions = append(executions, r.answers(t, test.asked, test.answer))
	}
	return func() (unreported []string) {
		for i, test := range tests {
			arn := executions[i].arn
			if test.want == nil {
				unreported = append(unreported, arn)
			}
			t.Run("answer of "+test.name, func(t *testing.T) {
				if err := <-executions[i].done; err != nil {
					t.Fatal(err)
				}
				x := r.wait(t, arn)
				if x.Status != test.status || x.Error != test.err {
					t.Errorf("the execution is %s: %q, %q", x.Status, x.Error, x.Cause)
				}
				if test.want == nil {
					r.untraded(t, arn)
					return
				}
				_, report := r.end(t, arn)
				for key, want := range test.want {
					if fmt.Sprint(report[key]) != fmt.Sprint(want) {
						t.Errorf("the report's %s is %v, want %v", key, report[key], want)
					}
				}
				if test.status == states.StatusFailed && !strings.HasPrefix(x.Cause, "Request Human Approval failed. Trade placed: no. Id: ") {
					t.Errorf("the cause is %q", x.Cause)
				}
			})
		}
		return unreported
	}
}

// untraded checks that an execution came to no trade.
func (r *running) untraded(t *testing.T, arn string) {
	t.Helper()
	out, err := r.Engine().GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range out.Events {
		if e.Details.Name == "Buy Stock" || e.Details.Name == "Sell Stock" {
			t.Errorf("it came to %s", e.Details.Name)
		}
	}
}

// nothingLeft looks once more when everything has ended.
func (r *running) nothingLeft(t *testing.T, unreported []string) {
	r.emptyQueue(t)
	executions := 0
	for page := (&sfn.ListExecutionsInput{StateMachineArn: aws.String(r.StateMachineARN()), MaxResults: 1000}); ; {
		out, err := r.Engine().ListExecutions(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range out.Executions {
			executions++
			if x.Status == states.StatusRunning {
				r.end(t, x.ARN)
			}
			want := 1
			if slices.Contains(unreported, x.ARN) {
				want = 0
			}
			if got := len(r.reports(t, x.ARN)); got != want {
				t.Errorf("%s is %s and has %d reports, want %d", x.Name, x.Status, got, want)
			}
		}
		if page.NextToken = &out.NextToken; out.NextToken == "" {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	secrets := []string{marker}
	for _, e := range r.events {
		if token := tokenIn(e); token != "" {
			secrets = append(secrets, token)
		}
	}
	for _, secret := range secrets {
		for _, line := range r.logs {
			if strings.Contains(line, secret) {
				t.Errorf("a secret is in the log: %.300s", line)
			}
		}
		for _, n := range r.notifications {
			if strings.Contains(n.Subject+n.Message, secret) {
				t.Errorf("a secret is in a notification: %.300s", n.Message)
			}
		}
	}
	t.Logf("%d executions, %d tokens, %d notifications, %d lines of log", executions, len(secrets)-1, len(r.notifications), len(r.logs))
}

// tokenIn returns the token of an event that asks a person, or nothing.
func tokenIn(e states.HistoryEvent) string {
	var parameters struct{ MessageBody struct{ TaskToken string } }
	if e.Type != "TaskScheduled" || json.Unmarshal([]byte(e.Details.Parameters), &parameters) != nil {
		return ""
	}
	return parameters.MessageBody.TaskToken
}

// token waits for an execution to ask.
func (r *running) token(t *testing.T, arn string) string {
	t.Helper()
	token, err := r.newToken(t.Context(), arn, "")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// newToken waits for an execution's newest token, which must be another than the last.
func (r *running) newToken(ctx context.Context, arn, last string) (string, error) {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		out, err := r.Engine().GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: &arn, ReverseOrder: true})
		if err != nil {
			return "", err
		}
		for _, e := range out.Events {
			if strings.HasPrefix(e.Type, "Execution") && e.Type != "ExecutionStarted" {
				return "", fmt.Errorf("%s asks no more, it has ended with %s: %s", arn, e.Type, e.Details.Cause)
			}
			if token := tokenIn(e); token == last && last != "" {
				break
			} else if token != "" {
				return token, nil
			}
		}
	}
	return "", fmt.Errorf("%s does not ask", arn)
}

// decide answers the request of an execution.
func (r *running) decide(t *testing.T, arn string, a answer) {
	t.Helper()
	if err := a(t.Context(), r.sfn, r.token(t, arn)); err != nil {
		t.Fatalf("answer %s: %v", arn, err)
	}
}

// notices are those that ask a person.
func (r *running) notices(t *testing.T) (list []system.Notification) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.notifications {
		if n.Attributes["type"] == "approval-requested" {
			list = append(list, n)
		}
	}
	return list
}

// notice waits for the one of an execution.
func (r *running) notice(t *testing.T, arn string) system.Notification {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, n := range r.notices(t) {
			if n.Attributes["execution"] == arn {
				return n
			}
		}
	}
	t.Fatalf("no notice of %+q", arn)
	return system.Notification{}
}

func (r *running) queueURL() string { return r.Stack().ByType("AWS::SQS::Queue")[0].Ref }

// emptyQueue waits until every message has been served for good.
func (r *running) emptyQueue(t *testing.T) {
	t.Helper()
	client := sqs.NewFromConfig(r.AWSConfig("developer"))
	queue := r.queueURL()
	var left map[string]string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
		if err != nil {
			t.Fatal(err)
		}
		left = out.Attributes
		if left["ApproximateNumberOfMessages"] == "0" && left["ApproximateNumberOfMessagesNotVisible"] == "0" {
			return
		}
	}
	t.Errorf("the queue is not empty: %v", left)
}

// logOf returns the line that a function logged about a message.
func (r *running) logOf(t *testing.T, messageID string) map[string]any {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.logs {
		if !strings.Contains(line, messageID) {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line[strings.Index(line, "{"):]), &fields); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		return fields
	}
	t.Fatalf("nothing is logged about message %s", messageID)
	return nil
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("got error %v, want %s", err, code)
	}
}
