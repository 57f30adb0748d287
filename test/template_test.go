package test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// one returns the type's only resource: the first, if a template has too many of them,
// or none. That there is one is for checkResources to say.
func (tpl template) one(kind string) (id string, r resource) {
	ids := tpl.ofType(kind)
	if len(ids) == 0 {
		return "", resource{}
	}
	return ids[0], tpl.Resources[ids[0]]
}

// function returns the properties of the function <name>Lambda, if there is one.
func (tpl template) function(name string) (properties map[string]any) {
	for _, id := range tpl.ofType("AWS::Lambda::Function") {
		if constructID(id) == name+"Lambda" {
			return tpl.Resources[id].Properties
		}
	}
	return nil
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

// permission is one action that one role or managed policy allows, or denies, on one resource.
type permission struct{ holder, action, resource string }

// permissions lists what the template's roles and managed policies allow, sorted.
func (tpl template) permissions() []permission { return tpl.identityPolicies("Allow") }

// denials lists what they deny.
func (tpl template) denials() []permission { return tpl.identityPolicies("Deny") }

func (tpl template) identityPolicies(effect string) []permission {
	var list []permission
	add := func(id string, document any) {
		for _, s := range statements(document) {
			if s["Effect"] != effect {
				continue
			}
			for _, action := range oneOrMany(s["Action"]) {
				for _, resource := range oneOrMany(s["Resource"]) {
					list = append(list, permission{constructID(id), render(action), render(resource)})
				}
			}
		}
	}
	for id, r := range tpl.Resources {
		switch r.Type {
		case "AWS::IAM::Role":
			for _, p := range objects(r.Properties["Policies"]) {
				add(id, p["PolicyDocument"])
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
	return objects(oneOrMany(object(document)["Statement"]))
}

func oneOrMany(value any) []any {
	if many, ok := value.([]any); ok {
		return many
	}
	return []any{value}
}

// object is a JSON object, or nil, which has no fields: so a check reports what is
// missing, where it would otherwise panic.
func object(value any) map[string]any {
	fields, _ := value.(map[string]any)
	return fields
}

// objects are the objects in a JSON array.
func objects(value any) (list []map[string]any) {
	array, _ := value.([]any)
	for _, entry := range array {
		if fields := object(entry); fields != nil {
			list = append(list, fields)
		}
	}
	return list
}

// definitionText is the state machine's definition as it stands in the template, or
// nothing if it is not there as its own text.
func (tpl template) definitionText() string {
	_, machine := tpl.one("AWS::StepFunctions::StateMachine")
	text, _ := machine.Properties["DefinitionString"].(string)
	return text
}

// machine is a definition in Amazon States Language.
type machine struct {
	StartAt        string
	TimeoutSeconds float64
	States         map[string]map[string]any
}

// machines are the definitions that were read, by their text: twenty checks ask for each.
var machines sync.Map

// definition is empty if the text is not JSON: then every state is missing. It is shared, not to be changed.
func (tpl template) definition() machine {
	text := tpl.definitionText()
	if m, ok := machines.Load(text); ok {
		return m.(machine)
	}
	m := readMachine(text)
	machines.Store(text, m)
	return m
}

func readMachine(text string) (m machine) {
	if json.Unmarshal([]byte(text), &m) != nil {
		return machine{}
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
		for _, rule := range objects(state[key]) {
			add(rule, "Next")
		}
	}
	return list
}

// errorNames are those that a retrier or catcher is for.
func errorNames(rule map[string]any) (names []string) {
	list, _ := rule["ErrorEquals"].([]any)
	for _, name := range list {
		names = append(names, render(name))
	}
	return names
}
