// Package stacks is the stock trading app's one stack: five functions, a queue, a
// topic and the state machine that orchestrates them.
package stacks

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stocktrading/stacks/config"
)

const (
	functionTimeout = 10 * time.Second
	// visibilityTimeout hides a message while its batch is being served: six times the
	// function's timeout, as Lambda asks for.
	visibilityTimeout = 6 * functionTimeout
	// minRetention is the shortest time that SQS keeps messages.
	minRetention = time.Minute
)

// NewStockTrading defines the stack. It reads top to bottom as the workflow runs.
func NewStockTrading(scope constructs.Construct, id string, c config.Config) awscdk.Stack {
	stack := awscdk.NewStack(scope, jsii.String(id), &awscdk.StackProps{
		Description: jsii.String("Checks a stock price, recommends to buy or sell, asks a human, trades as they decide and reports the result."),
	})

	checkStockPrice := newMarketFunction(stack, c, "CheckStockPrice", "checkstockprice",
		"Quotes the stock that a person asked to trade.")
	recommend := newFunction(stack, "GenerateBuySellRecommendation", "generatebuysellrecommendation",
		"Recommends to buy or to sell at the quoted price.", nil, nil)
	buyStock := newMarketFunction(stack, c, "BuyStock", "buystock", "Buys what was quoted.")
	sellStock := newMarketFunction(stack, c, "SellStock", "sellstock", "Sells what was quoted.")
	if c.MarketMode == config.LiveMode {
		awscdk.Annotations_Of(stack).AddWarningV2(jsii.String("StockTrading:liveTrading"),
			jsii.String("marketMode=live: what is approved is traded with real money."))
	}

	queue := awssqs.NewQueue(stack, jsii.String("RequestHumanApprovalSqs"), &awssqs.QueueProps{
		Encryption:        awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		VisibilityTimeout: seconds(visibilityTimeout),
		RetentionPeriod:   seconds(max(c.ApprovalTimeout, minRetention)),
	})
	topic := awssns.NewTopic(stack, jsii.String("ReportResultSnsTopic"), &awssns.TopicProps{
		EnforceSSL: jsii.Bool(true),
	})
	if c.ApproverEmail != "" {
		awssns.NewSubscription(stack, jsii.String("ApproverEmailSubscription"), &awssns.SubscriptionProps{
			Topic:    topic,
			Protocol: awssns.SubscriptionProtocol_EMAIL,
			Endpoint: jsii.String(c.ApproverEmail),
		})
	}

	stateMachine := awsstepfunctions.NewStateMachine(stack, jsii.String("StockTradingStateMachine"), &awsstepfunctions.StateMachineProps{
		StateMachineType: awsstepfunctions.StateMachineType_STANDARD,
		DefinitionBody:   awsstepfunctions.DefinitionBody_FromString(jsii.String(renderDefinition(c))),
		DefinitionSubstitutions: &map[string]*string{
			"CheckStockPrice":               checkStockPrice.FunctionArn(),
			"GenerateBuySellRecommendation": recommend.FunctionArn(),
			"RequestHumanApprovalQueue":     queue.QueueUrl(),
			"BuyStock":                      buyStock.FunctionArn(),
			"SellStock":                     sellStock.FunctionArn(),
			"ReportResultTopic":             topic.TopicArn(),
		},
		Role: newRole(stack, "StockTradingStateMachine", stateMachineService(stack), policies{
			"CheckStockPrice":               allow(checkStockPrice.FunctionArn(), "lambda:InvokeFunction"),
			"GenerateBuySellRecommendation": allow(recommend.FunctionArn(), "lambda:InvokeFunction"),
			"RequestHumanApproval":          allow(queue.QueueArn(), "sqs:SendMessage"),
			"BuyStock":                      allow(buyStock.FunctionArn(), "lambda:InvokeFunction"),
			"SellStock":                     allow(sellStock.FunctionArn(), "lambda:InvokeFunction"),
			"ReportResult":                  allow(topic.TopicArn(), "sns:Publish"),
		}),
	})

	approvalPolicies := policies{
		"Queue": allow(queue.QueueArn(), "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
		"Topic": allow(topic.TopicArn(), "sns:Publish"),
	}
	if c.Approval == config.AutomaticApproval {
		approvalPolicies["StateMachine"] = allow(stateMachine.StateMachineArn(), "states:SendTaskSuccess")
		awscdk.Annotations_Of(stack).AddWarningV2(jsii.String("StockTrading:automaticApproval"),
			jsii.String("approval=automatic: every recommendation is traded and no one is asked."))
	}
	requestHumanApproval := newFunction(stack, "RequestHumanApproval", "requesthumanapproval",
		"Tells people on the topic that a trade waits for their decision.",
		map[string]*string{"APPROVAL": jsii.String(string(c.Approval)), "TOPIC_ARN": topic.TopicArn()},
		approvalPolicies)
	requestHumanApproval.AddEventSourceMapping(jsii.String("RequestHumanApprovalSqs"), &awslambda.EventSourceMappingOptions{
		EventSourceArn:          queue.QueueArn(),
		BatchSize:               jsii.Number(10),
		ReportBatchItemFailures: jsii.Bool(true),
	})

	addApproverPolicy(stack, c, stateMachine)
	addAlarms(stack, c, topic, queue, stateMachine)
	addOutputs(stack, topic, queue, stateMachine)
	return stack
}

// newMarketFunction defines a function that asks the market or trades there. For a real one
// it is built with that market's adapter, and may read the one secret that its keys are in.
func newMarketFunction(stack awscdk.Stack, c config.Config, name, pkg, description string) awslambda.Function {
	if c.Market == config.SimulatedMarket {
		return newFunction(stack, name, pkg, description, nil, nil)
	}
	return newFunction(stack, name, pkg, description,
		map[string]*string{"MARKET_MODE": jsii.String(string(c.MarketMode)), "MARKET_SECRET": jsii.String(c.MarketSecret)},
		policies{"MarketSecret": allow(jsii.String(c.MarketSecret), "secretsmanager:GetSecretValue")},
		string(c.Market))
}

// newFunction defines the function <name>Lambda from the main package lambdas/<pkg>, built
// with the given tags, with a log group and a role of its own.
func newFunction(stack awscdk.Stack, name, pkg, description string, environment map[string]*string, p policies, tags ...string) awslambda.Function {
	logs := newLogGroup(stack, name)
	role := newRole(stack, name, awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
		p.with("Logs", allow(logs.LogGroupArn(), "logs:CreateLogStream", "logs:PutLogEvents")))
	props := &awslambda.FunctionProps{
		Description:   jsii.String(description),
		Code:          goFunction(pkg, tags...),
		Runtime:       awslambda.Runtime_PROVIDED_AL2023(),
		Architecture:  awslambda.Architecture_ARM_64(),
		Handler:       jsii.String(pkg), // this runtime starts the file named bootstrap, whatever the handler; the name tells whose it is
		MemorySize:    jsii.Number(128),
		Timeout:       seconds(functionTimeout),
		LogGroup:      logs,
		LoggingFormat: awslambda.LoggingFormat_JSON,
		Role:          role,
	}
	if environment != nil {
		props.Environment = &environment
	}
	return awslambda.NewFunction(stack, jsii.String(name+"Lambda"), props)
}

func addOutputs(stack awscdk.Stack, topic awssns.Topic, queue awssqs.Queue, stateMachine awsstepfunctions.StateMachine) {
	output := func(id, description string, value *string) {
		awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{Description: jsii.String(description), Value: value})
	}
	arn := stateMachine.StateMachineArn()
	output("StateMachineArn", "The state machine's ARN.", arn)
	output("ReportResultTopicArn", "The topic's ARN: subscribe to it to get notices and reports.", topic.TopicArn())
	output("RequestHumanApprovalQueueUrl", "The URL of the queue of approval requests.", queue.QueueUrl())
	output("StartExecutionCommand", "Starts an execution, with the AWS CLI.", jsii.String(fmt.Sprintf(
		`aws stepfunctions start-execution --state-machine-arn %s --input '{"symbol":"AMZN","qty":5}'`, *arn)))
	output("DeskCommand", "Lists what waits for a decision.", jsii.String("go run ./desk --state-machine "+*arn))
}

func seconds(d time.Duration) awscdk.Duration {
	return awscdk.Duration_Seconds(jsii.Number(d.Seconds()))
}
