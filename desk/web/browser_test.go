package web_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"stocktrading/desk/decision"
	"stocktrading/desk/web"
	"stocktrading/local/localtest"
	"stocktrading/local/system"
)

var screenshot = flag.Bool("screenshot", false, "write the README's picture, docs/desk.png")

// chromium finds the browser, or skips the test.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium is found: on Debian, apt-get install chromium")
	return ""
}

// localRun is the whole system on this machine, with the page.
type localRun struct {
	*system.System
	address chan string // where the page is; each opens it once
	sfn     *sfn.Client
	desk    *decision.Desk
}

func startLocalRun(t *testing.T) *localRun {
	t.Helper()
	l := &localRun{address: make(chan string, 10)}
	var err error
	if l.System, err = system.Start(t.Context(), localtest.Prepare(t, nil)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	machine, err := decision.ParseMachine(l.StateMachineARN())
	if err != nil {
		t.Fatal(err)
	}
	cfg := l.AWSConfig(system.Approver)
	l.sfn = sfn.NewFromConfig(l.AWSConfig("developer"))
	l.desk = decision.New(decision.NewClient(cfg), machine, decision.Caller(cfg))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- web.Serve(ctx, web.Config{
			Client: decision.NewClient(cfg), Machine: machine, Who: decision.Caller(cfg),
			Start: func(name, input string) (string, error) {
				arn, err := l.Engine().StartExecution(name, []byte(input))
				return decision.Execution{ARN: arn}.Name(), err
			},
			Tell: func(address string) { l.address <- address },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the page's server: %v", err)
		}
	})
	return l
}

// browser is a tab of a Chromium with a profile of its own.
type browser struct {
	ctx context.Context
	t   *testing.T
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := chromium(t)
	profile, err := os.MkdirTemp("", "desk-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Processes of the browser may outlive it for a moment, and write.
		for range 50 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("the browser's profile %s can't be removed", profile)
	})
	allocator, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(profile),
		chromedp.WindowSize(1360, 1120), chromedp.Flag("force-device-scale-factor", "1"),
		// What follows saves processor time: no picture moves, and fewer processes are started.
		chromedp.Flag("force-prefers-reduced-motion", true), chromedp.Flag("no-zygote", true), chromedp.Flag("in-process-gpu", true),
		chromedp.Env("HOME="+profile),
	)...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close the browser: %v", err)
		}
		cancel()
	})
	b := &browser{ctx, t}
	b.run("start")
	return b
}

// run has the browser do something, in time.
func (b *browser) run(what string, actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if what == "start" {
		ctx = b.ctx // the first one's context is the browser's
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v; the page:\n%s", what, err, b.text())
	}
}

// until waits for a JavaScript expression to be true, on whatever page comes meanwhile.
func (b *browser) until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var is bool
		if err := chromedp.Run(b.ctx, chromedp.Evaluate("!!("+expression+")", &is)); err == nil && is {
			return
		}
	}
	b.t.Fatalf("%s does not come to be; the page:\n%s", expression, b.text())
}

// text is what the page says, for the error of a test.
func (b *browser) text() (text string) {
	_ = chromedp.Run(b.ctx, chromedp.Evaluate("document.body.innerText", &text))
	return text
}

func (b *browser) eval(expression string) (value any) {
	b.t.Helper()
	b.run(expression, chromedp.Evaluate(expression, &value))
	return value
}

// fetch returns what an expression says about doc, the document at an address that is not opened for it.
func (b *browser) fetch(address, expression string) (value any) {
	b.t.Helper()
	b.run("fetch "+address, chromedp.Evaluate("fetch("+quote(address)+").then(reply => reply.text()).then(text => { const doc = new DOMParser().parseFromString(text, 'text/html'); return "+expression+" })", &value,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return value
}

// click follows a link or presses a button, and waits for the next page.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.run("click "+selector, chromedp.Evaluate("window.before = true", nil), chromedp.Click(selector, chromedp.ByQuery))
	b.until("!window.before && document.readyState === 'complete'")
}

// shows waits until the page shows a text.
func (b *browser) shows(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.body.innerText.includes(%s)", quote(text)))
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a string can be marshaled
	return string(text)
}

// group is the picture's group of a state.
func group(state string) string {
	return fmt.Sprintf("document.querySelector('.graph g.state:has(a[aria-label^=%s])')", quote(state))
}

func TestInBrowser(t *testing.T) {
	chromium(t)
	l := startLocalRun(t)
	b := startBrowser(t)
	address := <-l.address
	base := base(address)
	b.run("open", chromedp.Navigate(address))
	b.shows("Nothing waits for a decision.")
	if _, err := l.Engine().StartExecution("first", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	b.until("document.title.startsWith('(1) ')")

	for _, test := range []struct {
		name, side string // the recommendation that is needed, or "" for any
		answer     string
		reason     string
		recorded   string
		report     string
		outcome    string
		state      string // that lights up
	}{
		{"approve", "", "approve", "", "Approved by ", `"outcome": "traded"`, "traded", ""},
		{"buy-instead", "sell", "buy", "it will rise", ": it will rise. It buys now.", `"type": "buy"`, "traded", "Buy Stock"},
		{"sell-instead", "buy", "sell", "", "Changed to sell by ", `"type": "sell"`, "traded", "Sell Stock"},
		{"decline", "", "decline", "too dear", ": too dear. Nothing was traded.", `"outcome": "declined"`, "declined", "Trade Declined"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &browser{b.ctx, t}
			name := test.name + "-0"
			if test.side == "" {
				b.run("open start", chromedp.Navigate(base+"start"))
				b.run("fill in", chromedp.SendKeys("#name", name, chromedp.ByQuery))
				b.click("button[type=submit]")
				b.until(group("Request Human Approval") + "?.classList.contains('is-waiting')")
				b.shows("It waits for a decision.")
			} else {
				name = l.recommending(t, test.name, test.side)
			}
			b.run("open list", chromedp.Navigate(base))
			b.until(fmt.Sprintf("document.querySelector('[aria-label=\"Execution %s\"]') !== null", name))
			if test.side != "" {
				if side := b.eval(fmt.Sprintf("document.querySelector('[aria-label=\"Execution %s\"] .side').textContent", name)); side != test.side {
					t.Errorf("the list shows a recommendation to %v, want %s", side, test.side)
				}
			}
			// The execution's own page watches from a second tab.
			watching, cancel := chromedp.NewContext(b.ctx)
			defer cancel()
			w := &browser{watching, t}
			w.run("start", chromedp.Navigate(base+"execution?name="+name))
			w.until(group("Check Stock Price") + "?.classList.contains('is-succeeded')")
			w.until("window.here = true")

			b.click(fmt.Sprintf(`[aria-label="Execution %s"] .button.%s`, name, test.answer))
			before := b.eval("document.querySelector('h1').textContent")
			if test.reason != "" {
				b.run("give a reason", chromedp.SendKeys("#reason", test.reason, chromedp.ByQuery))
			}
			if n := len(l.sent(t, name)); n != 0 {
				t.Errorf("%d answers were sent before the confirmation that says %q", n, before)
			}
			b.click("button[type=submit]")
			b.shows(test.recorded)

			if test.state != "" {
				w.until(group(test.state) + "?.classList.contains('is-succeeded')")
			}
			w.until(group("Report Result") + "?.classList.contains('is-succeeded')")
			w.until("document.querySelector('#outcome').textContent.includes(" + quote(test.report) + ")")
			w.until("document.querySelector('#summary .status.is-" + test.outcome + "') !== null")
			w.until("document.querySelectorAll('.graph .is-taken').length >= 6 && document.querySelectorAll('#events tr').length > 20")
			if w.eval("window.here") != true {
				t.Error("the page was loaded anew, not brought up to date")
			}

			// Who would answer once more sees what was decided.
			if b.fetch(base+"decide?answer="+test.answer+"&name="+name, "doc.querySelector('#summary .status.is-"+test.outcome+"') !== null") != true {
				t.Errorf("who answers %s once more does not see what was decided", name)
			}
		})
	}

	t.Run("states", func(t *testing.T) {
		b := &browser{b.ctx, t}
		b.run("open", chromedp.Navigate(base+"execution?name=decline-0"))
		b.until(group("Request Human Approval") + " !== null")
		// By keyboard: the link in the picture takes the focus, Enter selects it.
		b.run("select", chromedp.Evaluate(group("Request Human Approval")+".querySelector('a').focus()", nil), chromedp.KeyEvent("\r"))
		b.until("document.querySelector('.state-detail:target h3')?.textContent === 'Request Human Approval'")
		shown := fmt.Sprint(b.eval("document.querySelector('.state-detail:target').innerText"))
		for _, want := range []string{"caught", "TradeDeclined", "too dear", `"symbol": "AMZN"`, `"TaskToken": "[hidden]"`, "Retries"} {
			if !strings.Contains(shown, want) {
				t.Errorf("the state's details lack %q:\n%s", want, shown)
			}
		}
	})

	t.Run("list", func(t *testing.T) {
		b := &browser{b.ctx, t}
		b.run("open", chromedp.Navigate(base+"start"), chromedp.SetValue("#input", `{"symbol": "<img src=x onerror=alert(1)>"}`, chromedp.ByQuery), chromedp.SendKeys("#name", "odd", chromedp.ByQuery))
		b.click("button[type=submit]")
		b.shows("The workflow will fail at this input")
		b.run("insist", chromedp.Click("#anyway", chromedp.ByQuery))
		b.click("button[type=submit]")
		b.shows("<img src=x onerror=alert(1)>")
		b.until("document.querySelector('#summary .alert')?.textContent.includes('Nothing was traded.')")
		b.until(group("Trade Failed") + "?.classList.contains('is-failed')")
		if b.eval("document.images.length") != 0.0 {
			t.Error("the input became an element of the page")
		}
		b.run("open list", chromedp.Navigate(base+"list"))
		b.shows("approve-0")
		b.shows("odd")
		if declined := fmt.Sprint(b.eval("document.querySelector('tr:has(a[href$=decline-0]) .status').className")); declined != "status is-declined" {
			t.Errorf("a declined trade looks like %q", declined)
		}
		b.click(`a[href$="status=FAILED"]`)
		b.shows("odd")
		if text := fmt.Sprint(b.eval("document.querySelector('tbody').innerText")); strings.Contains(text, "approve-0") {
			t.Errorf("the filter lets through %s", text)
		}
		b.click(`a[href$="status=SUCCEEDED"]`)
		b.run("open an old one", chromedp.Click(`//a[contains(.,"approve-0")]`, chromedp.BySearch))
		b.shows(`"outcome": "traded"`)
	})

	t.Run("no token comes out", func(t *testing.T) {
		b := &browser{b.ctx, t}
		b.run("open start", chromedp.Navigate(base+"start"), chromedp.SendKeys("#name", "open", chromedp.ByQuery))
		b.click("button[type=submit]")
		b.shows("It waits for a decision.")
		for _, name := range []string{"approve-0", "decline-0", "open"} {
			token := l.token(t, name)
			for _, page := range []string{"", "list", "execution?name=" + name, "decide?answer=approve&name=" + name, "workflow"} {
				var html string
				b.run("fetch", chromedp.Evaluate(fmt.Sprintf(`fetch(%q).then(r => r.text()).then(t => new DOMParser().parseFromString(t, "text/html").documentElement.outerHTML)`, base+page), &html, await))
				if strings.Contains(html, token) || !strings.Contains(html, "Stock trading desk") {
					t.Errorf("%q has the token of %s, or is not a page:\n%s", page, name, html)
				}
			}
		}
	})

	t.Run("nothing from elsewhere", func(t *testing.T) {
		b := &browser{b.ctx, t}
		b.run("open", chromedp.Navigate(base+"execution?name=approve-0"))
		if found := b.eval(`[...document.querySelectorAll("[src],link[href]")].map(e => e.src || e.href).filter(u => !u.startsWith(` + quote(base) + `)).join()`); found != "" {
			t.Errorf("the page takes %v", found)
		}
		if n := b.eval(`document.querySelectorAll("style, [style], script:not([src])").length`); n != 0.0 {
			t.Errorf("%v elements have styles or scripts of their own", n)
		}
	})

	// The decisions' files come with the cookie of the page, and to nobody else.
	t.Run("decisions", func(t *testing.T) {
		b := &browser{b.ctx, t}
		b.run("open", chromedp.Navigate(base+"decisions"))
		b.run("filter", chromedp.SetValue("#decided-by", fmt.Sprint(b.eval("document.querySelector('tr:has(a[href$=decline-0]) td:nth-child(6)').textContent")), chromedp.ByQuery))
		b.click("button[type=submit]")
		b.shows("too dear")
		for _, kind := range []string{"csv", "json"} {
			var file string
			link := fmt.Sprintf("document.querySelector('a[href*=\"decisions.%s\"]').href", kind)
			b.run("fetch", chromedp.Evaluate("fetch("+link+").then(r => r.text())", &file, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
			if !strings.Contains(file, "too dear") {
				t.Errorf("the %s is %q", kind, file)
			}
			reply, err := http.Get(fmt.Sprint(b.eval(link)))
			if err != nil {
				t.Fatal(err)
			}
			reply.Body.Close()
			if reply.StatusCode != http.StatusForbidden {
				t.Errorf("without the cookie, the %s comes with status %d", kind, reply.StatusCode)
			}
		}
	})

	t.Run("phone", func(t *testing.T) {
		b := &browser{b.ctx, t}
		for _, page := range []string{"", "list", "decisions", "decide?name=open&answer=decline", "execution?name=decline-0", "workflow", "start"} {
			b.run("open", emulation.SetDeviceMetricsOverride(360, 740, 1, true), chromedp.Navigate(base+page))
			if over := b.eval("document.documentElement.scrollWidth - innerWidth"); over.(float64) > 0 {
				t.Errorf("%q is %v pixels wider than a phone", page, over)
			}
			if narrow := b.eval("[...document.querySelectorAll('main :is(.answers, .actions) .button')].filter(e => e.offsetWidth < e.closest('ul, p').clientWidth).length"); narrow != 0.0 {
				t.Errorf("%v buttons of %q are not as wide as they can be", narrow, page)
			}
			if lines := b.eval("Math.max(0, ...[...document.querySelectorAll('td.name')].map(e => e.clientHeight / parseFloat(getComputedStyle(e).lineHeight)))"); lines.(float64) > 1.5 {
				t.Errorf("a name takes %v lines of %q", lines, page)
			}
		}
		b.run("open", chromedp.Navigate(base+"workflow"))
		b.until("document.querySelector('#graph').scrollLeft > 0 && document.querySelector('.sideways').offsetHeight > 0")
		b.run("back", emulation.ClearDeviceMetricsOverride())
	})

	t.Run("accessible", func(t *testing.T) { accessible(t, &browser{b.ctx, t}) })

	if *screenshot {
		t.Run("screenshot", func(t *testing.T) { (&browser{b.ctx, t}).picture(base) })
	}

	t.Run("another site", func(t *testing.T) {
		b := &browser{b.ctx, t}
		b.run("start", chromedp.Navigate(base+"start"))
		form := fmt.Sprint(b.eval("document.querySelector('[name=form]').value"))
		attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<form method=post action="%sstart"><input name=form value="%s"><input name=input value="{}"><input name=name value=forged></form><a href="%s">desk</a><iframe src="%s"></iframe>`, base, form, base, base)
		}))
		defer attacker.Close()
		// The same site, because it is another port of this machine, and a foreign one.
		for _, from := range []string{attacker.URL, strings.Replace(attacker.URL, "127.0.0.1", "localhost", 1)} {
			b.run("visit", chromedp.Navigate(from))
			if got := b.eval("frames.length === 1 && (() => { try { return frames[0].document.body.innerText } catch { return 'closed' } })()"); got != "closed" {
				t.Errorf("a frame shows %v", got)
			}
			b.run("post", chromedp.Evaluate("window.before = true; document.forms[0].submit()", nil))
			b.until("!window.before")
			b.shows("the desk answers to its own pages only")
			b.run("visit", chromedp.Navigate(from))
			b.run("follow", chromedp.Evaluate("window.before = true; document.links[0].click()", nil))
			b.until("!window.before")
			b.shows("the desk answers to its own pages only")
		}
		for _, x := range l.list(t) {
			if x == "forged" {
				t.Error("another site started an execution")
			}
		}
	})
}

// recommending starts executions until one has the recommendation, since the market draws the price. It returns its name.
func (l *localRun) recommending(t *testing.T, prefix, side string) (name string) {
	t.Helper()
	for i := range 100 {
		name = fmt.Sprintf("%s-%d", prefix, i)
		arn, err := l.Engine().StartExecution(name, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(25 * time.Millisecond) {
			wait, err := l.desk.Find(t.Context(), arn)
			if err == nil && wait.Recommended == side {
				return name
			}
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not wait: %v", name, err)
			}
		}
	}
	t.Fatalf("100 executions and none recommends to %s", side)
	return ""
}

// sent are the answers that the history of an execution has.
func (l *localRun) sent(t *testing.T, name string) (found []string) {
	t.Helper()
	arn := strings.Replace(l.StateMachineARN(), ":stateMachine:", ":execution:", 1) + ":" + name
	h, err := l.sfn.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Events {
		if e.TaskSucceededEventDetails != nil || e.TaskFailedEventDetails != nil {
			found = append(found, string(e.Type))
		}
	}
	return found
}

// token is the task token in the history of an execution.
func (l *localRun) token(t *testing.T, name string) string {
	t.Helper()
	arn := strings.Replace(l.StateMachineARN(), ":stateMachine:", ":execution:", 1) + ":" + name
	h, err := l.sfn.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Events {
		var p struct{ MessageBody struct{ TaskToken string } }
		if d := e.TaskScheduledEventDetails; d != nil && json.Unmarshal([]byte(aws.ToString(d.Parameters)), &p) == nil && p.MessageBody.TaskToken != "" {
			return p.MessageBody.TaskToken
		}
	}
	t.Fatalf("%s has no token", name)
	return ""
}

func (l *localRun) list(t *testing.T) (names []string) {
	t.Helper()
	out, err := l.sfn.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: aws.String(l.StateMachineARN())})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range out.Executions {
		names = append(names, aws.ToString(x.Name))
	}
	return names
}

// picture writes the README's screenshot: an execution that waits.
func (b *browser) picture(base string) {
	b.t.Helper()
	var png []byte
	b.run("open", chromedp.Navigate(base+"start"), chromedp.SendKeys("#name", "order-42", chromedp.ByQuery))
	b.click("button[type=submit]")
	b.until(group("Request Human Approval") + "?.classList.contains('is-waiting')")
	b.run("picture", chromedp.Evaluate(group("Request Human Approval")+".querySelector('a').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))", nil))
	b.until("document.querySelector('.state-detail:target') !== null")
	b.run("picture", chromedp.Evaluate("scrollTo(0, 0); document.activeElement.blur()", nil), chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(filepath.Join("..", "..", "docs", "desk.png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
