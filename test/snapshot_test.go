package test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/golden"

	"stocktrading/local/assembly"
)

var assetHash = regexp.MustCompile(`[0-9a-f]{64}`)

// The whole template, with nothing normalised but the hashes of the functions' code.
func TestTemplateSnapshot(t *testing.T) {
	for name, override := range map[string]map[string]any{
		"human":     nil,
		"automatic": {"approval": "automatic"},
		"email":     {"approverEmail": "approver@example.com"},
		"foureyes":  {"fourEyes": "true"},
		"alpaca":    onAlpaca,
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
		"alpaca":    onAlpaca,
	} {
		t.Run(name, func(t *testing.T) {
			assertGolden(t, parse(t, templateText(t, override)).permissionTable(), "permissions-"+name+".txt")
		})
	}
}

// What takes a decision from people, or makes it about real money, is said at every
// synthesis; nothing else is.
func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		name     string
		override map[string]any
		want     string
	}{
		{"default", nil, ""},
		{"automatic", map[string]any{"approval": "automatic"}, "approval=automatic: every recommendation is traded and no one is asked."},
		{"paper", onAlpaca, ""},
		{"live", map[string]any{"market": "alpaca", "marketSecret": marketSecret, "marketMode": "live"}, "marketMode=live: what is approved is traded with real money."},
	} {
		t.Run(test.name, func(t *testing.T) {
			cloud, err := assembly.Read(synthesize(t, test.override))
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for _, m := range cloud.Messages {
				got += m.Level + ": " + m.Text
			}
			if test.want == "" && got != "" || test.want != "" && !strings.HasPrefix(got, "warning: "+test.want) {
				t.Errorf("the synthesis says %q, want the warning %q", got, test.want)
			}
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
