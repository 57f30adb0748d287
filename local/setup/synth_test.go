package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// beApp is the CDK app. It leaves what it was given in its folder, or fails as APP_DOES says.
func beApp() {
	switch does := os.Getenv("APP_DOES"); does {
	case "synthesize":
		fmt.Fprint(os.Stderr, "a warning nobody needs\nRuntime process exited abnormally: exit status 1")
		dir, _ := os.Getwd()
		out := os.Getenv("CDK_OUTDIR")
		text, err := json.Marshal(map[string]any{
			"dir": dir, "context": json.RawMessage(os.Getenv("CDK_CONTEXT_JSON")),
			"validation": os.Getenv("CDK_VALIDATION"), "account": os.Getenv("CDK_DEFAULT_ACCOUNT"), "region": os.Getenv("CDK_DEFAULT_REGION"),
		})
		if err != nil {
			panic(err)
		}
		os.MkdirAll(out, 0o755)
		os.WriteFile(filepath.Join(out, "manifest.json"), text, 0o600)
	case "hang":
		startChild(os.Getenv("APP_IDS"))
		time.Sleep(time.Minute)
	default:
		fmt.Fprint(os.Stderr, strings.TrimPrefix(does, "fail:"))
		os.Exit(1)
	}
}

// open opens the project in a folder.
func open(t *testing.T, root string, given map[string]any) Project {
	t.Helper()
	write(t, root, map[string]string{"go.mod": "module stocktrading\n"})
	t.Chdir(root)
	p, err := Open(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSynthesize(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, root, map[string]string{"cdk.json": `{"app": "x", "context": {"approval": "human", "@aws-cdk/core:flag": true, "limits": {"qty": 10}}}`})
	t.Setenv("APP_DOES", "synthesize")
	t.Setenv("CDK_CONTEXT_JSON", `{"left": "over"}`)
	t.Setenv("CDK_VALIDATION", "true")
	t.Setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
	t.Setenv("CDK_DEFAULT_REGION", "eu-central-1")
	out, err := open(t, root, map[string]any{"approval": "automatic", "hours": 2}).Synthesize(t.Context(), self)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := readJSON(filepath.Join(out, "manifest.json"), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"dir": root, "validation": "false", "account": "123456789012", "region": "eu-central-1",
		"context": map[string]any{
			"approval": "automatic", "hours": 2.0, "@aws-cdk/core:flag": true, "limits": map[string]any{"qty": 10.0},
			"aws:cdk:bundling-stacks": []any{},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the app was given (-want +got):\n%s", diff)
	}
}

// An assembly is made once of the same app, context and environment, and kept while somebody asks for it.
func TestSynthesizeKeeps(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, root, map[string]string{"cdk.json": `{"context": {"flag": true}}`})
	synthesize := func(exe string, context map[string]any) string {
		t.Helper()
		dir, err := open(t, root, context).Synthesize(t.Context(), exe)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Setenv("APP_DOES", "synthesize")
	t.Setenv("CDK_DEFAULT_REGION", "eu-central-1")
	first := synthesize(self, nil)
	write(t, first, map[string]string{"mark": ""})
	if again := synthesize(self, nil); again != first {
		t.Errorf("the same is made again: %s and %s", first, again)
	} else if _, err := os.Stat(filepath.Join(again, "mark")); err != nil {
		t.Errorf("the same is made again: %v", err)
	}

	other := filepath.Join(t.TempDir(), executable("other"))
	if err := copyFile(self, other, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(other, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	file.Close()
	dirs := map[string]string{first: "the first"}
	differs := func(what, dir string) {
		t.Helper()
		if same, ok := dirs[dir]; ok {
			t.Errorf("%s has the assembly of %s", what, same)
		}
		dirs[dir] = what
	}
	differs("another app", synthesize(other, nil))
	differs("another context", synthesize(self, map[string]any{"approval": "automatic"}))
	t.Setenv("CDK_DEFAULT_REGION", "us-east-1")
	differs("another environment", synthesize(self, nil))
	write(t, root, map[string]string{"cdk.json": `{"context": {"flag": false}}`})
	differs("another cdk.json", synthesize(self, nil))

	old := time.Now().Add(-maxAge - time.Minute)
	if err := os.Chtimes(first, old, old); err != nil {
		t.Fatal(err)
	}
	last := synthesize(self, nil)
	if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an assembly that nobody asks for stays: %v", err)
	}
	if _, err := os.Stat(last); err != nil {
		t.Errorf("an assembly that somebody asks for: %v", err)
	}
}

func TestSynthesizeErrors(t *testing.T) {
	const trace = "panic: Error: Template is undeployable\n\tat first line\n\ngoroutine 1 [running]:\nmain.main()\n\t/home/app.go:12 +0x1d\nexit status 2\n"
	const box = "!!!!!!!!!!!!\n!!        !!\n!!  Node 20 is end-of-life  !!\n!!!!!!!!!!!!\n"
	tests := []struct{ name, says, want string }{
		{"one line", "approval must be human or automatic\n", "approval must be human or automatic"},
		{"jsii's exit on a line of its own", "no region\nRuntime process exited abnormally: exit status 1\n", "no region"},
		{"jsii's exit without a line break", "Runtime process exited abnormally: exit status 134no region\n", "no region"},
		{"jsii's exit that somebody else has seen", "Runtime process exited abnormally: waitid: no child processeserror: no region\n", "error: no region"},
		{"jsii's exit by a signal", "no region\nRuntime process exited abnormally: signal: broken pipe", "no region"},
		{"jsii's box", box + "no region\n", "no region"},
		{"warnings of Node", "(node:12) Warning: old\n(Use `node --trace-warnings ...` to show where)\nno region\n", "no region"},
		{"stack of JavaScript", "Error: no region\n    at Stack.region (/tmp/jsii/lib/stack.js:1:2)\n    at <anonymous>\n", "Error: no region"},
		{"panic", trace, "panic: Error: Template is undeployable"},
		{"nothing", "", "exit status 1"},
		{"only noise", box, "exit status 1"},
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, root, map[string]string{"cdk.json": "{}"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("APP_DOES", "fail:"+tt.says)
			_, err := Project{Root: root}.Synthesize(t.Context(), self)
			if want := "synthesize the stack: " + tt.want; err == nil || err.Error() != want {
				t.Errorf("got error\n%v, want\n%s", err, want)
			}
		})
	}
	t.Run("no cdk.json", func(t *testing.T) {
		write(t, root, map[string]string{"go.mod": "module stocktrading\n"})
		if err := os.Remove(filepath.Join(root, "cdk.json")); err != nil {
			t.Fatal(err)
		}
		t.Chdir(root)
		if _, err := Open(nil, nil); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got error %v, want one of a missing file", err)
		}
	})
}

func TestSynthesizeInterrupted(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, root, map[string]string{"cdk.json": "{}"})
	t.Setenv("APP_DOES", "hang")
	ids := filepath.Join(root, "ids")
	t.Setenv("APP_IDS", ids)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := Project{Root: root}.Synthesize(ctx, self)
		done <- err
	}()
	waitFor(t, "start of the app", func() bool {
		text, _ := os.ReadFile(ids)
		return strings.HasSuffix(string(text), "\n")
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	var app, child int
	if _, err := fmt.Sscan(read(t, ids), &app, &child); err != nil {
		t.Fatal(err)
	}
	checkEnded(t, app)
	checkEnded(t, child)
}
