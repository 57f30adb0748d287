// Package localtest prepares what a test needs of the local system.
//
// A process of its own does it, out of sight of the test cache: go would run a test again
// whenever a file changes that the test has opened, and go touches what it builds even where
// nothing has changed. What the preparation is made of the test looks at instead.
package localtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"stocktrading/local/setup"
	"stocktrading/local/system"
)

// variable has, in the environment of the process that prepares, a deployment's configuration
// in JSON.
const variable = "STOCKTRADING_LOCALTEST_CONTEXT"

func init() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	ready, err := prepare([]byte(text))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(ready)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func prepare(text []byte) (setup.Prepared, error) {
	var configuration map[string]any
	if err := json.Unmarshal(text, &configuration); err != nil {
		return setup.Prepared{}, err
	}
	root, err := setup.Root()
	if err != nil {
		return setup.Prepared{}, err
	}
	return system.Build(context.Background(), root, configuration, setup.NewProgress(os.Stderr))
}

var (
	mu       sync.Mutex
	prepared = map[string]system.Config{} // by the configuration
)

// Prepare returns what a system of the project is made of. The context is the deployment's
// configuration, as -c gives it to the CDK CLI. It prepares once for each configuration.
func Prepare(t testing.TB, context map[string]any) system.Config {
	t.Helper()
	c, err := PrepareContext(t.Context(), "", context, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// PrepareContext is Prepare where there is no test at hand, in the place of system.Prepare.
func PrepareContext(ctx context.Context, _ string, context map[string]any, _ *setup.Progress) (system.Config, error) {
	text, err := json.Marshal(context)
	if err != nil {
		return system.Config{}, err
	}
	mu.Lock()
	defer mu.Unlock()
	if c, ok := prepared[string(text)]; ok {
		return c, nil
	}
	if err := look("app.go", "cdk.json", "go.mod", "go.sum", "package-lock.json", "stacks", "lambdas", "local/states"); err != nil {
		return system.Config{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return system.Config{}, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return system.Config{}, fmt.Errorf("prepare the local system: %w", err)
	}
	var ready setup.Prepared
	if err := json.Unmarshal(out, &ready); err != nil {
		return system.Config{}, fmt.Errorf("prepare the local system: %w\n%s", err, out)
	}
	c, err := system.Read(ready)
	if err == nil {
		prepared[string(text)] = c
	}
	return c, err
}

// Look has go run the test again when one of these files of the project changes, or anything
// in these folders: those that a process reads which the test starts. It returns the
// project's folder.
func Look(t testing.TB, paths ...string) (root string) {
	t.Helper()
	if err := look(paths...); err != nil {
		t.Fatal(err)
	}
	root, err := setup.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func look(paths ...string) error {
	root, err := setup.Root()
	if err != nil {
		return err
	}
	for _, path := range paths {
		// The walk reads each folder, which is what go takes note of.
		err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(path)), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return fmt.Errorf("look at what the test depends on: %w", err)
		}
	}
	return nil
}
