// Package test checks the synthesized stack: its snapshots, its permissions, its state
// machine and every guard that the workflow relies on.
package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"stocktrading/stacks"
	"stocktrading/stacks/config"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// outdir is where cloud assemblies go.
var outdir string

func run(m *testing.M) int {
	var err error
	if outdir, err = os.MkdirTemp("", "stocktrading-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(outdir)
	os.Chdir("..") // where the CDK CLI runs the app: asset paths are relative to it
	os.Setenv("CDK_VALIDATION", "false")
	os.Setenv("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
	jsii.Close()       // the runtime has read the environment before this line
	defer jsii.Close() // the next one leaves no files behind
	return m.Run()
}

// cdkContext is the context of cdk.json, as the CLI hands it over, with the given keys on top.
func cdkContext(t *testing.T, override map[string]any) map[string]any {
	t.Helper()
	file, err := os.ReadFile("cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var cdk struct{ Context map[string]any }
	if err := json.Unmarshal(file, &cdk); err != nil {
		t.Fatalf("read cdk.json: %v", err)
	}
	maps.Copy(cdk.Context, override)
	return cdk.Context
}

// assemblies are the folders of the cloud assemblies that were synthesized, by their context.
var (
	assemblies   = map[string]string{}
	assembliesMu sync.Mutex
)

// synthesize returns the folder of the cloud assembly, synthesized once for each context.
func synthesize(t *testing.T, override map[string]any) string {
	t.Helper()
	assembliesMu.Lock()
	defer assembliesMu.Unlock()
	key := fmt.Sprint(override)
	if dir, ok := assemblies[key]; ok {
		return dir
	}
	app, out := newApp(t, override, nil)
	app.Synth(nil)
	assemblies[key] = out
	return out
}

// newApp defines the stack in an app that synthesizes into the folder out, with the given
// keys of the CDK's own. Nothing is built: the assets are of no interest here. Constructs
// can't be used by parallel tests.
func newApp(t *testing.T, override, keys map[string]any) (app awscdk.App, out string) {
	t.Helper()
	context := cdkContext(t, override)
	context["aws:cdk:bundling-stacks"] = []any{}
	maps.Copy(context, keys)
	out, err := os.MkdirTemp(outdir, "")
	if err != nil {
		t.Fatal(err)
	}
	app = awscdk.NewApp(&awscdk.AppProps{
		AnalyticsReporting: jsii.Bool(false),
		Context:            &context,
		Outdir:             jsii.String(out),
	})
	choices, err := config.FromContext(func(key string) any { return app.Node().TryGetContext(jsii.String(key)) })
	if err != nil {
		t.Fatal(err)
	}
	stacks.NewStockTrading(app, "StockTrading", choices)
	return app, out
}

// templateText is the template's text.
func templateText(t *testing.T, override map[string]any) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(synthesize(t, override), "StockTrading.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
