package test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The CDK CLI is a 2.x of one exact version. The registry's newest is 3.0.0, an old build
// that was published by mistake: it can't read the cloud assemblies of today's CDK, and
// whatever asks for "latest" or "^3" gets it.
func TestCDKVersion(t *testing.T) {
	var wanted struct{ DevDependencies map[string]string }
	readJSON(t, "package.json", &wanted)
	var locked struct {
		Packages map[string]struct {
			Version         string
			DevDependencies map[string]string
		}
	}
	readJSON(t, "package-lock.json", &locked)
	version := wanted.DevDependencies["aws-cdk"]
	if !regexp.MustCompile(`^2\.[0-9]+\.[0-9]+$`).MatchString(version) {
		t.Errorf("package.json wants aws-cdk %q, want one exact version 2.x: npm install --save-exact --save-dev aws-cdk@2.…", version)
	}
	for where, got := range map[string]string{
		"is for":   locked.Packages[""].DevDependencies["aws-cdk"],
		"installs": locked.Packages["node_modules/aws-cdk"].Version,
	} {
		if got != version {
			t.Errorf("package-lock.json %s aws-cdk %q, and package.json wants %q: run npm install", where, got, version)
		}
	}
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
}

// The workflow's actions are commits, with their tags beside them: a tag can be moved.
func TestActionsArePinned(t *testing.T) {
	text, err := os.ReadFile(".github/workflows/ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`uses: \S+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$`)
	uses := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.Contains(line, "uses:") {
			continue
		}
		uses++
		if !pinned.MatchString(line) {
			t.Errorf("%q, want uses: OWNER/NAME@COMMIT # vTAG", line)
		}
	}
	if uses == 0 {
		t.Error("the workflow uses no action")
	}
}
