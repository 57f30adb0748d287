package setup

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

// The programs that this package runs are played by the test binary: node, npm and a go that fails under their names, the CDK app by the
// variable APP_DOES, and what programs start by the variable BE_CHILD.
func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	switch {
	case os.Getenv("BE_CHILD") != "":
		signal.Ignore(os.Interrupt)
		time.Sleep(time.Minute)
	case name == "node":
		beNode()
	case name == "npm":
		beNPM()
	case name == "go":
		beGo()
	case os.Getenv("APP_DOES") != "":
		beApp()
	default:
		os.Exit(m.Run())
	}
	os.Exit(0)
}

// play puts the test binary on the PATH under the names of programs, and nothing else with it.
func play(t *testing.T, names ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, executable(name))
		if err := os.Link(self, path); err != nil {
			if err := copyFile(self, path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("PATH", dir)
}

// startChild starts a program that an interrupt does not end, and notes its id and that of this one.
func startChild(idsFile string) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), "BE_CHILD=1")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		panic(err)
	}
	text := fmt.Sprintln(os.Getpid(), child.Process.Pid)
	if err := os.WriteFile(idsFile, []byte(text), 0o600); err != nil {
		panic(err)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in 20 s", what)
		}
	}
}

func TestRoot(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		from  string
		want  string // relative to the folder of the files, or
		err   string
	}{
		{"here", map[string]string{"go.mod": "module stocktrading\n"}, ".", ".", ""},
		{"above", map[string]string{"go.mod": "// comment\nmodule stocktrading // the project\n\ngo 1.26.0\n", "a/b/c.go": ""}, "a/b", ".", ""},
		{"above another module", map[string]string{"go.mod": "module \"stocktrading\"\n", "a/go.mod": "module other\n", "a/b/c.go": ""}, "a/b", ".", ""},
		{"only another module", map[string]string{"go.mod": "module stocktrading2\n"}, ".", "", "run this inside the project's folder"},
		{"no module", map[string]string{"a.go": "package a\n"}, ".", "", "run this inside the project's folder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, tt.files)
			t.Chdir(filepath.Join(dir, tt.from))
			got, err := Root()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %q and error %v, want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(dir, tt.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func beNode() {
	fmt.Fprintln(os.Stderr, "a warning")
	fmt.Println(os.Getenv("NODE_SAYS"))
	if os.Getenv("NODE_SAYS") == "" {
		os.Exit(1)
	}
}

func TestNode(t *testing.T) {
	tests := []struct{ name, says, err string }{
		{"oldest", "v20.0.0", ""},
		{"newer", "v102.3.4", ""},
		{"too old", "v18.20.8", "is Node v18.20.8, which is too old; install Node.js 22 or later from https://nodejs.org"},
		{"no version", "none", `says that its version is "none"; install Node.js 22 or later from https://nodejs.org`},
		{"broken", "", "--version: exit status 1\na warning"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, "node")
			t.Setenv("NODE_SAYS", tt.says)
			path, err := Node(t.Context())
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "find Node: ") || !strings.HasSuffix(err.Error(), tt.err) {
					t.Errorf("got error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || filepath.Dir(path) != os.Getenv("PATH") {
				t.Errorf("got %s and error %v", path, err)
			}
		})
	}
}

func TestMissingPrograms(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"package-lock.json": "{}", "cdk.json": "{}"})
	tests := []struct {
		name string
		run  func() error
		want string
	}{
		{
			"node", func() error { _, err := Node(t.Context()); return err },
			"find Node: there is no node on the PATH; install Node.js 22 or later from https://nodejs.org",
		},
		{
			"npm", func() error { return Project{Root: root}.Packages(t.Context()) },
			"install the npm packages: there is no npm on the PATH; install Node.js 22 or later from https://nodejs.org, which brings npm",
		},
		{
			"go for the functions", func() error { return Project{Root: root}.BuildFunctions(t.Context(), t.TempDir()) },
			"build the functions: there is no go on the PATH; install Go from https://go.dev/dl",
		},
		{
			"go for the app", func() error { _, err := Project{Root: root}.BuildApp(t.Context()); return err },
			"build the CDK app: there is no go on the PATH; install Go from https://go.dev/dl",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t)
			if err := tt.run(); err == nil || err.Error() != tt.want {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLock(t *testing.T) {
	root := t.TempDir()
	s := (*Progress)(nil).Step("Working", "")
	unlock, err := Project{Root: root}.lock(t.Context(), "a.lock", "nobody", s)
	if err != nil {
		t.Fatal(err)
	}
	other := flock.New(filepath.Join(root, ".build", "a.lock"))
	if locked, err := other.TryLock(); locked || err != nil {
		t.Fatalf("locked twice: %t, %v", locked, err)
	}
	unlock()
	if locked, err := other.TryLock(); !locked || err != nil {
		t.Fatalf("not locked after the unlock: %t, %v", locked, err)
	}
	got := make(chan error)
	go func() {
		unlock, err := Project{Root: root}.lock(t.Context(), "a.lock", "the other", s)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	time.Sleep(50 * time.Millisecond)
	other.Unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// Where .build can't be written, what is built goes among the person's caches, for each project apart.
func TestBuildDirThatCannotBeWritten(t *testing.T) {
	caches := t.TempDir()
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} { // by the system
		t.Setenv(name, caches)
	}
	roots := []string{t.TempDir(), t.TempDir()}
	dirs := map[string]bool{}
	for _, root := range append(roots, roots...) {
		write(t, root, map[string]string{".build": "a file"})
		dir, err := Project{Root: root}.buildDir()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(dir, caches) {
			t.Errorf("%s is not among the caches in %s", dir, caches)
		}
		write(t, dir, map[string]string{"sub/file": ""})
		dirs[dir] = true
	}
	if len(dirs) != 2 {
		t.Errorf("two projects have the folders %v", dirs)
	}

	write(t, roots[0], map[string]string{"caches": "a file"})
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, filepath.Join(roots[0], "caches"))
	}
	if dir, err := (Project{Root: roots[0]}).buildDir(); err == nil || !strings.Contains(err.Error(), ".build") {
		t.Errorf("got %q, %v; want an error that names .build", dir, err)
	}
}

func TestValidDirThatCannotBeMade(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"package-lock.json": "{}", ".build/valid": "a file"})
	if dir, err := (Project{Root: root}).validDir(); dir != "" || err != nil {
		t.Errorf("got %q, %v; want none", dir, err)
	}
}

func TestLastLines(t *testing.T) {
	got := lastLines("one\n\ntwo \r\n  three\n\n", 2)
	if diff := cmp.Diff("two\n  three", got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// withGo makes go builds of small modules independent of the machine's settings for modules.
func withGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go on the PATH")
	}
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOOS", "plan9") // the environment's wishes don't count
	t.Setenv("GOARCH", "mips")
	if runtime.GOOS == "plan9" {
		t.Setenv("GOOS", "linux")
	}
}
