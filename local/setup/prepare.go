package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"stocktrading/stacks/config"
)

// Prepared is all that a run of the system needs.
type Prepared struct {
	Node      string // the node executable
	Assembly  string // the folder of the synthesized cloud assembly
	Functions string // the folder of the functions' executables
}

// Remove deletes what belongs to this run alone.
func (r Prepared) Remove() error { return os.RemoveAll(r.Assembly) }

// Prepare finds or builds everything, the independent parts at once. The context is the
// deployment's configuration, as -c gives it to the CDK CLI.
func Prepare(ctx context.Context, root string, context map[string]any, p *Progress) (Prepared, error) {
	r := Prepared{Functions: filepath.Join(root, ".build", "functions")}
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
	if r.Assembly, err = os.MkdirTemp("", "stocktrading-"); err != nil {
		return r, fmt.Errorf("make a folder for the cloud assembly: %w", err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return Packages(groupCtx, root, p) })
	group.Go(func() error { return BuildFunctions(groupCtx, root, r.Functions, p, tags...) })
	group.Go(func() error {
		exe, err := BuildApp(groupCtx, root, p)
		if err != nil {
			return err
		}
		return Synthesize(groupCtx, exe, root, r.Assembly, context, p)
	})
	if err := group.Wait(); err != nil {
		r.Remove()
		return r, err
	}
	return r, nil
}
