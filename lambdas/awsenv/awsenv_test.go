package awsenv_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"stocktrading/lambdas/awsenv"
)

func TestLoad(t *testing.T) {
	type loaded struct{ Region, KeyID, Secret, Token, Endpoint string }
	lambda := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token", "AWS_ENDPOINT_URL": "",
	}
	tests := []struct {
		name, set, to string
		want          loaded
		err           string
	}{
		{"as Lambda sets it", "AWS_REGION", "eu-west-1", loaded{"eu-west-1", "id", "secret", "token", ""}, ""},
		{"another endpoint", "AWS_ENDPOINT_URL", "http://127.0.0.1:1", loaded{"eu-west-1", "id", "secret", "token", "http://127.0.0.1:1"}, ""},
		{"no region", "AWS_REGION", "", loaded{}, "AWS_REGION is not set"},
		{"no key", "AWS_ACCESS_KEY_ID", "", loaded{}, "AWS_ACCESS_KEY_ID is not set"},
		{"no secret", "AWS_SECRET_ACCESS_KEY", "", loaded{}, "AWS_SECRET_ACCESS_KEY is not set"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range lambda {
				t.Setenv(name, value)
			}
			t.Setenv(test.set, test.to)
			cfg, err := awsenv.Load()
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			keys, err := cfg.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := loaded{cfg.Region, keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken, aws.ToString(cfg.BaseEndpoint)}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}
