package stacks

import (
	"maps"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"

	"stocktrading/stacks/config"
)

// policies are a role's inline policies: one document for each resource that the role
// may touch, named after it.
type policies map[string]awsiam.PolicyDocument

func (p policies) with(name string, document awsiam.PolicyDocument) policies {
	added := policies{name: document}
	maps.Copy(added, p)
	return added
}

// allow is a document of one statement: these actions on this one resource.
func allow(resource *string, actions ...string) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{
		Statements: &[]awsiam.PolicyStatement{
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Actions:   jsii.Strings(actions...),
				Resources: &[]*string{resource},
			}),
		},
	})
}

// newRole defines the role <name>Role with exactly the given policies: what constructs
// would add to it later is dropped.
func newRole(stack awscdk.Stack, name string, service awsiam.IPrincipal, p policies) awsiam.IRole {
	documents := map[string]awsiam.PolicyDocument(p)
	return awsiam.NewRole(stack, jsii.String(name+"Role"), &awsiam.RoleProps{
		Description:    jsii.String("What " + name + " may do."),
		AssumedBy:      service,
		InlinePolicies: &documents,
	}).WithoutPolicyUpdates(nil)
}

// stateMachineService is Step Functions acting for a state machine of this account.
// The machine's own ARN can't stand here: the machine depends on its role.
func stateMachineService(stack awscdk.Stack) awsiam.IPrincipal {
	return awsiam.NewServicePrincipal(jsii.String("states.amazonaws.com"), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{
			"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()},
			"ArnLike": map[string]any{"aws:SourceArn": stack.FormatArn(&awscdk.ArnComponents{
				Service:      jsii.String("states"),
				Resource:     jsii.String("stateMachine"),
				ResourceName: jsii.String("*"),
				ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
			})},
		},
	})
}

// addApproverPolicy defines the policy of the people who decide: the calls that the
// desk makes, on this state machine and its executions, and no others. With four eyes it
// also keeps them from starting executions, whatever else allows it.
func addApproverPolicy(stack awscdk.Stack, c config.Config, stateMachine awsstepfunctions.StateMachine) {
	executions := stack.FormatArn(&awscdk.ArnComponents{
		Service:      jsii.String("states"),
		Resource:     jsii.String("execution"),
		ResourceName: jsii.String(*stateMachine.StateMachineName() + ":*"),
		ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	statements := []awsiam.PolicyStatement{
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:   jsii.Strings("states:DescribeStateMachine", "states:ListExecutions", "states:SendTaskSuccess", "states:SendTaskFailure"),
			Resources: &[]*string{stateMachine.StateMachineArn()},
		}),
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:   jsii.Strings("states:DescribeExecution", "states:GetExecutionHistory"),
			Resources: &[]*string{executions},
		}),
	}
	if c.FourEyes {
		versions := jsii.String(*stateMachine.StateMachineArn() + ":*") // and aliases
		statements = append(statements, awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Effect:    awsiam.Effect_DENY,
			Actions:   jsii.Strings("states:StartExecution"),
			Resources: &[]*string{stateMachine.StateMachineArn(), versions},
		}))
	}
	policy := awsiam.NewManagedPolicy(stack, jsii.String("ApproverPolicy"), &awsiam.ManagedPolicyProps{
		Description: jsii.String("For the people who decide about trades: see what waits, and answer."),
		Statements:  &statements,
	})
	awscdk.NewCfnOutput(stack, jsii.String("ApproverPolicyArn"), &awscdk.CfnOutputProps{
		Description: jsii.String("The policy to attach to the people who decide about trades."),
		Value:       policy.ManagedPolicyArn(),
	})
}
