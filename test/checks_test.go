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

// checks are the guards of the template that its snapshots can't be: each holds in every
// configuration, and whatever a snapshot is updated to. Each returns what does not hold;
// mutants_test.go proves that it can fail.
var checks = map[string]func(template) problems{
	"no physical names":                             checkNames,
	"functions share nothing":                       checkFunctions,
	"permissions are the ones used":                 checkPermissions,
	"policies are narrow":                           checkPolicies,
	"nobody else is let in":                         checkPrincipals,
	"alarms reach the topic":                        checkAlarms,
	"timeouts add up":                               checkTimeouts,
	"the stakes are told":                           checkStakes,
	"definition keeps the original":                 checkOriginal,
	"every task has a timeout, retries and a catch": checkTasks,
	"decisions are caught by name":                  checkDecisions,
	"every path reports":                            checkPaths,
	"failures say what is certain":                  checkFailures,
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
			// Which approval it is decides what the checks want, so it isn't for them to say.
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
		if group := render(object(p["LoggingConfig"])["LogGroup"]); group != name+"Logs" {
			found.add("%s: logs go to %s, want its own log group", name, group)
		}
		if role := render(p["Role"]); role != name+"Role.Arn" {
			found.add("%s: role is %s, want its own", name, role)
		}
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

// resolve renders what a placeholder of the definition stands for.
func (tpl template) resolve(placeholder any) string {
	_, machine := tpl.one("AWS::StepFunctions::StateMachine")
	return render(object(machine.Properties["DefinitionSubstitutions"])[strings.Trim(render(placeholder), "${}")])
}

// checkPermissions derives from the template what each role needs, and wants exactly that.
func checkPermissions(tpl template) (found problems) {
	var want []permission
	for _, name := range functionNames {
		for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
			want = append(want, permission{name + "Role", action, name + "Logs.Arn"})
		}
	}
	needed := map[permission]bool{}
	for _, state := range tpl.definition().States {
		if state["Type"] != "Task" {
			continue
		}
		parameters := object(state["Parameters"])
		switch state["Resource"] {
		case "arn:aws:states:::sqs:sendMessage.waitForTaskToken":
			needed[permission{"StockTradingStateMachineRole", "sqs:SendMessage", tpl.resolve(parameters["QueueUrl"]) + ".Arn"}] = true
		case "arn:aws:states:::sns:publish":
			needed[permission{"StockTradingStateMachineRole", "sns:Publish", tpl.resolve(parameters["TopicArn"])}] = true
		default:
			needed[permission{"StockTradingStateMachineRole", "lambda:InvokeFunction", tpl.resolve(state["Resource"])}] = true
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

// checkPrincipals wants roles, queue and topic to let in nothing but services of AWS that act for
// this account or as its own functions, and queue and topic to refuse plain HTTP.
func checkPrincipals(tpl template) (found problems) {
	plainHTTP := map[string]bool{"AWS::SQS::QueuePolicy": true, "AWS::SNS::TopicPolicy": true}
	for id, r := range tpl.Resources {
		document := r.Properties["PolicyDocument"]
		switch r.Type {
		case "AWS::IAM::Role":
			document = r.Properties["AssumeRolePolicyDocument"]
		case "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy":
		default:
			continue
		}
		for _, s := range statements(document) {
			condition := object(s["Condition"])
			if s["Effect"] == "Deny" {
				if slices.Contains([]any{"sqs:*", "sns:Publish"}, s["Action"]) && object(condition["Bool"])["aws:SecureTransport"] == "false" {
					delete(plainHTTP, r.Type)
				}
				continue
			}
			service := object(s["Principal"])["Service"]
			ofAccount := service != nil && render(object(condition["StringEquals"])["aws:SourceAccount"]) == "AWS::AccountId"
			if !ofAccount && (r.Type != "AWS::IAM::Role" || service != "lambda.amazonaws.com") {
				found.add("%s lets in %s, of whatever account", id, render(s["Principal"]))
			}
		}
	}
	for kind := range plainHTTP {
		found.add("%s: plain HTTP is not refused", kind)
	}
	return found
}

// market is what the functions that trade trade in: the simulated market or a real one's mode.
func (tpl template) market() any {
	if mode := tpl.environment("BuyStock")["MARKET_MODE"]; mode != nil {
		return mode
	}
	return "simulated"
}

// checkStakes wants the definition's Comment to end with who approves and which market it is:
// a check of the deployment goes by that.
func checkStakes(tpl template) (found problems) {
	var definition struct{ Comment string }
	_ = json.Unmarshal([]byte(tpl.definitionText()), &definition) // without a definition there is no Comment
	stakes := fmt.Sprintf("Approval: %v. Market: %v.", tpl.environment("RequestHumanApproval")["APPROVAL"], tpl.market())
	if !strings.HasSuffix(definition.Comment, " "+stakes) {
		found.add("the Comment is %q, want it to end with %q", definition.Comment, stakes)
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
		if got, want := tpl.resolve(placeholder), strings.Trim(placeholder, "${}")+"Lambda.Arn"; got != want {
			found.add("%s is done by %s, want %s", name, got, want)
		}
	}
	object(original.States["Request Human Approval"]["Parameters"])["QueueUrl"] = "${RequestHumanApprovalQueue}"
	object(original.States["Report Result"]["Parameters"])["TopicArn"] = "${ReportResultTopic}"

	var top map[string]any
	_ = json.Unmarshal([]byte(tpl.definitionText()), &top) // without a definition, its states are missing
	found.onlyKeys("the definition", top, "Comment", "StartAt", "TimeoutSeconds", "States")
	ours, order := readMachine(tpl.definitionText()), asl.Order(tpl.definitionText()) // to be changed
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
			function := number(tpl.function(strings.Trim(render(state["Resource"]), "${}"))["Timeout"])
			if !(timeout > function) {
				found.add("%s: the state's timeout of %v s is not longer than its function's %v s", name, timeout, function)
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
	states := tpl.definition().States
	want := map[string]string{
		"BuyInstead":     "Buy Stock",
		"SellInstead":    "Sell Stock",
		"TradeDeclined":  "Trade Declined",
		"States.Timeout": "Approval Expired",
		"States.ALL":     "Describe Failure",
	}
	got := map[string]string{}
	for _, catch := range objects(states["Request Human Approval"]["Catch"]) {
		for _, name := range errorNames(catch) {
			got[name], _ = catch["Next"].(string)
		}
	}
	if !maps.Equal(got, want) {
		found.add("the wait's errors lead to %v, want %v", got, want)
	}
	if unknown := states["Buy or Sell?"]["Default"]; unknown != "Recommendation Unknown" {
		found.add("a recommendation that is neither buy nor sell leads to %v", unknown)
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
			found.add("%q leads to %s, which is not a state", path, name)
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

// checkFailures wants each error to be caught where its report looks for it: under the name of
// the state that failed, and under "no" where it is certain that nothing was traded, and
// nowhere else.
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
	return found
}

// checkTimeouts adds up what has to outlast what, retries and their longest delays included.
func checkTimeouts(tpl template) (found problems) {
	m := tpl.definition()
	_, queue := tpl.one("AWS::SQS::Queue")
	function := number(tpl.function("RequestHumanApproval")["Timeout"])
	if visibility := number(queue.Properties["VisibilityTimeout"]); !(visibility >= 6*function) {
		found.add("the queue's visibility timeout is %v s, want at least six times the function's %v s", visibility, function)
	}
	state := m.States["Request Human Approval"]
	wait, retention := number(state["TimeoutSeconds"]), number(queue.Properties["MessageRetentionPeriod"])
	if retention != max(wait, 60) {
		found.add("the queue keeps messages for %v s, want the approval timeout of %v s, 60 at least", retention, wait)
	}
	if told := number(object(object(state["Parameters"])["MessageBody"])["TimeoutSeconds"]); told != wait {
		found.add("the request says that there are %v s, and the wait is %v s", told, wait)
	}
	// The alarm must go off while the request that nobody is told of is still there.
	minutes := number(tpl.Resources["RequestNotServedAlarm"].Properties["EvaluationPeriods"])
	if !(minutes >= 1 && minutes <= 5 && minutes*60 <= retention) {
		found.add("RequestNotServedAlarm waits for %v minutes, want 1 to 5 and no more than the %v s that a message lives", minutes, retention)
	}
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

// checkAlarms wants the topic to take every alarm, and no other.
func checkAlarms(tpl template) (found problems) {
	id, topic := tpl.one("AWS::SNS::Topic")
	if key := topic.Properties["KmsMasterKeyId"]; key != nil {
		found.add("the topic's key %v keeps alarms out", key)
	}
	var alarms, taken []string
	for _, alarm := range tpl.ofType("AWS::CloudWatch::Alarm") {
		alarms = append(alarms, constructID(alarm)+".Arn")
		p := tpl.Resources[alarm].Properties
		if !reflect.DeepEqual(p["AlarmActions"], []any{map[string]any{"Ref": id}}) || p["ActionsEnabled"] == false {
			found.add("%s does not go to the topic", alarm)
		}
	}
	_, policy := tpl.one("AWS::SNS::TopicPolicy")
	for _, s := range statements(policy.Properties["PolicyDocument"]) {
		if s["Effect"] == "Allow" {
			for _, arn := range oneOrMany(object(object(s["Condition"])["ArnEquals"])["aws:SourceArn"]) {
				taken = append(taken, render(arn))
			}
		}
	}
	if slices.Sort(taken); !slices.Equal(taken, alarms) {
		found.add("the topic takes what comes from %v, want this stack's alarms %v", taken, alarms)
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
