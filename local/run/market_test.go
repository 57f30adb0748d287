package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stocktrading/local/broker"
	"stocktrading/stacks/config"
)

func TestChooseMarket(t *testing.T) {
	paper := config.Config{Market: config.AlpacaMarket, MarketMode: config.PaperMode, MarketSecret: localSecret}
	live := paper
	live.MarketMode = config.LiveMode
	own := map[string]string{"APCA_API_KEY_ID": "mine", "APCA_API_SECRET_KEY": "my own"}
	secret := func(id, key string) map[string]string {
		return map[string]string{localSecret: `{"APCA_API_KEY_ID":"` + id + `","APCA_API_SECRET_KEY":"` + key + `"}`}
	}
	brokers := secret(broker.KeyID, broker.SecretKey)
	at := func(url string) map[string]string { return map[string]string{"MARKET_ENDPOINT": url} }
	for _, test := range []struct {
		name     string
		config   config.Config
		endpoint string
		env      map[string]string
		want     market
		wantErr  string
	}{
		{"simulated", config.Default(), "", own, market{}, ""},
		{"simulated at an endpoint", config.Default(), "http://127.0.0.1:1", nil, market{}, "-market-endpoint goes with -c market=alpaca only"},
		{"paper with one's own keys", paper, "", own, market{secrets: secret("mine", "my own")}, ""},
		{"paper without keys", paper, "", nil, market{}, "the keys of Alpaca's paper trading are missing: set APCA_API_KEY_ID and APCA_API_SECRET_KEY"},
		{"paper with half a pair", paper, "", map[string]string{"APCA_API_KEY_ID": "mine"}, market{}, "keys of Alpaca's paper trading are missing"},
		{"live", live, "", own, market{}, "the local run never trades with real money"},
		{"live at a broker", live, "http://127.0.0.1:1", nil, market{}, "the local run never trades with real money"},
		{"a broker here", paper, "http://127.0.0.1:8090", nil, market{secrets: brokers, environment: at("http://127.0.0.1:8090")}, ""},
		{"a broker here by name", paper, "http://localhost:8090/", nil, market{secrets: brokers, environment: at("http://localhost:8090")}, ""},
		{"a broker here by IPv6", paper, "http://[::1]:8090", nil, market{secrets: brokers, environment: at("http://[::1]:8090")}, ""},
		{"a broker here with one's own keys", paper, "http://127.0.0.1:8090", own, market{secrets: secret("mine", "my own"), environment: at("http://127.0.0.1:8090")}, ""},
		{"a broker here with half a pair", paper, "http://127.0.0.1:8090", map[string]string{"APCA_API_SECRET_KEY": "my own"}, market{}, "keys of Alpaca's paper trading are missing"},
		{"a broker elsewhere", paper, "https://broker.example.com", own, market{secrets: secret("mine", "my own"), environment: at("https://broker.example.com")}, ""},
		{"a broker elsewhere without keys", paper, "https://broker.example.com", nil, market{}, "keys of Alpaca's paper trading are missing"},
		{"a broker elsewhere in the open", paper, "http://broker.example.com", own, market{}, "other machines are spoken to by https only"},
		{"a name that begins like this machine's", paper, "http://127.0.0.1.example.com", own, market{}, "other machines are spoken to by https only"},
		{"any address of this machine", paper, "http://0.0.0.0:8090", own, market{}, "other machines are spoken to by https only"},
		{"real money by the way", paper, "https://api.alpaca.markets", own, market{}, "which is Alpaca's own"},
		{"Alpaca by its own name", paper, "https://alpaca.markets", own, market{}, "which is Alpaca's own"},
		{"real money by another spelling", paper, "https://API.alpaca.markets.:443/", own, market{}, "which is Alpaca's own"},
		{"no address", paper, "8090", own, market{}, `-market-endpoint is "8090", want an address such as http://127.0.0.1:8090`},
		{"an address with a path", paper, "http://127.0.0.1:8090/v2", own, market{}, "want an address such as"},
		{"an address with a password", paper, "http://me:x@127.0.0.1:8090", own, market{}, "want an address such as"},
		{"an address of another kind", paper, "ftp://127.0.0.1", own, market{}, "other machines are spoken to by https only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := chooseMarket(test.config, test.endpoint, func(name string) string { return test.env[name] })
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
