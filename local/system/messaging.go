package system

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Admiral-Piett/goaws/app/gosns"
	"github.com/Admiral-Piett/goaws/app/gosqs"
	"github.com/Admiral-Piett/goaws/app/models"
	"github.com/Admiral-Piett/goaws/app/router"
	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"stocktrading/local/states"
)

// Notification is a message that arrived at a subscriber of the topic.
type Notification struct {
	MessageID  string
	Subject    string
	Message    string
	Attributes map[string]string
}

// messaging is goaws, an SQS and SNS in this process, with the stack's queue and topic.
type messaging struct {
	router     http.Handler
	queue      *models.Queue
	topic      *models.Topic
	wake       chan struct{} // a message may be on the queue
	subscriber *httptest.Server
	quit       chan bool
	background sync.WaitGroup
}

// goaws has package-level state.
var oneSystem sync.Mutex

// signWithSmallKey has goaws sign what it delivers with a small key: nobody checks the signature, and signing with
// goaws's own key takes longer than the rest of a delivery.
var signWithSmallKey = sync.OnceFunc(func() {
	if key, err := rsa.GenerateKey(rand.Reader, 1024); err == nil {
		gosns.PrivateKEY = key
	}
})

func startMessaging(s *System, address net.Addr, notify func(Notification)) (*messaging, error) {
	queue, err := only(s.stack, "AWS::SQS::Queue")
	if err != nil {
		return nil, err
	}
	topic, err := only(s.stack, "AWS::SNS::Topic")
	if err != nil {
		return nil, err
	}
	var attributes struct{ VisibilityTimeout, MessageRetentionPeriod int }
	if err := queue.Decode(&attributes); err != nil {
		return nil, err
	}
	if !oneSystem.TryLock() {
		return nil, errors.New("a local system runs already in this process")
	}
	signWithSmallKey()
	logrus.SetLevel(logrus.ErrorLevel) // below, goaws logs message bodies, and so task tokens
	host := address.(*net.TCPAddr)
	models.CurrentEnvironment = models.Environment{Host: host.IP.String(), Port: strconv.Itoa(host.Port), Region: Region, AccountID: AccountID}
	m := &messaging{
		router: router.New(),
		queue: &models.Queue{
			Name:                   queue.Attributes["QueueName"],
			URL:                    queue.Ref,
			Arn:                    queue.Attributes["Arn"],
			VisibilityTimeout:      attributes.VisibilityTimeout,
			MessageRetentionPeriod: attributes.MessageRetentionPeriod,
			Duplicates:             map[string]time.Time{},
		},
		topic: &models.Topic{Name: topic.Attributes["TopicName"], Arn: topic.Ref},
		wake:  make(chan struct{}, 1),
		quit:  make(chan bool),
	}
	m.subscribe(notify)
	models.SyncQueues.Lock()
	models.SyncQueues.Queues[m.queue.Name] = m.queue
	models.SyncQueues.Unlock()
	models.SyncTopics.Lock()
	models.SyncTopics.Topics[m.topic.Name] = m.topic
	models.SyncTopics.Unlock()
	m.background.Go(func() { gosqs.PeriodicTasks(time.Second, m.quit) })
	m.background.Go(m.expire)
	return m, nil
}

func (m *messaging) close() {
	close(m.quit)
	m.background.Wait()
	m.subscriber.Close()
	models.SyncQueues.Lock()
	delete(models.SyncQueues.Queues, m.queue.Name)
	models.SyncQueues.Unlock()
	models.SyncTopics.Lock()
	delete(models.SyncTopics.Topics, m.topic.Name)
	models.SyncTopics.Unlock()
	oneSystem.Unlock()
}

// subscribe makes notify an HTTP subscriber of the topic. It is put in place by hand
// since goaws takes a second to confirm one.
func (m *messaging) subscribe(notify func(Notification)) {
	var mu sync.Mutex
	m.subscriber = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n struct {
			MessageId, Subject, Message string
			MessageAttributes           map[string]struct{ StringValue string }
		}
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		attributes := map[string]string{}
		for name, a := range n.MessageAttributes {
			attributes[name] = a.StringValue
		}
		if notify != nil {
			mu.Lock()
			defer mu.Unlock()
			notify(Notification{MessageID: n.MessageId, Subject: n.Subject, Message: n.Message, Attributes: attributes})
		}
	}))
	m.topic.Subscriptions = []*models.Subscription{{
		TopicArn:        m.topic.Arn,
		Protocol:        "http",
		SubscriptionArn: m.topic.Arn + ":local",
		EndPoint:        m.subscriber.URL,
	}}
}

// expire drops messages past the queue's retention, which goaws does not.
func (m *messaging) expire() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-m.quit:
			return
		case now := <-tick.C:
			models.SyncQueues.Lock()
			kept := m.queue.Messages[:0]
			for _, message := range m.queue.Messages {
				if now.Sub(message.SentTime) < time.Duration(m.queue.MessageRetentionPeriod)*time.Second {
					kept = append(kept, message)
				}
			}
			m.queue.Messages = kept
			models.SyncQueues.Unlock()
		}
	}
}

func (m *messaging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.router.ServeHTTP(w, r)
	if strings.Contains(r.Header.Get("X-Amz-Target"), ".SendMessage") {
		m.wakePoller()
	}
}

// wakePoller wakes a poller of the queue, if one is idle.
func (m *messaging) wakePoller() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// sendMessage is the task of arn:aws:states:::sqs:sendMessage.
func (t *taskRunner) sendMessage(ctx context.Context, parameters json.RawMessage) (json.RawMessage, error) {
	var p struct {
		QueueUrl    string
		MessageBody json.RawMessage
	}
	if err := decode(parameters, &p); err != nil {
		return nil, err
	}
	body := messageText(p.MessageBody)
	if body == "" {
		return nil, taskError("SQS", "AmazonSQSException", 400, "MissingParameter", "The request must contain the parameter MessageBody.", uuid.NewString())
	}
	out, err := t.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(p.QueueUrl), MessageBody: aws.String(body)})
	if err != nil {
		return nil, serviceError("SQS", err)
	}
	return reply(out.ResultMetadata, map[string]any{"MessageId": out.MessageId, "MD5OfMessageBody": out.MD5OfMessageBody})
}

// publish is the task of arn:aws:states:::sns:publish.
func (t *taskRunner) publish(ctx context.Context, parameters json.RawMessage) (json.RawMessage, error) {
	var p struct {
		TopicArn          string
		Subject           *string
		Message           json.RawMessage
		MessageAttributes map[string]snstypes.MessageAttributeValue
	}
	if err := decode(parameters, &p); err != nil {
		return nil, err
	}
	message := messageText(p.Message)
	if message == "" {
		return nil, taskError("SNS", "InvalidParameterException", 400, "InvalidParameter", "Invalid parameter: Empty message", uuid.NewString())
	}
	out, err := t.sns.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(p.TopicArn), Subject: p.Subject, Message: aws.String(message), MessageAttributes: p.MessageAttributes,
	})
	if err != nil {
		return nil, serviceError("SNS", err)
	}
	return reply(out.ResultMetadata, map[string]any{"MessageId": out.MessageId})
}

// reply is a task's output: what the service has answered, with what Step Functions adds of the response.
func reply(metadata middleware.Metadata, output map[string]any) (json.RawMessage, error) {
	response, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response)
	if !ok {
		return nil, errors.New("the response is not HTTP")
	}
	all, first := map[string][]string{}, map[string]string{}
	for name, values := range response.Header {
		if name == "X-Amzn-Requestid" {
			name = "x-amzn-RequestId" // as AWS spells it
		}
		all[name], first[name] = values, values[0]
	}
	id, _ := awsmiddleware.GetRequestIDMetadata(metadata)
	output["SdkHttpMetadata"] = map[string]any{"AllHttpHeaders": all, "HttpHeaders": first, "HttpStatusCode": response.StatusCode}
	output["SdkResponseMetadata"] = map[string]string{"RequestId": id}
	return json.Marshal(output)
}

// decode reads a task's parameters. One that the local run would ignore is an error.
func decode(parameters json.RawMessage, v any) error {
	decoder := json.NewDecoder(strings.NewReader(string(parameters)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil && err != io.EOF {
		return &states.Error{Name: "States.Runtime", Cause: fmt.Sprintf("the local run can't read the task's parameters: %v", err)}
	}
	return nil
}

// messageText is a message as Step Functions sends it: a string as it is, anything else as JSON.
func messageText(message json.RawMessage) string {
	var text string
	if json.Unmarshal(message, &text) == nil {
		return text
	}
	return string(message)
}

// serviceError names a service's error as Step Functions does: after the service and the exception of the AWS SDK for Java.
func serviceError(service string, err error) error {
	var (
		api      smithy.APIError
		response *awshttp.ResponseError
	)
	if !errors.As(err, &api) || !errors.As(err, &response) {
		return &states.Error{Name: service + ".SdkClientException", Cause: err.Error()}
	}
	status, code, message := response.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage()
	exception := "Amazon" + service + "Exception" // for errors that have no type in the SDK
	if _, ok := api.(*smithy.GenericAPIError); !ok {
		exception = strings.TrimSuffix(reflect.TypeOf(api).Elem().Name(), "Exception") + "Exception"
	}
	switch code { // of goaws and of the endpoint
	case "AWS.SimpleNotificationService.NonExistentTopic":
		status, code, exception, message = 404, "NotFound", "NotFoundException", "Topic does not exist"
	case "AWS.SimpleNotificationService.InvalidParameterValue", "AWS.SimpleNotificationService.ValidationError":
		code, exception = "InvalidParameter", "InvalidParameterException"
	case "AWS.SimpleQueueService.NonExistentQueue":
		exception = "QueueDoesNotExistException"
	case "AccessDeniedException":
		if service == "SNS" {
			code, exception = "AuthorizationError", "AuthorizationErrorException"
		}
	}
	return taskError(service, exception, status, code, message, response.ServiceRequestID())
}

// taskError is the error of a task whose service has refused it, as Step Functions records it.
func taskError(service, exception string, status int, code, message, requestID string) error {
	return &states.Error{
		Name:  service + "." + exception,
		Cause: fmt.Sprintf("%s (Service: Amazon%s; Status Code: %d; Error Code: %s; Request ID: %s; Proxy: null)", message, service, status, code, requestID),
	}
}
