package stacks

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// functions are the main packages of lambdas/, with the largest size in megabytes that
// the deployment package of each may have.
var functions = map[string]float64{
	"checkstockprice":               2.6,
	"generatebuysellrecommendation": 2.6,
	"requesthumanapproval":          3.0, // with an AWS SDK client
	"buystock":                      2.6,
	"sellstock":                     2.6,
}

// root is the project's folder; the tests build in others.
var root = func() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// The same source gives the same bytes, whatever folder and cache it is built in: an
// asset's hash, and so the deployment, does not depend on whose machine it was. The second
// cache stays for the next run, which would take minutes otherwise; it shares nothing with
// the first one.
func TestGoBuildIsReproducible(t *testing.T) {
	build := func(checkout string) map[string][]byte {
		t.Helper()
		copyModule(t, checkout)
		t.Chdir(checkout)
		executables := map[string][]byte{}
		for name := range functions {
			out := t.TempDir()
			if err := (&goBuild{name: name}).build(out); err != nil {
				t.Fatal(err)
			}
			executable, err := os.ReadFile(filepath.Join(out, "bootstrap"))
			if err != nil {
				t.Fatal(err)
			}
			executables[name] = executable
		}
		return executables
	}
	first := build(t.TempDir())
	t.Setenv("GOCACHE", filepath.Join(root, ".build", "test", "gocache"))
	second := build(filepath.Join(t.TempDir(), "deeper"))
	for name := range functions {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s: %d bytes from one folder differ from %d bytes from another", name, len(first[name]), len(second[name]))
		}
	}

	for name, largest := range functions {
		if size := float64(len(zipped(t, first[name]))) / 1e6; size > largest {
			t.Errorf("the deployment package of %s has %.2f MB, want at most %.1f: what does it import?", name, size, largest)
		}
	}
}

func zipped(t *testing.T, executable []byte) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	file, err := w.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(executable); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestGoBuildShowsTheCompilersMessage(t *testing.T) {
	checkout := t.TempDir()
	copyModule(t, checkout)
	if err := os.WriteFile(filepath.Join(checkout, "lambdas", "buystock", "broken.go"), []byte("package main\n\nvar x int = \"no number\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(checkout)
	err := (&goBuild{name: "buystock"}).build(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "build lambdas for the function buystock") || !strings.Contains(err.Error(), "broken.go:3") {
		t.Errorf("got error %v", err)
	}
}

func copyModule(t *testing.T, to string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(to, "lambdas"), os.DirFS(filepath.Join(root, "lambdas"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
