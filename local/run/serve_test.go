package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/lambdas/build"
	"stocktrading/local/localtest"
	"stocktrading/local/setup"
	"stocktrading/local/system"
	"stocktrading/stacks/config"
)

// served is a local system kept up by --serve, as another process would find it.
type served struct {
	endpoint, machine string
	session           string // empty where the endpoint asks for none
	client            *sfn.Client
	output            *localtest.Buffer
}

var upAt = regexp.MustCompile(`(?s)The system is up at (\S+)\..*-state-machine (arn:\S+)`)

var tokenOf = regexp.MustCompile(`AWS_SESSION_TOKEN=(\S+)`)

func startServe(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{output: &localtest.Buffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	stdin := devNull(t)
	go func() { ended <- run(ctx, append([]string{"--serve", "--logs"}, args...), stdin, s.output, s.output) }()
	t.Cleanup(func() {
		cancel()
		if status := <-ended; status != exitSucceeded {
			t.Errorf("--serve ended with status %d:\n%s", status, s.output)
		}
	})
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if up := upAt.FindStringSubmatch(s.output.String()); up != nil {
			s.endpoint, s.machine = up[1], up[2]
			if token := tokenOf.FindStringSubmatch(up[0]); token != nil {
				s.session = token[1]
			}
			break
		}
		if time.Now().After(deadline) || len(ended) > 0 {
			t.Fatalf("--serve does not come up:\n%s", s.output)
		}
	}
	s.client = sfn.New(sfn.Options{
		Region: system.Region, BaseEndpoint: aws.String(s.endpoint), Credentials: credentials.NewStaticCredentialsProvider("developer", "local", s.session),
	})
	return s
}

func devNull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestMain(m *testing.M) {
	prepare = localtest.PrepareProject
	m.Run()
}

var buildDesk = sync.OnceValues(func() (exe string, err error) { return goBuild("desk") })

// goBuild builds a command, into a folder in which go finds it up to date the next time.
func goBuild(name string) (exe string, err error) {
	root, err := setup.Root()
	if err != nil {
		return "", err
	}
	exe = filepath.Join(root, ".build", "test", name+".exe")
	defer build.KeepTimes(exe)()
	cmd := exec.Command("go", "build", "-o", exe, "./"+name)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return exe, nil
}

// environment is all that the desk and the AWS CLI get: nothing of this machine's own AWS configuration.
func (s *served) environment(t *testing.T, accessKey string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL=" + s.endpoint, "AWS_REGION=" + system.Region, "AWS_DEFAULT_REGION=" + system.Region,
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=local", "AWS_SESSION_TOKEN=" + s.session, "STATE_MACHINE_ARN=" + s.machine,
	}
}

// runDesk runs the desk as a process of its own, by an approver.
func (s *served) runDesk(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return s.runDeskAs(t, system.Approver, args...)
}

func (s *served) runDeskAs(t *testing.T, accessKey string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	localtest.Look(t, "desk")
	desk, err := buildDesk()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), desk, args...)
	cmd.Env = s.environment(t, accessKey)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

type listed struct {
	Execution, Symbol, Recommendation string
	Qty                               int
}

// list is what waits, by the desk.
func (s *served) list(t *testing.T) (waits []listed) {
	t.Helper()
	stdout, stderr, status := s.runDesk(t, "--json")
	if status != 0 {
		t.Fatalf("desk --json: status %d: %s", status, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &waits); err != nil {
		t.Fatalf("desk --json: %v: %s", err, stdout)
	}
	return waits
}

// startWaiting starts executions and returns when all of them wait.
func (s *served) startWaiting(t *testing.T, n int) []listed {
	t.Helper()
	var started []string
	for range n {
		out, err := s.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &s.machine, Input: aws.String(`{"symbol":"AMZN","qty":5}`)})
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, *out.ExecutionArn)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		waits := slices.DeleteFunc(s.list(t), func(w listed) bool { return !slices.Contains(started, w.Execution) })
		if len(waits) == n {
			return waits
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d executions wait", len(waits), n)
		}
	}
}

// end waits for the end of an execution and returns its status and report.
func (s *served) end(t *testing.T, arn string) (types.ExecutionStatus, string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		x, err := s.client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		if err != nil {
			t.Fatal(err)
		}
		if x.Status != types.ExecutionStatusRunning {
			return x.Status, s.report(t, arn)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not end", arn)
		}
	}
}

// report is the message that the execution published.
func (s *served) report(t *testing.T, arn string) string {
	t.Helper()
	h, err := s.client.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, ReverseOrder: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Events {
		if d := e.TaskScheduledEventDetails; d != nil && aws.ToString(d.Resource) == "publish" {
			return aws.ToString(d.Parameters)
		}
	}
	t.Fatalf("%s has published nothing", arn)
	return ""
}

// token is the task token of an execution's wait.
func (s *served) token(t *testing.T, arn string) string {
	t.Helper()
	h, err := s.client.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Events {
		if d := e.TaskScheduledEventDetails; d != nil {
			var p struct{ MessageBody struct{ TaskToken string } }
			if json.Unmarshal([]byte(aws.ToString(d.Parameters)), &p) == nil && p.MessageBody.TaskToken != "" {
				return p.MessageBody.TaskToken
			}
		}
	}
	t.Fatalf("%s has no token", arn)
	return ""
}

func TestDeskAgainstServe(t *testing.T) {
	s := startServe(t)
	var everything strings.Builder // that the desk wrote
	var tokens []string
	desk := func(t *testing.T, args ...string) (string, int) {
		stdout, stderr, status := s.runDesk(t, args...)
		everything.WriteString(stdout + stderr)
		return stdout + stderr, status
	}

	if out, status := desk(t); status != 0 || !strings.Contains(out, "Nothing waits") {
		t.Fatalf("an empty list: status %d: %s", status, out)
	}
	var buys, sells []listed
	for len(buys) < 3 || len(sells) < 3 {
		for _, w := range s.startWaiting(t, 4) {
			tokens = append(tokens, s.token(t, w.Execution))
			if w.Symbol != "AMZN" || w.Qty != 5 {
				t.Fatalf("listed as %+v", w)
			}
			if w.Recommendation == "buy" {
				buys = append(buys, w)
			} else {
				sells = append(sells, w)
			}
		}
	}
	if out, status := desk(t); status != 0 || strings.Count(out, "AMZN") != len(buys)+len(sells) {
		t.Errorf("the list: status %d: %s", status, out)
	}

	for _, test := range []struct {
		name, execution string
		args            []string
		wantReport      []string
	}{
		{"approve", buys[0].Execution, []string{"approve"}, []string{`"outcome":"traded"`, `"type":"buy"`}},
		{"buy instead", sells[0].Execution, []string{"buy", "--reason", "it will rise"}, []string{`"outcome":"traded"`, `"type":"buy"`}},
		{"sell instead", buys[1].Execution, []string{"sell"}, []string{`"outcome":"traded"`, `"type":"sell"`}},
		{"decline", sells[1].Execution, []string{"decline", "--reason", "too dear"}, []string{`"outcome":"declined"`, "too dear", "user/approver"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, status := desk(t, append(test.args, test.execution)...)
			if status != 0 || !strings.Contains(out, " by approver at ") {
				t.Fatalf("status %d: %s", status, out)
			}
			ended, report := s.end(t, test.execution)
			if ended != types.ExecutionStatusSucceeded {
				t.Errorf("the execution ended %s", ended)
			}
			for _, want := range test.wantReport {
				if !strings.Contains(report, want) {
					t.Errorf("the report %s lacks %s", report, want)
				}
			}
			if out, status := desk(t, "approve", test.execution); status != 3 {
				t.Errorf("a late answer: status %d, want 3: %s", status, out)
			}
		})
	}

	t.Run("check", func(t *testing.T) {
		stdout, stderr, status := s.runDeskAs(t, "developer", "check")
		if status != 0 || strings.Count(stdout, "✓ ") != 9 || strings.Contains(stdout, "✗") {
			t.Errorf("by somebody who may start executions: status %d:\n%s%s", status, stdout, stderr)
		}
		everything.WriteString(stdout)
		execution := s.machine[:strings.Index(s.machine, "stateMachine:")] + "execution:" + s.machine[strings.LastIndex(s.machine, ":")+1:] + ":" + regexp.MustCompile(`desk-check-\S+[^.\s]`).FindString(stdout)
		tokens = append(tokens, s.token(t, execution))
		if out, status := desk(t, "check"); status != 1 || !strings.Contains(out, "you may not call states:StartExecution") {
			t.Errorf("by an approver: status %d: %s", status, out)
		}
	})

	t.Run("two answers at once", func(t *testing.T) {
		execution := buys[2].Execution
		statuses, outputs := make([]int, 2), make([]string, 2)
		var both sync.WaitGroup
		for i, answer := range []string{"approve", "decline"} {
			both.Go(func() {
				stdout, stderr, status := s.runDesk(t, answer, execution)
				outputs[i], statuses[i] = stdout+stderr, status
			})
		}
		both.Wait()
		everything.WriteString(outputs[0] + outputs[1])
		if slices.Sort(statuses); !slices.Equal(statuses, []int{0, 3}) {
			t.Errorf("statuses %v, want one 0 and one 3:\n%s", statuses, strings.Join(outputs, "\n"))
		}
	})

	t.Run("no token comes out", func(t *testing.T) {
		if len(tokens) == 0 {
			t.Fatal("there was none")
		}
		for _, token := range tokens {
			if strings.Contains(s.output.String(), token) || strings.Contains(everything.String(), token) {
				t.Fatal("a token stands in what was written")
			}
		}
		for _, want := range []string{"notice published", "A trade waits for your decision", "Stock trade: traded"} {
			if !strings.Contains(s.output.String(), want) {
				t.Errorf("the output searched for tokens lacks %q:\n%s", want, s.output)
			}
		}
	})

	t.Run("AWS CLI", func(t *testing.T) { s.testCLI(t) })
}

// testCLI uses the endpoint as docs/local-run.md shows it.
func (s *served) testCLI(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the AWS CLI is not installed")
	}
	cli := func(operation string, args ...string) map[string]any {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", append([]string{"stepfunctions", operation, "--output", "json"}, args...)...)
		cmd.Env = s.environment(t, "developer")
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("aws %v: %s", cmd.Args, exit.Stderr)
		} else if err != nil {
			t.Fatal(err)
		}
		var answer map[string]any
		if len(bytes.TrimSpace(out)) > 0 {
			if err := json.Unmarshal(out, &answer); err != nil {
				t.Fatalf("aws %v: %v: %s", cmd.Args, err, out)
			}
		}
		return answer
	}
	started := cli("start-execution", "--state-machine-arn", s.machine, "--input", `{"symbol":"AMZN","qty":5}`)
	execution := fmt.Sprint(started["executionArn"])
	for deadline := time.Now().Add(20 * time.Second); !slices.ContainsFunc(s.list(t), func(w listed) bool { return w.Execution == execution }); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not wait", execution)
		}
	}
	running := cli("list-executions", "--state-machine-arn", s.machine, "--status-filter", "RUNNING")
	if !strings.Contains(fmt.Sprint(running), execution) {
		t.Errorf("list-executions lacks %s: %v", execution, running)
	}
	if events := cli("get-execution-history", "--execution-arn", execution)["events"].([]any); len(events) < 10 {
		t.Errorf("get-execution-history has %d events", len(events))
	}
	cli("send-task-success", "--task-token", s.token(t, execution), "--task-output", "{}")
	s.end(t, execution)
	if status := cli("describe-execution", "--execution-arn", execution)["status"]; status != "SUCCEEDED" {
		t.Errorf("describe-execution has status %v", status)
	}

	declined := s.startWaiting(t, 1)[0].Execution
	cli("send-task-failure", "--task-token", s.token(t, declined), "--error", "TradeDeclined", "--cause", "no")
	if _, report := s.end(t, declined); !strings.Contains(report, `"outcome":"declined"`) {
		t.Errorf("the report is %s", report)
	}
}

func TestServePage(t *testing.T) {
	wantText(t, startServe(t, "--web").openPage(t), "Nothing waits for a decision.", "local run")
}

func wantText(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

// openPage opens the address that is printed, and returns the page.
func (s *served) openPage(t *testing.T) string {
	t.Helper()
	opened := regexp.MustCompile(`this address works once: (http://127\.0\.0\.1:\S+)`)
	var address []string
	for deadline := time.Now().Add(20 * time.Second); address == nil && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		address = opened.FindStringSubmatch(s.output.String())
	}
	if address == nil {
		t.Fatalf("no address is printed:\n%s", s.output)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := (&http.Client{Jar: jar}).Get(address[1])
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	page, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// Where somebody's paper account is traded with, the endpoint serves whoever has the run's
// token, which the printed commands carry, and nobody else on the machine. (Nothing is asked
// of Alpaca before an execution is started.)
func TestServePaperAsksForAToken(t *testing.T) {
	t.Setenv(keyIDVariable, "nobody's")
	t.Setenv(secretKeyVariable, "nobody's")
	s := startServe(t, "-c", "market=alpaca", "--paper", "--web")
	if n := strings.Count(s.output.String(), " AWS_SESSION_TOKEN="+s.session+" "); s.session == "" || n != 2 {
		t.Errorf("%d of the printed commands have the token, want 2:\n%s", n, s.output)
	}
	if stdout, stderr, status := s.runDesk(t); status != 0 || !strings.Contains(stdout, "Nothing waits") {
		t.Errorf("with the token: status %d: %s%s", status, stdout, stderr)
	}
	wantText(t, s.openPage(t), "Nothing waits for a decision.")
	stranger := *s
	for _, stranger.session = range []string{"", "another"} {
		if stdout, stderr, status := stranger.runDesk(t); status != 1 || !strings.Contains(stderr, "UnrecognizedClientException") {
			t.Errorf("with the token %q: status %d: %s%s", stranger.session, status, stdout, stderr)
		}
	}
}

func TestDeskAgainstExpiredWait(t *testing.T) {
	s := startServe(t, "-c", "approvalTimeout=2s")
	w := s.startWaiting(t, 1)[0]
	status, report := s.end(t, w.Execution)
	if status != types.ExecutionStatusSucceeded || !strings.Contains(report, `"outcome":"expired"`) {
		t.Errorf("status %s, report %s", status, report)
	}
	if stdout, stderr, status := s.runDesk(t, "approve", w.Execution); status != 3 {
		t.Errorf("a late answer: status %d, want 3: %s%s", status, stdout, stderr)
	}
}

func TestRun(t *testing.T) {
	t.Setenv(keyIDVariable, "") // a test must not use a person's own keys
	t.Setenv(secretKeyVariable, "")
	for _, test := range []struct {
		name       string
		args       []string
		wantStatus int
		wantOutput string
	}{
		{"approve", []string{"--decision", "approve", "--input", `{"symbol":"AMZN"}`}, exitSucceeded, "Execution succeeded"},
		{"decline", []string{"--decision", "decline", "--reason", "no"}, exitSucceeded, `"outcome": "declined"`},
		{"automatic", []string{"-c", "approval=automatic"}, exitSucceeded, "every recommendation is traded and no one is asked"},
		{"failed", []string{"--decision", "approve", "--input", `{"qty":0}`}, exitFailed, "qty is 0, want a whole number from 1 to 1000"},
		{"nobody to ask", nil, exitUsage, "nobody to ask"},
		{"no JSON", []string{"--input", "{"}, exitUsage, `--input "{" is not JSON`},
		{"unknown decision", []string{"--decision", "maybe"}, exitUsage, `--decision is "maybe", want approve, buy, sell or decline`},
		{"decision with automatic", []string{"--decision", "approve", "-c", "approval=automatic"}, exitUsage, "nothing to decide"},
		{"decision with serve", []string{"--decision", "approve", "--serve"}, exitUsage, "decide at the desk"},
		{"reason too long", []string{"--decision", "decline", "--reason", strings.Repeat("x", 1001)}, exitUsage, "the reason has 1001 characters"},
		{"unknown key", []string{"-c", "aproval=human"}, exitUsage, "approval, approverEmail, approvalTimeout"},
		{"unknown value", []string{"-c", "approvalTimeout=soon"}, exitUsage, `context key approvalTimeout is "soon"`},
		{"mistyped flag", []string{"--decison", "approve"}, exitUsage, `unknown flag --decison, did you mean "--decision"?`},
		{"one dash", []string{"-decision", "approve"}, exitUsage, "-decision is not a flag: the names of flags begin with two dashes"},
		{"no key", []string{"-c", "approval"}, exitUsage, `expected "<key>=<value>"`},
		{"argument", []string{"x"}, exitUsage, `unexpected argument x`},
		{"paper without keys", []string{"--decision", "approve", "-c", "market=alpaca", "--paper"}, exitUsage, "set APCA_API_KEY_ID and APCA_API_SECRET_KEY"},
		{"live", []string{"--decision", "approve", "-c", "market=alpaca", "-c", "marketMode=live"}, exitUsage, "the local run never trades with real money"},
		{"live, and nobody asked", []string{"-c", "market=alpaca", "-c", "marketMode=live", "-c", "approval=automatic"}, exitUsage, "does not go with approval=automatic"},
		{"a mode of no market", []string{"--decision", "approve", "-c", "marketMode=paper"}, exitUsage, "goes with market=alpaca only"},
		{"paper of no market", []string{"--decision", "approve", "--paper"}, exitUsage, "--paper goes with"},
		{"at a broker", []string{"--decision", "buy", "-c", "market=alpaca"}, exitSucceeded, `"outcome": "traded"`},
		{"port out of range", []string{"--serve", "--port", "70000"}, exitUsage, "--port is 70000"},
		{"help", []string{"-h"}, exitSucceeded, "Usage: go run ./local"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out localtest.Buffer
			if status := run(t.Context(), test.args, devNull(t), &out, &out); status != test.wantStatus {
				t.Errorf("status %d, want %d:\n%s", status, test.wantStatus, &out)
			}
			if !strings.Contains(out.String(), test.wantOutput) {
				t.Errorf("output lacks %q:\n%s", test.wantOutput, &out)
			}
		})
	}
}

// starting starts a system whose executions are printed.
func starting(t *testing.T, context map[string]any, deny func(holder, action, resource string) bool) (*system.System, *printer, *localtest.Buffer) {
	t.Helper()
	c, out := localtest.Prepare(t, context), &localtest.Buffer{}
	p := newPrinter(out)
	c.OnEvent, c.OnNotification, c.Deny = p.event, p.notification, deny
	s, err := system.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, p, out
}

// A decision of the command line that can't be sent ends the run: nobody is there to give another.
func TestDecisionRefused(t *testing.T) {
	s, p, out := starting(t, nil, func(_, action, _ string) bool { return action == "states:SendTaskSuccess" })
	o := options{config: config.Default(), flags: flags{Input: "{}", Decision: "approve"}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := o.trade(ctx, s, p, devNull(t), out); err == nil || !strings.Contains(err.Error(), "you may not call states:SendTaskSuccess") {
		t.Errorf("got error %v:\n%s", err, out)
	}
}

// A person who is asked sees the trade once, and what follows from an answer after it.
func TestTrade(t *testing.T) {
	for _, test := range []struct{ name, timeout, typed, want string }{
		{"an answer", "24h", "decline\ntoo dear\ny\n", `(?s)Type y to send it, or Enter to go back: Declined by approver at [0-9:]+ UTC: too dear\. Nothing was traded\.\n(! TradeDeclined .*)Execution succeeded after `},
		{"leaving", "24h", "q\n", `or \[q\]uit\? Nothing was decided and nothing was traded\. The run ends here, and the execution with it\.\n$`},
		{"no more input", "24h", "", `or \[q\]uit\? \nNothing was decided `},
		{"no answer in time", "5s", "", `(?s)or \[q\]uit\? \n! States\.Timeout .*Execution succeeded after `},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, p, out := starting(t, map[string]any{"approvalTimeout": test.timeout}, nil)
			p.asks = true
			var stdin io.Reader = strings.NewReader(test.typed)
			if test.timeout == "5s" {
				open, writer := io.Pipe()
				defer writer.Close()
				stdin = open
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := options{config: config.Default(), flags: flags{Input: `{"symbol":"AMZN"}`}}.trade(ctx, s, p, stdin, out)
			text := out.String()
			if err != nil || !regexp.MustCompile(test.want).MatchString(text) {
				t.Errorf("got error %v, want %s in\n%s", err, test.want, text)
			}
			if n := strings.Count(text, "simulated, nothing real is traded"); n != 1 {
				t.Errorf("the trade is shown %d times:\n%s", n, text)
			}
		})
	}
}

func TestToolMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	prepare = system.Prepare
	defer func() { prepare = localtest.PrepareProject }()
	var out localtest.Buffer
	status := run(t.Context(), []string{"--decision", "approve"}, devNull(t), &out, &out)
	if want := "install Node.js 22 or later from https://nodejs.org"; status != exitUsage || !strings.Contains(out.String(), want) {
		t.Errorf("status %d, want %d with %q:\n%s", status, exitUsage, want, &out)
	}
}

func TestPortTaken(t *testing.T) {
	s := startServe(t)
	port := s.endpoint[strings.LastIndex(s.endpoint, ":")+1:]
	var out localtest.Buffer
	status := run(t.Context(), []string{"--serve", "--port", port}, devNull(t), &out, &out)
	if want := "port " + port + " is in use, choose another with --port"; status != exitFailed || !strings.Contains(out.String(), want) {
		t.Errorf("status %d, want %d with %q:\n%s", status, exitFailed, want, &out)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out localtest.Buffer
	ended := make(chan int, 1)
	stdin := devNull(t)
	go func() { ended <- run(ctx, []string{"--serve"}, stdin, &out, &out) }()
	cancel() // most likely while something is being built
	if status := <-ended; status != exitInterrupted && status != exitSucceeded {
		t.Errorf("status %d:\n%s", status, &out)
	}
}

// Ctrl-C ends a start in which Node hangs, and a second one an end that takes long.
func TestCtrlC(t *testing.T) {
	localtest.Look(t, "local", "desk")
	exe, err := goBuild("local")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, bridge, shows string
		signals, status     int
	}{
		{"while Node hangs at the start", "exec sleep 60", "hangs", 1, exitInterrupted},
		{"twice while Node hangs at the end", `"$NODE" "$@"; exec sleep 20`, "The system is up", 2, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			script := "#!/bin/sh\ncase $1 in *bridge.mjs) trap '' INT; echo hangs >\"$SAID\"; " + test.bridge + ";; *) exec \"$NODE\" \"$@\";; esac\n"
			if err := os.WriteFile(filepath.Join(dir, "node"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			said := filepath.Join(dir, "said")
			var out localtest.Buffer
			cmd := exec.Command(exe, "--serve")
			cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"), "NODE="+node, "SAID="+said)
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				text, _ := os.ReadFile(said)
				if strings.Contains(out.String()+string(text), test.shows) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("it does not come so far:\n%s", &out)
				}
			}
			began := time.Now()
			for range test.signals {
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				time.Sleep(200 * time.Millisecond)
			}
			cmd.Wait()
			if took := time.Since(began); cmd.ProcessState.ExitCode() != test.status || took > 5*time.Second {
				t.Errorf("status %d after %v, want %d at once:\n%s", cmd.ProcessState.ExitCode(), took, test.status, &out)
			}
		})
	}
}
