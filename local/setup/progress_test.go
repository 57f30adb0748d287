package setup

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
			time.Sleep(299 * time.Millisecond)
			s.Done(nil)
		}, nil},
		{"told of early", func(p *Progress) {
			s := p.Step("Working", "slow")
			time.Sleep(400 * time.Millisecond)
			s.Done(nil)
		}, []string{"Working — slow", "Working: done in 0.4 s"}},
		{"quick failure", func(p *Progress) {
			p.Step("Working", "slow").Done(errors.New("broken"))
		}, nil},
		{"short", func(p *Progress) {
			s := p.Step("Working", "")
			time.Sleep(1250 * time.Millisecond)
			s.Done(nil)
		}, []string{"Working", "Working: done in 1.2 s"}},
		{"long", func(p *Progress) {
			s := p.Step("Working", "it takes long")
			time.Sleep(85 * time.Second)
			s.Done(nil)
		}, []string{
			"Working — it takes long", "Working: 10 s", "Working: 20 s", "Working: 30 s", "Working: 40 s", "Working: 50 s",
			"Working: 1 min 0 s", "Working: 1 min 10 s", "Working: 1 min 20 s", "Working: done in 1 min 25 s",
		}},
		{"failure", func(p *Progress) {
			s := p.Step("Working", "")
			time.Sleep(2 * time.Second)
			s.Done(errors.New("broken"))
		}, []string{"Working", "Working: failed after 2.0 s"}},
		{"waiting from the start", func(p *Progress) {
			s := p.Step("Working", "slow")
			s.note("waiting for another build")
			time.Sleep(12 * time.Second)
			s.note("")
			time.Sleep(10 * time.Second)
			s.Done(nil)
		}, []string{"Working — slow", "Working: waiting for another build, 0.3 s", "Working: waiting for another build, 10 s", "Working: 20 s", "Working: done in 22 s"}},
		{"waiting later", func(p *Progress) {
			s := p.Step("Working", "")
			time.Sleep(3 * time.Second)
			s.note("waiting for another build")
			time.Sleep(time.Second)
			s.note("")
			s.Done(nil)
		}, []string{"Working", "Working: waiting for another build, 3.0 s", "Working: done in 4.0 s"}},
		{"two at once", func(p *Progress) {
			a := p.Step("Compiling", "")
			time.Sleep(100 * time.Millisecond)
			b := p.Step("Installing", "")
			time.Sleep(5 * time.Second)
			a.Done(nil)
			time.Sleep(time.Second)
			b.Done(nil)
		}, []string{"Compiling", "Installing", "Compiling: done in 5.1 s", "Installing: done in 6.0 s"}},
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

// screen is what a terminal shows after it got a text with the codes that a Progress uses.
func screen(t *testing.T, text string) []string {
	t.Helper()
	lines := []string{}
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			up := 0
			for ; rest[0] >= '0' && rest[0] <= '9'; rest = rest[1:] {
				up = up*10 + int(rest[0]-'0')
			}
			if rest, ok = strings.CutPrefix(rest, "A\x1b[J"); !ok || up > len(lines) {
				t.Fatalf("unknown code in %q", text)
			}
			lines, text = lines[:len(lines)-up], rest
			continue
		}
		line, rest, ok := strings.Cut(text, "\n")
		if !ok || strings.Contains(line, "\x1b") {
			t.Fatalf("unfinished line in %q", text)
		}
		lines, text = append(lines, line), rest
	}
	return lines
}

func TestProgressLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewProgress(&out)
		p.width = func() int { return 40 }
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			if diff := cmp.Diff(want, screen(t, out.String())); diff != "" {
				t.Errorf("screen (-want +got):\n%s", diff)
			}
		}
		quick := p.Step("Looking", "")
		compile := p.Step("Compiling the app", "it takes about two minutes")
		time.Sleep(100 * time.Millisecond)
		quick.Done(nil)
		install := p.Step("Installing", "once")
		time.Sleep(250 * time.Millisecond)
		check("Compiling the app  0.3 s  it takes abou")
		time.Sleep(4750 * time.Millisecond)
		check("Compiling the app  5.1 s  it takes abou", "Installing  5.0 s  once")
		compile.note("waiting")
		check("Compiling the app  5.1 s  waiting", "Installing  5.0 s  once")
		compile.note("")
		time.Sleep(10 * time.Second)
		install.Done(nil)
		check("Installing: done in 15 s", "Compiling the app  15 s  it takes about")
		compile.Done(errors.New("broken"))
		check("Installing: done in 15 s", "Compiling the app: failed after 15 s")
	})
}

func TestProgressNil(t *testing.T) {
	var p *Progress
	s := p.Step("Working", "")
	s.note("waiting")
	s.Done(nil)
}

func TestProgressIsPlainOnFiles(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p := NewProgress(f); p.width != nil {
		t.Error("a file is taken for a terminal")
	}
}
