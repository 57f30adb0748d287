package system

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/Admiral-Piett/goaws/app/models"
	"github.com/Admiral-Piett/goaws/app/router"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/uuid"

	"stocktrading/local/states"
)

// What AWS recorded of the two services' tasks, in LocalStack's public repository, tests/aws/services/stepfunctions/v2.
func TestMessagingAsRecorded(t *testing.T) {
	t.Parallel()
	services := router.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-RequestId", uuid.NewString()) // as the endpoint does
		services.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	connect := func(address string) *taskRunner {
		cfg := aws.Config{
			Region: Region, BaseEndpoint: aws.String(address), RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("key", "local", ""),
		}
		return &taskRunner{sqs: sqs.NewFromConfig(cfg), sns: sns.NewFromConfig(cfg)}
	}
	const topic, queue = "arn:aws:sns:eu-west-1:123456789012:recorded", "http://localhost/123456789012/recorded"
	models.SyncTopics.Lock()
	models.SyncTopics.Topics["recorded"] = &models.Topic{Name: "recorded", Arn: topic}
	models.SyncTopics.Unlock()
	t.Cleanup(func() {
		models.SyncTopics.Lock()
		delete(models.SyncTopics.Topics, "recorded")
		models.SyncTopics.Unlock()
	})
	here, nowhere := connect(server.URL), connect("http://127.0.0.1:1")
	const request = `Request ID: [0-9a-f-]{36}; Proxy: null\)$`
	tests := []struct {
		from       string
		runner     *taskRunner
		resource   string
		parameters string
		err        string
		cause      string // a pattern
	}{
		{
			"services/test_sns_task_service test_publish_base_error_topic_arn 2023-09-03", here,
			"publish", `{"TopicArn":"` + topic + `-x","Message":{"a":1}}`,
			"SNS.NotFoundException", `^Topic does not exist \(Service: AmazonSNS; Status Code: 404; Error Code: NotFound; ` + request,
		},
		{
			"no message, whose name alone is known", here, "publish", `{"TopicArn":"` + topic + `","Message":null}`,
			"SNS.InvalidParameterException", `\(Service: AmazonSNS; Status Code: 400; Error Code: InvalidParameter; ` + request,
		},
		{
			"error_handling/test_task_service_sqs test_send_message_empty_body 2023-06-22", here,
			"sendMessage", `{"QueueUrl":"` + queue + `","MessageBody":null}`,
			"SQS.AmazonSQSException", `^The request must contain the parameter MessageBody\. \(Service: AmazonSQS; Status Code: 400; Error Code: MissingParameter; ` + request,
		},
		{
			"no such queue, by AWS's documents", here, "sendMessage", `{"QueueUrl":"` + queue + `-x","MessageBody":"m"}`,
			"SQS.QueueDoesNotExistException", `\(Service: AmazonSQS; Status Code: 400; Error Code: AWS\.SimpleQueueService\.NonExistentQueue; ` + request,
		},
		{
			"error_handling/test_task_service_sqs test_send_message_no_such_queue_no_catch 2023-06-22", nowhere,
			"sendMessage", `{"QueueUrl":"` + queue + `","MessageBody":"m"}`, "SQS.SdkClientException", `.`,
		},
	}
	for _, test := range tests {
		t.Run(test.from, func(t *testing.T) {
			perform := test.runner.sendMessage
			if test.resource == "publish" {
				perform = test.runner.publish
			}
			_, err := perform(t.Context(), json.RawMessage(test.parameters))
			failure, ok := errors.AsType[*states.Error](err)
			if !ok || failure.Name != test.err || !regexp.MustCompile(test.cause).MatchString(failure.Cause) {
				t.Errorf("got %v, want %s with a cause like %s", err, test.err, test.cause)
			}
		})
	}

	t.Run("services/test_sns_task_service test_publish_base 2023-09-03", func(t *testing.T) {
		text, err := here.publish(t.Context(), json.RawMessage(`{"TopicArn":"`+topic+`","Message":"m"}`))
		if err != nil {
			t.Fatal(err)
		}
		var output struct {
			MessageId       string
			SdkHttpMetadata struct {
				AllHttpHeaders map[string][]string
				HttpHeaders    map[string]string
				HttpStatusCode int
			}
			SdkResponseMetadata struct{ RequestId string }
		}
		if err := json.Unmarshal(text, &output); err != nil {
			t.Fatal(err)
		}
		id, http := output.SdkResponseMetadata.RequestId, output.SdkHttpMetadata
		if output.MessageId == "" || id == "" || http.HttpStatusCode != 200 || http.HttpHeaders["x-amzn-RequestId"] != id ||
			len(http.AllHttpHeaders["x-amzn-RequestId"]) != 1 || http.HttpHeaders["Content-Length"] == "" {
			t.Errorf("got %s", text)
		}
	})
}
