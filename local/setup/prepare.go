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

// Build finds or builds everything but the assembly, the independent parts at once.
func (p Project) Build(ctx context.Context) (Prepared, error) {
	r := Prepared{Bridge: filepath.Join(p.Root, "local", "states")}
	build, err := p.buildDir()
	if err != nil {
		return r, fmt.Errorf("make a folder for what is built: %w", err)
	}
	tags := p.BuildTags()
	// A folder for each set of tags, so that none has to be made again for another.
	r.Functions = filepath.Join(build, strings.Join(append([]string{"functions"}, tags...), "-"))
	if r.Node, err = Node(ctx); err != nil {
		return r, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		r.Valid, err = p.Interpreter(groupCtx)
		return err
	})
	group.Go(func() error { return p.BuildFunctions(groupCtx, r.Functions, tags...) })
	group.Go(func() (err error) {
		r.App, err = p.BuildApp(groupCtx)
		return err
	})
	err = group.Wait()
	return r, err // now that it is complete
}

// BuildTags are the build tags of the functions: the name of the market, if one is chosen.
func (p Project) BuildTags() []string {
	if market, ok := p.Context["market"].(string); ok {
		return []string{market}
	}
	return nil
}

// Interpreter makes the interpreter of the state machine available, which is one of the npm packages. It returns the folder
// that remembers which definitions the interpreter has found valid.
func (p Project) Interpreter(ctx context.Context) (valid string, err error) {
	if err := p.Packages(ctx); err != nil {
		return "", err
	}
	return p.validDir()
}
