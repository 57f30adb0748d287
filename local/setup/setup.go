// Package setup finds or builds what a run of the system needs on this machine: Node, the npm packages, the functions, the
// CDK app and what it synthesizes. Nothing has to be installed or prepared by hand but Go and Node.
//
// What takes time says so, through a Progress. Several programs may use one tree at once, as the test binaries of
// `go test ./...` do: what they share is guarded by file locks. When a context ends, so do the programs that were started
// under it, with all that they started themselves.
package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	module     = "stocktrading"
	minNode    = 20 // works, but has reached its end of life
	nodeAdvice = "install Node.js 22 or later from https://nodejs.org"
)

// ErrTool is in the chain of an error that says which tool has to be installed.
var ErrTool = errors.New("a tool is missing")

type toolError string

func (e toolError) Error() string        { return string(e) }
func (e toolError) Is(target error) bool { return target == ErrTool }

func missingTool(format string, args ...any) error { return toolError(fmt.Sprintf(format, args...)) }

// A Project is the project's folder, with the context of one deployment.
type Project struct {
	Root     string
	Context  map[string]any // that of cdk.json, changed by what -c gives to the CDK CLI
	Progress *Progress      // shows nothing if nil
}

// Open finds the project and reads its cdk.json. The given context changes that of cdk.json, as with the CDK CLI.
func Open(given map[string]any, progress *Progress) (Project, error) {
	root, err := Root()
	if err != nil {
		return Project{}, err
	}
	p := Project{Root: root, Context: map[string]any{}, Progress: progress}
	if err := readJSON(filepath.Join(root, "cdk.json"), &struct {
		Context *map[string]any `json:"context"`
	}{&p.Context}); err != nil {
		return Project{}, fmt.Errorf("read the context: %w", err)
	}
	maps.Copy(p.Context, given)
	return p, nil
}

// Root returns the folder of the project: the working directory or the nearest one above it that has the project's go.mod.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the project: %w", err)
		}
		if moduleOf(string(text)) == module {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the project: neither %s nor a folder above it has the go.mod of the module %s; run this inside the project's folder", start, module)
		}
	}
}

// moduleOf returns the module path of a go.mod.
func moduleOf(text string) string {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "module" {
			return strings.Trim(fields[1], "\"`")
		}
	}
	return ""
}

// Node returns the path of node, which must be recent enough.
func Node(ctx context.Context) (string, error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return "", missingTool("find Node: there is no node on the PATH; %s", nodeAdvice)
	}
	output, stderr, err := command{path: path, args: []string{"--version"}}.run(ctx)
	if err != nil {
		return "", fmt.Errorf("find Node: run %s --version: %w\n%s", path, err, lastLines(stderr, 5))
	}
	version := strings.TrimSpace(output)
	text, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	major, err := strconv.Atoi(text)
	if err != nil {
		return "", missingTool("find Node: %s says that its version is %q; %s", path, version, nodeAdvice)
	}
	if major < minNode {
		return "", missingTool("find Node: %s is Node %s, which is too old; %s", path, version, nodeAdvice)
	}
	return path, nil
}

func findGo() (string, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return "", missingTool("there is no go on the PATH; install Go from https://go.dev/dl")
	}
	return path, nil
}

// lock takes the tree's lock for a kind of work. While another program has it, the step says what it
// waits for.
func (p Project) lock(ctx context.Context, name, waitsFor string, s *Step) (unlock func(), err error) {
	dir, err := p.buildDir()
	if err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(dir, name))
	locked, err := l.TryLock()
	if err == nil && !locked {
		s.note("waiting for " + waitsFor)
		_, err = l.TryLockContext(ctx, 100*time.Millisecond)
		s.note("")
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", l.Path(), err)
	}
	return func() { l.Unlock() }, nil
}

// buildDir returns the folder for what is built, which is there then: the project's .build or, where that can't be written,
// one for this project among the person's caches.
func (p Project) buildDir() (string, error) {
	dir, err := filepath.Abs(filepath.Join(p.Root, ".build"))
	if err != nil {
		return "", err
	}
	denied := makeWritable(dir)
	if denied == nil {
		return dir, nil
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", denied
	}
	dir = filepath.Join(caches, module, nameOf([]byte(dir)))
	if makeWritable(dir) != nil {
		return "", denied
	}
	return dir, nil
}

// makeWritable makes a folder, unless it is there. Its error says why nothing can be written to it.
func makeWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	trial, err := os.OpenFile(filepath.Join(dir, "writable"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return trial.Close()
}

// temporaryDir makes a folder for the temporary files of a program that may end before it has removed them: go when it is
// killed, and the CDK app with 2 MB of jsii when it fails.
func (p Project) temporaryDir() (dir string, remove func(), err error) {
	build, err := p.buildDir()
	if err != nil {
		return "", nil, err
	}
	build = filepath.Join(build, "tmp")
	if err := os.MkdirAll(build, 0o755); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(build, ""); err != nil {
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

// lastLines returns the last lines of a text that say something.
func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \t\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
