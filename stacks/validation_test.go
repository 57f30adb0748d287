package stacks

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// synthesized is what the CDK tells a validator of.
type synthesized struct {
	awscdk.IPolicyValidationContext
	stacks []*awscdk.PolicyValidationStack
}

func (s synthesized) StackTemplates() *[]*awscdk.PolicyValidationStack { return &s.stacks }

// A template is validated until nothing is found in it, and then once more for each change of
// anything that the result depends on.
func TestValidateOnce(t *testing.T) {
	dir := t.TempDir()
	template := filepath.Join(dir, "template.json")
	stack := &awscdk.PolicyValidationStack{StackConstructPath: jsii.String("StockTrading"), TemplatePath: &template}
	validated := 0
	violation := &awscdk.PolicyViolation{RuleName: jsii.String("E3003")}
	findings := []*awscdk.PolicyViolation{}
	success := true
	v := &validateOnce{
		dir:      filepath.Join(dir, "validated"),
		versions: "CDK 2.270.0",
		validate: func(awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
			validated++
			return &awscdk.PolicyValidationPluginReport{Success: &success, Violations: &findings}
		},
	}
	write := func(text string) {
		if err := os.WriteFile(template, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{}")
	for _, test := range []struct {
		name   string
		change func()
		runs   int // of the validator, in two syntheses
	}{
		{"a finding", func() { findings = []*awscdk.PolicyViolation{violation} }, 2},
		{"a failure", func() { findings, success = []*awscdk.PolicyViolation{}, false }, 2},
		{"a new template", func() { success = true }, 1},
		{"nothing changed", func() {}, 0},
		{"another template", func() { write(`{"Resources":{}}`) }, 1},
		{"the first template", func() { write("{}") }, 0},
		{"another account", func() { stack.AccountId = jsii.String("123456789012") }, 1},
		{"another region", func() { stack.Region = jsii.String("eu-west-1") }, 1},
		{"another stack", func() { stack.StackConstructPath = jsii.String("Another") }, 1},
		{"another version", func() { v.versions = "CDK 2.271.0" }, 1},
		{"a folder that can't be written", func() { v.dir = filepath.Join(template, "file") }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.change()
			validated = 0
			for range 2 {
				report := v.Validate(synthesized{stacks: []*awscdk.PolicyValidationStack{stack}})
				if *report.Success != success || len(*report.Violations) != len(findings) {
					t.Errorf("reported %t with %d findings, want %t with %d", *report.Success, len(*report.Violations), success, len(findings))
				}
			}
			if validated != test.runs {
				t.Errorf("validated %d times, want %d", validated, test.runs)
			}
		})
	}
}

// What a result depends on beside the template: the CLI, the CDK, and which versions they are.
func TestVersions(t *testing.T) {
	t.Setenv("CDK_CLI_VERSION", "2.1148.1")
	first := versions()
	t.Setenv("CDK_CLI_VERSION", "2.1149.0")
	if versions() == first {
		t.Error("another CLI has the same versions")
	}
}
