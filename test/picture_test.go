package test

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/golden"

	"stocktrading/lambdas/trading"
	"stocktrading/stacks/asl"
)

// The desk's picture of the workflow is made of the definition as it is now.
func TestPicture(t *testing.T) {
	t.Parallel()
	definition, err := os.ReadFile("stacks/stock_trading.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	w, err := asl.Read(string(definition))
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("desk/web/workflow.svg")
	if err != nil {
		t.Fatal(err)
	}
	golden.Assert(t, picture(t, w), path)
}

// picture has Graphviz draw a workflow, and leaves what the page's style sheet and its
// links need.
func picture(t *testing.T, w asl.Workflow) string {
	t.Helper()
	svg := graphviz(t, dot(w))
	svg = svg[strings.Index(svg, "<svg"):]
	for _, change := range []struct{ from, to string }{
		{`(?s)<!--.*?-->\n|<title>.*?</title>\n| xmlns:xlink="[^"]*"`, ""},
		{`&#45;`, "-"},
		{` width="(\d+)pt" height="(\d+)pt"\n`, ` role="group" aria-label="Workflow" data-workflow="` + w.Key() + `" width="$1" height="$2"`},
	} {
		svg = regexp.MustCompile(change.from).ReplaceAllString(svg, change.to)
	}
	return regexp.MustCompile(`xlink:href="#(s\d+)" xlink:title="[^"]*"`).ReplaceAllStringFunc(svg, func(link string) string {
		id := strings.Split(link, `"`)[1]
		for _, s := range w.States {
			if "#"+w.ID(s.Name) == id {
				return `href="` + id + `" aria-label="` + html.EscapeString(s.Name) + `"`
			}
		}
		t.Errorf("the picture links to %s, which is not a state", id)
		return link
	})
}

// graphviz draws a graph in Graphviz's language, in a process of its own: Graphviz keeps
// the machine code that it runs in the temporary folder, where another user of the machine
// could plant theirs. It gets a private one.
func graphviz(t *testing.T, graph string) string {
	t.Helper()
	private := filepath.Join(outdir, "draw")
	if err := os.MkdirAll(private, 0o700); err != nil {
		t.Fatal(err)
	}
	var svg, problems bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "run", "stocktrading/test/draw")
	cmd.Env = append(os.Environ(), "TMPDIR="+private, "TMP="+private, "TEMP="+private)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(graph), &svg, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("draw: %v: %s", err, problems.String())
	}
	return svg.String()
}

// dot writes the picture in Graphviz's language.
func dot(w asl.Workflow) string {
	var b strings.Builder
	b.WriteString(`digraph {
	graph [bgcolor=none nodesep=0.2 ranksep=0.35]
	node [shape=box style=rounded fontname="Helvetica" fontsize=14 margin="0.14,0.06"]
	edge [fontname="Helvetica" fontsize=12 arrowsize=0.7]
	start [shape=circle label="Start" width=0.7 fixedsize=true fontsize=11 id="g-start" class=terminal]
	end [shape=circle label="End" width=0.6 fixedsize=true fontsize=11 id="g-end" class=terminal]
`)
	for _, s := range w.States {
		shape := ""
		if s.Type == "Choice" {
			shape = " shape=hexagon style=solid"
		}
		id := w.ID(s.Name)
		fmt.Fprintf(&b, "\t%s [label=%s id=\"g-%s\" URL=\"#%s\" class=state%s]\n", id, dotText(s.Name), id, id, shape)
	}
	for i, e := range w.Edges {
		from, class, weight := "start", "next", 8
		if e.From != "" {
			from = w.ID(e.From)
		}
		if e.Caught {
			class, weight = "catch", 1
		}
		label := ""
		if e.Label != "" && !strings.Contains(e.Label, "States.ALL") { // any error
			label = " label=" + dotText(e.Label)
		}
		fmt.Fprintf(&b, "\t%s -> %s [id=\"g-e%d\" class=%s weight=%d%s]\n", from, w.ID(e.To), i, class, weight, label)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotText makes a text a string of Graphviz's language, in which a backslash begins an
// escape. It is broken into short lines, so that the picture is not wide.
func dotText(s string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(trading.OneLine(s, 60)) {
		switch {
		case i == 0:
		case width+len(word) > 16:
			b.WriteString(`\n`)
			width = 0
		default:
			b.WriteByte(' ')
		}
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(word))
		width += len(word) + 1
	}
	return `"` + b.String() + `"`
}
