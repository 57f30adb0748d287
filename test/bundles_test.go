package test

import (
	"debug/buildinfo"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A real market is in the executables of the functions that need it, and nothing of it is
// in any other: neither its SDK nor what reads its keys.
func TestBundles(t *testing.T) {
	ofAMarket := []string{"github.com/alpacahq/alpaca-trade-api-go/v3", "github.com/aws/aws-sdk-go-v2/service/secretsmanager", "github.com/shopspring/decimal"}
	for _, test := range []struct {
		name     string
		override map[string]any
		want     []string
	}{
		{"simulated market", nil, nil},
		{"alpaca", onAlpaca, []string{"buystock", "checkstockprice", "sellstock"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			executables, err := filepath.Glob(filepath.Join(synthesizeAs(t, test.override, nil), "asset.*", "bootstrap"))
			if err != nil || len(executables) != len(functionNames) {
				t.Fatalf("%d executables, %v, want %d", len(executables), err, len(functionNames))
			}
			var got []string
			for _, executable := range executables {
				info, err := buildinfo.ReadFile(executable)
				if err != nil {
					t.Fatal(err)
				}
				function := strings.TrimPrefix(info.Path, "stocktrading/lambdas/")
				in := 0
				for _, module := range ofAMarket {
					if slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module }) {
						in++
					}
				}
				switch in {
				case 0:
				case len(ofAMarket):
					got = append(got, function)
				default:
					t.Errorf("%s has a part of %q", function, ofAMarket)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("functions with a real market (-want +got):\n%s", diff)
			}
		})
	}
}
