package test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cdk.json has every feature flag that the pinned CDK recommends, at its recommended
// value. After an update of the CDK this tells which are new.
func TestFeatureFlags(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-cdk-go/awscdk/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	bundles, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "jsii", "aws-cdk-lib-*.tgz"))
	if err != nil || len(bundles) != 1 {
		t.Fatalf("%d bundles of aws-cdk-lib in %s, want 1: %v", len(bundles), dir, err)
	}
	want := recommendedFlags(t, bundles[0])
	got := cdkContext(t, nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the flags in cdk.json differ from the recommended ones (-recommended +cdk.json):\n%s", diff)
	}
}

func recommendedFlags(t *testing.T, bundle string) (flags map[string]any) {
	t.Helper()
	f, err := os.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if err != nil {
			t.Fatalf("find recommended-feature-flags.json in %s: %v", bundle, err)
		}
		if header.Name == "package/recommended-feature-flags.json" {
			if err := json.NewDecoder(archive).Decode(&flags); err != nil {
				t.Fatal(err)
			}
			return flags
		}
	}
}
