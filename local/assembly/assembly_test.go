package assembly

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// equal reports how what was got differs from what is wanted.
func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRead(t *testing.T) {
	a, err := Read("testdata/system")
	if err != nil {
		t.Fatal(err)
	}
	if a.Dir != "testdata/system" || a.StackName != "Trading" {
		t.Errorf("got assembly %s of stack %s", a.Dir, a.StackName)
	}
	if got := a.Template["Description"]; got != "One resource of each type that may be referred to." {
		t.Errorf("template has the description %v", got)
	}
	want := []Message{
		{"warning", "Trading", "approval is automatic [ack: approval]"},
		{"info", "Trading/Buy", "buys"},
		{"error", "Trading/Buy", "does not sell"},
	}
	equal(t, "messages", want, a.Messages)
}

func TestReadRefuses(t *testing.T) {
	tests := []struct{ dir, want string }{
		{"missing", "there is no manifest.json, so nothing was synthesized there"},
		{"broken", "decode manifest.json"},
		{"no-stack", "it has no stack"},
		{"two-stacks", "it has 2 stacks (A, B), the local run takes one"},
		{"nested", "nested assemblies (assembly-Prod) are not supported by the local run"},
		{"no-template", "read template of stack A: "},
	}
	for _, tt := range tests {
		t.Run(tt.dir, func(t *testing.T) {
			_, err := Read("testdata/" + tt.dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}
