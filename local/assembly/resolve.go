package assembly

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Resolve gives each resource its Ref and attributes and puts values in place of all intrinsic functions. Names and ids
// depend on env and the template alone, so they are the same in each run. Resources that depend on each other in a
// circle are an error, as they are for CloudFormation.
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

func (a *Assembly) resolve(env Environment) (*Stack, error) {
	if a.Template["Transform"] != nil {
		return nil, unsupported("Transform", "a transform")
	}
	r := &resolver{env: env, paths: a.paths, resolved: map[string]Resource{}}
	var err error
	if r.parameters, err = section(a.Template, "Parameters"); err != nil {
		return nil, err
	}
	if r.resources, err = section(a.Template, "Resources"); err != nil {
		return nil, err
	}
	outputs, err := section(a.Template, "Outputs")
	if err != nil {
		return nil, err
	}
	rules, err := section(a.Template, "Rules")
	if err != nil {
		return nil, err
	}
	for _, name := range sorted(rules) {
		// The CDK's own rule asks for a bootstrapped account, which the local run has no use for.
		if name != "CheckBootstrapVersion" {
			return nil, unsupported("Rules."+name, "a rule")
		}
	}

	// What the CDK adds for its usage statistics is no part of the system.
	maps.DeleteFunc(r.resources, func(_ string, v map[string]any) bool { return v["Type"] == "AWS::CDK::Metadata" })

	stack := &Stack{Resources: r.resolved, Outputs: map[string]Output{}}
	for _, id := range sorted(r.resources) {
		if _, err := r.resource(id); err != nil {
			return nil, err
		}
	}
	for _, name := range sorted(outputs) {
		place := "Outputs." + name
		if _, ok := outputs[name]["Condition"]; ok {
			return nil, unsupported(place+".Condition", "a condition")
		}
		value, err := r.text(outputs[name]["Value"], place+".Value")
		if err != nil {
			return nil, err
		}
		description, _ := outputs[name]["Description"].(string)
		stack.Outputs[name] = Output{Value: value, Description: description}
	}
	return stack, nil
}

// section returns a copy of a top-level section of the template, whose entries are all objects.
func section(template map[string]any, name string) (map[string]map[string]any, error) {
	entries, ok := template[name].(map[string]any)
	if !ok && template[name] != nil {
		return nil, fmt.Errorf("%s: it is no object", name)
	}
	copied := make(map[string]map[string]any, len(entries))
	for key, v := range entries {
		entry, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s.%s: it is no object", name, key)
		}
		copied[key] = entry
	}
	return copied, nil
}

type resolver struct {
	env        Environment
	parameters map[string]map[string]any
	resources  map[string]map[string]any
	paths      map[string]string

	resolved map[string]Resource
	open     []string // the resources that are being resolved, each referred to by the one before it
}

// noValue is what AWS::NoValue stands for: the property or list element that has it does not exist.
type noValue struct{}

// resource resolves a resource that exists, and all that it depends on before it.
func (r *resolver) resource(id string) (Resource, error) {
	if res, ok := r.resolved[id]; ok {
		return res, nil
	}
	if i := slices.Index(r.open, id); i >= 0 {
		circle := append(slices.Clone(r.open[i:]), id)
		return Resource{}, fmt.Errorf("Resources.%s: resources depend on each other in a circle: %s", id, strings.Join(circle, " -> "))
	}
	r.open = append(r.open, id)
	defer func() { r.open = r.open[:len(r.open)-1] }()

	template, place := r.resources[id], "Resources."+id
	res := Resource{LogicalID: id, ConstructPath: r.constructPath(id), Attributes: map[string]string{}, Properties: map[string]any{}}
	var ok bool
	if res.Type, ok = template["Type"].(string); !ok {
		return Resource{}, fmt.Errorf("%s: it has no Type", place)
	}
	if _, ok := template["Condition"]; ok {
		return Resource{}, unsupported(place+".Condition", "a condition")
	}
	if err := r.dependencies(template["DependsOn"], place+".DependsOn"); err != nil {
		return Resource{}, err
	}
	if properties, ok := template["Properties"]; ok {
		value, err := r.value(properties, place+".Properties")
		if err != nil {
			return Resource{}, err
		}
		if res.Properties, ok = value.(map[string]any); !ok {
			return Resource{}, fmt.Errorf("%s.Properties: it is no object", place)
		}
	}
	if k, known := kinds[res.Type]; known {
		res.Ref, res.Attributes = k.identify(res, k.physicalName(res, r.env), r.env)
	}
	r.resolved[id] = res
	return res, nil
}

func (r *resolver) constructPath(id string) string {
	if metadata, ok := r.resources[id]["Metadata"].(map[string]any); ok {
		if path, ok := metadata["aws:cdk:path"].(string); ok {
			return path
		}
	}
	return r.paths[id]
}

// dependencies resolves what DependsOn names, a logical id or several.
func (r *resolver) dependencies(v any, place string) error {
	var ids []any
	switch v := v.(type) {
	case nil:
	case []any:
		ids = v
	default:
		ids = []any{v}
	}
	for _, v := range ids {
		id, _ := v.(string)
		if _, ok := r.resources[id]; !ok {
			return fmt.Errorf("%s: there is no resource %v", place, v)
		}
		if _, err := r.resource(id); err != nil {
			return err
		}
	}
	return nil
}

// value resolves all that v holds. The place of v in the template goes into errors.
func (r *resolver) value(v any, place string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if name, argument, ok, err := intrinsic(v, place); err != nil {
			return nil, err
		} else if ok {
			return r.call(name, argument, place)
		}
		object := make(map[string]any, len(v))
		for _, key := range sorted(v) {
			value, err := r.value(v[key], place+"."+key)
			if err != nil {
				return nil, err
			}
			if _, absent := value.(noValue); !absent {
				object[key] = value
			}
		}
		return object, nil
	case []any:
		list := make([]any, 0, len(v))
		for i, element := range v {
			value, err := r.value(element, fmt.Sprintf("%s[%d]", place, i))
			if err != nil {
				return nil, err
			}
			if _, absent := value.(noValue); !absent {
				list = append(list, value)
			}
		}
		return list, nil
	default:
		return v, nil
	}
}

// intrinsic tells whether an object is a call of an intrinsic function: an object with this one key.
func intrinsic(object map[string]any, place string) (name string, argument any, ok bool, err error) {
	for key, v := range object {
		switch {
		case len(object) == 1 && (key == "Ref" || strings.HasPrefix(key, "Fn::")):
			return key, v, true, nil
		case strings.HasPrefix(key, "Fn::"):
			return "", nil, false, fmt.Errorf("%s: %s must be the only key of its object", place, key)
		}
	}
	return "", nil, false, nil
}

func (r *resolver) call(name string, argument any, place string) (any, error) {
	switch name {
	case "Ref":
		id, ok := argument.(string)
		if !ok {
			return nil, fmt.Errorf("%s: Ref takes a name", place)
		}
		return r.ref(id, place)
	case "Fn::GetAtt":
		return r.getAtt(argument, place)
	case "Fn::Join":
		return r.join(argument, place)
	case "Fn::Split":
		return r.split(argument, place)
	case "Fn::Select":
		return r.selectElement(argument, place)
	case "Fn::Sub":
		return r.sub(argument, place)
	default:
		return nil, unsupported(place, name)
	}
}

func (r *resolver) ref(id, place string) (any, error) {
	if strings.HasPrefix(id, "AWS::") {
		return r.pseudoParameter(id, place)
	}
	if parameter, ok := r.parameters[id]; ok {
		return parameterValue(id, parameter, place)
	}
	if _, ok := r.resources[id]; !ok {
		return nil, fmt.Errorf("%s: refers to %s, which is neither a resource nor a parameter", place, id)
	}
	res, err := r.known(id, place)
	if err != nil {
		return nil, err
	}
	return res.Ref, nil
}

func (r *resolver) pseudoParameter(name, place string) (any, error) {
	switch name {
	case "AWS::Partition":
		return r.env.Partition, nil
	case "AWS::Region":
		return r.env.Region, nil
	case "AWS::AccountId":
		return r.env.AccountID, nil
	case "AWS::StackName":
		return r.env.StackName, nil
	case "AWS::StackId":
		return r.env.arn("cloudformation", "stack/"+r.env.StackName+"/"+stableUUID(r.env.StackName)), nil
	case "AWS::URLSuffix":
		return r.env.URLSuffix, nil
	case "AWS::NoValue":
		return noValue{}, nil
	default:
		return nil, unsupported(place, name)
	}
}

// parameterValue is a parameter's default: nobody is there to give it another value.
func parameterValue(id string, parameter map[string]any, place string) (any, error) {
	typ, _ := parameter["Type"].(string)
	if typ != "String" && typ != "Number" {
		return nil, unsupported(place, fmt.Sprintf("parameter %s of the type %s", id, typ))
	}
	value, ok := scalar(parameter["Default"])
	if !ok {
		return nil, fmt.Errorf("%s: refers to parameter %s, which has no default", place, id)
	}
	return value, nil
}

// known resolves a resource that is referred to, whose Ref and attributes must therefore be known.
func (r *resolver) known(id, place string) (Resource, error) {
	res, err := r.resource(id)
	if err != nil {
		return Resource{}, err
	}
	if _, ok := kinds[res.Type]; !ok {
		return Resource{}, fmt.Errorf("%s: refers to %s, and resources of the type %s are not supported by the local run", place, id, res.Type)
	}
	return res, nil
}

func (r *resolver) getAtt(argument any, place string) (any, error) {
	var id, attribute string
	switch v := argument.(type) {
	case string:
		id, attribute, _ = strings.Cut(v, ".")
	case []any:
		if len(v) == 2 {
			id, _ = v[0].(string)
			attribute, _ = v[1].(string)
		}
	}
	if id == "" || attribute == "" {
		return nil, fmt.Errorf("%s: Fn::GetAtt takes a logical id and the name of an attribute", place)
	}
	if _, ok := r.resources[id]; !ok {
		return nil, fmt.Errorf("%s: refers to %s.%s, and there is no resource %s", place, id, attribute, id)
	}
	res, err := r.known(id, place)
	if err != nil {
		return nil, err
	}
	value, ok := res.Attributes[attribute]
	if !ok {
		return nil, fmt.Errorf("%s: refers to %s.%s, an attribute that the local run does not support for the type %s", place, id, attribute, res.Type)
	}
	return value, nil
}

func (r *resolver) join(argument any, place string) (any, error) {
	place += ".Fn::Join"
	arguments, err := pair(argument, place)
	if err != nil {
		return nil, err
	}
	delimiter, err := r.text(arguments[0], place+"[0]")
	if err != nil {
		return nil, err
	}
	list, err := r.list(arguments[1], place+"[1]")
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(list))
	for i, v := range list {
		var ok bool
		if texts[i], ok = scalar(v); !ok {
			return nil, fmt.Errorf("%s[1][%d]: it is no text", place, i)
		}
	}
	return strings.Join(texts, delimiter), nil
}

func (r *resolver) split(argument any, place string) (any, error) {
	place += ".Fn::Split"
	arguments, err := pair(argument, place)
	if err != nil {
		return nil, err
	}
	delimiter, err := r.text(arguments[0], place+"[0]")
	if err != nil {
		return nil, err
	}
	text, err := r.text(arguments[1], place+"[1]")
	if err != nil {
		return nil, err
	}
	if delimiter == "" {
		return nil, fmt.Errorf("%s[0]: the delimiter is empty", place)
	}
	var list []any
	for part := range strings.SplitSeq(text, delimiter) {
		list = append(list, part)
	}
	return list, nil
}

func (r *resolver) selectElement(argument any, place string) (any, error) {
	place += ".Fn::Select"
	arguments, err := pair(argument, place)
	if err != nil {
		return nil, err
	}
	text, err := r.text(arguments[0], place+"[0]")
	if err != nil {
		return nil, err
	}
	list, err := r.list(arguments[1], place+"[1]")
	if err != nil {
		return nil, err
	}
	index, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s[0]: %q is no index", place, text)
	}
	if index < 0 || index >= len(list) {
		return nil, fmt.Errorf("%s: there is no element %d in a list of %d", place, index, len(list))
	}
	return list[index], nil
}

func (r *resolver) sub(argument any, place string) (any, error) {
	place += ".Fn::Sub"
	values := map[string]any{}
	if list, ok := argument.([]any); ok {
		if len(list) != 2 {
			return nil, fmt.Errorf("%s: it takes a text, or a text and an object", place)
		}
		object, ok := list[1].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s[1]: it is no object", place)
		}
		for _, name := range sorted(object) {
			var err error
			if values[name], err = r.value(object[name], place+"[1]."+name); err != nil {
				return nil, err
			}
		}
		argument = list[0]
	}
	text, ok := argument.(string)
	if !ok {
		return nil, fmt.Errorf("%s: it takes a text, or a text and an object", place)
	}
	var failed error
	text = placeholder.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if failed != nil {
			return match
		}
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		value, ok := values[name]
		switch {
		case ok:
		case strings.Contains(name, "."):
			value, failed = r.getAtt(name, place)
		default:
			value, failed = r.ref(name, place)
		}
		if failed != nil {
			return match
		}
		s, ok := scalar(value)
		if !ok {
			failed = fmt.Errorf("%s: the value of %s is no text", place, match)
		}
		return s
	})
	return text, failed
}

// text resolves a value that has to be a text, or something that CloudFormation turns into one.
func (r *resolver) text(v any, place string) (string, error) {
	value, err := r.value(v, place)
	if err != nil {
		return "", err
	}
	s, ok := scalar(value)
	if !ok {
		return "", fmt.Errorf("%s: it is no text", place)
	}
	return s, nil
}

func (r *resolver) list(v any, place string) ([]any, error) {
	value, err := r.value(v, place)
	if err != nil {
		return nil, err
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: it is no list", place)
	}
	return list, nil
}

// pair returns the two arguments of a function that takes two.
func pair(argument any, place string) ([]any, error) {
	list, ok := argument.([]any)
	if !ok || len(list) != 2 {
		return nil, fmt.Errorf("%s: it takes a list of two arguments", place)
	}
	return list, nil
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

func unsupported(place, what string) error {
	return fmt.Errorf("%s: %s is not supported by the local run", place, what)
}

func sorted[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
