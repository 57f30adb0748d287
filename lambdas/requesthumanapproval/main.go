// Command requesthumanapproval is the function behind the queue of the state
// "Request Human Approval": it notifies people that a trade waits for their decision.
// It decides nothing itself, unless the deployment has chosen automatic approval.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"

	"stocktrading/lambdas/awsenv"
	"stocktrading/lambdas/trading"
)

type publisher interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

type answerer interface {
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
}

type handler struct {
	topic    publisher
	topicARN string
	approve  answerer // nil unless approval is automatic
	log      *slog.Logger
}

// timeToAnswer is set aside for reporting which messages of a batch have failed. If the
// function timed out first, the whole batch would be delivered again, and people notified
// twice.
const timeToAnswer = time.Second

// handle serves a batch of approval requests, all at once, so that one that hangs does not
// hold up the others. A temporary fault is reported for its message alone.
func (h handler) handle(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-timeToAnswer))
		defer cancel()
	}
	errs := make([]error, len(batch.Records))
	var served sync.WaitGroup
	for i, m := range batch.Records {
		served.Go(func() { errs[i] = h.receive(ctx, m) })
	}
	served.Wait()
	var failed events.SQSEventResponse
	for i, err := range errs {
		if err != nil {
			failed.BatchItemFailures = append(failed.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: batch.Records[i].MessageId})
		}
	}
	return failed, nil
}

// receive serves one message. A malformed one is logged without its body and acknowledged:
// delivering it again would not help, and its execution still waits and is still listed.
func (h handler) receive(ctx context.Context, m events.SQSMessage) error {
	log := h.log.With("messageId", m.MessageId)
	request, err := trading.ParseApprovalRequest([]byte(m.Body))
	if err != nil {
		log.ErrorContext(ctx, "malformed request dropped", "error", err)
		return nil
	}
	log = log.With("execution", request.Execution)
	if err := h.serve(ctx, log, request); err != nil {
		log.ErrorContext(ctx, "request will be delivered again", "error", err)
		return err
	}
	return nil
}

func (h handler) serve(ctx context.Context, log *slog.Logger, r trading.ApprovalRequest) error {
	_, err := h.topic.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(h.topicARN),
		Subject:  aws.String(r.Subject()),
		Message:  aws.String(r.Notice()),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{
			"type":      {DataType: aws.String("String"), StringValue: aws.String("approval-requested")},
			"execution": {DataType: aws.String("String"), StringValue: aws.String(r.Execution)},
		},
	})
	if err != nil {
		return fmt.Errorf("publish notice: %w", err)
	}
	log.InfoContext(ctx, "notice published")
	if h.approve == nil {
		return nil
	}
	return h.answer(ctx, log, r)
}

func (h handler) answer(ctx context.Context, log *slog.Logger, r trading.ApprovalRequest) error {
	output, err := json.Marshal(map[string]string{"decision": "approve", "decided_by": "automatic approval"})
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, err = h.approve.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{
		TaskToken: aws.String(r.TaskToken),
		Output:    aws.String(string(output)),
	})
	var (
		timedOut *sfntypes.TaskTimedOut
		gone     *sfntypes.TaskDoesNotExist
		unknown  *sfntypes.InvalidToken
	)
	switch {
	case errors.As(err, &timedOut), errors.As(err, &gone), errors.As(err, &unknown):
		log.WarnContext(ctx, "too late to approve, the wait is over")
		return nil
	case err != nil:
		return fmt.Errorf("approve: %w", err)
	}
	log.InfoContext(ctx, "approved automatically")
	return nil
}

func main() {
	log := lambdacontext.NewLogger()
	cfg, err := awsenv.Load()
	if err != nil {
		log.Error("not started", "error", err)
		os.Exit(1)
	}
	h := handler{topic: sns.NewFromConfig(cfg), topicARN: os.Getenv("TOPIC_ARN"), log: log}
	if os.Getenv("APPROVAL") == "automatic" {
		h.approve = sfn.NewFromConfig(cfg)
	}
	lambda.Start(h.handle)
}
