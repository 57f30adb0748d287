package assembly

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Resolve gives each resource its Ref and attributes, and replaces every intrinsic function by its value. Names and ids
// depend on env and the template alone, so they are the same in each run. What the template uses and the local run does
// not support is an error that names it and its place.
func (a *Assembly) Resolve(env Environment) (*Stack, error) {
	if env.StackName == "" {
		env.StackName = a.StackName
	}
	stack, err := a.resolve(env)
	if err != nil {
		return nil, fmt.Errorf("resolve template of stack %s: %w", a.StackName, err)
	}
	return stack, nil
}

// A template has the sections of a CloudFormation template that the local run reads.
type template struct {
	Transform  any
	Parameters map[string]any
	Rules      map[string]any
	Resources  map[string]templateResource
	Outputs    map[string]struct {
		Description      string
		Value, Condition any
	}
}

type templateResource struct {
	Type       string
	Condition  any
	DependsOn  []string
	Properties map[string]any
	Metadata   map[string]any
}

func (a *Assembly) resolve(env Environment) (*Stack, error) {
	r := &resolver{env: env, constructPaths: a.paths, resolved: map[string]Resource{}}
	text, err := json.Marshal(a.Template)
	if err != nil {
		return nil, err
	}
	if err := decodeJSON(text, &r.template); err != nil {
		return nil, err
	}
	if r.template.Transform != nil {
		return nil, at("Transform", unsupported("a transform"))
	}
	for _, name := range sorted(r.template.Rules) {
		// The CDK's own rule asks for a bootstrapped account, which the local run does not need.
		if name != "CheckBootstrapVersion" {
			return nil, at("Rules."+name, unsupported("a rule"))
		}
	}
	// The CDK adds this for its usage statistics.
	maps.DeleteFunc(r.template.Resources, func(_ string, res templateResource) bool { return res.Type == "AWS::CDK::Metadata" })

	for _, id := range sorted(r.template.Resources) {
		if _, err := r.resource(id); err != nil {
			return nil, err
		}
	}
	stack := &Stack{Resources: r.resolved, Outputs: map[string]Output{}}
	for _, name := range sorted(r.template.Outputs) {
		output := r.template.Outputs[name]
		if output.Condition != nil {
			return nil, at("Outputs."+name+".Condition", unsupported("a condition"))
		}
		value, err := r.text(output.Value)
		if err != nil {
			return nil, at("Outputs."+name+".Value", err)
		}
		stack.Outputs[name] = Output{Value: value, Description: output.Description}
	}
	return stack, nil
}

type resolver struct {
	env            Environment
	template       template
	constructPaths map[string]string

	resolved map[string]Resource
	open     []string // the resources that are being resolved, each referred to by the one before it
}

// resource resolves a resource, and before it all that it depends on.
func (r *resolver) resource(id string) (Resource, error) {
	if res, ok := r.resolved[id]; ok {
		return res, nil
	}
	res, err := r.newResource(id)
	if err != nil {
		err = at("Resources."+id, err)
		if e, ok := err.(*placeError); ok {
			e.complete = true // what depends on this resource does not put its own place before it
		}
		return Resource{}, err
	}
	r.resolved[id] = res
	return res, nil
}

func (r *resolver) newResource(id string) (Resource, error) {
	if i := slices.Index(r.open, id); i >= 0 {
		return Resource{}, fmt.Errorf("resources depend on each other in a circle: %s", strings.Join(append(r.open[i:], id), " -> "))
	}
	r.open = append(r.open, id)
	defer func() { r.open = r.open[:len(r.open)-1] }()

	t := r.template.Resources[id]
	if t.Type == "" {
		return Resource{}, errors.New("the resource has no Type")
	}
	if t.Condition != nil {
		return Resource{}, at(".Condition", unsupported("a condition"))
	}
	for _, other := range t.DependsOn {
		if _, ok := r.template.Resources[other]; !ok {
			return Resource{}, at(".DependsOn", fmt.Errorf("there is no resource %s", other))
		}
		if _, err := r.resource(other); err != nil {
			return Resource{}, err
		}
	}
	properties, err := r.object(t.Properties)
	if err != nil {
		return Resource{}, at(".Properties", err)
	}
	path, ok := t.Metadata["aws:cdk:path"].(string)
	if !ok {
		path = r.constructPaths[id]
	}
	res := Resource{LogicalID: id, Type: t.Type, ConstructPath: path, Attributes: map[string]string{}, Properties: properties}
	if k, ok := kinds[res.Type]; ok {
		res.Ref, res.Attributes = k.identify(res, k.physicalName(res, r.env), r.env)
	}
	return res, nil
}

// value resolves everything inside v.
func (r *resolver) value(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for key, argument := range v {
			isFunction := strings.HasPrefix(key, "Fn::")
			switch {
			case len(v) == 1 && (isFunction || key == "Ref"):
				return r.call(key, argument)
			case isFunction:
				return nil, fmt.Errorf("%s must be the only key of its object", key)
			}
		}
		return r.object(v)
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			var err error
			if list[i], err = r.value(element); err != nil {
				return nil, at(fmt.Sprintf("[%d]", i), err)
			}
		}
		return list, nil
	default:
		return v, nil
	}
}

func (r *resolver) object(v map[string]any) (map[string]any, error) {
	object := make(map[string]any, len(v))
	for _, key := range sorted(v) {
		var err error
		if object[key], err = r.value(v[key]); err != nil {
			return nil, at("."+key, err)
		}
	}
	return object, nil
}

// text resolves a value that has to be text, or something that CloudFormation turns into text.
func (r *resolver) text(v any) (string, error) {
	value, err := r.value(v)
	if err != nil {
		return "", err
	}
	text, ok := scalar(value)
	if !ok {
		return "", errors.New("the value is not text")
	}
	return text, nil
}

// call returns the value of an intrinsic function.
func (r *resolver) call(function string, argument any) (string, error) {
	switch function {
	case "Ref":
		if id, ok := argument.(string); ok {
			return r.ref(id)
		}
		return "", errors.New("Ref takes a name")
	case "Fn::GetAtt":
		if list, ok := argument.([]any); ok && len(list) == 2 {
			id, idOK := list[0].(string)
			attribute, attributeOK := list[1].(string)
			if idOK && attributeOK {
				return r.attribute(id, attribute)
			}
		}
		return "", errors.New("Fn::GetAtt takes a list of a logical id and the name of an attribute")
	case "Fn::Join":
		text, err := r.join(argument)
		return text, at(".Fn::Join", err)
	case "Fn::Sub":
		text, err := r.substitute(argument)
		return text, at(".Fn::Sub", err)
	default:
		return "", unsupported(function)
	}
}

func (r *resolver) ref(id string) (string, error) {
	switch id {
	case "AWS::Partition":
		return r.env.Partition, nil
	case "AWS::Region":
		return r.env.Region, nil
	case "AWS::AccountId":
		return r.env.AccountID, nil
	case "AWS::StackName":
		return r.env.StackName, nil
	case "AWS::URLSuffix":
		return r.env.URLSuffix, nil
	}
	if strings.HasPrefix(id, "AWS::") {
		return "", unsupported(id)
	}
	if _, ok := r.template.Parameters[id]; ok {
		return "", unsupported("parameter " + id)
	}
	res, err := r.target(id, id)
	return res.Ref, err
}

func (r *resolver) attribute(id, name string) (string, error) {
	res, err := r.target(id, id+"."+name)
	if err != nil {
		return "", err
	}
	value, ok := res.Attributes[name]
	if !ok {
		return "", fmt.Errorf("refers to %s.%s, an attribute that the local run does not support for the type %s", id, name, res.Type)
	}
	return value, nil
}

// target resolves a resource that a reference names, whose Ref and attributes must therefore be known.
func (r *resolver) target(id, reference string) (Resource, error) {
	if _, ok := r.template.Resources[id]; !ok {
		return Resource{}, fmt.Errorf("refers to %s, and there is no resource %s", reference, id)
	}
	res, err := r.resource(id)
	if err != nil {
		return Resource{}, err
	}
	if _, ok := kinds[res.Type]; !ok {
		return Resource{}, fmt.Errorf("refers to %s, and resources of the type %s are not supported by the local run", reference, res.Type)
	}
	return res, nil
}

func (r *resolver) join(argument any) (string, error) {
	arguments, ok := argument.([]any)
	if !ok || len(arguments) != 2 {
		return "", errors.New("the function takes a list of two arguments")
	}
	delimiter, ok := arguments[0].(string)
	if !ok {
		return "", at("[0]", errors.New("the delimiter is not text"))
	}
	list, ok := arguments[1].([]any)
	if !ok {
		if _, err := r.value(arguments[1]); err != nil { // a function that returns a list
			return "", at("[1]", err)
		}
		return "", at("[1]", errors.New("the value is not a list"))
	}
	texts := make([]string, len(list))
	for i, element := range list {
		var err error
		if texts[i], err = r.text(element); err != nil {
			return "", at(fmt.Sprintf("[1][%d]", i), err)
		}
	}
	return strings.Join(texts, delimiter), nil
}

func (r *resolver) substitute(argument any) (string, error) {
	text, ok := argument.(string)
	if !ok {
		return "", unsupported("anything but text")
	}
	return replacePlaceholders(text, func(name string) (string, error) {
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}", nil
		}
		if id, attribute, ok := strings.Cut(name, "."); ok {
			return r.attribute(id, attribute)
		}
		return r.ref(name)
	})
}

// scalar returns a value as the text that CloudFormation would make of it.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

// A placeError is an error at a place in the template, such as "Resources.Queue.Properties.Tags[0]".
type placeError struct {
	place    string
	err      error
	complete bool // the place begins with a section of the template
}

func (e *placeError) Error() string {
	if inner, ok := e.err.(*placeError); ok {
		return e.place + inner.Error()
	}
	return e.place + ": " + e.err.Error()
}

// at puts a step before the place of an error, as the error returns from there.
func at(step string, err error) error {
	if e, ok := err.(*placeError); err == nil || ok && e.complete {
		return err
	}
	return &placeError{place: step, err: err}
}

func unsupported(what string) error {
	return fmt.Errorf("%s is not supported by the local run", what)
}

func decodeJSON(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // so that numbers turn into text without a change
	return d.Decode(v)
}

func sorted[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
