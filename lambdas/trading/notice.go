package trading

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
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

// maxTimeoutSeconds is the longest wait that Step Functions knows, some three years.
const maxTimeoutSeconds = 99_999_999

// isExecutionARN tells whether s is the ARN of an execution of a Standard workflow,
// arn:PARTITION:states:REGION:ACCOUNT:execution:MACHINE:NAME. A name has 80 characters at
// most.
func isExecutionARN(s string) bool {
	p := strings.Split(s, ":")
	name := func(s string) bool { return s != "" && utf8.RuneCountInString(s) <= 80 }
	return len(p) == 8 && p[0] == "arn" && strings.HasPrefix(p[1], "aws") && consistsOf(p[1], lowerCase+"-", 3, 20) &&
		p[2] == "states" && consistsOf(p[3], regionSet, 1, 30) && consistsOf(p[4], digits, 12, 12) &&
		p[5] == "execution" && name(p[6]) && name(p[7])
}

// ParseApprovalRequest reads a message body. Its error never quotes the body, which
// holds the task token.
func ParseApprovalRequest(body []byte) (ApprovalRequest, error) {
	var (
		r     ApprovalRequest
		input map[string]json.RawMessage
	)
	message, err := object("the body", body)
	if err != nil {
		return r, errors.New("the body is not the JSON object that the state machine sends")
	}
	read := func(field string, value any) bool { return json.Unmarshal(message[field], value) == nil }
	switch {
	case !read("TaskToken", &r.TaskToken) || r.TaskToken == "":
		err = errors.New("TaskToken is missing or no text")
	case !read("Execution", &r.Execution) || !isExecutionARN(r.Execution):
		err = errors.New("Execution is missing or not the ARN of an execution")
	case !read("EnteredTime", &r.EnteredTime) || r.EnteredTime.IsZero():
		err = errors.New("EnteredTime is missing or no time")
	case !read("TimeoutSeconds", &r.TimeoutSeconds) || r.TimeoutSeconds <= 0 || r.TimeoutSeconds > maxTimeoutSeconds:
		err = fmt.Errorf("TimeoutSeconds is missing or no whole number from 1 to %d", maxTimeoutSeconds)
	case !read("Input", &r.Input.Quote) || !read("Input", &input):
		err = errors.New("Input holds no quote")
	}
	if err != nil {
		return ApprovalRequest{}, err
	}
	var recommended any // of any type: it is what the choice of the state machine will look at
	json.Unmarshal(input["recommended_type"], &recommended)
	r.Input.RecommendedType = fmt.Sprint(recommended)
	return r, nil
}

// Deadline is when the wait ends by itself.
func (r ApprovalRequest) Deadline() time.Time {
	return r.EnteredTime.Add(time.Duration(r.TimeoutSeconds) * time.Second)
}

// maxSubject is the most that SNS takes: "less than 100 characters".
const maxSubject = 99

// Subject is the notice's subject line: printable ASCII of at most maxSubject characters.
func (r ApprovalRequest) Subject() string {
	subject := fmt.Sprintf("Approval requested: %s %d %s at %s", r.Input.RecommendedType, r.Input.Qty, r.Input.Symbol, Dollars(r.Input.Price()))
	if r.Input.Market == LiveMarket {
		subject = "REAL MONEY: " + subject
	}
	ascii := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, subject)
	return ascii[:min(len(ascii), maxSubject)]
}

// maxNotice is the most bytes that a link may make a notice have.
const maxNotice = 2000

// ToDecide begins the last part of a notice: what leads to a decision at AWS, and nowhere else.
const ToDecide = "\nTo decide, "

// Notice is the text that a person gets by mail. The task token is not in it: whoever
// reads a notice can decide nothing with it.
func (r ApprovalRequest) Notice() string {
	execution := OneLine(r.Execution, 300)
	var b strings.Builder
	if r.Input.Market == LiveMarket {
		fmt.Fprintf(&b, "REAL MONEY. ")
	}
	fmt.Fprintf(&b, "A trade waits for your decision.\n\n")
	rows := [][2]string{
		{"Market", r.Input.Market.Stakes()},
		{"Recommendation", OneLine(r.Input.RecommendedType, 40)},
		{"Symbol", r.Input.Symbol},
		{"Price", Dollars(r.Input.Price())},
		{"Quantity", fmt.Sprint(r.Input.Qty)},
		{"Total", Dollars(r.Input.Total())},
		{"Quoted at", r.Input.QuotedAt.UTC().Format(time.RFC3339)},
		{"Decide before", r.Deadline().UTC().Format(time.RFC3339)},
		{"Execution", execution},
	}
	if limit := r.Input.Limit(); limit != "" {
		rows = slices.Insert(rows, 4, [2]string{"Limit price", limit})
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "  %-15s %s\n", row[0], row[1])
	}
	fmt.Fprintf(&b, "\nWithout your decision nothing is traded, and the request expires.\n")
	fmt.Fprintf(&b, ToDecide+"run in the folder of the stock trading app:\n\n  go run ./desk %s\n", ShellQuote(execution))
	if link := consoleLink(r.Execution); link != "" {
		link = fmt.Sprintf("\nTo see the execution in the AWS console, where nothing is decided, sign in at:\n\n  %s\n", link)
		if b.Len()+len(link) <= maxNotice { // escaped, a name of other letters than ASCII's can be very long
			b.WriteString(link)
		}
	}
	return b.String()
}

// consoleDomains are those of the AWS console by the partition.
var consoleDomains = map[string]string{"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}

// consoleLink is the address of an execution in the AWS console, or "" in a partition whose
// console is not known.
func consoleLink(execution string) string {
	p := strings.Split(execution, ":")
	domain := consoleDomains[p[1]]
	if domain == "" {
		return ""
	}
	return fmt.Sprintf("https://%s.console.%s/states/home?region=%[1]s#/v2/executions/details/%[3]s", p[3], domain, url.PathEscape(execution))
}

// OneLine makes foreign text safe to stand in a line of a notice or a terminal: no
// control, direction or zero-width characters, no line breaks, at most limit characters.
func OneLine(s string, limit int) string {
	clean := []rune(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || unicode.In(c, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
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
