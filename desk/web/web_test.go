package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
)

const (
	host  = "127.0.0.1:8080"
	token = "AAAA+hush/hush=="
	me    = "arn:aws:sts::123456789012:assumed-role/Approver/jo"
)

// desk is a page on an API in memory, and a browser that has entered.
type desk struct {
	*Server
	service *sfntest.Service
	started []string // the inputs of executions that were started on the page
	told    []string
}

func newDesk(t *testing.T, local bool) *desk {
	t.Helper()
	definition, err := os.ReadFile("../../stacks/stock_trading.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{service: &sfntest.Service{Definition: string(definition)}}
	c := Config{
		Client: d.service, Machine: machine, Who: func(context.Context) (string, error) { return me, nil },
		Tell: func(address string) { d.told = append(d.told, address) },
	}
	if local {
		c.Start = func(name, input string) (string, error) {
			if name == "taken" {
				return "", errors.New("ExecutionAlreadyExists")
			}
			d.started = append(d.started, input)
			return "new one", nil
		}
	}
	d.Server = newServer(host, c)
	d.guard.invite()
	return d
}

// waiting adds an execution that asks.
func (d *desk) waiting(name string, since time.Time, recommended string) {
	d.service.Start(name, since).Ask(since, token, sfntest.Quote("AMZN", 62, 5, recommended))
}

// request is one of the person's browser; change may spoil it.
func (d *desk) request(method, path string, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://"+host+d.guard.base+path, strings.NewReader(form.Encode()))
	r.AddCookie(&http.Cookie{Name: cookieName, Value: d.guard.secret})
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Origin", "http://"+host)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func (d *desk) get(t *testing.T, path string, status int) string {
	t.Helper()
	w := d.request(http.MethodGet, path, nil, nil)
	if w.Code != status {
		t.Errorf("GET %s: status %d, want %d:\n%s", path, w.Code, status, w.Body)
	}
	return w.Body.String()
}

func (d *desk) post(t *testing.T, path string, form url.Values, status int) string {
	t.Helper()
	form.Set("form", d.guard.form)
	w := d.request(http.MethodPost, path, form, nil)
	if w.Code != status {
		t.Errorf("POST %s: status %d, want %d:\n%s", path, w.Code, status, w.Body)
	}
	return w.Body.String()
}

func wantText(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

func TestDecide(t *testing.T) {
	for _, test := range []struct {
		name, recommended, answer, reason string
		before, after, sent               string
	}{
		{"approve", "sell", "approve", "", "Sell 5 AMZN at $62, $310 in all, as recommended", "Approved by jo at ", "SendTaskSuccess"},
		{"the recommended side by its name", "sell", "sell", "", "Sell 5 AMZN at $62, $310 in all, as recommended", "Approved by jo at ", "SendTaskSuccess"},
		{"buy instead", "sell", "buy", "it will rise", "Buy 5 AMZN at $62, $310 in all, against the recommendation to sell", " UTC: it will rise. It buys now.", "SendTaskFailure " + token + " BuyInstead it will rise"},
		{"sell instead", "buy", "sell", "", "Sell 5 AMZN at $62, $310 in all, against the recommendation to buy", "Changed to sell by jo at ", "SendTaskFailure " + token + " SellInstead"},
		{"decline", "buy", "decline", "too <dear>", "Decline to buy 5 AMZN at $62, $310 in all; nothing is traded", " UTC: too &lt;dear&gt;. Nothing was traded.", "SendTaskFailure " + token + " TradeDeclined too <dear>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t, false)
			d.waiting("order-1", time.Now(), test.recommended)
			query := url.Values{"name": {"order-1"}, "answer": {test.answer}}
			shown := d.get(t, "decide?"+query.Encode(), http.StatusOK)
			button, _, _ := strings.Cut(test.before, " at ")
			wantText(t, shown, "<h1>"+test.before+"</h1>", `<button class="button" type="submit">`+button+"</button>", "You decide as jo.", "The price was quoted ")
			if n := strings.Count(shown, "<button"); n != 1 || strings.Contains(shown, "is-sell") || strings.Contains(shown, "is-buy") {
				t.Errorf("%d buttons, want 1, and no other side beside it:\n%s", n, shown)
			}
			if sent := d.service.Calls("SendTask"); len(sent) != 0 {
				t.Errorf("sent before the confirmation: %q", sent)
			}
			wait := regexp.MustCompile(`name="wait" value="(\d+)"`).FindStringSubmatch(shown)
			if wait == nil {
				t.Fatalf("the form doesn't say which wait it is about:\n%s", shown)
			}
			form := url.Values{"name": {"order-1"}, "answer": {test.answer}, "reason": {test.reason}, "wait": {wait[1]}}
			wantText(t, d.post(t, "decide", form, http.StatusOK), test.after, "<details><summary>Technical names</summary><p>Task", " by "+me)
			if sent := d.service.Calls("SendTask"); len(sent) != 1 || !strings.HasPrefix(sent[0], test.sent) {
				t.Errorf("sent %q, want %q", sent, test.sent)
			}
			wantText(t, d.post(t, "decide", form, http.StatusConflict), "Too late, nothing was sent for order-1")
			if again := d.request(http.MethodGet, "decide?"+query.Encode(), nil, nil); again.Code != http.StatusSeeOther || again.Header().Get("Location") != d.guard.base+"execution?name=order-1" {
				t.Errorf("who looks again gets status %d and headers %v, want the execution's page", again.Code, again.Header())
			}
			if sent := d.service.Calls("SendTask"); len(sent) != 1 {
				t.Errorf("a second answer was sent: %q", sent)
			}
		})
	}
}

func TestDecideRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		form   url.Values
		status int
		text   string
	}{
		{"another wait", url.Values{"name": {"order-1"}, "answer": {"approve"}, "wait": {"1"}}, http.StatusConflict, "asks something else now"},
		{"no wait", url.Values{"name": {"order-1"}, "answer": {"approve"}}, http.StatusConflict, "asks something else now"},
		{"no answer", url.Values{"name": {"order-1"}}, http.StatusBadRequest, "is not an answer"},
		{"an odd answer", url.Values{"name": {"order-1"}, "answer": {"<b>"}}, http.StatusBadRequest, "is not an answer"},
		{"no name", url.Values{"answer": {"approve"}}, http.StatusBadRequest, "is not the name of an execution"},
		{"no execution", url.Values{"name": {"other"}, "answer": {"approve"}}, http.StatusNotFound, "There is no execution"},
		{"not yet", url.Values{"name": {"busy"}, "answer": {"approve"}}, http.StatusConflict, "does not wait for a decision yet"},
		{"of another machine", url.Values{"name": {strings.Replace(sfntest.Arn("order-1"), "StockTrading", "Other", 1)}, "answer": {"approve"}}, http.StatusBadRequest, "is not an execution of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t, false)
			d.waiting("order-1", time.Now(), "sell")
			d.service.Start("busy", time.Now())
			wantText(t, d.post(t, "decide", test.form, test.status), test.text)
			if sent := d.service.Calls("SendTask"); len(sent) != 0 {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

func TestLimitPrice(t *testing.T) {
	d := newDesk(t, false)
	d.service.Start("real", time.Now()).Ask(time.Now(), token, sfntest.RealQuote("paper", "AMZN", 187.12, "187.12", 5, "sell"))
	wantText(t, d.get(t, "", http.StatusOK), "<dt>Limit price</dt><dd>$187.12 or better</dd>", "<dt>Total</dt><dd>$935.60</dd>", "<dt>Market</dt><dd>paper trading, with play money</dd>")
}

// Real money can't be missed, and takes a second yes.
func TestRealMoney(t *testing.T) {
	d := newDesk(t, false)
	d.service.Start("real", time.Now()).Ask(time.Now(), token, sfntest.RealQuote("live", "AMZN", 187.12, "187.12", 5, "sell"))
	const warning, box = `<p class="alert live">Real money</p>`, `<input type="checkbox" id="real-money" name="real-money" value="yes" required>`
	wantText(t, d.get(t, "", http.StatusOK), warning, "<dt>Market</dt><dd>LIVE, WITH REAL MONEY</dd>")
	if page := d.get(t, "decide?name=real&answer=decline", http.StatusOK); !strings.Contains(page, warning) || strings.Contains(page, box) {
		t.Errorf("to decline takes a second yes, or shows no stakes:\n%s", page)
	}
	for _, answer := range []string{"approve", "buy", "sell"} {
		shown := d.get(t, "decide?name=real&answer="+answer, http.StatusOK)
		wantText(t, shown, warning, box, ", with REAL MONEY</h1>")
		wait := regexp.MustCompile(`name="wait" value="(\d+)"`).FindStringSubmatch(shown)[1]
		for _, sure := range []string{"", "no"} {
			wantText(t, d.post(t, "decide", url.Values{"name": {"real"}, "answer": {answer}, "wait": {wait}, "real-money": {sure}}, http.StatusBadRequest), "this trades with real money")
		}
	}
	if sent := d.service.Calls("SendTask"); len(sent) != 0 {
		t.Fatalf("sent without a second yes: %q", sent)
	}
	wait := regexp.MustCompile(`name="wait" value="(\d+)"`).FindStringSubmatch(d.get(t, "decide?name=real&answer=approve", http.StatusOK))[1]
	d.post(t, "decide", url.Values{"name": {"real"}, "answer": {"approve"}, "wait": {wait}, "real-money": {"yes"}}, http.StatusOK)
	if sent := d.service.Calls("SendTask"); len(sent) != 1 {
		t.Errorf("sent %q, want one answer", sent)
	}
	d.waiting("play", time.Now(), "sell")
	if page := d.get(t, "", http.StatusOK) + d.get(t, "decide?name=play&answer=approve", http.StatusOK); strings.Contains(page, warning) || strings.Contains(page, box) {
		t.Errorf("play money looks like real money:\n%s", page)
	}
}

func TestWaits(t *testing.T) {
	d := newDesk(t, false)
	empty := d.get(t, "", http.StatusOK)
	wantText(t, empty, "<title>What waits for a decision ·")
	if n := strings.Count(empty, "Nothing waits"); n != 1 {
		t.Errorf("the page says %d times that nothing waits:\n%s", n, empty)
	}
	now := time.Now()
	d.waiting("younger", now.Add(-time.Minute), "buy")
	d.waiting("older", now.Add(-2*time.Minute), "sell")
	d.waiting("unclear", now.Add(-3*time.Second), "hold")
	page := d.get(t, "", http.StatusOK)
	wantText(t, page, "<title>(3) What waits for a decision ·", "3 trades wait, the oldest first", "<dd>2m</dd>", "57m", "Approve to sell<span", ": Sell 5 AMZN, older<", "Buy instead", "Sell instead", "Decline", `answer=decline`)
	if strings.Index(page, "Execution older") > strings.Index(page, "Execution younger") {
		t.Error("the oldest is not first")
	}
	if n := strings.Count(page, "answer=approve"); n != 2 {
		t.Errorf("%d can be approved, want 2: one recommends nothing", n)
	}
}

// A list that takes long shows how far it has come, and goes on while nobody looks.
func TestLongList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 300
		d := newDesk(t, false)
		for i := range total {
			d.waiting(fmt.Sprint("order-", i), time.Now(), "buy")
		}
		ctx, close := context.WithCancel(t.Context())
		first := d.request(http.MethodGet, "", nil, func(r *http.Request) { *r = *r.WithContext(ctx) }).Body.String()
		close()
		second := d.get(t, "", http.StatusOK)
		var done [2]int
		for i, page := range []string{first, second} {
			wantText(t, page, `data-poll="1000"`, " trades wait, the oldest first, so far.", "answer=decline")
			if _, at, _ := strings.Cut(page, "Reading executions: "); at != "" {
				fmt.Sscanf(at, "%d of 300.", &done[i])
			}
		}
		// 200 at once and 10 a second after that.
		if done[0] < 200 || done[0] > 215 || done[1] < done[0]+5 {
			t.Errorf("read %v of %d, want 210 and 220", done, total)
		}
		time.Sleep(10 * time.Second)
		page := d.get(t, "", http.StatusOK)
		wantText(t, page, `data-poll="20000"`, "300 trades wait, the oldest first.")
		if strings.Contains(page, "Reading") {
			t.Errorf("the list is complete, and the page shows that it is being made:\n%s", page)
		}
		if n := len(d.service.Calls("GetExecutionHistory")); n < total || n > total+60 {
			t.Errorf("%d history calls, want one for each of %d executions and what may be read again", n, total)
		}
	})
}

// Before anything is found, the page does not say that nothing waits; and an error is told.
func TestListThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, false)
		fail := true
		d.service.OnList = func(_ context.Context, call func() (*sfn.ListExecutionsOutput, error)) (*sfn.ListExecutionsOutput, error) {
			time.Sleep(3 * patience / 2)
			if fail {
				return nil, sfntest.Error("AccessDeniedException")
			}
			return call()
		}
		page := d.get(t, "", http.StatusOK)
		wantText(t, page, "Reading executions.")
		if strings.Contains(page, "Nothing waits") || strings.Contains(page, "When the workflow asks") {
			t.Errorf("the page says that nothing waits before it knows:\n%s", page)
		}
		wantText(t, d.get(t, "", http.StatusBadGateway), "You may not call states:ListExecutions")
		fail = false
		d.get(t, "", http.StatusOK)
		wantText(t, d.get(t, "", http.StatusOK), "Nothing waits for a decision.")
	})
}

// This repository's workflow is drawn, and where an execution has been is marked. Another
// deployment's is listed.
func TestPicture(t *testing.T) {
	d := newDesk(t, false)
	now := time.Now()
	d.waiting("open", now, "buy")
	page := d.get(t, "execution?name=open", http.StatusOK)
	wantText(t, page, `class="node state is-running"`, `aria-label="Request Human Approval: running"`, `class="edge is-taken next"`)
	w, _, err := d.definition(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link := `href="#` + w.ID("Request Human Approval") + `"`
	again := string(draw(w, []visit{{State: "Buy Stock", Status: succeeded}, {State: "Report Result", Status: caught}, {State: "Buy Stock", Status: failed}}))
	for what, pair := range map[string][2]string{"class": {`class="node`, ` is-failed"`}, "label": {`aria-label="Buy Stock`, `: failed"`}} {
		if !regexp.MustCompile(pair[0] + `[^"]*` + pair[1]).MatchString(again) {
			t.Errorf("the %s of a state is not of its last visit:\n%s", what, again)
		}
	}
	wantText(t, d.get(t, "workflow", http.StatusOK), `<svg`, link+` aria-label="Request Human Approval"`)
	d.service.Definition = strings.Replace(d.service.Definition, `"StringEquals": "sell"`, `"StringEquals": "short"`, 1)
	for _, path := range []string{"workflow", "execution?name=open"} {
		page := d.get(t, path, http.StatusOK)
		wantText(t, page, "<a "+link+">Request Human Approval</a>", "if short: Sell Stock", "after BuyInstead: Buy Stock", "then: the end")
		if strings.Contains(page, "<svg") {
			t.Errorf("%s has a picture of another workflow:\n%s", path, page)
		}
	}
}

// decided adds an execution that jo has declined, with a reason.
func (d *desk) decided(name string, asked time.Time, reason string) {
	d.service.Start(name, asked).Ask(asked, token, sfntest.Quote("AMZN", 62, 5, "sell")).Append(asked.Add(90*time.Second),
		sfntest.Failed("TradeDeclined", reason+" (decided by "+me+")"), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Pass", "Trade Declined"),
		withInput(sfntest.Entered("Task", "Report Result"), `{"outcome":"declined","trade_placed":"no"}`), sfntest.Event("ExecutionSucceeded"))
}

func withInput(e types.HistoryEvent, input string) types.HistoryEvent {
	e.StateEnteredEventDetails.Input = aws.String(input)
	return e
}

func TestExecutions(t *testing.T) {
	d := newDesk(t, false)
	now := time.Date(2026, 3, 4, 10, 46, 0, 0, time.UTC)
	d.decided("won", now, "too dear")
	d.service.Start("lost", now).Append(now, sfntest.Event("ExecutionFailed"))
	d.waiting("open", now, "buy")
	row := func(symbol, side, qty, total, outcome, by, when, name string) string {
		return fmt.Sprintf(`<tr><td class="symbol">%s</td><td>%s</td><td class="number">%s</td><td class="number">%s</td><td><span class="status is-%s">%[5]s</span></td><td>%s</td><td>%s</td><td class="name"><a href="%sexecution?name=%s"><bdi>%[9]s</bdi></a></td></tr>`,
			symbol, side, qty, total, outcome, by, when, d.guard.base, name)
	}
	wantText(t, d.get(t, "list", http.StatusOK),
		row("AMZN", "sell", "5", "$310", "declined", "jo", "2026-03-04 10:47 UTC", "won"),
		row("", "", "", "", "failed", "", "2026-03-04 10:46 UTC", "lost"),
		row("AMZN", "buy", "5", "$310", "waiting", "", "2026-03-04 10:46 UTC", "open"))
	page := d.get(t, "list?status=FAILED", http.StatusOK)
	wantText(t, page, "name=lost")
	if strings.Contains(page, "name=won") || strings.Contains(page, "name=open") {
		t.Errorf("the filter lets through others:\n%s", page)
	}
	wantText(t, d.get(t, "list?status=ODD", http.StatusBadRequest), "There is no status &#34;ODD&#34;")
	wantText(t, d.get(t, "list?status=ABORTED", http.StatusOK), "There are none.")
	d.service.Page = 2
	wantText(t, d.get(t, "list?status=", http.StatusOK), "Older", "page=2")
	wantText(t, d.get(t, "list?page=2", http.StatusOK), "name=won")
}

func TestDecisions(t *testing.T) {
	d := newDesk(t, false)
	now := time.Date(2026, 3, 4, 10, 46, 0, 0, time.UTC)
	d.decided("monday", now, "=too <dear>")
	d.decided("tuesday", now.AddDate(0, 0, 1), "later")
	d.service.Start("open", now.AddDate(0, 0, 2)).Ask(now, token, sfntest.Quote("AMZN", 62, 5, "sell"))
	const row = `<td class="after">1m30s</td><td class="said">=too &lt;dear&gt;</td>`
	wantText(t, d.get(t, "decisions", http.StatusOK), row, "name=tuesday", "name=open")
	for query, want := range map[string][]string{
		"": {"open", "tuesday", "monday"}, "before=2026-03-05": {"monday"}, "since=2026-03-05&before=2026-03-06": {"tuesday"}, "by=JO": {"tuesday", "monday"}, "by=" + me + "&since=+2026-03-05T00:00:00Z+": {"tuesday"}, "by=nobody": {},
	} {
		page := d.get(t, "decisions?"+query, http.StatusOK)
		links := regexp.MustCompile(`href="[^"]*/(decisions\.(?:csv|json)[^"]*)"`).FindAllStringSubmatch(page, -1)
		if len(links) != 2 {
			t.Fatalf("the page has the links %q", links)
		}
		file := d.request(http.MethodGet, html.UnescapeString(links[0][1]), nil, nil)
		rows, err := csv.NewReader(file.Body).ReadAll()
		if err != nil || file.Header().Get("Content-Type") != "text/csv; charset=utf-8" || file.Header().Get("Content-Disposition") != "attachment" {
			t.Errorf("%s: the CSV has headers %v and error %v", query, file.Header(), err)
		}
		file = d.request(http.MethodGet, html.UnescapeString(links[1][1]), nil, nil)
		var trades []struct{ Execution, Reason string }
		if err := json.Unmarshal(file.Body.Bytes(), &trades); err != nil || trades == nil || file.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: the JSON is %s, error %v", query, file.Body, err)
		}
		var shown, inCSV, inJSON []string
		for _, link := range regexp.MustCompile(`execution\?name=(\w+)`).FindAllStringSubmatch(page, -1) {
			shown = append(shown, link[1])
		}
		for _, row := range rows[1:] {
			inCSV = append(inCSV, strings.TrimPrefix(row[0], sfntest.Arn("")))
		}
		for _, x := range trades {
			inJSON = append(inJSON, strings.TrimPrefix(x.Execution, sfntest.Arn("")))
		}
		for form, got := range map[string][]string{"page": shown, "CSV": inCSV, "JSON": inJSON} {
			if !slices.Equal(got, want) {
				t.Errorf("%q: the %s has %q, want %q", query, form, got, want)
			}
		}
	}
	d.service.Page = 1
	page := d.get(t, "decisions?by=jo", http.StatusOK)
	wantText(t, page, "There are none among these; there are older ones.", "decisions?by=jo&amp;page=")
	if rows := strings.Count(d.get(t, "decisions.csv", http.StatusOK), "\n"); rows != 4 {
		t.Errorf("the CSV has %d lines, want a head and all 3 pages", rows)
	}
	wantText(t, d.get(t, "decisions.csv", http.StatusOK), ",'=too <dear>,")
	for _, query := range []string{"since=yesterday", "before=<b>", "since=2026-03-05&before=2026-03-05"} {
		wantText(t, d.get(t, "decisions?"+query, http.StatusBadRequest), "That did not work")
		d.get(t, "decisions.json?"+query, http.StatusBadRequest)
	}
}

// An execution's page says first what came of it, and why it failed.
func TestExecution(t *testing.T) {
	d := newDesk(t, false)
	now := time.Date(2026, 3, 4, 10, 46, 0, 0, time.UTC)
	d.decided("declined", now, "too dear")
	d.waiting("open", now, "buy")
	d.service.Start("lost", now).Ask(now, token, sfntest.Quote("AMZN", 62, 5, "sell")).Append(now, sfntest.Succeeded(`{"decision":"approve","decided_by":"`+me+`"}`),
		sfntest.Entered("Task", "Sell Stock"), sfntest.Failed("Market.Down", "no answer"),
		withInput(sfntest.Entered("Task", "Report Failure"), `{"outcome":"failed","trade_placed":"unknown","failed_state":"Sell Stock","failure":{"Error":"Market.Down","Cause":"no answer"}}`),
		sfntest.Event("ExecutionFailed"))
	for name, wants := range map[string][]string{
		"declined": {"<h1>Recommended: sell 5 AMZN at $62, $310 in all</h1>", `<p class="lead" role="status">Declined by jo at 2026-03-04 10:47 UTC: too dear. Nothing was traded.</p>`, `<span class="status is-declined">declined</span>`, "<dd>TaskFailed at 2026-03-04T10:47:30Z by " + me},
		"open":     {`<p class="lead" role="status">It waits for a decision.</p>`, ">Decide</a></p>"},
		"lost": {"<h1>Sell 5 AMZN at $62, $310 in all</h1>", `<p class="alert" role="status">Sell Stock failed: no answer (Market.Down). Whether anything was traded is unknown: look at the broker&#39;s orders.</p>
<p>Approved by jo at 2026-03-04 10:46 UTC.</p>`},
	} {
		page := d.get(t, "execution?name="+name, http.StatusOK)
		at := -1
		for _, want := range append(wants, `id="graph"`, "<summary>Technical names</summary>", "<bdi>"+sfntest.Arn(name)+"</bdi>", "<h2 id=\"events-heading\">") {
			if name == "declined" && strings.HasPrefix(want, "<dd>") {
				wantText(t, page, want)
				continue
			}
			next := strings.Index(page, want)
			if next <= at {
				t.Errorf("%s: %q is missing, or not where it should be:\n%s", name, want, page)
			}
			at = next
		}
	}
}

// Before a person tries, the page says who they are and what they are known to lack.
func TestStanding(t *testing.T) {
	d := newDesk(t, false)
	d.waiting("order-1", time.Now(), "sell")
	wantText(t, d.get(t, "decide?name=order-1&answer=approve", http.StatusOK), `<p class="quiet" id="standing">You decide as jo.</p>`)
	d.service.Undescribed = sfntest.Error("AccessDeniedException")
	wantText(t, d.get(t, "decide?name=order-1&answer=approve", http.StatusOK), `<p class="alert" id="standing">You are jo, and Step Functions may refuse your answer: you lack states:DescribeStateMachine`)
}

func TestStart(t *testing.T) {
	for _, test := range []struct {
		name, input, as, anyway string
		status                  int
		text                    string
		started                 bool
	}{
		{"good", `{"symbol":"AMZN","qty":5}`, "", "", http.StatusSeeOther, "", true},
		{"with a name", `{}`, "order-1", "", http.StatusSeeOther, "", true},
		{"no JSON", `{"symbol":`, "", "", http.StatusBadRequest, "The input is not JSON", false},
		{"no JSON, all the same", `{`, "", "yes", http.StatusBadRequest, "The input is not JSON", false},
		{"odd", `{"qty":0}`, "", "", http.StatusBadRequest, "qty is 0, want a whole number", false},
		{"odd, all the same", `{"qty":0}`, "", "yes", http.StatusSeeOther, "", true},
		{"too large", `{"x":"` + strings.Repeat("x", maxInput) + `"}`, "", "", http.StatusBadRequest, "are allowed", false},
		{"no name", `{}`, "a b", "", http.StatusBadRequest, "This can&#39;t be a name", false},
		{"refused", `{}`, "taken", "", http.StatusBadRequest, "ExecutionAlreadyExists", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t, true)
			wantText(t, d.post(t, "start", url.Values{"input": {test.input}, "name": {test.as}, "anyway": {test.anyway}}, test.status), test.text)
			if started := len(d.started) == 1 && d.started[0] == test.input; started != test.started {
				t.Errorf("started %q", d.started)
			}
		})
	}
	onAWS := newDesk(t, false)
	wantText(t, onAWS.get(t, "start", http.StatusOK), "AWS console", "aws stepfunctions start-execution")
	wantText(t, onAWS.post(t, "start", url.Values{"input": {"{}"}}, http.StatusBadRequest), "AWS console")
}

// Every request that is not the person's own is refused, and does nothing.
func TestGuard(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, test := range []struct {
		name   string
		method string
		change func(*http.Request)
		status int
	}{
		{"the person's own", http.MethodPost, nil, http.StatusSeeOther},
		{"DNS rebinding", http.MethodPost, func(r *http.Request) { r.Host = "attacker.example:8080" }, http.StatusForbidden},
		{"another port in Host", http.MethodPost, func(r *http.Request) { r.Host = "127.0.0.1:80" }, http.StatusForbidden},
		{"a name of this machine", http.MethodPost, func(r *http.Request) { r.Host = "localhost:8080" }, http.StatusForbidden},
		{"a foreign origin", http.MethodPost, header("Origin", "http://attacker.example"), http.StatusForbidden},
		{"a hidden origin", http.MethodPost, header("Origin", "null"), http.StatusForbidden},
		{"another port's origin", http.MethodPost, header("Origin", "http://127.0.0.1:80"), http.StatusForbidden},
		{"no origin", http.MethodPost, func(r *http.Request) { r.Header.Del("Origin") }, http.StatusForbidden},
		{"cross-site", http.MethodPost, header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		{"same site", http.MethodPost, header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		{"no secret", http.MethodPost, func(r *http.Request) { r.Header.Del("Cookie") }, http.StatusForbidden},
		{"a wrong secret", http.MethodPost, header("Cookie", cookieName+"=x"), http.StatusForbidden},
		{"a form of another run", http.MethodPost, func(r *http.Request) { r.Body = http.NoBody }, http.StatusForbidden},
		{"GET for a change", http.MethodGet, nil, http.StatusOK}, // the form, filled in with nothing
		{"PUT", http.MethodPut, header("Origin", "http://"+host), http.StatusForbidden},
		{"OPTIONS", http.MethodOptions, nil, http.StatusForbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t, true)
			w := d.request(test.method, "start", url.Values{"form": {d.guard.form}, "input": {"{}"}}, test.change)
			if w.Code != test.status {
				t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
			}
			if mine := test.change == nil && test.method == http.MethodPost; len(d.started) == 1 != mine {
				t.Errorf("started %q", d.started)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
				"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
	// A decision, too, is made by POST alone, and pages, files and what is outside of the
	// secret path are refused without the cookie.
	d := newDesk(t, true)
	d.waiting("order-1", time.Now(), "sell")
	d.get(t, "decide?answer=approve&name=order-1&form="+d.guard.form+"&wait=7", http.StatusOK)
	if sent := d.service.Calls("SendTask"); len(sent) != 0 {
		t.Errorf("GET sent %q", sent)
	}
	for _, path := range []string{"", "list", "decisions", "decisions.csv", "decisions.json", "execution?name=order-1", "workflow", "start", "static/desk.js"} {
		for name, change := range map[string]func(*http.Request){
			"without the secret": func(r *http.Request) { r.Header.Del("Cookie") },
			"rebound":            func(r *http.Request) { r.Host = "attacker.example" },
			"from another site":  header("Sec-Fetch-Site", "cross-site"),
			"from another port":  header("Sec-Fetch-Site", "same-site"),
			"a foreign origin":   header("Origin", "http://attacker.example"),
		} {
			if w := d.request(http.MethodGet, path, nil, change); w.Code != http.StatusForbidden {
				t.Errorf("%q %s: status %d", path, name, w.Code)
			}
		}
	}
	if w := d.request(http.MethodGet, "", nil, func(r *http.Request) { r.URL.Path = "/" }); w.Code != http.StatusNotFound {
		t.Errorf("outside of the base: status %d", w.Code)
	}
}

// The path, the cookie, the forms' secret and the key are of this run alone, and nobody can
// guess them; a body is read up to a limit and no further.
func TestSecretsOfARun(t *testing.T) {
	seen := map[string]string{}
	for range 2 {
		d := newDesk(t, true)
		for name, secret := range map[string]string{"path": strings.Trim(d.guard.base, "/"), "cookie": d.guard.secret, "form": d.guard.form, "key": d.guard.key} {
			if other, ok := seen[secret]; ok || len(secret) < 26 { // 128 bits in base32
				t.Errorf("the %s is %q, which the %s is too, or it is short", name, secret, other)
			}
			seen[secret] = name
		}
	}
	d, other := newDesk(t, true), newDesk(t, true)
	w := d.request(http.MethodGet, "", nil, func(r *http.Request) { r.URL.Path = other.guard.base })
	if w.Code != http.StatusNotFound {
		t.Errorf("the path of another run: status %d", w.Code)
	}
}

func TestLimitOfBodies(t *testing.T) {
	for _, size := range []int{1000, maxForm - 1000, 2 * maxForm} {
		d := newDesk(t, true)
		body := url.Values{"form": {d.guard.form}, "input": {"{}"}, "rest": {strings.Repeat("x", size)}}.Encode()
		read := &counter{r: strings.NewReader(body)}
		w := d.request(http.MethodPost, "start", nil, func(r *http.Request) { r.Body = io.NopCloser(read) })
		status, started := http.StatusSeeOther, 1
		if size > maxForm {
			status, started = http.StatusForbidden, 0
		}
		if w.Code != status || len(d.started) != started || read.n > maxForm+64<<10 {
			t.Errorf("%d bytes: status %d, want %d; %d of them read, %d executions started", size, w.Code, status, read.n, len(d.started))
		}
	}
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestEnter(t *testing.T) {
	d := newDesk(t, false)
	open := func(address string, change func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, address, nil)
		r.Header.Set("Sec-Fetch-Site", "none")
		if change != nil {
			change(r)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		return w
	}
	address := d.told[0]
	if w := open(address[:strings.Index(address, "=")+1], nil); w.Code != http.StatusForbidden {
		t.Errorf("without the key: status %d", w.Code)
	}
	if w := open(address, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); w.Code != http.StatusForbidden {
		t.Errorf("by another site's link: status %d", w.Code)
	}
	w := open(address, nil)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != d.guard.base || len(cookies) != 1 {
		t.Fatalf("status %d, headers %v", w.Code, w.Header())
	}
	if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != d.guard.base || c.Value != d.guard.secret {
		t.Errorf("the cookie is %v", c)
	}
	w = open(address, nil)
	if w.Code != http.StatusForbidden || len(w.Result().Cookies()) != 0 {
		t.Errorf("the second time: status %d", w.Code)
	}
	wantText(t, w.Body.String(), "<h1>This address has been used</h1>")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	if style == nil {
		t.Fatalf("the page of a used address has no style of its own:\n%s", w.Body)
	}
	hash := sha256.Sum256([]byte(style[1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
	if got := w.Header().Get("Content-Security-Policy"); got != want || len(style[1]) < 1000 {
		t.Errorf("the policy is %q, want %q, which allows the page's style", got, want)
	}
	if w := open(address, func(r *http.Request) { r.AddCookie(cookies[0]) }); w.Code != http.StatusSeeOther {
		t.Errorf("a reload: status %d", w.Code)
	}
	if len(d.told) != 2 {
		t.Fatalf("told %q, want a new address after the first was used", d.told)
	}
	if w := open(d.told[1], nil); w.Code != http.StatusSeeOther {
		t.Errorf("the new address: status %d", w.Code)
	}
}

// Texts that would be elements, would end the one they stand in, or turn the line around.
const hostile = `</pre></textarea><script>alert(1)</script><img src=x onerror=alert(1)>"'` + "\u202e\u2066\x1b[2J"

func TestHostileText(t *testing.T) {
	d := newDesk(t, true)
	now := time.Now()
	encoded, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(encoded)
	x := d.service.Start("bad", now)
	x.Input = `{"symbol":` + text + `}`
	x.Append(now, sfntest.Entered("Task", "Request "+hostile), sfntest.Scheduled(hostile, hostile), sfntest.Failed(hostile, hostile),
		sfntest.Exited("Task", "Request "+hostile), sfntest.Event("ExecutionFailed"))
	d.service.Start("odd"+hostile, now).Ask(now, token, sfntest.Quote("AMZN", 62, 5, "hold"+hostile))
	name := url.QueryEscape("odd" + hostile)
	pages := []string{
		d.get(t, "", http.StatusOK), d.get(t, "list", http.StatusOK), d.get(t, "execution?name=bad", http.StatusOK),
		d.get(t, "execution?name="+name, http.StatusBadRequest), d.get(t, "decide?answer=buy&name="+name, http.StatusBadRequest),
		d.get(t, "list?status="+name, http.StatusBadRequest),
	}
	d.service.Definition = `{"StartAt":` + text + `,"States":{` + text + `:{"Type":"Task","Comment":` + text + `,"End":true}}}`
	pages = append(pages, d.get(t, "workflow", http.StatusOK))
	for _, page := range pages {
		for _, bad := range []string{"<script>alert", "<img", "\u202e", "\u2066", "\x1b"} {
			if strings.Contains(page, bad) {
				t.Errorf("a page has %q:\n%s", bad, page)
			}
		}
	}
	// A form gives back what was typed, as it was typed, and as text.
	again := d.post(t, "start", url.Values{"input": {hostile}, "name": {hostile}}, http.StatusBadRequest) + d.get(t, "decisions?by="+url.QueryEscape(hostile), http.StatusOK)
	if strings.Contains(again, "<script>alert") || strings.Contains(again, "<img") {
		t.Errorf("the form has markup:\n%s", again)
	}
}

func TestTokenStaysHidden(t *testing.T) {
	d := newDesk(t, true)
	now := time.Now()
	d.waiting("open", now, "sell")
	echo := fmt.Sprintf(`{"Error":"x","Cause":%q,"again":{"tasktoken":%q}}`, `{"TaskToken":"`+token+`"}`, token)
	x := d.service.Start("echo", now).Ask(now, token, sfntest.Quote("AMZN", 62, 5, "sell"))
	x.Input = echo
	x.Append(now, sfntest.Failed("Odd", "the token is "+token), sfntest.Exited("Task", "Request Human Approval"),
		sfntest.Entered("Pass", "Describe Failure"), sfntest.Scheduled("publish", echo), sfntest.Succeeded(strings.ReplaceAll(echo, "/", `\/`)),
		sfntest.Scheduled("sendMessage.waitForTaskToken", `{"TaskToken":"`+token+`", broken`))
	for _, path := range []string{"", "list", "decisions", "decisions.csv", "decisions.json", "execution?name=open", "execution?name=echo", "decide?name=open&answer=approve", "decide?name=echo&answer=approve", "workflow"} {
		if page := d.request(http.MethodGet, path, nil, nil); strings.Contains(page.Body.String(), "hush") || strings.Contains(fmt.Sprint(page.Header()), "hush") {
			t.Errorf("%s shows the token:\n%s", path, page.Body)
		}
	}
	wantText(t, d.get(t, "execution?name=open", http.StatusOK), "[hidden]")

	// A token that stands nowhere but in JSON in a string of JSON, and there in another.
	inner := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	deep := inner(map[string]string{"Cause": inner(map[string]string{"Cause": inner(map[string]string{"TaskToken": "deeply hushed"})})})
	d.service.Start("deep", now).Append(now, sfntest.Failed("Odd", deep)).Input = deep
	if page := d.get(t, "execution?name=deep", http.StatusOK); strings.Contains(page, "deeply hushed") || !strings.Contains(page, "[hidden]") {
		t.Errorf("the page shows a token in JSON in a string:\n%s", page)
	}
}
