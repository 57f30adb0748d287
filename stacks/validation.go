package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// ValidateOnce registers the CDK's template validator with the app, in place of the one that
// the CDK runs at every synthesis and that takes most of its time. A template that the
// validator has found nothing in is remembered in the folder dir, and not validated again
// until it changes, or the CDK or the CLI does. One with findings is validated, and they are
// shown, each time.
//
// The CDK's own run must be off: CDK_VALIDATION=false in the environment of jsii.
func ValidateOnce(app awscdk.App, dir string) {
	awscdk.Validations_Of(app).AddPlugins(&validateOnce{
		dir:      dir,
		versions: versions(),
		validate: func(context awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
			return awscdk.NewCloudFormationValidatePlugin(nil).Validate(context)
		},
	})
}

// validateOnce implements awscdk.IPolicyValidationPlugin.
type validateOnce struct {
	dir      string
	versions string // of all that a result depends on beside the template
	validate func(awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport
}

// Name is the validator's own: by it the CDK decides whether findings are warnings.
func (v *validateOnce) Name() *string { return awscdk.CloudFormationValidatePlugin_PLUGIN_NAME() }

func (v *validateOnce) Version() *string    { return nil }
func (v *validateOnce) RuleIds() *[]*string { return nil }

// Validate returns what the validator finds in the app's templates, which is nothing where it
// has found nothing before.
func (v *validateOnce) Validate(context awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
	key, err := v.key(*context.StackTemplates())
	if err != nil {
		panic(fmt.Errorf("validate the templates: %w", err))
	}
	valid := filepath.Join(v.dir, key)
	if _, err := os.Stat(valid); err == nil {
		return &awscdk.PolicyValidationPluginReport{Success: jsii.Bool(true), Violations: &[]*awscdk.PolicyViolation{}}
	}
	report := v.validate(context)
	if *report.Success && len(*report.Violations) == 0 {
		// What can't be remembered is validated again.
		if os.MkdirAll(v.dir, 0o755) == nil {
			os.WriteFile(valid, nil, 0o644)
		}
	}
	return report
}

// key names everything that the validator's result depends on.
func (v *validateOnce) key(stacks []*awscdk.PolicyValidationStack) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, v.versions)
	for _, s := range stacks {
		fmt.Fprintf(hash, "%s %s %s ", *s.StackConstructPath, text(s.AccountId), text(s.Region))
		template, err := os.Open(*s.TemplatePath)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(hash, template)
		template.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// versions are those of the CDK CLI, and of the CDK with all else that this program is made of.
func versions() string {
	all := "CDK CLI " + os.Getenv("CDK_CLI_VERSION")
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			all += fmt.Sprintln("", m.Path, m.Version, m.Sum)
		}
	}
	return all
}
