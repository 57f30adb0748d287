package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const wantedLock = `{"lockfileVersion": 3, "packages": {
	"": {"name": "stocktrading"},
	"node_modules/a": {"version": "1.0.0", "integrity": "sha512-a", "dev": true},
	"node_modules/@s/b": {"version": "2.0.0", "integrity": "sha512-b", "dev": true},
	"node_modules/a/node_modules/c": {"version": "3.0.0", "integrity": "sha512-c", "dev": true, "optional": true}
}}`

const installedLock = `{"lockfileVersion": 3, "packages": {
	"node_modules/a": {"version": "1.0.0", "integrity": "sha512-a", "dev": true},
	"node_modules/@s/b": {"version": "2.0.0", "integrity": "sha512-b", "dev": true}
}}`

func installedTree() map[string]string {
	return map[string]string{
		"package-lock.json":                wantedLock,
		"node_modules/.package-lock.json":  installedLock,
		"node_modules/a/package.json":      "{}",
		"node_modules/@s/b/package.json":   "{}",
		"node_modules/@s/b/lib/b.js":       "",
		"node_modules/.bin/something-else": "",
	}
}

// beNPM is npm, which does what NPM_DOES says and keeps a journal.
func beNPM() {
	journal, err := os.OpenFile(os.Getenv("NPM_JOURNAL"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(journal, strings.Join(os.Args[1:], " "))
	journal.Close()
	switch os.Getenv("NPM_DOES") {
	case "install":
		time.Sleep(200 * time.Millisecond)
		for name, text := range installedTree() {
			if strings.HasPrefix(name, "node_modules/") {
				os.MkdirAll(filepath.Dir(name), 0o755)
				os.WriteFile(name, []byte(text), 0o644)
			}
		}
		fmt.Println("added 2 packages in 200ms")
	case "nothing":
		fmt.Println("up to date")
	case "fail":
		for i := range 30 {
			fmt.Fprintln(os.Stderr, "npm error line", i)
		}
		os.Exit(1)
	case "offline":
		fmt.Fprintln(os.Stderr, "npm error code ENOTFOUND")
		os.Exit(1)
	case "hang":
		startChild("ids")
		time.Sleep(time.Minute)
	}
}

func TestPackagesProblem(t *testing.T) {
	tests := []struct {
		name   string
		change map[string]string // an empty text removes the file
		want   string
	}{
		{"complete", nil, ""},
		{"nothing there", map[string]string{"node_modules/.package-lock.json": ""}, "nothing is installed"},
		{"broken record", map[string]string{"node_modules/.package-lock.json": "{"}, "nothing is installed"},
		{"a package lost its files", map[string]string{"node_modules/@s/b/package.json": ""}, "node_modules/@s/b is not complete"},
		{"a newer version is wanted", map[string]string{"package-lock.json": strings.ReplaceAll(wantedLock, "1.0.0", "1.0.1")}, "node_modules/a is 1.0.0 in place of 1.0.1"},
		{"other content is wanted", map[string]string{"package-lock.json": strings.ReplaceAll(wantedLock, "sha512-b", "sha512-x")}, "node_modules/@s/b is 2.0.0 in place of 2.0.0"},
		{"another package is wanted", map[string]string{"package-lock.json": strings.ReplaceAll(wantedLock, `"node_modules/a":`, `"node_modules/d": {"version": "1.0.0"}, "node_modules/a":`)}, "node_modules/d is not installed"},
		{"a package is no longer wanted", map[string]string{"package-lock.json": `{"packages": {}}`}, "node_modules/@s/b is not in package-lock.json"},
		{"an optional package is there too", map[string]string{"node_modules/.package-lock.json": wantedLock[:strings.Index(wantedLock, `"":`)] + wantedLock[strings.Index(wantedLock, `"node_modules/a":`):]}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, installedTree())
			for name, text := range tt.change {
				if text == "" {
					if err := os.Remove(filepath.Join(root, name)); err != nil {
						t.Fatal(err)
					}
				} else {
					write(t, root, map[string]string{name: text})
				}
			}
			got, err := Project{Root: root}.packagesDiffer()
			if err != nil || got != tt.want {
				t.Errorf("got %q and error %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestPackages(t *testing.T) {
	var failed strings.Builder
	failed.WriteString("install the npm packages: npm ci: exit status 1\n")
	for i := 18; i < 30; i++ {
		fmt.Fprintln(&failed, "npm error line", i)
	}
	failed.WriteString("Run npm ci in the project's folder to see all that npm says.")
	tests := []struct {
		name, npm string
		files     map[string]string
		ran       bool
		err       string
	}{
		{"installs", "install", map[string]string{"package-lock.json": wantedLock}, true, ""},
		{"is done", "fail", installedTree(), false, ""},
		{"npm fails", "fail", map[string]string{"package-lock.json": wantedLock}, true, failed.String()},
		{
			"no network", "offline",
			map[string]string{"package-lock.json": wantedLock},
			true,
			"install the npm packages: npm ci: exit status 1\nnpm error code ENOTFOUND\nThe packages are downloaded once, and npm can't reach its registry: check the network, and npm's registry and proxy settings (npm config list), then try again.",
		},
		{
			"npm does nothing", "nothing",
			map[string]string{"package-lock.json": wantedLock},
			true,
			"install the npm packages: npm ci has ended without an error, but nothing is installed",
		},
		{
			"broken lock file", "install",
			map[string]string{"package-lock.json": "{"},
			false,
			"look at the npm packages: decode ROOT/package-lock.json: unexpected end of JSON input",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, tt.files)
			play(t, "npm")
			journal := filepath.Join(t.TempDir(), "journal")
			t.Setenv("NPM_JOURNAL", journal)
			t.Setenv("NPM_DOES", tt.npm)
			message := ""
			if err := (Project{Root: root}).Packages(t.Context()); err != nil {
				message = strings.ReplaceAll(filepath.ToSlash(err.Error()), filepath.ToSlash(root), "ROOT")
			}
			if diff := cmp.Diff(tt.err, message); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			text, _ := os.ReadFile(journal)
			want := ""
			if tt.ran {
				want = "ci --include=dev --no-audit --no-fund\n"
			}
			if diff := cmp.Diff(want, string(text)); diff != "" {
				t.Errorf("runs of npm (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPackagesAtOnce(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"package-lock.json": wantedLock})
	play(t, "npm")
	journal := filepath.Join(t.TempDir(), "journal")
	t.Setenv("NPM_JOURNAL", journal)
	t.Setenv("NPM_DOES", "install")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := (Project{Root: root}).Packages(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs := strings.Count(read(t, journal), "\n"); runs != 1 {
		t.Errorf("npm ran %d times, want 1", runs)
	}
}

func TestPackagesInterrupted(t *testing.T) {
	root := t.TempDir()
	files := installedTree()
	files["package-lock.json"] = strings.ReplaceAll(wantedLock, "1.0.0", "1.0.1")
	write(t, root, files)
	play(t, "npm")
	t.Setenv("NPM_JOURNAL", filepath.Join(t.TempDir(), "journal"))
	t.Setenv("NPM_DOES", "hang")

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Project{Root: root}.Packages(ctx) }()
	ids := filepath.Join(root, "ids")
	waitFor(t, "start of npm", func() bool {
		text, _ := os.ReadFile(ids)
		return strings.HasSuffix(string(text), "\n")
	})
	began := time.Now()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("ending npm took %s", took)
	}
	var npm, child int
	if _, err := fmt.Sscan(read(t, ids), &npm, &child); err != nil {
		t.Fatal(err)
	}
	checkEnded(t, npm)
	checkEnded(t, child)

	// Back to the previous lock file, whose packages all seem to be there.
	write(t, root, map[string]string{"package-lock.json": wantedLock})
	if problem, err := (Project{Root: root}).packagesDiffer(); problem == "" || err != nil {
		t.Errorf("the interrupted installation counts as complete (error %v)", err)
	}
}
