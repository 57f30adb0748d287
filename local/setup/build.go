package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"stocktrading/lambdas/build"
)

// BuildFunctions builds the functions for this machine into the folder out, each under the name of its package. A build tag
// chooses their market.
func (p Project) BuildFunctions(ctx context.Context, out string, tags ...string) error {
	hint := ""
	if _, err := os.Stat(out); err != nil {
		hint = "about a minute the first time"
	}
	s := p.Progress.Step("Compiling the functions", hint)
	err := p.buildFunctions(ctx, out, s, tags)
	s.Done(err)
	if err != nil {
		return fmt.Errorf("build the functions: %w", err)
	}
	return nil
}

func (p Project) buildFunctions(ctx context.Context, out string, s *Step, tags []string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	unlock, err := p.lock(ctx, "functions.lock", "another build", s)
	if err != nil {
		return err
	}
	defer unlock()
	return p.goBuild(ctx, s, build.Env(runtime.GOOS, runtime.GOARCH), build.Args(out, tags...)...)
}

// BuildApp builds the CDK app and returns its executable, .build/app.
func (p Project) BuildApp(ctx context.Context) (exe string, err error) {
	return p.buildProgram(ctx, ".", "app", "the CDK app", "about two minutes the first time")
}

// BuildRun builds the local run and returns its executable, .build/run.
func (p Project) BuildRun(ctx context.Context) (exe string, err error) {
	return p.buildProgram(ctx, "./local/run", "run", "the local run", "about a minute the first time")
}

func (p Project) buildProgram(ctx context.Context, pkg, name, title, hint string) (exe string, err error) {
	dir, err := p.buildDir()
	if err != nil {
		return "", fmt.Errorf("build %s: %w", title, err)
	}
	exe = filepath.Join(dir, executable(name))
	if _, err := os.Stat(exe); err == nil {
		hint = ""
	}
	s := p.Progress.Step("Compiling "+title, hint)
	err = p.buildAndPublish(ctx, pkg, name, exe, s)
	s.Done(err)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", title, err)
	}
	return exe, nil
}

func (p Project) buildAndPublish(ctx context.Context, pkg, name, exe string, s *Step) error {
	// Two compilations of the same at once take longer than one after the other: the second finds all in the cache.
	unlock, err := p.lock(ctx, name+".lock", "another build", s)
	if err != nil {
		return err
	}
	defer unlock()
	// go is given the same file each time, because it doesn't link again what is up to date.
	staged := filepath.Join(filepath.Dir(exe), "stage", executable(name))
	env := []string{"GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH}
	if err := p.goBuild(ctx, s, env, "build", "-buildvcs=false", "-o", staged, pkg); err != nil {
		return err
	}
	return publish(staged, exe)
}

// publish replaces a file in a single step: whoever runs it has either the old or the
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

// goBuild runs go build with these arguments, and the step counts the packages. The error has what the compiler says.
func (p Project) goBuild(ctx context.Context, s *Step, env []string, args ...string) error {
	path, err := findGo()
	if err != nil {
		return err
	}
	temporary, remove, err := p.temporaryDir()
	if err != nil {
		return err
	}
	defer remove()
	defer keepTimes(args)()
	ctx, cancel := context.WithCancel(ctx)
	var counting sync.WaitGroup
	defer counting.Wait()
	defer cancel()
	c := counter{step: s, pkgs: map[string]bool{}}
	compile := command{path: path, args: slices.Insert(slices.Clone(args), 1, "-v"), dir: p.Root, env: append(env, "GOTMPDIR="+temporary)}
	compile.onLine = func(line string) {
		if isPackage(line) && c.compiled(line) { // the first one: now it is worth the time to see how many there are
			counting.Go(func() {
				listing := compile
				listing.args, listing.onLine = listStale(args), nil
				if stale, _, err := listing.run(ctx); err == nil {
					c.expect(strings.Fields(stale))
				}
			})
		}
	}
	_, stderr, err := compile.run(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	var said strings.Builder
	for line := range strings.Lines(stderr) {
		if !isPackage(strings.TrimSpace(line)) && !strings.HasPrefix(line, "go: downloading ") {
			said.WriteString(line)
		}
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return fmt.Errorf("go build: %w", err)
}

// keepTimes keeps the times of what these arguments of go build build (see build.KeepTimes).
func keepTimes(args []string) (restore func()) {
	out := args[slices.Index(args, "-o")+1]
	if strings.HasSuffix(out, string(filepath.Separator)) {
		out += "*"
	}
	return build.KeepTimes(out)
}

// listStale are the arguments for go to list what go build with those arguments compiles.
func listStale(build []string) []string {
	args := []string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}
	out := slices.Index(build, "-o")
	return slices.Concat(args, build[1:out], build[out+2:])
}

// isPackage says whether a line of go build -v names a package that it compiles: all that is said otherwise has a space.
func isPackage(line string) bool { return line != "" && !strings.Contains(line, " ") }

// counter counts the packages of a build: those that go has begun to compile, and those that it will.
type counter struct {
	step *Step

	mu       sync.Mutex
	done     int
	pkgs     map[string]bool // that go has begun to compile, or will
	expected bool
}

// compiled counts a package, and says whether it is the first one.
func (c *counter) compiled(pkg string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	c.pkgs[pkg] = true
	c.report()
	return c.done == 1
}

// expect adds packages that were not compiled when they were listed.
func (c *counter) expect(pkgs []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pkg := range pkgs {
		c.pkgs[pkg] = true
	}
	c.expected = true
	c.report()
}

func (c *counter) report() {
	if c.expected {
		c.step.count(c.done, len(c.pkgs))
	}
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
