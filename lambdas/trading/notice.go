package trading

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// ApprovalRequest is the message that the state machine puts on the queue when it
// begins to wait: the message body of the state "Request Human Approval".
type ApprovalRequest struct {
	Input struct {
		Quote
		RecommendedType string
	}
	TaskToken      string    // answers the wait; a secret
	Execution      string    // the ARN of the execution that waits
	EnteredTime    time.Time // when it began to wait
	TimeoutSeconds int       // how long it waits
}

// ParseApprovalRequest reads a message body. Its error never quotes the body, which
// holds the task token.
func ParseApprovalRequest(body []byte) (ApprovalRequest, error) {
	var message struct {
		Input          json.RawMessage
		TaskToken      string
		Execution      string
		EnteredTime    time.Time
		TimeoutSeconds int
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return ApprovalRequest{}, errors.New("the body is not the JSON object that the state machine sends")
	}
	switch {
	case message.TaskToken == "":
		return ApprovalRequest{}, errors.New("TaskToken is missing")
	case message.Execution == "":
		return ApprovalRequest{}, errors.New("Execution is missing")
	case message.EnteredTime.IsZero():
		return ApprovalRequest{}, errors.New("EnteredTime is missing")
	case message.TimeoutSeconds <= 0:
		return ApprovalRequest{}, errors.New("TimeoutSeconds is missing or not positive")
	}
	r := ApprovalRequest{
		TaskToken:      message.TaskToken,
		Execution:      message.Execution,
		EnteredTime:    message.EnteredTime,
		TimeoutSeconds: message.TimeoutSeconds,
	}
	var input struct {
		RecommendedType any `json:"recommended_type"`
	}
	if err := json.Unmarshal(message.Input, &r.Input.Quote); err != nil {
		return ApprovalRequest{}, errors.New("Input holds no quote")
	}
	if err := json.Unmarshal(message.Input, &input); err != nil {
		return ApprovalRequest{}, errors.New("Input holds no recommendation")
	}
	r.Input.RecommendedType = fmt.Sprint(input.RecommendedType)
	return r, nil
}

// Deadline is when the wait ends by itself.
func (r ApprovalRequest) Deadline() time.Time {
	return r.EnteredTime.Add(time.Duration(r.TimeoutSeconds) * time.Second)
}

// Subject is the notice's subject line: printable ASCII of at most 100 characters, as SNS demands.
func (r ApprovalRequest) Subject() string {
	subject := fmt.Sprintf("Approval requested: %s %d %s at %s", r.Input.RecommendedType, r.Input.Qty, r.Input.Symbol, r.Input.Price())
	ascii := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, subject)
	return ascii[:min(len(ascii), 100)]
}

// Notice is the text that a person gets by mail. The task token is not in it: whoever
// reads a notice can decide nothing with it.
func (r ApprovalRequest) Notice() string {
	execution := OneLine(r.Execution, 300)
	var b strings.Builder
	fmt.Fprintf(&b, "A trade waits for your decision.\n\n")
	for _, row := range [][2]string{
		{"Recommendation", OneLine(r.Input.RecommendedType, 40)},
		{"Symbol", r.Input.Symbol},
		{"Price", r.Input.Price()},
		{"Quantity", fmt.Sprint(r.Input.Qty)},
		{"Total", r.Input.Total()},
		{"Quoted at", r.Input.QuotedAt.UTC().Format(time.RFC3339)},
		{"Decide before", r.Deadline().UTC().Format(time.RFC3339)},
		{"Execution", execution},
	} {
		fmt.Fprintf(&b, "  %-15s %s\n", row[0], row[1])
	}
	fmt.Fprintf(&b, "\nTo decide, run in the folder of the stock trading app:\n\n  go run ./desk %s\n", ShellQuote(execution))
	fmt.Fprintf(&b, "\nWithout your decision nothing is traded, and the request expires.\n")
	return b.String()
}

// OneLine makes foreign text safe to stand in a line of a notice or a terminal: no
// control, direction or zero-width characters, no line breaks, at most limit characters.
func OneLine(s string, limit int) string {
	clean := []rune(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s))
	if len(clean) > limit {
		clean = append(clean[:limit-1], '…')
	}
	return string(clean)
}

// ShellQuote makes s one word of a POSIX shell's command line.
func ShellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
