package decision

import (
	"bytes"
	"encoding/json"
	"strings"
)

// hideTokens takes the task tokens out of every text of the execution: what stands under
// a key TaskToken anywhere, wherever it is repeated.
func (x *Execution) hideTokens() {
	texts := []*string{&x.Input, &x.Output, &x.Error, &x.Cause}
	for i := range x.Events {
		texts = append(texts, x.Events[i].texts()...)
	}
	var r redaction
	for _, text := range texts {
		r.collect(*text)
	}
	for _, text := range texts {
		*text = r.apply(*text)
	}
}

// texts are the texts of an event that may hold a token.
func (e *Event) texts() []*string {
	return []*string{&e.Input, &e.Parameters, &e.Output, &e.Error, &e.Cause}
}

// tokenKey is the key under which the state machine sends a token, in any case.
const tokenKey = "tasktoken"

// redaction collects the secrets of an execution.
type redaction struct{ secrets []string }

// collect takes the tokens from a text of JSON, and from JSON in its strings.
func (r *redaction) collect(text string) {
	var value any
	if !mentionsToken(text) || json.Unmarshal([]byte(text), &value) != nil {
		return
	}
	r.walk(value)
}

func (r *redaction) walk(value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if token, ok := inner.(string); ok && strings.EqualFold(key, tokenKey) && token != "" {
				r.secrets = append(r.secrets, spellings(token)...)
			}
			r.walk(inner)
		}
	case []any:
		for _, inner := range value {
			r.walk(inner)
		}
	case string:
		r.collect(value)
	}
}

// spellings are the ways in which a token stands in a text, plain or in a string of JSON.
func spellings(token string) []string {
	all := []string{token, strings.ReplaceAll(token, "/", `\/`)}
	for _, escape := range []bool{false, true} {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(escape)
		if encoder.Encode(token) == nil {
			all = append(all, strings.Trim(b.String(), "\"\n"))
		}
	}
	return all
}

// apply returns the text without secrets. A text that speaks of a token and can't be read
// is hidden as a whole.
func (r *redaction) apply(text string) string {
	if mentionsToken(text) && strings.ContainsAny(text[:1], "{[") && !json.Valid([]byte(text)) {
		return hidden
	}
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return text
}

func mentionsToken(text string) bool {
	return strings.Contains(strings.ToLower(text), tokenKey)
}
