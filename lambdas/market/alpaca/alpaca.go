// Package alpaca is a real market: the prices of Alpaca's market data API and the orders
// of its trading API, through Alpaca's own SDK.
//
// An order is a limit order, immediate or cancel, at the approved price or better, and the
// quote's id is its client order id, which Alpaca takes once. So whoever sends it again
// finds the order that is there already, and no order outlives the function that sent it.
//
// Every error is of a type of package trading by which the state machine knows what to do,
// and its text is a sentence for a person: without keys, and without what a server in
// between may have answered in Alpaca's place.
package alpaca

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	sdk "github.com/alpacahq/alpaca-trade-api-go/v3/alpaca"
	"github.com/alpacahq/alpaca-trade-api-go/v3/marketdata"
	"github.com/shopspring/decimal"

	"stocktrading/lambdas/trading"
)

// Where Alpaca is.
const (
	paperURL = "https://paper-api.alpaca.markets"
	liveURL  = "https://api.alpaca.markets"
	dataURL  = "https://data.alpaca.markets"
)

// The times of one invocation, which ends before its function does, so that it is never
// the function's timeout that says what happened.
const (
	requestTimeout = 4 * time.Second
	patience       = 3 * time.Second        // for an order's end, before it is cancelled
	lookEvery      = 200 * time.Millisecond // whether it has ended
	toCancel       = 2 * time.Second        // is kept for that
	toAnswer       = 500 * time.Millisecond // is kept for the function's own answer
)

// maxAnswer is more than any answer of Alpaca to what is asked here.
const maxAnswer = 1 << 20

// Config says which Alpaca it is.
type Config struct {
	Live     bool   // real money; else paper trading
	Endpoint string // a base URL in place of Alpaca's own; "" for none
	Secret   *Secret
}

// Market is Alpaca, for any number of invocations.
type Market struct {
	mode      string // "paper" or "live"
	orders    string // base URL of the trading API
	prices    string // base URL of the market data API
	secret    *Secret
	transport http.RoundTripper
	patience  time.Duration
}

// New returns the market. Nothing is asked of anybody before a quote or an order is.
func New(c Config) *Market {
	m := &Market{mode: "paper", orders: paperURL, prices: dataURL, secret: c.Secret, transport: http.DefaultTransport, patience: patience}
	if c.Live {
		m.mode, m.orders = "live", liveURL
	}
	if c.Endpoint != "" {
		m.orders, m.prices = c.Endpoint, c.Endpoint
	}
	return m
}

// DefaultQty is one share: real shares are not drawn by chance.
func (*Market) DefaultQty() int { return 1 }

// Price asks for the price of the latest trade and the close of the trading day before.
// Its error is an *OrderRefused or a *MarketUnavailable.
func (m *Market) Price(ctx context.Context, symbol string) (trading.SharePrice, error) {
	s, end, err := m.begin(ctx)
	if err != nil {
		return trading.SharePrice{}, err
	}
	defer end()
	client := marketdata.NewClient(marketdata.ClientOpts{
		APIKey: s.keys.id.reveal(), APISecret: s.keys.secret.reveal(), BaseURL: m.prices, RetryLimit: noRetries, HTTPClient: s.http,
	})
	name := strings.ToUpper(symbol) // as Alpaca spells them
	snapshot, err := client.GetSnapshot(name, marketdata.GetSnapshotRequest{})
	switch problem := s.explain(err); {
	case err != nil && problem.lasting():
		return trading.SharePrice{}, refused("Alpaca tells no price of %s: %s", symbol, problem)
	case err != nil:
		return trading.SharePrice{}, unavailable("Alpaca tells no price of %s now: %s; nothing was traded", symbol, problem)
	case snapshot == nil || snapshot.LatestTrade == nil || !(snapshot.LatestTrade.Price > 0):
		return trading.SharePrice{}, refused("Alpaca knows no stock %s, or no trade of it", symbol)
	}
	price := trading.SharePrice{
		Latest: snapshot.LatestTrade.Price,
		Limit:  decimal.NewFromFloat(snapshot.LatestTrade.Price).String(),
	}
	if snapshot.PrevDailyBar != nil {
		price.PreviousClose = snapshot.PrevDailyBar.Close
	}
	return price, nil
}

// noRetries keeps the SDK from trying again by itself: how often, the state machine says.
const noRetries = -1

// session is Alpaca for one invocation.
type session struct {
	*Market
	keys keys
	http *http.Client
}

// begin gets the keys, and binds all that is asked to the time that there is.
func (m *Market) begin(ctx context.Context) (s session, end func(), err error) {
	end = func() {}
	if deadline, ok := ctx.Deadline(); ok {
		ctx, end = context.WithDeadline(ctx, deadline.Add(-toAnswer))
	}
	k, err := m.secret.get(ctx)
	if err != nil {
		end()
		return session{}, nil, err
	}
	return session{Market: m, keys: k, http: &http.Client{
		Transport: bound{ctx, m.transport},
		// The keys are for Alpaca alone, wherever it may send us.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, end, nil
}

// bound gives requests the context that the SDK knows none of, and of answers what can be
// understood.
type bound struct {
	ctx  context.Context
	next http.RoundTripper
}

func (b bound) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(b.ctx, requestTimeout)
	defer cancel()
	resp, err := b.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	// The SDK makes an error of the whole body of a refusal that is no JSON, such as a page
	// that a server in between has made. Its status is all that is of use.
	if resp.StatusCode >= http.StatusMultipleChoices && !json.Valid(body) {
		body = []byte(`{}`)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// problem is what went wrong with a request.
type problem struct {
	status int    // of HTTP; 0 if there was no answer, or none to be understood
	code   int    // Alpaca's own; 0 if the answer has none
	text   string // for a person
}

func (p problem) String() string { return p.text }

// lasting tells whether the same request would be refused again.
func (p problem) lasting() bool {
	return p.status != 0 && p.status != http.StatusRequestTimeout && p.status != http.StatusTooManyRequests && p.status < http.StatusInternalServerError
}

// missing tells whether Alpaca itself knows that there is no such thing: a server in between
// may say the same of an address.
func (p problem) missing() bool { return p.status == http.StatusNotFound && p.code == 40410000 }

// explain says what an error of the SDK means. The status and the number in the body are
// what Alpaca promises; its messages are for people.
func (s session) explain(err error) problem {
	var api *sdk.APIError
	if !errors.As(err, &api) {
		return problem{text: "it did not answer in time, or not in a way that can be understood"}
	}
	p := problem{status: api.StatusCode, code: api.Code, text: trading.OneLine(api.Message, 200)}
	switch {
	case p.status == http.StatusUnauthorized, p.status == http.StatusForbidden && p.code == 0:
		p.text = fmt.Sprintf("it does not accept the keys of the secret %s for this (%s trading, HTTP status %d)", s.secret.ARN, s.mode, p.status)
	case p.status == http.StatusTooManyRequests:
		p.text = "it takes no more requests of these keys for the moment (HTTP status 429)"
	case p.status >= http.StatusInternalServerError:
		p.text = fmt.Sprintf("it has a fault of its own (HTTP status %d)", p.status)
	case p.text == "":
		p.text = fmt.Sprintf("it refuses without saying why (HTTP status %d)", p.status)
	}
	return p
}

// refused is an error of which it is certain that nothing was traded.
func refused(format string, args ...any) error {
	return &trading.OrderRefused{Reason: fmt.Sprintf(format, args...) + "; nothing was traded"}
}

// unavailable is an error that a later attempt may not meet.
func unavailable(format string, args ...any) error {
	return &trading.MarketUnavailable{Reason: fmt.Sprintf(format, args...)}
}
