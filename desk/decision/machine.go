package decision

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"stocktrading/lambdas/trading"
)

// maxARN is how much of an ARN is shown, the same as in a notice.
const maxARN = 300

// Machine is a state machine, by its ARN.
type Machine struct {
	ARN    string
	Region string

	prefix string // of its executions' ARNs
}

var (
	machineARN   = regexp.MustCompile(`^(arn:aws[a-z-]*:states:([a-z0-9-]+):[0-9]{12}:)stateMachine:([^:\s]{1,80})$`)
	executionARN = regexp.MustCompile(`^(arn:aws[a-z-]*:states:([a-z0-9-]+):[0-9]{12}:)execution:([^:\s]{1,80}):([^:]+)$`)
)

// ParseMachine returns the state machine that an ARN names, be it the state machine's own
// or that of one of its executions.
func ParseMachine(arn string) (Machine, error) {
	part := machineARN.FindStringSubmatch(arn)
	if part == nil {
		part = executionARN.FindStringSubmatch(arn)
	}
	if part == nil {
		return Machine{}, errorf(ErrWrongUse, "%s is not the ARN of a state machine or an execution: it looks like arn:aws:states:REGION:ACCOUNT:stateMachine:NAME, and the stack's output StateMachineArn is one",
			trading.ShellQuote(trading.OneLine(arn, maxARN)))
	}
	return Machine{
		ARN:    part[1] + "stateMachine:" + part[3],
		Region: part[2],
		prefix: part[1] + "execution:" + part[3] + ":",
	}, nil
}

// IsARN distinguishes an ARN from a name, which can't contain a colon.
func IsARN(s string) bool { return strings.HasPrefix(s, "arn:") }

// execution returns the ARN of an execution that is named by its ARN or its name.
func (m Machine) execution(s string) (string, error) {
	name := s
	if IsARN(s) {
		owner, err := ParseMachine(s)
		if err != nil {
			return "", err
		}
		var ok bool
		if name, ok = strings.CutPrefix(s, m.prefix); !ok {
			if owner.ARN == m.ARN {
				return "", errorf(ErrWrongUse, "%s is a state machine: name one of its executions", trading.OneLine(s, maxARN))
			}
			return "", errorf(ErrWrongUse, "%s is not an execution of %s: name its own state machine, or none", trading.OneLine(s, maxARN), m.ARN)
		}
	}
	if !ValidName(name) {
		return "", errorf(ErrWrongUse, "%s is not the name of an execution: that has 1 to 80 characters, no spaces and none of %s",
			trading.ShellQuote(trading.OneLine(name, maxARN)), forbidden)
	}
	return m.prefix + name, nil
}

// forbidden are the characters that Step Functions does not allow in a name, besides spaces
// and control characters.
const forbidden = "<>{}[]?*\"#%\\^|~`$&,;:/"

// ValidName reports whether an execution can have a name.
func ValidName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n >= 1 && n <= 80 && !strings.ContainsFunc(name, func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c) || strings.ContainsRune(forbidden, c)
	})
}

// nameOf is an execution's name as it may be shown.
func nameOf(executionARN string) string {
	name := executionARN[strings.LastIndex(executionARN, ":")+1:]
	return trading.OneLine(name, 80)
}
