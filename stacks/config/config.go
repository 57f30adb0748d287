// Package config is what can be chosen about a deployment. It does not import the CDK,
// so that the local run can check a choice before anything is built.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
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

// Market says where the functions trade.
type Market string

const (
	// SimulatedMarket draws its prices at random, and trades nothing.
	SimulatedMarket Market = "simulated"
	// AlpacaMarket trades at Alpaca, a broker.
	AlpacaMarket Market = "alpaca"
)

// MarketMode says whose money it is that a real market trades with.
type MarketMode string

const (
	// PaperMode trades with the broker's play money.
	PaperMode MarketMode = "paper"
	// LiveMode trades with real money.
	LiveMode MarketMode = "live"
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
	FourEyes        bool // who may approve may not start an execution
	Market          Market
	MarketMode      MarketMode // of a real market; empty for the simulated one
	MarketSecret    string     // the ARN of the secret that a real market's keys are in
	Partition       string     // of AWS, such as "aws-cn"; empty for "aws". It goes with the region and has no key
}

// Stakes says who decides about a trade and with whose money it is made. The state
// machine's Comment ends with it: a person who may decide and nothing else can read that
// of a deployment, and neither the functions' configuration nor the stack's.
func (c Config) Stakes() string {
	return fmt.Sprintf("Approval: %s. Market: %s.", c.Approval, cmp.Or(string(c.MarketMode), string(c.Market)))
}

// Default is what a deployment gets that chooses nothing.
func Default() Config {
	return Config{Approval: HumanApproval, ApprovalTimeout: 24 * time.Hour, Market: SimulatedMarket}
}

// Partition is the one of a region, such as "aws-cn" of cn-north-1. It is "aws" for no region.
func Partition(region string) string {
	for prefix, partition := range map[string]string{
		"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc",
		"us-iso-": "aws-iso", "us-isob-": "aws-iso-b", "eu-isoe-": "aws-iso-e", "us-isof-": "aws-iso-f",
	} {
		if strings.HasPrefix(region, prefix) {
			return partition
		}
	}
	return "aws"
}

// keys are the context keys that FromContext reads: each with the values that it allows, and
// with what puts a value in its field and says whether it is one of them.
var keys = []struct {
	name, allowed string
	set           func(*Config, string) bool
}{
	{"approval", `"human" or "automatic"`, func(c *Config, value string) bool {
		c.Approval = Approval(value)
		return c.Approval == HumanApproval || c.Approval == AutomaticApproval
	}},
	{"approverEmail", `an e-mail address such as "you@example.com"`, func(c *Config, value string) bool {
		address, err := mail.ParseAddress(value)
		c.ApproverEmail = value
		return err == nil && address.Address == value && !strings.ContainsFunc(value, invisible)
	}},
	{"approvalTimeout", `a duration in whole seconds from "1s" to "336h" (14 days), such as "90s" or "24h"`, func(c *Config, value string) bool {
		d, err := time.ParseDuration(value)
		c.ApprovalTimeout = d
		return err == nil && d == d.Truncate(time.Second) && d >= MinApprovalTimeout && d <= MaxApprovalTimeout
	}},
	{"fourEyes", `"true" or "false"`, func(c *Config, value string) bool {
		c.FourEyes = value == "true"
		return c.FourEyes || value == "false"
	}},
	{"market", `"simulated" or "alpaca"`, func(c *Config, value string) bool {
		c.Market = Market(value)
		return c.Market == SimulatedMarket || c.Market == AlpacaMarket
	}},
	{"marketMode", `"paper" or "live"`, func(c *Config, value string) bool {
		c.MarketMode = MarketMode(value)
		return c.MarketMode == PaperMode || c.MarketMode == LiveMode
	}},
	{"marketSecret", `a secret's full ARN, such as "arn:aws:secretsmanager:eu-west-1:123456789012:secret:alpaca-AbCdEf"`, func(c *Config, value string) bool {
		c.MarketSecret = value
		return secretARN.MatchString(value)
	}},
}

// Keys returns the names of the context keys that FromContext reads.
func Keys() []string {
	var names []string
	for _, key := range keys {
		names = append(names, key.name)
	}
	return names
}

// FromContext reads the configuration from the CDK's context, where cdk.json and the
// command line's -c put it. The lookup returns nil for a key that is not set. The
// error names the key, its value and what is allowed.
func FromContext(lookup func(key string) any) (Config, error) {
	c := Default()
	for _, key := range keys {
		raw := lookup(key.name)
		if raw == nil {
			continue
		}
		if value, ok := raw.(string); !ok || !key.set(&c, value) {
			return Config{}, fmt.Errorf("context key %s is %#v, want %s", key.name, raw, key.allowed)
		}
	}
	return c.normalize()
}

// normalize rejects conflicting keys, and chooses paper trading for a real market where no
// mode is given.
func (c Config) normalize() (Config, error) {
	switch {
	case c.Market != AlpacaMarket && c.MarketMode != "":
		return Config{}, errors.New("context key marketMode is of a real market: it goes with market=alpaca only")
	case c.Market != AlpacaMarket && c.MarketSecret != "":
		return Config{}, errors.New("context key marketSecret is of a real market: it goes with market=alpaca only")
	case c.Market == AlpacaMarket && c.MarketSecret == "":
		return Config{}, errors.New("market=alpaca needs the context key marketSecret: the ARN of the secret that Alpaca's keys are in")
	case c.FourEyes && c.Approval == AutomaticApproval:
		return Config{}, errors.New("fourEyes=true does not go with approval=automatic: nobody approves there who could be kept from starting")
	case c.MarketMode == LiveMode && c.Approval == AutomaticApproval:
		return Config{}, errors.New("marketMode=live does not go with approval=automatic: nothing trades with real money that nobody has approved")
	case c.Market == AlpacaMarket && c.MarketMode == "":
		c.MarketMode = PaperMode
	}
	return c, nil
}

// secretARN is a secret's full ARN, with the six characters that Secrets Manager puts behind
// its name: without them a policy would need a wildcard.
var secretARN = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$`)

// invisible reports whether a reader of the configuration would not see the character.
func invisible(c rune) bool { return !unicode.IsPrint(c) }
