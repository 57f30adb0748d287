package states

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

// What AWS recorded, held against what this engine records: the facts of histories in LocalStack's public repository,
// github.com/localstack/localstack, from tests that it marks as validated on AWS. Each case names the file below
// tests/aws/services/stepfunctions/v2, the test and the day. The definitions and the data are this project's own.
// docs/recordings.md lists what is held against what.

// fact is an event as AWS recorded it: its type, and its details without those of the data's size.
type fact struct {
	Type string
	Details
}

// chain numbers facts as AWS does: each event follows from the one before it, but for the first state's entry and an
// abortion.
func chain(facts []fact) []HistoryEvent {
	var events []HistoryEvent
	for i, f := range facts {
		e := HistoryEvent{ID: int64(i) + 1, PreviousID: int64(i), Type: f.Type, Details: f.Details}
		if i == 1 || f.Type == "ExecutionAborted" {
			e.PreviousID = 0
		}
		events = append(events, e)
	}
	return events
}

// reply is how a task of a case ends.
type reply struct {
	output string
	err    error
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	const (
		f       = function + "F"
		invoke  = "arn:aws:states:::lambda:invoke"
		sent    = `{"MessageId":"m"}`
		caught  = `,"Caught":{"Type":"Pass","End":true}`
		asks    = `"Parameters":{"QueueUrl":"q","MessageBody":{"Message.$":"$.m","TaskToken.$":"$$.Task.Token"}},`
		raised  = `{"errorMessage":"raised","errorType":"Exception"}`
		tooMuch = "The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit."
	)
	one := func(state, more string) string { return `{"StartAt":"S","States":{"S":` + state + more + `}}` }
	task := func(resource, fields, more string) string { return one(taskState(resource, fields), more) }
	of := func(resourceType, resource string) func(Details) Details {
		return func(d Details) Details {
			d.ResourceType, d.Resource = resourceType, resource
			return d
		}
	}
	sqs, lambda, sns := of("sqs", "sendMessage.waitForTaskToken"), of("lambda", "invoke"), of("sns", "publish")
	started := func(input string) fact {
		return fact{"ExecutionStarted", Details{Input: input, RoleARN: role}}
	}
	// begun are the events up to the entry of the state S.
	begun := func(stateType, input string) []fact {
		return []fact{started(input), {stateType + "StateEntered", Details{Name: "S", Input: input}}}
	}
	// exited are the events of a task that ends the execution.
	exited := func(output string) []fact {
		return []fact{{"TaskStateExited", Details{Name: "S", Output: output}}, {"ExecutionSucceeded", Details{Output: output}}}
	}
	// asked are the events of a wait up to its answer; TOKEN stands for the token.
	asked := func(seconds int64) []fact {
		parameters := `{"QueueUrl":"q","MessageBody":{"Message":1,"TaskToken":"TOKEN"}}`
		return append(begun("Task", `{"m":1}`),
			fact{"TaskScheduled", sqs(Details{Region: "eu-west-1", Parameters: parameters, TimeoutInSeconds: seconds})},
			fact{"TaskStarted", sqs(Details{})},
			fact{"TaskSubmitted", sqs(Details{Output: sent})})
	}
	// called are the events of a function's call.
	called := func(input string, seconds int64) []fact {
		return append(begun("Task", input),
			fact{"LambdaFunctionScheduled", Details{Resource: f, Input: input, TimeoutInSeconds: seconds}},
			fact{"LambdaFunctionStarted", Details{}})
	}
	// ended are the events of a Pass state that ends the execution.
	ended := func(name, input, output string) []fact {
		return []fact{
			{"PassStateEntered", Details{Name: name, Input: input}},
			{"PassStateExited", Details{Name: name, Output: output}},
			{"ExecutionSucceeded", Details{Output: output}},
		}
	}
	failed := func(name, cause string) fact { return fact{"ExecutionFailed", Details{Error: name, Cause: cause}} }
	var attempts []fact
	for n := range 4 {
		attempts = append(attempts,
			fact{"TaskScheduled", lambda(Details{Region: "eu-west-1", Parameters: fmt.Sprintf(`{"RetryCount":%d}`, n)})},
			fact{"TaskStarted", lambda(Details{})},
			fact{"TaskFailed", lambda(Details{Error: "Exception", Cause: raised})},
		)
	}
	join := slices.Concat[[]fact]
	caughtAs := func(cause string) string { return `{"Error":"States.DataLimitExceeded","Cause":"` + cause + `"}` }
	large := `"` + strings.Repeat("é", maxData/2) + `"`
	raisedAs := `{"Error":"Exception","Cause":"{\"errorMessage\":\"raised\",\"errorType\":\"Exception\"}"}`
	attributes := `{"TopicArn":"t","Message":"Hello","MessageAttributes":{"one":{"DataType":"String","StringValue":"1"}}}`
	functionTooMuch, serviceTooMuch := fmt.Sprintf(tooMuch, f), fmt.Sprintf(tooMuch, "lambda")
	noTopic := "Topic does not exist (Service: AmazonSNS; Status Code: 404; Error Code: NotFound; Request ID: r; Proxy: null)"

	tests := []struct {
		from       string // file, test, day
		definition string
		input      string
		reply      reply
		send       func(e *Engine, token string) error // the answer to a wait
		stop       bool
		want       []fact
	}{
		{
			from:       "callback/test_callback test_sqs_wait_for_task_token 2023-06-25",
			definition: task(wait, asks, ""), input: `{"m":1}`, reply: reply{output: sent},
			send: func(e *Engine, token string) error { return e.SendTaskSuccess(success(token, `"done"`)) },
			want: join(asked(0), []fact{{"TaskSucceeded", sqs(Details{Output: `"done"`})}}, exited(`"done"`)),
		},
		{
			from:       "callback/test_callback test_sqs_wait_for_task_token_timeout 2024-03-10",
			definition: task(wait, `"TimeoutSeconds":1,`+asks, ""), input: `{"m":1}`, reply: reply{output: sent},
			want: join(asked(1), []fact{{"TaskTimedOut", sqs(Details{Error: "States.Timeout"})}, failed("States.Timeout", "")}),
		},
		{
			from:       "callback/test_callback test_sqs_failure_in_wait_for_task_token 2023-06-25",
			definition: task(wait, asks, ""), input: `{"m":1}`, reply: reply{output: sent},
			send: func(e *Engine, token string) error {
				return e.SendTaskFailure(failure(token, "Failure error", "Failure cause"))
			},
			want: join(asked(0), []fact{
				{"TaskFailed", sqs(Details{Error: "Failure error", Cause: "Failure cause"})}, failed("Failure error", "Failure cause"),
			}),
		},
		{
			from:       "callback/test_callback test_sqs_failure_in_wait_for_task_tok_no_error_field[SQS_WAIT_FOR_TASK_TOKEN_CATCH] 2024-04-29",
			definition: task(wait, asks+catchAll, caught), input: `{"m":1}`, reply: reply{output: sent},
			send: func(e *Engine, token string) error { return e.SendTaskFailure(failure(token, "", "")) },
			want: join(asked(0), []fact{
				{"TaskFailed", sqs(Details{})},
				{"TaskStateExited", Details{Name: "S", Output: `{"m":1,"failure":{"Error":null,"Cause":null}}`}},
			}, ended("Caught", `{"m":1,"failure":{"Error":null,"Cause":null}}`, `{"m":1,"failure":{"Error":null,"Cause":null}}`)),
		},
		{
			from:       "services/test_lambda_task test_invoke_json_values[0.0] 2023-08-04",
			definition: task(f, "", ""), input: `0.0`, reply: reply{output: `0.0`},
			want: join(called(`0.0`, 0), []fact{{"LambdaFunctionSucceeded", Details{Output: `0.0`}}}, exited(`0.0`)),
		},
		{
			from:       "error_handling/test_task_lambda test_raise_exception 2023-06-22",
			definition: task(f, "", ""), input: `{}`, reply: reply{err: &Error{"Exception", raised}},
			want: join(called(`{}`, 0), []fact{{"LambdaFunctionFailed", Details{Error: "Exception", Cause: raised}}, failed("Exception", raised)}),
		},
		{
			from: "error_handling/test_task_lambda test_raise_exception_catch 2023-06-22",
			definition: task(f, `"Catch":[{"ErrorEquals":["States.TaskFailed"],"Next":"Put"}],`,
				`,"Put":{"Type":"Pass","ResultPath":"$.error","End":true}`),
			input: `{}`, reply: reply{err: &Error{"Exception", raised}},
			want: join(called(`{}`, 0), []fact{
				{"LambdaFunctionFailed", Details{Error: "Exception", Cause: raised}}, {"TaskStateExited", Details{Name: "S", Output: raisedAs}},
			}, ended("Put", raisedAs, raisedAs[:len(raisedAs)-1]+`,"error":`+raisedAs+`}`)),
		},
		{
			from:       "timeouts/test_timeouts test_fixed_timeout_lambda 2024-03-10",
			definition: task(f, `"TimeoutSeconds":1,`, ""), input: `{}`,
			want: join(called(`{}`, 1), []fact{{"LambdaFunctionTimedOut", Details{Error: "States.Timeout"}}, failed("States.Timeout", "")}),
		},
		{
			from:       "error_handling/test_states_errors test_task_lambda_data_limit_exceeded_on_large_utf8_response 2024-03-21",
			definition: task(f, `"Catch":[{"ErrorEquals":["States.DataLimitExceeded"],"Next":"Caught"}],`, caught),
			input:      `{}`, reply: reply{output: large},
			want: join(called(`{}`, 0), []fact{
				{"LambdaFunctionFailed", Details{Error: "States.DataLimitExceeded", Cause: functionTooMuch}},
				{"TaskStateExited", Details{Name: "S", Output: caughtAs(functionTooMuch)}},
			}, ended("Caught", caughtAs(functionTooMuch), caughtAs(functionTooMuch))),
		},
		{
			from:       "error_handling/test_states_errors test_service_task_lambada_catch_state_all_data_limit_exceeded_on_large_utf8_response 2024-03-21",
			definition: task(invoke, `"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Caught"}],`, caught),
			input:      `{}`, reply: reply{output: large},
			want: join(begun("Task", `{}`), []fact{
				{"TaskScheduled", lambda(Details{Region: "eu-west-1", Parameters: `{}`})},
				{"TaskStarted", lambda(Details{})},
				{"TaskFailed", lambda(Details{Error: "States.DataLimitExceeded", Cause: serviceTooMuch})},
				{"TaskStateExited", Details{Name: "S", Output: caughtAs(serviceTooMuch)}},
			}, ended("Caught", caughtAs(serviceTooMuch), caughtAs(serviceTooMuch))),
		},
		{
			from: "scenarios/test_base_scenarios test_lambda_service_invoke_with_retry_extended_input 2023-10-24",
			definition: task(invoke, `"Parameters":{"RetryCount.$":"$$.State.RetryCount"},`+
				`"Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":1,"MaxAttempts":3,"BackoffRate":1}],`+
				`"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Caught"}],`, caught),
			input: `{}`, reply: reply{err: &Error{"Exception", raised}},
			want: join(begun("Task", `{}`), attempts,
				[]fact{{"TaskStateExited", Details{Name: "S", Output: raisedAs}}}, ended("Caught", raisedAs, raisedAs)),
		},
		{
			from:       "scenarios/test_base_scenarios test_lambda_empty_retry 2023-11-23",
			definition: task(f, `"Retry":[],`, ""), input: `{}`, reply: reply{err: &Error{"Exception", raised}},
			want: join(called(`{}`, 0), []fact{{"LambdaFunctionFailed", Details{Error: "Exception", Cause: raised}}, failed("Exception", raised)}),
		},
		{
			from:       "scenarios/test_base_scenarios test_catch_states_runtime 2023-11-23",
			definition: task(f, `"OutputPath":"$.no.such.result.path","Catch":[{"ErrorEquals":["States.Runtime"],"Next":"Caught"}],`, caught),
			input:      `{}`, reply: reply{output: `{}`},
			want: join(called(`{}`, 0), []fact{
				{"LambdaFunctionSucceeded", Details{Output: `{}`}},
				failed("States.Runtime", "An error occurred while executing the state 'S' (entered at the event id #2). Invalid path '$.no.such.result.path' : Missing property in path $['no']"),
			}),
		},
		{
			from: "scenarios/test_base_scenarios test_choice_singleton_composite 2023-11-23",
			definition: one(`{"Type":"Choice","Choices":[{"Not":{"Variable":"$.type","StringEquals":"Private"},"Next":"Public"}]}`,
				`,"Public":{"Type":"Pass","End":true}`),
			input: `{"type":"Public","value":22}`,
			want: join(begun("Choice", `{"type":"Public","value":22}`), []fact{
				{"ChoiceStateExited", Details{Name: "S", Output: `{"type":"Public","value":22}`}},
			}, ended("Public", `{"type":"Public","value":22}`, `{"type":"Public","value":22}`)),
		},
		{
			from:       "base/test_base test_state_pass_result 2024-02-07",
			definition: one(`{"Type":"Pass","Result":{"Arg1":"argument1"},"End":true}`, ""), input: `{}`,
			want: join([]fact{started(`{}`)}, ended("S", `{}`, `{"Arg1":"argument1"}`)),
		},
		{
			from:       "base/test_base test_state_pass_result_jsonpaths 2024-02-07",
			definition: one(`{"Type":"Pass","Result":{"a.$":"$.jsonpath","b.$":"$$"},"End":true}`, ""), input: `{}`,
			want: join([]fact{started(`{}`)}, ended("S", `{}`, `{"a.$":"$.jsonpath","b.$":"$$"}`)),
		},
		{
			from:       "base/test_base test_state_fail 2024-03-06",
			definition: one(`{"Type":"Fail","Error":"SomeFailure","Cause":"why"}`, ""), input: `{}`,
			want: append(begun("Fail", `{}`), failed("SomeFailure", "why")),
		},
		{
			from:       "base/test_base test_state_fail_empty 2024-03-06",
			definition: one(`{"Type":"Fail"}`, ""), input: `{}`,
			want: append(begun("Fail", `{}`), failed("", "")),
		},
		{
			from:       "base/test_base test_state_fail_path 2024-02-07",
			definition: one(`{"Type":"Fail","ErrorPath":"$.Error","CausePath":"$.Cause"}`, ""), input: `{"Error":"e","Cause":"c"}`,
			want: append(begun("Fail", `{"Error":"e","Cause":"c"}`), failed("e", "c")),
		},
		{
			from:       "base/test_base test_state_fail_intrinsic 2024-02-07",
			definition: one(`{"Type":"Fail","ErrorPath":"States.Format('{}', $.Error)","CausePath":"States.Format('{}, caused by {}.', $.Error, $.Cause)"}`, ""),
			input:      `{"Error":"e","Cause":"c"}`,
			want:       append(begun("Fail", `{"Error":"e","Cause":"c"}`), failed("e", "e, caused by c.")),
		},
		{
			from:       "scenarios/test_base_scenarios test_invalid_jsonpath[INVALID_JSONPATH_IN_ERRORPATH] 2025-01-02",
			definition: `{"StartAt":"pass","States":{"pass":{"Type":"Pass","Next":"fail"},"fail":{"Type":"Fail","ErrorPath":"$.ErrorX"}}}`,
			input:      `{"a":1}`,
			want: []fact{
				started(`{"a":1}`),
				{"PassStateEntered", Details{Name: "pass", Input: `{"a":1}`}},
				{"PassStateExited", Details{Name: "pass", Output: `{"a":1}`}},
				{"FailStateEntered", Details{Name: "fail", Input: `{"a":1}`}},
				failed("States.Runtime", `An error occurred while executing the state 'fail' (entered at the event id #4). The JSONPath '$.ErrorX' specified for the field 'ErrorPath' could not be found in the input '{"a":1}'`),
			},
		},
		{
			from:       "scenarios/test_base_scenarios test_wait_timestamp_path[NO_T] 2024-12-27",
			definition: one(`{"Type":"Wait","TimestampPath":"$.at","End":true}`, ""), input: `{"at":"2016-12-05 21:29:29Z"}`,
			want: append(begun("Wait", `{"at":"2016-12-05 21:29:29Z"}`),
				failed("States.Runtime", "An error occurred while executing the state 'S' (entered at the event id #2). The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: $.at == 2016-12-05 21:29:29Z")),
		},
		{
			from: "services/test_sns_task_service test_publish_message_attributes[HelloWorld] 2024-02-01",
			definition: task(publish, `"Parameters":{"TopicArn":"t","Message.$":"$.m","MessageAttributes":`+
				`{"one":{"DataType":"String","StringValue.$":"$.v"}}},`, ""),
			input: `{"m":"Hello","v":"1"}`, reply: reply{output: sent},
			want: join(begun("Task", `{"m":"Hello","v":"1"}`), []fact{
				{"TaskScheduled", sns(Details{Region: "eu-west-1", Parameters: attributes})},
				{"TaskStarted", sns(Details{})},
				{"TaskSucceeded", sns(Details{Output: sent})},
			}, exited(sent)),
		},
		{
			from:       "services/test_sns_task_service test_publish_base_error_topic_arn 2023-09-03",
			definition: task(publish, `"Parameters":{"TopicArn":"t","Message":"m"},`, ""), input: `{}`,
			reply: reply{err: &Error{"SNS.NotFoundException", noTopic}},
			want: join(begun("Task", `{}`), []fact{
				{"TaskScheduled", sns(Details{Region: "eu-west-1", Parameters: `{"TopicArn":"t","Message":"m"}`})},
				{"TaskStarted", sns(Details{})},
				{"TaskFailed", sns(Details{Error: "SNS.NotFoundException", Cause: noTopic})},
				failed("SNS.NotFoundException", noTopic),
			}),
		},
		{
			from:       "test_sfn_api test_stop_execution 2024-05-06",
			definition: one(`{"Type":"Wait","Seconds":600,"End":true}`, ""), input: `{}`, stop: true,
			want: append(begun("Wait", `{}`), fact{"ExecutionAborted", Details{}}),
		},
	}
	for _, test := range tests {
		t.Run(test.from, func(t *testing.T) {
			t.Parallel()
			tokens := make(chan string, 1)
			e := launch(t, test.definition, func(ctx context.Context, task Task) (json.RawMessage, error) {
				if task.Token != "" {
					tokens <- task.Token
				}
				if test.reply == (reply{}) {
					<-ctx.Done() // it takes too long
				}
				return json.RawMessage(test.reply.output), test.reply.err
			}, func(c *Config) { c.RetryInterval = 1e6 })
			arn := begin(t, e, test.input)
			token := ""
			if test.send != nil {
				token = <-tokens
				eventually(t, func() bool { return len(history(t, e, arn)) == len(asked(0)) })
				ok(t, test.send(e, token))
			}
			if test.stop {
				eventually(t, func() bool { return len(history(t, e, arn)) == 2 })
				must(e.StopExecution(&sfn.StopExecutionInput{ExecutionArn: &arn}))(t)
			}
			await(t, e, arn)
			got := history(t, e, arn)
			if token == "" && len(tokens) > 0 {
				token = <-tokens
			}
			for i := range got {
				got[i].Timestamp = Time{}
				if token != "" {
					got[i].Details.Parameters = strings.ReplaceAll(got[i].Details.Parameters, token, "TOKEN")
				}
			}
			equal(t, "history", chain(test.want), got)
		})
	}
}

// format is a state that formats a text.
func format(template, arguments string) string {
	return fmt.Sprintf(`{"Type":"Pass","Parameters":{"r.$":"States.Format('%s', %s)"},"End":true}`, template, arguments)
}

// What the states of a definition made of their input on AWS.
func TestRecordedResults(t *testing.T) {
	t.Parallel()
	is := func(test string) string {
		return `{"Type":"Choice","Choices":[{"Variable":"$.v",` + test + `,"Next":"Caught"}],"Default":"No"}`
	}
	const (
		sum   = `{"Type":"Pass","Parameters":{"r.$":"States.MathAdd($.a, $.b)"},"End":true}`
		read  = `{"Type":"Pass","Parameters":{"r.$":"States.StringToJson($.a)"},"End":true}`
		split = `{"Type":"Pass","Parameters":{"r.$":"States.StringSplit($.a, $.b)"},"End":true}`
	)
	checkResults(t, []result{
		// intrinsic_functions/test_generic test_format_1 and test_format_2, 2023-02-09
		{"a text", format("is {}.", "$.a"), `{"a":""}`, `{"r":"is ."}`},
		{"null", format("is {}.", "$.a"), `{"a":null}`, `{"r":"is null."}`},
		{"1.1", format("is {}.", "$.a"), `{"a":1.1}`, `{"r":"is 1.1."}`},
		{"an object", format("is {} and {}.", "$.a, $.a"), `{"a":{"Arg1":1,"Arg2":[]}}`, `{"r":"is {Arg1=1, Arg2=[]} and {Arg1=1, Arg2=[]}."}`},
		{"JSON", format("is {}.", "$.a"), `{"a":"{\"Arg1\": 1, \"Arg2\": []}"}`, `{"r":"is {\"Arg1\": 1, \"Arg2\": []}."}`},
		// intrinsic_functions/test_string_operations test_string_split, 2024-12-05
		{"split", split, `{"a":"This.is+a,test=string","b":".+,="}`, `{"r":["This","is","a","test","string"]}`},
		{"split nothing", split, `{"a":",,,,","b":","}`, `{"r":[]}`},
		{"split gaps", split, `{"a":", , ,","b":","}`, `{"r":[" "," "]}`},
		// intrinsic_functions/test_math_operations test_math_add, 2023-09-13 and later
		{"the sum of 1.49 and 1.5", sum, `{"a":1.49,"b":1.5}`, `{"r":3}`},
		{"the sum of 1.5 and 1.51", sum, `{"a":1.5,"b":1.51}`, `{"r":4}`},
		{"the sum of -1.49 and -1.5", sum, `{"a":-1.49,"b":-1.5}`, `{"r":-2}`},
		{"the sum of -0.5 and 0.5", sum, `{"a":-0.5,"b":0.5}`, `{"r":1}`},
		{"the sum of -2.5 and 0", sum, `{"a":-2.5,"b":0}`, `{"r":-2}`},
		{"the sum of -0.5 and 0", sum, `{"a":-0.5,"b":0}`, `{"r":0}`},
		// intrinsic_functions/test_json_manipulation test_string_to_json, 2023-02-09
		{"no JSON", read, `{"a":" "}`, `{"r":null}`},
		{"JSON of -0", read, `{"a":"-0"}`, `{"r":0}`},
		{"JSON of 1.1", read, `{"a":"1.1"}`, `{"r":1.1}`},
		// intrinsic_functions/test_generic test_context_json_path, test_nested_calls_2 and test_escape_sequence, November 2023
		{"an object of the context", format("is {}.", "$$.StateMachine"), `{}`, `{"r":"is {Id=` + machine + `, Name=StockTrading}."}`},
		{
			"calls in calls", `{"Type":"Pass","Parameters":{"r.$":"States.ArrayGetItem(States.StringSplit($.a, '-'), ` +
				`States.MathAdd(States.ArrayLength(States.StringSplit($.a, '-')), -1))"},"End":true}`, `{"a":"x-y-z"}`, `{"r":"z"}`,
		},
		{"a new line", `{"Type":"Pass","Parameters":{"r.$":"States.StringSplit('Hello\nWorld', '\n')"},"End":true}`, `{}`, `{"r":["Hello","World"]}`},
		// choice_operators/test_is_operators, 2023-06-22
		{"null is null", is(`"IsNull":false`), `{"v":null}`, `"no"`},
		{"0 is null", is(`"IsNull":false`), `{"v":0}`, `{"v":0}`},
		{"0.0 is not numeric", is(`"IsNumeric":false`), `{"v":0.0}`, `"no"`},
		{"0.0 is numeric", is(`"IsNumeric":true`), `{"v":0.0}`, `{"v":0.0}`},
		{"0.0 is a string", is(`"IsString":true`), `{"v":0.0}`, `"no"`},
		{"false is boolean", is(`"IsBoolean":false`), `{"v":false}`, `"no"`},
		{"a list is boolean", is(`"IsBoolean":false`), `{"v":[]}`, `{"v":[]}`},
		{"null is present", is(`"IsPresent":true`), `{"v":null}`, `{"v":null}`},
		{"null is not present", is(`"IsPresent":false`), `{"v":null}`, `"no"`},
		{"nothing is present", is(`"IsPresent":true`), `{}`, `"no"`},
		{"nothing is not present", is(`"IsPresent":false`), `{}`, `{}`},
		// base/test_base test_state_pass_result_null_input_output_paths, 2024-02-07
		{"no input", `{"Type":"Pass","InputPath":null,"Parameters":{"r.$":"$"},"End":true}`, `{"a":0}`, `{"r":{}}`},
		{"no output", `{"Type":"Pass","OutputPath":null,"End":true}`, `{"a":0}`, `{}`},
		// base/test_base test_state_pass_regex_json_path_base, 2024-02-07
		{"a filter", `{"Type":"Pass","Parameters":{"r.$":"$.users[?(@.status == 0)]"},"End":true}`, `{"users":[{"status":0},{"status":1}]}`, `{"r":[{"status":0}]}`},
		// context_object/test_context_object test_input_path[$$], 2024-09-11
		{
			"context", `{"Type":"Pass","InputPath":"$$","End":true}`, `{"a":0}`,
			`{"Execution":{"Id":"ID","Input":{"a":0},"StartTime":"TIME","Name":"context.","RoleArn":"` + role + `","RedriveCount":0},` +
				`"StateMachine":{"Id":"` + machine + `","Name":"StockTrading"},"State":{"Name":"context","EnteredTime":"TIME"}}`,
		},
	})
}

// What is known of AWS from its documents and from reports of runs there.
func TestOtherResults(t *testing.T) {
	t.Parallel()
	checkResults(t, []result{
		{"a wildcard without a match", `{"Type":"Pass","Parameters":{"r.$":"$.a[*].b"},"End":true}`, `{"a":[]}`, `{"r":[]}`},
		{"backslashes", `{"Type":"Pass","Parameters":{"r.$":"States.Format('is {}', States.JsonToString($))"},"End":true}`, `{"a":"\\\""}`, `{"r":"is {\"a\":\"\\\\\\\"\"}"}`},
		{"parentheses", format("is {} (or so, {}", "$.a, 2"), `{"a":1}`, `{"r":"is 1 (or so, 2"}`},
		{
			"tests within tests", `{"Type":"Choice","Choices":[{"And":[{"Or":[{"Variable":"$.v","IsNull":false},{"Variable":"$.v","IsNull":false}]},` +
				`{"Not":{"Variable":"$.v","IsString":false}}],"Next":"Caught"}],"Default":"No"}`, `{"v":"x"}`, `{"v":"x"}`,
		},
		{"not not a string", `{"Type":"Choice","Choices":[{"Not":{"Variable":"$.v","IsString":false},"Next":"Caught"}],"Default":"No"}`, `{"v":1}`, `"no"`},
		{"the text of a result's numbers", `{"Type":"Pass","Result":{"a":0.0},"End":true}`, `{}`, `{"a":0.0}`},
		{"Base64", `{"Type":"Pass","Parameters":{"r.$":"States.Base64Decode(States.Base64Encode($.a))"},"End":true}`, `{"a":"é€"}`, `{"r":"é€"}`},
		{"a random number", `{"Type":"Pass","Parameters":{"r.$":"States.MathRandom($.a, $.b)"},"End":true}`, `{"a":12.6,"b":14.4}`, `{"r":13}`},
		{
			"the same random number", `{"Type":"Pass","Parameters":{"r.$":"States.ArrayLength(States.ArrayUnique(States.Array(` +
				`States.MathRandom(0, 999, 3), States.MathRandom(0, 999, 3))))"},"End":true}`, `{}`, `{"r":1}`,
		},
		{"null as a whole", `{"Type":"Pass","Parameters":{"r.$":"$"},"End":true}`, `null`, `{"r":null}`},
		{"the text of numbers", `{"Type":"Pass","Parameters":{"r.$":"$.a","s.$":"States.Format('{}', $.a[0])","t":2.0},"End":true}`, `{"a":[1.0,12345678901234567890]}`, `{"r":[1.0,12345678901234567890],"s":"1.0","t":2.0}`},
	})
}

// result is what a state makes of its input: the execution's output.
type result struct {
	name, state, input, want string
}

// checkResults runs states that may go on to "Caught", which keeps the data, and to "No".
func checkResults(t *testing.T, tests []result) {
	t.Helper()
	all := map[string]string{"No": `{"Type":"Pass","Result":"no","End":true}`}
	for _, test := range tests {
		all[test.name] = test.state
	}
	e := launch(t, oneOf(all), nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x, _ := runCase(t, e, test.name, test.input)
			got := strings.ReplaceAll(x.Output, x.ARN, "ID")
			for _, key := range []string{"StartTime", "EnteredTime"} {
				if before, after, ok := strings.Cut(got, `"`+key+`":"`); ok {
					got = before + `"` + key + `":"TIME` + after[strings.Index(after, `"`):]
				}
			}
			if got != test.want {
				t.Errorf("got %s with %q (%s), want %s", got, x.Error, x.Cause, test.want)
			}
		})
	}
}

// The causes of States.Runtime that don't stand in a case of TestRecordings; AWS's words, from reports of runs there.
func TestCausesOfTheRuntime(t *testing.T) {
	t.Parallel()
	pass := func(fields string) string { return `{"Type":"Pass",` + fields + `,"End":true}` }
	tests := []struct{ name, state, input, want string }{
		{"template", pass(`"Parameters":{"x":{"a.$":"$.b"}}`), `{"c":"\\"}`, `The JSONPath '$.b' specified for the field 'a.$' could not be found in the input '{"c":"\\"}'`},
		{"function", pass(`"Parameters":{"a.$":"States.Format('{}', $.b)"}`), `{"c":1}`, `The function 'States.Format('{}', $.b)' had the following error: The JsonPath argument for the field '$.b' could not be found in the input '{"c":1}'`},
		{"wrong argument", pass(`"Parameters":{"a.$":"States.MathAdd($.a, 1)"}`), `{"a":"1.0"}`, `The function 'States.MathAdd($.a, 1)' had the following error: Invalid arguments in States.MathAdd: argument 1 is "1.0"`},
		{"too few texts", pass(`"Parameters":{"a.$":"States.Format('{}', $.a, $.a)"}`), `{"a":1}`, `The function 'States.Format('{}', $.a, $.a)' had the following error: `},
		{"not Base64", pass(`"Parameters":{"a.$":"States.Base64Decode($.a)"}`), `{"a":"é"}`, `The function 'States.Base64Decode($.a)' had the following error: Invalid arguments in States.Base64Decode`},
		{"not JSON", pass(`"Parameters":{"a.$":"States.StringToJson($.a)"}`), `{"a":"1.0     x"}`, `The function 'States.StringToJson($.a)' had the following error: Unexpected non-whitespace character after JSON at position 8`},
		{"input", pass(`"InputPath":"$.a.b"`), `{"a":{}}`, `Invalid path '$.a.b' : No results for path: $['a']['b']`},
		{"input of the context", pass(`"InputPath":"$$.Execution.a.b"`), `{"a":{"b":1}}`, `Invalid path '$$.Execution.a.b' : Missing property in path $['Execution']['a']`},
		{"choice", `{"Type":"Choice","Choices":[{"Variable":"$.v","IsNull":false,"Next":"Caught"}],"Default":"Caught"}`, `{}`, `Invalid path '$.v': The choice state's condition path references an invalid value.`},
		{"seconds", `{"Type":"Wait","SecondsPath":"$.s","End":true}`, `{"s":"x"}`, `The SecondsPath parameter cannot be parsed as a long value: $.s == x`},
		{"a time to compare with", `{"Type":"Choice","Choices":[{"Variable":"$.t","TimestampEqualsPath":"$.u","Next":"Caught"}],"Default":"Caught"}`, `{"t":"2026-01-02T03:04:05Z","u":"x"}`, `Path expression '$.u' evaluated to "x", but expected a timestamp`},
		{"fewer seconds", `{"Type":"Wait","SecondsPath":"$.s","End":true}`, `{"s":-1}`, `The SecondsPath parameter references a negative value: $.s == -1`},
		{"no token", taskState(wait, `"Parameters":{"QueueUrl.$":"$$.Task.Tok","MessageBody.$":"$$.Task.Token"},`), `{}`, `The JSONPath '$$.Task.Tok' specified for the field 'QueueUrl.$' could not be found in the input '{"Execution":`},
	}
	states := map[string]string{}
	for _, test := range tests {
		states[test.name] = test.state
	}
	e := launch(t, oneOf(states), nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x, _ := runCase(t, e, test.name, test.input)
			wantFailure(t, x, "States.Runtime")
			want := "An error occurred while executing the state '" + slug(test.name) + "' (entered at the event id #4). " + test.want
			if !strings.HasPrefix(x.Cause, want) || strings.Contains(x.Cause, "Token") {
				t.Errorf("got %s, want %s", x.Cause, want)
			}
		})
	}
}

// AWS refuses these definitions: scenarios/test_base_scenarios test_illegal_escapes, 2025-02-02.
func TestRecordedRefusals(t *testing.T) {
	t.Parallel()
	for _, call := range []string{
		`States.StringToJson('{\"text\":\"An \\\"escaped double quote\\\" here\"}')`,
		`States.Format('He said, \\\"Hello, {}!\\\"', 'Test \\\"Name\\\" Here')`,
	} {
		err := startAndClose(t, config(`{"StartAt":"S","States":{"S":{"Type":"Pass","Parameters":{"a.$":"`+call+`"},"End":true}}}`, nil))
		if err == nil || !strings.Contains(err.Error(), `the escape \" is illegal`) {
			t.Errorf("%s: got %v", call, err)
		}
	}
}
