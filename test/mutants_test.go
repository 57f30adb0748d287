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

// mutant is a single defect of a synthesized template.
type mutant struct {
	name   string
	check  string // a key of checks
	says   string
	change func(specimen)
}

// mutants are those of the default configuration. Each names the check that
// must find it, and a part of what that check must say, so that it is found for what it is.
var mutants = []mutant{
	// Resources.
	{
		"a sixth function", "resources are the sample's", fmt.Sprintf("AWS::Lambda::Function:%d", len(functionNames)+1),
		func(s specimen) { s.Resources["Sixth"] = resource{Type: "AWS::Lambda::Function"} },
	},
	{
		"a second queue", "resources are the sample's", "AWS::SQS::Queue:2",
		func(s specimen) { s.Resources["DeadLetters"] = resource{Type: "AWS::SQS::Queue"} },
	},
	{
		"no queue", "resources are the sample's", "want map",
		func(s specimen) { delete(s.Resources, s.id("RequestHumanApprovalSqs")) },
	},
	{
		"a public address of a function", "resources are the sample's", "AWS::Lambda::Url:1",
		func(s specimen) { s.Resources["Url"] = resource{Type: "AWS::Lambda::Url"} },
	},
	{
		"an alarm removed", "resources are the sample's", "AWS::CloudWatch::Alarm:3",
		func(s specimen) { delete(s.Resources, "ExecutionsTimedOutAlarm") },
	},
	{
		"physical name of a queue", "no physical names", "the physical name approvals",
		func(s specimen) { s.of("RequestHumanApprovalSqs")["QueueName"] = "approvals" },
	},

	// Functions.
	{
		"another architecture", "functions", "BuyStock: Architectures",
		func(s specimen) { s.of("BuyStockLambda")["Architectures"] = []any{"x86_64"} },
	},
	{
		"another runtime", "functions", "SellStock: Runtime",
		func(s specimen) { s.of("SellStockLambda")["Runtime"] = "provided.al2" },
	},
	{
		"another's code", "functions", "SellStock has the code of BuyStock",
		func(s specimen) { s.of("SellStockLambda")["Code"] = s.of("BuyStockLambda")["Code"] },
	},
	{
		"another's handler", "functions", "BuyStock: Handler",
		func(s specimen) { s.of("BuyStockLambda")["Handler"] = "sellstock" },
	},
	{
		"no function timeout", "functions", "CheckStockPrice: Timeout",
		func(s specimen) { delete(s.of("CheckStockPriceLambda"), "Timeout") },
	},
	{
		"another's role", "functions", "RequestHumanApproval: role is SellStockRole.Arn",
		func(s specimen) { s.of("RequestHumanApprovalLambda")["Role"] = s.arn("SellStockRole") },
	},
	{
		"logs in another's group", "functions", "BuyStock: logs are",
		func(s specimen) {
			object(s.of("BuyStockLambda")["LoggingConfig"])["LogGroup"] = s.ref("SellStockLogs")
		},
	},
	{
		"logs that are no JSON", "functions", "CheckStockPrice: logs are",
		func(s specimen) { object(s.of("CheckStockPriceLambda")["LoggingConfig"])["LogFormat"] = "Text" },
	},
	{
		"no description of a function", "functions", "SellStock has no description",
		func(s specimen) { delete(s.of("SellStockLambda"), "Description") },
	},
	{
		"a layer that runs first", "functions", "BuyStock has Layers",
		func(s specimen) { s.of("BuyStockLambda")["Layers"] = []any{"arn:aws:lambda:::layer:x:1"} },
	},
	{
		"a wrapper in the environment", "functions", "SellStock's environment has AWS_LAMBDA_EXEC_WRAPPER",
		func(s specimen) {
			s.of("SellStockLambda")["Environment"] = map[string]any{"Variables": map[string]any{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/x"}}
		},
	},

	// Permissions.
	{
		"an action with a wildcard", "policies are narrow", "sqs:SendMessage*: an action with a wildcard",
		func(s specimen) {
			s.statement("StockTradingStateMachineRole", "sqs:SendMessage")["Action"] = "sqs:SendMessage*"
		},
	},
	{
		"every resource", "policies are narrow", "on *: not one resource of this stack",
		func(s specimen) { s.statement("StockTradingStateMachineRole", "sns:Publish")["Resource"] = "*" },
	},
	{
		"every execution of every machine", "policies are narrow", ":execution:*: not one resource of this stack",
		func(s specimen) {
			s.statement("ApproverPolicy", "states:GetExecutionHistory")["Resource"] = "arn:aws:states:eu-west-1:111122223333:execution:*"
		},
	},
	{
		"a second statement in a document", "policies are narrow", "a policy document of 2 statements",
		func(s specimen) {
			document := object(objects(s.of("BuyStockRole")["Policies"])[0]["PolicyDocument"])
			document["Statement"] = append(document["Statement"].([]any), maps.Clone(s.statement("BuyStockRole", "logs:PutLogEvents")))
		},
	},
	{
		"a policy of its own", "policies are narrow", "stands apart from its role",
		func(s specimen) { s.Resources["Extra"] = resource{Type: "AWS::IAM::Policy"} },
	},
	{
		"an AWS managed policy", "policies are narrow", "has ManagedPolicyArns",
		func(s specimen) {
			s.of("CheckStockPriceRole")["ManagedPolicyArns"] = []any{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}
		},
	},
	{
		"a function's role as an approver", "policies are narrow", "has Roles",
		func(s specimen) { s.of("ApproverPolicy")["Roles"] = []any{s.ref("RequestHumanApprovalRole")} },
	},
	{
		"all actions but some", "policies are narrow", "a statement has NotAction",
		func(s specimen) { s.statement("BuyStockRole", "logs:PutLogEvents")["NotAction"] = "iam:*" },
	},
	{
		"a permission turned into its opposite", "policies are narrow", "denied is [{RequestHumanApprovalRole",
		func(s specimen) { s.statement("RequestHumanApprovalRole", "sns:Publish")["Effect"] = "Deny" },
	},
	{
		"an extra statement", "permissions are the ones used", "BuyStockRole may sqs:SendMessage on RequestHumanApprovalSqs.Arn, which nothing uses",
		func(s specimen) {
			s.grant("BuyStockRole", "sqs:SendMessage", s.arn("RequestHumanApprovalSqs"))
		},
	},
	{
		"the right to decide in a function's role", "permissions are the ones used", "RequestHumanApprovalRole may states:SendTaskSuccess on StockTradingStateMachine, which nothing uses",
		func(s specimen) {
			s.grant("RequestHumanApprovalRole", "states:SendTaskSuccess", s.ref("StockTradingStateMachine"))
		},
	},
	{
		"another resource", "permissions are the ones used", "may lambda:InvokeFunction on RequestHumanApprovalLambda.Arn, which nothing uses",
		func(s specimen) {
			s.statement("StockTradingStateMachineRole", "lambda:InvokeFunction")["Resource"] = s.arn("RequestHumanApprovalLambda")
		},
	},
	{
		"the same action twice wider", "permissions are the ones used", "ApproverPolicy may states:StopExecution",
		func(s specimen) {
			statement := s.statement("ApproverPolicy", "states:ListExecutions")
			statement["Action"] = append(statement["Action"].([]any), "states:StopExecution")
		},
	},
	{
		"may not invoke", "permissions are the ones used", "may not lambda:InvokeFunction",
		func(s specimen) { s.revoke("StockTradingStateMachineRole", "lambda:InvokeFunction") },
	},
	{
		"may not ask", "permissions are the ones used", "may not sqs:SendMessage",
		func(s specimen) { s.revoke("StockTradingStateMachineRole", "sqs:SendMessage") },
	},
	{
		"may not report", "permissions are the ones used", "StockTradingStateMachineRole may not sns:Publish",
		func(s specimen) { s.revoke("StockTradingStateMachineRole", "sns:Publish") },
	},
	{
		"may not notify", "permissions are the ones used", "RequestHumanApprovalRole may not sns:Publish",
		func(s specimen) { s.revoke("RequestHumanApprovalRole", "sns:Publish") },
	},
	{
		"may not receive", "permissions are the ones used", "may not sqs:ReceiveMessage",
		func(s specimen) { s.revoke("RequestHumanApprovalRole", "sqs:ReceiveMessage") },
	},
	{
		"may not log", "permissions are the ones used", "SellStockRole may not logs:PutLogEvents",
		func(s specimen) { s.revoke("SellStockRole", "logs:PutLogEvents") },
	},
	{
		"may not see what waits", "permissions are the ones used", "may not states:GetExecutionHistory",
		func(s specimen) { s.revoke("ApproverPolicy", "states:GetExecutionHistory") },
	},
	{
		"may not decline", "permissions are the ones used", "may not states:SendTaskFailure",
		func(s specimen) { s.revoke("ApproverPolicy", "states:SendTaskFailure") },
	},
	{
		"automatic approval in the environment alone", "permissions are the ones used", "may not states:SendTaskSuccess",
		func(s specimen) { s.environment("RequestHumanApproval")["APPROVAL"] = "automatic" },
	},
	{
		"trust without a condition", "trust", "StockTradingStateMachineRole",
		func(s specimen) { delete(s.trust("StockTradingStateMachineRole"), "Condition") },
	},
	{
		"trust in any account's machines", "trust", "StockTradingStateMachineRole",
		func(s specimen) {
			object(object(s.trust("StockTradingStateMachineRole")["Condition"])["ArnLike"])["aws:SourceArn"] = "arn:aws:states:*:*:stateMachine:*"
		},
	},
	{
		"trust in somebody else as well", "trust", "SellStockRole",
		func(s specimen) {
			document := object(s.of("SellStockRole")["AssumeRolePolicyDocument"])
			document["Statement"] = append(document["Statement"].([]any), map[string]any{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})
		},
	},
	{
		"trust in another service", "trust", "ec2.amazonaws.com",
		func(s specimen) {
			s.trust("BuyStockRole")["Principal"] = map[string]any{"Service": "ec2.amazonaws.com"}
		},
	},

	// Queue, topic and mapping.
	{
		"visibility as short as the function", "queue", "visibility timeout is 10 s",
		func(s specimen) { s.of("RequestHumanApprovalSqs")["VisibilityTimeout"] = 10.0 },
	},
	{
		"retention shorter than the wait", "queue", "keeps messages for 3600 s",
		func(s specimen) { s.of("RequestHumanApprovalSqs")["MessageRetentionPeriod"] = 3600.0 },
	},
	{
		"queue not encrypted", "queue", "not encrypted",
		func(s specimen) { s.of("RequestHumanApprovalSqs")["SqsManagedSseEnabled"] = false },
	},
	{
		"delayed requests", "queue", "has DelaySeconds",
		func(s specimen) { s.of("RequestHumanApprovalSqs")["DelaySeconds"] = 900.0 },
	},
	{
		"queue takes plain HTTP", "queue", "the queue policy is",
		func(s specimen) { s.statements("RequestHumanApprovalSqsPolicy")[0]["Action"] = "sqs:ReceiveMessage" },
	},
	{
		"queue refuses TLS in place of HTTP", "queue", "the queue policy is",
		func(s specimen) {
			s.statements("RequestHumanApprovalSqsPolicy")[0]["Condition"] = map[string]any{"Bool": map[string]any{"aws:SecureTransport": "true"}}
		},
	},
	{
		"public queue", "queue", "the queue policy is",
		func(s specimen) {
			s.allow("RequestHumanApprovalSqsPolicy", map[string]any{"AWS": "*"}, "sqs:SendMessage", s.arn("RequestHumanApprovalSqs"))
		},
	},
	{
		"queue policy of another queue", "queue", "the queue policy is",
		func(s specimen) { s.of("RequestHumanApprovalSqsPolicy")["Queues"] = []any{"https://sqs/other"} },
	},
	{
		"topic takes plain HTTP", "topic", "the topic policy is",
		func(s specimen) { s.statements("ReportResultSnsTopicPolicy")[0]["Effect"] = "Allow" },
	},
	{
		"public topic", "topic", "the topic policy is",
		func(s specimen) {
			s.allow("ReportResultSnsTopicPolicy", "*", "sns:Publish", s.ref("ReportResultSnsTopic"))
		},
	},
	{
		"anybody's alarms", "topic", "the topic policy is",
		func(s specimen) { delete(s.statements("ReportResultSnsTopicPolicy")[1], "Condition") },
	},
	{
		"any alarm of the account", "topic", "the topic policy is",
		func(s specimen) {
			delete(object(s.statements("ReportResultSnsTopicPolicy")[1]["Condition"]), "ArnEquals")
		},
	},
	{
		"topic policy of another topic", "topic", "the topic policy is",
		func(s specimen) { s.of("ReportResultSnsTopicPolicy")["Topics"] = []any{"arn:aws:sns:::other"} },
	},
	{
		"a key that keeps the alarms out", "topic", "has KmsMasterKeyId",
		func(s specimen) { s.of("ReportResultSnsTopic")["KmsMasterKeyId"] = "alias/aws/sns" },
	},
	{
		"no partial batch responses", "event source mapping", "no partial batch responses",
		func(s specimen) { delete(s.mapping(), "FunctionResponseTypes") },
	},
	{
		"mapping to another function", "event source mapping", "FunctionName is BuyStockLambda",
		func(s specimen) { s.mapping()["FunctionName"] = s.ref("BuyStockLambda") },
	},
	{
		"mapping that drops messages", "event source mapping", "has FilterCriteria",
		func(s specimen) {
			s.mapping()["FilterCriteria"] = map[string]any{"Filters": []any{map[string]any{"Pattern": `{"body":{}}`}}}
		},
	},

	// The state machine as a resource.
	{
		"Express type", "state machine", "the type is EXPRESS",
		func(s specimen) { s.of("StockTradingStateMachine")["StateMachineType"] = "EXPRESS" },
	},
	{
		"another role", "state machine", "the role is BuyStockRole.Arn",
		func(s specimen) { s.of("StockTradingStateMachine")["RoleArn"] = s.arn("BuyStockRole") },
	},
	{
		"logging on", "state machine", "has LoggingConfiguration",
		func(s specimen) {
			s.of("StockTradingStateMachine")["LoggingConfiguration"] = map[string]any{"Level": "ALL", "IncludeExecutionData": true}
		},
	},
	{
		"buying sells", "state machine", "BuyStock:SellStockLambda.Arn",
		func(s specimen) {
			object(s.of("StockTradingStateMachine")["DefinitionSubstitutions"])["BuyStock"] = s.arn("SellStockLambda")
		},
	},
	{
		"definition elsewhere", "state machine", "not its own text",
		func(s specimen) {
			s.of("StockTradingStateMachine")["DefinitionString"] = map[string]any{"Fn::Join": []any{"", []any{}}}
		},
	},
	{
		"another query language", "state machine", "the definition has QueryLanguage",
		func(s specimen) { s.top["QueryLanguage"] = "JSONata" },
	},
	{
		"automatic approval that is not told", "state machine", "want it to end with \"Approval: automatic. Market: simulated.\"",
		func(s specimen) {
			object(object(s.of("RequestHumanApprovalLambda")["Environment"])["Variables"])["APPROVAL"] = "automatic"
		},
	},
	{
		"no word of who approves", "state machine", "the Comment is",
		func(s specimen) { delete(s.top, "Comment") },
	},

	// What is the original's.
	{
		"another first state", "definition keeps the original", "starts at",
		func(s specimen) { s.top["StartAt"] = "Request Human Approval" },
	},
	{
		"another ResultPath", "definition keeps the original", "ResultPath is $.side",
		func(s specimen) { s.states["Generate Buy/Sell recommendation"]["ResultPath"] = "$.side" },
	},
	{
		"the answer as the payload", "definition keeps the original", "Request Human Approval: ResultPath",
		func(s specimen) { delete(s.states["Request Human Approval"], "ResultPath") },
	},
	{
		"another comparison", "definition keeps the original", "Buy or Sell?: Choices",
		func(s specimen) { objects(s.states["Buy or Sell?"]["Choices"])[0]["StringEquals"] = "sell" },
	},
	{
		"another key in the report", "definition keeps the original", "Report Result: Parameters",
		func(s specimen) { object(object(s.states["Report Result"]["Parameters"])["Message"])["Output.$"] = "$" },
	},
	{
		"another form of Resource", "definition keeps the original", "arn:aws:states:::lambda:invoke",
		func(s specimen) { s.states["Buy Stock"]["Resource"] = "arn:aws:states:::lambda:invoke" },
	},
	{
		"an OutputPath", "definition keeps the original", "OutputPath is added",
		func(s specimen) { s.states["Sell Stock"]["OutputPath"] = "$.id" },
	},
	{
		"another order", "definition keeps the original", "the states begin with",
		func(s specimen) { s.order[4], s.order[5] = s.order[5], s.order[4] },
	},
	{
		"a ninth state more", "definition keeps the original", "9 states are added",
		func(s specimen) { s.states["Ninth"] = map[string]any{"Type": "Succeed"} },
	},
	{
		"a request without its deadline", "messages", "Request Human Approval sends",
		func(s specimen) {
			delete(object(object(s.states["Request Human Approval"]["Parameters"])["MessageBody"]), "EnteredTime.$")
		},
	},
	{
		"a report without its execution", "messages", "Report Result sends",
		func(s specimen) {
			delete(object(object(s.states["Report Result"]["Parameters"])["MessageAttributes"]), "execution")
		},
	},

	// Timeouts, retries and catches.
	{
		"a task without a timeout", "every task has a timeout, retries and a catch", "Report Failure has no timeout",
		func(s specimen) { delete(s.states["Report Failure"], "TimeoutSeconds") },
	},
	{
		"a wait without a timeout", "every task has a timeout, retries and a catch", "Request Human Approval has no timeout",
		func(s specimen) { delete(s.states["Request Human Approval"], "TimeoutSeconds") },
	},
	{
		"a state that gives up before its function", "every task has a timeout, retries and a catch", "Buy Stock: the state's timeout of 10 s",
		func(s specimen) { s.states["Buy Stock"]["TimeoutSeconds"] = 10.0 },
	},
	{
		"no retry", "every task has a timeout, retries and a catch", "Sell Stock retries []",
		func(s specimen) { delete(s.states["Sell Stock"], "Retry") },
	},
	{
		"retry of a bad request too", "every task has a timeout, retries and a catch", "Check Stock Price retries [[OrderRefused] ",
		func(s specimen) { s.retry("Check Stock Price", 0)["ErrorEquals"] = []any{"OrderRefused"} },
	},
	{
		"retry of a market's refusal too", "every task has a timeout, retries and a catch", "Buy Stock retries [[InvalidRequest OrderConflict OrderUnknown] ",
		func(s specimen) {
			s.retry("Buy Stock", 0)["ErrorEquals"] = []any{"InvalidRequest", "OrderConflict", "OrderUnknown"}
		},
	},
	{
		"a lasting error retried all the same", "every task has a timeout, retries and a catch", "Sell Stock: the first retrier must keep [InvalidRequest OrderRefused OrderConflict OrderUnknown]",
		func(s specimen) { delete(s.retry("Sell Stock", 0), "MaxAttempts") },
	},
	{
		"a passing fault not retried", "every task has a timeout, retries and a catch", "Sell Stock retries [[InvalidRequest OrderRefused OrderConflict OrderUnknown] [Lambda.TooManyRequestsException] [States.Timeout]]",
		func(s specimen) { s.retry("Sell Stock", 2)["ErrorEquals"] = []any{"States.Timeout"} },
	},
	{
		"a wait asked again when its time is over", "every task has a timeout, retries and a catch", "Request Human Approval retries [[BuyInstead SellInstead TradeDeclined] [States.ALL]]",
		func(s specimen) { s.retry("Request Human Approval", 1)["ErrorEquals"] = []any{"States.ALL"} },
	},
	{
		"throttling retried as any fault", "every task has a timeout, retries and a catch", "Buy Stock retries [[InvalidRequest OrderRefused OrderConflict OrderUnknown] [States.ALL]]",
		func(s specimen) {
			retries := s.states["Buy Stock"]["Retry"].([]any)
			s.states["Buy Stock"]["Retry"] = []any{retries[0], retries[2]}
		},
	},
	{
		"throttling not outlasted", "every task has a timeout, retries and a catch", "Check Stock Price: throttling is retried for",
		func(s specimen) { s.retry("Check Stock Price", 1)["MaxAttempts"] = 6.0 },
	},
	{
		"no jitter", "every task has a timeout, retries and a catch", "full jitter",
		func(s specimen) { s.retry("Report Result", 0)["JitterStrategy"] = "NONE" },
	},
	{
		"no backoff", "every task has a timeout, retries and a catch", "Sell Stock: retries need a backoff",
		func(s specimen) { s.retry("Sell Stock", 2)["BackoffRate"] = 1.0 },
	},
	{
		"a retry that is none", "every task has a timeout, retries and a catch", "Report Failure: retries need",
		func(s specimen) { s.retry("Report Failure", 0)["MaxAttempts"] = 0.0 },
	},
	{
		"no cap on the delay", "every task has a timeout, retries and a catch", "Buy Stock: retries need a backoff, a cap",
		func(s specimen) { delete(s.retry("Buy Stock", 1), "MaxDelaySeconds") },
	},
	{
		"a catch removed", "every task has a timeout, retries and a catch", "Check Stock Price does not catch every error",
		func(s specimen) { delete(s.states["Check Stock Price"], "Catch") },
	},
	{
		"a catch of timeouts only", "every task has a timeout, retries and a catch", "Sell Stock does not catch every error",
		func(s specimen) { s.catch("Sell Stock", 1)["ErrorEquals"] = []any{"States.Timeout"} },
	},
	{
		"a field for the error in an input that has none", "every task has a timeout, retries and a catch", "Check Stock Price: catch 0",
		func(s specimen) { s.catch("Check Stock Price", 0)["ResultPath"] = "$.failure" },
	},
	{
		"an error in place of the quote", "every task has a timeout, retries and a catch", "Buy Stock: catch 1",
		func(s specimen) { delete(s.catch("Buy Stock", 1), "ResultPath") },
	},
	{
		"machine timeout too short", "the machine outlasts its states", "is not longer than its states'",
		func(s specimen) { s.top["TimeoutSeconds"] = 86400.0 },
	},
	{
		"no machine timeout", "the machine outlasts its states", "is not longer than its states'",
		func(s specimen) { delete(s.top, "TimeoutSeconds") },
	},

	// Decisions.
	{
		"decisions are asked again", "decisions are caught by name and never retried", "the first retrier",
		func(s specimen) { s.retry("Request Human Approval", 0)["MaxAttempts"] = 1.0 },
	},
	{
		"a decision that is asked again", "decisions are caught by name and never retried", "the first retrier",
		func(s specimen) {
			s.retry("Request Human Approval", 0)["ErrorEquals"] = []any{"BuyInstead", "SellInstead"}
		},
	},
	{
		"decisions not told from failures", "decisions are caught by name and never retried", "the first retrier",
		func(s specimen) {
			s.states["Request Human Approval"]["Retry"] = s.states["Request Human Approval"]["Retry"].([]any)[1:]
		},
	},
	{
		"decisions swapped", "decisions are caught by name and never retried", "BuyInstead:Sell Stock",
		func(s specimen) { s.catch("Request Human Approval", 0)["Next"] = "Sell Stock" },
	},
	{
		"silence is consent", "decisions are caught by name and never retried", "States.Timeout:Buy Stock",
		func(s specimen) { s.catch("Request Human Approval", 3)["Next"] = "Buy Stock" },
	},
	{
		"no Default", "decisions are caught by name and never retried", "neither buy nor sell leads to <nil>",
		func(s specimen) { delete(s.states["Buy or Sell?"], "Default") },
	},
	{
		"in doubt buy", "decisions are caught by name and never retried", "neither buy nor sell leads to Buy Stock",
		func(s specimen) { s.states["Buy or Sell?"]["Default"] = "Buy Stock" },
	},
	{
		"a declined trade reported as traded", "decisions are caught by name and never retried", "Trade Declined reports",
		func(s specimen) { object(s.states["Trade Declined"]["Parameters"])["outcome"] = "traded" },
	},

	// Paths.
	{
		"a trade without asking", "every path reports", "trades without asking",
		func(s specimen) { s.catch("Generate Buy/Sell recommendation", 0)["Next"] = "Buy Stock" },
	},
	{
		"a trade after a trade", "every path reports", "trades twice",
		func(s specimen) { s.catch("Buy Stock", 1)["Next"] = "Sell Stock" },
	},
	{
		"a path without a report", "every path reports", "reports 0 times",
		func(s specimen) { s.states["Describe Failure"]["Next"] = "Trade Failed" },
	},
	{
		"a failure that ends as success", "every path reports", "ends in a state of type Task",
		func(s specimen) { s.states["Quote Failed"]["Next"] = "Report Result" },
	},
	{
		"a state that is no state", "every path reports", "which is no state",
		func(s specimen) { s.catch("Report Result", 0)["Next"] = "Nowhere" },
	},
	{
		"a state that nothing leads to", "every path reports", "no path leads to Spare",
		func(s specimen) { s.states["Spare"] = map[string]any{"Type": "Succeed"} },
	},
	{
		"a round in circles", "every path reports", "comes back to Request Human Approval",
		func(s specimen) { s.states["Approval Expired"]["Next"] = "Request Human Approval" },
	},

	// What a failure says.
	{
		"certain where it is unknown", "failures say what is known", "Buy Stock: [States.ALL] is put in $.trade_placed.no['Buy Stock']",
		func(s specimen) { s.catch("Buy Stock", 1)["ResultPath"] = "$.trade_placed.no['Buy Stock']" },
	},
	{
		"unknown where it is certain", "failures say what is known", "Buy Stock: [InvalidRequest OrderRefused] is put in $.trade_placed.unknown['Buy Stock']",
		func(s specimen) { s.catch("Buy Stock", 0)["ResultPath"] = "$.trade_placed.unknown['Buy Stock']" },
	},
	{
		"rejections not told from errors", "failures say what is known", "Buy Stock: one of [InvalidRequest OrderRefused]",
		func(s specimen) { s.states["Buy Stock"]["Catch"] = s.states["Buy Stock"]["Catch"].([]any)[1:] },
	},
	{
		"a market's refusal not told from errors", "failures say what is known", "Sell Stock: one of [InvalidRequest OrderRefused]",
		func(s specimen) { s.catch("Sell Stock", 0)["ErrorEquals"] = []any{"InvalidRequest"} },
	},
	{
		"a market's fault taken for a refusal", "failures say what is known", "Buy Stock: [InvalidRequest OrderRefused MarketUnavailable] is put in $.trade_placed.no",
		func(s specimen) {
			s.catch("Buy Stock", 0)["ErrorEquals"] = []any{"InvalidRequest", "OrderRefused", "MarketUnavailable"}
		},
	},
	{
		"another state blamed", "failures say what is known", "Sell Stock: [States.ALL] is put in $.trade_placed.unknown['Buy Stock']",
		func(s specimen) { s.catch("Sell Stock", 1)["ResultPath"] = "$.trade_placed.unknown['Buy Stock']" },
	},
	{
		"an error that isn't where it is read", "failures say what is known", "Generate Buy/Sell recommendation: [States.ALL] is put in $.error",
		func(s specimen) { s.catch("Generate Buy/Sell recommendation", 0)["ResultPath"] = "$.error" },
	},
	{
		"an error whose state isn't described", "failures say what is known", "and leads to Quote Failed, want",
		func(s specimen) { s.catch("Request Human Approval", 4)["Next"] = "Quote Failed" },
	},
	{
		"a failed quote described as if there were one", "failures say what is known", "Check Stock Price: an error leads to Describe Failure",
		func(s specimen) { s.catch("Check Stock Price", 0)["Next"] = "Describe Failure" },
	},
	{
		"a decision that isn't where it is read", "failures say what is known", "the decision is put in $.answer",
		func(s specimen) { s.catch("Request Human Approval", 2)["ResultPath"] = "$.answer" },
	},
	{
		"a failure without the order's id", "failures say what is known", "Describe Failure is",
		func(s specimen) { delete(object(s.states["Describe Failure"]["Parameters"]), "id.$") },
	},
	{
		"the wrong part of a path", "failures say what is known", "Describe Failure is",
		func(s specimen) {
			p := object(s.states["Describe Failure"]["Parameters"])
			p["trade_placed.$"] = p["failed_state.$"]
		},
	},
	{
		"a Cause that may be missing", "failures say what is known", "Describe Failure is",
		func(s specimen) {
			object(s.states["Describe Failure"]["Parameters"])["failure.$"] = "States.ArrayGetItem($.trade_placed[*][*], 0)"
		},
	},
	{
		"a failed quote that may have traded", "failures say what is known", "Quote Failed is",
		func(s specimen) { object(s.states["Quote Failed"]["Parameters"])["trade_placed"] = "unknown" },
	},
	{
		"an error name that may be null", "failures say what is known", "Trade Failed is",
		func(s specimen) {
			delete(s.states["Trade Failed"], "Error")
			s.states["Trade Failed"]["ErrorPath"] = "$.failure.Error"
		},
	},
	{
		"what matters at the end of a cause", "failures say what is known", "Trade Failed is",
		func(s specimen) {
			s.states["Trade Failed"]["CausePath"] = "States.Format('{} failed with {}: {}. Trade placed: {}. Id: {}', $.failed_state, $.failure.Error, $.failure.Cause, $.trade_placed, $.id)"
		},
	},
	{
		"a failure's report thrown away", "failures say what is known", "Quote Failed is",
		func(s specimen) { s.states["Quote Failed"]["ResultPath"] = nil },
	},
	{
		"a failure reported as a result", "failures say what is known", "Recommendation Unknown is",
		func(s specimen) { s.states["Recommendation Unknown"]["Next"] = "Report Result" },
	},
	{
		"the reply in place of the error", "failures say what is known", "Report Failure is",
		func(s specimen) { delete(s.states["Report Failure"], "ResultPath") },
	},
	{
		"a lost report unnoticed", "failures say what is known", "Report Failure: an error is put in $.report_failure and leads to Trade Failed",
		func(s specimen) { s.catch("Report Failure", 0)["Next"] = "Trade Failed" },
	},
	{
		"a lost report whose error isn't where it is read", "failures say what is known", "Report Result: an error is put in $.failure",
		func(s specimen) { s.catch("Report Result", 0)["ResultPath"] = "$.failure" },
	},
	{
		"a lost report without the trade", "failures say what is known", "Report Not Sent is",
		func(s specimen) {
			s.states["Report Not Sent"]["CausePath"] = "States.Format('{}', $.report_failure.Error)"
		},
	},
	{
		"a failure without a cause", "failures say what is known", "Trade Failed is",
		func(s specimen) { delete(s.states["Trade Failed"], "CausePath") },
	},

	// Alarms, logs and outputs.
	{
		"an alarm's action removed", "alarms", "ExecutionsFailedAlarm does not go to the topic",
		func(s specimen) { delete(s.of("ExecutionsFailedAlarm"), "AlarmActions") },
	},
	{
		"an alarm switched off", "alarms", "ExecutionsAbortedAlarm goes off at",
		func(s specimen) { s.of("ExecutionsAbortedAlarm")["ActionsEnabled"] = false },
	},
	{
		"another threshold", "alarms", "ExecutionsFailedAlarm goes off at",
		func(s specimen) { s.of("ExecutionsFailedAlarm")["Threshold"] = 100.0 },
	},
	{
		"an alarm on something else", "alarms", "RequestNotServedAlarm goes off at",
		func(s specimen) {
			object(object(objects(s.of("RequestNotServedAlarm")["Metrics"])[0]["MetricStat"])["Metric"])["MetricName"] = "ApproximateAgeOfOldestMessage"
		},
	},
	{
		"an alarm on requests that are being served", "alarms", "RequestNotServedAlarm goes off at",
		func(s specimen) {
			objects(s.of("RequestNotServedAlarm")["Metrics"])[3]["Expression"] = "IF(visible + inflight > 0, 1, 0)"
		},
	},
	{
		"an alarm after the request is gone", "alarms", "RequestNotServedAlarm waits for 5 minutes",
		func(s specimen) { s.of("RequestHumanApprovalSqs")["MessageRetentionPeriod"] = 240.0 },
	},
	{
		"an alarm that doesn't say what it is", "alarms", "RequestNotServedAlarm has no description",
		func(s specimen) { delete(s.of("RequestNotServedAlarm"), "AlarmDescription") },
	},
	{
		"logs kept for ever", "logs", "outlives its use",
		func(s specimen) { delete(s.of("BuyStockLogs"), "RetentionInDays") },
	},
	{
		"logs kept when the stack goes", "logs", "outlives its use",
		func(s specimen) {
			r := s.Resources[s.id("SellStockLogs")]
			r.DeletionPolicy = "Retain"
			s.Resources[s.id("SellStockLogs")] = r
		},
	},
	{
		"an output without a description", "outputs", "the output DeskCommand has no description",
		func(s specimen) {
			output := s.Outputs["DeskCommand"]
			output.Description = ""
			s.Outputs["DeskCommand"] = output
		},
	},
	{
		"an output removed", "outputs", "want map",
		func(s specimen) { delete(s.Outputs, "ApproverPolicyArn") },
	},
}

// marketMutants are those of the template of a real market.
var marketMutants = []mutant{
	{
		"a live market that is not told", "state machine", "want it to end with \"Approval: human. Market: live.\"",
		func(s specimen) {
			for _, name := range marketFunctions {
				object(object(s.of(name + "Lambda")["Environment"])["Variables"])["MARKET_MODE"] = "live"
			}
		},
	},
	{
		"may not read the keys", "permissions are the ones used", "BuyStockRole may not secretsmanager:GetSecretValue",
		func(s specimen) { s.revoke("BuyStockRole", "secretsmanager:GetSecretValue") },
	},
	{
		"may read all secrets", "policies are narrow", "CheckStockPriceRole may secretsmanager:GetSecretValue on *",
		func(s specimen) {
			s.statement("CheckStockPriceRole", "secretsmanager:GetSecretValue")["Resource"] = "*"
		},
	},
	{
		"may read another secret", "permissions are the ones used", "secret:other-AbCdEf, which nothing uses",
		func(s specimen) {
			s.statement("SellStockRole", "secretsmanager:GetSecretValue")["Resource"] = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf"
		},
	},
	{
		"may change the keys", "permissions are the ones used", "SellStockRole may secretsmanager:PutSecretValue",
		func(s specimen) { s.grant("SellStockRole", "secretsmanager:PutSecretValue", marketSecret) },
	},
	{
		"a function that needs no keys may read them", "permissions are the ones used", "RequestHumanApprovalRole may secretsmanager:GetSecretValue",
		func(s specimen) { s.grant("RequestHumanApprovalRole", "secretsmanager:GetSecretValue", marketSecret) },
	},
	{
		"an address in place of the market's", "functions", "BuyStock's environment has MARKET_ENDPOINT",
		func(s specimen) { s.environment("BuyStock")["MARKET_ENDPOINT"] = "https://example.com" },
	},
	{
		"keys in the environment", "functions", "CheckStockPrice's environment has APCA_API_SECRET_KEY",
		func(s specimen) { s.environment("CheckStockPrice")["APCA_API_SECRET_KEY"] = "x" },
	},
	{
		"one function live", "functions", "SellStock has the MARKET_MODE live, and CheckStockPrice has paper",
		func(s specimen) { s.environment("SellStock")["MARKET_MODE"] = "live" },
	},
	{
		"the keys of another", "functions", "BuyStock has the MARKET_SECRET",
		func(s specimen) { s.environment("BuyStock")["MARKET_SECRET"] = "arn:other" },
	},
	{
		"a function that needs no market", "functions", "GenerateBuySellRecommendation's environment has MARKET_SECRET",
		func(s specimen) {
			s.of("GenerateBuySellRecommendationLambda")["Environment"] = map[string]any{"Variables": map[string]any{"MARKET_SECRET": marketSecret}}
		},
	},
}

// fourEyesMutants are those of four eyes.
var fourEyesMutants = []mutant{
	{
		"approvers are kept from something else", "policies are narrow", "denied is [{ApproverPolicy states:StopExecution",
		func(s specimen) {
			s.statement("ApproverPolicy", "states:StartExecution")["Action"] = "states:StopExecution"
		},
	},
	{
		"approvers may start by a version's ARN", "policies are narrow", "denied is [{ApproverPolicy states:StartExecution StockTradingStateMachine}], want",
		func(s specimen) {
			s.statement("ApproverPolicy", "states:StartExecution")["Resource"] = s.ref("StockTradingStateMachine")
		},
	},
	{
		"approvers may start", "permissions are the ones used", "ApproverPolicy may states:StartExecution on StockTradingStateMachine, which nothing uses",
		func(s specimen) { s.statement("ApproverPolicy", "states:StartExecution")["Effect"] = "Allow" },
	},
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
	s.order, s.states = asl.Order(string(text)), s.definition().States
	return s
}

// put writes the definition back, with its states in their order, unless the template
// has none of its own any more.
func (s specimen) put(t *testing.T) template {
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

func (s specimen) ref(construct string) any { return map[string]any{"Ref": s.id(construct)} }

func (s specimen) arn(construct string) any {
	return map[string]any{"Fn::GetAtt": []any{s.id(construct), "Arn"}}
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

// revoke takes one action out of its statement.
func (s specimen) revoke(construct, action string) {
	statement := s.statement(construct, action)
	statement["Action"] = slices.DeleteFunc(slices.Clone(oneOrMany(statement["Action"])), func(a any) bool { return a == action })
}

// grant gives a role a policy document of one statement.
func (s specimen) grant(role, action string, resource any) {
	s.of(role)["Policies"] = append(s.of(role)["Policies"].([]any), map[string]any{
		"PolicyName":     "Extra",
		"PolicyDocument": map[string]any{"Statement": []any{map[string]any{"Effect": "Allow", "Action": action, "Resource": resource}}},
	})
}

// allow adds a statement to a resource's policy.
func (s specimen) allow(policy string, principal any, action string, resource any) {
	document := object(s.of(policy)["PolicyDocument"])
	document["Statement"] = append(document["Statement"].([]any),
		map[string]any{"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource})
}

// trust is the statement that says who may assume a role.
func (s specimen) trust(role string) map[string]any {
	return statements(s.of(role)["AssumeRolePolicyDocument"])[0]
}

func (s specimen) retry(state string, i int) map[string]any {
	return objects(s.states[state]["Retry"])[i]
}

func (s specimen) catch(state string, i int) map[string]any {
	return objects(s.states[state]["Catch"])[i]
}

// find runs a check, and takes a panic for a finding that no reader could use.
func find(check func(template) problems, tpl template) (found problems, panicked any) {
	defer func() { panicked = recover() }()
	return check(tpl), nil
}

// Each mutant is found by the check that it names, and each check finds a mutant.
func TestMutants(t *testing.T) {
	finds := map[string]int{}
	for _, of := range []struct {
		override map[string]any
		mutants  []mutant
	}{{nil, mutants}, {onAlpaca, marketMutants}, {map[string]any{"fourEyes": "true"}, fourEyesMutants}} {
		whole := newSpecimen(t, of.override).put(t)
		for name, check := range checks { // laying it open and putting it back is no defect
			if found, panicked := find(check, whole); len(found) > 0 || panicked != nil {
				t.Fatalf("the check %q finds in what is no mutant: %q, panic %v", name, found, panicked)
			}
		}
		for _, mutant := range of.mutants {
			finds[mutant.check]++
			t.Run(mutant.name, func(t *testing.T) {
				t.Parallel()
				mutant.test(t, newSpecimen(t, of.override), whole)
			})
		}
	}
	for name := range checks {
		if finds[name] == 0 {
			t.Errorf("no mutant shows that the check %q can fail", name)
		}
		delete(finds, name)
	}
	for name := range finds {
		t.Errorf("there is no check %q", name)
	}
	t.Logf("%d mutants, found by %d checks", len(mutants)+len(marketMutants)+len(fourEyesMutants), len(checks))
}

// test changes the specimen and wants the checks to find that.
func (m mutant) test(t *testing.T, s specimen, whole template) {
	m.change(s)
	tpl := s.put(t)
	if reflect.DeepEqual(tpl, whole) {
		t.Fatal("the mutant is no different")
	}
	others := map[string]problems{}
	for name, check := range checks {
		found, panicked := find(check, tpl)
		if panicked != nil {
			t.Errorf("the check %q panics: %v", name, panicked)
		}
		if len(found) > 0 {
			others[name] = found
		}
	}
	if found := others[m.check]; !strings.Contains(strings.Join(found, "\n"), m.says) {
		t.Errorf("the check %q does not say %q; all that is found is %s", m.check, m.says, list(others))
	}
}

func list(found map[string]problems) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(&b, "\n  %s: %s", name, strings.Join(found[name], "\n    "))
	}
	return b.String()
}
