package config_test

import (
	"strings"
	"testing"
	"time"

	"stocktrading/stacks/config"
)

func TestFromContext(t *testing.T) {
	for _, test := range []struct {
		name    string
		context map[string]any
		want    config.Config
		wantErr string
	}{
		{"nothing", nil, config.Default(), ""},
		{"all", map[string]any{"approval": "automatic", "approverEmail": "a@example.com", "approvalTimeout": "90s"},
			config.Config{Approval: config.AutomaticApproval, ApproverEmail: "a@example.com", ApprovalTimeout: 90 * time.Second}, ""},
		{"shortest", map[string]any{"approvalTimeout": "1s"}, config.Config{Approval: config.HumanApproval, ApprovalTimeout: time.Second}, ""},
		{"longest", map[string]any{"approvalTimeout": "336h"}, config.Config{Approval: config.HumanApproval, ApprovalTimeout: 336 * time.Hour}, ""},
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
		{"a named address", map[string]any{"approverEmail": "Me <me@example.com>"}, config.Config{}, "approverEmail"},
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
