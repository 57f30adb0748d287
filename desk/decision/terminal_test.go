package decision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/fatih/color"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
)

// screen returns a terminal an hour less a minute before noon's requests expire.
func screen(in string, colour bool) (*decision.Terminal, *strings.Builder) {
	var out strings.Builder
	terminal := decision.NewTerminal(strings.NewReader(in), &out, colour)
	terminal.Now = func() time.Time { return noon.Add(time.Minute) }
	return terminal, &out
}

func waits(t *testing.T, s *sfntest.Service) []decision.Wait {
	t.Helper()
	all, err := newDesk(t, s).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTable(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon.Add(-3*time.Hour), token, sfntest.Quote("AMZN", 62, 5, "sell"))
	s.Start("a-longer-name", noon).Ask(noon.Add(-50*time.Minute), token, sfntest.Quote("BRK.B", 9.5, 1000, "buy"))
	s.Start("new", noon).Ask(noon.Add(56*time.Second), token, sfntest.Quote("X", 0, 1, "hold"))
	s.Start("real", noon).Ask(noon.Add(55*time.Second), token, sfntest.RealQuote("live", "MSFT", 187.12, "187.12", 5, "buy"))
	s.Start("old", noon).Ask(noon.Add(57*time.Second), token, sfntest.OldQuote("OLD", 62, 5, "buy"))
	s.Start("broken", noon).Append(noon.Add(-49*time.Hour), sfntest.Scheduled("sendMessage.waitForTaskToken", "{}"))
	terminal, out := screen("", false)
	if err := terminal.Table(waits(t, s)); err != nil {
		t.Fatal(err)
	}
	want := `
MARKET      SYMBOL    PRICE   QTY    TOTAL  RECOMMENDED     WAITING  LEFT    EXECUTION
?           ?             ?     ?        ?  ?               2d1h     none    broken  the history doesn't hold the request's message
simulated   AMZN        $62     5     $310  sell            3h1m     none    order-1
simulated   BRK.B     $9.50  1000    $9500  buy             51m0s    9m0s    a-longer-name
REAL MONEY  MSFT    $187.12     5  $935.60  buy             5s       59m55s  real
simulated   X            $0     1       $0  unknown (hold)  4s       59m56s  new
unknown     OLD         $62     5     $310  buy             3s       59m57s  old
`
	if diff := cmp.Diff(want[1:], out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// Where an order has a limit, that is what the person is shown and told.
func TestLimitPrice(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sfntest.RealQuote("paper", "AMZN", 187.12, "187.12", 5, "sell"))
	w := waits(t, s)[0]
	terminal, out := screen("", false)
	if err := terminal.Show(w); err != nil {
		t.Fatal(err)
	}
	if want := "  Price           $187.12\n  Limit price     $187.12 or better\n  Quantity        5\n  Total           $935.60\n"; !strings.Contains(out.String(), want) {
		t.Errorf("what is shown lacks %q:\n%s", want, out)
	}
	if got, err := w.Consequence(decision.Approve); err != nil || got != "This approves the recommendation and sells 5 AMZN at $187.12 or better, total $935.60." {
		t.Errorf("the answer leads to %q, %v", got, err)
	}
	if text, err := w.MarshalJSON(); err != nil || !strings.Contains(string(text), `"price":187.12,"limit_price":"187.12",`) {
		t.Errorf("the wait is %s, %v", text, err)
	}
}

func TestColour(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	// What fatih/color has found out about the standard output doesn't count.
	found := color.NoColor
	color.NoColor = false
	defer func() { color.NoColor = found }()
	for _, colour := range []bool{false, true} {
		terminal, out := screen("d\nno\n", colour)
		if err := terminal.Table(waits(t, s)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := terminal.Ask(t.Context(), waits(t, s)[0]); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\x1b["); got != colour {
			t.Errorf("escape sequences with colour %v: %v\n%q", colour, got, out)
		}
	}
	if decision.Colour(&strings.Builder{}, func(string) string { return "" }) {
		t.Error("a buffer is no terminal")
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if decision.IsTerminal(file) || decision.IsTerminal(nil) {
		t.Error("a file is no terminal")
	}
}

const shown = `  Execution       order-1
  Market          simulated, nothing real is traded
  Recommendation  sell
  Symbol          AMZN
  Price           $62
  Quantity        5
  Total           $310
  Quoted at       2026-01-02T03:04:05Z
  Waiting         1m0s, since 2026-01-02T12:00:00Z
  Left            59m0s, until 2026-01-02T13:00:00Z
`

func TestAsk(t *testing.T) {
	const (
		ask  = "\n[a]pprove to sell, [b]uy instead, [d]ecline, or [q]uit and decide later? "
		why  = "Why (Enter for no reason)? "
		sold = "This approves the recommendation and sells 5 AMZN at $62, total $310.\n"
		none = "This declines the recommendation. Nothing is traded.\n"
	)
	for _, test := range []struct {
		name, recommended, in string
		answer                decision.Answer
		reason                string
		out                   string
	}{
		{"approve", "sell", "a\n", decision.Approve, "", ask + sold},
		{"in full, in capitals, with spaces", "sell", "  APPROVE \r\n", decision.Approve, "", ask + sold},
		{"the recommended side by its name", "sell", "sell\n", decision.Sell, "", ask + sold},
		{"instead", "sell", "b\n", decision.Buy, "", ask + "This goes against the recommendation and buys 5 AMZN at $62, total $310.\n"},
		{"sell instead", "buy", "s\n", decision.Sell, "", strings.Replace(ask, "to sell, [b]uy", "to buy, [s]ell", 1) + "This goes against the recommendation and sells 5 AMZN at $62, total $310.\n"},
		{"decline", "sell", "d\ntoo  expensive\x1b[2J\n", decision.Decline, "too expensive[2J", ask + why + none},
		{"decline without a reason", "sell", "d\n\n", decision.Decline, "", ask + why + none},
		{"a reason that is too long", "sell", "d\n" + strings.Repeat("x", 1001) + "\nshort\n", decision.Decline, "short", ask + why + "the reason has 1001 characters, and 1000 are allowed: shorten it.\n" + why + none},
		{"later", "sell", "q\n", decision.Later, "", ask},
		{"unknown answers", "sell", "yes\x1b[31m\n\na\n", decision.Approve, "", ask + "\"yes[31m\" is none of these.\n" + ask + ask + sold},
		{"nothing to approve", "hold", "a\nb\n", decision.Buy, "", strings.Repeat("\n[b]uy, [s]ell, [d]ecline, or [q]uit and decide later? ", 1) + "order-1 recommends neither to buy nor to sell, so there is nothing to approve: answer buy, sell or decline.\n" + "\n[b]uy, [s]ell, [d]ecline, or [q]uit and decide later? This buys 5 AMZN at $62, total $310.\n"},
		{"end of the input", "sell", "", decision.Later, "", ask + "\n"},
		{"end after a mistake", "sell", "x\n", decision.Later, "", ask + "\"x\" is none of these.\n" + ask + "\n"},
		{"end in the line", "sell", "a", decision.Approve, "", ask + "\n" + sold},
		{"end before the reason", "sell", "d\n", decision.Later, "", ask + why + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sfntest.Service{}
			s.Start("order-1", noon).Ask(noon, token, sfntest.Quote("AMZN", 62, 5, test.recommended))
			terminal, out := screen(test.in, false)
			answer, reason, err := terminal.Ask(t.Context(), waits(t, s)[0])
			if err != nil || answer != test.answer || reason != test.reason {
				t.Errorf("answer %q, reason %q, error %v; want %q, %q", answer, reason, err, test.answer, test.reason)
			}
			recommended := test.recommended
			if recommended == "hold" {
				recommended = "unknown (hold)"
			}
			want := strings.Replace(shown, "Recommendation  sell", "Recommendation  "+recommended, 1) + test.out
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

// Real money can't be missed, and takes a second yes from whoever trades with it.
func TestAskAboutRealMoney(t *testing.T) {
	const (
		ask  = "\n[a]pprove to sell, [b]uy instead, [d]ecline, or [q]uit and decide later? "
		sold = "This approves the recommendation and sells 5 AMZN at $187.12 or better, total $935.60, with REAL MONEY.\n"
		sure = "This is real money. Type yes to send it: "
	)
	for _, test := range []struct {
		name, in string
		answer   decision.Answer
		out      string
	}{
		{"and again", "a\nYES\n", decision.Approve, ask + sold + sure},
		{"and not again", "a\n\nq\n", decision.Later, ask + sold + sure + ask},
		{"with another word", "a\ny\nb\nyes\n", decision.Buy, ask + sold + sure + ask + strings.Replace(sold, "approves the recommendation and sells", "goes against the recommendation and buys", 1) + sure},
		{"to the end of the input", "a\n", decision.Later, ask + sold + sure + "\n"},
		{"that is not spent", "d\n\n", decision.Decline, ask + "Why (Enter for no reason)? This declines the recommendation. Nothing is traded.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sfntest.Service{}
			s.Start("order-1", noon).Ask(noon, token, sfntest.RealQuote("live", "AMZN", 187.12, "187.12", 5, "sell"))
			terminal, out := screen(test.in, false)
			answer, _, err := terminal.Ask(t.Context(), waits(t, s)[0])
			if err != nil || answer != test.answer {
				t.Errorf("answer %q, error %v, want %q", answer, err, test.answer)
			}
			head, asked, _ := strings.Cut(out.String(), "\n\n")
			if !strings.Contains(head, "\n  Market          LIVE, WITH REAL MONEY\n") {
				t.Errorf("real money is not shown:\n%s", head)
			}
			if diff := cmp.Diff(test.out, "\n"+asked); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

// A request of an older version says nothing of its market: it can be declined, and whoever
// would trade it is told what comes of that.
func TestAskOfAnOlderVersion(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sfntest.OldQuote("AMZN", 62, 5, "sell"))
	w := waits(t, s)[0]
	terminal, out := screen("", false)
	if err := terminal.Show(w); err != nil {
		t.Fatal(err)
	}
	if want := "  Market          unknown: the request is of an older version, and a trade of it is refused\n"; !strings.Contains(out.String(), want) {
		t.Errorf("what is shown lacks %q:\n%s", want, out)
	}
	for answer, want := range map[decision.Answer]string{
		decision.Approve: "This approves the recommendation and sells 5 AMZN at $62, total $310, which will be refused: the request is of an older version of the app.",
		decision.Decline: "This declines the recommendation. Nothing is traded.",
	} {
		if got, err := w.Consequence(answer); err != nil || got != want {
			t.Errorf("%s leads to %q, %v, want %q", answer, got, err, want)
		}
	}
	if text, err := w.MarshalJSON(); err != nil || !strings.Contains(string(text), `"market":null`) {
		t.Errorf("the wait is %s, %v", text, err)
	}
}

// A question is withdrawn when its context ends. A line that was typed for it and complete
// before the next question came doesn't answer that one; a later line does.
func TestAskWithdrawn(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	w := waits(t, s)[0]
	synctest.Test(t, func(t *testing.T) {
		in, person := io.Pipe()
		terminal := decision.NewTerminal(in, io.Discard, false)
		withdrawn := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if answer, _, err := terminal.Ask(ctx, w); answer != decision.Later || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("answer %q and error %v to a question that was withdrawn", answer, err)
			}
		}
		withdrawn()
		io.WriteString(person, "a\n") // too late for the first question
		synctest.Wait()
		withdrawn()
		time.AfterFunc(time.Millisecond, func() { io.WriteString(person, "b\nd\nno\n") })
		if answer, _, err := terminal.Ask(t.Context(), w); answer != decision.Buy || err != nil {
			t.Errorf("answer %q and error %v, want buy", answer, err)
		}
		if answer, reason, err := terminal.Ask(t.Context(), w); answer != decision.Decline || reason != "no" || err != nil {
			t.Errorf("answer %q, reason %q and error %v, want the next lines", answer, reason, err)
		}
		withdrawn()
		person.Close()
		synctest.Wait()
		if answer, _, err := terminal.Ask(t.Context(), w); answer != decision.Later || err != nil {
			t.Errorf("answer %q and error %v at the end of the input", answer, err)
		}
	})
}

func TestAskFails(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	in, person := io.Pipe()
	person.CloseWithError(errors.New("broken"))
	_, _, err := decision.NewTerminal(in, io.Discard, false).Ask(t.Context(), waits(t, s)[0])
	wantError(t, err, nil, "read the answer: broken")
}

// Texts that would move the cursor, forge a line, or turn the text around.
const hostile = "\x1b[2J\x1b]0;title\x07\r\nsell\tor\u202e\u2066\u200b\u0085\ufeff"

func TestHostileText(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("a"+hostile+"z", noon).Ask(noon, token, sfntest.Quote("AMZN", 62, 5, "hold"+hostile))
	s.Start("b"+hostile, noon).Append(noon, sfntest.Scheduled("sendMessage.waitForTaskToken", hostile))
	s.Start("over", noon).Ask(noon, token, sell).Append(noon, sfntest.Failed(hostile, "why"+hostile), sfntest.Entered("Pass", "next"+hostile))
	s.Start("approved", noon).Ask(noon, token, sell).Append(noon, sfntest.Succeeded(fmt.Sprintf(`{"decided_by":%s,"reason":%s}`, quote(t, hostile), quote(t, hostile))))
	s.Start("busy", noon).Append(noon, sfntest.Entered("Pass", hostile))

	terminal, out := screen("b\n", false)
	all := waits(t, s)
	if len(all) != 2 {
		t.Fatalf("%d wait, want 2", len(all))
	}
	if err := terminal.Table(all); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 3 {
		t.Errorf("the table of two has %d lines", lines)
	}
	out.Reset()
	if _, _, err := terminal.Ask(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out.String(), "\n"), strings.Count(shown, "\n")+2; got != want {
		t.Errorf("the question has %d lines, want %d:\n%s", got, want, out)
	}
	if err := terminal.Show(all[1]); err != nil {
		t.Fatal(err)
	}
	texts := []string{out.String(), all[0].Name(), all[1].Name()}
	for _, execution := range []string{"over", "approved", "busy", hostile, "arn:" + hostile, sfntest.Arn(hostile), "arn:aws:states:eu-west-1:123456789012:execution:Other:" + hostile} {
		_, err := newDesk(t, s).Find(t.Context(), execution)
		if err == nil {
			t.Errorf("found %q", execution)
			continue
		}
		texts = append(texts, err.Error())
	}
	denied := &sfntest.Service{OnHistory: func(context.Context, string, func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
		return nil, sfntest.Error("AccessDeniedException" + hostile)
	}}
	denied.Start(hostile, noon)
	if _, err := newDesk(t, denied).List(t.Context()); err != nil {
		texts = append(texts, err.Error())
	}
	if _, err := decision.ParseMachine(hostile); err != nil {
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		for _, c := range strings.ReplaceAll(text, "\n", "") {
			if !unicode.IsPrint(c) {
				t.Errorf("%q has the character %U", text, c)
			}
		}
	}

	// JSON keeps the texts, for scripts, and is harmless on a terminal as well.
	text := toJSON(t, all)
	for _, c := range text {
		if c > '~' || c < ' ' && c != '\n' {
			t.Errorf("the JSON has the character %U", c)
		}
	}
	var back []struct{ Execution, Recommendation string }
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	if back[0].Execution != sfntest.Arn("a"+hostile+"z") || back[0].Recommendation != "hold"+hostile {
		t.Errorf("the JSON has %q", back[0])
	}
}

func quote(t *testing.T, s string) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestJSON(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sfntest.Quote("AMZN", 62.5, 5, "😀"))
	s.Start("rich", noon).Ask(noon.Add(time.Second), token, sfntest.Quote("AMZN", 1e308, 1000, "buy"))
	want := `[
  {
    "execution": "` + sfntest.Arn("order-1") + `",
    "market": "simulated",
    "symbol": "AMZN",
    "price": 62.5,
    "qty": 5,
    "total": 312.5,
    "recommendation": "\ud83d\ude00",
    "waiting_since": "2026-01-02T12:00:00Z",
    "deadline": "2026-01-02T13:00:00Z"
  },
  {
    "execution": "` + sfntest.Arn("rich") + `",
    "market": "simulated",
    "symbol": "AMZN",
    "price": 1` + strings.Repeat("0", 308) + `,
    "qty": 1000,
    "total": null,
    "recommendation": "buy",
    "waiting_since": "2026-01-02T12:00:01Z",
    "deadline": "2026-01-02T13:00:01Z"
  }
]`
	if diff := cmp.Diff(want, toJSON(t, waits(t, s))); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
