package assembly

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
)

// Environment is where the stack is taken to be deployed: the values of the pseudo parameters.
type Environment struct {
	Partition string // "aws"
	Region    string
	AccountID string
	StackName string // the assembly's if empty
	URLSuffix string // "amazonaws.com"

	// QueueURLBase is put before /ACCOUNT/NAME in queue URLs, in place of https://sqs.REGION.URLSUFFIX.
	QueueURLBase string
}

// Stack is a template with nothing left to resolve.
type Stack struct {
	Resources map[string]Resource // by logical id
	Outputs   map[string]Output   // by name
}

// Resource is a resource with the values that CloudFormation would give it.
type Resource struct {
	LogicalID     string
	Type          string            // such as "AWS::Lambda::Function"
	ConstructPath string            // such as "StockTrading/BuyStockLambda/Resource"; empty if the app left no metadata
	Ref           string            // what Ref returns; empty for a type that is not supported
	Attributes    map[string]string // what Fn::GetAtt returns; empty for a type that is not supported
	Properties    map[string]any    // numbers as json.Number
}

// Output is one of the stack's outputs.
type Output struct {
	Value       string
	Description string
}

// ByType returns the resources of a type in the order of their logical ids.
func (s *Stack) ByType(typ string) []Resource {
	var found []Resource
	for _, r := range s.Resources {
		if r.Type == typ {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b Resource) int { return cmp.Compare(a.LogicalID, b.LogicalID) })
	return found
}

// ByARN returns the resource with an ARN.
func (s *Stack) ByARN(arn string) (Resource, bool) {
	for _, r := range s.Resources {
		if k, ok := kinds[r.Type]; ok && k.arn != "" && r.Attributes[k.arn] == arn {
			return r, true
		}
	}
	return Resource{}, false
}

// Decode stores the properties in the value that v points to, as package json would.
func (r Resource) Decode(v any) error {
	data, err := json.Marshal(r.Properties)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("decode properties of %s: %w", r.LogicalID, err)
	}
	return nil
}

var placeholder = regexp.MustCompile(`\$\{([^{}]*)\}`)

// Definition returns a state machine's definition with its substitutions applied. A placeholder without one is an error:
// Step Functions would accept it as text, and the machine would fail only when it runs.
func (r Resource) Definition() (string, error) {
	text, ok := r.Properties["DefinitionString"].(string)
	if !ok {
		return "", fmt.Errorf("read definition of %s: it has no DefinitionString", r.LogicalID)
	}
	substitutions, _ := r.Properties["DefinitionSubstitutions"].(map[string]any)
	text, err := replacePlaceholders(text, func(name string) (string, error) {
		value, ok := substitutions[name]
		if !ok {
			return "", fmt.Errorf("${%s} has no substitution", name)
		}
		s, ok := scalar(value)
		if !ok {
			return "", fmt.Errorf("the substitution of ${%s} is neither text nor a number", name)
		}
		return s, nil
	})
	if err != nil {
		return "", fmt.Errorf("read definition of %s: %w", r.LogicalID, err)
	}
	return text, nil
}

// replacePlaceholders replaces each ${name} in a text and returns the first error.
func replacePlaceholders(text string, replace func(name string) (string, error)) (string, error) {
	var failed error
	text = placeholder.ReplaceAllStringFunc(text, func(match string) string {
		replacement, err := replace(match[2 : len(match)-1])
		failed = cmp.Or(failed, err)
		return replacement
	})
	return text, failed
}
