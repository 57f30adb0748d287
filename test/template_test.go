package test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// template is a synthesized template as plain JSON. Checks walk it themselves: a
// failing assertion of the CDK's own assertions package would panic.
type template struct {
	Resources map[string]resource
	Outputs   map[string]struct {
		Description string
		Value       any
	}
}

type resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
}

func parse(t *testing.T, text []byte) template {
	t.Helper()
	var tpl template
	if err := json.Unmarshal(text, &tpl); err != nil {
		t.Fatal(err)
	}
	return tpl
}

// ofType returns the logical ids of a type's resources, sorted.
func (tpl template) ofType(kind string) []string {
	var ids []string
	for id, r := range tpl.Resources {
		if r.Type == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// one returns the type's only resource.
func (tpl template) one(kind string) (id string, r resource) {
	ids := tpl.ofType(kind)
	if len(ids) != 1 {
		panic(fmt.Sprintf("%d resources of type %s, want 1", len(ids), kind))
	}
	return ids[0], tpl.Resources[ids[0]]
}

// function returns the logical id and the properties of the function <name>Lambda.
func (tpl template) function(name string) (id string, properties map[string]any) {
	for _, id := range tpl.ofType("AWS::Lambda::Function") {
		if constructID(id) == name+"Lambda" {
			return id, tpl.Resources[id].Properties
		}
	}
	panic("no function " + name)
}

var logicalIDHash = regexp.MustCompile(`[0-9A-F]{8}$`)

// constructID is a logical id as the code spells it.
func constructID(logicalID string) string { return logicalIDHash.ReplaceAllString(logicalID, "") }

// render shows a value of the template, intrinsic functions included, on one line.
func render(value any) string {
	switch value := value.(type) {
	case map[string]any:
		if ref, ok := value["Ref"].(string); ok {
			return constructID(ref)
		}
		if attribute, ok := value["Fn::GetAtt"].([]any); ok {
			return constructID(attribute[0].(string)) + "." + attribute[1].(string)
		}
		if join, ok := value["Fn::Join"].([]any); ok {
			var b strings.Builder
			for _, part := range join[1].([]any) {
				b.WriteString(render(part))
			}
			return b.String()
		}
		text, _ := json.Marshal(value)
		return string(text)
	case string:
		return value
	default:
		text, _ := json.Marshal(value)
		return string(text)
	}
}

// permission is one action that one role or managed policy allows on one resource.
type permission struct{ holder, action, resource string }

// permissions lists every Allow of the template's roles and managed policies, sorted.
func (tpl template) permissions() []permission {
	var list []permission
	add := func(id string, document any) {
		for _, s := range statements(document) {
			if s["Effect"] != "Allow" {
				continue
			}
			for _, action := range oneOrMany(s["Action"]) {
				for _, resource := range oneOrMany(s["Resource"]) {
					list = append(list, permission{constructID(id), action.(string), render(resource)})
				}
			}
		}
	}
	for id, r := range tpl.Resources {
		switch r.Type {
		case "AWS::IAM::Role":
			policies, _ := r.Properties["Policies"].([]any)
			for _, p := range policies {
				add(id, p.(map[string]any)["PolicyDocument"])
			}
		case "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy":
			add(id, r.Properties["PolicyDocument"])
		}
	}
	slices.SortFunc(list, func(a, b permission) int {
		return cmp.Or(cmp.Compare(a.holder, b.holder), cmp.Compare(a.action, b.action), cmp.Compare(a.resource, b.resource))
	})
	return list
}

func (tpl template) permissionTable() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE OR POLICY\tACTION\tRESOURCE")
	for _, p := range tpl.permissions() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.holder, p.action, p.resource)
	}
	w.Flush()
	return b.String()
}

func statements(document any) []map[string]any {
	var list []map[string]any
	for _, s := range document.(map[string]any)["Statement"].([]any) {
		list = append(list, s.(map[string]any))
	}
	return list
}

func oneOrMany(value any) []any {
	if many, ok := value.([]any); ok {
		return many
	}
	return []any{value}
}

// definitionText is the state machine's definition as it stands in the template.
func (tpl template) definitionText() string {
	_, machine := tpl.one("AWS::StepFunctions::StateMachine")
	text, ok := machine.Properties["DefinitionString"].(string)
	if !ok {
		panic("DefinitionString is not the definition's own text")
	}
	return text
}

// machine is a definition in Amazon States Language.
type machine struct {
	StartAt        string
	TimeoutSeconds float64
	States         map[string]map[string]any
}

func (tpl template) definition() machine {
	var m machine
	if err := json.Unmarshal([]byte(tpl.definitionText()), &m); err != nil {
		panic(err)
	}
	return m
}

// next returns the states that a state can lead to, by Next, Choices, Default and Catch.
func next(state map[string]any) []string {
	var list []string
	add := func(holder map[string]any, key string) {
		if name, ok := holder[key].(string); ok {
			list = append(list, name)
		}
	}
	add(state, "Next")
	add(state, "Default")
	for _, key := range []string{"Choices", "Catch"} {
		for _, rule := range entries(state, key) {
			add(rule, "Next")
		}
	}
	return list
}

// entries returns the objects of a state's array, such as its Catch.
func entries(state map[string]any, key string) []map[string]any {
	var list []map[string]any
	array, _ := state[key].([]any)
	for _, entry := range array {
		list = append(list, entry.(map[string]any))
	}
	return list
}

func errorNames(rule map[string]any) []string {
	var names []string
	for _, name := range rule["ErrorEquals"].([]any) {
		names = append(names, name.(string))
	}
	return names
}
