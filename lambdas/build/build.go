// Package build holds the arguments and the environment for go to build the functions with,
// for a deployment and for the local run. Whatever go would read from the builder's own
// environment is pinned, since it would change the bytes; code for GOARM64=v9.0 would not
// even run on every Arm machine of Lambda.
package build

import (
	"os"
	"path/filepath"
	"strings"
)

// Args are go's arguments to build all functions into the folder out, each under the name of
// its package. Build tags choose their market.
func Args(out string, tags ...string) []string {
	return []string{
		"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w",
		"-tags", strings.Join(append([]string{"lambda.norpc"}, tags...), ","),
		"-o", out + string(filepath.Separator), // by which go knows that it is a folder
		"./lambdas/...",
	}
}

// Env is the environment for go on top of the person's own, as key=value. An empty
// value would leave what `go env -w` has set, so there is a value wherever it does no harm.
func Env(goos, goarch string) []string {
	return []string{
		"GOOS=" + goos, "GOARCH=" + goarch, "GOARM64=v8.0", "GOAMD64=v1",
		"CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOWORK=off", "GOFIPS140=off", "GOEXPERIMENT=",
	}
}

// KeepTimes notes the modification times of the files that match a pattern. The function that
// it returns gives them back to those that are the same files still: go build touches what it
// finds up to date, and whatever depends on such a file would be taken for out of date.
func KeepTimes(pattern string) (restore func()) {
	files, _ := filepath.Glob(pattern) // the patterns are this project's own
	before := map[string]os.FileInfo{}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			before[file] = info
		}
	}
	return func() {
		for file, old := range before {
			if info, err := os.Stat(file); err == nil && os.SameFile(old, info) {
				os.Chtimes(file, old.ModTime(), old.ModTime())
			}
		}
	}
}
