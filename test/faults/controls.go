package main

import (
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
)

// control is a run with one guard of the system off. The counter that the guard protects must then be above 0.
type control struct {
	name     string
	off      string
	protects counter
	enough   int  // executions, to see it
	drains   bool // the queue must have run empty before it shows
	alpaca   bool // it takes a broker to see it

	// What takes the guard off; nil for what stays as it is.
	template func(template map[string]any) error
	payload  func(payload []byte) []byte      // of a trade
	blind    bool                             // the broker finds no order by its id
	reply    func(*httptest.ResponseRecorder) // to an answer
}

var controls = []*control{
	{
		name:     "no-derived-id",
		off:      "a new order id for each attempt",
		protects: tradedTwice,
		enough:   40,
		payload:  withAnotherID,
	},
	{
		name:     "no-client-order-id",
		off:      "a new client order id for each attempt",
		protects: placedTwice,
		enough:   40,
		alpaca:   true,
		payload:  withAnotherID,
	},
	{
		name:     "no-look-up",
		off:      "no order found by its client order id",
		protects: denied,
		enough:   40,
		alpaca:   true,
		blind:    true,
	},
	{
		name:     "no-market",
		off:      "a quote of any market taken for one of the functions' own",
		protects: wrongMarket,
		enough:   60,
		alpaca:   true,
		payload:  func(payload []byte) []byte { return withMarket(payload, `"paper"`) },
	},
	{
		name:     "no-partial-batch-response",
		off:      "no partial batch response",
		protects: unnoticed,
		enough:   100,
		drains:   true,
		template: func(template map[string]any) error {
			return edit(template, "AWS::Lambda::EventSourceMapping", func(p map[string]any) error {
				delete(p, "FunctionResponseTypes")
				return nil
			})
		},
	},
	{
		name:     "no-catch",
		off:      "nothing caught",
		protects: unreported,
		enough:   20,
		template: editStates(func(all map[string]map[string]any) error {
			for _, state := range all {
				delete(state, "Catch")
			}
			return nil
		}),
	},
	{
		name:     "late-answers-accepted",
		off:      "late answers told accepted",
		protects: acceptedInVain,
		enough:   30,
		reply: func(reply *httptest.ResponseRecorder) {
			if strings.Contains(reply.Body.String(), "TaskTimedOut") {
				*reply = *httptest.NewRecorder()
				reply.Code = http.StatusOK
				reply.Body.WriteString(`{}`)
			}
		},
	},
	{
		name:     "no-approval",
		off:      "nobody asked",
		protects: unapproved,
		enough:   10,
		template: editStates(func(all map[string]map[string]any) error {
			all["Request Human Approval"] = map[string]any{"Type": "Pass", "Next": all["Request Human Approval"]["Next"]}
			return nil
		}),
	},
	{
		name:     "decisions-retried",
		off:      "answers retried like failures",
		protects: askedAgain,
		enough:   20,
		template: editStates(func(all map[string]map[string]any) error {
			wait := all["Request Human Approval"]
			retriers, _ := wait["Retry"].([]any)
			if len(retriers) < 2 {
				return fmt.Errorf("the state that waits has %d retriers, want 2", len(retriers))
			}
			wait["Retry"] = retriers[1:]
			return nil
		}),
	},
}

// withAnotherID gives each attempt to trade a quote of its own.
func withAnotherID(payload []byte) []byte {
	var id [16]byte
	crand.Read(id[:]) // never fails
	return edited(payload, func(quote map[string]json.RawMessage) {
		quote["quote_id"] = json.RawMessage(`"` + hex.EncodeToString(id[:]) + `"`)
	})
}

// edited is the payload of a trade with its quote changed.
func edited(payload []byte, change func(quote map[string]json.RawMessage)) []byte {
	var quote map[string]json.RawMessage
	if err := json.Unmarshal(payload, &quote); err != nil {
		panic(err) // it was read before
	}
	change(quote)
	payload, err := json.Marshal(quote)
	if err != nil {
		panic(err) // it was JSON
	}
	return payload
}

// change makes the template fit for the run, and takes off what the control says; with one that changes the template,
// a run has no other group.
func (r *run) change(template map[string]any) error {
	err := edit(template, "AWS::SQS::Queue", func(p map[string]any) error {
		p["VisibilityTimeout"] = json.Number(visibilityTimeout)
		return nil
	})
	if c := r.groups[0].control; err == nil && c != nil && c.template != nil {
		err = c.template(template)
	}
	if err != nil {
		return fmt.Errorf("change the template: %w", err)
	}
	return nil
}

// edit changes the properties of the one resource of a type.
func edit(template map[string]any, typ string, change func(properties map[string]any) error) error {
	resources, _ := template["Resources"].(map[string]any)
	for _, r := range resources {
		resource, _ := r.(map[string]any)
		if properties, ok := resource["Properties"].(map[string]any); ok && resource["Type"] == typ {
			return change(properties)
		}
	}
	return fmt.Errorf("there is no %s", typ)
}

// editStates changes the states of the definition.
func editStates(change func(all map[string]map[string]any) error) func(template map[string]any) error {
	return func(template map[string]any) error {
		return edit(template, "AWS::StepFunctions::StateMachine", func(p map[string]any) error {
			text, _ := p["DefinitionString"].(string)
			var states struct {
				StartAt string
				States  map[string]map[string]any
			}
			var definition map[string]any
			if err := errors.Join(json.Unmarshal([]byte(text), &states), json.Unmarshal([]byte(text), &definition)); err != nil {
				return fmt.Errorf("read definition: %w", err)
			}
			if err := change(states.States); err != nil {
				return err
			}
			definition["States"] = reachable(states.States, states.StartAt)
			changed, err := json.Marshal(definition)
			if err != nil {
				return fmt.Errorf("write definition: %w", err)
			}
			p["DefinitionString"] = string(changed)
			return nil
		})
	}
}

// reachable returns the states that a definition's start leads to; the interpreter takes no others.
func reachable(all map[string]map[string]any, startAt string) map[string]map[string]any {
	found := map[string]map[string]any{}
	var follow func(value any)
	follow = func(value any) {
		switch value := value.(type) {
		case []any:
			for _, one := range value {
				follow(one)
			}
		case map[string]any:
			for key, inside := range value {
				name, ok := inside.(string)
				if !ok {
					follow(inside)
				} else if (key == "Next" || key == "Default") && found[name] == nil {
					found[name] = all[name]
					follow(all[name])
				}
			}
		}
	}
	follow(map[string]any{"Next": startAt})
	return found
}
