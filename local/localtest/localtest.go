// Package localtest prepares what a test needs of the local system.
//
// A process of its own does it, out of sight of the test cache: go would run a test again
// whenever a file changes that the test has opened, and go touches what it builds even where
// nothing has changed. What the preparation is made of the test looks at instead.
package localtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
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

// variable marks the process that prepares, in its environment.
const variable = "STOCKTRADING_LOCALTEST"

// request asks it for a deployment's configuration and region, which reply answers.
type (
	request struct {
		Context map[string]any
		Region  string
	}
	reply struct {
		Prepared setup.Prepared
		Error    string
	}
)

func init() {
	if os.Getenv(variable) == "" {
		return
	}
	requests, replies := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	built := map[string]setup.Prepared{} // by the functions' build tags
	for {
		var r request
		if requests.Decode(&r) != nil {
			os.Exit(0)
		}
		ready, err := prepare(r, built)
		answer := reply{Prepared: ready}
		if err != nil {
			answer.Error = err.Error()
		}
		if replies.Encode(answer) != nil {
			os.Exit(1)
		}
	}
}

func prepare(r request, built map[string]setup.Prepared) (setup.Prepared, error) {
	ctx, progress := context.Background(), setup.NewProgress(os.Stderr)
	os.Setenv("CDK_DEFAULT_REGION", r.Region) // as it is in the test now
	project, err := setup.Open(r.Context, progress)
	if err != nil {
		return setup.Prepared{}, err
	}
	tags := fmt.Sprint(project.BuildTags())
	ready, ok := built[tags]
	if !ok {
		if ready, err = project.Build(ctx); err != nil {
			return ready, err
		}
		built[tags] = ready
	}
	ready.Assembly, err = project.Synthesize(ctx, ready.App)
	return ready, err
}

// preparer is the process that prepares. It ends with its standard input, and so with this one.
type preparer struct {
	process  *os.Process
	requests *json.Encoder
	replies  *json.Decoder
}

func start() (*preparer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &preparer{cmd.Process, json.NewEncoder(stdin), json.NewDecoder(stdout)}, nil
}

// ask returns what the preparer prepared for a configuration. The end of the context is the
// preparer's, too.
func (p *preparer) ask(ctx context.Context, r request) (setup.Prepared, error) {
	defer context.AfterFunc(ctx, func() { p.process.Kill() })()
	if err := p.requests.Encode(r); err != nil {
		return setup.Prepared{}, cmp.Or(ctx.Err(), err)
	}
	var answer reply
	if err := p.replies.Decode(&answer); err != nil {
		return setup.Prepared{}, cmp.Or(ctx.Err(), err)
	}
	if answer.Error != "" {
		return setup.Prepared{}, errors.New(answer.Error)
	}
	return answer.Prepared, nil
}

var (
	mu       sync.Mutex
	helper   *preparer                    // once there is one, until it fails
	prepared = map[string]system.Config{} // by the request
)

// Prepare returns what a system of the project is made of. The context is the deployment's
// configuration, as -c gives it to the CDK CLI. It prepares once for each configuration.
func Prepare(t testing.TB, context map[string]any) system.Config {
	t.Helper()
	c, err := PrepareProject(t.Context(), setup.Project{Context: context})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// PrepareProject is Prepare outside a test, in place of system.Prepare.
func PrepareProject(ctx context.Context, p setup.Project) (system.Config, error) {
	mu.Lock()
	defer mu.Unlock()
	r := request{p.Context, os.Getenv("CDK_DEFAULT_REGION")}
	key := fmt.Sprint(r)
	if c, ok := prepared[key]; ok {
		return c, nil
	}
	if err := look("app.go", "cdk.json", "go.mod", "go.sum", "package-lock.json", "stacks", "lambdas", "local/states"); err != nil {
		return system.Config{}, err
	}
	if helper == nil {
		var err error
		if helper, err = start(); err != nil {
			return system.Config{}, fmt.Errorf("prepare the local system: %w", err)
		}
	}
	ready, err := helper.ask(ctx, r)
	if err != nil {
		helper = nil
		return system.Config{}, fmt.Errorf("prepare the local system: %w", err)
	}
	c, err := system.Read(ready)
	if err == nil {
		prepared[key] = c
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
		// The walk reads each folder, which go remembers.
		err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(path)), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return fmt.Errorf("look at what the test depends on: %w", err)
		}
	}
	return nil
}

// Buffer collects output that is still being written.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
