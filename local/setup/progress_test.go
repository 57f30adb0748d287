package setup

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestProgressPlain(t *testing.T) {
	tests := []struct {
		name string
		work func(p *Progress)
		want []string
	}{
		{"quick", func(p *Progress) {
			s := p.Step("Working", "")
			time.Sleep(999 * time.Millisecond)
			s.Done(nil)
		}, nil},
		{"quick for once", func(p *Progress) {
			s := p.Step("Working", "slow")
			time.Sleep(99 * time.Millisecond)
			s.Done(nil)
		}, nil},
		{"told of early", func(p *Progress) {
			s := p.Step("Working", "slow")
			time.Sleep(400 * time.Millisecond)
			s.Done(nil)
		}, []string{"Working: slow", "Working: done in 400ms"}},
		{"quick failure", func(p *Progress) {
			p.Step("Working", "slow").Done(errors.New("broken"))
		}, nil},
		{"short", func(p *Progress) {
			s := p.Step("Working", "")
			time.Sleep(1250 * time.Millisecond)
			s.Done(nil)
		}, []string{"Working", "Working: done in 1.2s"}},
		{"long", func(p *Progress) {
			s := p.Step("Working", "it takes long")
			time.Sleep(85 * time.Second)
			s.Done(nil)
		}, []string{
			"Working: it takes long", "Working: 10s", "Working: 20s", "Working: 30s", "Working: 40s", "Working: 50s",
			"Working: 1m", "Working: 1m10s", "Working: 1m20s", "Working: done in 1m25s",
		}},
		{"failure", func(p *Progress) {
			s := p.Step("Working", "")
			time.Sleep(2 * time.Second)
			s.Done(errors.New("broken"))
		}, []string{"Working", "Working: failed after 2s"}},
		{"waiting from the start", func(p *Progress) {
			s := p.Step("Working", "slow")
			s.note("waiting for another build")
			time.Sleep(12 * time.Second)
			s.note("")
			time.Sleep(10 * time.Second)
			s.Done(nil)
		}, []string{"Working: slow", "Working: waiting for another build, 100ms", "Working: waiting for another build, 10s", "Working: 20s", "Working: done in 22s"}},
		{"waiting later", func(p *Progress) {
			s := p.Step("Working", "")
			time.Sleep(3 * time.Second)
			s.note("waiting for another build")
			time.Sleep(time.Second)
			s.note("")
			s.Done(nil)
		}, []string{"Working", "Working: waiting for another build, 3s", "Working: done in 4s"}},
		{"counted", func(p *Progress) {
			s := p.Step("Compiling", "slow")
			time.Sleep(5 * time.Second)
			s.count(3, 89)
			time.Sleep(6 * time.Second)
			s.count(89, 89)
			s.Done(nil)
		}, []string{"Compiling: slow", "Compiling: 3 of 89 packages, 10s", "Compiling: done in 11s"}},
		{"two at once", func(p *Progress) {
			a := p.Step("Compiling", "")
			time.Sleep(100 * time.Millisecond)
			b := p.Step("Installing", "")
			time.Sleep(5 * time.Second)
			a.Done(nil)
			time.Sleep(time.Second)
			b.Done(nil)
		}, []string{"Compiling", "Installing", "Compiling: done in 5.1s", "Installing: done in 6s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				tt.work(NewProgress(&out))
				synctest.Wait()
				want := ""
				for _, line := range tt.want {
					want += line + "\n"
				}
				if diff := cmp.Diff(want, out.String()); diff != "" {
					t.Errorf("output (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Each line of a terminal that is written again stands here as often as it was written: without a terminal, the bars
// know none to go back on.
func TestProgressLive(t *testing.T) {
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		p := NewProgress(&out)
		p.live = true
		quick := p.Step("Looking", "")
		app := p.Step("Compiling the functions", "about two minutes the first time")
		time.Sleep(100 * time.Millisecond)
		quick.Done(nil)
		install := p.Step("Installing the npm packages", "once for each package-lock.json")
		time.Sleep(5 * time.Second)
		install.note("waiting for another installation")
		app.count(120, 321)
		time.Sleep(10 * time.Minute)
		install.Done(nil)
		time.Sleep(time.Second)
		app.count(321, 321)
		app.Done(errors.New("broken"))
		io.WriteString(&out, "what comes next\n")
	})
	var stay []string
	shown := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		if width := utf8.RuneCountInString(line); width > 80 {
			t.Errorf("%q has %d columns, want at most 80", line, width)
		}
		if shown[line] = true; strings.Contains(line, ": ") || strings.Contains(line, "next") {
			stay = append(stay, line)
		}
	}
	for _, want := range []string{
		"Compiling the functions  4.7s",
		"Installing the npm packages  waiting for another installation  10m4s",
		"Compiling the functions ▕███████           ▏ 120 of 321 packages  10m4s",
	} {
		if !shown[want] {
			t.Errorf("%q is not shown", want)
		}
	}
	want := []string{
		"Compiling the functions: about two minutes the first time",
		"Installing the npm packages: once for each package-lock.json",
		"Installing the npm packages: done in 10m5s",
		"Compiling the functions: failed after 10m6s",
		"what comes next",
	}
	if diff := cmp.Diff(want, stay); diff != "" || !strings.HasSuffix(out.String(), "next\n") {
		t.Errorf("what stays (-want +got):\n%s", diff)
	}
}

func TestProgressNil(t *testing.T) {
	var p *Progress
	s := p.Step("Working", "")
	s.note("waiting")
	s.count(1, 2)
	s.Done(nil)
}

func TestProgressIsPlainOnFiles(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p := NewProgress(f); p.live {
		t.Error("a file is taken for a terminal")
	}
}
