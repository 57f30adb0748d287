package states

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// definition is what the engine itself needs to know of the state machine.
type definition struct {
	TimeoutSeconds int64
	States         map[string]state
}

type state struct {
	Type           string
	Resource       string
	TimeoutSeconds int64
}

// noTimeout is how long AWS lets a task run that has no TimeoutSeconds, in seconds.
const noTimeout = 99999999

var (
	lambdaARN  = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:[^:]*:[^:]*:function:.+$`)
	serviceARN = regexp.MustCompile(`^arn:aws[a-z-]*:states:::(.+?):([^:]+(?::\d+)?)$`)
)

// parseDefinition reads the definition and refuses what the interpreter ignores or gets wrong, by the state's name.
// Whether the rest is valid the interpreter says.
func parseDefinition(text []byte) (definition, error) {
	var d definition
	if err := json.Unmarshal(text, &d); err != nil {
		return d, fmt.Errorf("decode definition: %w", err)
	}
	var raw struct {
		QueryLanguage string
		States        map[string]map[string]any
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return d, fmt.Errorf("decode definition: %w", err)
	}
	if raw.QueryLanguage != "" && raw.QueryLanguage != "JSONPath" {
		return d, fmt.Errorf("read definition: the QueryLanguage %s is not supported", raw.QueryLanguage)
	}
	for _, name := range slices.Sorted(maps.Keys(raw.States)) {
		if feature := unsupported(raw.States[name]); feature != "" {
			return d, fmt.Errorf("read definition: state %q: %s is not supported", name, feature)
		}
	}
	return d, nil
}

// unsupported names the first feature of a state that the interpreter ignores or gets wrong.
func unsupported(state map[string]any) string {
	if state == nil {
		return "null"
	}
	if t := state["Type"]; t == "Map" || t == "Parallel" {
		return fmt.Sprintf("the Type %s", t)
	}
	if q, ok := state["QueryLanguage"]; ok && q != "JSONPath" {
		return fmt.Sprintf("the QueryLanguage %v", q)
	}
	for _, field := range []string{
		"Assign", "Arguments", "Output", "Credentials",
		"TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath",
	} {
		if _, ok := state[field]; ok {
			return field
		}
	}
	if feature := unsupportedResultPath(state); feature != "" {
		return feature
	}
	for _, catcher := range list(state["Catch"]) {
		if _, ok := catcher["Assign"]; ok {
			return "Assign in Catch"
		}
		if feature := unsupportedResultPath(catcher); feature != "" {
			return feature + " in Catch"
		}
	}
	for _, rule := range list(state["Choices"]) {
		if feature := unsupportedRule(rule); feature != "" {
			return feature + " in Choices"
		}
	}
	switch result, ok := state["Result"]; {
	case ok && (result == nil || result == false || result == 0.0 || result == ""):
		return fmt.Sprintf("the Result %#v", result)
	case state["Type"] == "Task":
		resource, _ := state["Resource"].(string)
		if !lambdaARN.MatchString(resource) && !serviceARN.MatchString(resource) {
			return fmt.Sprintf("the Resource %q", resource)
		}
	}
	return ""
}

// unsupportedResultPath refuses brackets, which the interpreter puts into a field of the name "$".
func unsupportedResultPath(place map[string]any) string {
	if path, _ := place["ResultPath"].(string); strings.HasPrefix(path, "$[") {
		return fmt.Sprintf("the ResultPath %s", path)
	}
	return ""
}

// unsupportedRule refuses what belongs to JSONata and to variables.
func unsupportedRule(rule map[string]any) string {
	for _, key := range []string{"Assign", "Condition"} {
		if _, ok := rule[key]; ok {
			return key
		}
	}
	nested := slices.Concat(list(rule["And"]), list(rule["Or"]), list([]any{rule["Not"]}))
	for _, rule := range nested {
		if feature := unsupportedRule(rule); feature != "" {
			return feature
		}
	}
	return ""
}

// list returns the objects of a JSON array.
func list(value any) []map[string]any {
	var objects []map[string]any
	values, _ := value.([]any)
	for _, v := range values {
		if object, ok := v.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// timeout is how long an attempt of a task state may take.
func (s state) timeout() time.Duration {
	return time.Duration(cmp.Or(s.TimeoutSeconds, noTimeout)) * time.Second
}

func (s state) isLambda() bool { return lambdaARN.MatchString(s.Resource) }

// service returns the two parts of the resource of a task that is not a function, as the history has them: "sqs" and
// "sendMessage.waitForTaskToken".
func (s state) service() (resourceType, resource string) {
	parts := serviceARN.FindStringSubmatch(s.Resource)
	return parts[1], parts[2]
}
