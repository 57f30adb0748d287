package test

import (
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
	"github.com/google/go-cmp/cmp"

	"stocktrading/local/assembly"
)

// finding is a message that the synthesis leaves at a construct.
type finding struct{ construct, rule string }

// accepted are the findings of cdk-nag that stay, each with the reason. They are kept here
// and not as suppressions of the stack: those would be written into the template, would
// make cdk-nag a part of the app, and would stay when what they excuse is gone.
var accepted = map[finding]string{
	{"StockTrading/RequestHumanApprovalSqs/Resource", "AwsSolutions-SQS3"}: "The execution is the record and the queue is transport. A message that is lost loses nothing: its execution " +
		"still waits, the desk lists it, and the timeout reports it. docs/decisions/one-queue.md",
	{"StockTrading/StockTradingStateMachine/Resource", "AwsSolutions-SF1"}: "Logs of a state machine need statements on every resource, and would hold the task tokens. A Standard workflow " +
		"keeps its full history for 90 days without them. docs/decisions/no-wildcards.md",
	{"StockTrading/StockTradingStateMachine/Resource", "AwsSolutions-SF2"}: "X-Ray needs statements on every resource. What it would show of an execution is in its history. " +
		"docs/decisions/no-wildcards.md",
	{"StockTrading/ApproverPolicy/Resource", "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:<StockTradingStateMachineB8CE9B37.Name>:*]"}: "" +
		"The executions of this one state machine, which have no names before they are started.",
}

// The AwsSolutions pack of cdk-nag finds what is accepted and nothing else.
func TestNag(t *testing.T) {
	t.Parallel() // the only one of the parallel tests that constructs something
	for _, configuration := range []struct {
		name     string
		override map[string]any
		also     map[finding]string
	}{
		{"human", nil, nil},
		{"automatic", map[string]any{"approval": "automatic"}, map[finding]string{
			{"StockTrading", "approval=automatic"}: "The app's own warning about what was chosen.",
		}},
		{"four eyes", map[string]any{"fourEyes": "true"}, nil},
		{"alpaca", onAlpaca, nil},
	} {
		t.Run(configuration.name, func(t *testing.T) {
			want := maps.Clone(accepted)
			maps.Copy(want, configuration.also)
			got := nag(t, configuration.override)
			for f := range got {
				got[f] = want[f] // only the findings are compared
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(finding{})); diff != "" {
				t.Errorf("mend the stack, or accept a new finding with a reason that a reviewer would (-accepted +found):\n%s", diff)
			}
		})
	}
}

// nag returns what the pack finds.
func nag(t *testing.T, override map[string]any) map[finding]string {
	t.Helper()
	app, out := newApp(t, override, map[string]any{
		// A finding would otherwise end the synthesis, before the others are known.
		"@aws-cdk/core:annotationsInValidationReport": false,
	})
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
	app.Synth(nil)
	cloud, err := assembly.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	found := map[finding]string{}
	for _, m := range cloud.Messages {
		rule, _, _ := strings.Cut(m.Text, ": ")
		found[finding{m.Path, rule}] = ""
	}
	return found
}
