package system_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stocktrading/local/system"
)

// A request that stops half-way is not waited for, and a long poll is not cut short.
func TestHalfARequest(t *testing.T) {
	const requestTime = 200 * time.Millisecond
	system.SetRequestTime(t, requestTime)
	r := start(t, nil, nil)
	address := strings.TrimPrefix(r.Endpoint(), "http://")
	connections := map[string]net.Conn{}
	for _, sent := range []string{
		"POST / HT",
		"POST / HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 9\r\n\r\nhalf",
		"POST / HTTP/1.1\r\nHost: " + address + "\r\nX-Amz-Target: AmazonSQS.SendMessage\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
		"POST / HTTP/1.1\r\nHost: attacker.example\r\nContent-Length: 9\r\n\r\nhalf", // refused before it is read
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		connections[sent] = c
	}
	for sent, c := range connections {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection stays open after %q", sent)
		}
	}

	queue := sqs.NewFromConfig(r.AWSConfig("developer"))
	began := time.Now()
	_, err := queue.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(r.Stack().ByType("AWS::SQS::Queue")[0].Ref), WaitTimeSeconds: 1,
	})
	if took := time.Since(began); err != nil || took < 5*requestTime {
		t.Errorf("a poll of a second ends after %v with error %v", took, err)
	}
}
