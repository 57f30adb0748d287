package functions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// NotTraded is an error with a name of its own.
type NotTraded struct{ Reason string }

func (e NotTraded) Error() string { return "not traded: " + e.Reason }

var parent = os.Getppid() // before it can have ended

// beFunction is the function of the tests: it does what its payload says, and before that what START says.
func beFunction() {
	fmt.Println("process", os.Getpid())
	switch os.Getenv("START") {
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	case "deaf":
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
	case "report":
		body := `{"errorMessage":"no market","errorType":"NoMarket"}`
		if _, err := http.Post(ownRuntimeAPI()+"/init/error", "application/json", strings.NewReader(body)); err != nil {
			fmt.Println(err)
		}
		os.Exit(1)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, r request) (answer, error) {
	fmt.Println("work", r.Do)
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	a := answer{
		PID: os.Getpid(), Echo: r, RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn,
		Function: lambdacontext.FunctionName, LogGroup: lambdacontext.LogGroupName, LogStream: lambdacontext.LogStreamName,
		MemoryMB: lambdacontext.MemoryLimitInMB, TraceID: os.Getenv("_X_AMZN_TRACE_ID"), RemainingMS: time.Until(deadline).Milliseconds(),
	}
	switch r.Do {
	case "environment":
		a.Dir, _ = os.Getwd()
		a.Environment = os.Environ()
	case "fail":
		return a, NotTraded{Reason: "closed"}
	case "wrap":
		return a, fmt.Errorf("trade: %w", errors.New("closed"))
	case "panic":
		panic("out of stock")
	case "exit":
		os.Exit(r.N)
	case "sleep":
		time.Sleep(time.Duration(r.MS) * time.Millisecond)
	case "outlive":
		for os.Getppid() == parent {
			time.Sleep(time.Millisecond)
		}
	case "long":
		a.Text = strings.Repeat("x", r.N)
	case "print":
		fmt.Print("one\ntwo\r\n\n")
		fmt.Fprint(os.Stderr, "three\n")
		fmt.Print("four")
		os.Exit(1)
	case "poll early":
		response, err := http.Get(ownRuntimeAPI() + "/invocation/next")
		if err != nil {
			return a, err
		}
		response.Body.Close()
		a.Text = response.Status
	case "answer another":
		response, err := http.Post(ownRuntimeAPI()+"/invocation/another/response", "application/json", bytes.NewReader(nil))
		if err != nil {
			return a, err
		}
		response.Body.Close()
		a.Text = response.Status
	case "fail without a type":
		_, err := http.Post(ownRuntimeAPI()+"/invocation/"+lc.AwsRequestID+"/error", "application/json", strings.NewReader("it broke"))
		return a, err
	}
	fmt.Println("done", r.Do)
	return a, nil
}

func ownRuntimeAPI() string {
	return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime"
}
