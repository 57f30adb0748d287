// Package config is what can be chosen about a deployment. It does not import the CDK,
// so that the local run can check a choice before anything is built.
package config

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
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

// Default is what a deployment gets that chooses nothing.
func Default() Config {
	return Config{Approval: HumanApproval, ApprovalTimeout: 24 * time.Hour}
}

// Keys are the context keys that FromContext reads.
var Keys = []string{"approval", "approverEmail", "approvalTimeout"}

// FromContext reads the configuration from the CDK's context, where cdk.json and the
// command line's -c put it. The lookup returns nil for a key that is not set. The
// error names the key, its value and what is allowed.
func FromContext(lookup func(key string) any) (Config, error) {
	c := Default()
	for _, key := range Keys {
		raw := lookup(key)
		if raw == nil {
			continue
		}
		value, ok := raw.(string)
		allowed, valid := c.set(key, value)
		if !ok || !valid {
			return Config{}, fmt.Errorf("context key %s is %#v, want %s", key, raw, allowed)
		}
	}
	return c, nil
}

// hidden tells a character that a reader of the configuration would not see.
func hidden(c rune) bool { return !unicode.IsPrint(c) }

// set puts a value in its field, and tells what the key allows and whether the value is that.
func (c *Config) set(key, value string) (allowed string, valid bool) {
	switch key {
	case "approval":
		c.Approval = Approval(value)
		return `"human" or "automatic"`, c.Approval == HumanApproval || c.Approval == AutomaticApproval
	case "approverEmail":
		address, err := mail.ParseAddress(value)
		c.ApproverEmail = value
		return `an e-mail address such as "you@example.com"`, err == nil && address.Address == value && !strings.ContainsFunc(value, hidden)
	default: // approvalTimeout
		d, err := time.ParseDuration(value)
		c.ApprovalTimeout = d
		return `a duration in whole seconds from "1s" to "336h" (14 days), such as "90s" or "24h"`,
			err == nil && d == d.Truncate(time.Second) && d >= MinApprovalTimeout && d <= MaxApprovalTimeout
	}
}
