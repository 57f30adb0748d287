package main

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stocktrading/local/setup"
)

// run runs a program in the project and returns what it wrote.
func (b bench) run(ctx context.Context, env []string, name string, args ...string) (string, *exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), env...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("run %s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, problems.String())
	}
	return string(out), cmd, err
}

// repeat gives the seconds that each of n calls took.
func repeat(n int, f func() error) ([]float64, error) {
	var took []float64
	for range n {
		began := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began).Seconds())
	}
	return took, nil
}

func measurePackages(ctx context.Context, b bench) ([]row, error) {
	out, _, err := b.run(ctx, nil, "go", "list", "-deps", ".")
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "github.com/aws/aws-cdk-go/") {
			n++
		}
	}
	return []row{once("CDK packages that the app compiles", "packages", float64(n))}, nil
}

func measureCompile(ctx context.Context, b bench) ([]row, error) {
	wall, cpu := row{what: "first build of the app", unit: "s"}, row{what: "the same, processor time", unit: "s"}
	for range b.times(1) {
		cache, err := os.MkdirTemp(b.dir, "cache-")
		if err != nil {
			return nil, err
		}
		began := time.Now()
		_, cmd, err := b.run(ctx, []string{"GOCACHE=" + cache}, "go", "build", "-o", filepath.Join(b.dir, "app"), ".")
		if err != nil {
			return nil, err
		}
		wall.samples = append(wall.samples, time.Since(began).Seconds())
		cpu.samples = append(cpu.samples, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
		if err := os.RemoveAll(cache); err != nil {
			return nil, err
		}
	}
	return []row{wall, cpu}, nil
}

func measureSynth(ctx context.Context, b bench) ([]row, error) {
	app := filepath.Join(b.dir, "app")
	if _, _, err := b.run(ctx, nil, "go", "build", "-o", app, "."); err != nil {
		return nil, err
	}
	env := []string{`CDK_CONTEXT_JSON={"aws:cdk:bundling-stacks":[]}`, "CDK_VALIDATION=false", "CDK_OUTDIR=" + filepath.Join(b.dir, "synth")}
	took, err := repeat(b.times(10), func() error {
		_, _, err := b.run(ctx, env, app)
		return err
	})
	return []row{{"synthesis by the app, without the template validator and the functions' builds", "s", took}}, err
}

func measureCLI(ctx context.Context, b bench) ([]row, error) {
	out := filepath.Join(b.dir, "cdk.out")
	synth := func(env ...string) func() error {
		return func() error {
			_, _, err := b.run(ctx, env, "npx", "cdk", "synth", "--quiet", "--output", out)
			return err
		}
	}
	if err := synth()(); err != nil { // the first one compiles the functions and validates the template
		return nil, err
	}
	took, err := repeat(b.times(5), synth())
	if err != nil {
		return nil, err
	}
	unvalidated, err := repeat(b.times(5), synth("CDK_VALIDATION=false"))
	if err != nil {
		return nil, err
	}
	rows := []row{
		{"`npx cdk synth` of a template that was found valid", "s", took},
		{"the same with CDK_VALIDATION=false", "s", unvalidated},
	}
	sizes, err := zips(out)
	for _, handler := range slices.Sorted(maps.Keys(sizes)) {
		rows = append(rows, once("zip of "+handler, "MB", sizes[handler]))
	}
	return rows, err
}

// zips gives the size in megabytes of each function's deployment package, by its handler.
func zips(out string) (map[string]float64, error) {
	text, err := os.ReadFile(filepath.Join(out, "StockTrading.template.json"))
	if err != nil {
		return nil, err
	}
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties struct{ Handler string }
			Metadata   map[string]any
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		return nil, fmt.Errorf("decode template: %w", err)
	}
	sizes := map[string]float64{}
	for id, r := range template.Resources {
		if r.Type != "AWS::Lambda::Function" {
			continue
		}
		asset, ok := r.Metadata["aws:asset:path"].(string)
		if !ok {
			return nil, fmt.Errorf("function %s has no asset", id)
		}
		var size counter
		archive := zip.NewWriter(&size)
		if err := archive.AddFS(os.DirFS(filepath.Join(out, asset))); err != nil {
			return nil, err
		}
		if err := archive.Close(); err != nil {
			return nil, err
		}
		sizes[r.Properties.Handler] = float64(size) / 1e6
	}
	return sizes, nil
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// measureFirstWord measures how long go run ./local says nothing with an empty build cache, beside a program that imports
// fmt and os/exec alone.
func measureFirstWord(ctx context.Context, b bench) ([]row, error) {
	smallest := filepath.Join(b.dir, "smallest.go")
	text := "package main\n\nimport (\n\t\"fmt\"\n\t\"os/exec\"\n)\n\nfunc main() { fmt.Println(exec.LookPath(\"go\")) }\n"
	if err := os.WriteFile(smallest, []byte(text), 0o600); err != nil {
		return nil, err
	}
	copied := filepath.Join(b.dir, "fresh")
	if err := setup.Copy(b.root, copied); err != nil { // in which nothing is built, so that there is something to say
		return nil, err
	}
	b.root = copied
	rows := []row{{what: "first word of `go run ./local`, empty build cache", unit: "s"}, {what: "the same of the smallest program", unit: "s"}}
	for range b.times(3) {
		for i, pkg := range []string{"./local", smallest} {
			took, err := b.firstWord(ctx, pkg)
			if err != nil {
				return nil, err
			}
			rows[i].samples = append(rows[i].samples, took)
		}
	}
	return append(rows, ratios("the first to the second", rows[0].samples, rows[1].samples)), nil
}

// firstWord gives the seconds until a program says something that go runs with an empty build cache, and ends it.
func (b bench) firstWord(ctx context.Context, pkg string) (float64, error) {
	cache, err := os.MkdirTemp(b.dir, "cache-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(cache)
	cmd := exec.CommandContext(ctx, "go", "run", pkg)
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), "GOCACHE="+cache)
	said, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	cmd.Stderr = cmd.Stdout
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, err = bufio.NewReader(said).ReadByte()
	took := time.Since(began).Seconds()
	cmd.Process.Signal(os.Interrupt)
	io.Copy(io.Discard, said)
	cmd.Wait()
	return took, err
}

func measureTests(ctx context.Context, b bench) ([]row, error) {
	var rows []row
	for _, args := range [][]string{{"-count=1", "./test"}, {"-count=1", "./..."}, {"./..."}} {
		clock, cpu := row{what: "`go test " + strings.Join(args, " ") + "`", unit: "s"}, row{what: "the same, processor time", unit: "s"}
		if len(args) == 1 {
			clock.what, cpu.what = clock.what+" again", "the same again, processor time"
			if _, _, err := b.run(ctx, nil, "go", "test", "./..."); err != nil {
				return rows, err
			}
		}
		for range b.times(3) {
			began := time.Now()
			_, cmd, err := b.run(ctx, nil, "go", append([]string{"test"}, args...)...)
			if err != nil {
				return rows, err
			}
			clock.samples = append(clock.samples, time.Since(began).Seconds())
			cpu.samples = append(cpu.samples, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
		}
		rows = append(rows, clock, cpu)
	}
	return rows, nil
}

// measureEdit works in a copy of the project.
func measureEdit(ctx context.Context, b bench) ([]row, error) {
	copied := filepath.Join(b.dir, "project")
	if err := setup.Copy(b.root, copied); err != nil {
		return nil, err
	}
	b.root = copied
	function := filepath.Join(copied, "lambdas", "buystock", "main.go")
	edits := 0
	edit := func() error {
		edits++
		file, err := os.OpenFile(function, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(file, "\nfunc edit%d() string { return %q }\n", edits, fmt.Sprint(edits))
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
		_, _, err = b.run(ctx, nil, "go", "run", "./local", "--decision", "approve")
		return err
	}
	if err := edit(); err != nil { // the first one compiles what depends on the folder
		return nil, err
	}
	took, err := repeat(b.times(5), edit)
	return []row{{"a function edited, then `go run ./local --decision approve`", "s", took}}, err
}
