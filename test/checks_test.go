package test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// checks are the guards of the template: each names what must hold and returns what
// does not. mutants_test.go proves that each of them can fail.
var checks = map[string]func(template) problems{
	"resources are the sample's":    checkResources,
	"no physical names":             checkNames,
	"functions":                     checkFunctions,
	"permissions are the ones used": checkPermissions,
	"policies are narrow":           checkPolicies,
	"trust":                         checkTrust,
	"queue":                         checkQueue,
	"topic":                         checkTopic,
	"event source mapping":          checkEventSourceMapping,
	"state machine":                 checkStateMachine,
	"definition keeps the original": checkOriginal,
	"every task has a timeout, retries and a catch":  checkTasks,
	"decisions are caught by name and never retried": checkDecisions,
	"every path reports":                             checkPaths,
	"the machine outlasts its states":                checkMachineTimeout,
	"alarms":                                         checkAlarms,
	"logs":                                           checkLogs,
	"outputs":                                        checkOutputs,
}

func TestTemplate(t *testing.T) {
	for _, configuration := range []struct {
		name     string
		override map[string]any
	}{
		{"default", nil},
		{"automatic approval", map[string]any{"approval": "automatic"}},
		{"shortest timeout", map[string]any{"approvalTimeout": "1s"}},
		{"longest timeout", map[string]any{"approvalTimeout": "336h"}},
	} {
		t.Run(configuration.name, func(t *testing.T) {
			tpl := parse(t, templateText(t, configuration.override))
			for name, check := range checks {
				t.Run(name, func(t *testing.T) {
					for _, problem := range check(tpl) {
						t.Error(problem)
					}
				})
			}
		})
	}
}

// problems collects what a check finds.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

func checkResources(tpl template) (found problems) {
	want := map[string]int{
		"AWS::Lambda::Function":            5,
		"AWS::Lambda::EventSourceMapping":  1,
		"AWS::SQS::Queue":                  1,
		"AWS::SQS::QueuePolicy":            1,
		"AWS::SNS::Topic":                  1,
		"AWS::SNS::TopicPolicy":            1,
		"AWS::StepFunctions::StateMachine": 1,
		"AWS::IAM::Role":                   6,
		"AWS::IAM::ManagedPolicy":          1,
		"AWS::Logs::LogGroup":              5,
		"AWS::CloudWatch::Alarm":           4,
	}
	got := map[string]int{}
	for _, r := range tpl.Resources {
		got[r.Type]++
	}
	if !reflect.DeepEqual(got, want) {
		found.add("resources %v, want %v", got, want)
	}
	return found
}

func checkNames(tpl template) (found problems) {
	for id, r := range tpl.Resources {
		for _, key := range []string{"FunctionName", "QueueName", "TopicName", "StateMachineName", "RoleName", "ManagedPolicyName", "LogGroupName", "AlarmName"} {
			if r.Properties[key] != nil && r.Type != "AWS::Lambda::EventSourceMapping" { // whose FunctionName is a reference
				found.add("%s has the physical name %s", id, render(r.Properties[key]))
			}
		}
	}
	return found
}

var functionNames = []string{"CheckStockPrice", "GenerateBuySellRecommendation", "RequestHumanApproval", "BuyStock", "SellStock"}

func checkFunctions(tpl template) (found problems) {
	roles := map[string]bool{}
	for _, name := range functionNames {
		_, p := tpl.function(name)
		for key, want := range map[string]any{
			"Runtime":       "provided.al2023",
			"Architectures": []any{"arm64"},
			"Handler":       strings.ToLower(name),
			"Timeout":       10.0,
		} {
			if !reflect.DeepEqual(p[key], want) {
				found.add("%s: %s is %v, want %v", name, key, p[key], want)
			}
		}
		logging, _ := p["LoggingConfig"].(map[string]any)
		if logging["LogFormat"] != "JSON" || render(logging["LogGroup"]) != name+"Logs" {
			found.add("%s: logs are %v, want JSON in its own log group", name, logging)
		}
		if role := render(p["Role"]); role != name+"Role.Arn" || roles[role] {
			found.add("%s: role is %s, want its own", name, role)
		}
		roles[render(p["Role"])] = true
		if p["Description"] == nil {
			found.add("%s has no description", name)
		}
	}
	return found
}

// checkPermissions derives from the template what each role needs, and wants exactly that.
func checkPermissions(tpl template) (found problems) {
	var want []permission
	for _, name := range functionNames {
		for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
			want = append(want, permission{name + "Role", action, name + "Logs.Arn"})
		}
	}
	_, stateMachine := tpl.one("AWS::StepFunctions::StateMachine")
	substitutions := stateMachine.Properties["DefinitionSubstitutions"].(map[string]any)
	resolve := func(placeholder any) string {
		name := strings.Trim(placeholder.(string), "${}")
		return render(substitutions[name])
	}
	needed := map[permission]bool{}
	for _, state := range tpl.definition().States {
		if state["Type"] != "Task" {
			continue
		}
		parameters, _ := state["Parameters"].(map[string]any)
		switch state["Resource"] {
		case "arn:aws:states:::sqs:sendMessage.waitForTaskToken":
			needed[permission{"StockTradingStateMachineRole", "sqs:SendMessage", resolve(parameters["QueueUrl"]) + ".Arn"}] = true
		case "arn:aws:states:::sns:publish":
			needed[permission{"StockTradingStateMachineRole", "sns:Publish", resolve(parameters["TopicArn"])}] = true
		default:
			needed[permission{"StockTradingStateMachineRole", "lambda:InvokeFunction", resolve(state["Resource"])}] = true
		}
	}
	for p := range needed {
		want = append(want, p)
	}
	_, mapping := tpl.one("AWS::Lambda::EventSourceMapping")
	for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
		want = append(want, permission{"RequestHumanApprovalRole", action, render(mapping.Properties["EventSourceArn"])})
	}
	_, approval := tpl.function("RequestHumanApproval")
	environment := approval["Environment"].(map[string]any)["Variables"].(map[string]any)
	want = append(want, permission{"RequestHumanApprovalRole", "sns:Publish", render(environment["TOPIC_ARN"])})
	if environment["APPROVAL"] == "automatic" {
		want = append(want, permission{"RequestHumanApprovalRole", "states:SendTaskSuccess", "StockTradingStateMachine"})
	}
	for _, action := range []string{"states:DescribeStateMachine", "states:ListExecutions", "states:SendTaskSuccess", "states:SendTaskFailure"} {
		want = append(want, permission{"ApproverPolicy", action, "StockTradingStateMachine"})
	}
	for _, action := range []string{"states:DescribeExecution", "states:GetExecutionHistory"} {
		want = append(want, permission{"ApproverPolicy", action, "arn:AWS::Partition:states:AWS::Region:AWS::AccountId:execution:StockTradingStateMachine.Name:*"})
	}
	got := tpl.permissions()
	for _, p := range got {
		if !slices.Contains(want, p) {
			found.add("%s may %s on %s, which nothing uses", p.holder, p.action, p.resource)
		}
	}
	for _, p := range want {
		if !slices.Contains(got, p) {
			found.add("%s may not %s on %s, which it needs", p.holder, p.action, p.resource)
		}
	}
	return found
}

func checkPolicies(tpl template) (found problems) {
	for id, r := range tpl.Resources {
		if r.Type == "AWS::IAM::Policy" || r.Properties["ManagedPolicyArns"] != nil {
			found.add("%s: a policy that stands apart from its role", id)
		}
		policies, _ := r.Properties["Policies"].([]any)
		for _, p := range policies {
			if n := len(statements(p.(map[string]any)["PolicyDocument"])); r.Type == "AWS::IAM::Role" && n != 1 {
				found.add("%s: a policy document of %d statements, want one for each resource", id, n)
			}
		}
	}
	for _, p := range tpl.permissions() {
		if strings.Contains(p.action, "*") {
			found.add("%s may do %s: an action with a wildcard", p.holder, p.action)
		}
		if p.resource == "*" || !strings.Contains(p.resource, "StockTrading") && strings.Contains(p.resource, "*") {
			found.add("%s may %s on %s: not one resource of this stack", p.holder, p.action, p.resource)
		}
	}
	return found
}

func checkTrust(tpl template) (found problems) {
	for _, id := range tpl.ofType("AWS::IAM::Role") {
		document := tpl.Resources[id].Properties["AssumeRolePolicyDocument"]
		want := map[string]any{
			"Action":    "sts:AssumeRole",
			"Effect":    "Allow",
			"Principal": map[string]any{"Service": "lambda.amazonaws.com"},
		}
		if constructID(id) == "StockTradingStateMachineRole" {
			want["Principal"] = map[string]any{"Service": "states.amazonaws.com"}
			want["Condition"] = map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": map[string]any{"Ref": "AWS::AccountId"}},
				"ArnLike":      map[string]any{"aws:SourceArn": document.(map[string]any)["Statement"].([]any)[0].(map[string]any)["Condition"].(map[string]any)["ArnLike"].(map[string]any)["aws:SourceArn"]},
			}
			if source := render(want["Condition"].(map[string]any)["ArnLike"].(map[string]any)["aws:SourceArn"]); source != "arn:AWS::Partition:states:AWS::Region:AWS::AccountId:stateMachine:*" {
				found.add("%s trusts source %s", id, source)
			}
		}
		if got := statements(document); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			found.add("%s trusts %v, want %v", id, got, want)
		}
	}
	return found
}

func checkQueue(tpl template) (found problems) {
	id, queue := tpl.one("AWS::SQS::Queue")
	if queue.Properties["SqsManagedSseEnabled"] != true {
		found.add("the queue is not encrypted")
	}
	_, function := tpl.function("RequestHumanApproval")
	if visibility, timeout := number(queue.Properties["VisibilityTimeout"]), number(function["Timeout"]); !(visibility >= 6*timeout) {
		found.add("the queue's visibility timeout is %v s, want at least six times the function's %v s", visibility, timeout)
	}
	wait := number(tpl.definition().States["Request Human Approval"]["TimeoutSeconds"])
	if retention := number(queue.Properties["MessageRetentionPeriod"]); retention != max(wait, 60) {
		found.add("the queue keeps messages for %v s, want the approval timeout of %v s, 60 at least", retention, wait)
	}
	_, policy := tpl.one("AWS::SQS::QueuePolicy")
	if render(policy.Properties["Queues"].([]any)[0]) != constructID(id) {
		found.add("the queue policy belongs to another queue")
	}
	checkTLSOnly(&found, "queue", policy, "sqs:*")
	return found
}

func checkTopic(tpl template) (found problems) {
	id, _ := tpl.one("AWS::SNS::Topic")
	_, policy := tpl.one("AWS::SNS::TopicPolicy")
	if render(policy.Properties["Topics"].([]any)[0]) != constructID(id) {
		found.add("the topic policy belongs to another topic")
	}
	checkTLSOnly(&found, "topic", policy, "sns:Publish")
	var alarms []any
	for _, id := range tpl.ofType("AWS::CloudWatch::Alarm") {
		alarms = append(alarms, id+".Arn")
	}
	for _, s := range statements(policy.Properties["PolicyDocument"]) {
		if s["Effect"] != "Allow" {
			continue
		}
		var sources []any
		condition, _ := s["Condition"].(map[string]any)
		arns, _ := condition["ArnEquals"].(map[string]any)
		for _, source := range oneOrMany(arns["aws:SourceArn"]) {
			sources = append(sources, render(source))
		}
		slices.SortFunc(sources, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		account, _ := condition["StringEquals"].(map[string]any)
		if !reflect.DeepEqual(s["Principal"], map[string]any{"Service": "cloudwatch.amazonaws.com"}) || s["Action"] != "sns:Publish" ||
			render(account["aws:SourceAccount"]) != "AWS::AccountId" || !reflect.DeepEqual(sources, alarms) {
			found.add("the topic lets %v %v under %v, want nobody but this stack's alarms", s["Principal"], s["Action"], condition)
		}
	}
	if allowed := strings.Count(fmt.Sprint(policy.Properties), "Effect:Allow"); allowed != 1 {
		found.add("%d statements let somebody publish on the topic, want 1, for the alarms", allowed)
	}
	return found
}

func checkTLSOnly(found *problems, what string, policy resource, action string) {
	for _, s := range statements(policy.Properties["PolicyDocument"]) {
		principal := s["Principal"]
		everybody := principal == "*" || reflect.DeepEqual(principal, map[string]any{"AWS": "*"})
		if s["Effect"] == "Deny" && s["Action"] == action && everybody &&
			reflect.DeepEqual(s["Condition"], map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}}) {
			return
		}
	}
	found.add("the %s does not refuse plain HTTP", what)
}

func checkEventSourceMapping(tpl template) (found problems) {
	_, mapping := tpl.one("AWS::Lambda::EventSourceMapping")
	for key, want := range map[string]string{
		"FunctionName":   "RequestHumanApprovalLambda",
		"EventSourceArn": "RequestHumanApprovalSqs.Arn",
	} {
		if got := render(mapping.Properties[key]); got != want {
			found.add("%s is %s, want %s", key, got, want)
		}
	}
	if !reflect.DeepEqual(mapping.Properties["FunctionResponseTypes"], []any{"ReportBatchItemFailures"}) {
		found.add("no partial batch responses: one message's fault repeats the whole batch")
	}
	return found
}

func checkStateMachine(tpl template) (found problems) {
	_, m := tpl.one("AWS::StepFunctions::StateMachine")
	if m.Properties["StateMachineType"] != "STANDARD" {
		found.add("the type is %v, want STANDARD", m.Properties["StateMachineType"])
	}
	for _, key := range []string{"LoggingConfiguration", "TracingConfiguration"} {
		if m.Properties[key] != nil {
			found.add("%s needs statements on every resource", key)
		}
	}
	want := map[string]any{
		"CheckStockPrice":               "CheckStockPriceLambda.Arn",
		"GenerateBuySellRecommendation": "GenerateBuySellRecommendationLambda.Arn",
		"RequestHumanApprovalQueue":     "RequestHumanApprovalSqs",
		"BuyStock":                      "BuyStockLambda.Arn",
		"SellStock":                     "SellStockLambda.Arn",
		"ReportResultTopic":             "ReportResultSnsTopic",
	}
	got := map[string]any{}
	for name, value := range m.Properties["DefinitionSubstitutions"].(map[string]any) {
		got[name] = render(value)
	}
	if !reflect.DeepEqual(got, want) {
		found.add("substitutions %v, want %v", got, want)
	}
	return found
}

// checkOriginal strips what may be added to the original's definition and wants the
// original's to be left, field by field and in its order.
func checkOriginal(tpl template) (found problems) {
	text, err := os.ReadFile("test/testdata/original.asl.json")
	if err != nil {
		panic(err)
	}
	var original machine
	if err := json.Unmarshal(text, &original); err != nil {
		panic(err)
	}
	// The original's physical ARNs and URLs, as this definition spells them.
	resources := map[string]string{
		"Check Stock Price":                "${CheckStockPrice}",
		"Generate Buy/Sell recommendation": "${GenerateBuySellRecommendation}",
		"Buy Stock":                        "${BuyStock}",
		"Sell Stock":                       "${SellStock}",
	}
	for name, placeholder := range resources {
		original.States[name]["Resource"] = placeholder
	}
	original.States["Request Human Approval"]["Parameters"].(map[string]any)["QueueUrl"] = "${RequestHumanApprovalQueue}"
	original.States["Report Result"]["Parameters"].(map[string]any)["TopicArn"] = "${ReportResultTopic}"

	ours := tpl.definition()
	if ours.StartAt != original.StartAt {
		found.add("starts at %s, want %s", ours.StartAt, original.StartAt)
	}
	for name, state := range original.States {
		compareState(&found, name, ours.States[name], state)
	}
	order, wantOrder := stateOrder([]byte(tpl.definitionText())), stateOrder(text)
	if !slices.Equal(order[:min(len(order), len(wantOrder))], wantOrder) {
		found.add("the states begin with %q, want the original's %q", order, wantOrder)
	}
	return found
}

func compareState(found *problems, name string, got, want map[string]any) {
	for key, value := range got {
		if _, ok := want[key]; !ok && !slices.Contains([]string{"Comment", "Retry", "Catch", "TimeoutSeconds", "Default"}, key) {
			found.add("%s: %s is added: %v", name, key, value)
		}
	}
	for key, value := range want {
		stripped := got[key]
		if key == "Parameters" {
			stripped = strip(got[key], value)
		}
		if _, ok := got[key]; !ok || !reflect.DeepEqual(stripped, value) {
			found.add("%s: %s is %v, want the original's %v", name, key, got[key], value)
		}
	}
}

// strip removes from the parameters the keys that the original lacks, on their top
// level and inside the message body, and nowhere else.
func strip(got, want any) any {
	g, ok := got.(map[string]any)
	if !ok {
		return got
	}
	kept := map[string]any{}
	for key, value := range want.(map[string]any) {
		kept[key] = g[key]
		if body, ok := g[key].(map[string]any); ok && key == "MessageBody" {
			kept[key] = strip(body, value)
		}
	}
	return kept
}

// stateOrder lists the states as the text has them.
func stateOrder(text []byte) []string {
	var document struct{ States json.RawMessage }
	if err := json.Unmarshal(text, &document); err != nil {
		panic(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(document.States)))
	decoder.Token()
	var order []string
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			panic(err)
		}
		order = append(order, name.(string))
		var state json.RawMessage
		if err := decoder.Decode(&state); err != nil {
			panic(err)
		}
	}
	return order
}

var (
	lambdaErrors = []string{
		"Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException",
		"Lambda.TooManyRequestsException", "Lambda.ClientExecutionTimeoutException", "Lambda.Unknown",
		"Runtime.ExitError", "Sandbox.Timedout", "States.Timeout",
	}
	decisions = []string{"BuyInstead", "SellInstead", "TradeDeclined"}
)

func checkTasks(tpl template) (found problems) {
	for name, state := range tpl.definition().States {
		if state["Type"] != "Task" {
			continue
		}
		timeout := number(state["TimeoutSeconds"])
		if !(timeout >= 1) {
			found.add("%s has no timeout", name)
		}
		want := lambdaErrors
		switch {
		case name == "Request Human Approval":
			want = []string{"States.TaskFailed"}
		case state["Resource"] == "arn:aws:states:::sns:publish":
			want = []string{"States.TaskFailed", "States.Timeout"}
		case !(timeout > 10):
			found.add("%s: the state's timeout of %v s is not longer than its function's", name, timeout)
		}
		retries := entries(state, "Retry")
		if len(retries) == 0 {
			found.add("%s has no retry", name)
			continue
		}
		last := retries[len(retries)-1]
		if got := errorNames(last); !slices.Equal(got, want) {
			found.add("%s retries %v, want %v", name, got, want)
		}
		if !(number(last["BackoffRate"]) > 1) || !(number(last["MaxDelaySeconds"]) >= 1) || !(number(last["MaxAttempts"]) >= 1) || last["JitterStrategy"] != "FULL" {
			found.add("%s: retries need a backoff, a cap, a number of attempts and full jitter: %v", name, last)
		}
		catches := entries(state, "Catch")
		if len(catches) == 0 || !slices.Equal(errorNames(catches[len(catches)-1]), []string{"States.ALL"}) {
			found.add("%s does not catch every error", name)
			continue
		}
		for i, catch := range catches {
			path, present := catch["ResultPath"]
			if first := name == tpl.definition().StartAt; first && present || !first && (!present || path == "$") {
				found.add("%s: catch %d puts the error in %v; only the first state's, whose input may be no object, replaces its input", name, i, path)
			}
		}
	}
	return found
}

func checkDecisions(tpl template) (found problems) {
	m := tpl.definition()
	wait := m.States["Request Human Approval"]
	retries := entries(wait, "Retry")
	if len(retries) == 0 || !slices.Equal(errorNames(retries[0]), decisions) || number(retries[0]["MaxAttempts"]) != 0 {
		found.add("the first retrier must keep %v from being retried: %v", decisions, retries)
	}
	want := map[string]string{
		"BuyInstead":     "Buy Stock",
		"SellInstead":    "Sell Stock",
		"TradeDeclined":  "Trade Declined",
		"States.Timeout": "Approval Expired",
		"States.ALL":     "Approval Request Failed",
	}
	got := map[string]string{}
	for _, catch := range entries(wait, "Catch") {
		for _, name := range errorNames(catch) {
			got[name], _ = catch["Next"].(string)
		}
	}
	if !reflect.DeepEqual(got, want) {
		found.add("the wait's errors lead to %v, want %v", got, want)
	}
	if m.States["Buy or Sell?"]["Default"] == nil {
		found.add("a recommendation that is neither buy nor sell has nowhere to go")
	}
	for name, want := range map[string][]any{
		"Trade Declined":          {"declined", nil},
		"Approval Expired":        {"expired", nil},
		"Quote Failed":            {"failed", "no"},
		"Recommendation Failed":   {"failed", "no"},
		"Approval Request Failed": {"failed", "no"},
		"Recommendation Unknown":  {"failed", "no"},
		"Buy Rejected":            {"failed", "no"},
		"Sell Rejected":           {"failed", "no"},
		"Buy Failed":              {"failed", "unknown"},
		"Sell Failed":             {"failed", "unknown"},
	} {
		parameters, _ := m.States[name]["Parameters"].(map[string]any)
		if parameters["outcome"] != want[0] || parameters["trade_placed"] != want[1] {
			found.add("%s reports outcome %v and trade placed %v, want %v", name, parameters["outcome"], parameters["trade_placed"], want)
		}
	}
	return found
}

// checkPaths walks every path: none trades twice, none trades without passing the
// wait, each ends, and each but the one of a report that could not be sent reports once.
func checkPaths(tpl template) (found problems) {
	m := tpl.definition()
	reached := map[string]bool{}
	var walk func(name string, path []string)
	walk = func(name string, path []string) {
		if slices.Contains(path, name) {
			found.add("a path comes back to %s: %q", name, path)
			return
		}
		state, ok := m.States[name]
		if !ok {
			found.add("%q leads to %s, which is no state", path, name)
			return
		}
		reached[name] = true
		path = append(slices.Clip(path), name)
		if following := next(state); len(following) > 0 && state["End"] == nil {
			for _, n := range following {
				walk(n, path)
			}
			return
		}
		for _, catch := range entries(state, "Catch") {
			walk(catch["Next"].(string), path)
		}
		trades, reports := 0, 0
		for i, name := range path {
			switch m.States[name]["Resource"] {
			case "${BuyStock}", "${SellStock}":
				trades++
				if !slices.Contains(path[:i], "Request Human Approval") {
					found.add("%q trades without asking", path)
				}
			case "arn:aws:states:::sns:publish":
				reports++
			}
		}
		if trades > 1 {
			found.add("%q trades twice", path)
		}
		if reports != 1 {
			found.add("%q reports %d times, want once", path, reports)
		}
		failed := slices.ContainsFunc(path, func(n string) bool {
			parameters, _ := m.States[n]["Parameters"].(map[string]any)
			return parameters["outcome"] == "failed"
		}) || slices.Contains(path, "Report Not Sent")
		if failed != (state["Type"] == "Fail") {
			found.add("%q ends in a state of type %v", path, state["Type"])
		}
	}
	walk(m.StartAt, nil)
	for name := range m.States {
		if !reached[name] {
			found.add("no path leads to %s", name)
		}
	}
	return found
}

// checkMachineTimeout adds up the longest path, retries and their longest delays included.
func checkMachineTimeout(tpl template) (found problems) {
	m := tpl.definition()
	var longest func(name string) float64
	longest = func(name string) float64 {
		state := m.States[name]
		attempts, delays := 1.0, 0.0
		for _, retry := range entries(state, "Retry") {
			attempts += number(retry["MaxAttempts"])
			if number(retry["MaxAttempts"]) > 0 {
				delays += number(retry["MaxAttempts"]) * number(retry["MaxDelaySeconds"])
			}
		}
		own := delays
		if state["Type"] == "Task" {
			own += attempts * number(state["TimeoutSeconds"])
		}
		rest := 0.0
		for _, n := range next(state) {
			rest = max(rest, longest(n))
		}
		return own + rest
	}
	if total := longest(m.StartAt); !(m.TimeoutSeconds > total) {
		found.add("the machine's timeout of %v s is not longer than its states' %v s", m.TimeoutSeconds, total)
	}
	return found
}

func checkAlarms(tpl template) (found problems) {
	want := map[string]string{
		"ExecutionsFailed":              "StateMachineArn=StockTradingStateMachine",
		"ExecutionsTimedOut":            "StateMachineArn=StockTradingStateMachine",
		"ExecutionsAborted":             "StateMachineArn=StockTradingStateMachine",
		"ApproximateAgeOfOldestMessage": "QueueName=RequestHumanApprovalSqs.QueueName",
	}
	got := map[string]string{}
	for _, id := range tpl.ofType("AWS::CloudWatch::Alarm") {
		p := tpl.Resources[id].Properties
		dimension := p["Dimensions"].([]any)[0].(map[string]any)
		got[p["MetricName"].(string)] = dimension["Name"].(string) + "=" + render(dimension["Value"])
		actions, _ := p["AlarmActions"].([]any)
		if len(actions) != 1 || render(actions[0]) != "ReportResultSnsTopic" || p["ActionsEnabled"] == false {
			found.add("%s does not go to the topic", id)
		}
		if p["ComparisonOperator"] != "GreaterThanOrEqualToThreshold" || p["TreatMissingData"] != "notBreaching" || number(p["EvaluationPeriods"]) != 1 {
			found.add("%s does not go off at its threshold: %v", id, p)
		}
		if threshold := number(p["Threshold"]); p["Namespace"] == "AWS/States" && threshold != 1 || p["Namespace"] == "AWS/SQS" && threshold != 300 {
			found.add("%s: the threshold is %v", id, threshold)
		}
	}
	if !reflect.DeepEqual(got, want) {
		found.add("alarms on %v, want %v", got, want)
	}
	return found
}

func checkLogs(tpl template) (found problems) {
	for _, id := range tpl.ofType("AWS::Logs::LogGroup") {
		if r := tpl.Resources[id]; r.Properties["RetentionInDays"] == nil || r.DeletionPolicy != "Delete" {
			found.add("%s outlives its use", id)
		}
	}
	return found
}

func checkOutputs(tpl template) (found problems) {
	for _, id := range []string{"StateMachineArn", "ReportResultTopicArn", "RequestHumanApprovalQueueUrl", "StartExecutionCommand", "DeskCommand", "ApproverPolicyArn"} {
		if tpl.Outputs[id].Description == "" {
			found.add("the output %s is missing or has no description", id)
		}
	}
	return found
}

// number is a JSON number, or NaN, which no comparison holds for.
func number(value any) float64 {
	if n, ok := value.(float64); ok {
		return n
	}
	return math.NaN()
}
