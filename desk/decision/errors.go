package decision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stocktrading/lambdas/trading"
)

// The kinds of the desk's errors, for errors.Is.
var (
	// ErrGone: the wait is over. It was answered, has expired, or its execution has ended.
	ErrGone = errors.New("the wait is gone")
	// ErrNotYet: the execution has not asked yet.
	ErrNotYet = errors.New("nothing is asked yet")
	// ErrWrongUse: the arguments are invalid, whatever the execution's state.
	ErrWrongUse = errors.New("wrong use")
	// ErrNoExecution: there is no execution of that name.
	ErrNoExecution = fmt.Errorf("%w doesn't exist", errThisExecution)

	errThisExecution = errors.New("the history of one execution")
)

// failure is an error as one sentence for a person. It does not
// wrap the error that led to it: a reply of the service may quote a token.
type failure struct {
	sentence string
	is       error // one of the errors above, or of package context, or nil
}

func (f *failure) Error() string { return f.sentence }
func (f *failure) Unwrap() error { return f.is }

func errorf(is error, format string, args ...any) error {
	return &failure{sentence: fmt.Sprintf(format, args...), is: is}
}

// action is an IAM action, which is also the API call that needs it.
type action string

const (
	listExecutions       action = "states:ListExecutions"
	getExecutionHistory  action = "states:GetExecutionHistory"
	describeExecution    action = "states:DescribeExecution"
	describeStateMachine action = "states:DescribeStateMachine"
	startExecution       action = "states:StartExecution"
	sendTaskSuccess      action = "states:SendTaskSuccess"
	sendTaskFailure      action = "states:SendTaskFailure"
	getCallerIdentity    action = "sts:GetCallerIdentity"
)

// sends reports whether the call's input holds a token, which its errors may quote.
func (a action) sends() bool { return a == sendTaskSuccess || a == sendTaskFailure }

// explain makes the error of a call a sentence that says what to do. The call is about
// the resource with the given ARN.
func explain(ctx context.Context, a action, arn string, err error) error {
	var (
		api         smithy.APIError
		credentials *credentialsError
		unreachable *smithyhttp.RequestSendError
		network     net.Error
		region      *aws.MissingRegionError
	)
	arn = trading.OneLine(arn, maxARN)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return errorf(context.Canceled, "interrupted")
	case ctx.Err() != nil:
		return errorf(ctx.Err(), "%s took too long", a)
	case errors.As(err, &credentials):
		return errorf(nil, "there are no AWS credentials that work (%s): sign in with \"aws sso login\" or \"aws configure\", or name a profile in AWS_PROFILE", credentials.reason())
	case errors.As(err, &region), strings.Contains(err.Error(), "Invalid Configuration: Missing Region"):
		return errorf(nil, "no AWS region is known: name the state machine by its ARN, which holds the region, or set AWS_REGION")
	case errors.As(err, &api):
		return explainAPI(a, arn, api)
	case errors.As(err, &unreachable), errors.As(err, &network):
		return errorf(nil, "%s can't be reached (%s): check the region in %s, the network, and AWS_ENDPOINT_URL if it is set", service(a), detail(err), orARN(arn))
	}
	return errorf(nil, "%s failed: %s", a, detail(err))
}

func service(a action) string {
	if a == getCallerIdentity {
		return "AWS STS"
	}
	return "Step Functions"
}

func orARN(arn string) string {
	if arn == "" {
		return "the state machine's ARN"
	}
	return arn
}

func explainAPI(a action, arn string, err smithy.APIError) error {
	switch code := err.ErrorCode(); {
	case strings.HasPrefix(code, "AccessDenied") && a == startExecution && strings.Contains(err.ErrorMessage(), "explicit deny"):
		return errorf(nil, "you may not call %s on %s, because a policy denies it: with fourEyes=true, who approves may not start; let an administrator run this, without the stack's ApproverPolicy", a, arn)
	case strings.HasPrefix(code, "AccessDenied") && a == startExecution:
		return errorf(nil, "you may not call %s on %s, which the stack's ApproverPolicy does not allow: let somebody run this who has that permission beside the policy", a, arn)
	case strings.HasPrefix(code, "AccessDenied"):
		return errorf(nil, "you may not call %s on %s: ask for the stack's ApproverPolicy, the output ApproverPolicyArn names it", a, orARN(arn))
	case slices.Contains([]string{"ExpiredTokenException", "ExpiredToken", "RequestExpired"}, code):
		return errorf(nil, "your AWS session has expired: sign in again, for example with \"aws sso login\"")
	case slices.Contains([]string{
		"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
		"IncompleteSignature", "IncompleteSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"NotAuthorized", "AuthFailure", "InvalidAccessKeyId",
	}, code):
		return errorf(nil, "AWS does not accept your credentials (%s): check the profile, its keys, and this machine's clock", code)
	case code == "OptInRequired", code == "SubscriptionRequiredException":
		return errorf(nil, "this AWS account can't use the region in %s: enable the region, or check the ARN", orARN(arn))
	case throttled(err):
		return errorf(nil, "AWS has throttled %s again and again (%s): wait a minute and try again", a, code)
	case code == "StateMachineDoesNotExist", code == "StateMachineDeleting":
		return errorf(nil, "there is no state machine %s: compare its region, account and name with the stack's output StateMachineArn", arn)
	case code == "StateMachineTypeNotSupported":
		return errorf(nil, "%s is an Express state machine, which asks nobody: name the stack's, its output StateMachineArn", arn)
	case code == "ExecutionDoesNotExist":
		return errorf(ErrNoExecution, "there is no execution %s: \"go run ./desk\" lists what waits", arn)
	case code == "InvalidArn":
		return errorf(errThisExecution, "Step Functions does not take %s for an ARN: compare it with the stack's output StateMachineArn", arn)
	case a.sends():
		return errorf(nil, "%s refused the answer (%s): nothing is decided", a, trading.OneLine(code, 80))
	default:
		return errorf(nil, "%s failed: %s (%s)", a, trading.OneLine(err.ErrorMessage(), 200), trading.OneLine(code, 80))
	}
}

// detail is the innermost text of an error, on one line. What is around it repeats what
// the sentence says.
func detail(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || inner.Error() == "" {
			return trading.OneLine(strings.Join(strings.Fields(err.Error()), " "), 200)
		}
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			return trading.OneLine(op.Error(), 200)
		}
		err = inner
	}
}

// denied reports whether the service said that the caller may not do this.
func denied(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied")
}

// throttled reports whether the service said that there were too many calls.
func throttled(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	_, ok := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return ok
}

// refused reports whether the service answered and did nothing.
func refused(err error) bool {
	var (
		api      smithy.APIError
		response *smithyhttp.ResponseError
	)
	if !errors.As(err, &api) {
		return false
	}
	if errors.As(err, &response) {
		return response.HTTPStatusCode() < http.StatusInternalServerError
	}
	return api.ErrorFault() != smithy.FaultServer
}

// unsent reports whether a call failed before anything left this machine.
func unsent(err error) bool {
	var (
		credentials *credentialsError
		network     *net.OpError
		name        *net.DNSError
	)
	return errors.As(err, &credentials) || errors.As(err, &name) || errors.As(err, &network) && network.Op == "dial"
}
