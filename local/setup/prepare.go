package setup

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Prepared is all that a run of the system needs.
type Prepared struct {
	Node      string // the node executable
	Bridge    string // the folder of the interpreter's bridge, local/states
	Valid     string // the folder that remembers which definitions this interpreter has found valid; may be empty
	Functions string // the folder of the functions' executables
	App       string // the CDK app's executable
	Assembly  string // the folder of the synthesized cloud assembly
}

// Build finds or builds everything but the assembly, the independent parts at once. The tags are those that the functions
// are built with.
func Build(ctx context.Context, root string, tags []string, p *Progress) (Prepared, error) {
	r := Prepared{Bridge: filepath.Join(root, "local", "states")}
	build, err := buildDir(root)
	if err != nil {
		return r, fmt.Errorf("make a folder for what is built: %w", err)
	}
	// A folder for each set of tags, so that none has to be made again for another.
	r.Functions = filepath.Join(build, strings.Join(append([]string{"functions"}, tags...), "-"))
	if r.Node, err = Node(ctx); err != nil {
		return r, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		r.Valid, err = Interpreter(groupCtx, root, p)
		return err
	})
	group.Go(func() error { return BuildFunctions(groupCtx, root, r.Functions, p, tags...) })
	group.Go(func() (err error) {
		r.App, err = BuildApp(groupCtx, root, p)
		return err
	})
	err = group.Wait()
	return r, err // now that it is complete
}

// Synthesized has the CDK app synthesize the assembly, too. The context is the deployment's configuration, as -c gives it to
// the CDK CLI.
func (r Prepared) Synthesized(ctx context.Context, root string, context map[string]any, p *Progress) (_ Prepared, err error) {
	r.Assembly, err = Synthesize(ctx, r.App, root, context, p)
	return r, err
}

// Interpreter makes the interpreter of the state machine available, which is one of the npm packages. It returns the folder
// that remembers which definitions the interpreter has found valid.
func Interpreter(ctx context.Context, root string, p *Progress) (valid string, err error) {
	if err := Packages(ctx, root, p); err != nil {
		return "", err
	}
	return ValidDir(root)
}
