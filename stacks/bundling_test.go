package stacks

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The same source gives the same bytes, whatever folder it is built in: the asset's
// hash, and so the deployment, does not depend on whose machine it was.
func TestGoBuildIsReproducible(t *testing.T) {
	checkouts := []string{t.TempDir(), filepath.Join(t.TempDir(), "deeper")}
	for _, checkout := range checkouts {
		copyModule(t, checkout)
	}
	var first []byte
	for _, checkout := range checkouts {
		t.Chdir(checkout)
		out := t.TempDir()
		if err := (&goBuild{name: "buystock"}).build(out); err != nil {
			t.Fatal(err)
		}
		executable, err := os.ReadFile(filepath.Join(out, "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = executable
		}
		if !bytes.Equal(first, executable) {
			t.Errorf("%d bytes from one folder differ from %d bytes from another", len(first), len(executable))
		}
	}
}

func TestGoBuildShowsTheCompilersMessage(t *testing.T) {
	checkout := t.TempDir()
	copyModule(t, checkout)
	if err := os.WriteFile(filepath.Join(checkout, "lambdas", "buystock", "broken.go"), []byte("package main\n\nvar x int = \"no number\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(checkout)
	err := (&goBuild{name: "buystock"}).build(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "build lambdas/buystock") || !strings.Contains(err.Error(), "broken.go:3") {
		t.Errorf("got error %v", err)
	}
}

func copyModule(t *testing.T, to string) {
	t.Helper()
	root := ".."
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
