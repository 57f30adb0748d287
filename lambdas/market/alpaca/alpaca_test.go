package alpaca

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"stocktrading/lambdas/trading"
	"stocktrading/local/broker"
)

const secretARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:alpaca-AbCdEf"

// vault is a Secrets Manager with one secret.
type vault func() (string, error)

func (v vault) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	text, err := v()
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(text)}, nil
}

func secretOf(v vault) *Secret {
	return &Secret{ARN: secretARN, Reader: func(string) (SecretReader, error) { return v, nil }}
}

func holding(id, key string) *Secret {
	return secretOf(func() (string, error) {
		text, err := json.Marshal(map[string]string{KeyIDField: id, SecretKeyField: key})
		return string(text), err
	})
}

// open starts a broker, and returns the market that trades at it.
func open(t *testing.T, c broker.Config) (*Market, *broker.Server) {
	t.Helper()
	b := broker.New(c)
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return at(server.URL), b
}

// at is the market of a broker at an address, with little patience.
func at(url string) *Market {
	m := New(Config{Market: trading.PaperMarket, StandIn: url, Secret: holding(broker.KeyID, broker.SecretKey)})
	m.settle = 0
	return m
}

// always is a stock that every symbol has, in capitals as Alpaca spells them.
func always(s broker.Stock) func(string) (broker.Stock, bool) {
	return func(symbol string) (broker.Stock, bool) { return s, symbol == strings.ToUpper(symbol) }
}

func never(string) (broker.Stock, bool) { return broker.Stock{}, false }

// disturbing makes requests of a kind fail, the first ones in this way and later ones not.
func disturbing(operation broker.Operation, faults ...broker.Fault) func(broker.Request) broker.Fault {
	return func(r broker.Request) broker.Fault {
		if r.Operation != operation || len(faults) == 0 {
			return broker.None
		}
		fault := faults[0]
		faults = faults[1:]
		return fault
	}
}

// checkError wants an error of a type with a text, which a person can bear every byte of.
func checkError(t *testing.T, err, want error, text string) {
	t.Helper()
	switch {
	case want == nil && err != nil:
		t.Errorf("got error %v", err)
	case want == nil:
	case err == nil || fmt.Sprintf("%T", err) != fmt.Sprintf("%T", want):
		t.Errorf("got error %T: %v, want a %T", err, err, want)
	case !strings.Contains(err.Error(), text):
		t.Errorf("got error %q, want it to contain %q", err, text)
	case strings.ContainsAny(err.Error(), "\n<>") || strings.Contains(err.Error(), broker.KeyID) || strings.Contains(err.Error(), broker.SecretKey):
		t.Errorf("error %q is nothing for a person", err)
	case want == error(refusedError) && !strings.HasSuffix(err.Error(), "nothing was traded"):
		t.Errorf("error %q does not say that nothing was traded", err)
	case want == error(unknownError) && strings.Contains(err.Error(), "nothing was traded"):
		t.Errorf("error %q says what cannot be known", err)
	}
}

// Errors of which only the type counts.
var (
	refusedError     = &trading.OrderRefused{}
	unavailableError = &trading.MarketUnavailable{}
	unknownError     = &trading.OrderUnknown{}
	conflictError    = &trading.OrderConflict{}
	invalidError     = &trading.InvalidRequest{}
)

func TestPrice(t *testing.T) {
	for _, test := range []struct {
		name    string
		config  broker.Config
		want    trading.SharePrice
		err     error
		errText string
	}{
		{"of a trade", broker.Config{Stock: always(broker.Stock{Latest: 187.12, PreviousClose: 190.5})}, trading.SharePrice{Latest: 187.12, Limit: "187.12", PreviousClose: 190.5}, nil, ""},
		{"between ticks", broker.Config{Stock: always(broker.Stock{Latest: 187.1234, PreviousClose: 1})}, trading.SharePrice{Latest: 187.1234, Limit: "187.1234", PreviousClose: 1}, nil, ""},
		{"no binary fraction", broker.Config{Stock: always(broker.Stock{Latest: 0.1})}, trading.SharePrice{Latest: 0.1, Limit: "0.1"}, nil, ""},
		{"a whole number", broker.Config{Stock: always(broker.Stock{Latest: 100})}, trading.SharePrice{Latest: 100, Limit: "100"}, nil, ""},
		{"of the first day", broker.Config{Stock: always(broker.Stock{Latest: 5.5})}, trading.SharePrice{Latest: 5.5, Limit: "5.5"}, nil, ""},
		{"of a closed market", broker.Config{Closed: true, Stock: always(broker.Stock{Latest: 5.5})}, trading.SharePrice{Latest: 5.5, Limit: "5.5"}, nil, ""},
		{"of no stock", broker.Config{Stock: never}, trading.SharePrice{}, refusedError, "Alpaca knows no stock amzn, or no trade of it"},
		{"of no trade", broker.Config{Stock: always(broker.Stock{})}, trading.SharePrice{}, refusedError, "Alpaca knows no stock amzn, or no trade of it"},
		{"for another key", broker.Config{KeyID: "other", SecretKey: "other"}, trading.SharePrice{}, refusedError, "Alpaca gives no price of amzn: it does not accept the keys of the secret " + secretARN + " for this (paper trading, HTTP status 401)"},
		{"too often", broker.Config{Disturb: disturbing(broker.Quote, broker.RateLimited)}, trading.SharePrice{}, unavailableError, "it takes no more requests of these keys for the moment (HTTP status 429); nothing was traded"},
		{"in a fault", broker.Config{Disturb: disturbing(broker.Quote, broker.Failed)}, trading.SharePrice{}, unavailableError, "it has a fault of its own (HTTP status 503); nothing was traded"},
		{"with half an answer", broker.Config{Disturb: disturbing(broker.Quote, broker.Unreached)}, trading.SharePrice{}, unavailableError, "it did not answer in time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, _ := open(t, test.config)
			got, err := m.Price(t.Context(), "amzn")
			checkError(t, err, test.err, test.errText)
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// Paper stays paper: real money takes the one word that a deployment says for it.
func TestOpen(t *testing.T) {
	for mode, orders := range map[string]string{
		"paper": "https://paper-api.alpaca.markets", "live": "https://api.alpaca.markets",
		"": "https://paper-api.alpaca.markets", "Live": "https://paper-api.alpaca.markets", "simulated": "https://paper-api.alpaca.markets",
	} {
		m := Open(func(name string) string {
			return map[string]string{"MARKET_MODE": mode, "MARKET_SECRET": secretARN}[name]
		})
		if m.orders != orders || m.prices != "https://data.alpaca.markets" || m.Market() != trading.Market(mode) || m.secret.ARN != secretARN || m.wrong != nil {
			t.Errorf("MARKET_MODE=%s trades at %s with prices of %s and the secret %s, and says it is %s", mode, m.orders, m.prices, m.secret.ARN, m.Market())
		}
	}
}

// noRequests is a network that nothing may be sent to.
type noRequests struct{ t *testing.T }

func (n noRequests) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("the keys went to %s", r.URL)
	return nil, io.EOF
}

// The keys go to Alpaca or to a broker on this machine, however an address is spelled.
func TestKeysStayOnThisMachine(t *testing.T) {
	for address, right := range map[string]bool{
		"http://127.0.0.1:8090": true, "http://[::1]:8090": true,
		"https://api.alpaca.markets": false, "https://api.alpaca。markets": false, "http://localhost:8090": false, "http://0.0.0.0:8090": false,
		"http://127.0.0.1.example.com:80": false, "http://127.0.0.1:80@example.com": false, "http://192.0.2.1:80": false,
		"http://127.0.0.1:80/v2": false, "http://127.0.0.1:80?x": false, "https://127.0.0.1:80": false, "127.0.0.1:80": false,
	} {
		m := Open(func(name string) string {
			return map[string]string{"MARKET_MODE": "paper", "MARKET_ENDPOINT": address}[name]
		})
		if right {
			if m.wrong != nil || m.orders != address || m.prices != address {
				t.Errorf("%s: trades at %s with prices of %s, %v", address, m.orders, m.prices, m.wrong)
			}
			continue
		}
		m.secret, m.transport = holding(broker.KeyID, broker.SecretKey), noRequests{t}
		_, err := m.Price(t.Context(), "AMZN")
		checkError(t, err, refusedError, "want an address of this machine such as http://127.0.0.1:8090")
		_, err = m.Trade(t.Context(), trading.Buy, quote())
		checkError(t, err, unknownError, "want an address of this machine such as http://127.0.0.1:8090")
	}
}

func quote() trading.Quote {
	return trading.Quote{StockPrice: 187.12, LimitPrice: "187.12", Symbol: "AMZN", Qty: 5, QuoteID: "0123456789abcdef0123456789abcdef"}
}

func TestTrade(t *testing.T) {
	stock := broker.Stock{Latest: 187.12, Liquidity: -1}
	with := func(change func(*broker.Stock)) func(string) (broker.Stock, bool) {
		s := stock
		change(&s)
		return always(s)
	}
	dollars := func(n int64) *decimal.Decimal { d := decimal.NewFromInt(n); return &d }
	shares := func(n int) *int { return &n }
	all := trading.Receipt{ID: quote().QuoteID, Price: "187.12", Qty: "5", Symbol: "AMZN", Outcome: "traded", Timestamp: "0001-01-01T00:00:00Z"}
	for _, test := range []struct {
		name    string
		side    trading.Side
		config  broker.Config
		receipt func(*trading.Receipt) // of what differs; nil if nothing is traded
		err     error
		errText string
		orders  int
	}{
		{"bought", trading.Buy, broker.Config{}, func(*trading.Receipt) {}, nil, "", 1},
		{"bought by a name in small letters", trading.Buy, broker.Config{}, func(r *trading.Receipt) { r.Symbol = "amzn" }, nil, "", 1},
		{"sold", trading.Sell, broker.Config{Shares: shares(5)}, func(*trading.Receipt) {}, nil, "", 1},
		{"bought for less", trading.Buy, broker.Config{Stock: with(func(s *broker.Stock) { s.Trades = 186.505 })}, func(r *trading.Receipt) { r.Price = "186.505" }, nil, "", 1},
		{"sold for more", trading.Sell, broker.Config{Stock: with(func(s *broker.Stock) { s.Trades = 190 })}, func(r *trading.Receipt) { r.Price = "190" }, nil, "", 1},
		{"in part", trading.Buy, broker.Config{Stock: with(func(s *broker.Stock) { s.Liquidity = 3 })}, func(r *trading.Receipt) { r.Qty, r.OrderedQty = "3", "5" }, nil, "", 1},
		{"after some looks", trading.Buy, broker.Config{Looks: 2}, func(*trading.Receipt) {}, nil, "", 1},
		{"too slow for none", trading.Buy, broker.Config{Looks: -1, Stock: with(func(s *broker.Stock) { s.Liquidity = 0 })}, nil, refusedError, "found nobody to trade with: 0 of 5 filled", 1},
		{"too slow for all", trading.Buy, broker.Config{Looks: -1, Stock: with(func(s *broker.Stock) { s.Liquidity = 3 })}, func(r *trading.Receipt) { r.Qty, r.OrderedQty = "3", "5" }, nil, "", 1},
		{"while looks fail", trading.Buy, broker.Config{Disturb: disturbing(broker.Look, broker.Failed, broker.RateLimited)}, func(*trading.Receipt) {}, nil, "", 1},
		{"with nobody", trading.Buy, broker.Config{Stock: with(func(s *broker.Stock) { s.Liquidity = 0 })}, nil, refusedError, "the order to buy 5 AMZN at $187.12 or better found nobody to trade with: 0 of 5 filled; nothing was traded", 1},
		{"at a price that has gone", trading.Sell, broker.Config{Stock: with(func(s *broker.Stock) { s.Trades = 187.11 })}, nil, refusedError, "the order to sell 5 AMZN at $187.12 or better found nobody to trade with: 0 of 5 filled; nothing was traded", 1},
		{"in a closed market", trading.Buy, broker.Config{Closed: true}, nil, refusedError, "the market is closed until 2", 0},
		{"an unknown stock", trading.Buy, broker.Config{Stock: never}, nil, refusedError, `Alpaca refused the order to buy 5 AMZN at $187.12 or better: asset "AMZN" not found; nothing was traded`, 0},
		{"without money", trading.Buy, broker.Config{BuyingPower: dollars(935)}, nil, refusedError, "Alpaca refused the order to buy 5 AMZN at $187.12 or better: insufficient buying power; nothing was traded", 0},
		{"without shares", trading.Sell, broker.Config{Shares: shares(0)}, nil, refusedError, "there are no AMZN to sell; nothing was traded", 0},
		{"with too few shares", trading.Sell, broker.Config{Shares: shares(4)}, nil, refusedError, "there are 4 AMZN to sell, and not 5; nothing was traded", 0},
		{"with some held for another order", trading.Sell, broker.Config{Shares: shares(5), Reserved: 1}, nil, refusedError, "there are 4 AMZN to sell, and not 5; nothing was traded", 0},
		{"with another key", trading.Buy, broker.Config{KeyID: "other", SecretKey: "other"}, nil, unknownError, "it can't be looked up whether there is the order to buy 5 AMZN at $187.12 or better: Alpaca does not say: it does not accept the keys of the secret " + secretARN, 0},
		{"with a key that is refused after the look", trading.Buy, broker.Config{Disturb: disturbing(broker.Clock, broker.Denied)}, nil, refusedError, "it does not accept the keys of the secret " + secretARN, 0},
		{"too often", trading.Buy, broker.Config{Disturb: disturbing(broker.Place, broker.RateLimited)}, nil, unavailableError, "the order to buy 5 AMZN at $187.12 or better is not known to be placed: Alpaca did not take it: it takes no more requests", 0},
		{"too often to ask whether it is open", trading.Buy, broker.Config{Disturb: disturbing(broker.Clock, broker.RateLimited)}, nil, unavailableError, "Alpaca did not take it: it takes no more requests of these keys for the moment (HTTP status 429)", 0},
		{"too often to look", trading.Buy, broker.Config{RequestsPerMinute: -1}, nil, unavailableError, "Alpaca does not say: it takes no more requests of these keys for the moment (HTTP status 429)", 0},
		{"with the look in a fault", trading.Buy, broker.Config{Disturb: disturbing(broker.Find, broker.Failed)}, nil, unavailableError, "it could not be looked up whether there is the order to buy 5 AMZN at $187.12 or better: Alpaca does not say: it has a fault of its own (HTTP status 503)", 0},
		{"in a fault", trading.Buy, broker.Config{Disturb: disturbing(broker.Place, broker.Failed)}, nil, unavailableError, "Alpaca was asked for it, and what became of that is unknown: it has a fault of its own (HTTP status 503)", 0},
		{"in a fault of the clock", trading.Buy, broker.Config{Disturb: disturbing(broker.Clock, broker.Failed)}, nil, unavailableError, "Alpaca was not asked for it: it has a fault of its own (HTTP status 503)", 0},
		{"in a fault of the positions", trading.Sell, broker.Config{Disturb: disturbing(broker.Position, broker.Failed)}, nil, unavailableError, "Alpaca was not asked for it: it has a fault of its own (HTTP status 503)", 0},
		{"without an answer", trading.Buy, broker.Config{Disturb: disturbing(broker.Place, broker.Unreached)}, nil, unavailableError, "it did not answer in time", 0},
		{"with the reply lost", trading.Buy, broker.Config{Disturb: disturbing(broker.Place, broker.ReplyLost)}, nil, unavailableError, "what became of that is unknown", 1},
		{"refused, and the look-up in a fault", trading.Buy, broker.Config{BuyingPower: dollars(1), Disturb: disturbing(broker.Find, broker.None, broker.Failed)}, nil, unavailableError, "it could not be looked up whether there is the order", 0},
		{"refused, and then the key too", trading.Buy, broker.Config{BuyingPower: dollars(1), Disturb: disturbing(broker.Find, broker.None, broker.Denied)}, nil, unknownError, "it can't be looked up whether there is the order", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.config.Stock == nil {
				test.config.Stock = always(stock)
			}
			m, b := open(t, test.config)
			m.patience = 0
			if test.config.Looks > 0 {
				m.patience = patience
			}
			want, q := trading.Receipt{}, quote()
			if test.receipt != nil {
				want = all
				want.Type = test.side
				test.receipt(&want)
				q.Symbol = want.Symbol
			}
			got, err := m.Trade(t.Context(), test.side, q)
			checkError(t, err, test.err, test.errText)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			if orders := b.Orders(); len(orders) != test.orders {
				t.Errorf("%d orders, want %d: %+v", len(orders), test.orders, orders)
			}
			for _, o := range b.Orders() {
				if test.err != error(unavailableError) && o.Status != "filled" && o.Status != "canceled" {
					t.Errorf("the order outlives the function: it is %s", o.Status)
				}
			}
		})
	}
}

// Whatever the market says to the second attempt, the order of the first one is found.
func TestTradeAgainAfterALostReply(t *testing.T) {
	shares := 5
	for _, test := range []struct {
		name     string
		side     trading.Side
		config   broker.Config
		meantime func(*broker.Config)
	}{
		{"nothing else", trading.Buy, broker.Config{}, func(*broker.Config) {}},
		{"and that is looked at last", trading.Buy, broker.Config{IDsLast: true}, func(*broker.Config) {}},
		{"the market has closed", trading.Buy, broker.Config{}, func(c *broker.Config) { c.Closed = true }},
		{"all shares are sold", trading.Sell, broker.Config{Shares: &shares, IDsLast: true}, func(*broker.Config) {}},
		{"the money is spent", trading.Buy, broker.Config{IDsLast: true}, func(c *broker.Config) { c.BuyingPower = &decimal.Decimal{} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Stock = always(broker.Stock{Latest: 187.12, Liquidity: 4})
			places, lose := 0, disturbing(broker.Place, broker.ReplyLost)
			test.config.Disturb = func(r broker.Request) broker.Fault {
				if r.Operation == broker.Place {
					places++
				}
				return lose(r)
			}
			m, b := open(t, test.config)
			_, err := m.Trade(t.Context(), test.side, quote())
			checkError(t, err, unavailableError, "what became of that is unknown")
			b.Change(test.meantime)
			var first trading.Receipt
			for i := range 2 {
				got, err := m.Trade(t.Context(), test.side, quote())
				if err != nil || got.Qty != "4" || got.OrderedQty != "5" {
					t.Fatalf("got %+v, %v, want the receipt of 4 of 5", got, err)
				}
				if i == 0 {
					first = got
				}
				if got != first {
					t.Errorf("one retry gives %+v, another %+v", first, got)
				}
			}
			if orders := b.Orders(); len(orders) != 1 || places != 1 {
				t.Errorf("%d orders, asked for %d times, want 1 of each", len(orders), places)
			}
		})
	}
}

// Alpaca may still work on what an earlier attempt has asked for when a later one is
// refused: nothing is said to be not traded before that has had its time.
func TestTradeRefusedWhileTheOrderIsOnItsWay(t *testing.T) {
	m, b := open(t, broker.Config{
		Stock: always(broker.Stock{Latest: 187.12, Liquidity: -1}), Lag: 500 * time.Millisecond,
		Disturb: disturbing(broker.Place, broker.Late, broker.Poor),
	})
	_, err := m.Trade(t.Context(), trading.Buy, quote())
	checkError(t, err, unavailableError, "what became of that is unknown")
	m.settle = settle
	if got, err := m.Trade(t.Context(), trading.Buy, quote()); err != nil || got.Qty != "5" {
		t.Errorf("got %+v, %v, want the receipt of 5", got, err)
	}
	if orders := b.Orders(); len(orders) != 1 {
		t.Errorf("%d orders, want 1", len(orders))
	}
}

// Where the keys are taken back after a lost reply, nobody can tell what became of the order.
func TestTradeUnknownAfterALostReply(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException"}
	for _, test := range []struct {
		name   string
		change func(*Market, *broker.Server)
	}{
		{"by Alpaca", func(_ *Market, b *broker.Server) { b.Change(func(c *broker.Config) { c.KeyID = "other" }) }},
		{"by Secrets Manager", func(m *Market, _ *broker.Server) { m.secret = secretOf(func() (string, error) { return "", denied }) }},
		{"with other content", func(m *Market, _ *broker.Server) { m.secret = secretOf(func() (string, error) { return "{}", nil }) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, b := open(t, broker.Config{Stock: always(broker.Stock{Latest: 187.12, Liquidity: -1}), Disturb: disturbing(broker.Place, broker.ReplyLost)})
			_, err := m.Trade(t.Context(), trading.Buy, quote())
			checkError(t, err, unavailableError, "what became of that is unknown")
			test.change(m, b)
			_, err = m.Trade(t.Context(), trading.Buy, quote())
			checkError(t, err, unknownError, "it can't be looked up whether there is the order to buy 5 AMZN")
			if orders := b.Orders(); len(orders) != 1 {
				t.Errorf("%d orders, want 1", len(orders))
			}
		})
	}
}

// Shares that go between the look at them and the order are not sold short.
func TestNoShortSale(t *testing.T) {
	none, shares := 0, 5
	m, b := open(t, broker.Config{Stock: always(broker.Stock{Latest: 187.12, Liquidity: -1}), Shares: &shares})
	b.Change(func(c *broker.Config) {
		c.Disturb = func(r broker.Request) broker.Fault {
			if r.Operation == broker.Place {
				b.Change(func(c *broker.Config) { c.Shares = &none })
			}
			return broker.None
		}
	})
	_, err := m.Trade(t.Context(), trading.Sell, quote())
	checkError(t, err, refusedError, "position intent mismatch, inferred: sell_to_open, specified: sell_to_close; nothing was traded")
	if orders := b.Orders(); len(orders) != 0 {
		t.Errorf("sold short: %+v", orders)
	}
}

// A refusal without a code is one of the keys, not of what was asked for.
func TestForbiddenKeys(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"message":"forbidden."}`)
	}))
	t.Cleanup(server.Close)
	m := at(server.URL)
	_, err := m.Price(t.Context(), "AMZN")
	checkError(t, err, refusedError, "it does not accept the keys of the secret "+secretARN+" for this (paper trading, HTTP status 403)")
	_, err = m.Trade(t.Context(), trading.Buy, quote())
	checkError(t, err, unknownError, "it does not accept the keys of the secret "+secretARN+" for this (paper trading, HTTP status 403)")
}

// That an address is unknown to a server in between says nothing of an order.
func TestAnAddressIsNoOrder(t *testing.T) {
	b := broker.New(broker.Config{Closed: true})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "orders") {
			http.Error(w, "<html>404 page not found</html>", http.StatusNotFound)
			return
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m := at(server.URL)
	_, err := m.Trade(t.Context(), trading.Buy, quote())
	checkError(t, err, unavailableError, "it could not be looked up whether there is the order to buy 5 AMZN at $187.12 or better: Alpaca does not say: it refuses without saying why (HTTP status 404)")
}

// A reply that does not come is waited for as long as there is time.
func TestTradeAgainAfterATimeout(t *testing.T) {
	m, b := open(t, broker.Config{Stock: always(broker.Stock{Latest: 187.12, Liquidity: -1}), Disturb: disturbing(broker.Place, broker.Held)})
	ctx, cancel := context.WithTimeout(t.Context(), toAnswer+time.Second)
	defer cancel()
	_, err := m.Trade(ctx, trading.Buy, quote())
	checkError(t, err, unavailableError, "what became of that is unknown: it did not answer in time")
	if got, err := m.Trade(t.Context(), trading.Buy, quote()); err != nil || got.Qty != "5" {
		t.Errorf("got %+v, %v, want the receipt of 5", got, err)
	}
	if orders := b.Orders(); len(orders) != 1 {
		t.Errorf("%d orders, want 1", len(orders))
	}
}

// An order under the same id that is not the one that was approved is nobody's to report.
func TestTradeMeetsAnotherOrder(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*trading.Quote, *trading.Side)
	}{
		{"of another stock", func(q *trading.Quote, _ *trading.Side) { q.Symbol = "MSFT" }},
		{"of another side", func(_ *trading.Quote, s *trading.Side) { *s = trading.Sell }},
		{"of another quantity", func(q *trading.Quote, _ *trading.Side) { q.Qty = 6 }},
		{"at another price", func(q *trading.Quote, _ *trading.Side) { q.LimitPrice = "187.13" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, b := open(t, broker.Config{Stock: always(broker.Stock{Latest: 187.12, Liquidity: -1})})
			if _, err := m.Trade(t.Context(), trading.Buy, quote()); err != nil {
				t.Fatal(err)
			}
			q, side := quote(), trading.Buy
			test.change(&q, &side)
			_, err := m.Trade(t.Context(), side, q)
			checkError(t, err, conflictError, "Alpaca has an order 0123456789abcdef0123456789abcdef that is not the order to "+string(side))
			if err != nil && !strings.Contains(err.Error(), "but buy 5 AMZN at $187.12: look there what was traded") {
				t.Errorf("error %q does not say which order it is", err)
			}
			if orders := b.Orders(); len(orders) != 1 {
				t.Errorf("%d orders, want 1", len(orders))
			}
		})
	}
}

func TestNewOrder(t *testing.T) {
	for _, test := range []struct{ approved, buy, sell string }{
		{"187.12", "187.12", "187.12"},
		{"187.1234", "187.12", "187.13"},
		{"187.129999999", "187.12", "187.13"},
		{"1", "1", "1"},
		{"1.0049", "1", "1.01"},
		{"0.99995", "0.9999", "1"},
		{"0.12341", "0.1234", "0.1235"},
		{"0.1", "0.1", "0.1"},
		{"999999999.999999999", "999999999.99", "1000000000"},
	} {
		for side, want := range map[trading.Side]string{trading.Buy: test.buy, trading.Sell: test.sell} {
			o, err := newOrder(side, trading.Quote{LimitPrice: test.approved})
			if err != nil || o.limit.String() != want {
				t.Errorf("%s at %s: got %s, %v, want %s", side, test.approved, o.limit, err, want)
			}
		}
	}
	_, err := newOrder(trading.Buy, trading.Quote{LimitPrice: "0.00004"})
	checkError(t, err, refusedError, "$0.00004 is less than the smallest price")
	_, err = newOrder(trading.Buy, trading.Quote{})
	checkError(t, err, invalidError, "limit_price is missing: the quote is not of this market")
}

// The time that a function has ends every wait.
func TestTradeEndsWithItsTime(t *testing.T) {
	m, b := open(t, broker.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), toAnswer) // of which none is left for the market
	defer cancel()
	_, err := m.Trade(ctx, trading.Buy, quote())
	checkError(t, err, unavailableError, "it did not answer in time")
	if orders := b.Orders(); len(orders) != 0 {
		t.Errorf("%d orders", len(orders))
	}
}

// The keys go to nobody but the server that they are for, once for each attempt.
func TestOneRequestAndNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the keys went to another server: %v", r.Header)
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusTooManyRequests, http.StatusInternalServerError} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		m := at(server.URL)
		if _, err := m.Price(t.Context(), "AMZN"); err == nil {
			t.Errorf("HTTP %d is taken for a price", status)
		}
		if requests != 1 {
			t.Errorf("HTTP %d: %d requests, want 1", status, requests)
		}
	}
}
