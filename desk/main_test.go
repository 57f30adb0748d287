package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
	"stocktrading/desk/terminal"
)

const (
	token = "AAAA+hush/hush=="
	me    = "arn:aws:sts::123456789012:assumed-role/Approver/jo"
)

// person is who runs the command, and where.
type person struct {
	in        string
	terminals string // which of the streams are terminals: "in", "out", "err"
	env       map[string]string
	ctx       context.Context
}

// runs runs the command and returns what it said.
func (p person) runs(t *testing.T, s *sfntest.Service, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	var in io.Reader = strings.NewReader(p.in)
	if p.in == "wait" {
		waiting, close := io.Pipe()
		defer close.Close()
		in = waiting
	}
	ctx := t.Context()
	if p.ctx != nil {
		ctx = p.ctx
	}
	status = run(ctx, args, environment{
		stdin: in, stdout: &out, stderr: &errs,
		getenv: func(name string) string {
			if value, ok := p.env[name]; ok || p.env != nil {
				return value
			}
			return map[string]string{"STATE_MACHINE_ARN": sfntest.Machine}[name]
		},
		isTerminal: func(stream any) bool {
			name := map[any]string{in: "in", &out: "out", &errs: "err"}[stream]
			return name != "" && strings.Contains(p.terminals, name)
		},
		connect: func(_ context.Context, region string) (decision.Client, func(context.Context) (string, error), error) {
			if region != "eu-west-1" {
				return nil, nil, fmt.Errorf("connected to region %q", region)
			}
			return s, func(context.Context) (string, error) { return me, nil }, nil
		},
	})
	if strings.Contains(out.String()+errs.String(), "hush") {
		t.Errorf("the token is in the output:\n%s%s", &out, &errs)
	}
	return status, out.String(), errs.String()
}

// waiting returns an API with one request that is a minute old.
func waiting() *sfntest.Service {
	s := &sfntest.Service{}
	at := time.Now().Add(-time.Minute)
	s.Start("order-1", at).Ask(at, token, sfntest.Quote("AMZN", 62, 5, "sell"))
	return s
}

const shown = `  Recommended  sell 5 AMZN, $310 in all
  Price        $62
  Quoted       0s ago, at 2026-01-02 03:04 UTC
  Market       simulated, nothing real is traded
  Waiting      1m, since 1999-12-31 23:59 UTC
  Left         59m, until 00:59 UTC
  Execution    order-1
`

func TestRun(t *testing.T) {
	const (
		table     = "MARKET     SYMBOL  PRICE  QTY  TOTAL  RECOMMENDED  WAITING  LEFT  EXECUTION\nsimulated  AMZN      $62    5   $310  sell         1m       59m   order-1\n\n"
		sells     = "\nSell 5 AMZN at $62, $310 in all, as recommended.\n"
		buys      = "\nBuy 5 AMZN at $62, $310 in all, against the recommendation to sell.\n"
		declines  = "\nDecline to sell 5 AMZN at $62, $310 in all; nothing is traded.\n"
		approved  = "Approved by jo at 00:00 UTC.\n"
		bought    = "Changed to buy by jo at 00:00 UTC. It buys now.\n"
		declined  = "Declined by jo at 00:00 UTC: too expensive. Nothing was traded.\n"
		question  = "\n[a]pprove to sell, [b]uy instead, [d]ecline, or [q]uit and decide later? "
		you       = "You decide as jo.\n"
		why       = "Why (Enter for no reason)? "
		sure      = "Type y to send it, or Enter to go back: "
		help      = `; "go run ./desk --help" shows what can be` + "\n"
		elsewhere = "arn:aws:states:us-east-1:123456789012:stateMachine:StockTrading"
	)
	both := person{terminals: "in out"}
	for _, test := range []struct {
		name   string
		who    person
		args   []string
		status int
		stdout string
		stderr string
		sent   string // the calls that were made to send
	}{
		{name: "list", stdout: table + "To decide: go run ./desk NAME\n"},
		{name: "list of a named state machine", who: person{env: map[string]string{}}, args: []string{"--state-machine", sfntest.Machine}, stdout: table + "To decide: go run ./desk --state-machine " + sfntest.Machine + " NAME\n"},

		{name: "approve", args: []string{"approve", "order-1"}, stdout: shown + sells + approved, sent: "SendTaskSuccess"},
		{name: "approve by ARN, without a state machine", who: person{env: map[string]string{}}, args: []string{"approve", sfntest.Arn("order-1")}, stdout: shown + sells + approved, sent: "SendTaskSuccess"},
		{name: "approve by ARN, whatever the environment names", who: person{env: map[string]string{"STATE_MACHINE_ARN": elsewhere}}, args: []string{"approve", sfntest.Arn("order-1")}, stdout: shown + sells + approved, sent: "SendTaskSuccess"},
		{name: "sell as recommended", args: []string{"sell", "order-1"}, stdout: shown + sells + approved, sent: "SendTaskSuccess"},
		{name: "buy instead", args: []string{"buy", "order-1"}, stdout: shown + buys + bought, sent: "SendTaskFailure"},
		{name: "decline, flags last", args: []string{"decline", "order-1", "--reason", "too expensive"}, stdout: shown + declines + declined, sent: "SendTaskFailure"},
		{name: "decline, flags between", args: []string{"decline", "--reason=too expensive", "order-1", "--state-machine", sfntest.Machine}, stdout: shown + declines + declined, sent: "SendTaskFailure"},
		{name: "decline, flags first", args: []string{"--state-machine", sfntest.Machine, "decline", "--reason", "too expensive", "--", "order-1"}, stdout: shown + declines + declined, sent: "SendTaskFailure"},

		{name: "ask", who: person{terminals: "in out", in: "a\n\ny\n"}, args: []string{"order-1"}, stdout: you + shown + question + sells + why + sure + approved, sent: "SendTaskSuccess"},
		{name: "ask and quit", who: person{terminals: "in out", in: "q\n"}, args: []string{"order-1"}, stdout: you + shown + question + "Nothing was sent. order-1 still waits.\n"},
		{name: "ask and end", who: both, args: []string{"order-1"}, stdout: you + shown + question + "\nNothing was sent. order-1 still waits.\n"},
		{
			name: "ask without a terminal to read from", who: person{terminals: "out err", in: "a\n"}, args: []string{"order-1"}, status: 2,
			stdout: shown + "\nTo decide, run one of these:\n\n  go run ./desk approve 'order-1'\n  go run ./desk buy 'order-1'\n  go run ./desk sell 'order-1'\n  go run ./desk decline 'order-1'\n",
			stderr: "desk: there is no terminal to ask at" + help,
		},
		{
			name: "ask without a terminal to write to", who: person{terminals: "in err", in: "a\n"}, args: []string{"order-1", "--state-machine", sfntest.Machine}, status: 2,
			stdout: shown + strings.ReplaceAll("\nTo decide, run one of these:\n\n  M approve 'order-1'\n  M buy 'order-1'\n  M sell 'order-1'\n  M decline 'order-1'\n", "M", "go run ./desk --state-machine "+sfntest.Machine),
			stderr: "desk: there is no terminal to ask at" + help,
		},

		{name: "unknown execution", args: []string{"approve", "order-2"}, status: 1, stderr: "desk: there is no execution " + sfntest.Arn("order-2") + `: "go run ./desk" lists what waits` + "\n"},
		{name: "too late", args: []string{"approve", "over"}, status: 3, stderr: "desk: too late, nothing was sent for over: expired at 00:00 UTC; nothing was traded\n"},
		{name: "too early", args: []string{"approve", "busy"}, status: 3, stderr: "desk: busy does not wait for a decision yet, it is at Check Stock Price: try again in a moment\n"},
		{name: "another region", args: []string{"--state-machine", elsewhere}, status: 1, stderr: "desk: connected to region \"us-east-1\"\n"},

		{name: "no state machine", who: person{env: map[string]string{}}, args: []string{"order-1"}, status: 2, stderr: "desk: which state machine? Set STATE_MACHINE_ARN or use --state-machine: it is the stack's output StateMachineArn" + help},
		{name: "malformed state machine", args: []string{"--state-machine", "x"}, status: 2, stderr: "desk: 'x' is not the ARN of a state machine or an execution: it looks like arn:aws:states:REGION:ACCOUNT:stateMachine:NAME, and the stack's output StateMachineArn is one\n"},
		{name: "state machine of another execution", args: []string{"--state-machine", strings.Replace(sfntest.Machine, "Trading", "Taking", 1), "approve", sfntest.Arn("order-1")}, status: 2, stderr: "desk: " + sfntest.Arn("order-1") + " is not an execution of " + strings.Replace(sfntest.Machine, "Trading", "Taking", 1) + ": name its own state machine, or none\n"},
		{name: "malformed name", args: []string{"approve", "a b"}, status: 2, stderr: "desk: 'a b' is not the name of an execution: that has 1 to 80 characters, no spaces and none of <>{}[]?*\"#%\\^|~`$&,;:/\n"},
		{name: "empty name", args: []string{"approve", ""}, status: 2, stderr: "desk: the execution's name is empty" + help},
		{name: "no name", args: []string{"decline", "--reason", "x"}, status: 2, stderr: "desk: which execution? Give its ARN or name" + help},
		{name: "too many words", args: []string{"order-1", "appr\x1bove"}, status: 2, stderr: "desk: unexpected argument approve" + help},
		{name: "unknown flag", args: []string{"-frob\x1b[31m"}, status: 2, stderr: "desk: -frob[31m is not a flag: the names of flags begin with two dashes, as in --reason" + help},
		{name: "flag as a word", args: []string{"approve", "--", "-h"}, status: 1, stderr: "desk: there is no execution " + sfntest.Arn("-h") + `: "go run ./desk" lists what waits` + "\n"},
		{name: "flag as the second word", args: []string{"--", "approve", "-h"}, status: 1, stderr: "desk: there is no execution " + sfntest.Arn("-h") + `: "go run ./desk" lists what waits` + "\n"},
		{name: "JSON of one", args: []string{"order-1", "--json"}, status: 2, stderr: "desk: --json is for the list" + help},
		{name: "page of one", args: []string{"--web", "order-1"}, status: 2, stderr: "desk: --web stands for itself: choose the execution on the page" + help},
		{name: "page as JSON", args: []string{"--web", "--json"}, status: 2, stderr: "desk: --json and --web can't be used together" + help},
		{name: "check of a definition that can't be read", args: []string{"check"}, status: 1, stdout: "✗ the state machine's definition can't be read, so whether a check is harmless is unknown\n", stderr: "desk: the check failed, and nothing was started\n"},
		{name: "check of an execution", args: []string{"check", "order-1"}, status: 2, stderr: "desk: unexpected argument order-1" + help},
		{name: "check as JSON", args: []string{"check", "--json"}, status: 2, stderr: "desk: unknown flag --json" + help},
		{name: "check as a page", args: []string{"--web", "check"}, status: 2, stderr: `desk: flag --web applies to the default command "show", not "check"` + help},
		{name: "check with a reason", args: []string{"check", "--reason", "x"}, status: 2, stderr: "desk: unknown flag --reason" + help},
		{name: "reason without an answer", args: []string{"order-1", "--reason", "x"}, status: 2, stderr: "desk: unknown flag --reason" + help},
		{name: "real money without an answer", args: []string{"order-1", "--real-money"}, status: 2, stderr: "desk: unknown flag --real-money" + help},
		{name: "real money to decline with", args: []string{"decline", "order-1", "--real-money"}, status: 2, stderr: "desk: --real-money is for an answer that trades: approve, buy or sell" + help},
		{name: "one dash", args: []string{"decline", "order-1", "-reason", "x"}, status: 2, stderr: "desk: -reason is not a flag: the names of flags begin with two dashes, as in --reason" + help},
		{name: "a mistyped answer", args: []string{"aprove", "order-1"}, status: 2, stderr: `desk: "aprove" is not a command: did you mean "approve"` + help},
		{name: "a mistyped command", args: []string{"lgo"}, status: 2, stderr: `desk: "lgo" is not a command: did you mean "log"` + help},
		{name: "a mistyped command without a state machine", who: person{env: map[string]string{}}, args: []string{"chek"}, status: 2, stderr: `desk: "chek" is not a command: did you mean "check"` + help},
		{name: "a flag of another format", args: []string{"log", "--format", "xml"}, status: 2, stderr: `desk: --format must be one of "table","json","csv" but got "xml"` + help},
		{name: "a log of no time", args: []string{"log", "--since", "now"}, status: 2, stderr: `desk: --since is "now", want a day such as 2006-01-02, a time such as 2006-01-02T15:04:05Z, or a duration such as 36h` + help},
		{name: "a log of the wrong times", args: []string{"log", "--since", "2026-01-02", "--before", "2026-01-01"}, status: 2, stderr: "desk: --since must be earlier than --before" + help},
		{name: "a log of less than nothing", args: []string{"log", "--limit=-1"}, status: 2, stderr: "desk: --limit must be 0 or more" + help},
		{name: "a log of nothing", args: []string{"log", "--by", "nobody"}, stdout: "No executions were found.\n"},

		{name: "approve at a terminal", who: person{terminals: "in out", in: "cheap\ny\n"}, args: []string{"approve", "order-1"}, stdout: you + shown + sells + why + sure + "Approved by jo at 00:00 UTC: cheap.\n", sent: "SendTaskSuccess"},
		{name: "approve at a terminal, and think again", who: person{terminals: "in out", in: "\n\n"}, args: []string{"approve", "order-1"}, stdout: you + shown + sells + why + sure + "Nothing was sent. order-1 still waits.\n"},
		{name: "approve at a terminal with a reason", who: person{terminals: "in out", in: "yes\n"}, args: []string{"approve", "order-1", "--reason", "cheap"}, stdout: you + shown + sells + sure + "Approved by jo at 00:00 UTC: cheap.\n", sent: "SendTaskSuccess"},
		{name: "approve at a terminal without a question", who: both, args: []string{"approve", "order-1", "--yes", "--details"}, stdout: shown + sells + approved + "TaskSucceeded at 2000-01-01T00:00:00Z by " + me + ", then Recommended Stock\n", sent: "SendTaskSuccess"},
		{name: "show one that was decided", args: []string{"over"}, stdout: "Recommended: sell 5 AMZN at $62, $310 in all.\nExpired at 00:00 UTC. It still runs.\n"},
		{name: "show one that was decided, in detail", args: []string{"over", "--details"}, stdout: "Recommended: sell 5 AMZN at $62, $310 in all.\nExpired at 00:00 UTC. It still runs.\n" + sfntest.Arn("over") + ", started at 2000-01-01T00:00:00Z, TaskTimedOut at 2000-01-01T00:00:00Z, then Approval Expired\n"},
		{name: "reason too long", args: []string{"decline", "order-1", "--reason", strings.Repeat("x", 1001)}, status: 2, stderr: "desk: the reason has 1001 characters, and 1000 are allowed: shorten it\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := waiting()
				s.Start("busy", time.Now())
				s.Start("over", time.Now()).Ask(time.Now(), token, sfntest.Quote("AMZN", 62, 5, "sell")).Append(time.Now(), sfntest.Event("TaskTimedOut"), sfntest.Entered("Pass", "Approval Expired"))
				status, stdout, stderr := test.who.runs(t, s, test.args...)
				if status != test.status {
					t.Errorf("status %d, want %d", status, test.status)
				}
				if diff := cmp.Diff(test.stdout, stdout); diff != "" {
					t.Errorf("stdout (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.stderr, stderr); diff != "" {
					t.Errorf("stderr (-want +got):\n%s", diff)
				}
				if sent := strings.Join(s.Calls("SendTask"), "\n"); !strings.HasPrefix(sent, test.sent) || sent != "" && test.sent == "" {
					t.Errorf("sent %q, want %q", sent, test.sent)
				}
			})
		})
	}
}

// A question ends with its request, on a line of its own, and is not asked again for nothing.
func TestExpiryAtTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sfntest.Service{}
		x := s.Start("order-1", time.Now()).Ask(time.Now(), token, sfntest.Quote("AMZN", 62, 5, "sell"))
		time.AfterFunc(time.Hour+time.Second, func() { x.Append(time.Now(), sfntest.Event("TaskTimedOut")) })
		status, stdout, stderr := person{terminals: "in out", in: "wait"}.runs(t, s, "order-1")
		if want := "decide later? \nRecommended: sell 5 AMZN at $62, $310 in all.\nExpired at 01:00 UTC. It still runs.\n"; status != 0 || stderr != "" || !strings.HasSuffix(stdout, want) {
			t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
		}
	})
}

// What was decided, as a table, in detail, as JSON and CSV.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := waiting()
		x := s.Start("order-2", time.Now()).Ask(time.Now(), token, sfntest.RealQuote("paper", "MSFT", 187.12, "187.12", 2, "buy"))
		time.Sleep(90 * time.Second)
		x.Append(time.Now(), sfntest.Failed("TradeDeclined", "=1+1, too \"dear\" (decided by "+me+")"))
		for _, test := range []struct{ args, want string }{
			{"log", `SYMBOL  SIDE  QTY    TOTAL  OUTCOME  DECIDED BY  WHEN                  AFTER  EXECUTION
MSFT    buy     2  $374.24  running  jo          00:01 UTC             1m30s  order-2
  “=1+1, too "dear"”
AMZN    sell    5     $310  waiting  –           1999-12-31 23:59 UTC  –      order-1
`},
			{"log --by JO --details", `SYMBOL  SIDE  QTY    TOTAL  OUTCOME  DECIDED BY  WHEN       AFTER  EXECUTION
MSFT    buy     2  $374.24  running  jo          00:01 UTC  1m30s  order-2
  “=1+1, too "dear"” arn:aws:states:eu-west-1:123456789012:execution:StockTrading:order-2, started at 2000-01-01T00:00:00Z, TaskFailed at 2000-01-01T00:01:30Z by ` + me + `
`},
			{"log --format csv --since 1999-12-31T00:00:00Z --before 2h --limit 1", "execution,started,ended,market,symbol,qty,price,total,recommendation,side,asked,decided,took_seconds,decision,decided_by,reason,outcome,trade_placed,failure\n"},
			{"log --format csv --since 2m --limit 1", `execution,started,ended,market,symbol,qty,price,total,recommendation,side,asked,decided,took_seconds,decision,decided_by,reason,outcome,trade_placed,failure
arn:aws:states:eu-west-1:123456789012:execution:StockTrading:order-2,2000-01-01T00:00:00Z,,paper,MSFT,2,187.12,374.24,buy,,2000-01-01T00:00:00Z,2000-01-01T00:01:30Z,90,declined,` + me + `,"'=1+1, too ""dear""",running,no,
`},
			{"log --format json --by nobody", "[]\n"},
		} {
			status, stdout, stderr := person{}.runs(t, s, strings.Fields(test.args)...)
			if diff := cmp.Diff(test.want, stdout); status != 0 || stderr != "" || diff != "" {
				t.Errorf("%s: status %d, stderr %q, stdout (-want +got):\n%s", test.args, status, stderr, diff)
			}
		}
		_, stdout, _ := person{}.runs(t, s, "log", "--format", "json")
		var list []map[string]any
		if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != 2 || list[0]["decided_by"] != me || list[0]["took_seconds"] != 90.0 {
			t.Errorf("JSON, error %v: %s", err, stdout)
		}
	})
}

// Help names every command and what else there is to know.
func TestHelp(t *testing.T) {
	for args, wants := range map[string][]string{
		"-h":                     {"Usage: go run ./desk <command>", "show ", "approve ", "buy ", "sell ", "decline ", "log ", "check ", "--state-machine=ARN", "$STATE_MACHINE_ARN", "Exit status:"},
		"approve order-1 --help": {"<execution>", "--reason=TEXT", "--real-money", "--yes"},
		"show --help":            {"--json", "--web"},
		"log --help":             {"--since=TIME", "--before=TIME", "--by=PERSON", "--format"},
		"check --help":           {"states:StartExecution", "states:TestState"},
	} {
		s := waiting()
		status, stdout, stderr := person{}.runs(t, s, strings.Fields(args)...)
		for _, want := range wants {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s lacks %q:\n%s", args, want, stdout)
			}
		}
		if status != 0 || stderr != "" || len(s.Calls("")) > 0 {
			t.Errorf("%s: status %d, stderr %q, calls %q", args, status, stderr, s.Calls(""))
		}
	}
}

// An answer that trades with real money is given twice.
func TestRealMoney(t *testing.T) {
	const (
		sells = "Sell 5 AMZN at $187.12 or better, $935.60 in all, as recommended, with REAL MONEY.\n"
		sure  = "Why (Enter for no reason)? This is real money. Type yes to send it, or Enter to go back: "
	)
	for _, test := range []struct {
		name   string
		who    person
		args   []string
		status int
		wants  []string // in what is written
		sent   bool
	}{
		{"yes", person{terminals: "in out", in: "\nyes\n"}, []string{"approve", "real"}, 0, []string{sells + sure + "Approved by jo"}, true},
		{"no", person{terminals: "in out", in: "\nno\n"}, []string{"approve", "real"}, 0, []string{sells + sure + "Nothing was sent. real still waits."}, false},
		{"a short yes", person{terminals: "in out", in: "\ny\n"}, []string{"approve", "real"}, 0, []string{sells + sure + "Nothing was sent. real still waits."}, false},
		{"a yes that is for play money", person{terminals: "in out", in: "\n\n"}, []string{"approve", "real", "--yes"}, 0, []string{sells + sure + "Nothing was sent. real still waits."}, false},
		{"nobody, and a yes that is for play money", person{}, []string{"approve", "real", "--yes"}, 2, []string{"it takes --real-money"}, false},
		{"no answer", person{terminals: "in out", in: "\n"}, []string{"buy", "real"}, 0, []string{sure, "Nothing was sent. real still waits."}, false},
		{"nobody to ask", person{in: "yes\n"}, []string{"approve", "real"}, 2, []string{"nothing was sent: this trades with real money", "it takes --real-money"}, false},
		{"said beforehand", person{}, []string{"approve", "real", "--real-money"}, 0, []string{"LIVE, WITH REAL MONEY", sells + "Approved by jo"}, true},
		{"declined", person{}, []string{"decline", "real"}, 0, []string{"nothing is traded.\nDeclined by jo"}, true},
		{"a trade with play money", person{}, []string{"approve", "order-1", "--real-money"}, 0, []string{"Approved by jo"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := waiting()
			s.Start("real", time.Now()).Ask(time.Now(), "hush-money", sfntest.RealQuote("live", "AMZN", 187.12, "187.12", 5, "sell"))
			status, stdout, stderr := test.who.runs(t, s, test.args...)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, want := range test.wants {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("%q is missing in:\n%s%s", want, stdout, stderr)
				}
			}
			if sent := s.Calls("SendTask"); (len(sent) == 1) != test.sent {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// A name may turn the text of a line around: the commands that are shown don't hold it.
func TestHostileName(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("it's\u202ereversed", time.Now()).Ask(time.Now(), token, sfntest.Quote("AMZN", 62, 5, "sell"))
	_, stdout, _ := person{}.runs(t, s, "it's\u202ereversed")
	if strings.Contains(stdout, "\u202e") || !strings.Contains(stdout, `go run ./desk approve 'it'\''sreversed'`) {
		t.Errorf("stdout %q", stdout)
	}
	if status, _, stderr := (person{}).runs(t, s, "approve", "it'sreversed"); status != 0 {
		t.Errorf("the command that is shown: status %d, stderr %q", status, stderr)
	}
}

// told is the first line that is written to it.
type told chan string

func (t told) Write(p []byte) (int, error) {
	select {
	case t <- string(p):
	default:
	}
	return len(p), nil
}

// The page is there until the command is interrupted.
func TestWeb(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, ended := make(told, 1), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--web"}, environment{
			stdout: out, stderr: io.Discard, getenv: func(string) string { return sfntest.Machine },
			connect: func(context.Context, string) (decision.Client, func(context.Context) (string, error), error) {
				return waiting(), func(context.Context) (string, error) { return me, nil }, nil
			},
		})
	}()
	_, address, _ := strings.Cut(strings.TrimSpace(<-out), "once:\n\n  ")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := (&http.Client{Jar: jar}).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	page, err := io.ReadAll(reply.Body)
	if err != nil || !strings.Contains(string(page), "1 trade waits") || strings.Contains(string(page), "hush") {
		t.Errorf("error %v, the page:\n%s", err, page)
	}
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("status %d, want 0", status)
	}
}

func TestListIsEmpty(t *testing.T) {
	for args, want := range map[string]string{"": "Nothing waits for a decision.\n", "--json": "[]\n"} {
		status, stdout, stderr := person{}.runs(t, &sfntest.Service{}, strings.Fields(args)...)
		if status != 0 || stdout != want || stderr != "" {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, stdout, stderr)
		}
	}
}

func TestListAsJSON(t *testing.T) {
	status, stdout, stderr := person{terminals: "out err"}.runs(t, waiting(), "--json")
	var got []map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if status != 0 || stderr != "" || len(got) != 1 || got[0]["execution"] != sfntest.Arn("order-1") || got[0]["total"] != 310.0 || len(got[0]) != 9 {
		t.Errorf("status %d, stdout %s, stderr %q", status, stdout, stderr)
	}
}

func TestTwoAnswers(t *testing.T) {
	s := waiting()
	if status, _, stderr := (person{}).runs(t, s, "buy", "order-1"); status != 0 {
		t.Fatalf("the first: status %d, %s", status, stderr)
	}
	status, stdout, stderr := person{}.runs(t, s, "decline", "order-1")
	want := "desk: too late, nothing was sent for order-1: changed to buy by jo at "
	if status != 3 || stdout != "" || !strings.HasPrefix(stderr, want) {
		t.Errorf("the second: status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestProgress(t *testing.T) {
	for _, test := range []struct {
		name      string
		terminals string
		each      time.Duration
		want      string
	}{
		{"slow", "err", 300 * time.Millisecond, "\rReading executions: 17 of 33\rReading executions: 18 of 33"},
		{"quick", "err", 100 * time.Millisecond, ""},
		{"no terminal", "in out", 300 * time.Millisecond, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sfntest.Service{OnHistory: func(_ context.Context, _ string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
					time.Sleep(test.each) // 16 at once
					return call()
				}}
				for i := range 33 {
					s.Start(fmt.Sprint(i), time.Now())
				}
				status, stdout, stderr := person{terminals: test.terminals}.runs(t, s)
				if status != 0 || stdout != "Nothing waits for a decision.\n" || !strings.HasPrefix(stderr, test.want) || (stderr == "") != (test.want == "") {
					t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
				}
				if last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\r"), "\r")+1:]; strings.TrimSpace(last) != "" {
					t.Errorf("the line ends as %q and should be cleared", last)
				}
			})
		})
	}
}

// screen is an output that signals when a question is on it.
type screen struct {
	text  strings.Builder
	asked func()
}

func (s *screen) Write(p []byte) (int, error) {
	if strings.HasSuffix(string(p), "later? ") {
		s.asked()
	}
	return s.text.Write(p)
}

func TestInterrupted(t *testing.T) {
	in, _ := io.Pipe() // a person who says nothing
	ctx, cancel := context.WithCancel(t.Context())
	var errs strings.Builder
	out := &screen{asked: cancel}
	s := waiting()
	w := environment{
		stdin: in, stdout: out, stderr: &errs,
		getenv:     func(string) string { return sfntest.Machine },
		isTerminal: func(any) bool { return true },
		connect: func(context.Context, string) (decision.Client, func(context.Context) (string, error), error) {
			return s, func(context.Context) (string, error) { return me, nil }, nil
		},
	}
	if status := run(ctx, []string{"order-1"}, w); status != 1 || errs.String() != "desk: interrupted, nothing was sent\n" {
		t.Errorf("status %d, stderr %q", status, &errs)
	}
	if !strings.HasSuffix(out.text.String(), "later? \n") {
		t.Errorf("stdout %q", out.text.String())
	}
}

type full struct{ io.Writer }

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestOutputFails(t *testing.T) {
	for _, args := range []string{"", "--json", "approve order-1"} {
		s := waiting()
		var errs strings.Builder
		status := run(t.Context(), strings.Fields(args), environment{
			stdin: strings.NewReader(""), stdout: full{}, stderr: &errs,
			getenv:     func(string) string { return sfntest.Machine },
			isTerminal: func(any) bool { return false },
			connect: func(context.Context, string) (decision.Client, func(context.Context) (string, error), error) {
				return s, nil, nil
			},
		})
		if status != 1 || !strings.Contains(errs.String(), "no space left") || len(s.Calls("SendTask")) > 0 {
			t.Errorf("%q: status %d, stderr %q, sent %q", args, status, &errs, s.Calls("SendTask"))
		}
	}
}

// The real connection: no credentials at all, and a profile that doesn't exist.
func TestConnect(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/credentials")
	for _, test := range []struct{ profile, want string }{
		{"", "desk: there are no AWS credentials that work ("},
		{"nobody", "desk: the AWS configuration can't be used (failed to get shared config profile, nobody): check AWS_PROFILE and the files in ~/.aws"},
	} {
		if test.profile != "" {
			t.Setenv("AWS_PROFILE", test.profile)
		}
		var errs strings.Builder
		status := run(t.Context(), nil, environment{
			stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs,
			getenv: func(string) string { return sfntest.Machine }, isTerminal: terminal.Is, connect: connect,
		})
		if status != 1 || !strings.HasPrefix(errs.String(), test.want) {
			t.Errorf("profile %q: status %d, stderr %q, want %q", test.profile, status, &errs, test.want)
		}
	}
}

// tester is an API whose TestState fails.
type tester struct {
	*sfntest.Service
	err error
}

func (t tester) TestState(context.Context, *sfn.TestStateInput, ...func(*sfn.Options)) (*sfn.TestStateOutput, error) {
	return nil, t.err
}

func TestCompare(t *testing.T) {
	const definition = `{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}`
	running := "  Running 1 steps of the definition on AWS's interpreter, about one a second\n"
	for _, test := range []struct {
		name   string
		client func(*sfntest.Service) decision.Client
		err    string
		stdout string
	}{
		{"an API without it", func(s *sfntest.Service) decision.Client { return s }, "", ""},
		{
			"no permission", func(s *sfntest.Service) decision.Client { return tester{s, sfntest.Error("AccessDeniedException")} }, "",
			running + "- Not compared with AWS's interpreter: you may not call states:TestState\n",
		},
		{"a broken reply", func(s *sfntest.Service) decision.Client { return tester{s, io.ErrUnexpectedEOF} }, "run the step S on AWS: unexpected EOF", running},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := test.client(&sfntest.Service{Definition: definition})
			machine, err := decision.ParseMachine(sfntest.Machine)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			desk := decision.New(client, machine, func(context.Context) (string, error) { return me, nil })
			err = compare(t.Context(), session{environment: environment{stdout: &out}, machine: machine, client: client, desk: desk}, func(bool, string) { t.Error("said something") })
			if got := fmt.Sprint(err); err != nil && got != test.err || err == nil && test.err != "" {
				t.Errorf("got error %s, want %q", got, test.err)
			}
			if out.String() != test.stdout {
				t.Errorf("printed %q, want %q", &out, test.stdout)
			}
		})
	}
}
