package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"
)

func newLogGroup(stack awscdk.Stack, name string) awslogs.LogGroup {
	return awslogs.NewLogGroup(stack, jsii.String(name+"Logs"), &awslogs.LogGroupProps{
		Retention:     awslogs.RetentionDays_ONE_MONTH,
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}

// maxRequestAge is how old, in seconds, a request on the queue may become before
// somebody should look why nobody was told of it.
const maxRequestAge = 300

// addAlarms raises on the topic what the workflow can't report itself: executions that
// end without a report, or with one that says that something failed, and requests that
// nobody is told of.
func addAlarms(stack awscdk.Stack, topic awssns.Topic, queue awssqs.Queue, stateMachine awsstepfunctions.StateMachine) {
	var arns []*string
	alarm := func(id, description, namespace, metric, dimension string, value *string, statistic string, threshold float64) {
		a := awscloudwatch.NewCfnAlarm(stack, jsii.String(id), &awscloudwatch.CfnAlarmProps{
			AlarmDescription:   jsii.String(description),
			Namespace:          jsii.String(namespace),
			MetricName:         jsii.String(metric),
			Dimensions:         &[]any{&awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(dimension), Value: value}},
			Statistic:          jsii.String(statistic),
			Period:             jsii.Number(60),
			EvaluationPeriods:  jsii.Number(1),
			ComparisonOperator: jsii.String("GreaterThanOrEqualToThreshold"),
			Threshold:          jsii.Number(threshold),
			TreatMissingData:   jsii.String("notBreaching"),
			AlarmActions:       &[]any{topic.TopicArn()},
		})
		arns = append(arns, a.AttrArn())
	}
	executions := func(id, description, metric string) {
		alarm(id, description, "AWS/States", metric, "StateMachineArn", stateMachine.StateMachineArn(), "Sum", 1)
	}
	executions("ExecutionsFailedAlarm", "An execution failed; its cause says whether a trade was placed.", "ExecutionsFailed")
	executions("ExecutionsTimedOutAlarm", "An execution timed out as a whole, without a report.", "ExecutionsTimedOut")
	executions("ExecutionsAbortedAlarm", "An execution was stopped by hand, without a report.", "ExecutionsAborted")
	alarm("RequestNotServedAlarm", "An approval request stays on the queue: nobody has been told of it.",
		"AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.QueueName(), "Maximum", maxRequestAge)

	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("AllowAlarms"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sns:Publish"),
		Resources:  &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{
			"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()},
			"ArnEquals":    map[string]any{"aws:SourceArn": arns},
		},
	}))
}
