package decision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
	"stocktrading/lambdas/trading"
)

const (
	token = "AAAA+hush/hush=="
	me    = "arn:aws:sts::123456789012:assumed-role/Approver/jo"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// sell is a request that recommends to sell.
var sell = sfntest.Quote("AMZN", 62, 5, "sell")

func newDesk(t *testing.T, s *sfntest.Service) *decision.Desk {
	t.Helper()
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	return decision.New(s, machine, func(context.Context) (string, error) { return me, nil })
}

func find(t *testing.T, d *decision.Desk, execution string) decision.Wait {
	t.Helper()
	w, err := d.Find(t.Context(), execution)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// noToken fails the test if a text has a token: all of them hush.
func noToken(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(text, "hush") {
			t.Errorf("the token is in %q", text)
		}
	}
}

// wantError checks an error's sentence and what it is.
func wantError(t *testing.T, err, is error, sentence string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", sentence)
	}
	if diff := cmp.Diff(sentence, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	for _, kind := range []error{decision.ErrGone, decision.ErrNotYet, decision.ErrWrongUse, context.Canceled} {
		if got, want := errors.Is(err, kind), is == kind; got != want {
			t.Errorf("is %q: %v, want %v", kind, got, want)
		}
	}
	noToken(t, fmt.Sprintf("%s %v %+v %#v %q", err, err, err, err, err))
}

func TestListOfHundreds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 450
		s := &sfntest.Service{Page: 100}
		var want []string
		for i := range total {
			at := noon.Add(time.Duration(i) * time.Second)
			x := s.Start(fmt.Sprintf("order-%03d", i), at)
			switch i % 3 {
			case 0:
				x.Ask(at, token, sell)
				want = append(want, x.Name)
			case 1:
				x.Ask(at, token, sell).Append(at, sfntest.Succeeded("{}"), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Task", "Sell Stock"))
			}
		}
		var (
			mu          sync.Mutex
			now, atOnce int
		)
		s.OnHistory = func(_ context.Context, _ string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
			mu.Lock()
			now++
			atOnce = max(atOnce, now)
			mu.Unlock()
			time.Sleep(50 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return call()
		}
		desk := newDesk(t, s)
		var progress []int
		desk.Progress = func(done, of int) {
			if of != total {
				t.Errorf("progress of %d, want %d", of, total)
			}
			progress = append(progress, done)
		}
		began := time.Now()
		waits, err := desk.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range waits {
			got = append(got, w.Name())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("oldest first (-want +got):\n%s", diff)
		}
		if n := len(s.Calls("ListExecutions")); n != 5 {
			t.Errorf("%d pages were asked for, want 5", n)
		}
		if n := len(s.Calls("GetExecutionHistory")); n != total {
			t.Errorf("%d history calls, want one for each of %d executions", n, total)
		}
		// 200 at once and 10 a second after that.
		if took := time.Since(began); took < 24*time.Second || took > 27*time.Second {
			t.Errorf("it took %v, want 25 s for 450 calls", took)
		}
		if atOnce < 2 || atOnce > 16 {
			t.Errorf("%d calls at once, want 2 to 16", atOnce)
		}
		if len(progress) != total || !slices.IsSorted(progress) || progress[total-1] != total {
			t.Errorf("progress was told %d times, up to %v", len(progress), progress[len(progress)-1])
		}
	})
}

// A List reads what is new, and of what it remembers as much as it may without delay.
func TestListRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 450
		s := &sfntest.Service{}
		for i := range total {
			s.Start(fmt.Sprintf("order-%03d", i), time.Now()).Ask(time.Now(), token, sell)
		}
		var mu sync.Mutex
		reads := map[string]int{}
		s.OnHistory = func(_ context.Context, arn string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
			mu.Lock()
			defer mu.Unlock()
			reads[arn]++
			return call()
		}
		desk := newDesk(t, s)
		list := func(want int) (calls int, took time.Duration) {
			t.Helper()
			before, began := len(s.Calls("GetExecutionHistory")), time.Now()
			waits, err := desk.List(t.Context())
			if err != nil || len(waits) != want {
				t.Errorf("%d wait and error %v, want %d", len(waits), err, want)
			}
			return len(s.Calls("GetExecutionHistory")) - before, time.Since(began)
		}
		if calls, took := list(total); calls != total || took < 24*time.Second {
			t.Errorf("the first list takes %d calls and %v, want %d and 25 s", calls, took, total)
		}
		s.Start("new", time.Now()).Ask(time.Now(), token, sell)
		if calls, took := list(total + 1); calls != 1 || took > time.Second {
			t.Errorf("a list with a new one takes %d calls and %v, want 1 at once", calls, took)
		}
		for range 4 {
			time.Sleep(20 * time.Second) // 200 calls more
			if calls, took := list(total + 1); calls < 130 || calls > 200 || took > 0 {
				t.Errorf("a list later takes %d calls and %v, want some 150 at once", calls, took)
			}
		}
		for arn, n := range reads {
			if n < 2 {
				t.Errorf("%s is never read again", arn)
			}
		}
	})
}

// What List remembers is given up when it may no longer be so, also where the calls that
// are left are kept for decisions.
func TestListGivesUp(t *testing.T) {
	moved := []types.HistoryEvent{sfntest.Succeeded("{}"), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Task", "Sell Stock")}
	for _, test := range []struct {
		name   string
		others int // that wait too, and take the calls
		event  func(t *testing.T, d *decision.Desk, s *sfntest.Service, x *sfntest.Execution)
		waits  bool // the execution still does, for all that the list knows
		reads  int  // of its history by the second list
	}{
		{"nothing", 200, func(*testing.T, *decision.Desk, *sfntest.Service, *sfntest.Execution) {}, true, 0},
		{"nothing, and there are calls left", 0, func(*testing.T, *decision.Desk, *sfntest.Service, *sfntest.Execution) {}, true, 1},
		{"answered by somebody else", 0, func(_ *testing.T, _ *decision.Desk, _ *sfntest.Service, x *sfntest.Execution) {
			x.Append(time.Now(), moved...)
		}, false, 1},
		{"answered by somebody else, and no calls left", 200, func(_ *testing.T, _ *decision.Desk, _ *sfntest.Service, x *sfntest.Execution) {
			x.Append(time.Now(), moved...)
		}, true, 0},
		{"answered by somebody else, and found out", 200, func(t *testing.T, d *decision.Desk, _ *sfntest.Service, x *sfntest.Execution) {
			x.Append(time.Now(), moved...)
			if _, err := d.Find(t.Context(), x.Name); !errors.Is(err, decision.ErrGone) {
				t.Errorf("found: %v", err)
			}
		}, false, 1},
		{"answered here", 200, func(t *testing.T, d *decision.Desk, _ *sfntest.Service, x *sfntest.Execution) {
			if _, err := d.Decide(t.Context(), find(t, d, x.Name), decision.Approve, ""); err != nil {
				t.Error(err)
			}
		}, false, 1},
		{"ended", 200, func(_ *testing.T, _ *decision.Desk, _ *sfntest.Service, x *sfntest.Execution) {
			x.Append(time.Now(), sfntest.Event("ExecutionAborted"))
		}, false, 0},
		{"expired", 200, func(_ *testing.T, _ *decision.Desk, _ *sfntest.Service, x *sfntest.Execution) {
			time.Sleep(time.Hour)
			x.Append(time.Now(), sfntest.Event("TaskTimedOut"))
		}, false, 1},
		{"redriven", 200, func(_ *testing.T, _ *decision.Desk, _ *sfntest.Service, x *sfntest.Execution) {
			x.Redrives++
			x.Append(time.Now(), sfntest.Event("ExecutionAborted"), sfntest.Event("ExecutionRedriven"))
		}, false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sfntest.Service{}
				x := s.Start("order", time.Now()).Ask(time.Now(), token, sell)
				for i := range test.others {
					s.Start(fmt.Sprint(i), time.Now()).Ask(time.Now(), fmt.Sprint(i), sell)
				}
				desk := newDesk(t, s)
				if _, err := desk.List(t.Context()); err != nil {
					t.Fatal(err)
				}
				test.event(t, desk, s, x)
				var mu sync.Mutex
				reads := 0
				s.OnHistory = func(_ context.Context, arn string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
					mu.Lock()
					defer mu.Unlock()
					if arn == sfntest.Arn(x.Name) {
						reads++
					}
					return call()
				}
				waits, err := desk.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if is := slices.ContainsFunc(waits, func(w decision.Wait) bool { return w.Name() == x.Name }); is != test.waits || reads != test.reads {
					t.Errorf("waits: %v after %d reads, want %v after %d", is, reads, test.waits, test.reads)
				}
			})
		})
	}
}

// A request that is not on the queue yet may be sent anew, with another token.
func TestListRemembersWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sfntest.Service{}
		for i := range 200 {
			s.Start(fmt.Sprint(i), time.Now()).Ask(time.Now(), token, sell)
		}
		parameters := func(symbol string) string {
			return `{"MessageBody":{"Input":` + sfntest.Quote(symbol, 62, 5, "sell") + `,"TaskToken":"` + token + `","Execution":"` + sfntest.Arn("order") + `","EnteredTime":"2026-01-02T03:04:05Z","TimeoutSeconds":3600}}`
		}
		x := s.Start("order", time.Now()).Append(time.Now(), sfntest.Scheduled("sendMessage.waitForTaskToken", parameters("OLD")))
		desk := newDesk(t, s)
		for _, want := range []string{"OLD", "NEW"} {
			waits, err := desk.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(waits, func(w decision.Wait) bool { return w.Name() == x.Name })
			if i < 0 || waits[i].Quote.Symbol != want {
				t.Errorf("the list doesn't have %s of %s", x.Name, want)
			}
			x.Append(time.Now(), sfntest.Event("TaskSubmitFailed"), sfntest.Scheduled("sendMessage.waitForTaskToken", parameters("NEW")))
		}
	})
}

// A wait of a list that is asked anew can't be answered with what was remembered.
func TestDecideOnWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sfntest.Service{}
		x := s.Start("order", time.Now()).Ask(time.Now(), token, sell)
		desk := newDesk(t, s)
		waits, err := desk.List(t.Context())
		if err != nil || len(waits) != 1 {
			t.Fatal(waits, err)
		}
		x.Append(time.Now(), sfntest.Event("TaskTimedOut")).Wait(time.Now(), "another "+token, sell)
		if _, err := desk.Decide(t.Context(), waits[0], decision.Approve, ""); !errors.Is(err, decision.ErrGone) {
			t.Errorf("got error %v", err)
		}
		if sent := s.Calls("SendTask"); len(sent) != 0 {
			t.Errorf("sent %q", sent)
		}
	})
}

func TestListCountsAnExecutionOnce(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	pages := 0
	s.OnList = func(_ context.Context, call func() (*sfn.ListExecutionsOutput, error)) (*sfn.ListExecutionsOutput, error) {
		out, err := call()
		if pages++; pages < 3 {
			out.NextToken = aws.String("0")
		}
		return out, err
	}
	waits, err := newDesk(t, s).List(t.Context())
	if err != nil || len(waits) != 1 || pages != 3 {
		t.Errorf("got %d waits from %d pages and error %v, want 1 from 3", len(waits), pages, err)
	}
}

func TestListKeepsWhatItCannotRead(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("fine", noon).Ask(noon.Add(time.Minute), token, sell)
	s.Start("other-message", noon).Append(noon, sfntest.Scheduled("sendMessage.waitForTaskToken", `{"MessageBody":{"TaskToken":"`+token+`"}}`))
	s.Start("no-message", noon.Add(2*time.Minute)).Append(noon.Add(2*time.Minute), sfntest.Scheduled("sendMessage.waitForTaskToken", `"`+token+`"`))
	s.Start("no-history", noon.Add(3*time.Minute))
	s.OnHistory = func(_ context.Context, arn string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
		if arn == sfntest.Arn("no-history") {
			return nil, &types.ExecutionDoesNotExist{}
		}
		return call()
	}
	waits, err := newDesk(t, s).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range waits {
		got = append(got, w.Name()+": "+w.Problem)
	}
	_, unreadable := trading.ParseApprovalRequest([]byte(`{"TaskToken":"x"}`))
	want := []string{
		"other-message: the request can't be read: " + unreadable.Error(),
		"fine: ",
		"no-message: the history doesn't hold the request's message",
		"no-history: there is no execution " + sfntest.Arn("no-history") + `: "go run ./desk" lists what waits`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	text, err := json.Marshal(waits[2:3])
	if err != nil {
		t.Fatal(err)
	}
	wantJSON := `[{"execution":"` + sfntest.Arn("no-message") + `","market":null,"symbol":null,"price":null,"qty":null,"total":null,"recommendation":null,` +
		`"waiting_since":"2026-01-02T12:02:00Z","deadline":"2026-01-02T13:02:00Z","problem":"the history doesn't hold the request's message"}]`
	if diff := cmp.Diff(wantJSON, string(text)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	noToken(t, append(got, string(text))...)
}

func TestListOfNothing(t *testing.T) {
	waits, err := newDesk(t, &sfntest.Service{}).List(t.Context())
	if err != nil || len(waits) != 0 {
		t.Errorf("got %v, %v", waits, err)
	}
}

// What follows the request in an execution's history, and whether the wait is open.
var endings = []struct {
	name   string
	events []types.HistoryEvent
	open   bool
	gone   string // what Find and Decide say, after "too late, nothing was sent for order-1: "
}{
	{name: "waiting", open: true},
	{name: "an event of a new type", events: []types.HistoryEvent{sfntest.Event("TaskPondered")}, open: true},
	{
		name:   "approved",
		events: []types.HistoryEvent{sfntest.Succeeded(`{"decision":"approve","decided_by":"arn:jo","reason":"fine"}`), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Choice", "Buy or Sell?"), sfntest.Exited("Choice", "Buy or Sell?"), sfntest.Entered("Task", "Sell Stock")},
		gone:   "approved by jo at 2026-01-02 12:01 UTC: fine; it went on with Sell Stock",
	},
	{name: "approved with an output that says nothing", events: []types.HistoryEvent{sfntest.Succeeded(`[1]`)}, gone: "approved at 2026-01-02 12:01 UTC"},
	{name: "an answer without details", events: []types.HistoryEvent{sfntest.Event("TaskSucceeded")}, gone: "approved at 2026-01-02 12:01 UTC"},
	{
		name:   "declined",
		events: []types.HistoryEvent{sfntest.Failed("TradeDeclined", "too expensive (decided by arn:jo)"), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Pass", "Trade Declined")},
		gone:   "declined by jo at 2026-01-02 12:01 UTC: too expensive; nothing was traded",
	},
	{name: "bought instead", events: []types.HistoryEvent{sfntest.Failed("BuyInstead", "")}, gone: "changed to buy at 2026-01-02 12:01 UTC"},
	{name: "sold instead", events: []types.HistoryEvent{sfntest.Failed("SellInstead", "")}, gone: "changed to sell at 2026-01-02 12:01 UTC"},
	{name: "another error", events: []types.HistoryEvent{sfntest.Failed("Oops", "why")}, gone: "failed as Oops at 2026-01-02 12:01 UTC: why"},
	{
		name:   "expired",
		events: []types.HistoryEvent{sfntest.Event("TaskTimedOut"), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Pass", "Approval Expired")},
		gone:   "expired at 2026-01-02 12:01 UTC; nothing was traded",
	},
	{name: "stopped", events: []types.HistoryEvent{sfntest.Event("TaskStateAborted"), sfntest.Event("ExecutionAborted")}, gone: "stopped with the execution at 2026-01-02 12:01 UTC"},
	{name: "the machine's timeout", events: []types.HistoryEvent{sfntest.Event("TaskStateAborted"), sfntest.Event("ExecutionTimedOut")}, gone: "ended by the execution's own timeout at 2026-01-02 12:01 UTC"},
	{name: "not sent to the queue", events: []types.HistoryEvent{sfntest.Event("TaskSubmitFailed")}, gone: "not sent to the queue at 2026-01-02 12:01 UTC"},
	{name: "moved on", events: []types.HistoryEvent{sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Task", "Report Result"), sfntest.Scheduled("publish", "{}")}, gone: "left by the execution at 2026-01-02 12:01 UTC; it went on with Report Result"},
}

func TestOpenWait(t *testing.T) {
	for _, page := range []int{0, 1} { // the API may give less than it was asked for
		for _, test := range endings {
			t.Run(fmt.Sprintf("%s, pages of %d", test.name, page), func(t *testing.T) {
				s := &sfntest.Service{Page: page}
				s.Start("order-1", noon).Ask(noon, token, sell).Append(noon.Add(time.Minute), test.events...)
				desk := newDesk(t, s)

				// Those that have ended are not listed as running.
				waits, err := desk.List(t.Context())
				if err != nil || len(waits) == 1 != test.open {
					t.Errorf("listed %d and error %v, want it there: %v", len(waits), err, test.open)
				}
				w, err := desk.Find(t.Context(), "order-1")
				if test.open {
					if err != nil {
						t.Fatal(err)
					}
					want := decision.Wait{
						Execution: sfntest.Arn("order-1"), Recommended: "sell", Since: noon, Deadline: noon.Add(time.Hour),
						Quote: trading.Quote{StockPrice: 62, Market: trading.SimulatedMarket, Symbol: "AMZN", Qty: 5, QuoteID: "0123456789abcdef0123456789abcdef", QuotedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
					}
					if diff := cmp.Diff(toJSON(t, want), toJSON(t, w)); diff != "" || w.Quote != want.Quote {
						t.Errorf("found (-want +got):\n%s", diff)
					}
					return
				}
				wantError(t, err, decision.ErrGone, "too late, nothing was sent for order-1: "+test.gone)
			})
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A retried request, whose sending failed, is a wait of its own with another token.
func TestTheNewestWaitCounts(t *testing.T) {
	s := &sfntest.Service{}
	x := s.Start("order-1", noon).Ask(noon, "hush-1", sell)
	desk := newDesk(t, s)
	first := find(t, desk, "order-1")
	x.Append(noon, sfntest.Failed("Oops", "")).Wait(noon.Add(time.Minute), "hush-2", sell)

	_, err := desk.Decide(t.Context(), first, decision.Approve, "")
	wantError(t, err, decision.ErrGone, "too late, nothing was sent for order-1: failed as Oops at 2026-01-02 12:00 UTC; it went on with a new request")

	w := find(t, desk, "order-1")
	if w.Since != noon.Add(time.Minute) {
		t.Errorf("found the wait since %v", w.Since)
	}
	if _, err := desk.Decide(t.Context(), w, decision.Approve, ""); err != nil {
		t.Fatal(err)
	}
	if sent := s.Calls("SendTask"); len(sent) != 1 || !strings.HasPrefix(sent[0], "SendTaskSuccess hush-2 ") {
		t.Errorf("sent %q", sent)
	}
}

func TestFind(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	s.Start("begun", noon)
	s.Start("failed", noon).Append(noon, sfntest.Entered("Fail", "Trade Failed"), sfntest.Event("ExecutionFailed"))
	s.Start("redriven", noon).Append(noon, sfntest.Event("ExecutionFailed"), sfntest.Event("ExecutionRedriven"))
	s.Start("hid\u202eden\u200b", noon).Ask(noon, token, sell)
	s.Start("twin", noon).Append(noon, sfntest.Event("ExecutionSucceeded"))
	s.Start("twin\u200b", noon).Ask(noon, token, sell)
	s.Start("pair\u200b", noon).Ask(noon, token, sell)
	s.Start("pair\u200d", noon).Ask(noon, token, sell)
	desk := newDesk(t, s)
	for _, test := range []struct {
		name, execution string
		want            string // the name of the execution
		is              error
		wantErr         string
	}{
		{name: "by name", execution: "order-1", want: "order-1"},
		{name: "by ARN", execution: sfntest.Arn("order-1"), want: "order-1"},
		{name: "not asked yet", execution: "begun", is: decision.ErrNotYet, wantErr: "begun does not wait for a decision yet, it is at Check Stock Price: try again in a moment"},
		{name: "never asked", execution: "failed", is: decision.ErrGone, wantErr: "failed asked nobody and is over (ExecutionFailed at 2026-01-02T12:00:00Z): there is nothing to decide"},
		{name: "begun again", execution: "redriven", is: decision.ErrNotYet, wantErr: "redriven does not wait for a decision yet, it is at Check Stock Price: try again in a moment"},
		{name: "unknown", execution: "order-2", wantErr: "there is no execution " + sfntest.Arn("order-2") + `: "go run ./desk" lists what waits`},
		{name: "as it is shown", execution: "hidden", want: "hid\u202eden\u200b"},
		{name: "as a notice has it", execution: sfntest.Arn("hidden"), want: "hid\u202eden\u200b"},
		{name: "as it is", execution: "hid\u202eden\u200b", want: "hid\u202eden\u200b"},
		{name: "an exact name before one that looks like it", execution: "twin", is: decision.ErrGone, wantErr: "twin asked nobody and is over (ExecutionSucceeded at 2026-01-02T12:00:00Z): there is nothing to decide"},
		{name: "two that look like it", execution: "pair", wantErr: "there is no execution " + sfntest.Arn("pair") + `: "go run ./desk" lists what waits`},
		{name: "empty", execution: "", is: decision.ErrWrongUse, wantErr: "'' is not the name of an execution: that has 1 to 80 characters, no spaces and none of <>{}[]?*\"#%\\^|~`$&,;:/"},
		{name: "no name", execution: "a b\x1b[31m", is: decision.ErrWrongUse, wantErr: "'a b[31m' is not the name of an execution: that has 1 to 80 characters, no spaces and none of <>{}[]?*\"#%\\^|~`$&,;:/"},
		{name: "no ARN", execution: "arn:aws:sqs:eu-west-1:123456789012:queue", is: decision.ErrWrongUse, wantErr: "'arn:aws:sqs:eu-west-1:123456789012:queue' is not the ARN of a state machine or an execution: it looks like arn:aws:states:REGION:ACCOUNT:stateMachine:NAME, and the stack's output StateMachineArn is one"},
		{name: "a state machine", execution: sfntest.Machine, is: decision.ErrWrongUse, wantErr: sfntest.Machine + " is a state machine: name one of its executions"},
		{name: "of another state machine", execution: "arn:aws:states:eu-west-1:123456789012:execution:Other:order-1", is: decision.ErrWrongUse, wantErr: "arn:aws:states:eu-west-1:123456789012:execution:Other:order-1 is not an execution of " + sfntest.Machine + ": name its own state machine, or none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, err := desk.Find(t.Context(), test.execution)
			if test.wantErr != "" {
				wantError(t, err, test.is, test.wantErr)
				return
			}
			if err != nil || w.Execution != sfntest.Arn(test.want) {
				t.Errorf("found %q, error %v", w.Execution, err)
			}
		})
	}
}

func TestParseMachine(t *testing.T) {
	for _, test := range []struct{ name, arn, machine, region string }{
		{"state machine", sfntest.Machine, sfntest.Machine, "eu-west-1"},
		{"execution", sfntest.Arn("order-1"), sfntest.Machine, "eu-west-1"},
		{"another partition", "arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:M:n", "arn:aws-us-gov:states:us-gov-west-1:123456789012:stateMachine:M", "us-gov-west-1"},
		{"no region", "arn:aws:states::123456789012:stateMachine:M", "", ""},
		{"no account", "arn:aws:states:eu-west-1::stateMachine:M", "", ""},
		{"a version", sfntest.Machine + ":1", "", ""},
		{"an express execution", "arn:aws:states:eu-west-1:123456789012:express:M:n:i", "", ""},
		{"a name", "StockTrading", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decision.ParseMachine(test.arn)
			if got.ARN != test.machine || got.Region != test.region || (err == nil) != (test.machine != "") {
				t.Errorf("got %+v and error %v", got, err)
			}
			if err != nil && !errors.Is(err, decision.ErrWrongUse) {
				t.Errorf("%v is not ErrWrongUse", err)
			}
		})
	}
}

// Each error that can come is one sentence that says what to do.
func TestErrorSentences(t *testing.T) {
	unreachable := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "states.eu-west-9.amazonaws.com", IsNotFound: true}}
	for _, test := range []struct {
		name string
		err  error
		want string // for ListExecutions
	}{
		{"access denied", sfntest.Error("AccessDeniedException"), "you may not call states:ListExecutions on " + sfntest.Machine + ": ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it"},
		{"expired session", sfntest.Error("ExpiredTokenException"), `your AWS session has expired: sign in again, for example with "aws sso login"`},
		{"unknown key", sfntest.Error("UnrecognizedClientException"), "AWS does not accept your credentials (UnrecognizedClientException): check the profile, its keys, and this machine's clock"},
		{"wrong secret", sfntest.Error("InvalidSignatureException"), "AWS does not accept your credentials (InvalidSignatureException): check the profile, its keys, and this machine's clock"},
		{"region not enabled", sfntest.Error("OptInRequired"), "this AWS account can't use the region in " + sfntest.Machine + ": enable the region, or check the ARN"},
		{"throttled for good", sfntest.Error("ThrottlingException"), "AWS has throttled states:ListExecutions again and again (ThrottlingException): wait a minute and try again"},
		{"no such state machine", &types.StateMachineDoesNotExist{}, "there is no state machine " + sfntest.Machine + ": compare its region, account and name with the stack's output StateMachineArn"},
		{"an Express state machine", &types.StateMachineTypeNotSupported{}, sfntest.Machine + " is an Express state machine, which asks nobody: name the stack's, its output StateMachineArn"},
		{"malformed ARN", &types.InvalidArn{}, "Step Functions does not take " + sfntest.Machine + " for an ARN: compare it with the stack's output StateMachineArn"},
		{"unreachable", unreachable, "Step Functions can't be reached (dial tcp: lookup states.eu-west-9.amazonaws.com: no such host): check the region in " + sfntest.Machine + ", the network, and AWS_ENDPOINT_URL if it is set"},
		{"no region", fmt.Errorf("resolve endpoint: %w", &aws.MissingRegionError{}), "no AWS region is known: name the state machine by its ARN, which holds the region, or set AWS_REGION"},
		{"another error of the API", sfntest.Error("Odd\x1b[31m"), "states:ListExecutions failed: a message of the service (Odd[31m)"},
		{"another error", errors.New("odd\nodd\x1b[31m"), "states:ListExecutions failed: odd odd[31m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sfntest.Service{OnList: func(context.Context, func() (*sfn.ListExecutionsOutput, error)) (*sfn.ListExecutionsOutput, error) {
				return nil, test.err
			}}
			_, err := newDesk(t, s).List(t.Context())
			wantError(t, err, nil, test.want)
		})
		t.Run(test.name+" of a history", func(t *testing.T) {
			s := &sfntest.Service{OnHistory: func(context.Context, string, func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
				return nil, test.err
			}}
			s.Start("order-1", noon)
			_, err := newDesk(t, s).Find(t.Context(), "order-1")
			wantError(t, err, nil, strings.NewReplacer("states:ListExecutions", "states:GetExecutionHistory", sfntest.Machine, sfntest.Arn("order-1")).Replace(test.want))
		})
	}
}

// One execution that can't be read spares the others; what concerns all ends the list.
func TestListEndsWithTheFirstErrorOfAll(t *testing.T) {
	s := &sfntest.Service{}
	for i := range 40 {
		s.Start(fmt.Sprint(i), noon).Ask(noon, token, sell)
	}
	s.OnHistory = func(ctx context.Context, arn string, call func() (*sfn.GetExecutionHistoryOutput, error)) (*sfn.GetExecutionHistoryOutput, error) {
		if arn == sfntest.Arn("7") {
			return nil, sfntest.Error("AccessDeniedException")
		}
		select { // the others never come back by themselves
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Minute):
			return call()
		}
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := newDesk(t, s).List(t.Context())
		wantError(t, err, nil, "you may not call states:GetExecutionHistory on "+sfntest.Arn("7")+": ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it")
	})
}

func TestInterrupted(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	desk := newDesk(t, s)
	w := find(t, desk, "order-1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := desk.List(ctx)
	wantError(t, err, context.Canceled, "interrupted")
	_, err = desk.Find(ctx, "order-1")
	wantError(t, err, context.Canceled, "interrupted")
	_, err = desk.Decide(ctx, w, decision.Approve, "")
	wantError(t, err, context.Canceled, "interrupted")
	if sent := s.Calls("SendTask"); len(sent) > 0 {
		t.Errorf("sent %q", sent)
	}
}

// However a wait is printed, the token isn't there; nor is the function that holds it.
func TestWaitHidesItsToken(t *testing.T) {
	s := &sfntest.Service{}
	s.Start("order-1", noon).Ask(noon, token, sell)
	w := find(t, newDesk(t, s), "order-1")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "wait", w, "pointer", &w)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "wait", w, "pointer", &w)
	texts := []string{log.String(), toJSON(t, w), toJSON(t, &w), toJSON(t, map[string]any{"w": []any{w}})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		texts = append(texts, fmt.Sprintf(verb, w), fmt.Sprintf(verb, &w), fmt.Sprintf(verb, []any{w, &w}))
	}
	for _, text := range texts {
		noToken(t, text)
		if strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "hush")) {
			t.Errorf("the token is in %q", text)
		}
	}
}
