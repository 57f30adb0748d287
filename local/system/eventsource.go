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

// pollers is how many batches are served at once; Lambda begins with five.
const pollers = 5

// eventSourceMapping polls the queue for the function, as Lambda does, with the permissions
// of the function's role.
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
	for range pollers {
		s.background.Go(func() { m.poll(ctx) })
	}
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

// serveBatch serves one batch and reports whether there was one. If it fails, the messages
// stay on the queue and become visible again after their visibility timeout.
func (m *eventSourceMapping) serveBatch(ctx context.Context) bool {
	// Lambda looks at the queue's attributes to choose how many pollers it needs.
	if _, err := m.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl:       aws.String(m.queueURL),
		AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages},
	}); err != nil {
		m.failed(ctx, "get queue attributes", err)
		return false
	}
	out, err := m.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    aws.String(m.queueURL),
		MaxNumberOfMessages:         m.batchSize,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		m.failed(ctx, "receive messages", err)
		return false
	}
	if len(out.Messages) == 0 {
		return false
	}
	if len(out.Messages) == int(m.batchSize) {
		m.system.messaging.wakePoller() // there may be more than this one can serve
	}
	kept, err := m.invoke(ctx, out.Messages)
	if err != nil {
		m.failed(ctx, "invoke the function", err)
		return true
	}
	var done []types.DeleteMessageBatchRequestEntry
	for _, message := range out.Messages {
		if !kept[aws.ToString(message.MessageId)] {
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: message.MessageId, ReceiptHandle: message.ReceiptHandle})
		}
	}
	if len(done) == 0 {
		return true
	}
	if _, err := m.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: aws.String(m.queueURL), Entries: done}); err != nil {
		m.failed(ctx, "delete messages", err)
	}
	return true
}

// invoke gives a batch to the function and returns the ids of the messages that stay on the queue.
func (m *eventSourceMapping) invoke(ctx context.Context, messages []types.Message) (kept map[string]bool, err error) {
	var event events.SQSEvent
	for _, message := range messages {
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
		return nil, err
	}
	output, err := m.system.invoke(ctx, m.function.Attributes["Arn"], payload)
	if err != nil || !m.partial {
		return nil, err
	}
	var response events.SQSEventResponse
	if err := json.Unmarshal(output, &response); err != nil {
		return nil, err
	}
	kept = map[string]bool{}
	for _, f := range response.BatchItemFailures {
		kept[f.ItemIdentifier] = true
	}
	return kept, nil
}

// failed logs what went wrong, unless the run is ending.
func (m *eventSourceMapping) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		m.system.log("event source mapping", fmt.Appendf(nil, "%s: %v", what, err))
	}
}
