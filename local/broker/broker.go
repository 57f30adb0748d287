// Package broker stands in for Alpaca on this machine: an HTTP server that follows the rules
// of Alpaca's trading and market data API, as far as the functions use them. It can be
// configured to be closed, short of money or shares, overloaded or broken.
//
// Where the rules come from:
//   - Paths, fields, methods, and null for the snapshot of an unknown symbol: the source and
//     the tests of github.com/alpacahq/alpaca-trade-api-go/v3 v3.9.1.
//   - Order types and states, and what immediate or cancel means: Alpaca,
//     https://docs.alpaca.markets/docs/orders-at-alpaca.
//   - That the HTTP status and the code in the body are the contract and messages may
//     change, and the codes 40310000, 40410000 and 42210000 for 403, 404 and 422: Alpaca's
//     documentation of options, section "Error Responses".
//   - 401 for keys that are not accepted: Alpaca,
//     https://alpaca.markets/learn/how-to-fix-common-trading-api-errors-at-alpaca.
//   - What these look like for buying power, shares, ticks and a repeated id: answers of
//     Alpaca that are quoted in its own issues, alpaca-py#225, Alpaca-API#111,
//     alpaca-trade-api-go#260 and alpaca-py#260. 40010001 stands for other mistakes than a
//     repeated id too, Alpaca-API#80, so that it alone proves none.
//   - That a sale of shares that are not there is a short sale, and that position_intent is
//     kept for stocks too, "position intent mismatch": Alpaca-API#85 and #250. Its code is
//     what users of the API write down.
//   - 429 with X-RateLimit headers, the time of reset in seconds since 1970: Alpaca's notes
//     on the limits of its broker API, and alpaca-trade-api-csharp#607.
//   - 422 for an order that can't be cancelled any more: the same as Alpaca documents it; it
//     has been seen to answer 204, user-docs#150.
//
// The code 42910000 and the messages of 401, of an unknown asset and of an unknown order are
// reported by users of the API. In which order Alpaca checks its rules is documented nowhere:
// see Config.IDsLast.
package broker

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// The keys that a broker accepts by default. They are valid nowhere else.
const (
	KeyID     = "local-key-id"
	SecretKey = "local-secret-key"
)

// Stock is what can be traded.
type Stock struct {
	Latest        float64 // price of the latest trade; 0 for a stock without one
	PreviousClose float64 // 0 for a stock of its first day
	Trades        float64 // the price that others trade at now; Latest if 0
	Liquidity     int     // shares that others trade at that price; negative for any number
}

// AnyStock is a stock of any symbol, whose price from 10.00 to 509.99 depends on the symbol
// alone, and any number of shares is traded.
func AnyStock(symbol string) Stock {
	h := fnv.New32a()
	io.WriteString(h, symbol)
	cents := 1000 + int64(h.Sum32()%50_000)
	close := cents + cents/100
	if cents%2 == 0 {
		close = cents - cents/100
	}
	dollars := func(cents int64) float64 { return decimal.New(cents, -2).InexactFloat64() }
	return Stock{Latest: dollars(cents), PreviousClose: dollars(close), Liquidity: -1}
}

// Config is how a broker behaves. The zero value is an open market of every stock, for an
// account that has enough of everything.
type Config struct {
	KeyID, SecretKey string // KeyID and SecretKey if empty

	Stock       func(symbol string) (Stock, bool) // false for an unknown symbol; AnyStock if nil
	Closed      bool
	BuyingPower *decimal.Decimal // dollars; nil for any number
	Shares      *int             // held of every stock at first; nil for any number
	Reserved    int              // of these, held for other orders

	Lag               time.Duration // until a request that is Late is carried out
	Looks             int           // requests for an order until it has ended; negative: it stays open until it is cancelled
	IDsLast           bool          // check last, not first, whether a client order id is new
	RequestsPerMinute int           // 0 for any number

	// Disturb chooses the fault of a request; none if nil.
	Disturb func(Request) Fault
	Now     func() time.Time // time.Now if nil
}

// Operation is what a request is for.
type Operation string

const (
	Quote    Operation = "quote"
	Clock    Operation = "clock"
	Position Operation = "position"
	Place    Operation = "place"
	Find     Operation = "find" // by the client order id
	Look     Operation = "look" // by Alpaca's own id
	Cancel   Operation = "cancel"
)

// Request is a request as Disturb sees it.
type Request struct {
	Operation     Operation
	Symbol        string // empty for the clock
	ClientOrderID string // of requests about an order
}

// Fault is what can go wrong with a request.
type Fault int

const (
	None        Fault = iota
	RateLimited       // 429, and nothing done
	Failed            // 503 with a page of HTML, and nothing done
	Unreached         // nothing done, and a reply that breaks off
	ReplyLost         // done, and a reply that breaks off
	Held              // done, and no reply for as long as the client waits
	Late              // a reply that breaks off, and done only after Config.Lag
	Poor              // refused for lack of buying power or shares
	Denied            // refused for the keys
	Overlooked        // refused as unknown, whether it is or not
)

// Order is an order that was accepted.
type Order struct {
	ID            string
	ClientOrderID string
	Symbol        string
	Side          string // "buy" or "sell"
	Qty           decimal.Decimal
	Limit         decimal.Decimal
	Filled        decimal.Decimal // shares, as soon as it has ended
	Price         decimal.Decimal // the average of those
	Status        string

	toFill decimal.Decimal // shares
	looks  int             // until it has ended
	at     time.Time
}

// Server is a broker with its orders. It is an http.Handler.
type Server struct {
	mu       sync.Mutex
	config   Config
	orders   []*Order
	late     []func()       // requests that are still to be carried out
	traded   map[string]int // shares, by symbol: bought less sold
	window   time.Time      // the minute that requests are counted in
	requests int
}

// New returns a broker without orders.
func New(c Config) *Server {
	if c.KeyID == "" {
		c.KeyID, c.SecretKey = KeyID, SecretKey
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Stock == nil {
		c.Stock = func(symbol string) (Stock, bool) { return AnyStock(symbol), true }
	}
	return &Server{config: c, traded: map[string]int{}}
}

// Change changes how the broker behaves from now on.
func (s *Server) Change(change func(*Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.config)
}

// Settle brings every order to its end, as time would.
func (s *Server) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, do := range s.late {
		do()
	}
	for _, o := range s.orders {
		if !o.ended() {
			o.end()
		}
	}
}

// Orders returns the orders that were accepted, the oldest first.
func (s *Server) Orders() (orders []Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.orders {
		orders = append(orders, *o)
	}
	return orders
}

// answer is the reply to a request: a status and a body of JSON.
type answer struct {
	status int
	body   any
}

// refusal is a refusal in Alpaca's form. Further fields may stand beside the two.
func refusal(status, code int, message string, fields ...string) answer {
	body := map[string]any{"code": code, "message": message}
	for i := 0; i < len(fields); i += 2 {
		body[fields[i]] = fields[i+1]
	}
	return answer{status, body}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	asked, serve := s.route(r, body)
	disturb := s.config.Disturb
	s.mu.Unlock()
	fault := None
	if disturb != nil {
		fault = disturb(asked)
	}

	s.mu.Lock()
	a, header := s.answer(r, serve, fault)
	s.mu.Unlock()
	for name, value := range header {
		w.Header().Set(name, value)
	}
	switch fault {
	case Failed:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>")
		return
	case Held:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Unreached, ReplyLost, Late:
		// In the middle: a client that has read nothing may take the connection for one that
		// was idle and closed, and ask again by itself.
		io.WriteString(w, `{"id":`)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if a.status == http.StatusNoContent {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	json.NewEncoder(w).Encode(a.body)
}

// answer serves a request, or refuses it unseen.
func (s *Server) answer(r *http.Request, serve func() answer, fault Fault) (answer, map[string]string) {
	if fault == Denied || r.Header.Get("APCA-API-KEY-ID") != s.config.KeyID || r.Header.Get("APCA-API-SECRET-KEY") != s.config.SecretKey {
		return answer{http.StatusUnauthorized, map[string]string{"message": "unauthorized."}}, nil
	}
	header, exceeded := s.count(fault == RateLimited)
	switch {
	case exceeded:
		return refusal(http.StatusTooManyRequests, 42910000, "rate limit exceeded"), header
	case fault == Failed, fault == Unreached:
		return answer{}, header
	case fault == Late:
		do := sync.OnceFunc(func() { serve() })
		s.late = append(s.late, do)
		time.AfterFunc(s.config.Lag, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			do()
		})
		return answer{}, header
	case fault == Poor:
		return refusal(http.StatusForbidden, 40310000, "insufficient buying power"), header
	case fault == Overlooked:
		return refusal(http.StatusNotFound, 40410000, "order not found"), header
	}
	return serve(), header
}

// count counts the requests of a minute and returns the headers that say how many are left.
func (s *Server) count(exhausted bool) (header map[string]string, exceeded bool) {
	limit := s.config.RequestsPerMinute
	if limit == 0 && !exhausted {
		return nil, false
	}
	if minute := s.config.Now().Truncate(time.Minute); minute != s.window {
		s.window, s.requests = minute, 0
	}
	s.requests++
	remaining := max(0, limit-s.requests)
	if exhausted {
		remaining = 0
	}
	return map[string]string{
		"X-RateLimit-Limit":     strconv.Itoa(limit),
		"X-RateLimit-Remaining": strconv.Itoa(remaining),
		"X-RateLimit-Reset":     strconv.FormatInt(s.window.Add(time.Minute).Unix(), 10),
	}, exhausted || s.requests > limit
}

// route finds what a request is for, and what serves it.
func (s *Server) route(r *http.Request, body []byte) (Request, func() answer) {
	path, found := strings.CutPrefix(r.URL.Path, "/v2/")
	kind, name, _ := strings.Cut(path, "/")
	query := r.URL.Query()
	switch what := r.Method + " " + kind; {
	case !found:
	case what == "GET stocks" && name == "snapshots":
		symbols := query.Get("symbols")
		return Request{Operation: Quote, Symbol: symbols}, func() answer { return s.snapshots(symbols) }
	case what == "GET clock":
		return Request{Operation: Clock}, s.clock
	case what == "GET positions":
		return Request{Operation: Position, Symbol: name}, func() answer { return s.position(name) }
	case what == "POST orders":
		var p placement
		if err := json.Unmarshal(body, &p); err != nil {
			return Request{Operation: Place}, func() answer { return refusal(http.StatusBadRequest, 40010000, "request body format is invalid") }
		}
		return Request{Place, p.Symbol, p.ClientOrderID}, func() answer { return s.place(p) }
	case what == "GET orders:by_client_order_id":
		id := query.Get("client_order_id")
		return s.about(Find, s.order(func(o *Order) bool { return o.ClientOrderID == id }), id)
	case what == "GET orders":
		return s.about(Look, s.order(func(o *Order) bool { return o.ID == name }), name)
	case what == "DELETE orders":
		return s.about(Cancel, s.order(func(o *Order) bool { return o.ID == name }), name)
	}
	return Request{}, func() answer { return refusal(http.StatusNotFound, 40410000, "endpoint not found") }
}

// about is a request about an order, which may not exist.
func (s *Server) about(operation Operation, o *Order, id string) (Request, func() answer) {
	if o == nil {
		return Request{Operation: operation, ClientOrderID: id}, func() answer { return refusal(http.StatusNotFound, 40410000, "order not found for "+id) }
	}
	return Request{operation, o.Symbol, o.ClientOrderID}, func() answer {
		if operation == Cancel {
			return o.cancel()
		}
		o.look()
		return answer{http.StatusOK, o.encode()}
	}
}

func (s *Server) order(is func(*Order) bool) *Order {
	for _, o := range s.orders {
		if is(o) {
			return o
		}
	}
	return nil
}

func (s *Server) snapshots(symbols string) answer {
	all := map[string]any{}
	for symbol := range strings.SplitSeq(symbols, ",") {
		stock, ok := s.config.Stock(symbol)
		if !ok {
			all[symbol] = nil
			continue
		}
		now := s.config.Now().UTC()
		snapshot := map[string]any{"latestTrade": nil, "prevDailyBar": nil}
		if stock.Latest != 0 {
			snapshot["latestTrade"] = map[string]any{"t": now, "p": stock.Latest, "s": 100}
		}
		if stock.PreviousClose != 0 {
			snapshot["prevDailyBar"] = map[string]any{"t": now.Add(-24 * time.Hour), "c": stock.PreviousClose}
		}
		all[symbol] = snapshot
	}
	return answer{http.StatusOK, all}
}

func (s *Server) clock() answer {
	now := s.config.Now().UTC()
	return answer{http.StatusOK, map[string]any{
		"timestamp": now, "is_open": !s.config.Closed, "next_open": now.Add(16 * time.Hour).Truncate(time.Minute), "next_close": now.Add(6 * time.Hour),
	}}
}

func (s *Server) position(symbol string) answer {
	held := s.held(symbol)
	if held <= 0 {
		return refusal(http.StatusNotFound, 40410000, "position does not exist")
	}
	return answer{http.StatusOK, map[string]any{"symbol": symbol, "qty": strconv.Itoa(held), "qty_available": strconv.Itoa(held - s.config.Reserved), "side": "long"}}
}

// held is how many shares the account has now.
func (s *Server) held(symbol string) int {
	if s.config.Shares == nil {
		return 1_000_000
	}
	return *s.config.Shares + s.traded[symbol]
}

// placement is the body of an order's request.
type placement struct {
	Symbol        string
	Qty           *decimal.Decimal
	Side          string
	Type          string
	TimeInForce   string           `json:"time_in_force"`
	LimitPrice    *decimal.Decimal `json:"limit_price"`
	ClientOrderID string           `json:"client_order_id"`
	Intent        string           `json:"position_intent"`
}

func (s *Server) place(p placement) answer {
	unique := func() answer {
		if s.order(func(o *Order) bool { return o.ClientOrderID == p.ClientOrderID }) == nil {
			return answer{}
		}
		return refusal(http.StatusUnprocessableEntity, 40010001, "client_order_id must be unique")
	}
	rules := []func() answer{unique, p.validate, func() answer { return s.afford(p) }}
	if s.config.IDsLast {
		rules = append(rules[1:], unique)
	}
	for _, rule := range rules {
		if a := rule(); a.status != 0 {
			return a
		}
	}
	stock, ok := s.config.Stock(p.Symbol)
	if !ok {
		return refusal(http.StatusUnprocessableEntity, 42210000, fmt.Sprintf("asset %q not found", p.Symbol))
	}
	o := &Order{
		ID: uuid.NewString(), ClientOrderID: p.ClientOrderID, Symbol: p.Symbol, Side: p.Side, Qty: *p.Qty, Limit: *p.LimitPrice,
		Status: "pending_new", looks: s.config.Looks, at: s.config.Now().UTC(),
	}
	o.toFill, o.Price = stock.match(o, s.config.Closed)
	s.orders = append(s.orders, o)
	if filled := int(o.toFill.IntPart()); p.Side == "buy" {
		s.traded[p.Symbol] += filled
	} else {
		s.traded[p.Symbol] -= filled
	}
	return answer{http.StatusOK, o.encode()}
}

// validate refuses what is not the kind of order that is used here: a limit order,
// immediate or cancel, in whole ticks. The answer is empty if it is.
func (p placement) validate() answer {
	invalid := func(code int, message string) answer { return refusal(http.StatusUnprocessableEntity, code, message) }
	switch {
	case p.Qty == nil || !p.Qty.IsPositive():
		return invalid(40010001, "qty must be > 0")
	case p.Side != "buy" && p.Side != "sell":
		return invalid(40010001, "invalid side")
	case p.Type != "limit":
		return invalid(40010001, "invalid order type")
	case p.TimeInForce != "ioc":
		return invalid(40010001, "invalid time_in_force")
	case p.LimitPrice == nil:
		return invalid(40010001, "limit orders require a limit price")
	case !p.LimitPrice.IsPositive():
		return invalid(40010001, "limit price must be > 0")
	case len(p.ClientOrderID) > 128:
		return invalid(40010001, "client_order_id must be no more than 128 characters")
	}
	places := int32(2)
	if p.LimitPrice.LessThan(decimal.NewFromInt(1)) {
		places = 4
	}
	if !p.LimitPrice.Equal(p.LimitPrice.Truncate(places)) {
		return invalid(42210000, fmt.Sprintf("invalid limit_price %s. sub-penny increment does not fulfill minimum pricing criteria", p.LimitPrice))
	}
	return answer{}
}

// afford refuses what the account has not enough money or shares for. A sale without any
// shares is a short sale, unless it says that it closes a position. The answer is empty if
// there is enough.
func (s *Server) afford(p placement) answer {
	cost := p.LimitPrice.Mul(*p.Qty)
	held := s.held(p.Symbol)
	available := held - s.config.Reserved
	switch power := s.config.BuyingPower; {
	case p.Side == "buy" && power != nil && cost.GreaterThan(*power):
		return refusal(http.StatusForbidden, 40310000, "insufficient buying power", "buying_power", power.String(), "cost_basis", cost.String())
	case p.Side == "sell" && held <= 0 && p.Intent == "sell_to_close":
		return refusal(http.StatusUnprocessableEntity, 42210000, "position intent mismatch, inferred: sell_to_open, specified: sell_to_close")
	case p.Side == "sell" && held > 0 && p.Qty.GreaterThan(decimal.NewFromInt(int64(available))):
		return refusal(http.StatusForbidden, 40310000, fmt.Sprintf("insufficient qty available for order (requested: %s, available: %d)", p.Qty, available),
			"symbol", p.Symbol, "existing_qty", strconv.Itoa(held), "available", strconv.Itoa(available), "held_for_orders", strconv.Itoa(s.config.Reserved))
	}
	return answer{}
}

// match returns how many shares of an order are filled at once, and at which price.
func (s Stock) match(o *Order, closed bool) (qty, price decimal.Decimal) {
	price = decimal.NewFromFloat(s.Latest)
	if s.Trades != 0 {
		price = decimal.NewFromFloat(s.Trades)
	}
	if closed || o.Side == "buy" && o.Limit.LessThan(price) || o.Side == "sell" && o.Limit.GreaterThan(price) {
		return decimal.Zero, price
	}
	if liquid := decimal.NewFromInt(int64(s.Liquidity)); s.Liquidity >= 0 && liquid.LessThan(o.Qty) {
		return liquid, price
	}
	return o.Qty, price
}

// look counts a request for an order, which ends it sooner or later.
func (o *Order) look() {
	if o.Status == "pending_cancel" {
		o.end()
		return
	}
	if o.looks > 0 {
		o.looks--
		o.Status = "new"
	} else if o.looks == 0 && !o.ended() {
		o.end()
	}
}

func (o *Order) ended() bool { return o.Status == "filled" || o.Status == "canceled" }

// end fills what can be filled and cancels the rest.
func (o *Order) end() {
	o.Filled, o.Status = o.toFill, "canceled"
	if o.Filled.Equal(o.Qty) {
		o.Status = "filled"
	}
}

func (o *Order) cancel() answer {
	if o.ended() {
		return refusal(http.StatusUnprocessableEntity, 42210000, fmt.Sprintf("order is already in %q state", o.Status))
	}
	o.Status = "pending_cancel"
	return answer{status: http.StatusNoContent}
}

func (o *Order) encode() map[string]any {
	body := map[string]any{
		"id": o.ID, "client_order_id": o.ClientOrderID, "symbol": o.Symbol, "asset_class": "us_equity", "side": o.Side, "type": "limit",
		"time_in_force": "ioc", "qty": o.Qty, "limit_price": o.Limit, "filled_qty": o.Filled, "filled_avg_price": nil, "status": o.Status,
		"created_at": o.at, "submitted_at": o.at, "extended_hours": false,
	}
	if o.Filled.IsPositive() {
		body["filled_avg_price"] = o.Price
	}
	return body
}
