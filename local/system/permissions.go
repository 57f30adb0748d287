package system

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"stocktrading/local/assembly"
)

// Approver is the access key of the person who decides: it has the permissions of the
// stack's approver policy and no others. A role's access key is its name. Every other key
// is an administrator's.
const Approver = "approver"

// statement is one of an identity policy.
type statement struct {
	Effect    string
	Action    oneOrMany
	Resource  oneOrMany
	Condition any
}

// oneOrMany is what IAM writes as a string or a list of strings.
type oneOrMany []string

func (l *oneOrMany) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// principal is a caller whom policies restrict.
type principal struct {
	holder     string // the construct id of the role or managed policy
	arn        string
	statements []statement
}

// principals are those of the stack.
type principals struct {
	byAccessKey map[string]principal
	deny        func(holder, action, resource string) bool
}

type policyDocument struct {
	Statement []statement
}

func readPrincipals(stack *assembly.Stack, deny func(holder, action, resource string) bool) (principals, error) {
	all := principals{byAccessKey: map[string]principal{}, deny: deny}
	add := func(key, arn string, r assembly.Resource, documents ...policyDocument) error {
		p := principal{holder: constructID(r), arn: arn}
		for _, d := range documents {
			for _, s := range d.Statement {
				if s.Effect != "Allow" && s.Effect != "Deny" || s.Condition != nil {
					return fmt.Errorf("policy of %s: the local run understands Allow and Deny without conditions only", r.LogicalID)
				}
				p.statements = append(p.statements, s)
			}
		}
		all.byAccessKey[key] = p
		return nil
	}
	for _, r := range stack.ByType("AWS::IAM::Role") {
		var properties struct {
			Policies []struct{ PolicyDocument policyDocument }
		}
		if err := r.Decode(&properties); err != nil {
			return all, err
		}
		var documents []policyDocument
		for _, p := range properties.Policies {
			documents = append(documents, p.PolicyDocument)
		}
		arn := r.Attributes["Arn"]
		if err := add(all.accessKey(arn), arn, r, documents...); err != nil {
			return all, err
		}
	}
	policy, err := only(stack, "AWS::IAM::ManagedPolicy")
	if err != nil {
		return all, err
	}
	var properties struct{ PolicyDocument policyDocument }
	if err := policy.Decode(&properties); err != nil {
		return all, err
	}
	return all, add(Approver, fmt.Sprintf("arn:aws:iam::%s:user/%s", AccountID, Approver), policy, properties.PolicyDocument)
}

// constructID is the resource's id as the stack's code spells it.
func constructID(r assembly.Resource) string {
	parts := strings.Split(r.ConstructPath, "/")
	if len(parts) < 2 {
		return r.LogicalID
	}
	return parts[1]
}

// accessKey is the access key of a role: its name.
func (principals) accessKey(roleARN string) string {
	return roleARN[strings.LastIndex(roleARN, "/")+1:]
}

// caller is the ARN of whoever has the access key.
func (p principals) caller(accessKey string) string {
	return cmp.Or(p.byAccessKey[accessKey].arn, fmt.Sprintf("arn:aws:iam::%s:user/%s", AccountID, cmp.Or(accessKey, "anonymous")))
}

// authorize returns the error of IAM if a caller, an access key or a role's ARN, lacks a permission.
func (p principals) authorize(caller, action, resource string) error {
	principal, ok := p.byAccessKey[p.accessKey(caller)]
	if !ok {
		return nil
	}
	allowed := false
	for _, s := range principal.statements {
		switch {
		case !matches(s.Action, action) || !matches(s.Resource, resource):
		case s.Effect == "Deny":
			return fmt.Errorf("User: %s is not authorized to perform: %s on resource: %s with an explicit deny in an identity-based policy", principal.arn, action, resource)
		case p.deny == nil || !p.deny(principal.holder, action, resource):
			allowed = true
		}
	}
	if allowed {
		return nil
	}
	return fmt.Errorf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", principal.arn, action, resource, action)
}

// matches reports whether a value fits one of the patterns, in which * stands for anything.
func matches(patterns []string, value string) bool {
	for _, pattern := range patterns {
		if pattern == value {
			return true
		}
		if !strings.Contains(pattern, "*") {
			continue // most name one action or resource, and a regular expression costs more than all else of a request
		}
		expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
		if regexp.MustCompile("^" + expression + "$").MatchString(value) {
			return true
		}
	}
	return false
}
