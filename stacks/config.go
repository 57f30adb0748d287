package stacks

import (
	"fmt"
	"net/mail"
	"time"
)

// Approval says who approves a trade.
type Approval string

const (
	// HumanApproval waits for a person's decision.
	HumanApproval Approval = "human"
	// AutomaticApproval asks nobody: every recommendation is carried out.
	AutomaticApproval Approval = "automatic"
)

// The limits of an approval timeout. The upper one is SQS's longest retention.
const (
	MinApprovalTimeout = time.Second
	MaxApprovalTimeout = 14 * 24 * time.Hour
)

// Config is all that can be chosen about a deployment.
type Config struct {
	Approval        Approval
	ApproverEmail   string // subscribed to the topic if not empty
	ApprovalTimeout time.Duration
}

// DefaultConfig is what a deployment gets that chooses nothing.
func DefaultConfig() Config {
	return Config{Approval: HumanApproval, ApprovalTimeout: 24 * time.Hour}
}

// ConfigFromContext reads the configuration from the CDK's context, where cdk.json
// and the command line's -c put it. The lookup returns nil for a key that is not set.
// The error names the key, its value and what is allowed.
func ConfigFromContext(lookup func(key string) any) (Config, error) {
	c := DefaultConfig()
	for _, key := range []struct {
		name    string
		allowed string
		set     func(value string) bool
	}{
		{"approval", `"human" or "automatic"`, func(value string) bool {
			c.Approval = Approval(value)
			return c.Approval == HumanApproval || c.Approval == AutomaticApproval
		}},
		{"approverEmail", `an e-mail address such as "you@example.com"`, func(value string) bool {
			address, err := mail.ParseAddress(value)
			c.ApproverEmail = value
			return err == nil && address.Address == value
		}},
		{"approvalTimeout", `a duration in whole seconds from "1s" to "336h" (14 days), such as "90s" or "24h"`, func(value string) bool {
			d, err := time.ParseDuration(value)
			c.ApprovalTimeout = d
			return err == nil && d == d.Truncate(time.Second) && d >= MinApprovalTimeout && d <= MaxApprovalTimeout
		}},
	} {
		raw := lookup(key.name)
		if raw == nil {
			continue
		}
		if value, ok := raw.(string); !ok || !key.set(value) {
			return Config{}, fmt.Errorf("context key %s is %#v, want %s", key.name, raw, key.allowed)
		}
	}
	return c, nil
}
