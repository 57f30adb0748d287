package decision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf16"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"stocktrading/lambdas/trading"
)

// Wait is an execution that waits for a person's decision. Its texts come from the
// execution, so they may hold anything; a Terminal makes them safe to show.
type Wait struct {
	Execution   string        // its ARN
	Quote       trading.Quote // what will be traded
	Recommended string        // a trading.Side, if all is well
	Since       time.Time     // when it began to wait; zero if unknown
	Deadline    time.Time     // when the wait ends by itself; zero if unknown

	// Problem, if not empty, says why the request can't be read. Then the execution and
	// the times are known, but nothing else, and there is nothing to decide.
	Problem string

	event int64 // the id of the event in the history that began the wait
	token secret
}

// readWait reads the request from the event that began a wait.
func readWait(execution string, e types.HistoryEvent) Wait {
	w := Wait{Execution: execution, Since: aws.ToTime(e.Timestamp), event: e.Id}
	details := e.TaskScheduledEventDetails
	if s := details.TimeoutInSeconds; s != nil {
		w.Deadline = w.Since.Add(time.Duration(*s) * time.Second)
	}
	var parameters struct{ MessageBody json.RawMessage }
	if err := json.Unmarshal([]byte(aws.ToString(details.Parameters)), &parameters); err != nil || parameters.MessageBody == nil {
		w.Problem = "the history doesn't hold the request's message"
		return w
	}
	request, err := trading.ParseApprovalRequest(parameters.MessageBody)
	if err != nil {
		w.Problem = "the request can't be read: " + err.Error()
		return w
	}
	if w.Deadline.IsZero() {
		w.Deadline = request.Deadline()
	}
	w.Quote, w.Recommended = request.Input.Quote, request.Input.RecommendedType
	w.token = hide(request.TaskToken)
	return w
}

// Name is the execution's name, safe to show on one line.
func (w Wait) Name() string { return nameOf(w.Execution) }

// ID distinguishes the wait from others of its execution, which may ask again.
func (w Wait) ID() string { return strconv.FormatInt(w.event, 10) }

// RealMoney reports whether an answer trades with real money.
func (w Wait) RealMoney(a Answer) bool {
	return w.Quote.Market == trading.LiveMarket && a != Decline && a != Later
}

// MarshalJSON writes the wait for scripts, in ASCII, so that no text in it can do anything
// to a terminal. What is unknown is null.
func (w Wait) MarshalJSON() ([]byte, error) {
	out := struct {
		Execution      string       `json:"execution"`
		Market         *string      `json:"market"`
		Symbol         *string      `json:"symbol"`
		Price          *json.Number `json:"price"`
		LimitPrice     string       `json:"limit_price,omitempty"` // not in every market
		Qty            *int         `json:"qty"`
		Total          *json.Number `json:"total"`
		Recommendation *string      `json:"recommendation"`
		WaitingSince   *time.Time   `json:"waiting_since"`
		Deadline       *time.Time   `json:"deadline"`
		Problem        string       `json:"problem,omitempty"`
	}{
		Execution:    w.Execution,
		WaitingSince: instant(w.Since),
		Deadline:     instant(w.Deadline),
		Problem:      w.Problem,
	}
	if w.Problem == "" {
		out.Symbol, out.Qty, out.Recommendation = &w.Quote.Symbol, &w.Quote.Qty, &w.Recommended
		out.LimitPrice = w.Quote.LimitPrice
		if market := string(w.Quote.Market); market != "" {
			out.Market = &market
		}
		out.Price, out.Total = number(w.Quote.Price()), number(w.Quote.Total())
	}
	return marshalASCII(out)
}

// marshalASCII is json.Marshal with everything but ASCII escaped.
func marshalASCII(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err // of the caller's MarshalJSON, which names itself
	}
	var ascii bytes.Buffer
	for _, c := range string(text) {
		switch {
		case c < 0x7f:
			ascii.WriteRune(c)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&ascii, `\u%04x`, c)
		}
	}
	return ascii.Bytes(), nil
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// number is nil for what JSON has no number for: a total can overflow to infinity.
func number(s string) *json.Number {
	if !json.Valid([]byte(s)) {
		return nil
	}
	n := json.Number(s)
	return &n
}

// secret holds a task token. Printing a struct that has one as a field shows only the
// address of a function; printing the secret itself calls its methods.
type secret func() string

func hide(token string) secret { return func() string { return token } }

func (s secret) reveal() string {
	if s == nil {
		return ""
	}
	return s()
}

const hidden = "[hidden]"

func (s secret) String() string               { return hidden }
func (s secret) Format(f fmt.State, _ rune)   { f.Write([]byte(hidden)) }
func (s secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (s secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
