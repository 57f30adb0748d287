package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stocktrading/local/system"
	"stocktrading/stacks/config"
)

func TestChooseMarket(t *testing.T) {
	alpaca := config.Config{Market: config.AlpacaMarket, MarketMode: config.PaperMode, MarketSecret: localSecret}
	live := alpaca
	live.MarketMode = config.LiveMode
	own := map[string]string{"APCA_API_KEY_ID": "mine", "APCA_API_SECRET_KEY": "my own"}
	const missing = "--paper trades at Alpaca with the keys of your paper account: set APCA_API_KEY_ID and APCA_API_SECRET_KEY"
	for _, test := range []struct {
		name    string
		config  config.Config
		paper   bool
		env     map[string]string
		want    market
		wantErr string
	}{
		{"simulated", config.Default(), false, own, market{}, ""},
		{"simulated, and paper", config.Default(), true, own, market{}, "--paper goes with -c market=alpaca only"},
		{"a stand-in", alpaca, false, nil, market{secret: localSecret}, ""},
		{"a stand-in, which gets nobody's keys", alpaca, false, own, market{secret: localSecret}, ""},
		{"paper", alpaca, true, own, market{secret: localSecret, keyID: "mine", secretKey: "my own"}, ""},
		{"paper without keys", alpaca, true, nil, market{}, missing},
		{"paper with half a pair", alpaca, true, map[string]string{"APCA_API_KEY_ID": "mine"}, market{}, missing},
		{"paper with the other half", alpaca, true, map[string]string{"APCA_API_SECRET_KEY": "my own"}, market{}, missing},
		{"live", live, false, own, market{}, "the local run never trades with real money"},
		{"live, and paper", live, true, own, market{}, "the local run never trades with real money"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := chooseMarket(test.config, test.paper, func(name string) string { return test.env[name] })
			if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Fatalf("got error %v, want %q", err, test.wantErr)
			}
			if err != nil && strings.Contains(err.Error(), "my own") {
				t.Errorf("the error holds the keys: %v", err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(market{})); diff != "" {
				t.Errorf("market (-want +got):\n%s", diff)
			}
		})
	}
}

// A person's own keys are in the system of a run that trades with them and in no other, and
// that run's endpoint asks for a token.
func TestOpenMarket(t *testing.T) {
	open := func(m market) (system.Config, map[string]string) {
		t.Helper()
		var c system.Config
		where, end, err := m.open(&c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		if (where == "") != (m == market{}) {
			t.Errorf("%+v is told as %q", m, where)
		}
		keys := map[string]string{}
		if value, ok := c.Secrets[localSecret]; ok {
			if err := json.Unmarshal([]byte(value), &keys); err != nil {
				t.Fatal(err)
			}
		}
		return c, keys
	}
	if c, keys := open(market{}); len(keys) != 0 || c.Environment != nil || c.Token != "" {
		t.Errorf("the simulated market has %+v", c)
	}
	c, keys := open(market{secret: localSecret, keyID: "mine", secretKey: "my own"})
	if keys[keyIDVariable] != "mine" || keys[secretKeyVariable] != "my own" || len(c.Environment) != 0 || len(c.Token) < 26 {
		t.Errorf("paper trading has the keys %v, the environment %v and the token %q", keys, c.Environment, c.Token)
	}
	c, keys = open(market{secret: localSecret})
	if _, again := open(market{secret: localSecret}); again[secretKeyVariable] == keys[secretKeyVariable] || len(keys[secretKeyVariable]) < 26 {
		t.Errorf("one run has the keys %v, another %v", keys, again)
	}
	for _, key := range []string{keys[secretKeyVariable], "another"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Environment["MARKET_ENDPOINT"]+"/v2/clock", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("APCA-API-KEY-ID", keys[keyIDVariable])
		r.Header.Set("APCA-API-SECRET-KEY", key)
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if right := key != "another"; right != (reply.StatusCode == http.StatusOK) {
			t.Errorf("the broker answers the key %q with %s", key, reply.Status)
		}
	}
}
