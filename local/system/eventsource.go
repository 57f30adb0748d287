package system

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stocktrading/local/assembly"
)

// eventSourceMapping is Lambda's poller of the queue. It works with the permissions of
// the function's role.
type eventSourceMapping struct {
	system    *System
	client    *sqs.Client
	queueURL  string
	queueARN  string
	function  assembly.Resource
	batchSize int32
	partial   bool // the function reports failed messages one by one
}

func (s *System) startEventSourceMapping(ctx context.Context) error {
	mapping, err := only(s.stack, "AWS::Lambda::EventSourceMapping")
	if err != nil {
		return err
	}
	var p struct {
		FunctionName          string
		EventSourceArn        string
		BatchSize             int32
		FunctionResponseTypes []string
	}
	if err := mapping.Decode(&p); err != nil {
		return err
	}
	queue, ok := s.stack.ByARN(p.EventSourceArn)
	if !ok {
		return fmt.Errorf("event source mapping %s: no resource has the ARN %s", mapping.LogicalID, p.EventSourceArn)
	}
	m := &eventSourceMapping{system: s, queueURL: queue.Ref, queueARN: p.EventSourceArn, batchSize: p.BatchSize, partial: len(p.FunctionResponseTypes) > 0}
	for _, f := range s.stack.ByType("AWS::Lambda::Function") {
		if f.Ref == p.FunctionName || f.Attributes["Arn"] == p.FunctionName {
			m.function = f
		}
	}
	if m.function.Ref == "" {
		return fmt.Errorf("event source mapping %s: there is no function %s", mapping.LogicalID, p.FunctionName)
	}
	role, _ := m.function.Properties["Role"].(string)
	m.client = sqs.NewFromConfig(s.AWSConfig(s.principals.accessKey(role)))
	// Lambda refuses to create a mapping whose function's role can't do all of this.
	for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
		if err := s.principals.authorize(role, action, p.EventSourceArn); err != nil {
			return fmt.Errorf("event source mapping %s: AccessDenied: %w", mapping.LogicalID, err)
		}
	}
	s.background.Go(func() { m.poll(ctx) })
	return nil
}

// poll serves the queue whenever a message was sent, and once a second for those that
// become visible again.
func (m *eventSourceMapping) poll(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.system.messaging.wake:
		case <-tick.C:
		}
		for m.serveBatch(ctx) {
		}
	}
}

// serveBatch reports whether there was one. What goes wrong leaves its messages on the
// queue, to be served again after their visibility timeout.
func (m *eventSourceMapping) serveBatch(ctx context.Context) bool {
	out, err := m.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    aws.String(m.queueURL),
		MaxNumberOfMessages:         m.batchSize,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(out.Messages) == 0 {
		return false
	}
	var event events.SQSEvent
	for _, message := range out.Messages {
		event.Records = append(event.Records, events.SQSMessage{
			MessageId:      aws.ToString(message.MessageId),
			ReceiptHandle:  aws.ToString(message.ReceiptHandle),
			Body:           aws.ToString(message.Body),
			Md5OfBody:      aws.ToString(message.MD5OfBody),
			Attributes:     message.Attributes,
			EventSource:    "aws:sqs",
			EventSourceARN: m.queueARN,
			AWSRegion:      Region,
		})
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return true
	}
	output, err := m.system.pool.Invoke(ctx, m.function.Attributes["Arn"], payload)
	if err != nil {
		return true
	}
	failed := map[string]bool{}
	if m.partial {
		var response events.SQSEventResponse
		if err := json.Unmarshal(output, &response); err != nil {
			return true
		}
		for _, f := range response.BatchItemFailures {
			failed[f.ItemIdentifier] = true
		}
	}
	var done []types.DeleteMessageBatchRequestEntry
	for _, message := range out.Messages {
		if !failed[aws.ToString(message.MessageId)] {
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: message.MessageId, ReceiptHandle: message.ReceiptHandle})
		}
	}
	if len(done) > 0 {
		// A message that could not be deleted is delivered again.
		m.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: aws.String(m.queueURL), Entries: done})
	}
	return true
}
