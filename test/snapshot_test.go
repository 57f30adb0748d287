package test

import (
	"path/filepath"
	"regexp"
	"testing"

	"gotest.tools/v3/golden"
)

var assetHash = regexp.MustCompile(`[0-9a-f]{64}`)

// The whole template, with nothing normalised but the hashes of the functions' code.
func TestTemplateSnapshot(t *testing.T) {
	for name, override := range map[string]map[string]any{
		"human":     nil,
		"automatic": {"approval": "automatic"},
		"email":     {"approverEmail": "approver@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			text := assetHash.ReplaceAll(templateText(t, override), []byte("ASSET"))
			assertGolden(t, string(text), "template-"+name+".json")
		})
	}
}

func TestDefinitionSnapshot(t *testing.T) {
	assertGolden(t, parse(t, templateText(t, nil)).definitionText(), "definition.asl.json")
}

func TestPermissionsSnapshot(t *testing.T) {
	for name, override := range map[string]map[string]any{
		"human":     nil,
		"automatic": {"approval": "automatic"},
	} {
		t.Run(name, func(t *testing.T) {
			assertGolden(t, parse(t, templateText(t, override)).permissionTable(), "permissions-"+name+".txt")
		})
	}
}

// assertGolden compares with test/testdata/<file>. `go test ./test -update` accepts what it got.
func assertGolden(t *testing.T, got, file string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("test", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	golden.Assert(t, got, path)
}
