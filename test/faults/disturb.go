package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stocktrading/local/functions"
	"stocktrading/local/system"
)

// placeOf tells which place a function is, by its name or ARN, and places for one that was added
// to the sample's, which is not disturbed.
func placeOf(function string) place {
	for name, at := range map[string]place{
		"CheckStockPriceLambda":               placeQuote,
		"GenerateBuySellRecommendationLambda": placeRecommendation,
		"RequestHumanApprovalLambda":          placeNotifier,
		"BuyStockLambda":                      placeTrade,
		"SellStockLambda":                     placeTrade,
	} {
		if strings.Contains(function, name) {
			return at
		}
	}
	return places
}

// kill kills the process of an invocation that is to be killed.
func (r *run) kill(function string, payload []byte, at functions.Moment) bool {
	f := killedBefore
	if at == functions.AfterWork {
		f = killedAfter
	}
	where := placeOf(function)
	if where == places {
		return false
	}
	concerned := []*execution{r.bySymbol[symbolOf(payload)]}
	if where == placeNotifier {
		concerned = r.requesters(payload)
	}
	for _, x := range concerned {
		if x != nil && x.takeKill(where, f) {
			x.did(f)
			return true
		}
	}
	return false
}

// setKill says how the next process that works for the execution at a place is killed, if it is.
func (x *execution) setKill(at place, f fault) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kills[at] = f
}

func (x *execution) takeKill(at place, f fault) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.kills[at] != f {
		return false
	}
	x.kills[at] = nothing
	return true
}

// symbolOf is the symbol in the payload of any function but the one that serves the queue.
func symbolOf(payload []byte) string {
	var input struct{ Symbol string }
	if err := json.Unmarshal(payload, &input); err != nil {
		panic(err) // the state machine has written it
	}
	return input.Symbol
}

// invoke disturbs the invocations of the functions.
func (r *run) invoke(next system.Invoker) system.Invoker {
	return func(ctx context.Context, function string, payload []byte) ([]byte, error) {
		at := placeOf(function)
		var (
			f fault
			x *execution // whose fault it is
		)
		if at == placeNotifier {
			f, x = r.faultOfBatch(payload)
		} else {
			x = r.bySymbol[symbolOf(payload)]
			f = x.next(at)
			x.disturbMarket(f)
			if f == anotherMarket {
				payload = inAnotherMarket(x, payload)
			}
			if change := x.control().payload; change != nil && at == placeTrade {
				payload = change(payload)
			}
		}
		switch f {
		case killedBefore, killedAfter:
			x.setKill(at, f)
			defer x.setKill(at, nothing)
		case throttled:
			x.did(f)
			return nil, &functions.InvokeError{Name: "Lambda.TooManyRequestsException", Cause: "Rate Exceeded."}
		case replyLost, serviceFailed:
			name := "Lambda.Unknown"
			if f == serviceFailed {
				name = "Lambda.ServiceException"
			}
			var failed *functions.InvokeError // which is a reply too
			if _, err := next(ctx, function, payload); err != nil && !errors.As(err, &failed) {
				return nil, err
			}
			x.did(f)
			return nil, &functions.InvokeError{Name: name, Cause: "The reply was lost."}
		}
		return next(ctx, function, payload)
	}
}

// faultOfBatch returns the first fault that is due for a request of a batch, and whose it is.
func (r *run) faultOfBatch(payload []byte) (due fault, whose *execution) {
	all := r.requesters(payload)
	good := slices.DeleteFunc(slices.Clone(all), func(x *execution) bool { return x == nil })
	for _, x := range good {
		if due = x.next(placeNotifier); due != nothing {
			whose = x
			break
		}
	}
	if len(good) > 0 && len(good) < len(all) {
		r.mixedBatches.Add(1)
	}
	return due, whose
}

// requesters are the executions of a batch's messages, nil for a malformed one.
func (r *run) requesters(payload []byte) (all []*execution) {
	var batch events.SQSEvent
	if err := json.Unmarshal(payload, &batch); err != nil {
		panic(err) // the event source mapping has written it
	}
	for _, m := range batch.Records {
		all = append(all, r.requester(m.Body))
	}
	return all
}

// requester returns the execution that a message asks for, or nil if it is malformed.
func (r *run) requester(body string) *execution {
	var q request
	if json.Unmarshal([]byte(body), &q) != nil {
		return nil
	}
	return r.byName[nameOf(q.Execution)]
}

// endpoint disturbs the calls of AWS's services.
func (r *run) endpoint(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c := &call{next: next, request: req, body: body}
		switch target := req.Header.Get("X-Amz-Target"); {
		case target == "AmazonSQS.SendMessage" && !strings.Contains(req.Header.Get("Authorization"), "Credential="+operator+"/"):
			r.send(c, w)
		case target == "AWSStepFunctions.SendTaskSuccess" || target == "AWSStepFunctions.SendTaskFailure":
			r.takeAnswer(c, w)
		case target == "" && bytes.HasPrefix(body, []byte("Action=Publish&")):
			r.publish(c, w)
		default:
			c.pass(w)
		}
	})
}

// call is a request to the endpoint that can be made any number of times.
type call struct {
	next    http.Handler
	request *http.Request
	body    []byte
}

func (c *call) pass(w http.ResponseWriter) {
	req := c.request.Clone(c.request.Context())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
	c.next.ServeHTTP(w, req)
}

// record makes the call and returns the reply.
func (c *call) record() *httptest.ResponseRecorder {
	reply := httptest.NewRecorder()
	c.pass(reply)
	return reply
}

// lose makes the call and breaks its reply off in the middle. (A client that read nothing of a reply might take the
// connection for an idle one that was closed, and make the call again by itself.)
func (c *call) lose(w http.ResponseWriter) {
	c.record()
	io.WriteString(w, c.half())
}

// half is the beginning of a reply, in the protocol of the call.
func (c *call) half() string {
	if c.request.Header.Get("X-Amz-Target") != "" {
		return `{"MessageId":`
	}
	return "<PublishResponse><PublishResult>"
}

// send disturbs a request on its way to the queue.
func (r *run) send(c *call, w http.ResponseWriter) {
	var message struct{ MessageBody string }
	if err := json.Unmarshal(c.body, &message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	x := r.requester(message.MessageBody)
	f := x.next(placeRequest)
	switch f {
	case requestRefused:
		refuse(w, "application/x-amz-json-1.0", `{"__type":"InternalError","message":"try again"}`)
	case requestReplyLost:
		c.lose(w)
	case requestDuplicated:
		for range 1 + x.number%2 {
			c.record()
		}
		c.pass(w)
	case requestDelayed:
		c.body = delay(c.body)
		c.pass(w)
	case malformedBeside:
		r.sendMalformed(c.request.Context(), x.number)
		c.pass(w)
		r.sendMalformed(c.request.Context(), x.number+1)
	default:
		c.pass(w)
		return
	}
	x.did(f)
}

// delay makes a message wait for a second on the queue.
func delay(body []byte) []byte {
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		panic(err) // it was read before
	}
	fields["DelaySeconds"] = 1
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err) // it was JSON
	}
	return body
}

// malformed are messages that no state machine sends.
var malformed = []string{
	`not JSON`,
	`null`,
	`[]`,
	`"text"`,
	`{}`,
	`{"TaskToken":17,"Execution":"e","EnteredTime":"2026-01-02T03:04:05Z","TimeoutSeconds":60,"Input":{}}`,
	`{"Execution":"e","EnteredTime":"2026-01-02T03:04:05Z","TimeoutSeconds":60,"Input":{}}`,
	`{"TaskToken":"t","EnteredTime":"2026-01-02T03:04:05Z","TimeoutSeconds":60,"Input":{}}`,
	`{"TaskToken":"t","Execution":"e","EnteredTime":"yesterday","TimeoutSeconds":60,"Input":{}}`,
	`{"TaskToken":"t","Execution":"e","EnteredTime":"2026-01-02T03:04:05Z","TimeoutSeconds":-1,"Input":{}}`,
	`{"TaskToken":"t","Execution":"e","EnteredTime":"2026-01-02T03:04:05Z","TimeoutSeconds":60,"Input":{"symbol":"A"}}`,
	`{"TaskToken":"t","Execution":"e","EnteredTime":"2026-01-02T03:04:05Z","TimeoutSeconds":60,"Input":null}`,
	strings.Repeat(`[`, 20000),
}

func (r *run) sendMalformed(ctx context.Context, number int) {
	// A failure shows in the faults that were done.
	_, _ = r.queue.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(r.queueURL), MessageBody: aws.String(malformed[number%len(malformed)]),
	})
}

// publish disturbs a publish to the topic.
func (r *run) publish(c *call, w http.ResponseWriter) {
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	attributes := map[string]string{}
	for i := 1; form.Has(fmt.Sprintf("MessageAttributes.entry.%d.Name", i)); i++ {
		entry := fmt.Sprintf("MessageAttributes.entry.%d.", i)
		attributes[form.Get(entry+"Name")] = form.Get(entry + "Value.StringValue")
	}
	x := r.byName[nameOf(attributes["execution"])]
	if x == nil {
		c.pass(w)
		return
	}
	at := placeNotice
	if attributes["type"] == "trade-report" {
		at = placeReport
	}
	f := x.next(at)
	switch f {
	case reportRefused:
		refuse(w, "text/xml", `<ErrorResponse><Error><Type>Receiver</Type><Code>InternalError</Code><Message>try again</Message></Error></ErrorResponse>`)
	case noticeRefused: // in a way that the SDK in the function does not try again
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>KMSAccessDenied</Code><Message>not now</Message></Error></ErrorResponse>`)
	case noticeReplyLost, reportReplyLost:
		c.lose(w)
	default:
		c.pass(w)
		return
	}
	x.did(f)
}

// refuse answers that the service has failed.
func refuse(w http.ResponseWriter, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusInternalServerError)
	io.WriteString(w, body)
}

// takeAnswer loses the reply to an answer, if that is planned.
func (r *run) takeAnswer(c *call, w http.ResponseWriter) {
	reply := c.record()
	if x, s := r.sentIn(c.body); s != nil {
		if s.replyLost && s.lost.CompareAndSwap(false, true) {
			x.did(answerReplyLost)
			panic(http.ErrAbortHandler)
		}
		if change := x.control().reply; change != nil {
			change(reply)
		}
	}
	maps.Copy(w.Header(), reply.Header())
	w.WriteHeader(reply.Code)
	w.Write(reply.Body.Bytes())
}

// mark is how an answer is known again, in the reason that it gives.
var mark = regexp.MustCompile(`answer-(\d+)-(\d+)`)

// sentIn returns the answer whose mark is in a text and whose execution it is for, or nil if there is none.
func (r *run) sentIn(text []byte) (*execution, *sentAnswer) {
	m := mark.FindSubmatch(text)
	if m == nil {
		return nil, nil
	}
	number, err := strconv.Atoi(string(m[1]))
	i, err2 := strconv.Atoi(string(m[2]))
	if errors.Join(err, err2) != nil || number >= len(r.executions) {
		return nil, nil
	}
	x := r.executions[number]
	x.mu.Lock()
	defer x.mu.Unlock()
	if i >= len(x.sent) {
		return nil, nil
	}
	return x, x.sent[i]
}
