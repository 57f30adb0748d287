package broker_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"stocktrading/local/broker"
)

// ask makes a request with the broker's keys, and returns the answer's status and fields.
func ask(t *testing.T, b http.Handler, method, path, body string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("APCA-API-KEY-ID", broker.KeyID)
	r.Header.Set("APCA-API-SECRET-KEY", broker.SecretKey)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	var fields map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w, fields
}

const order = `{"symbol":"AMZN","qty":"5","side":"buy","type":"limit","time_in_force":"ioc","limit_price":"1000","client_order_id":"one"}`

func TestRules(t *testing.T) {
	shares := 5
	b := broker.New(broker.Config{Shares: &shares})
	if _, got := ask(t, b, "POST", "/v2/orders", order); got["status"] != "pending_new" || got["filled_qty"] != "0" || got["client_order_id"] != "one" {
		t.Fatalf("the order is %v", got)
	}
	other := strings.Replace(order, `"one"`, `"other"`, 1)
	for _, test := range []struct {
		name, method, path, body string
		status, code             int
		message                  string
	}{
		{"the same id", "POST", "/v2/orders", order, 422, 40010001, "client_order_id must be unique"},
		{"no JSON", "POST", "/v2/orders", "{", 400, 40010000, "request body format is invalid"},
		{"no quantity", "POST", "/v2/orders", strings.Replace(other, `"5"`, `"0"`, 1), 422, 40010001, "qty must be > 0"},
		{"no side", "POST", "/v2/orders", strings.Replace(other, `buy`, `hold`, 1), 422, 40010001, "invalid side"},
		{"another type", "POST", "/v2/orders", strings.Replace(other, `limit`, `market`, 1), 422, 40010001, "invalid order type"},
		{"another time in force", "POST", "/v2/orders", strings.Replace(other, `ioc`, `gtc`, 1), 422, 40010001, "invalid time_in_force"},
		{"no limit", "POST", "/v2/orders", strings.Replace(other, `"1000"`, `null`, 1), 422, 40010001, "limit orders require a limit price"},
		{"no price", "POST", "/v2/orders", strings.Replace(other, `"1000"`, `"0"`, 1), 422, 40010001, "limit price must be > 0"},
		{"between ticks", "POST", "/v2/orders", strings.Replace(other, `1000`, `41.085`, 1), 422, 42210000, "invalid limit_price 41.085. sub-penny increment does not fulfill minimum pricing criteria"},
		{"between ticks below a dollar", "POST", "/v2/orders", strings.Replace(other, `1000`, `0.60135`, 1), 422, 42210000, "invalid limit_price 0.60135. sub-penny"},
		{"a long id", "POST", "/v2/orders", strings.Replace(other, `other"`, strings.Repeat("x", 129)+`"`, 1), 422, 40010001, "client_order_id must be no more than 128 characters"},
		{"more than there is", "POST", "/v2/orders", strings.NewReplacer("buy", "sell", `"5"`, `"50"`).Replace(other), 403, 40310000, "insufficient qty available for order (requested: 50, available: 10)"},
		{"no such order", "GET", "/v2/orders:by_client_order_id?client_order_id=none", "", 404, 40410000, "order not found for none"},
		{"no such order of Alpaca's", "GET", "/v2/orders/none", "", 404, 40410000, "order not found for none"},
		{"no such order to cancel", "DELETE", "/v2/orders/none", "", 404, 40410000, "order not found for none"},
		{"nothing", "GET", "/v2/nothing", "", 404, 40410000, "endpoint not found"},
		{"another version", "GET", "/v1/clock", "", 404, 40410000, "endpoint not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, got := ask(t, b, test.method, test.path, test.body)
			message, _ := got["message"].(string)
			if w.Code != test.status || got["code"] != float64(test.code) || !strings.HasPrefix(message, test.message) {
				t.Errorf("got HTTP %d with %v, want %d with %d %q", w.Code, got, test.status, test.code, test.message)
			}
		})
	}
	if n := len(b.Orders()); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
}

func TestUnauthorized(t *testing.T) {
	for _, keys := range [][2]string{{"", ""}, {broker.KeyID, ""}, {broker.KeyID, "x"}, {"x", broker.SecretKey}} {
		r := httptest.NewRequest("GET", "/v2/clock", nil)
		r.Header.Set("APCA-API-KEY-ID", keys[0])
		r.Header.Set("APCA-API-SECRET-KEY", keys[1])
		w := httptest.NewRecorder()
		broker.New(broker.Config{}).ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || strings.TrimSpace(w.Body.String()) != `{"message":"unauthorized."}` {
			t.Errorf("%q: HTTP %d with %s", keys, w.Code, w.Body)
		}
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 30, 0, time.UTC)
	b := broker.New(broker.Config{RequestsPerMinute: 2, Now: func() time.Time { return now }})
	reset := strconv.FormatInt(now.Truncate(time.Minute).Add(time.Minute).Unix(), 10)
	for i, want := range []struct {
		status    int
		remaining string
	}{{200, "1"}, {200, "0"}, {429, "0"}, {429, "0"}} {
		w, got := ask(t, b, "GET", "/v2/clock", "")
		if w.Code != want.status || w.Header().Get("X-RateLimit-Remaining") != want.remaining || w.Header().Get("X-RateLimit-Limit") != "2" || w.Header().Get("X-RateLimit-Reset") != reset {
			t.Errorf("request %d: HTTP %d with %v and %v", i, w.Code, w.Header(), got)
		}
	}
	now = now.Add(30 * time.Second)
	if w, _ := ask(t, b, "GET", "/v2/clock", ""); w.Code != http.StatusOK {
		t.Errorf("HTTP %d in another minute", w.Code)
	}
}

// Shares that were bought can be sold, and those that were sold are gone.
func TestPosition(t *testing.T) {
	shares := 0
	b := broker.New(broker.Config{Shares: &shares})
	held := func() any {
		_, got := ask(t, b, "GET", "/v2/positions/AMZN", "")
		return got["qty"]
	}
	if got := held(); got != nil {
		t.Errorf("%v are held at first", got)
	}
	ask(t, b, "POST", "/v2/orders", order)
	if got := held(); got != "5" {
		t.Errorf("%v are held after 5 were bought", got)
	}
	ask(t, b, "POST", "/v2/orders", strings.NewReplacer("buy", "sell", "one", "two", `"5"`, `"3"`, `"1000"`, `"1"`).Replace(order))
	if got := held(); got != "2" {
		t.Errorf("%v are held after 3 were sold", got)
	}
	b.Change(func(c *broker.Config) { c.Reserved = 1 })
	if _, got := ask(t, b, "GET", "/v2/positions/AMZN", ""); got["qty"] != "2" || got["qty_available"] != "1" {
		t.Errorf("%v, with one held for another order", got)
	}
}

// Whoever sells without shares sells short, unless the order says that it closes a position.
func TestShortSale(t *testing.T) {
	shares := 0
	b := broker.New(broker.Config{Shares: &shares})
	sale := strings.NewReplacer("buy", "sell", `"1000"`, `"1"`).Replace(order)
	closing := strings.Replace(sale, `"one"`, `"two","position_intent":"sell_to_close"`, 1)
	if w, got := ask(t, b, "POST", "/v2/orders", closing); w.Code != 422 || got["code"] != 42210000.0 {
		t.Errorf("a sale that closes nothing: HTTP %d with %v", w.Code, got)
	}
	if w, got := ask(t, b, "POST", "/v2/orders", sale); w.Code != 200 || len(b.Orders()) != 1 {
		t.Errorf("a short sale: HTTP %d with %v", w.Code, got)
	}
}

// What is late is done only later, at the latest when all comes to its end.
func TestLate(t *testing.T) {
	b := broker.New(broker.Config{Lag: time.Hour, Disturb: func(broker.Request) broker.Fault { return broker.Late }})
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v2/orders", strings.NewReader(order))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("APCA-API-KEY-ID", broker.KeyID)
	r.Header.Set("APCA-API-SECRET-KEY", broker.SecretKey)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if text, err := io.ReadAll(reply.Body); err == nil {
		t.Errorf("the reply is whole: %s", text)
	}
	if n := len(b.Orders()); n != 0 {
		t.Errorf("%d orders at once", n)
	}
	b.Settle()
	if n := len(b.Orders()); n != 1 {
		t.Errorf("%d orders in the end", n)
	}
}
