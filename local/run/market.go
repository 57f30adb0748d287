package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"stocktrading/local/broker"
	"stocktrading/local/system"
	"stocktrading/stacks/config"
)

// The environment variables that a person's own keys are in, which are also the fields of
// the secret.
const (
	keyIDVariable     = "APCA_API_KEY_ID"
	secretKeyVariable = "APCA_API_SECRET_KEY"
)

// localSecret is the secret of a run that names none.
const localSecret = "arn:aws:secretsmanager:" + system.Region + ":" + system.AccountID + ":secret:alpaca-AbCdEf"

// market is what a real market needs on this machine beside the template.
type market struct {
	secrets     map[string]string
	environment map[string]string
}

// chooseMarket finds the market of a configuration: the broker at an endpoint, or Alpaca's
// paper trading with a person's own keys. Its error is a mistake of that person.
func chooseMarket(c config.Config, endpoint string, getenv func(string) string) (market, error) {
	switch {
	case c.Market != config.AlpacaMarket && endpoint != "":
		return market{}, errors.New("-market-endpoint goes with -c market=alpaca only")
	case c.Market != config.AlpacaMarket:
		return market{}, nil
	case c.MarketMode == config.LiveMode:
		return market{}, errors.New("the local run never trades with real money: marketMode=live is for a deployment")
	}
	onThisMachine, err := checkEndpoint(endpoint)
	if err != nil {
		return market{}, err
	}
	keys := map[string]string{keyIDVariable: getenv(keyIDVariable), secretKeyVariable: getenv(secretKeyVariable)}
	if onThisMachine && keys[keyIDVariable] == "" && keys[secretKeyVariable] == "" {
		keys[keyIDVariable], keys[secretKeyVariable] = broker.KeyID, broker.SecretKey
	}
	if keys[keyIDVariable] == "" || keys[secretKeyVariable] == "" {
		return market{}, fmt.Errorf("the keys of Alpaca's paper trading are missing: set %s and %s, or trade with a broker on this machine that needs none, which go run ./local/broker/serve starts", keyIDVariable, secretKeyVariable)
	}
	value, err := json.Marshal(keys)
	if err != nil {
		return market{}, fmt.Errorf("encode the keys: %w", err)
	}
	m := market{secrets: map[string]string{c.MarketSecret: string(value)}}
	if endpoint != "" {
		m.environment = map[string]string{"MARKET_ENDPOINT": strings.TrimSuffix(endpoint, "/")}
	}
	return m, nil
}

// checkEndpoint refuses an address that keys must not go to, and tells whether it is one
// of this machine.
func checkEndpoint(endpoint string) (onThisMachine bool, err error) {
	if endpoint == "" {
		return false, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return false, fmt.Errorf("-market-endpoint is %q, want an address such as http://127.0.0.1:8090", endpoint)
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	ip := net.ParseIP(host)
	onThisMachine = host == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case host == "alpaca.markets" || strings.HasSuffix(host, ".alpaca.markets"):
		return false, fmt.Errorf("-market-endpoint is %q, which is Alpaca's own: leave the flag out for its paper trading", endpoint)
	case u.Scheme == "https", u.Scheme == "http" && onThisMachine:
		return onThisMachine, nil
	}
	return false, fmt.Errorf("-market-endpoint is %q: other machines are spoken to by https only", endpoint)
}
