package decision

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"stocktrading/lambdas/trading"
)

const (
	replyTime        = 20 * time.Second // for one attempt of a call
	throttleAttempts = 10
	faultAttempts    = 3
	longestBackoff   = 5 * time.Second
)

// configure makes an AWS configuration fit for a person who sits and waits: calls end in
// time, throttling is retried patiently and other faults briefly.
func configure(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.Retryer = func() aws.Retryer { return newRetryer(retry.DefaultRetryables) }
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	if client, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		cfg.HTTPClient = client.WithTimeout(replyTime)
	}
	if cfg.Credentials != nil {
		cfg.Credentials = namedCredentials{cfg.Credentials}
	}
	return cfg
}

// NewClient returns a client of the Step Functions API for a desk.
func NewClient(cfg aws.Config) *sfn.Client { return sfn.NewFromConfig(configure(cfg)) }

// Caller returns a function that asks AWS STS whose credentials these are.
func Caller(cfg aws.Config) func(context.Context) (string, error) {
	client := sts.NewFromConfig(configure(cfg))
	return func(ctx context.Context) (string, error) {
		caller, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", err // the desk explains it
		}
		return aws.ToString(caller.Arn), nil
	}
}

// newRetryer returns the SDK's standard retryer with more patience for throttling. Its
// own bucket of retries is off: it is meant for servers, and the desk's limiters keep the pace.
func newRetryer(retryables []retry.IsErrorRetryable) *retry.Standard {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Retryables = retryables
		o.MaxAttempts = throttleAttempts
		o.RateLimiter = ratelimit.None
		backoff := retry.NewExponentialJitterBackoff(longestBackoff)
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
			if attempt >= faultAttempts && !throttled(err) {
				return 0, err
			}
			return backoff.BackoffDelay(attempt, err)
		})
	})
}

// sendOnce retries a call only after throttling, when the service did nothing. After a
// lost reply a second answer would be told that it is too late, because of the first.
func sendOnce(o *sfn.Options) {
	o.Retryer = newRetryer([]retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}})
}

// namedCredentials gives the errors of a provider a type; otherwise only their text says what
// they are.
type namedCredentials struct{ aws.CredentialsProvider }

func (p namedCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &credentialsError{err}
	}
	return c, nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "retrieve credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// reason is the outermost text, because the innermost names only the last place where
// credentials were looked for.
func (e *credentialsError) reason() string {
	text := strings.TrimPrefix(e.err.Error(), "failed to refresh cached credentials, ")
	return trading.OneLine(strings.Join(strings.Fields(text), " "), 160)
}
