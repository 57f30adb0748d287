package web

import (
	_ "embed"
	"html/template"
	"strconv"
	"strings"

	"stocktrading/stacks/asl"
)

// drawing is the picture of this repository's workflow, as an SVG; `go test ./test -update`
// makes it of the definition and Graphviz draws it.
//
//go:embed workflow.svg
var drawing string

// draw returns the picture of an execution that went through these visits. It is empty for
// a workflow that is not the drawn one.
func draw(w asl.Workflow, visits []visit) template.HTML {
	if !strings.Contains(drawing, `data-workflow="`+w.Key()+`"`) {
		return ""
	}
	changes := map[string]string{} // what is appended to; a later visit has the last word
	class := func(id, kind, status string) { changes[`id="g-`+id+`" class="`+kind] = " is-" + status }
	take := func(from, to string, afterError bool) {
		for n, e := range w.Edges {
			if e.From == from && e.To == to && e.Caught == afterError {
				class("e"+strconv.Itoa(n), "edge", "taken")
			}
		}
	}
	if len(visits) > 0 {
		take("", visits[0].State, false)
	}
	for i, v := range visits {
		id := w.ID(v.State)
		if id == "end" {
			continue // a state of another version of the definition
		}
		class(id, "node state", v.Status)
		changes[`href="#`+id+`" aria-label="`+template.HTMLEscapeString(v.State)] = ": " + v.Status
		switch {
		case i+1 < len(visits):
			take(v.State, visits[i+1].State, v.Status == caught)
		case v.Status == succeeded, v.Status == failed:
			take(v.State, "", false)
		}
	}
	var pairs []string
	for text, more := range changes {
		pairs = append(pairs, text, text+more)
	}
	return template.HTML(strings.NewReplacer(pairs...).Replace(drawing))
}
