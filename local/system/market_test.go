package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/shopspring/decimal"

	"stocktrading/desk/decision"
	"stocktrading/local/broker"
	"stocktrading/local/functions"
	"stocktrading/local/states"
	"stocktrading/local/system"
)

const marketSecret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:alpaca-AbCdEf"

// startMarket runs the stack of a real market at a broker.
func startMarket(t *testing.T, b *broker.Server, change func(*system.Config)) *running {
	t.Helper()
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return start(t, map[string]any{"market": "alpaca", "marketSecret": marketSecret}, func(c *system.Config) {
		c.Secrets = map[string]string{marketSecret: fmt.Sprintf(`{"APCA_API_KEY_ID":%q,"APCA_API_SECRET_KEY":%q}`, broker.KeyID, broker.SecretKey)}
		c.Environment = map[string]string{"MARKET_ENDPOINT": server.URL}
		c.RetryInterval = 10 * time.Millisecond
		if change != nil {
			change(c)
		}
	})
}

// faults are those of successive requests of a kind about a symbol.
type faults struct {
	mu   sync.Mutex
	left map[string][]broker.Fault // by operation and symbol
}

func (f *faults) next(r broker.Request) broker.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := string(r.Operation) + " " + r.Symbol
	if len(f.left[key]) == 0 {
		return broker.None
	}
	fault := f.left[key][0]
	f.left[key] = f.left[key][1:]
	return fault
}

// anotherVersion makes the quotes of two symbols what a deployment of another mode, or of
// an older version of the functions, has made of them before this one.
func anotherVersion(next system.Invoker) system.Invoker {
	return func(ctx context.Context, function string, payload []byte) ([]byte, error) {
		out, err := next(ctx, function, payload)
		if strings.Contains(function, "CheckStockPrice") {
			switch {
			case bytes.Contains(out, []byte(`"symbol":"LIVE"`)):
				out = bytes.Replace(out, []byte(`"market":"paper"`), []byte(`"market":"live"`), 1)
			case bytes.Contains(out, []byte(`"symbol":"OLD"`)):
				out = bytes.Replace(out, []byte(`"market":"paper",`), nil, 1)
			}
		}
		return out, err
	}
}

// What a real market can answer, each from the request to its one report. The stocks are
// named after what happens to them.
func TestMarket(t *testing.T) {
	always := slices.Repeat([]broker.Fault{broker.Failed}, 4)
	f := &faults{left: map[string][]broker.Fault{
		"quote LATE":   {broker.RateLimited, broker.Failed, broker.Unreached},
		"quote LIMIT":  slices.Repeat([]broker.Fault{broker.RateLimited}, 4),
		"place RETRY":  {broker.RateLimited, broker.Failed, broker.Unreached},
		"place DOWN":   always,
		"place LIMITS": slices.Repeat([]broker.Fault{broker.RateLimited}, 4),
		"place LOST":   {broker.ReplyLost},
		"place HELD":   {broker.Held},
		"place LOST4":  {broker.ReplyLost},
		"find LOST4":   always,
		"place SLOW":   {broker.Late, broker.Poor},
		"place KEYS":   {broker.ReplyLost},
		"find KEYS":    {broker.Denied},
	}}
	power, shares := decimal.NewFromInt(50_000), 5
	b := broker.New(broker.Config{
		Stock: func(symbol string) (broker.Stock, bool) {
			s := broker.Stock{Latest: 187.12, PreviousClose: 190.5, Liquidity: -1}
			switch symbol {
			case "PART":
				s.Liquidity = 3
			case "NONE":
				s.Liquidity = 0
			case "RICH":
				s.Latest = 30_000
			case "UP":
				s.PreviousClose = 180
			}
			return s, symbol != "NOSUCH"
		},
		BuyingPower: &power, Shares: &shares, Lag: 500 * time.Millisecond, Disturb: f.next,
	})
	r := startMarket(t, b, func(c *system.Config) { c.Invoke = anotherVersion })
	orders := func(symbol string) (n int) {
		for _, o := range b.Orders() {
			if o.Symbol == symbol {
				n++
			}
		}
		return n
	}
	held, wait := r.asking(t, "HELD") // whose reply takes seconds not to come; all else happens meanwhile
	r.approve(t, wait)
	tests := []struct {
		name, symbol string
		qty          int
		answer       decision.Answer
		want         map[string]any // in the report
		cause        string         // in what it says of a failure
		orders       int
	}{
		{"traded", "AMZN", 5, decision.Approve, map[string]any{"outcome": "traded", "type": "buy", "price": "187.12", "qty": "5"}, "", 1},
		{"sold", "UP", 5, decision.Approve, map[string]any{"outcome": "traded", "type": "sell", "price": "187.12", "qty": "5"}, "", 1},
		{"one share unless said otherwise", "ONE", 0, decision.Buy, map[string]any{"outcome": "traded", "qty": "1"}, "", 1},
		{"in part", "PART", 5, decision.Buy, map[string]any{"outcome": "traded", "qty": "3", "ordered_qty": "5"}, "", 1},
		{"declined", "NO", 5, decision.Decline, map[string]any{"outcome": "declined"}, "", 0},
		{"with nobody", "NONE", 5, decision.Buy, failed("Buy Stock", "OrderRefused", "no"), "the order to buy 5 NONE at $187.12 or better found nobody to trade with: 0 of 5 filled; nothing was traded", 1},
		{"an unknown stock", "NOSUCH", 5, decision.Buy, failed("Check Stock Price", "OrderRefused", "no"), "Alpaca knows no stock NOSUCH", 0},
		{"without money", "RICH", 2, decision.Buy, failed("Buy Stock", "OrderRefused", "no"), "insufficient buying power; nothing was traded", 0},
		{"without shares", "BIG", 6, decision.Sell, failed("Sell Stock", "OrderRefused", "no"), "there are 5 BIG to sell, and not 6; nothing was traded", 0},
		{"quoted at the last attempt", "LATE", 5, decision.Buy, map[string]any{"outcome": "traded", "qty": "5"}, "", 1},
		{"not quoted for too many requests", "LIMIT", 5, decision.Buy, failed("Check Stock Price", "MarketUnavailable", "no"), "it takes no more requests of these keys for the moment (HTTP status 429); nothing was traded", 0},
		{"traded at the last attempt", "RETRY", 5, decision.Buy, map[string]any{"outcome": "traded", "qty": "5"}, "", 1},
		{"in a lasting fault", "DOWN", 5, decision.Buy, failed("Buy Stock", "MarketUnavailable", "unknown"), "Alpaca was asked for it, and what became of that is unknown: it has a fault of its own (HTTP status 503)", 0},
		{"too often", "LIMITS", 5, decision.Buy, failed("Buy Stock", "MarketUnavailable", "unknown"), "(HTTP status 429)", 0},
		{"with its reply lost", "LOST", 5, decision.Buy, map[string]any{"outcome": "traded", "qty": "5"}, "", 1},
		{"with its reply lost and never found", "LOST4", 5, decision.Buy, failed("Buy Stock", "MarketUnavailable", "unknown"), "it could not be looked up whether there is the order to buy 5 LOST4", 1},
		{"refused while it is on its way", "SLOW", 5, decision.Buy, map[string]any{"outcome": "traded", "qty": "5"}, "", 1},
		{"with the keys refused after its reply was lost", "KEYS", 5, decision.Buy, failed("Buy Stock", "OrderUnknown", "unknown"), "it can't be looked up whether there is the order to buy 5 KEYS", 1},
		{"asked for with real money", "LIVE", 5, decision.Buy, failed("Buy Stock", "InvalidRequest", "no"), "the quote is of the live market, and this one is paper: nothing was traded", 0},
		{"asked for by an older version", "OLD", 5, decision.Sell, failed("Sell Stock", "InvalidRequest", "no"), "the quote does not say in which market it was made, and this one is paper: nothing was traded", 0},
		{"asked for by an older version, and declined", "OLD", 5, decision.Decline, map[string]any{"outcome": "declined"}, "", 0},
	}
	arns, ids := make([]string, len(tests)), make([]string, len(tests))
	for i, test := range tests { // all at once, because some of it takes seconds
		input := fmt.Sprintf(`{"symbol":%q,"qty":%d}`, test.symbol, test.qty)
		if test.qty == 0 {
			input = fmt.Sprintf(`{"symbol":%q}`, test.symbol)
		}
		arns[i] = r.startExecution(t, input)
		ids[i] = arns[i][strings.LastIndex(arns[i], ":")+1:]
		if test.want["failed_state"] == "Check Stock Price" {
			continue
		}
		wait := r.waiting(t, arns[i])
		ids[i] = wait.Quote.QuoteID
		if _, err := r.desk.Decide(t.Context(), wait, test.answer, ""); err != nil {
			t.Fatal(err)
		}
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkReport(t, r, arns[i], ids[i], test.want, test.cause)
			if n := orders(test.symbol); n != test.orders {
				t.Errorf("%d orders, want %d", n, test.orders)
			}
		})
	}
	t.Run("with no reply in time", func(t *testing.T) {
		checkReport(t, r, held, wait.Quote.QuoteID, map[string]any{"outcome": "traded", "type": "buy", "qty": "5"}, "")
		if n := orders("HELD"); n != 1 {
			t.Errorf("%d orders, want 1", n)
		}
	})
	t.Run("while the market is closed", func(t *testing.T) {
		b.Change(func(c *broker.Config) { c.Closed = true })
		defer b.Change(func(c *broker.Config) { c.Closed = false })
		arn, wait := r.asking(t, "SHUT")
		r.approve(t, wait)
		checkReport(t, r, arn, wait.Quote.QuoteID, failed("Buy Stock", "OrderRefused", "no"), "the market is closed until 2")
	})
	t.Run("closed after a lost reply", func(t *testing.T) {
		var placed atomic.Bool
		b.Change(func(c *broker.Config) {
			c.Disturb = func(r broker.Request) broker.Fault {
				switch {
				case r.Operation == broker.Clock && placed.Load():
					b.Change(func(c *broker.Config) { c.Closed = true })
				case r.Operation == broker.Place:
					placed.Store(true)
					return broker.ReplyLost
				}
				return broker.None
			}
		})
		defer b.Change(func(c *broker.Config) { c.Closed, c.Disturb = false, f.next })
		arn, wait := r.asking(t, "EDGE")
		r.approve(t, wait)
		checkReport(t, r, arn, wait.Quote.QuoteID, map[string]any{"outcome": "traded", "type": "buy", "qty": "5"}, "")
		if n := orders("EDGE"); n != 1 {
			t.Errorf("%d orders, want 1", n)
		}
	})
	t.Run("with another key", func(t *testing.T) {
		b.Change(func(c *broker.Config) { c.KeyID = "another" })
		defer b.Change(func(c *broker.Config) { c.KeyID = broker.KeyID })
		arn := r.startExecution(t, `{"symbol":"KEY"}`)
		checkReport(t, r, arn, arn[strings.LastIndex(arn, ":")+1:], failed("Check Stock Price", "OrderRefused", "no"), "it does not accept the keys of the secret "+marketSecret)
	})
	t.Run("with a key that is taken back before the trade", func(t *testing.T) {
		arn, wait := r.asking(t, "KEY")
		b.Change(func(c *broker.Config) { c.KeyID = "another" })
		defer b.Change(func(c *broker.Config) { c.KeyID = broker.KeyID })
		r.approve(t, wait)
		checkReport(t, r, arn, wait.Quote.QuoteID, failed("Buy Stock", "OrderUnknown", "unknown"), "it does not accept the keys of the secret")
	})
	t.Run("keys for the functions alone", r.keepsItsSecret)
	r.mu.Lock()
	defer r.mu.Unlock()
	said, err := json.Marshal(map[string]any{"events": r.events, "notifications": r.notifications, "logs": r.logs})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(said), broker.KeyID) || strings.Contains(string(said), broker.SecretKey) {
		t.Error("the keys are in a history, a message or a log")
	}
}

// failed are the fields of a report of a failure.
func failed(state, err, placed string) map[string]any {
	return map[string]any{"outcome": "failed", "failed_state": state, "error": err, "trade_placed": placed}
}

// checkReport wants the one report of an execution to say this.
func checkReport(t *testing.T, r *running, arn, id string, want map[string]any, cause string) {
	t.Helper()
	x, report := r.end(t, arn)
	if failure, ok := report["failure"].(map[string]any); ok {
		report["error"], report["cause"] = failure["Error"], failure["Cause"]
	}
	for key, value := range want {
		if report[key] != value {
			t.Errorf("the report's %s is %v, want %v: %v", key, report[key], value, report)
		}
	}
	if _, ok := report["ordered_qty"]; ok != (want["ordered_qty"] != nil) {
		t.Errorf("the report has an ordered_qty: %v, want %v", ok, !ok)
	}
	if report["id"] != id {
		t.Errorf("the report is of %v, want %s", report["id"], id)
	}
	if text := fmt.Sprint(report["cause"]); cause != "" && !strings.Contains(text, cause) {
		t.Errorf("the report says %q, want %q", text, cause)
	}
	status := states.StatusSucceeded
	if want["outcome"] == "failed" {
		status = states.StatusFailed
	}
	if x.Status != status {
		t.Errorf("the execution is %s, want %s", x.Status, status)
	}
}

// asking starts an execution and returns its wait.
func (r *running) asking(t *testing.T, symbol string) (string, decision.Wait) {
	t.Helper()
	arn := r.startExecution(t, fmt.Sprintf(`{"symbol":%q,"qty":5}`, symbol))
	return arn, r.waiting(t, arn)
}

func (r *running) approve(t *testing.T, wait decision.Wait) {
	t.Helper()
	if _, err := r.desk.Decide(t.Context(), wait, decision.Approve, ""); err != nil {
		t.Fatal(err)
	}
}

// A function that is killed when its order is placed leaves no second one behind.
func TestMarketAfterAKilledFunction(t *testing.T) {
	b := broker.New(broker.Config{})
	var kill sync.Once
	r := startMarket(t, b, func(c *system.Config) {
		c.Kill = func(function string, _ []byte, at functions.Moment) (now bool) {
			if strings.Contains(function, "StockLambda") && at == functions.AfterWork {
				kill.Do(func() { now = true })
			}
			return now
		}
	})
	arn, wait := r.asking(t, "AMZN")
	r.approve(t, wait)
	if _, report := r.end(t, arn); report["outcome"] != "traded" || len(b.Orders()) != 1 {
		t.Errorf("%d orders, report %v", len(b.Orders()), report)
	}
}

// Each function that needs the keys may read them because its role says so: without any
// one of these permissions its state fails. A process reads them once, so that each time
// needs processes of its own.
func TestAblationOfTheSecret(t *testing.T) {
	for holder, state := range map[string]string{"CheckStockPriceRole": "Check Stock Price", "BuyStockRole": "Buy Stock", "SellStockRole": "Sell Stock"} {
		t.Run(holder, func(t *testing.T) {
			r := startMarket(t, broker.New(broker.Config{}), func(c *system.Config) {
				c.Deny = func(h, action, _ string) bool { return h == holder && action == "secretsmanager:GetSecretValue" }
			})
			for _, p := range permissions(t, r.Stack()) {
				if p.action == "secretsmanager:GetSecretValue" && p.resource != marketSecret {
					t.Errorf("%s may read %s", p.holder, p.resource)
				}
			}
			for _, answer := range []decision.Answer{decision.Buy, decision.Sell} {
				arn := r.startExecution(t, `{"qty":5}`)
				if state != "Check Stock Price" {
					if _, err := r.desk.Decide(t.Context(), r.waiting(t, arn), answer, ""); err != nil {
						t.Fatal(err)
					}
				}
				_, report := r.end(t, arn)
				denied := strings.Contains(fmt.Sprint(report["failure"]), "AccessDeniedException: User: ") &&
					strings.Contains(fmt.Sprint(report["failure"]), "is not authorized to perform: secretsmanager:GetSecretValue on resource: "+marketSecret)
				asks := state == "Check Stock Price" || strings.HasPrefix(strings.ToLower(state), string(answer))
				if denied != asks || denied && report["failed_state"] != state || !denied && report["outcome"] != "traded" {
					t.Errorf("%s: report %v", answer, report)
				}
			}
		})
	}
}

// Where the endpoint asks for a token, it serves nobody without it: no call of any service,
// whatever access key it is made with. The functions have one of their own.
func TestEndpointAsksForItsToken(t *testing.T) {
	r := start(t, nil, func(c *system.Config) { c.Token = "the token of the run" })
	ask := func(target, body, token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Endpoint(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if target != "" {
			req.Header.Set("Content-Type", "application/x-amz-json-1.0")
			req.Header.Set("X-Amz-Target", target)
		}
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=developer/20260102/us-east-1/x/aws4_request")
		if token != "" {
			req.Header.Set("X-Amz-Security-Token", token)
		}
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		if err != nil {
			t.Fatal(err)
		}
		if refused := strings.Contains(string(text), "UnrecognizedClientException"); refused != (reply.StatusCode == http.StatusForbidden) {
			t.Errorf("%s%s with the token %q: %s %s", target, body, token, reply.Status, text)
		}
		return reply.StatusCode
	}
	for _, call := range [][2]string{
		{"AWSStepFunctions.ListExecutions", `{"stateMachineArn":"` + r.StateMachineARN() + `"}`},
		{"AWSStepFunctions.StartExecution", `{"stateMachineArn":"` + r.StateMachineARN() + `","input":"{}"}`},
		{"AmazonSQS.ListQueues", `{}`},
		{"", "Action=ListTopics"},
		{"", "Action=GetCallerIdentity"},
	} {
		for _, token := range []string{"", "another", "the token of the ru"} {
			if status := ask(call[0], call[1], token); status != http.StatusForbidden {
				t.Errorf("%v with the token %q: status %d", call, token, status)
			}
		}
		if status := ask(call[0], call[1], "the token of the run"); status != http.StatusOK {
			t.Errorf("%v with the token: status %d", call, status)
		}
	}
	machine := r.StateMachineARN()
	list, err := r.sfn.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &machine})
	if err != nil || len(list.Executions) != 1 {
		t.Errorf("executions %v, error %v, want the one that was started with the token", list, err)
	}
	// A run goes through all the same: the functions, the poller and the desk have their tokens.
	arn := r.startExecution(t, `{}`)
	r.approve(t, r.waiting(t, arn))
	if _, report := r.end(t, arn); report["outcome"] != "traded" {
		t.Errorf("report %v", report)
	}
}

// The endpoint gives the keys to the functions alone: not to an administrator, and not to
// whoever calls with the access key of a function.
func (r *running) keepsItsSecret(t *testing.T) {
	role := ""
	for _, resource := range r.Stack().ByType("AWS::IAM::Role") {
		if strings.Contains(resource.ConstructPath, "/BuyStock") {
			role = resource.Ref
		}
	}
	for _, accessKey := range []string{"developer", system.Approver, role} {
		cfg := r.AWSConfig(accessKey)
		cfg.RetryMaxAttempts = 1
		arn := marketSecret
		out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
		if err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
			t.Errorf("%s gets %v, %v", accessKey, out, err)
		}
	}
}
