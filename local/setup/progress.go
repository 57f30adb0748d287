package setup

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"stocktrading/desk/terminal"
	"stocktrading/desk/timefmt"
)

const (
	quiet         = time.Second            // a step that takes less is not worth mentioning
	quietLong     = 100 * time.Millisecond // the same for a step that takes long
	plainInterval = 10 * time.Second
	barWidth      = 20 // with the longest title, count and time a line has less than 80 columns
)

// Progress shows a person what is being done, how much of it is done, and for how long. Steps may run at once. A nil
// Progress shows nothing.
type Progress struct {
	out  io.Writer
	live bool // on a terminal, whose lines can be rewritten

	mu      sync.Mutex
	bars    *mpb.Progress // nil while there are none
	visible int           // steps that have a bar
}

// Step is something that takes time.
type Step struct {
	progress    *Progress
	title, hint string
	began       time.Time
	ended       chan struct{}
	visible     bool     // guarded by the progress's mutex, as bar is
	bar         *mpb.Bar // nil without a terminal

	mu          sync.Mutex // never held while a bar is called
	state       string     // what it waits for; empty if it does not wait
	done, total int        // packages
}

// NewProgress shows steps on w. On a terminal the running steps have a line each. On anything else, or if NO_COLOR is
// set, there are plain lines: one when a step starts, one every ten seconds, one at its end.
func NewProgress(w io.Writer) *Progress {
	return &Progress{out: w, live: terminal.HasColour(w, os.Getenv)}
}

// Step starts a step. The hint says why it takes long; it is empty for a step that usually does not.
func (p *Progress) Step(title, hint string) *Step {
	s := &Step{progress: p, title: title, hint: hint, began: time.Now(), ended: make(chan struct{})}
	if p != nil {
		go s.run()
	}
	return s
}

// Done ends the step, with the error that it failed with, if it did. The caller reports the error itself.
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
	last := "done in"
	if err != nil {
		last = "failed after"
	}
	last = fmt.Sprintf("%s: %s %s\n", s.title, last, timefmt.Span(time.Since(s.began)))
	if s.bar != nil {
		s.bar.Abort(true)
		if p.visible--; p.visible == 0 {
			p.bars.Wait() // so that the terminal is free for whatever comes next
			p.bars = nil
		}
	}
	p.write(last)
}

// write writes a line that stays, above the bars if there are any.
func (p *Progress) write(line string) {
	if p.bars != nil {
		p.bars.Write([]byte(line))
		return
	}
	io.WriteString(p.out, line)
}

// note says what the step waits for, or that it waits no longer.
func (s *Step) note(state string) {
	p := s.progress
	if p == nil {
		return
	}
	s.mu.Lock()
	s.state = state
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.visible && state != "" && s.bar == nil {
		s.printStatus()
	}
}

// count says how many of the packages are compiled.
func (s *Step) count(done, total int) {
	p := s.progress
	if p == nil {
		return
	}
	s.mu.Lock()
	s.done, s.total = done, total
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.bar != nil {
		s.bar.SetTotal(int64(total), false)
		s.bar.SetCurrent(int64(done))
	}
}

// run prints the step's progress as time goes by.
func (s *Step) run() {
	wait := quiet
	if s.hint != "" {
		wait = quietLong
	}
	for first := true; ; first = false {
		select {
		case <-s.ended:
			return
		case <-time.After(wait):
		}
		wait = plainInterval
		p := s.progress
		p.mu.Lock()
		select {
		case <-s.ended: // while this waited for the others
		default:
			if first {
				s.announce()
			} else if s.bar == nil {
				s.printStatus()
			}
		}
		p.mu.Unlock()
	}
}

// announce prints that the step has started.
func (s *Step) announce() {
	s.visible = true
	line := s.title
	if s.hint != "" {
		line += ": " + s.hint
	}
	p := s.progress
	p.write(line + "\n")
	s.mu.Lock()
	waits := s.state != ""
	s.mu.Unlock()
	if p.live {
		s.addBar()
	} else if waits {
		s.printStatus()
	}
}

// printStatus prints how far the step is, on a line of its own.
func (s *Step) printStatus() {
	s.progress.write(s.title + ": " + s.now(", ") + "\n")
}

// now is how far the step is.
func (s *Step) now(separator string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	switch {
	case s.state != "":
		text = s.state + separator
	case s.total > 0:
		text = fmt.Sprintf("%d of %d packages%s", s.done, s.total, separator)
	}
	return text + timefmt.Span(time.Since(s.began))
}

// addBar gives the step a line on the terminal: with a bar once the total is known.
func (s *Step) addBar() {
	p := s.progress
	if p.bars == nil {
		p.bars = mpb.New(mpb.WithOutput(p.out), mpb.WithAutoRefresh())
	}
	p.visible++
	s.bar = p.bars.New(0, mpb.BarStyle().Lbound("▕").Filler("█").Tip("█").Padding(" ").Rbound("▏"),
		mpb.BarWidth(barWidth),
		mpb.BarFillerMiddleware(func(bar mpb.BarFiller) mpb.BarFiller {
			return mpb.BarFillerFunc(func(w io.Writer, at decor.Statistics) error {
				if at.Total == 0 {
					return nil
				}
				return bar.Fill(w, at)
			})
		}),
		mpb.PrependDecorators(decor.Name(s.title)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.now("  ") })),
	)
}
