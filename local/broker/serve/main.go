// Command serve runs a broker that stands in for Alpaca, for the local run to trade with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/shopspring/decimal"

	"stocktrading/local/broker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

const usage = `Usage: go run ./local/broker/serve [flags]

Stands in for Alpaca on 127.0.0.1, and prints the command that trades with it. It takes
the keys of APCA_API_KEY_ID and APCA_API_SECRET_KEY, or its own where they are not set.

Flags:
`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	port := flags.Int("port", 0, "on 127.0.0.1; 0 takes any free one")
	closed := flags.Bool("closed", false, "the market is closed")
	unknown := flags.String("unknown", "NOSUCH", "a `symbol` that no stock has; every other one has a stock")
	power := flags.Int("buying-power", 100_000, "`dollars` to buy with")
	shares := flags.Int("shares", 1000, "of every stock, to sell")
	liquidity := flags.Int("liquidity", -1, "shares that are traded at most for one order; -1 for any `number`")
	slow := flags.Bool("slow", false, "orders don't end before they are cancelled")
	limit := flags.Int("rate-limit", 200, "requests in a minute")
	fail := flags.Int64("fail", 0, "every which `request` is answered with 503; 0 for none")
	lose := flags.Int64("lose", 0, "of every which `order` the reply is lost; 0 for none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; -h shows the flags", flags.Arg(0))
	}
	buyingPower := decimal.NewFromInt(int64(*power))
	config := broker.Config{
		KeyID: os.Getenv("APCA_API_KEY_ID"), SecretKey: os.Getenv("APCA_API_SECRET_KEY"),
		Stock: func(symbol string) (broker.Stock, bool) {
			s := broker.AnyStock(symbol)
			s.Liquidity = *liquidity
			return s, symbol != *unknown
		},
		Closed: *closed, BuyingPower: &buyingPower, Shares: shares, RequestsPerMinute: *limit,
		Disturb: disturb(*fail, *lose, stdout),
	}
	if *slow {
		config.Looks = -1
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(stdout, "The broker is up at http://%s. Ctrl-C ends it. In another terminal:\n\n  go run ./local -c market=alpaca -market-endpoint http://%[1]s\n\n", listener.Addr())
	server := &http.Server{Handler: broker.New(config), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// disturb tells of each request, and which of them fail: every which request, and the reply
// to every which order when it is new.
func disturb(fail, lose int64, stdout io.Writer) func(broker.Request) broker.Fault {
	var mu sync.Mutex
	requests, orders := int64(0), map[string]bool{}
	return func(r broker.Request) broker.Fault {
		mu.Lock()
		defer mu.Unlock()
		requests++
		again := orders[r.ClientOrderID]
		if r.Operation == broker.Place {
			orders[r.ClientOrderID] = true
		}
		fault, text := broker.None, ""
		switch {
		case fail > 0 && requests%fail == 0:
			fault, text = broker.Failed, "answered with 503"
		case r.Operation == broker.Place && !again && lose > 0 && int64(len(orders))%lose == 0:
			fault, text = broker.ReplyLost, "its reply lost"
		}
		fmt.Fprintf(stdout, "%-8s  %-12s  %-32s  %s\n", r.Operation, r.Symbol, r.ClientOrderID, text)
		return fault
	}
}
