package states

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/uuid"
)

const (
	contentType  = "application/x-amz-json-1.0"
	targetPrefix = "AWSStepFunctions."
	maxBody      = 1 << 20 // bytes
)

// operations are those of the API, by the name that a request's X-Amz-Target ends with.
var operations = map[string]func(*Engine, []byte) (any, error){
	"StartExecution": operation((*Engine).startExecution),
	"DescribeExecution": operation(func(e *Engine, in *sfn.DescribeExecutionInput) (any, error) {
		x, err := e.DescribeExecution(aws.ToString(in.ExecutionArn))
		return describedExecution{x, inclusion{true}, inclusion{x.Output != ""}}, err
	}),
	"ListExecutions":      operation((*Engine).ListExecutions),
	"GetExecutionHistory": operation((*Engine).GetExecutionHistory),
	"StopExecution":       operation((*Engine).StopExecution),
	"DescribeStateMachine": operation(func(e *Engine, in *sfn.DescribeStateMachineInput) (any, error) {
		m, err := e.DescribeStateMachine(in)
		logging, tracing := map[string]any{"level": "OFF", "includeExecutionData": false}, map[string]any{"enabled": false}
		return describedStateMachine{m, logging, tracing}, err
	}),
	"SendTaskSuccess":   operation(noOutput((*Engine).SendTaskSuccess)),
	"SendTaskFailure":   operation(noOutput((*Engine).SendTaskFailure)),
	"SendTaskHeartbeat": operation(noOutput((*Engine).SendTaskHeartbeat)),
}

type describedExecution struct {
	Execution
	InputDetails  inclusion `json:"inputDetails"`
	OutputDetails inclusion `json:"outputDetails,omitzero"`
}

type inclusion struct {
	Included bool `json:"included"`
}

type describedStateMachine struct {
	StateMachine
	Logging map[string]any `json:"loggingConfiguration"`
	Tracing map[string]any `json:"tracingConfiguration"`
}

// operation makes a method one of the API: JSON in, and what becomes JSON out.
func operation[In, Out any](method func(*Engine, *In) (Out, error)) func(*Engine, []byte) (any, error) {
	return func(e *Engine, body []byte) (any, error) {
		var in In
		if len(bytes.TrimSpace(body)) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, apiErrorf("SerializationException", "The request's body is not the JSON of this operation")
			}
		}
		return method(e, &in)
	}
}

func noOutput[In any](method func(*Engine, *In) error) func(*Engine, *In) (struct{}, error) {
	return func(e *Engine, in *In) (struct{}, error) { return struct{}{}, method(e, in) }
}

// ServeHTTP serves the Step Functions API as the AWS SDKs and the AWS CLI speak it, JSON 1.0. It checks no signature:
// whoever reaches it may do anything.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-RequestId", uuid.NewString())
	out, status, err := e.serve(w, r)
	if err != nil {
		failure := &APIError{Code: "InternalFailure", Message: err.Error()}
		if api, ok := errors.AsType[*APIError](err); ok {
			failure = api
		}
		out = map[string]string{"__type": failure.Code, "message": failure.Message}
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // only types of this package
	}
	w.WriteHeader(status)
	w.Write(body)
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) (out any, status int, err error) {
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		return nil, http.StatusNotFound, apiErrorf("UnknownOperationException", "Requests are POST /")
	}
	// Browsers send other types to any address without asking it first.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != contentType {
		return nil, http.StatusUnsupportedMediaType, apiErrorf("UnsupportedMediaTypeException", "Want %s", contentType)
	}
	target := r.Header.Get("X-Amz-Target")
	name, _ := strings.CutPrefix(target, targetPrefix)
	perform, ok := operations[name]
	if !ok || name == target {
		return nil, http.StatusBadRequest, apiErrorf("UnknownOperationException", "Unknown operation %q", target)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, http.StatusRequestEntityTooLarge,
				apiErrorf("RequestEntityTooLargeException", "The request is larger than %d bytes", maxBody)
		}
		return nil, http.StatusBadRequest, apiErrorf("SerializationException", "The request's body could not be read")
	}
	out, err = perform(e, body)
	if err == nil {
		return out, http.StatusOK, nil
	}
	if api, ok := errors.AsType[*APIError](err); ok && api.Code != "InternalFailure" {
		return nil, http.StatusBadRequest, err
	}
	return nil, http.StatusInternalServerError, err
}
