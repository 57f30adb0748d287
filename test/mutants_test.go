package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"stocktrading/stacks/asl"
)

// mutant is a single defect of a synthesized template, with a part of what the check must say,
// so that it is found for what it is.
type mutant struct {
	name, says string
	change     func(specimen)
}

const (
	waitState      = "Request Human Approval"
	recommendState = "Generate Buy/Sell recommendation"
	queueID        = "RequestHumanApprovalSqs"
	machineID      = "StockTradingStateMachine"
	machineRole    = "StockTradingStateMachineRole"
)

// mutants are those of the default configuration, by the check that must find them.
var mutants = map[string][]mutant{
	"no physical names": {
		{"physical name of a queue", "the physical name approvals", set("approvals", queueID, "QueueName")},
	},
	"functions share nothing": {
		{"another's code", "SellStock has the code of BuyStock", func(s specimen) { s.of("SellStockLambda")["Code"] = s.of("BuyStockLambda")["Code"] }},
		{"another's role", "RequestHumanApproval: role is SellStockRole.Arn", set(arn("SellStockRole"), "RequestHumanApprovalLambda", "Role")},
		{"logs in another's group", "BuyStock: logs go to SellStockLogs", set(ref("SellStockLogs"), "BuyStockLambda", "LoggingConfig", "LogGroup")},
		{"a function removed", "BuyStock: role is ", func(s specimen) { delete(s.Resources, s.id("BuyStockLambda")) }},
		{"a wrapper in the environment", "SellStock's environment has AWS_LAMBDA_EXEC_WRAPPER", set(variables("AWS_LAMBDA_EXEC_WRAPPER"), "SellStockLambda", "Environment")},
	},
	"permissions are the ones used": {
		{"an extra statement", "BuyStockRole may sqs:SendMessage on RequestHumanApprovalSqs.Arn, which nothing uses", grant("BuyStockRole", "sqs:SendMessage", arn(queueID))},
		{"the right to decide in a function's role", "RequestHumanApprovalRole may states:SendTaskSuccess on StockTradingStateMachine, which nothing uses", grant("RequestHumanApprovalRole", "states:SendTaskSuccess", ref(machineID))},
		{"another resource", "may lambda:InvokeFunction on RequestHumanApprovalLambda.Arn, which nothing uses", set(arn("RequestHumanApprovalLambda"), machineRole, may("lambda:InvokeFunction"), "Resource")},
		{"the same action twice wider", "ApproverPolicy may states:StopExecution", add("states:StopExecution", "ApproverPolicy", may("states:ListExecutions"), "Action")},
		{"requests from another queue", "RequestHumanApprovalRole may not sqs:ReceiveMessage on arn:aws:sqs:::other", func(s specimen) { s.mapping()["EventSourceArn"] = "arn:aws:sqs:::other" }},
		{"may not invoke", "may not lambda:InvokeFunction", revoke(machineRole, "lambda:InvokeFunction")},
		{"may not ask", "may not sqs:SendMessage", revoke(machineRole, "sqs:SendMessage")},
		{"may not report", "StockTradingStateMachineRole may not sns:Publish", revoke(machineRole, "sns:Publish")},
		{"may not notify", "RequestHumanApprovalRole may not sns:Publish", revoke("RequestHumanApprovalRole", "sns:Publish")},
		{"may not receive", "may not sqs:ReceiveMessage", revoke("RequestHumanApprovalRole", "sqs:ReceiveMessage")},
		{"may not log", "SellStockRole may not logs:PutLogEvents", revoke("SellStockRole", "logs:PutLogEvents")},
		{"may not see what waits", "may not states:GetExecutionHistory", revoke("ApproverPolicy", "states:GetExecutionHistory")},
		{"may not decline", "may not states:SendTaskFailure", revoke("ApproverPolicy", "states:SendTaskFailure")},
		{"automatic approval in the environment alone", "may not states:SendTaskSuccess", setVariable("automatic", "RequestHumanApproval", "APPROVAL")},
	},
	"policies are narrow": {
		{"an action with a wildcard", "sqs:SendMessage*: an action with a wildcard", set("sqs:SendMessage*", machineRole, may("sqs:SendMessage"), "Action")},
		{"every resource", "on *: not one resource of this stack", set("*", machineRole, may("sns:Publish"), "Resource")},
		{"every execution of every machine", ":execution:*: not one resource of this stack", set("arn:aws:states:eu-west-1:111122223333:execution:*", "ApproverPolicy", may("states:GetExecutionHistory"), "Resource")},
		{"a second statement in a document", "a policy document of 2 statements", add(map[string]any{"Effect": "Allow"}, "BuyStockRole", "Policies", 0, "PolicyDocument", "Statement")},
		{"a policy of its own", "stands apart from its role", func(s specimen) { s.Resources["Extra"] = resource{Type: "AWS::IAM::Policy"} }},
		{"an AWS managed policy", "has ManagedPolicyArns", set([]any{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}, "CheckStockPriceRole", "ManagedPolicyArns")},
		{"a function's role as an approver", "has Roles", set([]any{"RequestHumanApprovalRole"}, "ApproverPolicy", "Roles")},
		{"all actions but some", "a statement has NotAction", set("iam:*", "BuyStockRole", may("logs:PutLogEvents"), "NotAction")},
		{"a statement without an effect", "a statement with the effect <nil>", remove("BuyStockRole", may("logs:PutLogEvents"), "Effect")},
		{"a permission turned into its opposite", "denied is [{RequestHumanApprovalRole", set("Deny", "RequestHumanApprovalRole", may("sns:Publish"), "Effect")},
	},
	"nobody else is let in": {
		{"trust without a condition", "StockTradingStateMachineRole", remove(machineRole, "AssumeRolePolicyDocument", "Statement", 0, "Condition")},
		{"trust in somebody else as well", "lets in *, of whatever account", add(map[string]any{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}, "SellStockRole", "AssumeRolePolicyDocument", "Statement")},
		{"trust in another service", "ec2.amazonaws.com", set("ec2.amazonaws.com", "BuyStockRole", "AssumeRolePolicyDocument", "Statement", 0, "Principal", "Service")},
		{"queue takes plain HTTP", "QueuePolicy: plain HTTP", set("sqs:ReceiveMessage", "RequestHumanApprovalSqsPolicy", "PolicyDocument", "Statement", 0, "Action")},
		{"no queue policy", "QueuePolicy: plain HTTP", func(s specimen) { delete(s.Resources, s.id("RequestHumanApprovalSqsPolicy")) }},
		{"queue refuses TLS in place of HTTP", "QueuePolicy: plain HTTP", set("true", "RequestHumanApprovalSqsPolicy", "PolicyDocument", "Statement", 0, "Condition", "Bool", "aws:SecureTransport")},
		{"topic takes plain HTTP", "TopicPolicy: plain HTTP", set("Allow", "ReportResultSnsTopicPolicy", "PolicyDocument", "Statement", 0, "Effect")},
		{"public queue", "RequestHumanApprovalSqsPolicy", add(map[string]any{"Effect": "Allow", "Principal": map[string]any{"AWS": "*"}, "Action": "sqs:SendMessage"}, "RequestHumanApprovalSqsPolicy", "PolicyDocument", "Statement")},
		{"public topic", "ReportResultSnsTopicPolicy", add(map[string]any{"Effect": "Allow", "Principal": "*", "Action": "sns:Publish"}, "ReportResultSnsTopicPolicy", "PolicyDocument", "Statement")},
		{"anybody's alarms", "cloudwatch.amazonaws.com", remove("ReportResultSnsTopicPolicy", "PolicyDocument", "Statement", 1, "Condition")},
	},
	"alarms reach the topic": {
		{"an alarm's action removed", "ExecutionsFailedAlarm does not go to the topic", remove("ExecutionsFailedAlarm", "AlarmActions")},
		{"an alarm switched off", "ExecutionsAbortedAlarm does not go to the topic", set(false, "ExecutionsAbortedAlarm", "ActionsEnabled")},
		{"an alarm removed", "the topic takes what comes from", func(s specimen) { delete(s.Resources, "ExecutionsTimedOutAlarm") }},
		{"an alarm that the topic does not take", "the topic takes what comes from", set(arn("ExecutionsFailedAlarm"), "ReportResultSnsTopicPolicy", "PolicyDocument", "Statement", 1, "Condition", "ArnEquals", "aws:SourceArn")},
		{"any alarm of the account", "the topic takes what comes from", remove("ReportResultSnsTopicPolicy", "PolicyDocument", "Statement", 1, "Condition", "ArnEquals")},
		{"a key that keeps the alarms out", "the topic's key alias/aws/sns", set("alias/aws/sns", "ReportResultSnsTopic", "KmsMasterKeyId")},
	},
	"timeouts add up": {
		{"no queue", "visibility timeout is NaN s", func(s specimen) { delete(s.Resources, s.id(queueID)) }},
		{"visibility as short as the function", "visibility timeout is 10 s", set(10.0, queueID, "VisibilityTimeout")},
		{"retention shorter than the wait", "keeps messages for 3600 s", set(3600.0, queueID, "MessageRetentionPeriod")},
		{"an alarm after the request is gone", "RequestNotServedAlarm waits for 5 minutes", set(240.0, queueID, "MessageRetentionPeriod")},
		{"a request with another deadline", "the request says that there are 60 s", set(60.0, waitState, "Parameters", "MessageBody", "TimeoutSeconds")},
		{"machine timeout too short", "is not longer than its states'", set(86400.0, "definition", "TimeoutSeconds")},
		{"no machine timeout", "is not longer than its states'", remove("definition", "TimeoutSeconds")},
	},
	"the stakes are told": {
		{"automatic approval that is not told", `want it to end with "Approval: automatic. Market: simulated."`, setVariable("automatic", "RequestHumanApproval", "APPROVAL")},
		{"no word of who approves", "the Comment is", remove("definition", "Comment")},
	},
	"definition keeps the original": {
		{"another first state", "starts at", set(waitState, "definition", "StartAt")},
		{"another query language", "the definition has QueryLanguage", set("JSONata", "definition", "QueryLanguage")},
		{"buying sells", "Buy Stock is done by SellStockLambda.Arn", set(arn("SellStockLambda"), machineID, "DefinitionSubstitutions", "BuyStock")},
		{"another ResultPath", "ResultPath is $.side", set("$.side", recommendState, "ResultPath")},
		{"the answer as the payload", "Request Human Approval: ResultPath", remove(waitState, "ResultPath")},
		{"another comparison", "Buy or Sell?: Choices", set("sell", "Buy or Sell?", "Choices", 0, "StringEquals")},
		{"another key in the report", "Report Result: Parameters", set("$", "Report Result", "Parameters", "Message", "Output.$")},
		{"another form of Resource", "arn:aws:states:::lambda:invoke", set("arn:aws:states:::lambda:invoke", "Buy Stock", "Resource")},
		{"an OutputPath", "OutputPath is added", set("$.id", "Sell Stock", "OutputPath")},
		{"another order", "the states begin with", func(s specimen) { s.order[4], s.order[5] = s.order[5], s.order[4] }},
		{"a ninth state more", "9 states are added", func(s specimen) { s.states["Ninth"] = map[string]any{"Type": "Succeed"} }},
	},
	"every task has a timeout, retries and a catch": {
		{"a task without a timeout", "Report Failure has no timeout", remove("Report Failure", "TimeoutSeconds")},
		{"a wait without a timeout", "Request Human Approval has no timeout", remove(waitState, "TimeoutSeconds")},
		{"a state that gives up before its function", "Buy Stock: the state's timeout of 10 s", set(10.0, "Buy Stock", "TimeoutSeconds")},
		{"no function timeout", "Check Stock Price: the state's timeout of 15 s", remove("CheckStockPriceLambda", "Timeout")},
		{"no retry", "Sell Stock retries []", remove("Sell Stock", "Retry")},
		{"retry of a bad request too", "Check Stock Price retries [[OrderRefused] ", set([]any{"OrderRefused"}, "Check Stock Price", "Retry", 0, "ErrorEquals")},
		{"retry of a market's refusal too", "Buy Stock retries [[InvalidRequest OrderConflict OrderUnknown] ", set([]any{"InvalidRequest", "OrderConflict", "OrderUnknown"}, "Buy Stock", "Retry", 0, "ErrorEquals")},
		{"a lasting error retried all the same", "Sell Stock: the first retrier must keep [InvalidRequest OrderRefused OrderConflict OrderUnknown]", remove("Sell Stock", "Retry", 0, "MaxAttempts")},
		{"a passing fault not retried", "[Lambda.TooManyRequestsException] [States.Timeout]]", set([]any{"States.Timeout"}, "Sell Stock", "Retry", 2, "ErrorEquals")},
		{"a wait asked again when its time is over", "[[BuyInstead SellInstead TradeDeclined] [States.ALL]]", set([]any{"States.ALL"}, waitState, "Retry", 1, "ErrorEquals")},
		{"decisions are asked again", "Request Human Approval: the first retrier", set(1.0, waitState, "Retry", 0, "MaxAttempts")},
		{"a decision that is asked again", "Request Human Approval retries [[BuyInstead SellInstead] ", set([]any{"BuyInstead", "SellInstead"}, waitState, "Retry", 0, "ErrorEquals")},
		{"decisions not told from failures", "Request Human Approval retries [[States.TaskFailed]]", remove(waitState, "Retry", 0)},
		{"throttling retried as any fault", "Buy Stock retries [[InvalidRequest OrderRefused OrderConflict OrderUnknown] [States.ALL]]", remove("Buy Stock", "Retry", 1)},
		{"throttling not outlasted", "Check Stock Price: throttling is retried for", set(6.0, "Check Stock Price", "Retry", 1, "MaxAttempts")},
		{"no jitter", "full jitter", set("NONE", "Report Result", "Retry", 0, "JitterStrategy")},
		{"no backoff", "Sell Stock: retries need a backoff", set(1.0, "Sell Stock", "Retry", 2, "BackoffRate")},
		{"a retrier that never retries", "Report Failure: retries need", set(0.0, "Report Failure", "Retry", 0, "MaxAttempts")},
		{"no cap on the delay", "Buy Stock: retries need a backoff, a cap", remove("Buy Stock", "Retry", 1, "MaxDelaySeconds")},
		{"a catch removed", "Check Stock Price does not catch every error", remove("Check Stock Price", "Catch")},
		{"a catch of timeouts only", "Sell Stock does not catch every error", set([]any{"States.Timeout"}, "Sell Stock", "Catch", 1, "ErrorEquals")},
		{"a field for the error in an input that has none", "Check Stock Price: catch 0", set("$.failure", "Check Stock Price", "Catch", 0, "ResultPath")},
		{"an error in place of the quote", "Buy Stock: catch 1", remove("Buy Stock", "Catch", 1, "ResultPath")},
	},
	"decisions are caught by name": {
		{"decisions swapped", "BuyInstead:Sell Stock", set("Sell Stock", waitState, "Catch", 0, "Next")},
		{"silence is consent", "States.Timeout:Buy Stock", set("Buy Stock", waitState, "Catch", 3, "Next")},
		{"no Default", "neither buy nor sell leads to <nil>", remove("Buy or Sell?", "Default")},
		{"in doubt buy", "neither buy nor sell leads to Buy Stock", set("Buy Stock", "Buy or Sell?", "Default")},
	},
	"every path reports": {
		{"definition elsewhere", `leads to , which is not a state`, set(map[string]any{"Fn::Join": []any{"", []any{}}}, machineID, "DefinitionString")},
		{"a trade without asking", "trades without asking", set("Buy Stock", recommendState, "Catch", 0, "Next")},
		{"a trade after a trade", "trades twice", set("Sell Stock", "Buy Stock", "Catch", 1, "Next")},
		{"a path without a report", "reports 0 times", set("Trade Failed", "Describe Failure", "Next")},
		{"a failure that ends as success", "ends in a state of type Task", set("Report Result", "Quote Failed", "Next")},
		{"a failure reported as a result", "ends in a state of type Task", set("Report Result", "Recommendation Unknown", "Next")},
		{"a Next that leads nowhere", "leads to Nowhere, which is not a state", set("Nowhere", "Report Result", "Catch", 0, "Next")},
		{"a state that nothing leads to", "no path leads to Spare", func(s specimen) { s.states["Spare"] = map[string]any{"Type": "Succeed"} }},
		{"a round in circles", "comes back to Request Human Approval", set(waitState, "Approval Expired", "Next")},
	},
	"failures say what is certain": {
		{"certain where it is unknown", "Buy Stock: [States.ALL] is put in $.trade_placed.no['Buy Stock']", set("$.trade_placed.no['Buy Stock']", "Buy Stock", "Catch", 1, "ResultPath")},
		{"unknown where it is certain", "Buy Stock: [InvalidRequest OrderRefused] is put in $.trade_placed.unknown['Buy Stock']", set("$.trade_placed.unknown['Buy Stock']", "Buy Stock", "Catch", 0, "ResultPath")},
		{"rejections not told from errors", "Buy Stock: one of [InvalidRequest OrderRefused]", remove("Buy Stock", "Catch", 0)},
		{"a market's refusal not told from errors", "Sell Stock: one of [InvalidRequest OrderRefused]", set([]any{"InvalidRequest"}, "Sell Stock", "Catch", 0, "ErrorEquals")},
		{"a market's fault taken for a refusal", "Buy Stock: [InvalidRequest OrderRefused MarketUnavailable] is put in $.trade_placed.no", add("MarketUnavailable", "Buy Stock", "Catch", 0, "ErrorEquals")},
		{"another state blamed", "Sell Stock: [States.ALL] is put in $.trade_placed.unknown['Buy Stock']", set("$.trade_placed.unknown['Buy Stock']", "Sell Stock", "Catch", 1, "ResultPath")},
		{"an error that isn't where it is read", "Generate Buy/Sell recommendation: [States.ALL] is put in $.error", set("$.error", recommendState, "Catch", 0, "ResultPath")},
		{"an error whose state isn't described", "and leads to Quote Failed, want", set("Quote Failed", waitState, "Catch", 4, "Next")},
		{"a failed quote described as if there were one", "Check Stock Price: an error leads to Describe Failure", set("Describe Failure", "Check Stock Price", "Catch", 0, "Next")},
		{"a decision that isn't where it is read", "the decision is put in $.answer", set("$.answer", waitState, "Catch", 2, "ResultPath")},
		{"a lost report unnoticed", "Report Failure: an error is put in $.report_failure and leads to Trade Failed", set("Trade Failed", "Report Failure", "Catch", 0, "Next")},
		{"a lost report whose error isn't where it is read", "Report Result: an error is put in $.failure", set("$.failure", "Report Result", "Catch", 0, "ResultPath")},
	},
}

// marketMutants are those of the template of a real market.
var marketMutants = map[string][]mutant{
	"the stakes are told": {
		{"a live market that is not told", `want it to end with "Approval: human. Market: live."`, setVariable("live", "BuyStock", "MARKET_MODE")},
	},
	"permissions are the ones used": {
		{"may not read the keys", "BuyStockRole may not secretsmanager:GetSecretValue", revoke("BuyStockRole", "secretsmanager:GetSecretValue")},
		{"may read another secret", "secret:other-AbCdEf, which nothing uses", set("arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf", "SellStockRole", may("secretsmanager:GetSecretValue"), "Resource")},
		{"may change the keys", "SellStockRole may secretsmanager:PutSecretValue", grant("SellStockRole", "secretsmanager:PutSecretValue", marketSecret)},
		{"a function that needs no keys may read them", "RequestHumanApprovalRole may secretsmanager:GetSecretValue", grant("RequestHumanApprovalRole", "secretsmanager:GetSecretValue", marketSecret)},
	},
	"policies are narrow": {
		{"may read all secrets", "CheckStockPriceRole may secretsmanager:GetSecretValue on *", set("*", "CheckStockPriceRole", may("secretsmanager:GetSecretValue"), "Resource")},
	},
	"functions share nothing": {
		{"an address in place of the market's", "BuyStock's environment has MARKET_ENDPOINT", setVariable("https://example.com", "BuyStock", "MARKET_ENDPOINT")},
		{"keys in the environment", "CheckStockPrice's environment has APCA_API_SECRET_KEY", setVariable("x", "CheckStockPrice", "APCA_API_SECRET_KEY")},
		{"one function live", "SellStock has the MARKET_MODE live, and CheckStockPrice has paper", setVariable("live", "SellStock", "MARKET_MODE")},
		{"the keys of another", "BuyStock has the MARKET_SECRET", setVariable("arn:other", "BuyStock", "MARKET_SECRET")},
		{"a function that needs no market", "GenerateBuySellRecommendation's environment has MARKET_SECRET", set(variables("MARKET_SECRET"), "GenerateBuySellRecommendationLambda", "Environment")},
	},
}

// fourEyesMutants are those of four eyes.
var fourEyesMutants = map[string][]mutant{
	"policies are narrow": {
		{"approvers are kept from something else", "denied is [{ApproverPolicy states:StopExecution", set("states:StopExecution", "ApproverPolicy", may("states:StartExecution"), "Action")},
		{"approvers may start by a version's ARN", "denied is [{ApproverPolicy states:StartExecution StockTradingStateMachine}], want", set(ref(machineID), "ApproverPolicy", may("states:StartExecution"), "Resource")},
	},
	"permissions are the ones used": {
		{"approvers may start", "ApproverPolicy may states:StartExecution on StockTradingStateMachine, which nothing uses", set("Allow", "ApproverPolicy", may("states:StartExecution"), "Effect")},
	},
}

// A path leads to what a mutant changes: from a state, from the properties of the resource with
// a construct id or from "definition", by the names of fields, the places in arrays, or to the
// statement that names an action.
type (
	may       string               // an action
	reference func(s specimen) any // a value that needs the template's logical ids
)

func ref(construct string) reference {
	return func(s specimen) any { return map[string]any{"Ref": s.id(construct)} }
}

func arn(construct string) reference {
	return func(s specimen) any { return map[string]any{"Fn::GetAtt": []any{s.id(construct), "Arn"}} }
}

// variables is an environment with one variable.
func variables(name string) any {
	return map[string]any{"Variables": map[string]any{name: "x"}}
}

// set puts a value where a path leads.
func set(value any, path ...any) func(specimen) {
	return func(s specimen) { s.put(value, path) }
}

func setVariable(value, function, name string) func(specimen) {
	return set(value, function+"Lambda", "Environment", "Variables", name)
}

// remove takes out what a path leads to.
func remove(path ...any) func(specimen) {
	parent, last := path[:len(path)-1], path[len(path)-1]
	return func(s specimen) {
		switch holder := s.at(parent).(type) {
		case map[string]any:
			delete(holder, last.(string))
		case []any:
			s.put(slices.Delete(slices.Clone(holder), last.(int), last.(int)+1), parent)
		}
	}
}

// add appends a value to the array that a path leads to.
func add(value any, path ...any) func(specimen) {
	return func(s specimen) { s.put(append(slices.Clone(oneOrMany(s.at(path))), value), path) }
}

// grant gives a role a policy document of one statement.
func grant(role, action string, resource any) func(specimen) {
	return func(s specimen) {
		on := resource
		if r, ok := resource.(reference); ok {
			on = r(s)
		}
		add(map[string]any{
			"PolicyName":     "Extra",
			"PolicyDocument": map[string]any{"Statement": []any{map[string]any{"Effect": "Allow", "Action": action, "Resource": on}}},
		}, role, "Policies")(s)
	}
}

// revoke takes one action out of its statement.
func revoke(holder, action string) func(specimen) {
	return func(s specimen) {
		statement := s.statement(holder, action)
		statement["Action"] = slices.DeleteFunc(slices.Clone(oneOrMany(statement["Action"])), func(a any) bool { return a == action })
	}
}

// specimen is a template to be changed, with its definition laid open.
type specimen struct {
	template
	top    map[string]any // of the definition, without its states
	order  []string       // of the states
	states map[string]map[string]any
}

func newSpecimen(t *testing.T, override map[string]any) specimen {
	t.Helper()
	s := specimen{template: parse(t, templateText(t, override)), top: map[string]any{}}
	text := []byte(s.definitionText())
	if err := json.Unmarshal(text, &s.top); err != nil {
		t.Fatal(err)
	}
	delete(s.top, "States")
	s.order, s.states = asl.Order(string(text)), readMachine(s.definitionText()).States
	return s
}

// at returns what a path leads to.
func (s specimen) at(path []any) any {
	var node any
	construct := path[0].(string)
	switch {
	case construct == "definition":
		node = s.top
	case s.states[construct] != nil:
		node = s.states[construct]
	default:
		node = s.of(construct)
	}
	for _, step := range path[1:] {
		switch step := step.(type) {
		case string:
			node = node.(map[string]any)[step]
		case int:
			node = node.([]any)[step]
		case may:
			node = s.statement(construct, string(step))
		}
	}
	return node
}

func (s specimen) put(value any, path []any) {
	if r, ok := value.(reference); ok {
		value = r(s)
	}
	s.at(path[:len(path)-1]).(map[string]any)[path[len(path)-1].(string)] = value
}

// whole writes the definition back, with its states in their order, unless the template
// has none of its own any more.
func (s specimen) whole(t *testing.T) template {
	t.Helper()
	if s.definitionText() == "" {
		return s.template
	}
	encode := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name := range s.states {
		if !slices.Contains(s.order, name) {
			s.order = append(s.order, name)
		}
	}
	var states []string
	for _, name := range s.order {
		states = append(states, encode(name)+":"+encode(s.states[name]))
	}
	s.of("StockTradingStateMachine")["DefinitionString"] = strings.TrimSuffix(encode(s.top), "}") + `,"States":{` + strings.Join(states, ",") + "}}"
	return s.template
}

// id is the logical id of the resource with a construct id.
func (s specimen) id(construct string) string {
	for id := range s.Resources {
		if constructID(id) == construct {
			return id
		}
	}
	panic("no resource " + construct)
}

// of returns the properties of a resource, to be changed.
func (s specimen) of(construct string) map[string]any {
	id := s.id(construct)
	r := s.Resources[id]
	if r.Properties == nil {
		r.Properties = map[string]any{}
		s.Resources[id] = r
	}
	return r.Properties
}

func (s specimen) mapping() map[string]any {
	_, r := s.one("AWS::Lambda::EventSourceMapping")
	return r.Properties
}

// statements are those of a role, a managed policy or a resource's policy.
func (s specimen) statements(construct string) (list []map[string]any) {
	for _, p := range objects(s.of(construct)["Policies"]) {
		list = append(list, statements(p["PolicyDocument"])...)
	}
	return append(list, statements(s.of(construct)["PolicyDocument"])...)
}

// statement is the first that names an action.
func (s specimen) statement(construct, action string) map[string]any {
	for _, statement := range s.statements(construct) {
		if slices.Contains(oneOrMany(statement["Action"]), any(action)) {
			return statement
		}
	}
	panic(construct + " may not " + action)
}

// find runs a check, and takes a panic for a finding that no reader could use.
func find(check func(template) problems, tpl template) (found problems, panicked any) {
	defer func() { panicked = recover() }()
	return check(tpl), nil
}

// Each mutant is found by the check that it stands at, and each check finds a mutant.
func TestMutants(t *testing.T) {
	defects, idle := 0, maps.Clone(checks)
	configurations := []struct {
		override map[string]any
		mutants  map[string][]mutant
	}{{nil, mutants}, {onAlpaca, marketMutants}, {map[string]any{"fourEyes": "true"}, fourEyesMutants}}
	for _, of := range configurations {
		synthesize(t, of.override)
	}
	t.Parallel() // with what constructs something, so this does not
	for _, of := range configurations {
		whole := newSpecimen(t, of.override).whole(t)
		for name, check := range checks { // laying it open and putting it back is no defect
			if found, panicked := find(check, whole); len(found) > 0 || panicked != nil {
				t.Fatalf("the check %q finds something in a template without a defect: %q, panic %v", name, found, panicked)
			}
		}
		for check, mutants := range of.mutants {
			if checks[check] == nil {
				t.Errorf("there are mutants for %q, which is not a check any more: remove them", check)
			}
			delete(idle, check)
			defects += len(mutants)
			for _, mutant := range mutants {
				t.Run(mutant.name, func(t *testing.T) {
					t.Parallel()
					mutant.test(t, check, newSpecimen(t, of.override), whole)
				})
			}
		}
	}
	for name := range idle {
		t.Errorf("no mutant shows that the check %q can fail", name)
	}
	t.Logf("%d mutants, found by %d checks", defects, len(checks))
}

// test changes the specimen and wants the check to find that.
func (m mutant) test(t *testing.T, by string, s specimen, whole template) {
	m.change(s)
	tpl := s.whole(t)
	if reflect.DeepEqual(tpl, whole) {
		t.Fatal("the mutant is no different")
	}
	all := map[string]problems{}
	for name, check := range checks {
		found, panicked := find(check, tpl)
		if panicked != nil {
			t.Errorf("the check %q panics: %v", name, panicked)
		}
		if len(found) > 0 {
			all[name] = found
		}
	}
	if !strings.Contains(strings.Join(all[by], "\n"), m.says) {
		t.Errorf("the check %q does not say %q; all that is found is %s", by, m.says, list(all))
	}
}

func list(found map[string]problems) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(&b, "\n  %s: %s", name, strings.Join(found[name], "\n    "))
	}
	return b.String()
}
