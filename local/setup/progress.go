package setup

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	quiet         = time.Second            // a step that takes less is not worth a word
	quietLong     = 300 * time.Millisecond // the same for a step that is known to take long
	liveInterval  = 100 * time.Millisecond
	plainInterval = 10 * time.Second
)

// Progress tells a person what is being done, and for how long. Steps may run at once. A nil Progress tells nothing.
type Progress struct {
	out   io.Writer
	width func() int // of the terminal whose lines can be written again, or nil

	mu    sync.Mutex
	shown []*Step // that run and have been told of
	drawn int     // lines on the terminal that are written again
}

// Step is something that takes time.
type Step struct {
	progress *Progress
	title    string
	hint     string
	state    string // what it waits for, if it does
	began    time.Time
	ended    chan struct{}
	visible  bool
}

// NewProgress tells of steps on w. On a terminal the running steps have a line each, with the time that they have taken. On
// anything else, or if NO_COLOR is set, there are plain lines: one when a step starts, one every ten seconds, one at its end.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{out: w}
	// The console of Windows doesn't understand the codes that move the cursor unless it is told to.
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && runtime.GOOS != "windows" &&
		os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		p.width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		}
	}
	return p
}

// Step starts a step. The hint says why it takes long, and is empty if it mostly doesn't.
func (p *Progress) Step(title, hint string) *Step {
	s := &Step{progress: p, title: title, hint: hint, began: time.Now(), ended: make(chan struct{})}
	if p != nil {
		go s.run()
	}
	return s
}

// Done ends the step, with the error that it failed with, if it did. Nobody but the caller tells the error itself.
func (s *Step) Done(err error) {
	close(s.ended)
	p := s.progress
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.visible {
		return
	}
	p.shown = slices.DeleteFunc(p.shown, func(other *Step) bool { return other == s })
	took := time.Since(s.began)
	if err != nil {
		p.print(fmt.Sprintf("%s: failed after %s", s.title, seconds(took)))
	} else {
		p.print(fmt.Sprintf("%s: done in %s", s.title, seconds(took)))
	}
}

// note says what the step waits for, or that it waits no longer.
func (s *Step) note(state string) {
	p := s.progress
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.state = state
	if s.visible && (state != "" || p.width != nil) {
		s.tell()
	}
}

func (s *Step) run() {
	p := s.progress
	interval := plainInterval
	if p.width != nil {
		interval = liveInterval
	}
	for first := true; ; first = false {
		wait := interval
		if first {
			wait = quiet
			if s.hint != "" {
				wait = quietLong
			}
		}
		select {
		case <-s.ended:
			return
		case <-time.After(wait):
		}
		p.mu.Lock()
		select {
		case <-s.ended: // while this waited for the others
			p.mu.Unlock()
			return
		default:
		}
		if first {
			s.visible = true
			p.shown = append(p.shown, s)
			s.announce()
		} else {
			s.tell()
		}
		p.mu.Unlock()
	}
}

// announce tells that the step has started.
func (s *Step) announce() {
	p := s.progress
	switch {
	case p.width != nil:
		p.print("")
	case s.hint != "":
		p.print(s.title + " — " + s.hint)
	default:
		p.print(s.title)
	}
	if p.width == nil && s.state != "" {
		s.tell()
	}
}

// tell tells how the step is getting on.
func (s *Step) tell() {
	p := s.progress
	switch {
	case p.width != nil:
		p.print("")
	case s.state != "":
		p.print(fmt.Sprintf("%s: %s, %s", s.title, s.state, seconds(time.Since(s.began))))
	default:
		p.print(fmt.Sprintf("%s: %s", s.title, seconds(time.Since(s.began))))
	}
}

// print writes a line to stay, if there is one, and under it the lines of the running steps anew.
func (p *Progress) print(line string) {
	var text strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\x1b[J", p.drawn) // up to the first of them, and clear all below
	}
	if line != "" {
		text.WriteString(line + "\n")
	}
	p.drawn = 0
	if p.width != nil {
		for _, s := range p.shown {
			// A line that breaks would be two to go up.
			text.WriteString(cut(s.live(), p.width()-1) + "\n")
			p.drawn++
		}
	}
	io.WriteString(p.out, text.String())
}

// live is the step's line on a terminal. The time comes before what may be cut.
func (s *Step) live() string {
	line := fmt.Sprintf("%s  %s", s.title, seconds(time.Since(s.began)))
	switch {
	case s.state != "":
		line += "  " + s.state
	case s.hint != "":
		line += "  " + s.hint
	}
	return line
}

func cut(line string, width int) string {
	if runes := []rune(line); len(runes) > width {
		return string(runes[:max(0, width)])
	}
	return line
}

func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	default:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}
