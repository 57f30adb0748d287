package trading_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode"

	"stocktrading/lambdas/trading"
)

// hostile are texts that have broken others: they seed every target.
var hostile = []string{
	"", "null", "[]", "{}", "7", `"text"`, "{", "\x00", "\xff\xfe", "\ufeff{}", nested(20),
	`{"symbol":"A\u202e\u200b\n\r\u0000B","qty":1e400}`,
	`{"symbol":"'\"$(reboot)` + "`" + `;\\"}`,
}

// FuzzRequest reads any input of an execution.
func FuzzRequest(f *testing.F) {
	for _, input := range hostile {
		f.Add([]byte(input))
	}
	f.Add([]byte(`{"symbol":"AMZN","qty":5}`))
	f.Add([]byte(`{"symbol":"BRK.B","qty":1.0,"Comment":"x"}`))
	f.Add([]byte(`{"qty":1000}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		var r trading.Request
		err := r.UnmarshalJSON(input) // json.Unmarshal hands over nothing but JSON, but this must bear all
		if err != nil {
			checkReason(t, err)
			return
		}
		var got trading.Request
		if err := json.Unmarshal(input, &got); err != nil || got != r {
			t.Errorf("json.Unmarshal gives %+v, %v and UnmarshalJSON %+v", got, err, r)
		}
		if r.Symbol != "" && !isSymbol(r.Symbol) || r.Qty != 0 && (r.Qty < trading.MinQty || r.Qty > trading.MaxQty) {
			t.Errorf("accepted %+v", r)
		}
	})
}

// FuzzQuote reads any quote, from the input of a state.
func FuzzQuote(f *testing.F) {
	for _, input := range hostile {
		f.Add([]byte(input))
	}
	f.Add([]byte(quoteJSON))
	f.Add([]byte(strings.Replace(quoteJSON, "42", "0.07", 1)))
	f.Add([]byte(strings.Replace(quoteJSON, "42", "1e308", 1)))
	f.Add([]byte(strings.Replace(quoteJSON, "42", "5e-324", 1)))
	f.Add([]byte(strings.Replace(quoteJSON, "42", "-0.0", 1)))
	f.Add([]byte(realQuoteJSON))
	f.Add([]byte(strings.Replace(quoteJSON, `"market":"simulated",`, "", 1)))
	f.Add([]byte(strings.Replace(quoteJSON, "Z", ".999999999-23:59", 1)))
	f.Add([]byte(strings.Replace(quoteJSON, "2026-01-02T03:04:05Z", "9999-12-31T23:59:59-23:59", 1)))
	f.Fuzz(func(t *testing.T, input []byte) {
		var q trading.Quote
		if err := q.UnmarshalJSON(input); err != nil {
			checkReason(t, err)
			return
		}
		if !(q.StockPrice >= 0) || !isSymbol(q.Symbol) || q.Qty < trading.MinQty || q.Qty > trading.MaxQty {
			t.Errorf("accepted %+v", q)
		}
		// What one state passes on the next one reads again.
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatalf("%+v has no JSON: %v", q, err)
		}
		var again trading.Quote
		if err := json.Unmarshal(text, &again); err != nil || again != q {
			t.Errorf("%+v becomes %+v, %v", q, again, err)
		}
		receipt := q.Receipt(trading.Buy)
		if receipt != again.Receipt(trading.Buy) {
			t.Errorf("a retry of %+v gives another receipt", q)
		}
		if _, err := time.Parse(time.RFC3339, receipt.Timestamp); err != nil {
			t.Errorf("receipt's timestamp: %v", err)
		}
		checkTotal(t, q)
	})
}

// checkTotal compares with exact arithmetic, as far as a float64 goes.
func checkTotal(t *testing.T, q trading.Quote) {
	t.Helper()
	price, ok := new(big.Rat).SetString(q.Price())
	if !ok || strings.ContainsAny(q.Price(), "eE-") {
		t.Fatalf("price %q", q.Price())
	}
	exact := new(big.Rat).Mul(price, big.NewRat(int64(q.Qty), 1))
	_, decimals, _ := strings.Cut(q.Price(), ".")
	if digits := strings.TrimLeft(strings.Replace(exact.FloatString(len(decimals)), ".", "", 1), "0"); len(digits) > 15 {
		return
	}
	if total, ok := new(big.Rat).SetString(q.Total()); !ok || total.Cmp(exact) != 0 {
		t.Errorf("%d at %s are %s, want %s", q.Qty, q.Price(), q.Total(), exact.FloatString(len(decimals)))
	}
}

// FuzzParseApprovalRequest reads any message of the queue, and makes a notice of what it takes.
func FuzzParseApprovalRequest(f *testing.F) {
	for _, body := range hostile {
		f.Add([]byte(body))
	}
	f.Add(requestBody())
	f.Add(requestBody(`"recommended_type":"buy"`, `"recommended_type":{"\n":["\u202e"]}`))
	f.Add(requestBody(`it's`, `'\\''$(reboot)\n\u001b[2J\ufe0f`))
	f.Add(requestBody(`3600`, `99999999`, `2026-01-02T03:04:06.5Z`, `9999-12-31T23:59:59-23:59`))
	f.Add(requestBody(`3600`, `9223372036854775807`))
	f.Add(requestBody(`42`, `1e308`))
	f.Add(requestBody(quoteJSON[1:strings.Index(quoteJSON, `"symbol"`)], realQuoteJSON[1:strings.Index(realQuoteJSON, `"symbol"`)]))
	f.Add(requestBody(`"simulated"`, `"live"`))
	plain, err := trading.ParseApprovalRequest(requestBody())
	if err != nil {
		f.Fatal(err)
	}
	lines := strings.Count(plain.Notice(), "\n")
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := trading.ParseApprovalRequest(body)
		if err != nil {
			if text := err.Error(); !isPrintableASCII(text) || len(text) > 100 {
				t.Errorf("error %q", text)
			}
			return
		}
		if r.TaskToken == "" || r.Execution == "" || !r.Deadline().After(r.EnteredTime) {
			t.Errorf("accepted %+v", r)
		}
		subject, notice := r.Subject(), r.Notice()
		if subject == "" || len(subject) >= 100 || !isPrintableASCII(subject) {
			t.Errorf("subject %q", subject)
		}
		want := lines
		if r.Input.LimitPrice != "" {
			want++
		}
		if strings.Count(notice, "\n") != want || strings.ContainsFunc(notice, isInvisible) {
			t.Errorf("notice %q", notice)
		}
		// Another token changes nothing, so none of it is to be seen.
		other := r
		other.TaskToken += "x"
		if other.Subject() != subject || other.Notice() != notice {
			t.Errorf("the token is in the notice %q", notice)
		}
		_, command, _ := strings.Cut(notice, "\n  go run ./desk ")
		command, _, _ = strings.Cut(command, "\n")
		if word, ok := unquote(command); !ok || word != trading.OneLine(r.Execution, 300) || strings.HasPrefix(word, "-") {
			t.Errorf("a shell reads %q as %q, %v", command, word, ok)
		}
	})
}

// unquote reads one word as a POSIX shell does, and is false for anything that a shell
// would take for more or less than a word.
func unquote(text string) (word string, ok bool) {
	var b strings.Builder
	for text != "" {
		switch text[0] {
		case '\'':
			inside, rest, closed := strings.Cut(text[1:], "'")
			if !closed {
				return "", false
			}
			b.WriteString(inside)
			text = rest
		case '\\':
			if len(text) < 2 {
				return "", false
			}
			b.WriteByte(text[1])
			text = text[2:]
		default: // nothing has to stand outside of quotes
			return "", false
		}
	}
	return b.String(), true
}

func TestUnquote(t *testing.T) {
	for _, test := range []struct {
		text, want string
		ok         bool
	}{
		{`'a b'`, "a b", true},
		{`'it'\''s'`, "it's", true},
		{`''`, "", true},
		{`'a`, "", false},
		{`'a' b`, "", false},
		{`'a';reboot`, "", false},
		{`'a'\`, "", false},
	} {
		if got, ok := unquote(test.text); got != test.want || ok != test.ok {
			t.Errorf("unquote(%s) = %q, %v, want %q, %v", test.text, got, ok, test.want, test.ok)
		}
	}
}

// checkReason wants an error of which a person and a log can bear every byte.
func checkReason(t *testing.T, err error) {
	t.Helper()
	var invalid *trading.InvalidRequest
	if text := err.Error(); !errors.As(err, &invalid) || text == "" || len(text) > 300 || !isPrintableASCII(text) {
		t.Errorf("%T: %q", err, text)
	}
}

// isInvisible tells of all that could hide in a line or change it; a line break is what a notice may have.
func isInvisible(c rune) bool {
	return c != '\n' && !unicode.IsPrint(c) || unicode.In(c, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func isPrintableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

func isSymbol(s string) bool {
	return s != "" && len(s) <= trading.MaxSymbolLen && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}
