package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/go-cmp/cmp"
)

const token = "SECRET-TOKEN"

const request = `{"Input":{"stock_price":42,"market":"simulated","symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z","recommended_type":"buy"},` +
	`"TaskToken":"` + token + `","Execution":"arn:aws:states:eu-west-1:123456789012:execution:M:one","EnteredTime":"2026-01-02T03:04:06Z","TimeoutSeconds":60}`

// another is a request like the first, of another execution.
var another = strings.Replace(request, "execution:M:one", "execution:M:two", 1)

type publishFunc func(context.Context, *sns.PublishInput) error

func (f publishFunc) Publish(ctx context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	return &sns.PublishOutput{}, f(ctx, in)
}

func isAnother(in *sns.PublishInput) bool {
	return strings.HasSuffix(*in.MessageAttributes["execution"].StringValue, ":two")
}

type answerFunc func(*sfn.SendTaskSuccessInput) error

func (f answerFunc) SendTaskSuccess(_ context.Context, in *sfn.SendTaskSuccessInput, _ ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error) {
	return &sfn.SendTaskSuccessOutput{}, f(in)
}

func batch(bodies ...string) events.SQSEvent {
	var e events.SQSEvent
	for i, body := range bodies {
		e.Records = append(e.Records, events.SQSMessage{MessageId: string(rune('a' + i)), Body: body})
	}
	return e
}

func TestHandle(t *testing.T) {
	throttled := errors.New("throttled")
	for _, test := range []struct {
		name       string
		bodies     []string
		publish    error // of another execution's notice
		answer     func(*sfn.SendTaskSuccessInput) error
		wantFailed []string
		wantSent   int
	}{
		{name: "one", bodies: []string{request}, wantSent: 1},
		{name: "malformed among good ones", bodies: []string{request, `{"TaskToken":"` + token + `"`, request}, wantSent: 2},
		{name: "a fault fails its own message alone", bodies: []string{request, another, request}, publish: throttled, wantFailed: []string{"b"}, wantSent: 3},
		{
			name: "automatic", bodies: []string{request}, wantSent: 1,
			answer: func(in *sfn.SendTaskSuccessInput) error {
				if *in.TaskToken != token || !strings.Contains(*in.Output, `"approve"`) {
					return errors.New("wrong answer")
				}
				return nil
			},
		},
		{
			name: "automatic, throttled", bodies: []string{request}, wantSent: 1, wantFailed: []string{"a"},
			answer: func(*sfn.SendTaskSuccessInput) error { return throttled },
		},
		{
			name: "automatic, timed out", bodies: []string{request}, wantSent: 1,
			answer: func(*sfn.SendTaskSuccessInput) error { return &sfntypes.TaskTimedOut{} },
		},
		{
			name: "automatic, execution gone", bodies: []string{request}, wantSent: 1,
			answer: func(*sfn.SendTaskSuccessInput) error { return &sfntypes.TaskDoesNotExist{} },
		},
		{
			name: "automatic, unknown token", bodies: []string{request}, wantSent: 1,
			answer: func(*sfn.SendTaskSuccessInput) error { return &sfntypes.InvalidToken{} },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			var (
				mu   sync.Mutex
				sent []*sns.PublishInput
			)
			h := handler{
				topic: publishFunc(func(_ context.Context, in *sns.PublishInput) error {
					mu.Lock()
					defer mu.Unlock()
					sent = append(sent, in)
					if isAnother(in) {
						return test.publish
					}
					return nil
				}),
				topicARN: "arn:aws:sns:eu-west-1:123456789012:T",
				log:      slog.New(slog.NewJSONHandler(&log, nil)),
			}
			if test.answer != nil {
				h.approve = answerFunc(test.answer)
			}
			response, err := h.handle(t.Context(), batch(test.bodies...))
			if err != nil {
				t.Fatal(err)
			}
			var failed []string
			for _, f := range response.BatchItemFailures {
				failed = append(failed, f.ItemIdentifier)
			}
			if diff := cmp.Diff(test.wantFailed, failed); diff != "" {
				t.Errorf("failed messages (-want +got):\n%s", diff)
			}
			if len(sent) != test.wantSent {
				t.Errorf("%d notices, want %d", len(sent), test.wantSent)
			}
			for _, in := range sent {
				if *in.TopicArn != h.topicARN || *in.MessageAttributes["type"].StringValue != "approval-requested" {
					t.Errorf("notice sent to %s with attributes %v", *in.TopicArn, in.MessageAttributes)
				}
				if strings.Contains(*in.Message+*in.Subject, token) {
					t.Error("the token is in a notice")
				}
			}
			if strings.Contains(log.String(), token) {
				t.Errorf("the token is in the log:\n%s", &log)
			}
		})
	}
}

// A notice that hangs is reported as failed before Lambda ends the function, and the others
// of its batch are sent.
func TestHandleInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var sent atomic.Int32
		h := handler{
			topic: publishFunc(func(ctx context.Context, in *sns.PublishInput) error {
				if isAnother(in) {
					<-ctx.Done()
					return ctx.Err()
				}
				sent.Add(1)
				return nil
			}),
			log: slog.New(slog.DiscardHandler),
		}
		response, err := h.handle(ctx, batch(another, request, request, request, another))
		if err != nil || ctx.Err() != nil {
			t.Fatalf("got error %v, and the function has ended: %v", err, ctx.Err())
		}
		want := []events.SQSBatchItemFailure{{ItemIdentifier: "a"}, {ItemIdentifier: "e"}}
		if diff := cmp.Diff(want, response.BatchItemFailures); diff != "" || sent.Load() != 3 {
			t.Errorf("%d of 3 notices sent, failed messages (-want +got):\n%s", sent.Load(), diff)
		}
	})
}
