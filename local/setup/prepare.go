package setup

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"stocktrading/stacks/config"
)

// Prepared is all that a run of the system needs.
type Prepared struct {
	Node      string // the node executable
	Bridge    string // the folder of the interpreter's bridge, local/states
	Valid     string // the folder that remembers which definitions this interpreter has found valid; may be empty
	Assembly  string // the folder of the synthesized cloud assembly
	Functions string // the folder of the functions' executables
}

// Prepare finds or builds everything, the independent parts at once. The context is the
// deployment's configuration, as -c gives it to the CDK CLI.
func Prepare(ctx context.Context, root string, context map[string]any, p *Progress) (Prepared, error) {
	r := Prepared{Bridge: filepath.Join(root, "local", "states")}
	build, err := buildDir(root)
	if err != nil {
		return r, fmt.Errorf("make a folder for what is built: %w", err)
	}
	r.Functions = filepath.Join(build, "functions")
	merged, err := Context(root, context)
	if err != nil {
		return r, fmt.Errorf("read the context: %w", err)
	}
	var tags []string
	if market, ok := merged["market"].(string); ok && market != string(config.SimulatedMarket) {
		// In a folder of their own, so that neither build has to be made again for the other.
		r.Functions, tags = r.Functions+"-"+market, []string{market}
	}
	if r.Node, err = Node(ctx); err != nil {
		return r, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if err := Packages(groupCtx, root, p); err != nil {
			return err
		}
		r.Valid, err = ValidDir(root)
		return err
	})
	group.Go(func() error { return BuildFunctions(groupCtx, root, r.Functions, p, tags...) })
	group.Go(func() error {
		exe, err := BuildApp(groupCtx, root, p)
		if err != nil {
			return err
		}
		r.Assembly, err = Synthesize(groupCtx, exe, root, context, p)
		return err
	})
	return r, group.Wait()
}
