package config_test

import (
	"strings"
	"testing"
	"time"

	"stocktrading/stacks/config"
)

const secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:trading/alpaca-AbCdEf"

func alpaca(mode config.MarketMode, approval config.Approval) config.Config {
	return config.Config{Approval: approval, ApprovalTimeout: 24 * time.Hour, Market: config.AlpacaMarket, MarketMode: mode, MarketSecret: secret}
}

func TestFromContext(t *testing.T) {
	for _, test := range []struct {
		name    string
		context map[string]any
		want    config.Config
		wantErr string
	}{
		{"nothing", nil, config.Default(), ""},
		{
			"all",
			map[string]any{"approval": "automatic", "approverEmail": "a@example.com", "approvalTimeout": "90s"},
			config.Config{Approval: config.AutomaticApproval, ApproverEmail: "a@example.com", ApprovalTimeout: 90 * time.Second, Market: config.SimulatedMarket},
			"",
		},
		{"shortest", map[string]any{"approvalTimeout": "1s"}, config.Config{Approval: config.HumanApproval, ApprovalTimeout: time.Second, Market: config.SimulatedMarket}, ""},
		{"longest", map[string]any{"approvalTimeout": "336h"}, config.Config{Approval: config.HumanApproval, ApprovalTimeout: 336 * time.Hour, Market: config.SimulatedMarket}, ""},
		{"unknown approval", map[string]any{"approval": "maybe"}, config.Config{}, `context key approval is "maybe", want "human" or "automatic"`},
		{"empty approval", map[string]any{"approval": ""}, config.Config{}, `context key approval is "", want`},
		{"approval of another type", map[string]any{"approval": true}, config.Config{}, `context key approval is true, want "human" or "automatic"`},
		{"no duration", map[string]any{"approvalTimeout": "soon"}, config.Config{}, `context key approvalTimeout is "soon", want a duration in whole seconds`},
		{"too short", map[string]any{"approvalTimeout": "0s"}, config.Config{}, "approvalTimeout"},
		{"negative", map[string]any{"approvalTimeout": "-1h"}, config.Config{}, "approvalTimeout"},
		{"not whole", map[string]any{"approvalTimeout": "1500ms"}, config.Config{}, "approvalTimeout"},
		{"too long", map[string]any{"approvalTimeout": "337h"}, config.Config{}, "approvalTimeout"},
		{"a number", map[string]any{"approvalTimeout": 90.0}, config.Config{}, "context key approvalTimeout is 90, want a duration"},
		{"no address", map[string]any{"approverEmail": "me"}, config.Config{}, `context key approverEmail is "me", want an e-mail address`},
		{"an address with an invisible character", map[string]any{"approverEmail": "me\u200b@example.com"}, config.Config{}, "approverEmail"},
		{"an address that reads backwards", map[string]any{"approverEmail": "me\u202e@example.com"}, config.Config{}, "approverEmail"},
		{"a named address", map[string]any{"approverEmail": "Me <me@example.com>"}, config.Config{}, "approverEmail"},
		{"null is not set", map[string]any{"approval": nil, "approverEmail": nil, "approvalTimeout": nil}, config.Default(), ""},
		{"approval an array", map[string]any{"approval": []any{"human"}}, config.Config{}, `context key approval is []interface {}{"human"}, want "human" or "automatic"`},
		{"approval an object", map[string]any{"approval": map[string]any{"mode": "automatic"}}, config.Config{}, "context key approval is map"},
		{"approval in capitals", map[string]any{"approval": "Automatic"}, config.Config{}, `context key approval is "Automatic", want`},
		{"approval with a space", map[string]any{"approval": "automatic "}, config.Config{}, `context key approval is "automatic ", want`},
		{"approval with a line break", map[string]any{"approval": "human\n"}, config.Config{}, `context key approval is "human\n", want`},
		{"approval with a zero-width space", map[string]any{"approval": "human\u200b"}, config.Config{}, `context key approval is "human\u200b", want`},
		{"approval of look-alikes", map[string]any{"approval": "hum\u0430n"}, config.Config{}, "context key approval is"},
		{"whitespace for a duration", map[string]any{"approvalTimeout": " "}, config.Config{}, `context key approvalTimeout is " ", want a duration`},
		{"empty duration", map[string]any{"approvalTimeout": ""}, config.Config{}, `context key approvalTimeout is "", want a duration`},
		{"space around a duration", map[string]any{"approvalTimeout": " 90s"}, config.Config{}, `context key approvalTimeout is " 90s", want a duration`},
		{"no unit", map[string]any{"approvalTimeout": "90"}, config.Config{}, `context key approvalTimeout is "90", want a duration`},
		{"days", map[string]any{"approvalTimeout": "14d"}, config.Config{}, `context key approvalTimeout is "14d", want a duration`},
		{"full-width digits", map[string]any{"approvalTimeout": "９０s"}, config.Config{}, "context key approvalTimeout is"},
		{"Arabic digits", map[string]any{"approvalTimeout": "٩٠s"}, config.Config{}, "context key approvalTimeout is"},
		{"scientific", map[string]any{"approvalTimeout": "1e3s"}, config.Config{}, "context key approvalTimeout is"},
		{"beyond time", map[string]any{"approvalTimeout": "9999999999h"}, config.Config{}, "context key approvalTimeout is"},
		{"a nanosecond too long", map[string]any{"approvalTimeout": "336h0m0.000000001s"}, config.Config{}, "context key approvalTimeout is"},
		{"duration a boolean", map[string]any{"approvalTimeout": true}, config.Config{}, "context key approvalTimeout is true, want a duration"},
		{"duration an array", map[string]any{"approvalTimeout": []any{}}, config.Config{}, "context key approvalTimeout is []interface {}{}, want a duration"},
		{"parts of a duration", map[string]any{"approvalTimeout": "1h30m"}, config.Config{Approval: config.HumanApproval, ApprovalTimeout: 90 * time.Minute, Market: config.SimulatedMarket}, ""},
		{"empty address", map[string]any{"approverEmail": ""}, config.Config{}, `context key approverEmail is "", want an e-mail address`},
		{"address with a line break", map[string]any{"approverEmail": "me@example.com\n"}, config.Config{}, `context key approverEmail is "me@example.com\n", want`},
		{"address with a header", map[string]any{"approverEmail": "me@example.com\r\nBcc: you@example.com"}, config.Config{}, "context key approverEmail is"},
		{"two addresses", map[string]any{"approverEmail": "me@example.com,you@example.com"}, config.Config{}, "context key approverEmail is"},
		{"address with a space", map[string]any{"approverEmail": " me@example.com"}, config.Config{}, "context key approverEmail is"},
		{"address with a comment", map[string]any{"approverEmail": "me@example.com (me)"}, config.Config{}, "context key approverEmail is"},
		{"address with a NUL", map[string]any{"approverEmail": "me\x00@example.com"}, config.Config{}, "context key approverEmail is"},
		{"address an object", map[string]any{"approverEmail": map[string]any{"to": "me@example.com"}}, config.Config{}, "context key approverEmail is map"},
		{"addresses in an array", map[string]any{"approverEmail": []any{"me@example.com"}}, config.Config{}, `context key approverEmail is []interface {}{"me@example.com"}, want`},
		{"alpaca", map[string]any{"market": "alpaca", "marketSecret": secret}, alpaca(config.PaperMode, config.HumanApproval), ""},
		{"alpaca on paper", map[string]any{"market": "alpaca", "marketSecret": secret, "marketMode": "paper"}, alpaca(config.PaperMode, config.HumanApproval), ""},
		{"alpaca live", map[string]any{"market": "alpaca", "marketSecret": secret, "marketMode": "live"}, alpaca(config.LiveMode, config.HumanApproval), ""},
		{"four eyes", map[string]any{"fourEyes": "true"}, fourEyes(), ""},
		{"not four eyes", map[string]any{"fourEyes": "false"}, config.Default(), ""},
		{"neither", map[string]any{"fourEyes": "yes"}, config.Config{}, `context key fourEyes is "yes", want "true" or "false"`},
		{"four eyes, and nobody asked", map[string]any{"fourEyes": "true", "approval": "automatic"}, config.Config{}, "fourEyes=true does not go with approval=automatic"},
		{"alpaca on paper, and nobody asked", map[string]any{"market": "alpaca", "marketSecret": secret, "approval": "automatic"}, alpaca(config.PaperMode, config.AutomaticApproval), ""},
		{"alpaca live, and nobody asked", map[string]any{"market": "alpaca", "marketSecret": secret, "marketMode": "live", "approval": "automatic"}, config.Config{}, "marketMode=live does not go with approval=automatic"},
		{"alpaca without a secret", map[string]any{"market": "alpaca"}, config.Config{}, "market=alpaca needs the context key marketSecret"},
		{"simulated", map[string]any{"market": "simulated"}, config.Default(), ""},
		{"a mode of the simulated market", map[string]any{"marketMode": "paper"}, config.Config{}, "context key marketMode is of a real market: it goes with market=alpaca only"},
		{"live of the simulated market", map[string]any{"market": "simulated", "marketMode": "live"}, config.Config{}, "context key marketMode is of a real market"},
		{"a secret of the simulated market", map[string]any{"marketSecret": secret}, config.Config{}, "context key marketSecret is of a real market: it goes with market=alpaca only"},
		{"unknown market", map[string]any{"market": "Alpaca"}, config.Config{}, `context key market is "Alpaca", want "simulated" or "alpaca"`},
		{"empty market", map[string]any{"market": ""}, config.Config{}, `context key market is "", want`},
		{"market a boolean", map[string]any{"market": true}, config.Config{}, "context key market is true, want"},
		{"unknown mode", map[string]any{"market": "alpaca", "marketMode": "real"}, config.Config{}, `context key marketMode is "real", want "paper" or "live"`},
		{"empty mode", map[string]any{"market": "alpaca", "marketMode": ""}, config.Config{}, `context key marketMode is "", want`},
		{"a secret's name", map[string]any{"market": "alpaca", "marketSecret": "alpaca"}, config.Config{}, `context key marketSecret is "alpaca", want a secret's full ARN`},
		{"a secret's ARN without its six characters", map[string]any{"market": "alpaca", "marketSecret": strings.TrimSuffix(secret, "-AbCdEf")}, config.Config{}, "context key marketSecret is"},
		{"a secret's ARN with a wildcard", map[string]any{"market": "alpaca", "marketSecret": strings.Replace(secret, "AbCdEf", "??????", 1)}, config.Config{}, "context key marketSecret is"},
		{"all secrets", map[string]any{"market": "alpaca", "marketSecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*"}, config.Config{}, "context key marketSecret is"},
		{"another service's ARN", map[string]any{"market": "alpaca", "marketSecret": "arn:aws:ssm:eu-west-1:123456789012:parameter/alpaca-AbCdEf"}, config.Config{}, "context key marketSecret is"},
		{"a secret's ARN with a line break", map[string]any{"market": "alpaca", "marketSecret": secret + "\n"}, config.Config{}, "context key marketSecret is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := config.FromContext(func(key string) any { return test.context[key] })
			if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Fatalf("got error %v, want %q", err, test.wantErr)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestStakes(t *testing.T) {
	for _, test := range []struct {
		name   string
		config config.Config
		want   string
	}{
		{"default", config.Default(), "Approval: human. Market: simulated."},
		{"automatic", config.Config{Approval: config.AutomaticApproval, Market: config.SimulatedMarket}, "Approval: automatic. Market: simulated."},
		{"paper", alpaca(config.PaperMode, config.HumanApproval), "Approval: human. Market: paper."},
		{"live", alpaca(config.LiveMode, config.HumanApproval), "Approval: human. Market: live."},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.config.Stakes(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPartition(t *testing.T) {
	for region, want := range map[string]string{
		"": "aws", "eu-west-1": "aws", "us-east-1": "aws", "cn-northwest-1": "aws-cn",
		"us-gov-west-1": "aws-us-gov", "us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b",
	} {
		if got := config.Partition(region); got != want {
			t.Errorf("%q is in %s, want %s", region, got, want)
		}
	}
}

func fourEyes() config.Config {
	c := config.Default()
	c.FourEyes = true
	return c
}
