// Package trading is the domain of the five functions: what a person asks for, the
// quote they are asked to approve, the recommendation and the receipt. It does not
// depend on Lambda or any other service.
package trading

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// What an order may be.
const (
	MaxSymbolLen = 12
	MinQty       = 1
	MaxQty       = 1000

	// DefaultSymbol is traded when the execution's input names none.
	DefaultSymbol = "AMZN"
)

// Side is the direction of a trade.
type Side string

// The two sides, spelled as in the state machine's choice.
const (
	Buy  Side = "buy"
	Sell Side = "sell"
)

// Errors by which a person's answer reaches the state machine: the names that the
// waiting state catches. Approval has none, it is the success of the task.
const (
	BuyInstead    = "BuyInstead"
	SellInstead   = "SellInstead"
	TradeDeclined = "TradeDeclined"
)

// InvalidRequest says what is wrong with a function's input and what would be right.
// Its type name is the error name that the state machine sees. It is never retried,
// and a function that returns it has traded nothing.
type InvalidRequest struct{ Reason string }

func (e *InvalidRequest) Error() string { return e.Reason }

func invalid(format string, args ...any) *InvalidRequest {
	return &InvalidRequest{Reason: fmt.Sprintf(format, args...)}
}

// Market is where a quote is made and traded, and so says whose money is at stake.
type Market string

const (
	SimulatedMarket Market = "simulated" // prices are drawn at random, and nothing real is traded
	PaperMarket     Market = "paper"     // a broker's play money, at real prices
	LiveMarket      Market = "live"      // real money
)

// Stakes says for a person what is at stake. A quote without a market is from an older
// version of this app.
func (m Market) Stakes() string {
	switch m {
	case SimulatedMarket:
		return "simulated, nothing real is traded"
	case PaperMarket:
		return "paper trading, with play money"
	case LiveMarket:
		return "LIVE, WITH REAL MONEY"
	}
	return "unknown: the request is of an older version, and a trade of it is refused"
}

// OrderRefused says why a market did not carry out an order: it is closed, does not know
// the stock, found nobody to trade with. Like InvalidRequest it is an error name of the
// state machine, it is never retried, and a function that returns it has traded nothing.
type OrderRefused struct{ Reason string }

func (e *OrderRefused) Error() string { return e.Reason }

// MarketUnavailable says why a market could not be reached, or its answer not understood.
// The same attempt may succeed later, and the state machine makes it again; whether this
// one has placed an order is unknown.
type MarketUnavailable struct{ Reason string }

func (e *MarketUnavailable) Error() string { return e.Reason }

// OrderConflict says that the market has another order under the id of this one. What was
// traded can't be found out from here, and retrying would not help.
type OrderConflict struct{ Reason string }

func (e *OrderConflict) Error() string { return e.Reason }

// OrderUnknown says why it can't be found out whether there is an order: an earlier
// attempt may have placed it, and the market does not let us look. Retrying would not help.
type OrderUnknown struct{ Reason string }

func (e *OrderUnknown) Error() string { return e.Reason }

// Request is the input of an execution. The zero value of a field means that the
// input leaves it out.
type Request struct {
	Symbol string
	Qty    int
}

// UnmarshalJSON accepts {"symbol": "AMZN", "qty": 5}, both optional, other fields
// ignored. Its error is an *InvalidRequest.
func (r *Request) UnmarshalJSON(data []byte) error {
	fields, err := object("the execution's input", data)
	if err != nil {
		return err
	}
	*r = Request{}
	if raw, ok := fields["symbol"]; ok {
		if r.Symbol, err = symbol(raw); err != nil {
			return err
		}
	}
	if raw, ok := fields["qty"]; ok {
		if r.Qty, err = qty(raw); err != nil {
			return err
		}
	}
	return nil
}

// SharePrice is what a market says of one share. A market that takes no orders has a
// Latest price only.
type SharePrice struct {
	Latest        float64
	Limit         string  // Latest as the decimal that an order may name
	PreviousClose float64 // of the trading day before; 0 if there was none
}

// Quote is what a person approves, and so all that is traded.
type Quote struct {
	StockPrice    float64   `json:"stock_price"`              // per share; a whole number from 0 to 99 in the simulated market
	LimitPrice    string    `json:"limit_price,omitempty"`    // the same as a decimal, such as "187.12"; none in the simulated market
	PreviousClose float64   `json:"previous_close,omitempty"` // per share; none in the simulated market
	Market        Market    `json:"market,omitempty"`         // where it was made; none in a quote of an older version
	Symbol        string    `json:"symbol"`
	Qty           int       `json:"qty"`       // shares, MinQty to MaxQty
	QuoteID       string    `json:"quote_id"`  // 32 hexadecimal digits
	QuotedAt      time.Time `json:"quoted_at"` // UTC
}

// Sets of characters. Package regexp would be a twentieth of each function's package.
const (
	digits     = "0123456789"
	lowerCase  = "abcdefghijklmnopqrstuvwxyz"
	upperCase  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	hexDigits  = digits + "abcdef"
	symbolSet  = lowerCase + upperCase + digits + ".-"
	regionSet  = lowerCase + digits + "-"
	maxDecimal = 9 // digits before the point of a limit price, and as many behind it
)

// consistsOf reports whether s has min to max characters, all of them from the set.
func consistsOf(s, set string, min, max int) bool {
	return len(s) >= min && len(s) <= max && strings.Trim(s, set) == ""
}

// isLimitPrice reports whether s is a decimal above 0, such as "187.12".
func isLimitPrice(s string) bool {
	whole, fraction, hasPoint := strings.Cut(s, ".")
	return consistsOf(whole, digits, 1, maxDecimal) && (whole == "0" || whole[0] != '0') &&
		(!hasPoint || consistsOf(fraction, digits, 1, maxDecimal)) && strings.Trim(s, "0.") != ""
}

// UnmarshalJSON reads a quote from a state's input, which may have other fields too. All
// of the quote's fields are required but the two that not every market has and the market
// itself, so that a request of an older version can still be declined.
// Its error is an *InvalidRequest.
func (q *Quote) UnmarshalJSON(data []byte) error {
	fields, err := object("the quote", data)
	if err != nil {
		return err
	}
	*q = Quote{}
	if q.StockPrice, err = number("stock_price", fields["stock_price"]); err != nil {
		return err
	}
	if math.Signbit(q.StockPrice) { // that of -0 as well
		return invalid("stock_price is %v, want 0 or more", q.StockPrice)
	}
	if raw, ok := fields["limit_price"]; ok {
		if err := json.Unmarshal(raw, &q.LimitPrice); err != nil || !isLimitPrice(q.LimitPrice) {
			return invalid("limit_price is %s, want a decimal above 0 as a string, such as \"187.12\"", excerpt(raw))
		}
	}
	if raw, ok := fields["previous_close"]; ok {
		if q.PreviousClose, err = number("previous_close", raw); err != nil {
			return err
		}
		if !(q.PreviousClose > 0) {
			return invalid("previous_close is %s, want more than 0", excerpt(raw))
		}
	}
	if raw, ok := fields["market"]; ok {
		if json.Unmarshal(raw, &q.Market) != nil || q.Market != SimulatedMarket && q.Market != PaperMarket && q.Market != LiveMarket {
			return invalid("market is %s, want \"simulated\", \"paper\" or \"live\"", excerpt(raw))
		}
	}
	if q.Symbol, err = symbol(fields["symbol"]); err != nil {
		return err
	}
	if q.Qty, err = qty(fields["qty"]); err != nil {
		return err
	}
	if err := json.Unmarshal(fields["quote_id"], &q.QuoteID); err != nil || !consistsOf(q.QuoteID, hexDigits, 32, 32) {
		return invalid("quote_id is %s, want 32 hexadecimal digits", excerpt(fields["quote_id"]))
	}
	err = json.Unmarshal(fields["quoted_at"], &q.QuotedAt)
	if q.QuotedAt = q.QuotedAt.UTC(); err != nil || q.QuotedAt.IsZero() || q.QuotedAt.Year() < 0 || q.QuotedAt.Year() > 9999 {
		return invalid("quoted_at is %s, want a time such as \"2006-01-02T15:04:05Z\"", excerpt(fields["quoted_at"]))
	}
	return nil
}

// CheckMarket rejects a quote from another market than the one that is to trade it: what
// a person approved as play money is not traded for real, nor the other way around. Its
// error is an *InvalidRequest.
func (q Quote) CheckMarket(own Market) error {
	switch q.Market {
	case own:
		return nil
	case "":
		return invalid("the quote does not say in which market it was made, and this one is %s: nothing was traded, start a new execution", own)
	}
	return invalid("the quote is of the %s market, and this one is %s: nothing was traded, start a new execution", q.Market, own)
}

// Dollars formats an amount for a person: $74, $74.50 for 74.5.
func Dollars(decimal string) string {
	if _, cents, _ := strings.Cut(decimal, "."); len(cents) == 1 {
		decimal += "0"
	}
	return "$" + decimal
}

// Price is the price of one share as a decimal string.
func (q Quote) Price() string { return strconv.FormatFloat(q.StockPrice, 'f', -1, 64) }

// Limit is the limit price for a person, or empty if there is none.
func (q Quote) Limit() string {
	if q.LimitPrice == "" {
		return ""
	}
	return Dollars(q.LimitPrice) + " or better"
}

// Total is the price of all shares as a decimal string. It has no more decimals than
// the price: three shares at 0.1 are 0.3, and not the 0.30000000000000004 of the product.
func (q Quote) Total() string {
	_, decimals, _ := strings.Cut(q.Price(), ".")
	total := strconv.FormatFloat(q.StockPrice*float64(q.Qty), 'f', len(decimals), 64)
	if decimals == "" {
		return total
	}
	return strings.TrimSuffix(strings.TrimRight(total, "0"), ".")
}

// Threshold is the price above which the sample's rule recommends to sell.
const Threshold = 50

// Recommend makes the recommendation; replace it with your own. Its rules are examples,
// not advice. Where the quote knows the previous close: buy below it, else
// sell. Where it does not, the sample's rule: sell above the threshold, else buy.
func Recommend(q Quote) Side {
	sell := q.StockPrice > Threshold
	if q.PreviousClose > 0 {
		sell = q.StockPrice >= q.PreviousClose
	}
	if sell {
		return Sell
	}
	return Buy
}

// OutcomeTraded is the outcome of a receipt. The state machine writes the others
// (declined, expired, failed) into its own reports.
const OutcomeTraded = "traded"

// Receipt is the result of a trade: the original sample's five fields, all strings,
// and three more.
type Receipt struct {
	ID         string `json:"id"`        // the quote's id: one quote is traded at most once
	Price      string `json:"price"`     // per share; the average, if they were traded at several prices
	Type       Side   `json:"type"`      // what was done, which need not be what was recommended
	Qty        string `json:"qty"`       // shares that were traded
	Timestamp  string `json:"timestamp"` // ISO 8601; the time of the quote
	Symbol     string `json:"symbol"`
	Outcome    string `json:"outcome"`               // OutcomeTraded
	OrderedQty string `json:"ordered_qty,omitempty"` // shares that were to be traded, if not all of them were
}

// Receipt returns the receipt of a trade of the quoted quantity at the quoted price. It
// depends on nothing else, so that a retry returns the same one.
func (q Quote) Receipt(side Side) Receipt {
	return Receipt{
		ID:        q.QuoteID,
		Price:     q.Price(),
		Type:      side,
		Qty:       strconv.Itoa(q.Qty),
		Timestamp: q.QuotedAt.UTC().Format(time.RFC3339),
		Symbol:    q.Symbol,
		Outcome:   OutcomeTraded,
	}
}

// object splits a JSON object into its fields. Unlike decoding into a struct, it does not
// accept "Symbol" for "symbol".
func object(what string, data []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil || fields == nil {
		return nil, invalid("%s is %s, want a JSON object", what, excerpt(data))
	}
	return fields, nil
}

func symbol(raw json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil || !consistsOf(*s, symbolSet, 1, MaxSymbolLen) {
		return "", invalid("symbol is %s, want a string of 1 to %d letters, digits, dots and hyphens", excerpt(raw), MaxSymbolLen)
	}
	return *s, nil
}

func qty(raw json.RawMessage) (int, error) {
	n, err := number("qty", raw)
	if err != nil || n != math.Trunc(n) || n < MinQty || n > MaxQty {
		return 0, invalid("qty is %s, want a whole number from %d to %d", excerpt(raw), MinQty, MaxQty)
	}
	return int(n), nil
}

func number(field string, raw json.RawMessage) (float64, error) {
	var n *float64
	if err := json.Unmarshal(raw, &n); err != nil || n == nil {
		return 0, invalid("%s is %s, want a number", field, excerpt(raw))
	}
	return *n, nil
}

// excerpt shows a JSON value in an error: on one line, in ASCII, and never the whole of a large one.
func excerpt(raw json.RawMessage) string {
	const limit = 40
	if len(raw) == 0 {
		return "missing"
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) == nil {
		raw = compact.Bytes()
	}
	var shown strings.Builder
	for _, c := range string(raw) {
		if shown.Len() >= limit {
			shown.WriteString("...")
			break
		}
		switch {
		case c >= ' ' && c <= '~':
			shown.WriteRune(c)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			fmt.Fprintf(&shown, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&shown, `\u%04x`, c)
		}
	}
	return shown.String()
}
