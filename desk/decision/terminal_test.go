package decision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

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
?           ?             ?     ?        ?  ?               2d1h     none    broken
  the history doesn't hold the request's message
simulated   AMZN        $62     5     $310  sell            3h1m     none    order-1
  quoted 8h56m ago
simulated   BRK.B     $9.50  1000    $9500  buy             51m      9m      a-longer-name
  quoted 8h56m ago
REAL MONEY  MSFT    $187.12     5  $935.60  buy             5s       59m55s  real
  quoted 8h56m ago
simulated   X            $0     1       $0  unknown (hold)  4s       59m56s  new
  quoted 8h56m ago
unknown     OLD         $62     5     $310  buy             3s       59m57s  old
  quoted 8h56m ago
`
	if diff := cmp.Diff(want[1:], out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// At 80 columns, lines break at spaces.
func TestWidth(t *testing.T) {
	const name = "0b7e6a5c-8f1d-4c3b-9a2e-1d5f3c7b9e10"
	s := &sfntest.Service{}
	s.Start("waits-"+name, noon).Ask(noon, token, sfntest.RealQuote("live", "LONG.SYMBOL1", 187.12, "187.12", 1000, "sell"))
	s.Start("declined-"+name, noon).Ask(noon, token, sell).Append(noon.Add(time.Minute),
		sfntest.Failed("TradeDeclined", strings.Repeat("far too expensive ", 30)+"(decided by "+me+")"), entered("Report Result", `{"outcome":"declined"}`), sfntest.Event("ExecutionSucceeded"))
	d := newDesk(t, s)
	trades, _, err := d.Trades(t.Context(), decision.Filter{}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{80, 120} {
		terminal, out := screen("hm\nb\n"+strings.Repeat("x", 1001)+"\n\nyes\n", false)
		terminal.Width = width
		w := find(t, d, "waits-"+name)
		_, _, asked := terminal.Ask(t.Context(), w)
		if err := errors.Join(asked, terminal.Table([]decision.Wait{w}), terminal.Log(trades, true), terminal.ShowTrade(trades[0], true)); err != nil {
			t.Fatal(err)
		}
		typed := strings.NewReplacer("later? ", "later?\n", "reason)? ", "reason)?\n", "back: ", "back:\n") // a person's Enter
		for line := range strings.Lines(typed.Replace(out.String())) {
			if n := utf8.RuneCountInString(line) - 1; n > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%d columns of %d: %s", n, width, line)
			}
		}
		if strings.Count(out.String(), "far too expensive") < 2*20 {
			t.Errorf("the reason is cut:\n%s", out)
		}
	}
}

// Where an order has a limit, the person sees it.
func TestLimitPrice(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sfntest.RealQuote("paper", "AMZN", 187.12, "187.12", 5, "sell"))
	w := waits(t, s)[0]
	terminal, out := screen("", false)
	if err := terminal.Show(w); err != nil {
		t.Fatal(err)
	}
	if want := "  Recommended  sell 5 AMZN, $935.60 in all\n  Price        $187.12, limit $187.12 or better\n"; !strings.Contains(out.String(), want) {
		t.Errorf("what is shown lacks %q:\n%s", want, out)
	}
	if got, err := w.Act(decision.Approve); err != nil || got != "Sell 5 AMZN at $187.12 or better, $935.60 in all, as recommended" {
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
		terminal, out := screen("d\nno\ny\n", colour)
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
}

const shown = `  Recommended  sell 5 AMZN, $310 in all
  Price        $62
  Quoted       8h56m ago, at 03:04 UTC
  Market       simulated, nothing real is traded
  Waiting      1m, since 12:00 UTC
  Left         59m, until 13:00 UTC
  Execution    order-1
`

func TestAsk(t *testing.T) {
	const (
		ask  = "\n[a]pprove to sell, [b]uy instead, [d]ecline, or [q]uit and decide later? "
		why  = "Why (Enter for no reason)? "
		sure = "Type y to send it, or Enter to go back: "
		sold = "\nSell 5 AMZN at $62, $310 in all, as recommended.\n" + why
		none = "\nDecline to sell 5 AMZN at $62, $310 in all; nothing is traded.\n" + why
	)
	for _, test := range []struct {
		name, recommended, in string
		answer                decision.Answer
		reason                string
		out                   string
	}{
		{"approve", "sell", "a\n\ny\n", decision.Approve, "", ask + sold + sure},
		{"in full, in capitals, with spaces", "sell", "  APPROVE \r\n\r\n YES \r\n", decision.Approve, "", ask + sold + sure},
		{"the recommended side by its name", "sell", "sell\ncheap\nyes\n", decision.Sell, "cheap", ask + sold + sure},
		{"instead", "sell", "b\n\ny\n", decision.Buy, "", ask + "\nBuy 5 AMZN at $62, $310 in all, against the recommendation to sell.\n" + why + sure},
		{"not after all", "sell", "b\n\n\nd\nno\nn\nq\n", decision.Later, "", ask + "\nBuy 5 AMZN at $62, $310 in all, against the recommendation to sell.\n" + why + sure + ask + none + sure + ask},
		{"sell instead", "buy", "s\n\ny\n", decision.Sell, "", strings.Replace(ask, "to sell, [b]uy", "to buy, [s]ell", 1) + "\nSell 5 AMZN at $62, $310 in all, against the recommendation to buy.\n" + why + sure},
		{"decline", "sell", "d\ntoo  expensive\x1b[2J\ny\n", decision.Decline, "too expensive[2J", ask + none + sure},
		{"decline without a reason", "sell", "d\n\ny\n", decision.Decline, "", ask + none + sure},
		{"a reason that is too long", "sell", "d\n" + strings.Repeat("x", 1001) + "\nshort\ny\n", decision.Decline, "short", ask + none + "The reason has 1001 characters, and 1000 are allowed: shorten it.\n" + why + sure},
		{"later", "sell", "q\n", decision.Later, "", ask},
		{"unknown answers", "sell", "yes\x1b[31m\n\na\n\ny\n", decision.Approve, "", ask + "\"yes[31m\" is not one of these.\n" + ask + ask + sold + sure},
		{"nothing to approve", "hold", "a\nb\n\ny\n", decision.Buy, "", strings.Repeat("\n[b]uy, [s]ell, [d]ecline, or [q]uit and decide later? ", 1) + "Order-1 recommends neither to buy nor to sell, so there is nothing to approve: answer buy, sell or decline.\n" + "\n[b]uy, [s]ell, [d]ecline, or [q]uit and decide later? \nBuy 5 AMZN at $62, $310 in all.\n" + why + sure},
		{"end of the input", "sell", "", decision.Later, "", ask + "\n"},
		{"end after a mistake", "sell", "x\n", decision.Later, "", ask + "\"x\" is not one of these.\n" + ask + "\n"},
		{"end in the line", "sell", "a", decision.Later, "", ask + "\n" + sold + "\n"},
		{"end before the reason", "sell", "d\n", decision.Later, "", ask + none + "\n"},
		{"end before the yes", "sell", "a\n\n", decision.Later, "", ask + sold + sure + "\n"},
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
			want := strings.Replace(shown, "Recommended  sell", "Recommended  "+recommended, 1) + test.out
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
		sold = "\nSell 5 AMZN at $187.12 or better, $935.60 in all, as recommended, with REAL MONEY.\nWhy (Enter for no reason)? "
		sure = "This is real money. Type yes to send it, or Enter to go back: "
	)
	for _, test := range []struct {
		name, in string
		answer   decision.Answer
		out      string
	}{
		{"and again", "a\n\nYES\n", decision.Approve, ask + sold + sure},
		{"and not again", "a\n\n\nq\n", decision.Later, ask + sold + sure + ask},
		{"with another word", "a\n\ny\nb\n\nyes\n", decision.Buy, ask + sold + sure + ask + strings.NewReplacer("Sell", "Buy", "as recommended", "against the recommendation to sell").Replace(sold) + sure},
		{"to the end of the input", "a\n\n", decision.Later, ask + sold + sure + "\n"},
		{"that is not spent", "d\n\ny\n", decision.Decline, ask + "\nDecline to sell 5 AMZN at $187.12 or better, $935.60 in all; nothing is traded.\nWhy (Enter for no reason)? Type y to send it, or Enter to go back: "},
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
			if !strings.Contains(head, "\n  Market       LIVE, WITH REAL MONEY\n") {
				t.Errorf("real money is not shown:\n%s", head)
			}
			if diff := cmp.Diff(test.out, "\n"+asked); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

// A request of an older version says nothing of its market: it can be declined, and whoever
// would trade it sees that the trade will be refused.
func TestAskOfAnOlderVersion(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sfntest.OldQuote("AMZN", 62, 5, "sell"))
	w := waits(t, s)[0]
	terminal, out := screen("", false)
	if err := terminal.Show(w); err != nil {
		t.Fatal(err)
	}
	if want := "  Market       unknown: the request is of an older version, and a trade of it is refused\n"; !strings.Contains(out.String(), want) {
		t.Errorf("what is shown lacks %q:\n%s", want, out)
	}
	for answer, want := range map[decision.Answer]string{
		decision.Approve: "Sell 5 AMZN at $62, $310 in all, as recommended, which will be refused: the request is of an older version of the app",
		decision.Decline: "Decline to sell 5 AMZN at $62, $310 in all; nothing is traded",
	} {
		if got, err := w.Act(answer); err != nil || got != want {
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
		time.AfterFunc(time.Millisecond, func() { io.WriteString(person, "b\n\ny\nd\nno\ny\n") })
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

	terminal, out := screen("b\n\ny\n", false)
	all := waits(t, s)
	if len(all) != 2 {
		t.Fatalf("%d wait, want 2", len(all))
	}
	if err := terminal.Table(all); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 5 { // two notes
		t.Errorf("the table of two has %d lines", lines)
	}
	out.Reset()
	if _, _, err := terminal.Ask(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out.String(), "\n"), strings.Count(shown, "\n")+3; got != want {
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
