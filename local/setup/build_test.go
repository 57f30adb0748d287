package setup

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func output(t *testing.T, path string) string {
	t.Helper()
	text, err := exec.Command(path).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func printing(text string) string {
	return "package main\n\nfunc main() { print(\"" + text + "\") }\n"
}

func TestBuildFunctions(t *testing.T) {
	withGo(t)
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "new", "out")
	write(t, root, map[string]string{
		"go.mod":                   "module stocktrading\n\ngo 1.26\n",
		"main.go":                  "package main\n\nthis is not part of the functions",
		"lambdas/one/main.go":      printing("one"),
		"lambdas/two/main.go":      "//go:build lambda.norpc && !cgo\n\n" + printing("two"),
		"lambdas/two/rpc.go":       "//go:build !lambda.norpc || cgo\n\n" + printing("tags missing"),
		"lambdas/shared/shared.go": "package shared\n",
	})
	var built []os.FileInfo
	for range 2 {
		if err := (Project{Root: root}).BuildFunctions(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(out, executable("one")))
		if err != nil {
			t.Fatal(err)
		}
		built = append(built, info)
	}
	if !os.SameFile(built[0], built[1]) {
		t.Error("a function was replaced without a change: other runs may be using it")
	}
	for _, name := range []string{"one", "two"} {
		if got := output(t, filepath.Join(out, executable(name))); got != name {
			t.Errorf("function %s says %s", name, got)
		}
	}
	if files, err := os.ReadDir(out); err != nil || len(files) != 2 {
		t.Errorf("got files %v and error %v, want 2 files", files, err)
	}
}

func TestBuildErrors(t *testing.T) {
	withGo(t)
	root := t.TempDir()
	write(t, root, map[string]string{
		"go.mod":              "module stocktrading\n\ngo 1.26\n",
		"main.go":             "package main\n\nfunc main() { return 1 }\n",
		"lambdas/one/main.go": "package main\n\nfunc main() { undefined() }\n",
	})
	_, appErr := Project{Root: root}.BuildApp(t.Context())
	tests := []struct {
		name string
		err  error
		want string
	}{
		{
			"functions", Project{Root: root}.BuildFunctions(t.Context(), t.TempDir()),
			"build the functions: go build: exit status 1\n# stocktrading/lambdas/one\nlambdas/one/main.go:3:15: undefined: undefined",
		},
		{
			"app", appErr,
			"build the CDK app: go build: exit status 1\n# stocktrading\n./main.go:3:22: too many return values\n\thave (number)\n\twant ()",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.err == nil || filepath.ToSlash(tt.err.Error()) != tt.want {
				t.Errorf("got error\n%v, want\n%s", tt.err, tt.want)
			}
		})
	}
}

func TestBuildApp(t *testing.T) {
	withGo(t)
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module stocktrading\n\ngo 1.26\n", "main.go": printing("one")})
	build := func() string {
		t.Helper()
		exe, err := Project{Root: root}.BuildApp(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(root, ".build", executable("app")); exe != want {
			t.Fatalf("built %s, want %s", exe, want)
		}
		return exe
	}
	stat := func(path string) os.FileInfo {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}

	exe := build()
	if got := output(t, exe); got != "one" {
		t.Errorf("the app says %s, want one", got)
	}
	first := stat(exe)
	if build(); !os.SameFile(first, stat(exe)) {
		t.Error("the app was replaced without a change")
	}

	// Somebody who has the old app when a new one is built keeps it.
	old := filepath.Join(root, ".build", executable("old"))
	if err := os.Link(exe, old); err != nil {
		t.Skip(err)
	}
	write(t, root, map[string]string{"main.go": printing("two")})
	build()
	if got := output(t, exe); got != "two" {
		t.Errorf("the app says %s after the change, want two", got)
	}
	if got := output(t, old); got != "one" {
		t.Errorf("the old app says %s, want one", got)
	}

	// A build that fails leaves the app as it is.
	write(t, root, map[string]string{"main.go": "package main\n"})
	if _, err := (Project{Root: root}).BuildApp(t.Context()); err == nil {
		t.Error("the app was built without a main function")
	}
	if got := output(t, exe); got != "two" {
		t.Errorf("the app says %s after a failed build, want two", got)
	}
}

// beGo is a go that dies while it writes what it has built.
func beGo() {
	i := slices.Index(os.Args, "-o")
	os.MkdirAll(filepath.Dir(os.Args[i+1]), 0o755)
	os.WriteFile(os.Args[i+1], []byte("half of it"), 0o755)
	os.Exit(1)
}

func TestBuildAppLeavesNoHalves(t *testing.T) {
	root := t.TempDir()
	exe := filepath.Join(".build", executable("app"))
	write(t, root, map[string]string{exe: "whole"})
	play(t, "go")
	if _, err := (Project{Root: root}).BuildApp(t.Context()); err == nil || err.Error() != "build the CDK app: go build: exit status 1" {
		t.Errorf("got error %v", err)
	}
	if got := read(t, filepath.Join(root, exe)); got != "whole" {
		t.Errorf("the app is %q", got)
	}
}

func TestBuildAppAtOnce(t *testing.T) {
	withGo(t)
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module stocktrading\n\ngo 1.26\n", "main.go": printing("one")})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			exe, err := Project{Root: root}.BuildApp(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := exec.Command(exe).CombinedOutput(); err != nil || string(text) != "one" {
				t.Errorf("the app says %q, error %v", text, err)
			}
		})
	}
	wg.Wait()
}

func TestPublishWithoutLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"from": "new", "to": "old"})
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := copyFile(from, to, 0o755); !errors.Is(err, os.ErrExist) {
		t.Errorf("copying onto a file has the error %v, want %v", err, os.ErrExist)
	}
	if err := copyFile(from, to+".next", 0o755); err != nil || read(t, to+".next") != "new" {
		t.Errorf("the copy is not the file, error %v", err)
	}
	// One is left over from a program that was killed.
	if err := publish(from, to); err != nil || read(t, to) != "new" {
		t.Errorf("published %q, error %v", read(t, to), err)
	}
}

func TestBuildInterrupted(t *testing.T) {
	withGo(t)
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module stocktrading\n\ngo 1.26\n", "main.go": printing("one")})
	t.Setenv("GOCACHE", t.TempDir()) // the whole runtime has to be compiled, which takes its time
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := Project{Root: root}.BuildApp(ctx)
		done <- err
	}()
	temporary := func() []string {
		paths, err := filepath.Glob(filepath.Join(root, ".build", "tmp", "*", "go-build*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	waitFor(t, "start of a compiler", func() bool { return len(temporary()) > 0 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "build the CDK app: ") {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if left := temporary(); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	// The lock is free again.
	s := (*Progress)(nil).Step("", "")
	unlock, err := Project{Root: root}.lock(t.Context(), "app.lock", "", s)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
