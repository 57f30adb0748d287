package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Synthesize runs the CDK app as the CDK CLI would and returns the folder of the cloud assembly. The app bundles nothing, because the local run builds the functions itself, and skips
// the validation of the template, which takes longer than the rest.
//
// The same app makes the same assembly of the same context. So it is run once for each, and the assembly is kept in .build.
func (p Project) Synthesize(ctx context.Context, exe string) (dir string, err error) {
	s := p.Progress.Step("Synthesizing the stack", "")
	dir, err = p.synthesize(ctx, exe)
	s.Done(err)
	if err != nil {
		return "", fmt.Errorf("synthesize the stack: %w", err)
	}
	return dir, nil
}

func (p Project) synthesize(ctx context.Context, exe string) (string, error) {
	exe, err := filepath.Abs(exe)
	if err != nil {
		return "", err
	}
	merged := map[string]any{}
	maps.Copy(merged, p.Context)
	merged["aws:cdk:bundling-stacks"] = []string{}
	text, err := json.Marshal(merged)
	if err != nil {
		return "", fmt.Errorf("encode the context: %w", err)
	}
	env := []string{"CDK_CONTEXT_JSON=" + string(text), "CDK_VALIDATION=false"}
	for _, name := range []string{"CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}

	cache, err := p.openAssemblies()
	if err != nil {
		return "", err
	}
	key, err := assemblyKey(exe, env)
	if err != nil {
		return "", err
	}
	if dir, ok := cache.find(key); ok {
		return dir, nil
	}
	temporary, remove, err := p.temporaryDir()
	if err != nil {
		return "", err
	}
	defer remove()
	out := filepath.Join(temporary, "assembly")
	env = append(env, "CDK_OUTDIR="+out, "TMPDIR="+temporary, "TMP="+temporary, "TEMP="+temporary)
	if err := runApp(ctx, exe, p.Root, env); err != nil {
		return "", err
	}
	return cache.put(key, out)
}

func runApp(ctx context.Context, exe, root string, env []string) error {
	_, stderr, err := command{path: exe, dir: root, env: env}.run(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if said := complaint(stderr); said != "" {
		return errors.New(said)
	}
	return err
}

var (
	// jsii writes this without a line break behind it.
	jsiiExit = regexp.MustCompile(`Runtime process exited abnormally: (exit status \d+|signal: (broken pipe|segmentation fault|[a-z]+)( \(core dumped\))?|wait\w*: no child processes)`)
	// jsii's box about the version of Node, Node's own warnings and the stack traces of JavaScript.
	jsiiNoise = regexp.MustCompile(`^(!!|\(node:\d+\)|\(Use .node --trace|\s+at )`)
	goStack   = regexp.MustCompile(`(?m)^goroutine \d+ .*\[`)
)

// complaint returns what a person needs to see of what the app wrote before it failed.
func complaint(stderr string) string {
	stderr = jsiiExit.ReplaceAllString(stderr, "")
	if stack := goStack.FindStringIndex(stderr); stack != nil {
		stderr = stderr[:stack[0]]
	}
	var lines []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimRight(line, " \t\r\n")
		if line != "" && !jsiiNoise.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
