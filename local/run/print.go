package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"

	"stocktrading/lambdas/trading"
	"stocktrading/local/states"
	"stocktrading/local/system"
)

// printer shows an execution as it goes: a line for each state, and what arrives on
// the topic.
type printer struct {
	waiting chan struct{} // an execution waits for a decision
	noticed chan struct{} // a notice has arrived
	ended   chan bool     // an execution has ended, and whether well

	mu         sync.Mutex
	out        io.Writer
	many       bool // executions: each line begins with the name of its own
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

func newPrinter(out io.Writer, many bool) *printer {
	return &printer{
		waiting:    make(chan struct{}, 1),
		noticed:    make(chan struct{}, 1),
		ended:      make(chan bool, 1),
		out:        out,
		many:       many,
		executions: map[string]*progress{},
	}
}

// tell informs whoever waits for it; nobody may.
func tell[T any](c chan T, value T) {
	select {
	case c <- value:
	default:
	}
}

var (
	good  = color.New(color.FgGreen).SprintFunc()
	bad   = color.New(color.FgRed).SprintFunc()
	note  = color.New(color.FgCyan).SprintFunc()
	faint = color.New(color.Faint).SprintFunc()
)

// print writes a line, with the execution's name before it where there are many.
func (p *printer) print(executionARN, line string) {
	if p.many {
		name := trading.OneLine(executionARN[strings.LastIndex(executionARN, ":")+1:], 36)
		line = fmt.Sprintf("%-36s  %s", faint(name), line)
	}
	fmt.Fprintln(p.out, line)
}

// step is the line of a state: how it went, its name, its time and what came out.
func (p *printer) step(executionARN, mark, name string, took time.Duration, text string) {
	p.print(executionARN, fmt.Sprintf("%s %-33s %s  %s", mark, name, faint(fmt.Sprintf("%8s", short(took))), trading.OneLine(text, 400)))
}

// untimed is the time of what has none to show.
const untimed time.Duration = -1

func short(d time.Duration) string {
	if d == untimed {
		return ""
	}
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(100 * time.Millisecond).String()
}

// event shows an event of an execution's history.
func (p *printer) event(executionARN string, e states.HistoryEvent) {
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
			p.step(executionARN, good("✓"), x.choice, took, "→ "+e.Details.Name)
			x.choice = ""
		}
		x.state, x.entered = e.Details.Name, e.Timestamp.Time
		if e.Type == "FailStateEntered" {
			p.step(executionARN, bad("✗"), e.Details.Name, untimed, "")
		}
	case e.Type == "ChoiceStateExited": // shown with the state that it chose
		x.choice = e.Details.Name
	case strings.HasSuffix(e.Type, "StateExited"):
		if x.failed {
			p.step(executionARN, note("↪"), e.Details.Name, took, "caught")
		} else {
			p.step(executionARN, good("✓"), e.Details.Name, took, cmp.Or(x.output, e.Details.Output))
		}
		x.output, x.failed = "", false
	case e.Type == "LambdaFunctionSucceeded", e.Type == "TaskSucceeded":
		x.output, x.failed = e.Details.Output, false
	case e.Type == "TaskSubmitted":
		p.step(executionARN, note("…"), x.state, untimed, "waits for a decision")
		tell(p.waiting, struct{}{})
	case e.Type == "LambdaFunctionFailed", e.Type == "LambdaFunctionTimedOut", e.Type == "TaskFailed", e.Type == "TaskTimedOut":
		x.failed = true
		p.step(executionARN, bad("!"), trading.OneLine(e.Details.Error, 100), took, e.Details.Cause)
	case endings[e.Type] != "":
		paint := bad
		if e.Type == "ExecutionSucceeded" {
			paint = good
		}
		text := paint("Execution "+endings[e.Type]) + " after " + short(e.Timestamp.Sub(x.started))
		if e.Details.Error != "" {
			text += ": " + trading.OneLine(e.Details.Error, 100) + ": " + trading.OneLine(e.Details.Cause, 1000)
		}
		p.print(executionARN, text)
		delete(p.executions, executionARN)
		tell(p.ended, e.Type == "ExecutionSucceeded")
	}
}

var endings = map[string]string{
	"ExecutionSucceeded": "succeeded",
	"ExecutionFailed":    "failed",
	"ExecutionTimedOut":  "timed out",
	"ExecutionAborted":   "was stopped",
}

// notification shows what a subscriber of the topic gets.
func (p *printer) notification(n system.Notification) {
	p.mu.Lock()
	defer p.mu.Unlock()
	execution := n.Attributes["execution"]
	text := n.Message
	if n.Attributes["type"] == "trade-report" {
		text = indentJSON(text)
	}
	p.print(execution, note("✉ "+trading.OneLine(n.Subject, 100)))
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		p.print(execution, "    "+faint(trading.OneLine(line, 400)))
	}
	if n.Attributes["type"] == "approval-requested" {
		tell(p.noticed, struct{}{})
	}
}

func indentJSON(text string) string {
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(text), "", "  "); err != nil {
		return text
	}
	return indented.String()
}
