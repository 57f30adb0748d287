package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// BuildFunctions builds the functions for this machine into the folder out, each under the name of its package. A build tag
// chooses their market.
func BuildFunctions(ctx context.Context, root, out string, p *Progress, tags ...string) error {
	hint := ""
	if _, err := os.Stat(out); err != nil {
		hint = "the first time takes about a minute, later ones a second"
	}
	s := p.Step("Compiling the functions", hint)
	err := buildFunctions(ctx, root, out, s, tags)
	s.Done(err)
	if err != nil {
		return fmt.Errorf("build the functions: %w", err)
	}
	return nil
}

func buildFunctions(ctx context.Context, root, out string, s *Step, tags []string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, root, "functions.lock", "another build", s)
	if err != nil {
		return err
	}
	defer unlock()
	// The separator at the end tells go that this is a folder. Without cgo the functions are what is deployed, and need no C
	// compiler.
	return goBuild(ctx, root, []string{"CGO_ENABLED=0"},
		"-trimpath", "-tags", strings.Join(append([]string{"lambda.norpc"}, tags...), ","), "-o", out+string(filepath.Separator), "./lambdas/...")
}

// BuildApp builds the CDK app and returns its executable, .build/app.
func BuildApp(ctx context.Context, root string, p *Progress) (exe string, err error) {
	dir, err := buildDir(root)
	if err != nil {
		return "", fmt.Errorf("build the CDK app: %w", err)
	}
	exe = filepath.Join(dir, executable("app"))
	hint := ""
	if _, err := os.Stat(exe); err != nil {
		hint = "the first time takes about two minutes, later ones a few seconds"
	}
	s := p.Step("Compiling the CDK app", hint)
	err = buildApp(ctx, root, exe, s)
	s.Done(err)
	if err != nil {
		return "", fmt.Errorf("build the CDK app: %w", err)
	}
	return exe, nil
}

func buildApp(ctx context.Context, root, exe string, s *Step) error {
	// Two compilations of the CDK at once take longer than one after the other, of which the second finds all in the cache.
	unlock, err := lock(ctx, root, "app.lock", "another build", s)
	if err != nil {
		return err
	}
	defer unlock()
	// go is given the same file each time, because it doesn't link again what is up to date.
	staged := filepath.Join(filepath.Dir(exe), "stage", executable("app"))
	if err := goBuild(ctx, root, nil, "-o", staged, "."); err != nil {
		return err
	}
	return publish(staged, exe)
}

// publish puts a file in the place of another one in a single step: whoever runs the other one has either the old or the
// new one. The two share their content, which go replaces and never writes to.
func publish(staged, target string) error {
	from, err := os.Stat(staged)
	if err != nil {
		return err
	}
	if to, err := os.Stat(target); err == nil && os.SameFile(from, to) {
		return nil
	}
	next := target + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Link(staged, next); err != nil {
		if err := copyFile(staged, next, from.Mode()); err != nil { // not every file system has links
			return err
		}
	}
	return os.Rename(next, target)
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// goBuild runs go build for this machine, whatever the environment says of another one. Its error has what the compiler
// says.
func goBuild(ctx context.Context, root string, env []string, args ...string) error {
	path, err := findGo()
	if err != nil {
		return err
	}
	temporary, remove, err := temporaryDir(root)
	if err != nil {
		return err
	}
	defer remove()
	_, problems, err := command{
		path: path,
		args: append([]string{"build", "-buildvcs=false"}, args...),
		dir:  root,
		env:  append([]string{"GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH, "GOTMPDIR=" + temporary}, env...),
	}.run(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	var said strings.Builder
	for line := range strings.Lines(problems) {
		if !strings.HasPrefix(line, "go: downloading ") {
			said.WriteString(line)
		}
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return fmt.Errorf("go build: %w", err)
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
