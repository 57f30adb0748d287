package web_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"stocktrading/desk/decision"
	"stocktrading/desk/internal/sfntest"
	"stocktrading/desk/web"
)

// check has axe-core look at the page, and looks itself at what axe-core leaves out: the contrast
// in the workflow's picture. It returns what a person could not use.
const check = `(async () => {
	const dark = matchMedia("(prefers-color-scheme: dark)").matches; // which makes a difference to contrast alone
	const results = await axe.run({ preload: false, resultTypes: ["violations", "incomplete"], ...(dark && { runOnly: ["color-contrast"] }) });
	const unclear = results.incomplete.filter(r => r.id === "color-contrast");
	// What lies over an element may be there for a moment only, as while a loaded machine puts a page together.
	for (const r of unclear) r.nodes = r.nodes.filter(n => !n.any.some(c => c.data?.messageKey === "bgOverlap"));
	const found = [...results.violations, ...unclear].flatMap(r => r.nodes.map(n => r.id + ": " + n.html.slice(0, 150) + " " + n.failureSummary));

	const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
	const painted = (...colors) => {
		for (const [color, opacity] of colors) {
			canvas.globalAlpha = opacity;
			canvas.fillStyle = color;
			canvas.fillRect(0, 0, 1, 1);
		}
		return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
	};
	const luminance = rgb => {
		const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	for (const text of document.querySelectorAll(".graph text")) {
		const group = text.closest("g[class]"), opacity = Number(getComputedStyle(group).opacity);
		const paper = [getComputedStyle(document.getElementById("graph")).backgroundColor, 1];
		const shape = group.matches(".edge") ? null : group.querySelector("path, polygon, ellipse");
		const ground = shape ? [paper, [getComputedStyle(shape).fill, opacity]] : [paper];
		const [less, more] = [painted(...ground), painted(...ground, [getComputedStyle(text).fill, opacity])].map(luminance).sort((a, b) => a - b);
		const contrast = (more + 0.05) / (less + 0.05);
		if (contrast < 4.5) found.push("the picture's " + text.textContent + " has a contrast of " + contrast.toFixed(2) + ":1");
	}
	if (document.documentElement.scrollWidth > document.documentElement.clientWidth) found.push("the page is wider than the screen");
	return found;
})()`

// walk notes on what the Tab key lands.
const walk = `(() => {
	const e = document.activeElement;
	if (e === document.body || e.dataset.reached) {
		e.blur();
		return "end";
	}
	e.dataset.reached = "yes";
	const seen = getComputedStyle(e).outlineStyle !== "none" || e.closest("svg") && [...e.querySelectorAll("path, polygon")].some(s => parseFloat(getComputedStyle(s).strokeWidth) >= 3);
	return seen ? "" : "the focus can't be seen on " + e.outerHTML.slice(0, 150);
})()`

// missed are the links, fields and buttons where Tab has not landed.
const missed = `[...document.querySelectorAll("a, button, input, textarea, select, summary")]
	.filter(e => e.type !== "hidden" && !e.dataset.reached && e.checkVisibility() && !e.closest("details:not([open]) > :not(summary)"))
	.map(e => "Tab does not reach " + e.outerHTML.slice(0, 150))`

// show puts a page into the document that is open, as it is or as the answer to its form. axe-core stays loaded,
// which to do for each page would take most of the time.
const show = `(async (path, fields) => {
	const parse = async reply => new DOMParser().parseFromString(await reply.text(), "text/html");
	let page = await parse(await fetch(path));
	if (fields) {
		const form = new FormData(page.forms[0]);
		for (const [name, value] of Object.entries(fields)) form.set(name, value);
		page = await parse(await fetch(page.forms[0].getAttribute("action"), { method: "POST", body: new URLSearchParams(form) }));
	}
	document.replaceChild(page.documentElement, document.documentElement);
	const style = document.querySelector("link[rel=stylesheet]");
	if (!style.sheet) await new Promise(resolve => { style.onload = resolve; });
})`

// accessible checks every page on a screen and a phone, in light and dark, with axe-core and by keyboard.
func accessible(t *testing.T, b *browser) {
	axe, err := os.ReadFile("../../node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run npm ci", err)
	}
	load := chromedp.Evaluate(string(axe)+`; axe.configure({ rules: [{ id: "color-contrast", selector: "*:not(text)" }] })`, nil)
	for _, desk := range []struct {
		local bool
		pages [][2]string // a path, and what its form is sent with
	}{
		{false, [][2]string{
			{""},
			{"decide?answer=approve&name=waits"},
			{"decide?answer=buy&name=waits"},
			{"decide?answer=approve&name=real"},
			{"decide?answer=decline&name=waits", `{"reason": "too dear"}`},
			{"list"},
			{"list?status=ABORTED"},
			{"decisions"},
			{"decisions?by=nobody"},
			{"execution?name=runs"},
			{"execution?name=failed"},
			{"execution?name=none"},
			{"workflow"},
			{"start"},
		}},
		{true, [][2]string{{""}, {"start"}, {"start", `{"input": "{\"qty\": 0}"}`}}},
	} {
		address := servePages(b, desk.local)
		t.Run("used", func(t *testing.T) {
			b := &browser{b.ctx, t}
			b.run("open", chromedp.Navigate(address+"x"), load) // not the key
			b.shows("This address has been used")
			b.usable()
		})
		b.run("enter", chromedp.Navigate(address), chromedp.Navigate(base(address)+"start"), load)
		for _, page := range desk.pages {
			t.Run(page[0]+page[1], func(t *testing.T) {
				b := &browser{b.ctx, t}
				b.run("show", chromedp.Evaluate(fmt.Sprintf("%s(%q, %s)", show, base(address)+page[0], cmp.Or(page[1], "null")), nil, await))
				b.usable()
			})
		}
	}
	b.run("back", emulation.ClearDeviceMetricsOverride(), emulation.SetEmulatedMedia())
}

// await has an expression's promise awaited.
func await(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// usable checks the page that is open.
func (b *browser) usable() {
	b.t.Helper()
	b.keyboard()
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			var found []string
			b.run("check", emulation.SetDeviceMetricsOverride(width, 800, 1, width < 800),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.Evaluate(check, &found, await))
			for _, f := range found {
				b.t.Errorf("%d pixels, %s: %s", width, scheme, f)
			}
		}
	}
}

// keyboard presses Tab through a page.
func (b *browser) keyboard() {
	b.t.Helper()
	for range 500 {
		var found string
		b.run("press Tab", chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(walk, &found))
		switch found {
		case "":
		case "end":
			for _, problem := range b.eval(missed).([]any) {
				b.t.Error(problem)
			}
			return
		default:
			b.t.Error(found)
		}
	}
	b.t.Error("Tab comes to no end")
}

// servePages serves a desk on AWS, whose executions have what a page can show, or on a local run. It returns the
// address that opens it.
func servePages(b *browser, local bool) string {
	b.t.Helper()
	machine, err := decision.ParseMachine(sfntest.Machine)
	if err != nil {
		b.t.Fatal(err)
	}
	definition, err := os.ReadFile("../../stacks/stock_trading.asl.json")
	if err != nil {
		b.t.Fatal(err)
	}
	service, address := &sfntest.Service{Definition: string(definition)}, make(chan string, 10)
	config := web.Config{
		Client: service, Machine: machine, Tell: func(a string) { address <- a },
		Who: func(context.Context) (string, error) { return "arn:aws:iam::123456789012:user/ana", nil },
	}
	if local {
		config.Start = func(string, string) (string, error) { return "", errors.New("nothing is started here") }
	} else {
		now := time.Now()
		service.Start("waits", now).Ask(now, "token", sfntest.Quote("AMZN", 62, 5, "sell"))
		service.Start("real", now).Ask(now, "token", sfntest.RealQuote("live", "AMZN", 187.12, "187.12", 5, "buy"))
		service.Start("odd", now).Ask(now, "token", sfntest.Quote("AMZN", 62, 5, "hold"))
		service.Start("runs", now)
		service.Start("won", now).Append(now, sfntest.Event("ExecutionSucceeded"))
		failed := service.Start("failed", now).Ask(now, "token", sfntest.Quote("AMZN", 62, 5, "sell"))
		failed.Append(now, sfntest.Failed("TradeDeclined", "too dear"), sfntest.Exited("Task", "Request Human Approval"), sfntest.Entered("Pass", "Trade Declined"),
			sfntest.Exited("Pass", "Trade Declined"), sfntest.Entered("Task", "Report Result"), sfntest.Scheduled("publish", `{"Subject":"Stock trade: declined","Message":{"Input":{}}}`),
			sfntest.Failed("SNS.Down", "no answer"), sfntest.Event("ExecutionFailed"))
		failed.Error, failed.Cause = "SNS.Down", "no answer"
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ctx, config) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("the page's server: %v", err)
		}
	})
	return <-address
}

// base is what the addresses of all pages begin with.
func base(address string) string { return address[:strings.LastIndex(address, "/")+1] }
