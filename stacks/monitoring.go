package stacks

import (
	"math"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"

	"stocktrading/stacks/config"
)

func newLogGroup(stack awscdk.Stack, name string) awslogs.LogGroup {
	return awslogs.NewLogGroup(stack, jsii.String(name+"Logs"), &awslogs.LogGroupProps{
		Retention:     awslogs.RetentionDays_ONE_MONTH,
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}

// addAlarms raises on the topic what the workflow can't report itself: executions that
// end without a report, or with one that says that something failed, and requests that
// nobody is told of.
func addAlarms(stack awscdk.Stack, c config.Config, topic awssns.Topic, queue awssqs.Queue, stateMachine awsstepfunctions.StateMachine) {
	var arns []*string
	alarm := func(id, description string, props *awscloudwatch.CfnAlarmProps) {
		props.AlarmDescription = jsii.String(description)
		props.ComparisonOperator = jsii.String("GreaterThanOrEqualToThreshold")
		props.Threshold = jsii.Number(1)
		props.TreatMissingData = jsii.String("notBreaching")
		props.AlarmActions = &[]any{topic.TopicArn()}
		arns = append(arns, awscloudwatch.NewCfnAlarm(stack, jsii.String(id), props).AttrArn())
	}
	executions := func(id, description, metric string) {
		alarm(id, description, &awscloudwatch.CfnAlarmProps{
			Namespace:         jsii.String("AWS/States"),
			MetricName:        jsii.String(metric),
			Dimensions:        dimension("StateMachineArn", stateMachine.StateMachineArn()),
			Statistic:         jsii.String("Sum"),
			Period:            jsii.Number(60),
			EvaluationPeriods: jsii.Number(1),
		})
	}
	executions("ExecutionsFailedAlarm", "An execution failed; its cause says whether a trade was placed.", "ExecutionsFailed")
	executions("ExecutionsTimedOutAlarm", "An execution timed out as a whole, without a report.", "ExecutionsTimedOut")
	executions("ExecutionsAbortedAlarm", "An execution was stopped by hand, without a report.", "ExecutionsAborted")

	// A message that is received over and over has no age for SQS, so what counts is that
	// there are messages, waiting or in flight, and none is done with.
	metric := func(id, name, statistic string) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
		return &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id: jsii.String(id),
			MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
				Metric: &awscloudwatch.CfnAlarm_MetricProperty{
					Namespace:  jsii.String("AWS/SQS"),
					MetricName: jsii.String(name),
					Dimensions: dimension("QueueName", queue.QueueName()),
				},
				Period: jsii.Number(60),
				Stat:   jsii.String(statistic),
			},
			ReturnData: jsii.Bool(false),
		}
	}
	alarm("RequestNotServedAlarm", "An approval request stays on the queue: nobody has been told of it.", &awscloudwatch.CfnAlarmProps{
		Metrics: &[]any{
			metric("visible", "ApproximateNumberOfMessagesVisible", "Maximum"),
			metric("inflight", "ApproximateNumberOfMessagesNotVisible", "Maximum"),
			metric("deleted", "NumberOfMessagesDeleted", "Sum"),
			&awscloudwatch.CfnAlarm_MetricDataQueryProperty{
				Id:         jsii.String("stuck"),
				Label:      jsii.String("1 while there are requests and none is served"),
				Expression: jsii.String("IF(visible + inflight > 0 AND FILL(deleted, 0) == 0, 1, 0)"),
				ReturnData: jsii.Bool(true),
			},
		},
		EvaluationPeriods: jsii.Number(stuckMinutes(c.ApprovalTimeout)),
	})

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

func dimension(name string, value *string) *[]any {
	return &[]any{&awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(name), Value: value}}
}

// stuckMinutes is for how many minutes in a row no request may be served before somebody
// should look why: five, or fewer where the requests themselves don't live longer. One
// minute less than their life is certain to fall into it whole.
func stuckMinutes(approvalTimeout time.Duration) float64 {
	return max(1, min(5, math.Floor(approvalTimeout.Minutes())-1))
}
