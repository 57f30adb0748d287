package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"

	"stocktrading/desk/terminal"
	"stocktrading/desk/timefmt"
	"stocktrading/lambdas/trading"
	"stocktrading/local/states"
	"stocktrading/local/system"
)

// printer shows an execution as it goes: a line for each state, and what arrives on
// the topic.
type printer struct {
	waiting  chan struct{} // an execution waits for a decision
	noticed  chan struct{} // a notice has arrived
	answered chan struct{} // a wait has ended, which is not printed yet
	ended    chan bool     // an execution has ended, and whether well

	many  bool // executions: each line begins with the execution's name
	asks  bool // a person is asked here, who sees the trade with the question
	width int  // of a line, or 0 for any
	paint palette

	mu         sync.Mutex // held by whoever writes
	out        io.Writer
	address    string // of the desk's page, repeated so that it can be found
	executions map[string]*progress
}

// progress is what is remembered of an execution while it runs.
type progress struct {
	started time.Time
	state   string // its current one
	entered time.Time
	output  string // of the task that has just succeeded
	failed  bool   // the task has just failed
	choice  string // the choice that it has just left
}

func newPrinter(out io.Writer) *printer {
	return &printer{
		waiting:    make(chan struct{}, 1),
		noticed:    make(chan struct{}, 1),
		answered:   make(chan struct{}, 1),
		ended:      make(chan bool, 1),
		width:      terminal.Columns(out),
		out:        out,
		paint:      newPalette(terminal.HasColour(out, os.Getenv)),
		executions: map[string]*progress{},
	}
}

// palette paints text, or leaves it as it is.
type palette struct{ good, bad, note, faint func(...any) string }

func newPalette(colour bool) palette {
	ink := func(attribute color.Attribute) func(...any) string { return terminal.Paint(colour, attribute) }
	return palette{good: ink(color.FgGreen), bad: ink(color.FgRed), note: ink(color.FgCyan), faint: ink(color.Faint)}
}

// hold keeps everything from being printed but what the caller writes, until it releases
// the printer. What happens in the meantime is printed then.
func (p *printer) hold() (release func()) {
	p.mu.Lock()
	return sync.OnceFunc(p.mu.Unlock)
}

// report sends without waiting: there may be no receiver.
func report[T any](c chan T, value T) {
	select {
	case c <- value:
	default:
	}
}

// print writes a line, with the execution's name before it where there are many.
func (p *printer) print(executionARN, line string) {
	if p.many {
		name := trading.OneLine(executionARN[strings.LastIndex(executionARN, ":")+1:], nameColumns)
		line = p.paint.faint(fmt.Sprintf("%-*s", nameColumns, name)) + "  " + line
	}
	fmt.Fprintln(p.out, line)
}

const (
	nameColumns = 36 // of an execution's name, a UUID's
	stepColumns = 46 // of a state's line before its text
	maxText     = 400
)

// step is the line of a state: how it went, its name, its time and what came out, as far as
// the line goes.
func (p *printer) step(executionARN, mark, name string, took time.Duration, text string) {
	limit := maxText
	if p.width > 0 {
		limit = p.width - stepColumns
		if p.many {
			limit -= nameColumns + 2
		}
	}
	duration := ""
	if took != untimed {
		duration = timefmt.Span(took)
	}
	p.print(executionARN, strings.TrimRight(fmt.Sprintf("%s %-33s %s  %s", mark, name, p.paint.faint(fmt.Sprintf("%8s", duration)), trading.OneLine(text, max(limit, 1))), " "))
}

// cause writes what went wrong, in full and broken at spaces.
func (p *printer) cause(executionARN, text string) {
	if text != "" {
		p.print(executionARN, "    "+terminal.Fold(text, "    ", p.width))
	}
}

// untimed is a duration that is not shown.
const untimed time.Duration = -1

// event shows an event of an execution's history.
func (p *printer) event(executionARN string, e states.HistoryEvent) {
	if e.Details.Resource == "sendMessage.waitForTaskToken" && (e.Type == "TaskSucceeded" || e.Type == "TaskFailed" || e.Type == "TaskTimedOut") {
		report(p.answered, struct{}{})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.executions[executionARN]
	if x == nil {
		x = &progress{started: e.Timestamp.Time}
		p.executions[executionARN] = x
	}
	took := e.Timestamp.Sub(x.entered)
	switch {
	case strings.HasSuffix(e.Type, "StateEntered"):
		if x.choice != "" {
			p.step(executionARN, p.paint.good("✓"), x.choice, took, "→ "+e.Details.Name)
			x.choice = ""
		}
		x.state, x.entered = e.Details.Name, e.Timestamp.Time
		if e.Type == "FailStateEntered" {
			p.step(executionARN, p.paint.bad("✗"), e.Details.Name, untimed, "")
		}
	case e.Type == "ChoiceStateExited": // shown with the state that it chose
		x.choice = e.Details.Name
	case strings.HasSuffix(e.Type, "StateExited"):
		if x.failed {
			p.step(executionARN, p.paint.note("↪"), e.Details.Name, took, "caught")
		} else {
			p.step(executionARN, p.paint.good("✓"), e.Details.Name, took, cmp.Or(x.output, e.Details.Output))
		}
		x.output, x.failed = "", false
	case e.Type == "LambdaFunctionSucceeded", e.Type == "TaskSucceeded":
		x.output, x.failed = e.Details.Output, false
	case e.Type == "TaskSubmitted":
		p.step(executionARN, p.paint.note("…"), x.state, untimed, "waits for a decision")
		report(p.waiting, struct{}{})
	case e.Type == "LambdaFunctionFailed", e.Type == "LambdaFunctionTimedOut", e.Type == "TaskFailed", e.Type == "TaskTimedOut":
		x.failed = true
		p.step(executionARN, p.paint.bad("!"), trading.OneLine(e.Details.Error, 100), took, "")
		p.cause(executionARN, trading.OneLine(e.Details.Cause, maxText))
	case endings[e.Type] != "":
		paint := p.paint.bad
		if e.Type == "ExecutionSucceeded" {
			paint = p.paint.good
		}
		text := paint("Execution "+endings[e.Type]) + " after " + timefmt.Span(e.Timestamp.Sub(x.started))
		p.print(executionARN, text)
		if e.Details.Error != "" {
			p.cause(executionARN, trading.OneLine(e.Details.Error, 100)+": "+trading.OneLine(e.Details.Cause, 1000))
		}
		if p.address != "" {
			fmt.Fprintln(p.out, p.paint.faint("The desk in your browser: "+p.address))
		}
		delete(p.executions, executionARN)
		report(p.ended, e.Type == "ExecutionSucceeded")
	}
}

var endings = map[string]string{
	"ExecutionSucceeded": "succeeded",
	"ExecutionFailed":    "failed",
	"ExecutionTimedOut":  "timed out",
	"ExecutionAborted":   "was stopped",
}

// invite prints the address of the desk's page.
func (p *printer) invite(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = address
	fmt.Fprintf(p.out, "Open the desk in your browser; this address works once: %s\n", address)
}

// notification shows what a subscriber of the topic gets, but for what works at AWS alone.
func (p *printer) notification(n system.Notification) {
	p.mu.Lock()
	defer p.mu.Unlock()
	execution := n.Attributes["execution"]
	notice := n.Attributes["type"] == "approval-requested"
	text := n.Message
	switch {
	case notice && p.asks:
		text = ""
	case notice:
		text, _, _ = strings.Cut(text, trading.ToDecide)
	default:
		text = indentJSON(text)
	}
	p.print(execution, p.paint.note("✉ "+trading.OneLine(n.Subject, 100)))
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		p.print(execution, strings.TrimRight("    "+p.paint.faint(terminal.Fold(trading.OneLine(line, maxText), "    ", p.width)), " "))
	}
	if notice {
		report(p.noticed, struct{}{})
	}
}

func indentJSON(text string) string {
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(text), "", "  "); err != nil {
		return text
	}
	return indented.String()
}
