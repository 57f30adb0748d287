package stacks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/jsii-runtime-go"
	"github.com/gofrs/flock"
)

// goFunction is the code of one function: the main package of that name in lambdas/,
// built on this machine for the runtime that the stack uses. The same source and Go
// version give the same bytes, and so the same asset, everywhere. A build tag chooses what
// of the source that is.
func goFunction(name string, tags ...string) awslambda.Code {
	return awslambda.Code_FromAsset(jsii.String("lambdas/"+name), &awss3assets.AssetOptions{
		AssetHashType: awscdk.AssetHashType_OUTPUT,
		Bundling: &awscdk.BundlingOptions{
			Image: awscdk.DockerImage_FromRegistry(jsii.String("not-used")), // required, but the local build never asks for it
			Local: &goBuild{name: name, tags: tags},
		},
	})
}

// goBuild implements awscdk.ILocalBundling. Only a pointer does: jsii refuses a value.
type goBuild struct {
	name string
	tags []string
}

// TryBundle builds the function's executable into dir. It panics with the compiler's
// message if that fails: to return false would send the CDK looking for Docker.
func (b *goBuild) TryBundle(dir *string, _ *awscdk.BundlingOptions) *bool {
	if err := b.build(*dir); err != nil {
		panic(err)
	}
	return jsii.Bool(true)
}

// built has the folders of executables that this process has brought up to date.
var built = map[string]bool{}

// build takes the executable from a folder in which one run of go keeps those of all
// functions: a run for each would take five times as long, and a new folder make go link
// what has not changed.
func (b *goBuild) build(dir string) error {
	all, err := filepath.Abs(filepath.Join(".build", strings.Join(append([]string{"lambdas"}, b.tags...), "-")))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(all, 0o755); err != nil {
		return err
	}
	lock := flock.New(all + ".lock") // another synthesis may use the same folder
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	defer lock.Unlock()
	if !built[all] {
		if err := b.buildAll(all); err != nil {
			return err
		}
		built[all] = true
	}
	executable, err := os.ReadFile(filepath.Join(all, b.name))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bootstrap"), executable, 0o755)
}

func (b *goBuild) buildAll(dir string) error {
	tags := strings.Join(append([]string{"lambda.norpc"}, b.tags...), ",")
	cmd := exec.Command("go", "build",
		"-trimpath", "-buildvcs=false", "-tags", tags, "-ldflags", "-s -w", "-o", dir+string(filepath.Separator), "./lambdas/...")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build lambdas for the function %s: %w\n%s", b.name, err, out)
	}
	return nil
}
