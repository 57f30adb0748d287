package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	var out strings.Builder
	write(&out, []row{
		{"odd", "s", []float64{3, 1, 2.5}},
		{"even", "ms", []float64{4, 1, 2, 30.25}},
		once("counted", "packages", 89),
		ratios("that is", []float64{3, 100}, []float64{2, 1}),
	})
	want := `
| What    | Median      | Spread      | Runs |
| ---     | ---         | ---         | ---  |
| odd     | 2.50 s      | 1 to 3      | 3    |
| even    | 3 ms        | 1 to 30.2   | 4    |
| counted | 89 packages |             | 1    |
| that is | 50.8 times  | 1.50 to 100 | 2    |
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ name, args, want, err string }{
		{"none", "", "packages synth cli edit trade start", ""},
		{"some", "-only trade,packages", "packages trade", ""},
		{"all", "-only all -n 3", "packages compile synth cli edit trade open start word tests", ""},
		{"unknown", "-only trade,flight", "", "want all or some of packages, compile"},
		{"twice", "-only trade,trade", "", "each once"},
		{"negative", "-n -1", "", "-n is -1, want 0 or more"},
		{"argument", "trade", "", `unexpected argument "trade"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, chosen, err := parse(strings.Fields(test.args), io.Discard)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			var names []string
			for _, m := range chosen {
				names = append(names, m.name)
			}
			if got := strings.Join(names, " "); err != nil || got != test.want {
				t.Errorf("got %q and error %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestSumTree(t *testing.T) {
	const list = "    1     0  100\n   20     1   10\n   21    20    2\n   22    21    1\n   30     1 1000\n"
	if got, err := sumTree(list, 20); err != nil || got != 13*1024 {
		t.Errorf("got %v and error %v, want %v", got, err, 13*1024)
	}
	for _, bad := range []string{"", "1 0\n", "1 0 x\n"} {
		if got, err := sumTree(bad, 1); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

func TestStopwatch(t *testing.T) {
	var s stopwatch
	began := time.Now()
	s.begin()
	s.begin()
	time.Sleep(time.Millisecond)
	s.end()
	time.Sleep(time.Millisecond)
	s.end()
	took, sum := time.Since(began), s.read()
	if sum < 2*time.Millisecond || sum > took {
		t.Errorf("two at once for %s in all are %s", took, sum)
	}
	if time.Sleep(time.Millisecond); s.read() != sum {
		t.Error("it runs while nothing does")
	}
}
