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

// Keys are the context keys that FromContext reads.
var Keys = []string{"approval", "approverEmail", "approvalTimeout", "market", "marketMode", "marketSecret"}

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
	return c.together()
}

// together refuses keys that do not go together, and chooses paper trading for a real
// market where nothing else is asked for.
func (c Config) together() (Config, error) {
	switch {
	case c.Market != AlpacaMarket && c.MarketMode != "":
		return Config{}, errors.New("context key marketMode is of a real market: it goes with market=alpaca only")
	case c.Market != AlpacaMarket && c.MarketSecret != "":
		return Config{}, errors.New("context key marketSecret is of a real market: it goes with market=alpaca only")
	case c.Market == AlpacaMarket && c.MarketSecret == "":
		return Config{}, errors.New("market=alpaca needs the context key marketSecret: the ARN of the secret that Alpaca's keys are in")
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
	case "market":
		c.Market = Market(value)
		return `"simulated" or "alpaca"`, c.Market == SimulatedMarket || c.Market == AlpacaMarket
	case "marketMode":
		c.MarketMode = MarketMode(value)
		return `"paper" or "live"`, c.MarketMode == PaperMode || c.MarketMode == LiveMode
	case "marketSecret":
		c.MarketSecret = value
		return `a secret's full ARN, such as "arn:aws:secretsmanager:eu-west-1:123456789012:secret:alpaca-AbCdEf"`, secretARN.MatchString(value)
	case "approvalTimeout":
		d, err := time.ParseDuration(value)
		c.ApprovalTimeout = d
		return `a duration in whole seconds from "1s" to "336h" (14 days), such as "90s" or "24h"`,
			err == nil && d == d.Truncate(time.Second) && d >= MinApprovalTimeout && d <= MaxApprovalTimeout
	default:
		return "nothing, because there is no such key", false
	}
}
