package system

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// maxBody is larger than any request that AWS would accept.
const maxBody = 2 << 20

// guard admits only programs on this machine that mean this endpoint. Pages in a browser are
// rejected by the Origin that they send, and rebound DNS names by the Host.
func (s *System) guard(address net.Addr) http.Handler {
	port := address.(*net.TCPAddr).Port
	hosts := []string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("localhost:%d", port)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !slices.Contains(hosts, r.Host):
			http.Error(w, "this endpoint answers to "+hosts[0]+" only", http.StatusForbidden)
		case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
			http.Error(w, "this endpoint is not for browsers", http.StatusForbidden)
		default:
			s.serve(w, r)
		}
	})
}

// call is an AWS API request, as far as the endpoint needs to understand it.
type call struct {
	service, operation string
	body               []byte
	form               url.Values     // of the query protocol
	fields             map[string]any // of the JSON protocol
	accessKey          string
}

var credential = regexp.MustCompile(`Credential=([^/,]+)/`)

func readCall(r *http.Request) (c call, err error) {
	if c.body, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody)); err != nil {
		return c, fmt.Errorf("read request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	if m := credential.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		c.accessKey = m[1]
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, operation, _ := strings.Cut(target, ".")
		c.service = map[string]string{"AWSStepFunctions": "states", "AmazonSQS": "sqs", "secretsmanager": "secretsmanager"}[prefix]
		c.operation = operation
		if err := json.Unmarshal(c.body, &c.fields); err != nil && len(c.body) > 0 {
			return c, fmt.Errorf("read request: %w", err)
		}
		return c, nil
	}
	if c.form, err = url.ParseQuery(string(c.body)); err != nil {
		return c, fmt.Errorf("read request: %w", err)
	}
	c.operation = c.form.Get("Action")
	c.service = "sns"
	if c.operation == "GetCallerIdentity" {
		c.service = "sts"
	}
	return c, nil
}

// operations are the calls that the endpoint serves, each with the IAM action that allows
// it, if that has another name.
var operations = map[string]map[string]string{
	"states": {
		"StartExecution": "", "DescribeExecution": "", "ListExecutions": "", "GetExecutionHistory": "", "StopExecution": "",
		"DescribeStateMachine": "", "SendTaskSuccess": "", "SendTaskFailure": "", "SendTaskHeartbeat": "",
	},
	"sqs": {
		"SendMessage": "", "SendMessageBatch": "SendMessage", "ReceiveMessage": "", "DeleteMessage": "", "DeleteMessageBatch": "DeleteMessage",
		"ChangeMessageVisibility": "", "GetQueueAttributes": "", "GetQueueUrl": "", "ListQueues": "", "PurgeQueue": "",
	},
	"sns": {
		"Publish": "", "PublishBatch": "Publish", "Subscribe": "", "Unsubscribe": "",
		"ListTopics": "", "ListSubscriptions": "", "ListSubscriptionsByTopic": "",
	},
	"secretsmanager": {"GetSecretValue": ""},
	"sts":            {"GetCallerIdentity": ""},
}

// resource is the ARN that the call's permission is checked against.
func (s *System) resource(c call) string {
	text := func(key string) string { value, _ := c.fields[key].(string); return value }
	switch c.service {
	case "states":
		if arn := text("executionArn"); arn != "" {
			return arn
		}
		return s.machineARN // which a task token belongs to as well
	case "sqs":
		name := text("QueueUrl") + text("QueueName")
		return fmt.Sprintf("arn:aws:sqs:%s:%s:%s", Region, AccountID, name[strings.LastIndex(name, "/")+1:])
	case "secretsmanager":
		return text("SecretId")
	default:
		return c.form.Get("TopicArn")
	}
}

func (s *System) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-RequestId", uuid.NewString())
	c, err := readCall(r)
	if err != nil {
		c.fail(w, http.StatusBadRequest, "SerializationException", err.Error())
		return
	}
	token := r.Header.Get("X-Amz-Security-Token")
	if s.token != "" && !same(token, s.token) && !s.secrets.admits(token) {
		c.fail(w, http.StatusForbidden, "UnrecognizedClientException", "this run trades with a real account, so that requests need the AWS_SESSION_TOKEN that it has printed")
		return
	}
	action, ok := operations[c.service][c.operation]
	if !ok {
		c.fail(w, http.StatusBadRequest, "UnknownOperationException", fmt.Sprintf("the local run does not serve %q", c.operation))
		return
	}
	if action == "" {
		action = c.operation
	}
	if c.service != "sts" { // anybody may ask who they are
		if err := s.principals.authorize(c.accessKey, c.service+":"+action, s.resource(c)); err != nil {
			status := http.StatusForbidden
			if c.service == "states" || c.service == "secretsmanager" {
				status = http.StatusBadRequest
			}
			c.fail(w, status, "AccessDeniedException", err.Error())
			return
		}
	}
	switch c.service {
	case "states":
		s.engine.ServeHTTP(w, r)
	case "secretsmanager":
		s.secrets.serve(w, c, token)
	case "sts":
		fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>%s</Arn><UserId>%s</UserId><Account>%s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
			escape(s.principals.caller(c.accessKey)), escape(c.accessKey), AccountID)
	default:
		s.messaging.ServeHTTP(w, r)
	}
}

// fail answers with an error in the protocol of the call.
func (c call) fail(w http.ResponseWriter, status int, code, message string) {
	if c.form == nil {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amzn-ErrorType", code)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
		code, escape(message), uuid.NewString())
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}
