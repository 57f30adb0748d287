//go:build unix

package readme

import (
	"context"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stocktrading/local/localtest"
	"stocktrading/stacks/config"
)

// What is done with a command: a terminal that asks gets an answer by --decision.
const (
	runs    = "run"      // to its end, in success
	answers = "answer"   // the same, with "--decision approve" behind it
	keepsUp = "keeps up" // until it is interrupted
	account = "account"  // needs an AWS account, or one at Alpaca
)

// commands are all that the README and the pages of docs show, in their order. What the
// tests themselves or .ci/run do anyway says so.
var commands = []struct{ line, how string }{
	{"go run ./local --web", keepsUp},
	{"npm ci && npx cdk deploy", account},
	{`go run ./local --decision approve --input '{"symbol":"AMZN","qty":5}'`, runs},
	{"npm ci", "by .ci/run, and by the tests where it is needed"},
	{"npx cdk synth", "by .ci/run"},
	{"npx cdk deploy", account},
	{`aws stepfunctions start-execution --state-machine-arn ARN --input '{"symbol":"AMZN","qty":5}'`, account},
	{"go run ./desk --web --state-machine ARN", account},
	{"go run ./desk --state-machine ARN", account},
	{"go run ./desk EXECUTION", account},
	{"go run ./desk approve EXECUTION", account},
	{"go run ./desk log", account},
	{"go test ./...", "by .ci/run"},
	{"npx cdk destroy", account},
	// docs/local-run.md
	{"go run ./local", "by .ci/run, with --decision approve"},
	{"go run ./local --serve --port 8080", "by TestCommandLine"},
	{"export AWS_ENDPOINT_URL=http://127.0.0.1:8080 AWS_DEFAULT_REGION=us-east-1", "by TestCommandLine"},
	{"export AWS_ACCESS_KEY_ID=approver AWS_SECRET_ACCESS_KEY=local", "by TestCommandLine"},
	{"export STATE_MACHINE_ARN=arn:aws:states:us-east-1:123456789012:stateMachine:StockTrading-StockTradingStateMachineB8CE9B37", "by TestCommandLine"},
	{`AWS_ACCESS_KEY_ID=developer aws stepfunctions start-execution --state-machine-arn $STATE_MACHINE_ARN --input '{"symbol":"AMZN","qty":5}'`, "by TestCommandLine"},
	{"go run ./desk", "by TestCommandLine"},
	// docs/make-it-yours.md
	{"go test ./test -update", "by TestRecipes"},
	{"git diff test docs desk", "shows what that has changed"},
	{"go run ./local --decision approve", "by TestRecipes"},
	{"go run ./local -c costCenter=research --decision approve", "by TestRecipes"},
	{"npx cdk deploy --profile test -c approval=automatic", account},
	{"npx cdk deploy --profile production -c approverEmail=desk@example.com -c approvalTimeout=8h", account},
	// docs/real-market.md
	{"go run ./local -c market=alpaca", answers},
	{"export APCA_API_KEY_ID=... APCA_API_SECRET_KEY=...", account},
	{"go run ./local -c market=alpaca --paper", account},
	{"aws secretsmanager create-secret --name alpaca-paper --secret-string file://alpaca.json --query ARN --output text", account},
	{"npx cdk deploy -c market=alpaca -c marketSecret=ARN", account},
}

// blocks returns the code blocks of a language in a Markdown file.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	return found
}

// root returns the project's folder, every file of which is tried here.
func root(t *testing.T) string {
	t.Helper()
	return localtest.Look(t, "app.go", "cdk.json", "go.mod", "go.sum", "package.json", "package-lock.json", "README.md",
		"desk", "docs", "lambdas", "local", "stacks")
}

var comment = regexp.MustCompile(`\s+#.*$`)

// Every command that the README or a page of docs shows is one of those above.
func TestCommands(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root(t), "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("docs has no pages: %v", err)
	}
	var shown, known []string
	for _, page := range append([]string{filepath.Join(root(t), "README.md")}, pages...) {
		for _, block := range blocks(t, page, "sh") {
			for line := range strings.Lines(block) {
				if line = comment.ReplaceAllString(strings.TrimSpace(line), ""); line != "" && !slices.Contains(shown, line) {
					shown = append(shown, line)
				}
			}
		}
	}
	for _, c := range commands {
		known = append(known, c.line)
	}
	if diff := cmp.Diff(known, shown); diff != "" {
		t.Errorf("the commands of the README and docs (-known to this test +shown):\n%s", diff)
	}
	for _, c := range commands {
		switch c.how {
		case runs:
			t.Run(c.line, func(t *testing.T) { succeed(t, root(t), nil, c.line) })
		case answers:
			t.Run(c.line, func(t *testing.T) { succeed(t, root(t), nil, c.line+" --decision approve") })
		case keepsUp:
			t.Run(c.line, func(t *testing.T) { serve(t, c.line) })
		}
	}
}

// The commands for another terminal work on the system that the one before them keeps up.
func TestCommandLine(t *testing.T) {
	var script string
	for _, block := range blocks(t, filepath.Join(root(t), "docs", "local-run.md"), "sh") {
		if strings.Contains(block, "export AWS_ENDPOINT_URL") {
			script = block
		}
	}
	script = strings.ReplaceAll(script, "8080", serve(t, "go run ./local --serve --port 8080"))
	if _, err := exec.LookPath("aws"); err != nil {
		t.Log("the AWS CLI is not installed: nothing is started with it")
		script = regexp.MustCompile(`(?m)^.*\baws .*$`).ReplaceAllString(script, "")
	}
	out := succeed(t, root(t), nil, "set -e\n"+script)
	if strings.Contains(script, "aws ") && !strings.Contains(out, "executionArn") {
		t.Errorf("nothing was started:\n%s", out)
	}
	if !strings.Contains(out, "Nothing waits") && !strings.Contains(out, "AMZN") {
		t.Errorf("the desk lists nothing:\n%s", out)
	}
}

// copyProject brings a copy of the project up to date, without what was built. It stays for the next run of the test, in
// which go then finds most of it compiled.
const copyProject = `set -e
to=.build/test/recipe
mkdir -p $to
find $to -mindepth 1 -maxdepth 1 ! -name .build -exec rm -rf {} +
for file in $(ls -A); do
	case $file in
	.git | .build | cdk.out) ;;
	node_modules) ln -s "$PWD/$file" $to ;;
	*) cp -R "$file" $to ;;
	esac
done`

var everyTest = flag.Bool("every-test", false, "after the recipes run a trade and every test but this package's, as .ci/run does; it takes minutes")

// Whoever follows the recipes of docs/make-it-yours.md to the letter ends with a system that
// does what they say, and with green tests: those of the template, and with -every-test all.
// Each patch can be applied by itself; here all are in one copy. One that the project itself
// has followed already is left out.
func TestRecipes(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	patches := blocks(t, filepath.Join(root(t), "docs", "make-it-yours.md"), "diff")
	if len(patches) == 0 {
		t.Fatal("docs/make-it-yours.md has no patches: remove this test with the last of them")
	}
	succeed(t, root(t), nil, copyProject)
	project := filepath.Join(root(t), ".build", "test", "recipe")
	env := []string{"GIT_CEILING_DIRECTORIES=" + filepath.Dir(project), "CDK_VALIDATION=false"}
	for i, patch := range patches {
		patches[i] = "git apply --check --reverse - 2>/dev/null <<'PATCH' || git apply $1 - <<'PATCH'\n" + patch + "PATCH\n" + patch + "PATCH\n"
		succeed(t, project, env, "set -- --check\n"+patches[i])
	}
	for _, patch := range patches {
		succeed(t, project, env, patch)
	}
	if !*everyTest {
		// What go build and go test do, without linking: no program, and the test only when it has changed.
		succeed(t, project, env, "go vet ./desk ./lambdas/... ./local/run ./test && go test -c -o .build/ ./test")
		succeed(t, filepath.Join(project, "test"), env, "../.build/test.test -update")
		return
	}
	succeed(t, project, env, "go test ./test -update")
	succeed(t, project, env, "go test $(go list ./... | grep -v test/readme)")
	if out := succeed(t, project, env, "go run ./local -c costCenter=research --decision approve"); !strings.Contains(out, "✓ Check Limit") || !strings.Contains(out, "Execution succeeded") {
		t.Errorf("the new state did not run:\n%s", out)
	}
}

// The README's table has every configuration key.
func TestConfigurationKeys(t *testing.T) {
	text := readme(t)
	for _, key := range config.Keys() {
		if !strings.Contains(text, "\n| `"+key+"` |") {
			t.Errorf("the README's table of the configuration lacks %s", key)
		}
	}
}

// Each message that the README quotes under Troubleshooting is one that the code gives. What
// differs from case to case, a number or …, is a verb of a format there.
func TestTroubleshooting(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{"cdk.json", "desk", "lambdas", "local", "stacks"} {
		err := filepath.WalkDir(filepath.Join(root(t), dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, section, _ := strings.Cut(readme(t), "\n## Troubleshooting\n")
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := 0
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(section, -1) {
		for _, message := range regexp.MustCompile("`(.+?)`").FindAllStringSubmatch(row[1], -1) {
			quoted++
			format := regexp.MustCompile(`…|\d+`).ReplaceAllString(regexp.QuoteMeta(message[1]), `%[sdqv]`)
			if !regexp.MustCompile(format).MatchString(source.String()) {
				t.Errorf("no message is %s", message[1])
			}
		}
	}
	if quoted == 0 {
		t.Error("the README quotes no message")
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// succeed runs commands of a shell and returns what they wrote.
func succeed(t *testing.T, dir string, env []string, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

var (
	portFlag = regexp.MustCompile(`--port \d+`)
	address  = regexp.MustCompile(`http://127\.0\.0\.1:(\d+)`)
)

// serve runs a command in the background until the test ends. It is ready as soon as it
// tells an address, whose port it returns: a free one, since the one that the command names
// may be taken.
func serve(t *testing.T, command string) (port string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+portFlag.ReplaceAllString(command, "--port 0"))
	cmd.Dir = root(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as in a terminal, Ctrl-C reaches all that was started
	var output localtest.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("%s does not end by an interrupt:\n%s", command, &output)
		}
	})
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if found := address.FindStringSubmatch(output.String()); found != nil {
			return found[1]
		}
		select {
		case <-ended:
			t.Fatalf("%s has ended:\n%s", command, &output)
		default:
		}
	}
	t.Fatalf("%s does not come up:\n%s", command, &output)
	return ""
}
