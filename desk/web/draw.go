package web

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// drawTime is how long a drawing may take; the first one compiles Graphviz.
const drawTime = 5 * time.Minute

// graphviz makes a graph in Graphviz's language an SVG, with the command in desk/web/draw.
func graphviz(ctx context.Context, dot string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, drawTime)
	defer cancel()
	dir, err := privateFolder()
	if err != nil {
		return nil, err
	}
	var svg, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "run", "stocktrading/desk/web/draw")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "TMP="+dir, "TEMP="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(dot), &svg, &problems
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("draw workflow: %w: %s", err, line(problems.String(), 300))
	}
	return svg.Bytes(), nil
}

// privateFolder is where compiled Graphviz is kept from one run to the next. It is the
// person's own: what stands in it is run.
func privateFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for Graphviz: %w", err)
	}
	dir := filepath.Join(cache, "stocktrading")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for Graphviz: %w", err)
	}
	return dir, nil
}
