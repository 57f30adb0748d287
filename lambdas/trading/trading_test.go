package trading_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stocktrading/lambdas/trading"
)

const quoteJSON = `{"stock_price":42,"symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`

func quote(t *testing.T) trading.Quote {
	t.Helper()
	var q trading.Quote
	if err := json.Unmarshal([]byte(quoteJSON), &q); err != nil {
		t.Fatal(err)
	}
	return q
}

func TestRequest(t *testing.T) {
	for _, test := range []struct {
		name, input string
		want        trading.Request
		wantErr     string
	}{
		{"both", `{"symbol":"AMZN","qty":5}`, trading.Request{Symbol: "AMZN", Qty: 5}, ""},
		{"neither", `{}`, trading.Request{}, ""},
		{"other fields are ignored", `{"symbol":"BRK.B","Comment":"x"}`, trading.Request{Symbol: "BRK.B"}, ""},
		{"another case is another field", `{"Symbol":7,"QTY":"x"}`, trading.Request{}, ""},
		{"whole number with a fraction of zero", `{"qty":5.0}`, trading.Request{Qty: 5}, ""},
		{"smallest and longest", `{"symbol":"A-CDEFGH.JKL","qty":1}`, trading.Request{Symbol: "A-CDEFGH.JKL", Qty: 1}, ""},
		{"largest", `{"qty":1000}`, trading.Request{Qty: 1000}, ""},
		{"array", `[1]`, trading.Request{}, "the execution's input is [1], want a JSON object"},
		{"null", `null`, trading.Request{}, "the execution's input is null, want a JSON object"},
		{"string", `"AMZN"`, trading.Request{}, `the execution's input is "AMZN", want a JSON object`},
		{"symbol too long", `{"symbol":"ABCDEFGHIJKLM"}`, trading.Request{}, `symbol is "ABCDEFGHIJKLM", want a string of 1 to 12 letters, digits, dots and hyphens`},
		{"symbol empty", `{"symbol":""}`, trading.Request{}, `symbol is "", want`},
		{"symbol null", `{"symbol":null}`, trading.Request{}, "symbol is null, want"},
		{"symbol number", `{"symbol":7}`, trading.Request{}, "symbol is 7, want"},
		{"symbol with a quote", `{"symbol":"A'B"}`, trading.Request{}, "symbol is"},
		{"symbol with a line break", `{"symbol":"A\nB"}`, trading.Request{}, "symbol is"},
		{"symbol with a direction mark", "{\"symbol\":\"A\u202eB\"}", trading.Request{}, `symbol is "A\u202eB", want`},
		{"huge symbol", `{"symbol":"` + strings.Repeat("A", 1<<18) + `"}`, trading.Request{}, "…, want a string of 1 to 12"},
		{"qty zero", `{"qty":0}`, trading.Request{}, "qty is 0, want a whole number from 1 to 1000"},
		{"qty above", `{"qty":1001}`, trading.Request{}, "qty is 1001, want"},
		{"qty negative", `{"qty":-1}`, trading.Request{}, "qty is -1, want"},
		{"qty fraction", `{"qty":1.5}`, trading.Request{}, "qty is 1.5, want"},
		{"qty string", `{"qty":"5"}`, trading.Request{}, `qty is "5", want`},
		{"qty null", `{"qty":null}`, trading.Request{}, "qty is null, want"},
		{"qty huge", `{"qty":1e999}`, trading.Request{}, "qty is 1e999, want"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got trading.Request
			err := json.Unmarshal([]byte(test.input), &got)
			checkInvalid(t, err, test.wantErr)
			if err == nil && got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestQuoteRefused(t *testing.T) {
	for _, test := range []struct{ name, old, new, wantErr string }{
		{"price missing", `"stock_price":42,`, ``, "stock_price is missing, want a number"},
		{"price a string", `42`, `"42"`, `stock_price is "42", want a number`},
		{"price negative", `42`, `-1`, "stock_price is -1, want 0 or more"},
		{"symbol missing", `"symbol":"AMZN",`, ``, "symbol is missing, want"},
		{"qty missing", `"qty":5,`, ``, "qty is missing, want"},
		{"id too short", `0123456789abcdef0123456789abcdef`, `0123`, "quote_id is"},
		{"id missing", `"quote_id":"0123456789abcdef0123456789abcdef",`, ``, "quote_id is missing, want 32 hexadecimal digits"},
		{"time wrong", `2026-01-02T03:04:05Z`, `yesterday`, "quoted_at is"},
		{"time null", `"2026-01-02T03:04:05Z"`, `null`, "quoted_at is null, want a time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			input := strings.Replace(quoteJSON, test.old, test.new, 1)
			var q trading.Quote
			checkInvalid(t, json.Unmarshal([]byte(input), &q), test.wantErr)
		})
	}
}

func checkInvalid(t *testing.T, err error, want string) {
	t.Helper()
	var invalid *trading.InvalidRequest
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && !errors.As(err, &invalid):
		t.Errorf("got error %v, want an *InvalidRequest", err)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("got error %q, want it to contain %q", err, want)
	case want != "" && len(err.Error()) > 300:
		t.Errorf("the error has %d characters", len(err.Error()))
	}
}

func TestQuoteKeepsItsJSON(t *testing.T) {
	got, err := json.Marshal(quote(t))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != quoteJSON {
		t.Errorf("got %s, want %s", got, quoteJSON)
	}
}

func TestRecommend(t *testing.T) {
	for price, want := range map[float64]trading.Side{0: trading.Buy, 50: trading.Buy, 50.01: trading.Sell, 51: trading.Sell, 99: trading.Sell} {
		if got := trading.Recommend(trading.Quote{StockPrice: price}); got != want {
			t.Errorf("Recommend at %v = %s, want %s", price, got, want)
		}
	}
}

func TestTrade(t *testing.T) {
	q := quote(t)
	want := `{"id":"0123456789abcdef0123456789abcdef","price":"42","type":"sell","qty":"5","timestamp":"2026-01-02T03:04:05Z","symbol":"AMZN","outcome":"traded"}`
	for range 2 {
		got, err := json.Marshal(trading.Trade(trading.Sell, q))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("receipt (-want +got):\n%s", diff)
		}
	}
}

func requestBody(edit ...string) []byte {
	body := `{"Input":` + strings.TrimSuffix(quoteJSON, "}") + `,"recommended_type":"buy"},"TaskToken":"SECRET","Execution":"arn:aws:states:eu-west-1:123456789012:execution:Machine:it's \\u202e one","EnteredTime":"2026-01-02T03:04:06.5Z","TimeoutSeconds":3600}`
	return []byte(strings.NewReplacer(edit...).Replace(strings.ReplaceAll(body, `\\u`, `\u`)))
}

func TestNotice(t *testing.T) {
	r, err := trading.ParseApprovalRequest(requestBody())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Subject(), "Approval requested: buy 5 AMZN at 42"; got != want {
		t.Errorf("subject %q, want %q", got, want)
	}
	want := `A trade waits for your decision.

  Recommendation  buy
  Symbol          AMZN
  Price           42
  Quantity        5
  Total           210
  Quoted at       2026-01-02T03:04:05Z
  Decide before   2026-01-02T04:04:06Z
  Execution       arn:aws:states:eu-west-1:123456789012:execution:Machine:it's  one

To decide, run in the folder of the stock trading app:

  go run ./desk 'arn:aws:states:eu-west-1:123456789012:execution:Machine:it'\''s  one'

Without your decision nothing is traded, and the request expires.
`
	if diff := cmp.Diff(want, r.Notice()); diff != "" {
		t.Errorf("notice (-want +got):\n%s", diff)
	}
	if r.Deadline() != time.Date(2026, 1, 2, 4, 4, 6, 5e8, time.UTC) {
		t.Errorf("deadline %v", r.Deadline())
	}
}

// No text of an execution can start a line of its own in a notice or forge its subject.
func TestNoticeHoldsHostileText(t *testing.T) {
	hostile := `buy\r\nExecution  forged\u0000\u200b` + strings.Repeat("x", 5000)
	r, err := trading.ParseApprovalRequest(requestBody(`"recommended_type":"buy"`, `"recommended_type":"`+hostile+`"`))
	if err != nil {
		t.Fatal(err)
	}
	if subject := r.Subject(); len(subject) > 100 || strings.ContainsAny(subject, "\r\n\x00") {
		t.Errorf("subject %q", subject)
	}
	plain, err := trading.ParseApprovalRequest(requestBody())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(r.Notice(), "\n"), strings.Count(plain.Notice(), "\n"); got != want {
		t.Errorf("notice has %d lines, want %d", got, want)
	}
	if len(r.Notice()) > 2000 {
		t.Errorf("notice has %d bytes", len(r.Notice()))
	}
}

func TestParseApprovalRequestRefused(t *testing.T) {
	for _, test := range []struct{ name, old, new, wantErr string }{
		{"not JSON", `{"Input"`, `"Input"`, "the body is not the JSON object"},
		{"token missing", `"TaskToken":"SECRET",`, ``, "TaskToken is missing"},
		{"token no string", `"SECRET"`, `7`, "the body is not the JSON object"},
		{"execution missing", `"Execution"`, `"Other"`, "Execution is missing"},
		{"entered time missing", `"EnteredTime"`, `"Other"`, "EnteredTime is missing"},
		{"timeout missing", `3600`, `0`, "TimeoutSeconds is missing or not positive"},
		{"no quote", `"stock_price":42,`, ``, "Input holds no quote"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := trading.ParseApprovalRequest(requestBody(test.old, test.new))
			if err == nil || !strings.Contains(err.Error(), test.wantErr) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got error %v, want it to contain %q and no token", err, test.wantErr)
			}
		})
	}
}
