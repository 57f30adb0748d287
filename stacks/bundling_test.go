package stacks

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"stocktrading/stacks/config"
)

func TestMain(m *testing.M) {
	os.Setenv("CDK_VALIDATION", "false")
	os.Setenv("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
	jsii.Close() // the runtime has read the environment before this line
	status := m.Run()
	jsii.Close() // the next one leaves no files behind
	os.Exit(status)
}

// functions are the main packages of lambdas/, with the largest size in megabytes that
// the deployment package of each may have.
var functions = map[string]float64{
	"checkstockprice":               2.5,
	"generatebuysellrecommendation": 2.5,
	"requesthumanapproval":          3.0, // with an AWS SDK client
	"buystock":                      2.5,
	"sellstock":                     2.5,
}

// root is the project's folder; the tests build in others.
var root = func() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
}()

var secondCache = flag.Bool("second-cache", false, "build the functions from a second build cache, too; the first time takes minutes")

// The same source gives the same bytes, whatever folder it is built in and however go is set
// up there: an asset's hash, and so the deployment, does not depend on whose machine it was.
// With -second-cache, as in .ci/run, the second build shares no build cache with the first.
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
	first := build(filepath.Join(root, ".build", "test", "first"))
	if *secondCache {
		caches, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("GOCACHE", filepath.Join(caches, "stocktrading", "gocache")) // for the next time
	}
	goEnv(t, "GOARM64=v9.0\nGOFLAGS=-gcflags=-N\nGOFIPS140=latest\nCGO_ENABLED=1\n")
	for key, value := range map[string]string{"GOARM64": "v9.1", "GOAMD64": "v3", "GOEXPERIMENT": "jsonv2", "GOWORK": "/nowhere/go.work"} {
		t.Setenv(key, value)
	}
	second := build(filepath.Join(root, ".build", "test", "deeper", "second"))
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

// goEnv sets what go env -w would set, for the test.
func goEnv(t *testing.T, settings string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOENV", file)
}

// What go's configuration sets and nothing can pin is refused.
func TestGoBuildRefusesExperiments(t *testing.T) {
	goEnv(t, "GOEXPERIMENT=jsonv2\n")
	checkout := t.TempDir()
	copyModule(t, checkout)
	t.Chdir(checkout)
	if err := (&goBuild{name: "buystock"}).build(t.TempDir()); err == nil || !strings.Contains(err.Error(), "go env -u GOEXPERIMENT") {
		t.Errorf("got error %v", err)
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

// A real market is in the executables of the functions that need it, and nothing of it is
// in any other: neither its SDK nor what reads its keys.
func TestBundles(t *testing.T) {
	ofAMarket := []string{"github.com/alpacahq/alpaca-trade-api-go/v3", "github.com/aws/aws-sdk-go-v2/service/secretsmanager", "github.com/shopspring/decimal"}
	for _, test := range []struct {
		market config.Market
		want   []string
	}{
		{config.SimulatedMarket, nil},
		{config.AlpacaMarket, []string{"buystock", "checkstockprice", "sellstock"}},
	} {
		t.Run(string(test.market), func(t *testing.T) {
			choices := config.Default()
			choices.Market = test.market
			var got []string
			for _, executable := range bundles(t, t.TempDir(), choices) {
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

// bundles synthesizes the stack into the folder out and returns the functions' executables.
func bundles(t *testing.T, out string, choices config.Config) []string {
	t.Helper()
	t.Chdir(root)
	awscdk.AssetStaging_ClearAssetHashCache() // as in a process of its own
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Outdir: jsii.String(out)})
	NewStockTrading(app, "StockTrading", choices)
	app.Synth(nil)
	executables, err := filepath.Glob(filepath.Join(out, "asset.*", "bootstrap"))
	mains, _ := filepath.Glob("lambdas/*/main.go")
	if err != nil || len(executables) == 0 || len(executables) != len(mains) {
		t.Fatalf("%d executables, %v, want those of %q", len(executables), err, mains)
	}
	return executables
}

// Nobody else may write to what is bundled, and what somebody could have written to is
// bundled again.
func TestBundlesAreOurs(t *testing.T) {
	out := t.TempDir()
	planted := bundles(t, out, config.Default())[0]
	want, err := os.ReadFile(planted)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(filepath.Dir(planted), 0o777), os.WriteFile(planted, []byte("planted"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, executable := range bundles(t, out, config.Default()) {
		for _, path := range []string{executable, filepath.Dir(executable)} {
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm()&0o022 != 0 {
				t.Errorf("%s has the mode %v, %v: others may write", path, info.Mode(), err)
			}
		}
	}
	if got, err := os.ReadFile(planted); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was planted stays: %.20q, %v", got, err)
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
	if err == nil || !strings.Contains(err.Error(), "build lambdas for the function buystock") || !strings.Contains(err.Error(), "broken.go:3") {
		t.Errorf("got error %v", err)
	}
}

// copyModule brings a copy of the functions' source up to date. What has not changed stays as
// it is, and so what was built of it.
func copyModule(t *testing.T, to string) {
	t.Helper()
	project := os.DirFS(root)
	files := []string{"go.mod", "go.sum"}
	err := fs.WalkDir(project, "lambdas", func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	copied := os.DirFS(to)
	fs.WalkDir(copied, "lambdas", func(file string, _ fs.DirEntry, _ error) error { // before the first copy there is nothing
		if _, err := fs.Stat(project, file); errors.Is(err, fs.ErrNotExist) {
			return os.RemoveAll(filepath.Join(to, file))
		}
		return nil
	})
	for _, file := range files {
		text, err := fs.ReadFile(project, file)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(to, file)
		if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, text) {
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}
