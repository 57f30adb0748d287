package stacks

import (
	"errors"
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

	"stocktrading/lambdas/build"
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
	if err := errors.Join(ownFolders(*dir), b.build(*dir)); err != nil {
		panic(err)
	}
	return jsii.Bool(true)
}

// ownFolders takes from others the right to write to the folder that is bundled into: the
// CDK gives it to everybody. It removes earlier bundles that others may write to, since the
// CDK keeps a bundle that is there, whatever is in it by now.
func ownFolders(dir string) error {
	err := os.Chmod(dir, 0o755)
	bundles, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "asset.*")) // the pattern is valid
	for _, bundle := range bundles {
		if info, statErr := os.Lstat(bundle); statErr == nil && info.IsDir() && info.Mode().Perm()&0o022 != 0 {
			err = errors.Join(err, os.RemoveAll(bundle))
		}
	}
	return err
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
	file, err := os.OpenFile(filepath.Join(dir, "bootstrap"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) // nobody else's
	if err != nil {
		return err
	}
	_, err = file.Write(executable)
	return errors.Join(err, file.Close())
}

func (b *goBuild) buildAll(dir string) error {
	defer build.KeepTimes(filepath.Join(dir, "*"))()
	goCommand := func(args ...string) (string, error) {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), build.Env("linux", "arm64")...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build lambdas for the function %s: %w\n%s", b.name, err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	experiments, err := goCommand("env", "GOEXPERIMENT")
	if err != nil {
		return err
	}
	if experiments != "" {
		return fmt.Errorf("build lambdas: GOEXPERIMENT is %s in go's configuration, and would change the functions; `go env -u GOEXPERIMENT` takes it out", experiments)
	}
	_, err = goCommand(build.Args(dir, b.tags...)...)
	return err
}
