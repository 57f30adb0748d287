// Package asl reads definitions in Amazon States Language: their states, in order, and the
// ways from one to the next.
package asl

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Workflow is what a picture of a definition shows.
type Workflow struct {
	States []State // in the definition's order
	Edges  []Edge
}

// State is a state; Type is its type in Amazon States Language, such as Task.
type State struct {
	Name, Type, Comment string
}

// Edge is a way from one state to another. It leads from the start if From is empty, and to
// the end if To is.
type Edge struct {
	From, To string
	Label    string // what a choice compares with, or the errors that are caught
	Caught   bool   // after an error
}

// Read reads a definition.
func Read(definition string) (Workflow, error) {
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
		return Workflow{}, fmt.Errorf("read definition: %w", err)
	}
	w := Workflow{Edges: []Edge{{To: top.StartAt}}}
	for _, name := range Order(definition) {
		s := top.States[name]
		w.States = append(w.States, State{Name: name, Type: s.Type, Comment: s.Comment})
		add := func(to, label string, caught bool) {
			i := slices.IndexFunc(w.Edges, func(e Edge) bool { return e.From == name && e.To == to && e.Caught == caught })
			if i < 0 {
				w.Edges = append(w.Edges, Edge{From: name, To: to, Label: label, Caught: caught})
			} else if label != "" {
				w.Edges[i].Label += ", " + label
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

// Order lists the states as they stand in the text, which is the order a person reads them in.
func Order(definition string) (names []string) {
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

// ID names a state in a page and in a picture; "end" is the end's.
func (w Workflow) ID(name string) string {
	i := slices.IndexFunc(w.States, func(s State) bool { return s.Name == name })
	if i < 0 {
		return "end"
	}
	return "s" + strconv.Itoa(i)
}

// Key is the same for workflows that look the same: comments do not count.
func (w Workflow) Key() string {
	w.States = slices.Clone(w.States)
	for i := range w.States {
		w.States[i].Comment = ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%#v", w)))
}
