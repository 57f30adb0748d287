package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"stocktrading/stacks/asl"
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
	"messages":                      checkMessages,
	"every task has a timeout, retries and a catch":  checkTasks,
	"decisions are caught by name and never retried": checkDecisions,
	"every path reports":                             checkPaths,
	"failures say what is known":                     checkFailures,
	"the machine outlasts its states":                checkMachineTimeout,
	"alarms":                                         checkAlarms,
	"logs":                                           checkLogs,
	"outputs":                                        checkOutputs,
}

const marketSecret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:alpaca-AbCdEf"

// onAlpaca is the configuration of a real market.
var onAlpaca = map[string]any{"market": "alpaca", "marketSecret": marketSecret}

// fourEyes are what approvers are denied under fourEyes=true: starting an execution, by the
// state machine or by a version or alias of it.
var fourEyes = []permission{
	{"ApproverPolicy", "states:StartExecution", "StockTradingStateMachine"},
	{"ApproverPolicy", "states:StartExecution", "StockTradingStateMachine:*"},
}

func TestTemplate(t *testing.T) {
	for _, configuration := range []struct {
		name     string
		override map[string]any
		approval string
		mode     any // of a real market
	}{
		{"default", nil, "human", nil},
		{"automatic approval", map[string]any{"approval": "automatic"}, "automatic", nil},
		{"shortest timeout", map[string]any{"approvalTimeout": "1s"}, "human", nil},
		{"longest timeout", map[string]any{"approvalTimeout": "336h"}, "human", nil},
		{"simulated market", map[string]any{"market": "simulated"}, "human", nil},
		{"four eyes", map[string]any{"fourEyes": "true"}, "human", nil},
		{"alpaca", onAlpaca, "human", "paper"},
		{"alpaca live", map[string]any{"market": "alpaca", "marketSecret": marketSecret, "marketMode": "live"}, "human", "live"},
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
			// Which approval it is decides what the checks want, so it is none of theirs.
			if got := tpl.environment("RequestHumanApproval")["APPROVAL"]; got != configuration.approval {
				t.Errorf("approval is %v, want %s", got, configuration.approval)
			}
			// So do four eyes.
			want := []permission(nil)
			if configuration.override["fourEyes"] == "true" {
				want = fourEyes
			}
			if got := tpl.denials(); !slices.Equal(got, want) {
				t.Errorf("denied is %v, want %v", got, want)
			}
			// So does the market.
			if got := tpl.environment("CheckStockPrice")["MARKET_MODE"]; got != configuration.mode {
				t.Errorf("the market's mode is %v, want %v", got, configuration.mode)
			}
			if configuration.mode == nil && strings.Contains(strings.ToLower(string(templateText(t, configuration.override))), "secret") {
				t.Error("the template of the simulated market has something of a secret")
			}
		})
	}
}

// problems collects what a check finds.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// onlyKeys finds the properties that no other check has looked at: each of them could
// undo what the known ones promise.
func (p *problems) onlyKeys(what string, fields map[string]any, known ...string) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, key) {
			p.add("%s has %s: %s", what, key, render(fields[key]))
		}
	}
}

func checkResources(tpl template) (found problems) {
	want := map[string]int{
		"AWS::Lambda::Function":            len(functionNames),
		"AWS::Lambda::EventSourceMapping":  1,
		"AWS::SQS::Queue":                  1,
		"AWS::SQS::QueuePolicy":            1,
		"AWS::SNS::Topic":                  1,
		"AWS::SNS::TopicPolicy":            1,
		"AWS::StepFunctions::StateMachine": 1,
		"AWS::IAM::Role":                   len(functionNames) + 1,
		"AWS::IAM::ManagedPolicy":          1,
		"AWS::Logs::LogGroup":              len(functionNames),
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

var functionNames = append([]string{"CheckStockPrice", "GenerateBuySellRecommendation", "RequestHumanApproval", "BuyStock", "SellStock"},
	slices.Sorted(maps.Keys(addedFunctions))...)

func checkFunctions(tpl template) (found problems) {
	owners := map[string]string{} // of code
	for _, name := range functionNames {
		p := tpl.function(name)
		code := render(object(p["Code"])["S3Key"])
		if owner := owners[code]; owner != "" {
			found.add("%s has the code of %s", name, owner)
		}
		owners[code] = name
		for key, want := range map[string]any{
			"Runtime":       "provided.al2023",
			"Architectures": []any{"arm64"},
			"Handler":       strings.ToLower(name),
			"Timeout":       10.0,
			"MemorySize":    128.0,
		} {
			if !reflect.DeepEqual(p[key], want) {
				found.add("%s: %s is %v, want %v", name, key, p[key], want)
			}
		}
		logging := object(p["LoggingConfig"])
		if logging["LogFormat"] != "JSON" || render(logging["LogGroup"]) != name+"Logs" {
			found.add("%s: logs are %v, want JSON in its own log group", name, logging)
		}
		if role := render(p["Role"]); role != name+"Role.Arn" {
			found.add("%s: role is %s, want its own", name, role)
		}
		if p["Description"] == nil {
			found.add("%s has no description", name)
		}
		found.onlyKeys(name, p, "Runtime", "Architectures", "Handler", "Timeout", "MemorySize", "LoggingConfig", "Role", "Description", "Code", "Environment")
		variables := addedFunctions[name].environment
		if name == "RequestHumanApproval" {
			variables = []string{"APPROVAL", "TOPIC_ARN"}
		}
		if slices.Contains(marketFunctions, name) && tpl.marketSecret() != "" {
			variables = []string{"MARKET_MODE", "MARKET_SECRET"}
			for _, variable := range variables {
				if got, want := tpl.environment(name)[variable], tpl.environment(marketFunctions[0])[variable]; got != want {
					found.add("%s has the %s %v, and %s has %v", name, variable, got, marketFunctions[0], want)
				}
			}
		}
		found.onlyKeys(name+"'s environment", tpl.environment(name), variables...)
	}
	return found
}

// marketFunctions are those that ask the market or trade there.
var marketFunctions = []string{"CheckStockPrice", "BuyStock", "SellStock"}

// marketSecret is the ARN of the secret that a real market's keys are in, or nothing: then
// it is the simulated one.
func (tpl template) marketSecret() string {
	arn, _ := tpl.environment(marketFunctions[0])["MARKET_SECRET"].(string)
	return arn
}

// environment returns the environment variables of the function <name>Lambda.
func (tpl template) environment(name string) map[string]any {
	return object(object(tpl.function(name)["Environment"])["Variables"])
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
	substitutions := object(stateMachine.Properties["DefinitionSubstitutions"])
	resolve := func(placeholder any) string {
		return render(substitutions[strings.Trim(render(placeholder), "${}")])
	}
	needed := map[permission]bool{}
	for _, state := range tpl.definition().States {
		if state["Type"] != "Task" {
			continue
		}
		parameters := object(state["Parameters"])
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
	environment := tpl.environment("RequestHumanApproval")
	want = append(want, permission{"RequestHumanApprovalRole", "sns:Publish", render(environment["TOPIC_ARN"])})
	if environment["APPROVAL"] == "automatic" {
		want = append(want, permission{"RequestHumanApprovalRole", "states:SendTaskSuccess", "StockTradingStateMachine"})
	}
	if secret := tpl.marketSecret(); secret != "" {
		for _, name := range marketFunctions {
			want = append(want, permission{name + "Role", "secretsmanager:GetSecretValue", secret})
		}
	}
	for _, action := range []string{"states:DescribeStateMachine", "states:ListExecutions", "states:SendTaskSuccess", "states:SendTaskFailure"} {
		want = append(want, permission{"ApproverPolicy", action, "StockTradingStateMachine"})
	}
	for _, action := range []string{"states:DescribeExecution", "states:GetExecutionHistory"} {
		want = append(want, permission{"ApproverPolicy", action, "arn:AWS::Partition:states:AWS::Region:AWS::AccountId:execution:StockTradingStateMachine.Name:*"})
	}
	want = append(want, addedPermissions...)
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
		var documents []any
		switch r.Type {
		case "AWS::IAM::Policy":
			found.add("%s: a policy that stands apart from its role", id)
		case "AWS::IAM::ManagedPolicy":
			found.onlyKeys(id, r.Properties, "Description", "Path", "PolicyDocument") // whose people's policy it is, people say
			documents = append(documents, r.Properties["PolicyDocument"])
		case "AWS::IAM::Role":
			found.onlyKeys(id, r.Properties, "Description", "AssumeRolePolicyDocument", "Policies")
			for _, p := range objects(r.Properties["Policies"]) {
				if n := len(statements(p["PolicyDocument"])); n != 1 {
					found.add("%s: a policy document of %d statements, want one for each resource", id, n)
				}
				documents = append(documents, p["PolicyDocument"])
			}
		}
		for _, document := range documents {
			for _, s := range statements(document) {
				if effect := s["Effect"]; effect != "Allow" && effect != "Deny" {
					found.add("%s: a statement with the effect %v", id, effect)
				}
				found.onlyKeys(id+": a statement", s, "Effect", "Action", "Resource") // no NotAction and the like
			}
		}
	}
	if denied := tpl.denials(); len(denied) > 0 && !slices.Equal(denied, fourEyes) {
		found.add("denied is %v, want nothing or, with four eyes, %v", denied, fourEyes)
	}
	for _, p := range tpl.permissions() {
		if strings.Contains(p.action, "*") {
			found.add("%s may do %s: an action with a wildcard", p.holder, p.action)
		}
		if strings.Contains(p.resource, "*") && !strings.Contains(p.resource, "StockTrading") {
			found.add("%s may %s on %s: not one resource of this stack", p.holder, p.action, p.resource)
		}
	}
	return found
}

func checkTrust(tpl template) (found problems) {
	for _, id := range tpl.ofType("AWS::IAM::Role") {
		want := map[string]any{
			"Action":    "sts:AssumeRole",
			"Effect":    "Allow",
			"Principal": map[string]any{"Service": "lambda.amazonaws.com"},
		}
		if constructID(id) == "StockTradingStateMachineRole" {
			ref := func(name string) any { return map[string]any{"Ref": name} }
			want["Principal"] = map[string]any{"Service": "states.amazonaws.com"}
			want["Condition"] = map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": ref("AWS::AccountId")},
				"ArnLike": map[string]any{"aws:SourceArn": map[string]any{"Fn::Join": []any{"", []any{
					"arn:", ref("AWS::Partition"), ":states:", ref("AWS::Region"), ":", ref("AWS::AccountId"), ":stateMachine:*",
				}}}},
			}
		}
		if got := statements(tpl.Resources[id].Properties["AssumeRolePolicyDocument"]); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
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
	timeout := number(tpl.function("RequestHumanApproval")["Timeout"])
	if visibility := number(queue.Properties["VisibilityTimeout"]); !(visibility >= 6*timeout) {
		found.add("the queue's visibility timeout is %v s, want at least six times the function's %v s", visibility, timeout)
	}
	wait := number(tpl.definition().States["Request Human Approval"]["TimeoutSeconds"])
	if retention := number(queue.Properties["MessageRetentionPeriod"]); retention != max(wait, 60) {
		found.add("the queue keeps messages for %v s, want the approval timeout of %v s, 60 at least", retention, wait)
	}
	found.onlyKeys("the queue", queue.Properties, "SqsManagedSseEnabled", "VisibilityTimeout", "MessageRetentionPeriod")
	_, policy := tpl.one("AWS::SQS::QueuePolicy")
	want := map[string]any{
		"Queues":         []any{map[string]any{"Ref": id}},
		"PolicyDocument": document(refuseHTTP("sqs:*", map[string]any{"AWS": "*"}, map[string]any{"Fn::GetAtt": []any{id, "Arn"}})),
	}
	if !reflect.DeepEqual(policy.Properties, want) {
		found.add("the queue policy is %v, want it to refuse plain HTTP and allow nothing: whoever sends or receives has a role for it, %v", policy.Properties, want)
	}
	return found
}

func checkTopic(tpl template) (found problems) {
	id, topic := tpl.one("AWS::SNS::Topic")
	found.onlyKeys("the topic", topic.Properties) // no subscriber by the way, and no key that keeps alarms out
	ref := map[string]any{"Ref": id}
	refuse := refuseHTTP("sns:Publish", "*", ref)
	refuse["Sid"] = "AllowPublishThroughSSLOnly"
	var alarms []any
	for _, name := range []string{"ExecutionsFailedAlarm", "ExecutionsTimedOutAlarm", "ExecutionsAbortedAlarm", "RequestNotServedAlarm"} {
		alarms = append(alarms, map[string]any{"Fn::GetAtt": []any{name, "Arn"}})
	}
	_, policy := tpl.one("AWS::SNS::TopicPolicy")
	want := map[string]any{
		"Topics": []any{ref},
		"PolicyDocument": document(refuse, map[string]any{
			"Sid":       "AllowAlarms",
			"Effect":    "Allow",
			"Principal": map[string]any{"Service": "cloudwatch.amazonaws.com"},
			"Action":    "sns:Publish",
			"Resource":  ref,
			"Condition": map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": map[string]any{"Ref": "AWS::AccountId"}},
				"ArnEquals":    map[string]any{"aws:SourceArn": alarms},
			},
		}),
	}
	if !reflect.DeepEqual(policy.Properties, want) {
		found.add("the topic policy is %v, want it to refuse plain HTTP and let nobody in but this stack's alarms: %v", policy.Properties, want)
	}
	return found
}

func document(statements ...any) map[string]any {
	return map[string]any{"Version": "2012-10-17", "Statement": statements}
}

func refuseHTTP(action string, principal, resource any) map[string]any {
	return map[string]any{
		"Effect":    "Deny",
		"Principal": principal,
		"Action":    action,
		"Resource":  resource,
		"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
	}
}

func checkEventSourceMapping(tpl template) (found problems) {
	_, mapping := tpl.one("AWS::Lambda::EventSourceMapping")
	for key, want := range map[string]string{
		"FunctionName":   "RequestHumanApprovalLambda",
		"EventSourceArn": "RequestHumanApprovalSqs.Arn",
		"BatchSize":      "10",
	} {
		if got := render(mapping.Properties[key]); got != want {
			found.add("%s is %s, want %s", key, got, want)
		}
	}
	if !reflect.DeepEqual(mapping.Properties["FunctionResponseTypes"], []any{"ReportBatchItemFailures"}) {
		found.add("no partial batch responses: one message's fault repeats the whole batch")
	}
	found.onlyKeys("the mapping", mapping.Properties, "FunctionName", "EventSourceArn", "BatchSize", "FunctionResponseTypes") // no filter
	return found
}

// market is what the functions that trade trade in: the simulated market or a real one's mode.
func (tpl template) market() any {
	if mode := tpl.environment("BuyStock")["MARKET_MODE"]; mode != nil {
		return mode
	}
	return "simulated"
}

func checkStateMachine(tpl template) (found problems) {
	_, m := tpl.one("AWS::StepFunctions::StateMachine")
	if m.Properties["StateMachineType"] != "STANDARD" {
		found.add("the type is %v, want STANDARD", m.Properties["StateMachineType"])
	}
	if role := render(m.Properties["RoleArn"]); role != "StockTradingStateMachineRole.Arn" {
		found.add("the role is %s, want its own", role)
	}
	// LoggingConfiguration and TracingConfiguration need statements on every resource.
	found.onlyKeys("the state machine", m.Properties, "StateMachineType", "RoleArn", "DefinitionString", "DefinitionSubstitutions")
	want := map[string]any{
		"CheckStockPrice":               "CheckStockPriceLambda.Arn",
		"GenerateBuySellRecommendation": "GenerateBuySellRecommendationLambda.Arn",
		"RequestHumanApprovalQueue":     "RequestHumanApprovalSqs",
		"BuyStock":                      "BuyStockLambda.Arn",
		"SellStock":                     "SellStockLambda.Arn",
		"ReportResultTopic":             "ReportResultSnsTopic",
	}
	for name := range addedFunctions {
		want[name] = name + "Lambda.Arn"
	}
	got := map[string]any{}
	for name, value := range object(m.Properties["DefinitionSubstitutions"]) {
		got[name] = render(value)
	}
	if !reflect.DeepEqual(got, want) {
		found.add("substitutions %v, want %v", got, want)
	}
	var definition map[string]any
	if err := json.Unmarshal([]byte(tpl.definitionText()), &definition); err != nil {
		found.add("the definition is not its own text: %v", err)
	}
	found.onlyKeys("the definition", definition, "Comment", "StartAt", "TimeoutSeconds", "States")
	stakes := fmt.Sprintf("Approval: %v. Market: %v.", tpl.environment("RequestHumanApproval")["APPROVAL"], tpl.market())
	if comment := render(definition["Comment"]); !strings.HasSuffix(comment, " "+stakes) {
		found.add("the Comment is %q, want it to end with %q: a check of the deployment goes by that", comment, stakes)
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
	object(original.States["Request Human Approval"]["Parameters"])["QueueUrl"] = "${RequestHumanApprovalQueue}"
	object(original.States["Report Result"]["Parameters"])["TopicArn"] = "${ReportResultTopic}"

	ours, order := tpl.definition(), asl.Order(tpl.definitionText())
	for _, added := range addedFunctions {
		for _, state := range ours.States {
			if state["Next"] == added.state {
				state["Next"] = ours.States[added.state]["Next"]
			}
		}
		order = slices.DeleteFunc(order, func(name string) bool { return name == added.state })
	}
	if ours.StartAt != original.StartAt {
		found.add("starts at %s, want %s", ours.StartAt, original.StartAt)
	}
	for name, state := range original.States {
		compareState(&found, name, ours.States[name], state)
	}
	wantOrder := asl.Order(string(text))
	if !slices.Equal(order[:min(len(order), len(wantOrder))], wantOrder) {
		found.add("the states begin with %q, want the original's %q", order, wantOrder)
	}
	if more := len(order) - len(wantOrder); more > 8 {
		found.add("%d states are added, want 8 at most: the picture is what people see first", more)
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
	g := object(got)
	kept := map[string]any{}
	for key, value := range object(want) {
		kept[key] = g[key]
		if body := object(g[key]); body != nil && key == "MessageBody" {
			kept[key] = strip(body, value)
		}
	}
	return kept
}

// checkMessages wants each message to hold what its reader needs and nothing besides:
// the original leaves room for more keys in the parameters.
func checkMessages(tpl template) (found problems) {
	states := tpl.definition().States
	report := func(subject string) map[string]any {
		return map[string]any{
			"TopicArn":  "${ReportResultTopic}",
			"Subject.$": subject,
			"Message":   map[string]any{"Input.$": "$"},
			"MessageAttributes": map[string]any{
				"type":      map[string]any{"DataType": "String", "StringValue": "trade-report"},
				"execution": map[string]any{"DataType": "String", "StringValue.$": "$$.Execution.Id"},
			},
		}
	}
	for name, want := range map[string]map[string]any{
		"Request Human Approval": {
			"QueueUrl": "${RequestHumanApprovalQueue}",
			"MessageBody": map[string]any{
				"Input.$":        "$",
				"TaskToken.$":    "$$.Task.Token",
				"Execution.$":    "$$.Execution.Id",
				"EnteredTime.$":  "$$.State.EnteredTime",
				"TimeoutSeconds": states["Request Human Approval"]["TimeoutSeconds"],
			},
		},
		"Report Result":  report("States.Format('Stock trade: {}', $.outcome)"),
		"Report Failure": report("States.Format('Stock trade: {}, trade placed: {}', $.outcome, $.trade_placed)"),
	} {
		if got := object(states[name]["Parameters"]); !reflect.DeepEqual(got, want) {
			found.add("%s sends %v, want %v", name, got, want)
		}
	}
	return found
}

var (
	decisions = []string{"BuyInstead", "SellInstead", "TradeDeclined"}
	// With these nothing was traded, and no later attempt would change that.
	refusals = []string{"InvalidRequest", "OrderRefused"}
	// Those of a task's errors that no later attempt would change.
	lasting = map[string][]string{
		"Check Stock Price":                refusals,
		"Generate Buy/Sell recommendation": {"InvalidRequest"},
		"Request Human Approval":           decisions,
		"Buy Stock":                        append(slices.Clip(refusals), "OrderConflict", "OrderUnknown"),
		"Sell Stock":                       append(slices.Clip(refusals), "OrderConflict", "OrderUnknown"),
	}
)

// permanentErrors are those of a state's errors that no later attempt would change.
func permanentErrors(state string) []string {
	for _, added := range addedFunctions {
		if added.state == state {
			return added.permanent
		}
	}
	return lasting[state]
}

// burst is how long, in seconds, Lambda may throttle a function before its state gives up.
const burst = 300

func checkTasks(tpl template) (found problems) {
	for name, state := range tpl.definition().States {
		if state["Type"] != "Task" {
			continue
		}
		timeout := number(state["TimeoutSeconds"])
		if !(timeout >= 1) {
			found.add("%s has no timeout", name)
		}
		var want []string
		permanent := permanentErrors(name)
		if permanent != nil {
			want = append(want, fmt.Sprint(permanent))
		}
		switch {
		case name == "Request Human Approval":
			want = append(want, "[States.TaskFailed]") // a wait that is over is not a failed sending
		case state["Resource"] == "arn:aws:states:::sns:publish":
			want = append(want, "[States.ALL]")
		default:
			want = append(want, "[Lambda.TooManyRequestsException]", "[States.ALL]")
			if !(timeout > 10) {
				found.add("%s: the state's timeout of %v s is not longer than its function's", name, timeout)
			}
		}
		var got []string
		for i, retry := range objects(state["Retry"]) {
			names := errorNames(retry)
			got = append(got, fmt.Sprint(names))
			if i == 0 && permanent != nil {
				if number(retry["MaxAttempts"]) != 0 {
					found.add("%s: the first retrier must keep %v from being retried: %v", name, names, retry)
				}
				continue
			}
			if !(number(retry["BackoffRate"]) > 1) || !(number(retry["MaxDelaySeconds"]) >= 1) || !(number(retry["MaxAttempts"]) >= 1) || retry["JitterStrategy"] != "FULL" {
				found.add("%s: retries need a backoff, a cap, a number of attempts and full jitter: %v", name, retry)
			}
			if total := delays(retry) / 2; slices.Contains(names, "Lambda.TooManyRequestsException") && !(total >= burst) { // full jitter halves them
				found.add("%s: throttling is retried for %v s, want %d at least", name, total, burst)
			}
		}
		if !slices.Equal(got, want) {
			found.add("%s retries %v, want %v", name, got, want)
		}
		catches := objects(state["Catch"])
		if len(catches) == 0 || !slices.Equal(errorNames(catches[len(catches)-1]), []string{"States.ALL"}) {
			found.add("%s does not catch every error", name)
			continue
		}
		for i, catch := range catches {
			path, present := catch["ResultPath"]
			if first := name == tpl.definition().StartAt; first && present || !first && (!present || path == "$") {
				found.add("%s: catch %d puts the error in %v; only the first state's, whose input may not be an object, replaces its input", name, i, path)
			}
		}
	}
	return found
}

// delays adds up what lies between the attempts of a retrier, in seconds, without jitter.
func delays(retry map[string]any) (total float64) {
	delay := number(retry["IntervalSeconds"])
	for range int(number(retry["MaxAttempts"])) {
		total += min(delay, number(retry["MaxDelaySeconds"]))
		delay *= number(retry["BackoffRate"])
	}
	return total
}

func checkDecisions(tpl template) (found problems) {
	m := tpl.definition()
	wait := m.States["Request Human Approval"]
	retries := objects(wait["Retry"])
	if len(retries) == 0 || !slices.Equal(errorNames(retries[0]), decisions) || number(retries[0]["MaxAttempts"]) != 0 {
		found.add("the first retrier must keep %v from being retried: %v", decisions, retries)
	}
	want := map[string]string{
		"BuyInstead":     "Buy Stock",
		"SellInstead":    "Sell Stock",
		"TradeDeclined":  "Trade Declined",
		"States.Timeout": "Approval Expired",
		"States.ALL":     "Describe Failure",
	}
	got := map[string]string{}
	for _, catch := range objects(wait["Catch"]) {
		for _, name := range errorNames(catch) {
			got[name], _ = catch["Next"].(string)
		}
	}
	if !reflect.DeepEqual(got, want) {
		found.add("the wait's errors lead to %v, want %v", got, want)
	}
	if unknown := m.States["Buy or Sell?"]["Default"]; unknown != "Recommendation Unknown" {
		found.add("a recommendation that is neither buy nor sell leads to %v", unknown)
	}
	for name, outcome := range map[string]string{"Trade Declined": "declined", "Approval Expired": "expired"} {
		want := map[string]any{
			"outcome":            outcome,
			"id.$":               "$.quote_id",
			"symbol.$":           "$.symbol",
			"qty.$":              "$.qty",
			"stock_price.$":      "$.stock_price",
			"recommended_type.$": "$.recommended_type",
			"decision.$":         "$.decision",
		}
		if got := object(m.States[name]["Parameters"]); !reflect.DeepEqual(got, want) {
			found.add("%s reports %v, want %v", name, got, want)
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
		for _, catch := range objects(state["Catch"]) {
			walk(render(catch["Next"]), path)
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
			return object(m.States[n]["Parameters"])["outcome"] == "failed" || n == "Report Not Sent"
		})
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

// checkFailures follows each error from the state that catches it to the report and the
// Fail state: the report names the state that failed, and says that nothing was traded
// where that is certain, and nowhere else.
func checkFailures(tpl template) (found problems) {
	m := tpl.definition()
	for name, state := range m.States {
		trades := state["Resource"] == "${BuyStock}" || state["Resource"] == "${SellStock}"
		rejects := false
		for _, catch := range objects(state["Catch"]) {
			names, placed := errorNames(catch), "no"
			switch {
			case state["Resource"] == "arn:aws:states:::sns:publish":
				if catch["Next"] != "Report Not Sent" || catch["ResultPath"] != "$.report_failure" {
					found.add("%s: an error is put in %v and leads to %v, want $.report_failure and Report Not Sent", name, catch["ResultPath"], catch["Next"])
				}
				continue
			case name == m.StartAt:
				if catch["Next"] != "Quote Failed" {
					found.add("%s: an error leads to %v, want Quote Failed", name, catch["Next"])
				}
				continue
			case name == "Request Human Approval" && !slices.Contains(names, "States.ALL"):
				if catch["ResultPath"] != "$.decision" {
					found.add("%s: the decision is put in %v, want $.decision", name, catch["ResultPath"])
				}
				continue
			case trades && slices.Equal(names, refusals):
				rejects = true
			case trades:
				placed = "unknown"
			}
			// Describe Failure takes this apart at the quotes that JSON puts around the two.
			if want := fmt.Sprintf("$.trade_placed.%s['%s']", placed, name); catch["ResultPath"] != want || catch["Next"] != "Describe Failure" || strings.ContainsAny(name, `'"\`) {
				found.add("%s: %v is put in %v and leads to %v, want %s and Describe Failure", name, names, catch["ResultPath"], catch["Next"], want)
			}
		}
		if trades && !rejects {
			found.add("%s: one of %v, with which nothing is traded, is reported as any error", name, refusals)
		}
	}

	describes := func(failed any, fields map[string]any) map[string]any {
		p := map[string]any{
			"outcome":       "failed",
			"trade_placed":  "no",
			"failed_state":  failed,
			"id.$":          "$.quote_id",
			"symbol.$":      "$.symbol",
			"qty.$":         "$.qty",
			"stock_price.$": "$.stock_price",
		}
		maps.Copy(p, fields)
		maps.DeleteFunc(p, func(_ string, value any) bool { return value == nil })
		return map[string]any{"Type": "Pass", "Parameters": p, "Next": "Report Failure"}
	}
	// A part of an error may be missing.
	whole := func(path string) string {
		return `States.JsonMerge(States.StringToJson('{"Error":"none given","Cause":"none given"}'), ` + path + ", false)"
	}
	publish := map[string]any{"ResultPath": nil, "Next": "Trade Failed"} // which reads the error from the input
	for key, value := range m.States["Report Result"] {
		if key != "End" {
			publish[key] = value
		}
	}
	publish["Parameters"] = m.States["Report Failure"]["Parameters"] // are checkMessages's
	for name, want := range map[string]map[string]any{
		"Quote Failed": describes("Check Stock Price", map[string]any{ // there is no quote
			"id.$": "$$.Execution.Name", "symbol.$": nil, "qty.$": nil, "stock_price.$": nil, "failure.$": whole("$"),
		}),
		"Recommendation Unknown": describes("Buy or Sell?", map[string]any{"failure": map[string]any{
			"Error":   "UnknownRecommendation",
			"Cause.$": `States.Format('recommended_type is {}, want "buy" or "sell"', States.JsonToString($.recommended_type))`,
		}}),
		"Describe Failure": describes(nil, map[string]any{
			"trade_placed":   nil,
			"trade_placed.$": `States.ArrayGetItem(States.StringSplit(States.JsonToString($.trade_placed), '"'), 1)`,
			"failed_state.$": `States.ArrayGetItem(States.StringSplit(States.JsonToString($.trade_placed), '"'), 3)`,
			"failure.$":      whole("States.ArrayGetItem($.trade_placed[*][*], 0)"),
		}),
		"Report Failure": publish,
		// What matters stands in front: AWS takes 32,768 characters. An answer may come without
		// an error's name, so the name is in the cause.
		"Trade Failed": {
			"Type": "Fail", "Error": "TradeFailed",
			"CausePath": "States.Format('{} failed. Trade placed: {}. Id: {}. Error: {}. Cause: {}', $.failed_state, $.trade_placed, $.id, $.failure.Error, $.failure.Cause)",
		},
		// The report itself is in the cause, so that a trade that was made is not lost with it.
		"Report Not Sent": {
			"Type": "Fail", "Error": "ReportNotSent",
			"CausePath": "States.Format('The report could not be published. Outcome: {}. Id: {}. Error: {}. Report: {}', $.outcome, $.id, $.report_failure.Error, States.JsonToString($))",
		},
	} {
		got := maps.Clone(m.States[name])
		delete(got, "Comment")
		if !reflect.DeepEqual(got, want) {
			found.add("%s is %v, want %v", name, got, want)
		}
	}
	return found
}

// checkMachineTimeout adds up the longest path, retries and their longest delays included.
func checkMachineTimeout(tpl template) (found problems) {
	m := tpl.definition()
	var longest func(name string, path []string) float64
	longest = func(name string, path []string) float64 {
		if slices.Contains(path, name) {
			return math.Inf(1)
		}
		state := m.States[name]
		attempts, own := 1.0, 0.0
		for _, retry := range objects(state["Retry"]) {
			attempts += number(retry["MaxAttempts"])
			own += delays(retry)
		}
		if state["Type"] == "Task" {
			own += attempts * number(state["TimeoutSeconds"])
		}
		rest := 0.0
		for _, n := range next(state) {
			rest = max(rest, longest(n, append(slices.Clip(path), name)))
		}
		return own + rest
	}
	if total := longest(m.StartAt, nil); !(m.TimeoutSeconds > total) {
		found.add("the machine's timeout of %v s is not longer than its states' %v s", m.TimeoutSeconds, total)
	}
	return found
}

func checkAlarms(tpl template) (found problems) {
	topic, _ := tpl.one("AWS::SNS::Topic")
	queue, queueResource := tpl.one("AWS::SQS::Queue")
	machine, _ := tpl.one("AWS::StepFunctions::StateMachine")
	executions := func(metric string) map[string]any {
		return map[string]any{
			"Namespace":         "AWS/States",
			"MetricName":        metric,
			"Dimensions":        []any{map[string]any{"Name": "StateMachineArn", "Value": map[string]any{"Ref": machine}}},
			"Statistic":         "Sum",
			"Period":            60.0,
			"EvaluationPeriods": 1.0,
		}
	}
	messages := func(id, metric, statistic string) map[string]any {
		return map[string]any{"Id": id, "ReturnData": false, "MetricStat": map[string]any{
			"Metric": map[string]any{
				"Namespace":  "AWS/SQS",
				"MetricName": metric,
				"Dimensions": []any{map[string]any{"Name": "QueueName", "Value": map[string]any{"Fn::GetAtt": []any{queue, "QueueName"}}}},
			},
			"Period": 60.0,
			"Stat":   statistic,
		}}
	}
	// The alarm must go off while the request that nobody is told of is still there.
	minutes := number(tpl.Resources["RequestNotServedAlarm"].Properties["EvaluationPeriods"])
	if retention := number(queueResource.Properties["MessageRetentionPeriod"]); !(minutes >= 1 && minutes <= 5 && minutes*60 <= retention) {
		found.add("RequestNotServedAlarm waits for %v minutes, want 1 to 5 and no more than the %v s that a message lives", minutes, retention)
	}
	want := map[string]map[string]any{
		"ExecutionsFailedAlarm":   executions("ExecutionsFailed"),
		"ExecutionsTimedOutAlarm": executions("ExecutionsTimedOut"),
		"ExecutionsAbortedAlarm":  executions("ExecutionsAborted"),
		"RequestNotServedAlarm": {
			"Metrics": []any{
				messages("visible", "ApproximateNumberOfMessagesVisible", "Maximum"),
				messages("inflight", "ApproximateNumberOfMessagesNotVisible", "Maximum"),
				messages("deleted", "NumberOfMessagesDeleted", "Sum"),
				map[string]any{
					"Id":         "stuck",
					"Label":      "1 while there are requests and none is served",
					"Expression": "IF(visible + inflight > 0 AND FILL(deleted, 0) == 0, 1, 0)",
					"ReturnData": true,
				},
			},
			"EvaluationPeriods": minutes,
		},
	}
	for id, want := range want {
		want["Threshold"] = 1.0
		want["ComparisonOperator"] = "GreaterThanOrEqualToThreshold"
		want["TreatMissingData"] = "notBreaching"
		got := maps.Clone(tpl.Resources[id].Properties)
		if !reflect.DeepEqual(got["AlarmActions"], []any{map[string]any{"Ref": topic}}) {
			found.add("%s does not go to the topic", id)
		}
		if got["AlarmDescription"] == nil {
			found.add("%s has no description", id)
		}
		delete(got, "AlarmActions")
		delete(got, "AlarmDescription")
		if !reflect.DeepEqual(got, want) {
			found.add("%s goes off at %v, want %v", id, got, want)
		}
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
	want := map[string]string{
		"StateMachineArn":              "StockTradingStateMachine",
		"ReportResultTopicArn":         "ReportResultSnsTopic",
		"RequestHumanApprovalQueueUrl": "RequestHumanApprovalSqs",
		"StartExecutionCommand":        `aws stepfunctions start-execution --state-machine-arn StockTradingStateMachine --input '{"symbol":"AMZN","qty":5}'`,
		"DeskCommand":                  "go run ./desk --state-machine StockTradingStateMachine",
		"ApproverPolicyArn":            "ApproverPolicy",
	}
	got := map[string]string{}
	for id, output := range tpl.Outputs {
		got[id] = render(output.Value)
		if output.Description == "" {
			found.add("the output %s has no description", id)
		}
	}
	if !reflect.DeepEqual(got, want) {
		found.add("outputs %v, want %v", got, want)
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
