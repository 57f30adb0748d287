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

const quoteJSON = `{"stock_price":42,"market":"simulated","symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`

// realQuoteJSON is a quote of a real market.
const realQuoteJSON = `{"stock_price":187.12,"limit_price":"187.12","previous_close":190.5,"market":"paper","symbol":"AMZN","qty":5,"quote_id":"0123456789abcdef0123456789abcdef","quoted_at":"2026-01-02T03:04:05Z"}`

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
		{"huge symbol", `{"symbol":"` + strings.Repeat("A", 1<<18) + `"}`, trading.Request{}, "..., want a string of 1 to 12"},
		{"huge comment", `{"qty":2,"Comment":"` + strings.Repeat("A", 1<<18) + `"}`, trading.Request{Qty: 2}, ""},
		{"boolean", `true`, trading.Request{}, "the execution's input is true, want a JSON object"},
		{"number", `7`, trading.Request{}, "the execution's input is 7, want a JSON object"},
		{"deep input", nested(10_000), trading.Request{}, "the execution's input is [[[["},
		{"deep symbol", `{"symbol":` + nested(9_999) + `}`, trading.Request{}, "symbol is [[[["},
		{"deep qty", `{"qty":` + nested(9_999) + `}`, trading.Request{}, "qty is [[[["},
		{"deep comment", `{"Comment":` + nested(9_999) + `}`, trading.Request{}, ""},
		{"symbol of dots", `{"symbol":"..."}`, trading.Request{Symbol: "..."}, ""},
		{"symbol boolean", `{"symbol":true}`, trading.Request{}, "symbol is true, want"},
		{"symbol array", `{"symbol":["AMZN"]}`, trading.Request{}, `symbol is ["AMZN"], want`},
		{"symbol object", `{"symbol":{"name":"AMZN"}}`, trading.Request{}, `symbol is {"name":"AMZN"}, want`},
		{"symbol with a path", `{"symbol":"A/B"}`, trading.Request{}, `symbol is "A/B", want`}, // it stands in one, in requests to a market
		{"symbol with an escaped path", `{"symbol":"A%2FB"}`, trading.Request{}, `symbol is "A%2FB", want`},
		{"symbol with a query", `{"symbol":"A?B"}`, trading.Request{}, `symbol is "A?B", want`},
		{"symbol with a space", `{"symbol":"A B"}`, trading.Request{}, `symbol is "A B", want`},
		{"symbol with a double quote", `{"symbol":"A\"B"}`, trading.Request{}, `symbol is "A\"B", want`},
		{"symbol with a line break at its end", `{"symbol":"AMZN\n"}`, trading.Request{}, `symbol is "AMZN\n", want`},
		{"symbol with a NUL", `{"symbol":"A\u0000"}`, trading.Request{}, `symbol is "A\u0000", want`},
		{"symbol with an escape sequence", `{"symbol":"\u001b[31mA"}`, trading.Request{}, `symbol is "\u001b[31mA", want`},
		{"symbol with a zero-width space", "{\"symbol\":\"A\u200bB\"}", trading.Request{}, `symbol is "A\u200bB", want`},
		{"symbol with look-alikes", "{\"symbol\":\"\u0410MZN\"}", trading.Request{}, `symbol is "\u0410MZN", want`},
		{"symbol with a character of two units", "{\"symbol\":\"\U0001f600\"}", trading.Request{}, `symbol is "\ud83d\ude00", want`},
		{"symbol with bytes that are no text", "{\"symbol\":\"A\xff\"}", trading.Request{}, `symbol is "A\ufffd", want`},
		{"symbol of full-width letters", `{"symbol":"ＡＭＺＮ"}`, trading.Request{}, "symbol is"},
		{"qty zero", `{"qty":0}`, trading.Request{}, "qty is 0, want a whole number from 1 to 1000"},
		{"qty above", `{"qty":1001}`, trading.Request{}, "qty is 1001, want"},
		{"qty negative", `{"qty":-1}`, trading.Request{}, "qty is -1, want"},
		{"qty fraction", `{"qty":1.5}`, trading.Request{}, "qty is 1.5, want"},
		{"qty string", `{"qty":"5"}`, trading.Request{}, `qty is "5", want`},
		{"qty null", `{"qty":null}`, trading.Request{}, "qty is null, want"},
		{"qty huge", `{"qty":1e999}`, trading.Request{}, "qty is 1e999, want"},
		{"qty in scientific notation", `{"qty":1e3}`, trading.Request{Qty: 1000}, ""},
		{"qty almost whole", `{"qty":5.000000001}`, trading.Request{}, "qty is 5.000000001, want"},
		{"qty almost zero", `{"qty":1e-400}`, trading.Request{}, "qty is 1e-400, want"},
		{"qty boolean", `{"qty":true}`, trading.Request{}, "qty is true, want"},
		{"qty array", `{"qty":[5]}`, trading.Request{}, "qty is [5], want"},
		{"qty object", `{"qty":{}}`, trading.Request{}, "qty is {}, want"},
		{"a bad symbol comes before a bad qty", `{"qty":0,"symbol":""}`, trading.Request{}, `symbol is "", want`},
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

// nested are arrays in arrays. Go reads 10,000 levels of JSON.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

func TestQuoteRefused(t *testing.T) {
	for _, test := range []struct{ name, old, new, wantErr string }{
		{"price missing", `"stock_price":42,`, ``, "stock_price is missing, want a number"},
		{"price a string", `42`, `"42"`, `stock_price is "42", want a number`},
		{"price null", `42`, `null`, "stock_price is null, want a number"},
		{"price an array", `42`, `[42]`, "stock_price is [42], want a number"},
		{"price too large to be one", `42`, `1e309`, "stock_price is 1e309, want a number"},
		{"price negative", `42`, `-1`, "stock_price is -1, want 0 or more"},
		{"price nothing, but negative", `42`, `-0.0`, "stock_price is -0, want 0 or more"},
		{"symbol missing", `"symbol":"AMZN",`, ``, "symbol is missing, want"},
		{"symbol a number", `"AMZN"`, `7`, "symbol is 7, want"},
		{"symbol with a path", `AMZN`, `A/B`, `symbol is "A/B", want`},
		{"market unknown", `simulated`, `nasdaq`, `market is "nasdaq", want "simulated", "paper" or "live"`},
		{"market in capitals", `simulated`, `LIVE`, `market is "LIVE", want`},
		{"market empty", `"simulated"`, `""`, `market is "", want`},
		{"market null", `"simulated"`, `null`, `market is null, want`},
		{"market a number", `"simulated"`, `7`, `market is 7, want`},
		{"qty missing", `"qty":5,`, ``, "qty is missing, want"},
		{"qty a string", `5`, `"5"`, `qty is "5", want`},
		{"id too short", `0123456789abcdef0123456789abcdef`, `0123`, "quote_id is"},
		{"id missing", `"quote_id":"0123456789abcdef0123456789abcdef",`, ``, "quote_id is missing, want 32 hexadecimal digits"},
		{"id null", `"0123456789abcdef0123456789abcdef"`, `null`, "quote_id is null, want"},
		{"id with capitals", `0123456789abcdef0`, `0123456789ABCDEF0`, "quote_id is"},
		{"id with a line break", `0123456789abcdef"`, `0123456789abcdef\n"`, "quote_id is"},
		{"time missing", `,"quoted_at":"2026-01-02T03:04:05Z"`, ``, "quoted_at is missing, want a time"},
		{"time a number", `"2026-01-02T03:04:05Z"`, `1767323045`, "quoted_at is 1767323045, want a time"},
		{"time after the last year", `2026-01-02T03:04:05Z`, `9999-12-31T23:59:59-01:00`, "quoted_at is"},
		{"time before the first year", `2026-01-02T03:04:05Z`, `0000-01-01T00:00:00+01:00`, "quoted_at is"},
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

func TestRealQuoteRefused(t *testing.T) {
	for _, test := range []struct{ name, old, new, wantErr string }{
		{"limit price a number", `"187.12"`, `187.12`, "limit_price is 187.12, want a decimal above 0 as a string"},
		{"limit price null", `"187.12"`, `null`, "limit_price is null, want"},
		{"limit price empty", `"187.12"`, `""`, `limit_price is "", want`},
		{"limit price nothing", `"187.12"`, `"0.00"`, `limit_price is "0.00", want a decimal above 0`},
		{"limit price negative", `"187.12"`, `"-187.12"`, "limit_price is"},
		{"limit price in scientific notation", `"187.12"`, `"1e2"`, "limit_price is"},
		{"limit price with a leading zero", `"187.12"`, `"0187.12"`, "limit_price is"},
		{"limit price with a comma", `"187.12"`, `"187,12"`, "limit_price is"},
		{"limit price cut off", `"187.12"`, `"187."`, "limit_price is"},
		{"limit price with a line break", `"187.12"`, `"187.12\n"`, "limit_price is"},
		{"limit price of other digits", `"187.12"`, `"１８７"`, "limit_price is"},
		{"limit price too long", `"187.12"`, `"1870000000"`, "limit_price is"},
		{"previous close a string", `190.5`, `"190.5"`, `previous_close is "190.5", want a number`},
		{"previous close null", `190.5`, `null`, "previous_close is null, want a number"},
		{"previous close nothing", `190.5`, `0`, "previous_close is 0, want more than 0"},
		{"previous close negative", `190.5`, `-1`, "previous_close is -1, want more than 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var q trading.Quote
			checkInvalid(t, json.Unmarshal([]byte(strings.Replace(realQuoteJSON, test.old, test.new, 1)), &q), test.wantErr)
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
	case want != "":
		checkReason(t, err)
	}
}

func TestQuoteIsInUTC(t *testing.T) {
	var q trading.Quote
	if err := json.Unmarshal([]byte(strings.Replace(quoteJSON, "03:04:05Z", "05:04:05+02:00", 1)), &q); err != nil {
		t.Fatal(err)
	}
	if q != quote(t) {
		t.Errorf("got %v, want %v", q, quote(t))
	}
}

// A total is what a person would work out on paper.
func TestTotal(t *testing.T) {
	for _, test := range []struct {
		price float64
		qty   int
		want  string
	}{
		{0, 5, "0"},
		{42, 5, "210"},
		{0.1, 3, "0.3"},
		{1.1, 3, "3.3"},
		{62.5, 4, "250"},
		{0.07, 100, "7"},
		{19.99, 1000, "19990"},
		{583_333.33, 1000, "583333330"},
	} {
		if got := (trading.Quote{StockPrice: test.price, Qty: test.qty}).Total(); got != test.want {
			t.Errorf("%d at %v are %s, want %s", test.qty, test.price, got, test.want)
		}
	}
}

func TestQuoteKeepsItsJSON(t *testing.T) {
	for _, want := range []string{quoteJSON, realQuoteJSON} {
		var q trading.Quote
		if err := json.Unmarshal([]byte(want), &q); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRecommend(t *testing.T) {
	for price, want := range map[float64]trading.Side{0: trading.Buy, 50: trading.Buy, 50.01: trading.Sell, 51: trading.Sell, 99: trading.Sell} {
		if got := trading.Recommend(trading.Quote{StockPrice: price}); got != want {
			t.Errorf("Recommend at %v = %s, want %s", price, got, want)
		}
	}
}

func TestRecommendByThePreviousClose(t *testing.T) {
	for price, want := range map[float64]trading.Side{0.01: trading.Buy, 189.99: trading.Buy, 190: trading.Sell, 190.01: trading.Sell} {
		if got := trading.Recommend(trading.Quote{StockPrice: price, PreviousClose: 190}); got != want {
			t.Errorf("Recommend at %v after 190 = %s, want %s", price, got, want)
		}
	}
}

func TestSimulatedTrade(t *testing.T) {
	q := quote(t)
	want := `{"id":"0123456789abcdef0123456789abcdef","price":"42","type":"sell","qty":"5","timestamp":"2026-01-02T03:04:05Z","symbol":"AMZN","outcome":"traded"}`
	for range 2 {
		receipt, err := trading.Simulated{}.Trade(t.Context(), trading.Sell, q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(receipt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("receipt (-want +got):\n%s", diff)
		}
	}
}

// What a person approved in one market is traded in no other, and a quote of an older
// version, which says nothing of its market, in none.
func TestCheckMarket(t *testing.T) {
	markets := []trading.Market{trading.SimulatedMarket, trading.PaperMarket, trading.LiveMarket}
	for _, own := range markets {
		for _, made := range append(markets, "") {
			err := trading.Quote{Market: made}.CheckMarket(own)
			switch {
			case made == own:
				checkInvalid(t, err, "")
			case made == "":
				checkInvalid(t, err, "the quote does not say in which market it was made, and this one is "+string(own)+": nothing was traded")
			default:
				checkInvalid(t, err, "the quote is of the "+string(made)+" market, and this one is "+string(own)+": nothing was traded")
			}
		}
	}
}

func TestDollars(t *testing.T) {
	for decimal, want := range map[string]string{"74": "$74", "74.5": "$74.50", "74.56": "$74.56", "0.1234": "$0.1234", "0": "$0"} {
		if got := trading.Dollars(decimal); got != want {
			t.Errorf("%s is %s, want %s", decimal, got, want)
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
	if got, want := r.Subject(), "Approval requested: buy 5 AMZN at $42"; got != want {
		t.Errorf("subject %q, want %q", got, want)
	}
	want := `A trade waits for your decision.

  Market          simulated, nothing real is traded
  Recommendation  buy
  Symbol          AMZN
  Price           $42
  Quantity        5
  Total           $210
  Quoted at       2026-01-02T03:04:05Z
  Decide before   2026-01-02T04:04:06Z
  Execution       arn:aws:states:eu-west-1:123456789012:execution:Machine:it's  one

Without your decision nothing is traded, and the request expires.

To decide, run in the folder of the stock trading app:

  go run ./desk 'arn:aws:states:eu-west-1:123456789012:execution:Machine:it'\''s  one'

To see the execution in the AWS console, where nothing is decided, sign in at:

  https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:123456789012:execution:Machine:it%27s%20%E2%80%AE%20one
`
	if diff := cmp.Diff(want, r.Notice()); diff != "" {
		t.Errorf("notice (-want +got):\n%s", diff)
	}
	if r.Deadline() != time.Date(2026, 1, 2, 4, 4, 6, 5e8, time.UTC) {
		t.Errorf("deadline %v", r.Deadline())
	}
}

// The console is the partition's. Of one whose console is not known, no address is made up.
func TestNoticeLinksToTheConsole(t *testing.T) {
	for _, test := range []struct{ partition, region, want string }{
		{"aws", "eu-central-1:123456789012:execution:" + strings.Repeat("株", 80) + ":" + strings.Repeat("株", 70) + `","Other":"`, ""},
		{"aws", "eu-west-1", "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:"},
		{"aws-cn", "cn-north-1", "https://cn-north-1.console.amazonaws.cn/states/home?region=cn-north-1#/v2/executions/details/arn:aws-cn:states:cn-north-1:"},
		{"aws-us-gov", "us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/states/home?region=us-gov-west-1#/v2/executions/details/arn:aws-us-gov:states:us-gov-west-1:"},
		{"aws-iso", "us-iso-east-1", ""},
	} {
		r, err := trading.ParseApprovalRequest(requestBody("arn:aws:states:eu-west-1:", "arn:"+test.partition+":states:"+test.region+":"))
		if err != nil {
			t.Fatal(err)
		}
		_, link, found := strings.Cut(r.Notice(), "\nTo see the execution in the AWS console, where nothing is decided, sign in at:\n\n  ")
		if found != (test.want != "") || !strings.HasPrefix(link, test.want) {
			t.Errorf("in %s the link is %q, want %q…", test.region, link, test.want)
		}
	}
}

func TestNoticeShowsTheLimitPrice(t *testing.T) {
	r, err := trading.ParseApprovalRequest(requestBody(`"stock_price":42,`, `"stock_price":187.12,"limit_price":"187.12","previous_close":190.5,`))
	if err != nil {
		t.Fatal(err)
	}
	if want := "\n  Price           $187.12\n  Limit price     $187.12 or better\n  Quantity        5\n  Total           $935.60\n"; !strings.Contains(r.Notice(), want) {
		t.Errorf("notice without %q:\n%s", want, r.Notice())
	}
}

// Whoever reads a notice sees whose money is at stake; real money nobody can miss.
func TestNoticeShowsTheMarket(t *testing.T) {
	for _, test := range []struct{ name, market, subject, begins, row string }{
		{"simulated", `"market":"simulated",`, "Approval requested: buy", "A trade waits", "simulated, nothing real is traded"},
		{"paper", `"market":"paper",`, "Approval requested: buy", "A trade waits", "paper trading, with play money"},
		{"live", `"market":"live",`, "REAL MONEY: Approval requested: buy", "REAL MONEY. A trade waits", "LIVE, WITH REAL MONEY"},
		{"an older version", ``, "Approval requested: buy", "A trade waits", "unknown: the request is of an older version, and a trade of it is refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := trading.ParseApprovalRequest(requestBody(`"market":"simulated",`, test.market))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(r.Subject(), test.subject) || !strings.HasPrefix(r.Notice(), test.begins) || !strings.Contains(r.Notice(), "\n  Market          "+test.row+"\n") {
				t.Errorf("%s\n%s", r.Subject(), r.Notice())
			}
		})
	}
}

// No text of an execution can start a line of its own in a notice or forge its subject.
func TestNoticeHoldsHostileText(t *testing.T) {
	hostile := `büy\r\nExecution  forged\u0000\u007f\u200b` + strings.Repeat("x", 5000)
	r, err := trading.ParseApprovalRequest(requestBody(`"recommended_type":"buy"`, `"recommended_type":"`+hostile+`"`))
	if err != nil {
		t.Fatal(err)
	}
	if subject := r.Subject(); len(subject) > 99 || !isPrintableASCII(subject) || !strings.HasPrefix(subject, "Approval requested: b?y") {
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
	const execution = `"arn:aws:states:eu-west-1:123456789012:execution:Machine:it's \u202e one"`
	for _, test := range []struct{ name, old, new, wantErr string }{
		{"not JSON", `{"Input"`, `"Input"`, "the body is not the JSON object"},
		{"cut off", `"TimeoutSeconds":3600}`, `"TimeoutSeconds":36`, "the body is not the JSON object"},
		{"two objects", `"TimeoutSeconds":3600}`, `"TimeoutSeconds":3600}{}`, "the body is not the JSON object"},
		{"token missing", `"TaskToken":"SECRET",`, ``, "TaskToken is missing"},
		{"token empty", `"SECRET"`, `""`, "TaskToken is missing"},
		{"token no string", `"SECRET"`, `7`, "TaskToken is missing or no text"},
		{"token in an array", `"SECRET"`, `["SECRET"]`, "TaskToken is missing or no text"},
		{"token under another name", `"TaskToken"`, `"tasktoken"`, "TaskToken is missing"},
		{"execution missing", `"Execution"`, `"Other"`, "Execution is missing"},
		{"execution null", execution, `null`, "Execution is missing"},
		{"execution no string", execution, `{}`, "Execution is missing or not the ARN of an execution"},
		{"execution a flag", execution, `"-state-machine=evil"`, "not the ARN of an execution"},
		{"execution of no name", `:it's \u202e one`, `:`, "not the ARN of an execution"},
		{"execution of a long name", `:it's \u202e one`, `:` + strings.Repeat("x", 81), "not the ARN of an execution"},
		{"state machine", `:execution:Machine:it's \u202e one`, `:stateMachine:Machine`, "not the ARN of an execution"},
		{"entered time missing", `"EnteredTime"`, `"Other"`, "EnteredTime is missing"},
		{"entered time null", `"2026-01-02T03:04:06.5Z"`, `null`, "EnteredTime is missing"},
		{"entered time a number", `"2026-01-02T03:04:06.5Z"`, `1767323046`, "EnteredTime is missing or no time"},
		{"timeout missing", `"TimeoutSeconds"`, `"Other"`, "TimeoutSeconds is missing"},
		{"timeout null", `3600`, `null`, "TimeoutSeconds is missing"},
		{"timeout zero", `3600`, `0`, "no whole number from 1 to 99999999"},
		{"timeout negative", `3600`, `-1`, "no whole number from 1 to 99999999"},
		{"timeout fraction", `3600`, `1.5`, "no whole number from 1 to 99999999"},
		{"timeout a string", `3600`, `"3600"`, "no whole number from 1 to 99999999"},
		{"timeout beyond Step Functions", `3600`, `100000000`, "no whole number from 1 to 99999999"},
		{"timeout beyond time", `3600`, `9223372036854775807`, "no whole number from 1 to 99999999"},
		{"input missing", `"Input"`, `"Other"`, "Input holds no quote"},
		{"input a string", `{"stock_price"`, `"x","Other":{"stock_price"`, "Input holds no quote"},
		{"no quote", `"stock_price":42,`, ``, "Input holds no quote"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := requestBody(test.old, test.new)
			if string(body) == string(requestBody()) {
				t.Fatal("the body is no different")
			}
			_, err := trading.ParseApprovalRequest(body)
			if err == nil || !strings.Contains(err.Error(), test.wantErr) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got error %v, want it to contain %q and no token", err, test.wantErr)
			}
		})
	}
	for _, body := range []string{"", "null", "[]", "[{}]", `"text"`, "7", "\x00", "\xff\xfe", nested(10_000), nested(10_001), "{}{}"} {
		if _, err := trading.ParseApprovalRequest([]byte(body)); err == nil || !strings.Contains(err.Error(), "the body is not the JSON object") {
			t.Errorf("%.20q: got error %v", body, err)
		}
	}
}

// What is no buy or sell is shown as it is, for the person to decline.
func TestRecommendationOfAnyType(t *testing.T) {
	for _, test := range []struct{ name, recommended, want string }{
		{"null", `null`, "<nil>"},
		{"number", `7`, "7"},
		{"object", `{"a":[1]}`, "map[a:[1]]"},
		{"empty", `""`, ""},
		{"direction marks and zero widths", `"b\u202eu\u200by\ufe0f\u034f\u115f"`, "buy"},
		{"deep", nested(9_000), strings.Repeat("[", 39) + "…"},
		{"under another name as well", `"buy","Recommended_Type":"sell"`, "buy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := trading.ParseApprovalRequest(requestBody(`"recommended_type":"buy"`, `"recommended_type":`+test.recommended))
			if err != nil {
				t.Fatal(err)
			}
			if want := "  Recommendation  " + test.want + "\n"; !strings.Contains(r.Notice(), want) {
				t.Errorf("notice without %q:\n%s", want, r.Notice())
			}
		})
	}
}
