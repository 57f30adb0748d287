package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// workflow is a state machine's definition, as far as its picture needs it.
type workflow struct {
	states []state // in the definition's order
	edges  []edge
}

type state struct {
	name, kind, comment string
}

// edge is a way from one state to another. From no state is from the start, to none to the end.
type edge struct {
	from, to string
	label    string
	caught   bool // after an error
}

// readWorkflow reads Amazon States Language.
func readWorkflow(definition string) (workflow, error) {
	var top struct {
		StartAt string
		States  map[string]struct {
			Type, Comment, Next, Default string
			End                          bool
			Choices                      []json.RawMessage
			Catch                        []struct {
				ErrorEquals []string
				Next        string
			}
		}
	}
	if err := json.Unmarshal([]byte(definition), &top); err != nil {
		return workflow{}, fmt.Errorf("read definition: %w", err)
	}
	w := workflow{edges: []edge{{to: top.StartAt}}}
	for _, name := range stateOrder(definition) {
		s := top.States[name]
		w.states = append(w.states, state{name: name, kind: s.Type, comment: s.Comment})
		add := func(to, label string, caught bool) {
			i := slices.IndexFunc(w.edges, func(e edge) bool { return e.from == name && e.to == to && e.caught == caught })
			if i < 0 {
				w.edges = append(w.edges, edge{from: name, to: to, label: label, caught: caught})
			} else if label != "" {
				w.edges[i].label += ", " + label
			}
		}
		if s.Next != "" {
			add(s.Next, "", false)
		}
		if s.End || s.Type == "Succeed" || s.Type == "Fail" {
			add("", "", false)
		}
		for _, rule := range s.Choices {
			next, label := readChoice(rule)
			add(next, label, false)
		}
		if s.Default != "" {
			add(s.Default, "otherwise", false)
		}
		for _, c := range s.Catch {
			add(c.Next, strings.Join(c.ErrorEquals, ", "), true)
		}
	}
	return w, nil
}

// stateOrder lists the keys of States as they stand in the text, which is the order a
// person reads them in.
func stateOrder(definition string) (names []string) {
	var top struct{ States json.RawMessage }
	if json.Unmarshal([]byte(definition), &top) != nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(top.States))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return names
		}
		names = append(names, name.(string))
	}
	return names
}

// readChoice returns where a rule leads and what it compares with, where that is simple.
func readChoice(rule json.RawMessage) (next, label string) {
	var fields map[string]any
	if json.Unmarshal(rule, &fields) != nil {
		return "", ""
	}
	next, _ = fields["Next"].(string)
	for key, value := range fields {
		if strings.Contains(key, "Equals") || strings.Contains(key, "Than") || strings.Contains(key, "Matches") {
			label = fmt.Sprint(value)
		}
	}
	return next, label
}

// id names a state in the page and in the picture; "end" is the end's.
func (w workflow) id(name string) string {
	for i, s := range w.states {
		if s.name == name {
			return "s" + strconv.Itoa(i)
		}
	}
	return "end"
}

// groupPrefix tells the picture's groups from the rest of the page.
const groupPrefix = "g-"

// dot writes the picture in Graphviz's language.
func (w workflow) dot() string {
	var b strings.Builder
	b.WriteString(`digraph {
	graph [bgcolor=none nodesep=0.2 ranksep=0.35]
	node [shape=box style=rounded fontname="Helvetica" fontsize=14 margin="0.14,0.06"]
	edge [fontname="Helvetica" fontsize=11 arrowsize=0.7]
	start [shape=circle label="Start" width=0.7 fixedsize=true fontsize=11 id="` + groupPrefix + `start" class=terminal]
	end [shape=circle label="End" width=0.6 fixedsize=true fontsize=11 id="` + groupPrefix + `end" class=terminal]
`)
	for _, s := range w.states {
		shape := ""
		if s.kind == "Choice" {
			shape = " shape=hexagon style=solid"
		}
		id := w.id(s.name)
		fmt.Fprintf(&b, "\t%s [label=%s id=\"g-%s\" URL=\"#%s\" class=state%s]\n", id, dotText(s.name), id, id, shape)
	}
	for i, e := range w.edges {
		from, class, weight := "start", "next", 8
		if e.from != "" {
			from = w.id(e.from)
		}
		if e.caught {
			class, weight = "catch", 1
		}
		label := ""
		if e.label != "" && !strings.Contains(e.label, "States.ALL") { // any error
			label = " label=" + dotText(e.label)
		}
		fmt.Fprintf(&b, "\t%s -> %s [id=\"g-e%d\" class=%s weight=%d%s]\n", from, w.id(e.to), i, class, weight, label)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotText makes a text a string of Graphviz's language, in which a backslash begins an
// escape. It is broken into short lines, so that the picture is not wide.
func dotText(s string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(line(s, 60)) {
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

// picture is a drawn workflow. The classes of its groups and the labels of its links
// depend on an execution and are filled in for each.
type picture struct {
	workflow workflow
	parts    []part
	problem  string    // why there is no picture
	pending  bool      // there will be one
	failed   time.Time // when it could not be drawn; zero if it could
}

// part is some SVG, and after it what is to be filled in: the class or the label of the
// state or edge with an id.
type part struct {
	svg, id string
	label   bool
}

// What is taken from Graphviz's output. Colours and fonts are the style sheet's.
var (
	svgElements   = []string{"svg", "g", "a", "path", "polygon", "polyline", "ellipse", "text"}
	svgAttributes = []string{"viewBox", "transform", "points", "d", "cx", "cy", "rx", "ry", "x", "y", "text-anchor", "font-size", "id", "class"}
)

// readPicture takes the elements and attributes that are known from an SVG, and nothing else.
func readPicture(w workflow, svg []byte) (*picture, error) {
	p := &picture{workflow: w}
	var (
		out     strings.Builder
		skipped int
		group   string // the id of the state or edge that is being read
	)
	fill := func(label bool) {
		p.parts = append(p.parts, part{svg: out.String(), id: group, label: label})
		out.Reset()
	}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read picture: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if skipped > 0 || !slices.Contains(svgElements, t.Name.Local) {
				skipped++
				continue
			}
			out.WriteString("<" + t.Name.Local)
			if t.Name.Local == "svg" {
				out.WriteString(` role="group" aria-label="Workflow"`)
			}
			for _, a := range t.Attr {
				switch name := a.Name.Local; {
				case name == "class" && t.Name.Local == "g":
					group = strings.TrimPrefix(attribute(t, "id"), groupPrefix)
					out.WriteString(` class="` + escape(a.Value) + " ")
					fill(false)
					out.WriteString(`"`)
				case name == "href":
					out.WriteString(` href="` + escape(a.Value) + `" aria-label="`)
					fill(true)
					out.WriteString(`"`)
				case a.Name.Space == "" && slices.Contains(svgAttributes, name):
					out.WriteString(" " + name + `="` + escape(a.Value) + `"`)
				}
			}
			out.WriteString(">")
		case xml.EndElement:
			if skipped > 0 {
				skipped--
				continue
			}
			out.WriteString("</" + t.Name.Local + ">")
		case xml.CharData:
			if skipped == 0 {
				out.WriteString(escape(string(t)))
			}
		}
	}
	p.parts = append(p.parts, part{svg: out.String()})
	return p, nil
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// draw returns the SVG for an execution that went through these visits.
func (p *picture) draw(visits []visit) string {
	classes, labels := map[string]string{}, map[string]string{}
	take := func(from, to string, afterError bool) {
		for n, e := range p.workflow.edges {
			if e.from == from && e.to == to && e.caught == afterError {
				classes["e"+strconv.Itoa(n)] = "is-taken"
			}
		}
	}
	if len(visits) > 0 {
		take("", visits[0].State, false)
	}
	for _, s := range p.workflow.states {
		labels[p.workflow.id(s.name)] = line(s.name, 80)
	}
	for i, v := range visits {
		id := p.workflow.id(v.State)
		if id == "end" {
			continue // a state of another version of the definition
		}
		classes[id] = "is-" + v.Status
		labels[id] = line(v.State, 80) + ": " + v.Status
		switch {
		case i+1 < len(visits):
			take(v.State, visits[i+1].State, v.Status == caught)
		case v.Status == succeeded, v.Status == failed:
			take(v.State, "", false)
		}
	}
	var b strings.Builder
	for _, part := range p.parts {
		b.WriteString(part.svg)
		if part.label {
			b.WriteString(escape(cmp.Or(labels[part.id], "Workflow")))
		} else {
			b.WriteString(classes[part.id])
		}
	}
	return b.String()
}
