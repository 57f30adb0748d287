package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stocktrading/local/broker"
)

var command = regexp.MustCompile(`^  go run \./local -c market=alpaca -market-endpoint (http://127\.0\.0\.1:[0-9]+)$`)

func TestServe(t *testing.T) {
	t.Setenv("APCA_API_KEY_ID", "")
	t.Setenv("APCA_API_SECRET_KEY", "")
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-fail", "2", "-unknown", "GONE"}, in, io.Discard)
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	var at string
	for at == "" && lines.Scan() {
		if m := command.FindStringSubmatch(lines.Text()); m != nil {
			at = m[1]
		}
	}
	said := make(chan string, 1)
	go func() {
		rest, _ := io.ReadAll(out)
		said <- string(rest)
	}()
	for _, want := range []struct {
		symbol string
		status int
		body   string
	}{{"AMZN", 200, `"latestTrade"`}, {"AMZN", 503, "<html>"}, {"GONE", 200, `{"GONE":null}`}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", at+"/v2/stocks/snapshots?symbols="+want.symbol, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("APCA-API-KEY-ID", broker.KeyID)
		r.Header.Set("APCA-API-SECRET-KEY", broker.SecretKey)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want.status || !strings.Contains(string(body), want.body) {
			t.Errorf("%s: HTTP %d with %s, %v; want %d with %s", want.symbol, resp.StatusCode, body, err, want.status, want.body)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if text := <-said; strings.Count(text, "quote ") != 3 || !strings.Contains(text, "answered with 503") {
		t.Errorf("it says of its requests:\n%s", text)
	}
}

// An order whose reply is lost is found when it is sent again.
func TestDisturb(t *testing.T) {
	next := disturb(0, 2, io.Discard)
	var got []broker.Fault
	for _, id := range []string{"one", "one", "two", "two", "three", "four"} {
		next(broker.Request{Operation: broker.Clock})
		got = append(got, next(broker.Request{Operation: broker.Place, ClientOrderID: id}))
	}
	want := []broker.Fault{broker.None, broker.None, broker.ReplyLost, broker.None, broker.None, broker.ReplyLost}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"-port", "x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
