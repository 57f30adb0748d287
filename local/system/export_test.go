package system

import (
	"testing"
	"time"
)

// SetRequestTime changes for a test how long a request may take to arrive.
func SetRequestTime(t *testing.T, d time.Duration) {
	before := requestTime
	requestTime = d
	t.Cleanup(func() { requestTime = before })
}

// AlsoAllow gives the approver what another policy of theirs would allow.
func (s *System) AlsoAllow(action, resource string) {
	p := s.principals.byAccessKey[Approver]
	p.statements = append(p.statements, statement{Effect: "Allow", Action: oneOrMany{action}, Resource: oneOrMany{resource}})
	s.principals.byAccessKey[Approver] = p
}
