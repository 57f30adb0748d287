// Package alpaca is a real market: the prices of Alpaca's market data API and the orders
// of its trading API, through Alpaca's own SDK.
//
// An order is a limit order, immediate or cancel, at the approved price or better, and the
// quote's id is its client order id, which Alpaca accepts once. A second attempt finds the
// order that is there already, and no order outlives the function that placed it.
//
// Every error has a type of package trading that the state machine matches, and its text is
// a sentence for a person: without keys, and without what a server in between may have
// answered in place of Alpaca.
package alpaca

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
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

// The time limits within one invocation, which ends before the function's own timeout, so
// that the error says what happened.
const (
	requestTimeout = 4 * time.Second
	settle         = 2 * time.Second        // Alpaca may work on what an earlier attempt has asked for
	patience       = 3 * time.Second        // for an order's end, before it is cancelled
	lookEvery      = 200 * time.Millisecond // whether it has ended
	toCancel       = 2 * time.Second        // is set aside for that
	toAnswer       = 500 * time.Millisecond // is set aside for the function's own answer
)

// maxAnswer is more than any answer of Alpaca to what is asked here.
const maxAnswer = 1 << 20

// Config says which Alpaca it is.
type Config struct {
	Market  trading.Market // trading.LiveMarket for real money; any other is paper trading
	StandIn string         // http://IP:PORT of a broker on this machine in place of Alpaca; "" for none
	Secret  *Secret
}

// Market is Alpaca, for any number of invocations.
type Market struct {
	name      trading.Market
	orders    string // base URL of the trading API
	prices    string // base URL of the market data API
	wrong     *failure
	secret    *Secret
	transport http.RoundTripper
	settle    time.Duration
	patience  time.Duration
}

// Open returns the market that a function's environment names: MARKET_MODE, "paper" or
// "live", and MARKET_SECRET, the ARN of the keys. The local run adds MARKET_ENDPOINT, the
// address of a broker that stands in for Alpaca, which no deployed function has.
func Open(getenv func(string) string) *Market {
	return New(Config{
		Market:  trading.Market(getenv("MARKET_MODE")),
		StandIn: getenv("MARKET_ENDPOINT"),
		Secret:  &Secret{ARN: getenv("MARKET_SECRET"), Reader: secretsManager},
	})
}

// New returns the market. It sends nothing before it is asked for a quote or an order.
func New(c Config) *Market {
	m := &Market{
		name: c.Market, orders: paperURL, prices: dataURL, secret: c.Secret,
		transport: http.DefaultTransport, settle: settle, patience: patience,
	}
	if c.Market == trading.LiveMarket {
		m.orders = liveURL
	}
	if c.StandIn != "" {
		m.orders, m.prices = c.StandIn, c.StandIn
		// The keys leave this machine for Alpaca alone, so that only an IP address will do:
		// a name could stand for any machine.
		host, ok := strings.CutPrefix(c.StandIn, "http://")
		if address, err := netip.ParseAddrPort(host); !ok || err != nil || !address.Addr().IsLoopback() {
			m.wrong = &failure{text: fmt.Sprintf("MARKET_ENDPOINT is %q, want an address of this machine such as http://127.0.0.1:8090", c.StandIn), permanent: true}
		}
	}
	return m
}

// Market is paper or live.
func (m *Market) Market() trading.Market { return m.name }

// DefaultQty is one share: real shares are not drawn by chance.
func (*Market) DefaultQty() int { return 1 }

// Price asks for the price of the latest trade and the close of the trading day before.
// Its error is an *OrderRefused or a *MarketUnavailable.
func (m *Market) Price(ctx context.Context, symbol string) (trading.SharePrice, error) {
	s, end, denied := m.begin(ctx)
	if denied != nil && denied.permanent {
		return trading.SharePrice{}, refused("%s", denied)
	} else if denied != nil {
		return trading.SharePrice{}, unavailable("%s; nothing was traded", denied)
	}
	defer end()
	client := marketdata.NewClient(marketdata.ClientOpts{
		APIKey: s.keys.id.reveal(), APISecret: s.keys.secret.reveal(), BaseURL: m.prices, RetryLimit: noRetries, HTTPClient: s.http,
	})
	name := strings.ToUpper(symbol) // as Alpaca spells them
	snapshot, err := client.GetSnapshot(name, marketdata.GetSnapshotRequest{})
	switch f := s.explain(err); {
	case err != nil && f.permanent:
		return trading.SharePrice{}, refused("Alpaca gives no price of %s: %s", symbol, f)
	case err != nil:
		return trading.SharePrice{}, unavailable("Alpaca gives no price of %s now: %s; nothing was traded", symbol, f)
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

// noRetries keeps the SDK from retrying by itself: the state machine does that.
const noRetries = -1

// session is Alpaca for one invocation.
type session struct {
	*Market
	keys keys
	http *http.Client
}

// begin gets the keys, and limits all requests to the time that is left.
func (m *Market) begin(ctx context.Context) (s session, end func(), denied *failure) {
	if m.wrong != nil {
		return session{}, nil, m.wrong
	}
	end = func() {}
	if deadline, ok := ctx.Deadline(); ok {
		ctx, end = context.WithDeadline(ctx, deadline.Add(-toAnswer))
	}
	k, denied := m.secret.get(ctx)
	if denied != nil {
		end()
		return session{}, nil, denied
	}
	return session{Market: m, keys: k, http: &http.Client{
		Transport: bound{ctx, m.transport},
		// The keys are for Alpaca alone, wherever it may send us.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, end, nil
}

// bound adds the context that the SDK cannot take, and removes from an answer what can't
// be understood.
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
	// The SDK makes an error of the whole body of a refusal that is not JSON, such as a page
	// that a server in between has made. Its status is all that is of use.
	if resp.StatusCode >= http.StatusMultipleChoices && !json.Valid(body) {
		body = []byte(`{}`)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// failure is what went wrong with a request.
type failure struct {
	text      string // for a person
	permanent bool   // the same request would be refused again
	keys      bool   // it is the keys that are refused
	limited   bool   // Alpaca rejected it unseen, by its rate limit
	notFound  bool   // Alpaca itself says so, and not a server in between
}

func (f *failure) String() string { return f.text }

// explain says what an error of the SDK means. The status and the number in the body are
// what Alpaca promises; its messages are for people.
func (s session) explain(err error) *failure {
	var api *sdk.APIError
	if !errors.As(err, &api) {
		return &failure{text: "it did not answer in time, or not in a way that can be understood"}
	}
	status := api.StatusCode
	f := &failure{
		text:      trading.OneLine(api.Message, 200),
		permanent: status != http.StatusRequestTimeout && status != http.StatusTooManyRequests && status < http.StatusInternalServerError,
		keys:      status == http.StatusUnauthorized || status == http.StatusForbidden && api.Code == 0,
		limited:   status == http.StatusTooManyRequests,
		notFound:  status == http.StatusNotFound && api.Code == 40410000, // a server in between may say 404 of an address
	}
	switch {
	case f.keys:
		f.text = fmt.Sprintf("it does not accept the keys of the secret %s for this (%s trading, HTTP status %d)", s.secret.ARN, s.name, status)
	case f.limited:
		f.text = "it takes no more requests of these keys for the moment (HTTP status 429)"
	case status >= http.StatusInternalServerError:
		f.text = fmt.Sprintf("it has a fault of its own (HTTP status %d)", status)
	case f.text == "":
		f.text = fmt.Sprintf("it refuses without saying why (HTTP status %d)", status)
	}
	return f
}

// refused is the error when it is certain that nothing was traded.
func refused(format string, args ...any) error {
	return &trading.OrderRefused{Reason: fmt.Sprintf(format, args...) + "; nothing was traded"}
}

// unavailable is the error when a later attempt may succeed.
func unavailable(format string, args ...any) error {
	return &trading.MarketUnavailable{Reason: fmt.Sprintf(format, args...)}
}
