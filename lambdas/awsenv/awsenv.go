// Package awsenv configures AWS clients from the environment that Lambda gives a function.
// It replaces the SDK's package config, whose other sources of configuration, such as
// files, single sign-on and instance metadata, are of no use to a function: they would add
// half a megabyte to its package and milliseconds to each start.
package awsenv

import (
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Load reads the region and the credentials of the function's role from the variables that
// Lambda sets, and the endpoint from AWS_ENDPOINT_URL if that is set, as the SDKs do.
func Load() (aws.Config, error) {
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if os.Getenv(name) == "" {
			return aws.Config{}, fmt.Errorf("load AWS configuration: %s is not set; Lambda sets it", name)
		}
	}
	cfg := aws.Config{
		Region: os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
	}
	if endpoint := os.Getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		cfg.BaseEndpoint = aws.String(endpoint)
	}
	return cfg, nil
}
