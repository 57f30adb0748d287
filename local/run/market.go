package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

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

// market is what a run trades with. The zero value is the simulated market, which needs
// nothing.
type market struct {
	secret           string // the ARN that the functions know
	keyID, secretKey string // of a person's paper account; empty for a broker that stands in for Alpaca
}

// chooseMarket finds the market of a configuration: a broker on this machine that stands in
// for Alpaca, or Alpaca's paper trading with a person's own keys where it is asked for by
// name. Its error is a mistake of that person.
func chooseMarket(c config.Config, paper bool, getenv func(string) string) (market, error) {
	switch {
	case c.Market != config.AlpacaMarket && paper:
		return market{}, errors.New("--paper goes with -c market=alpaca only")
	case c.Market != config.AlpacaMarket:
		return market{}, nil
	case c.MarketMode == config.LiveMode:
		return market{}, errors.New("the local run never trades with real money: marketMode=live is for a deployment")
	}
	m := market{secret: c.MarketSecret}
	if !paper {
		return m, nil
	}
	m.keyID, m.secretKey = getenv(keyIDVariable), getenv(secretKeyVariable)
	if m.keyID == "" || m.secretKey == "" {
		return market{}, fmt.Errorf("--paper trades at Alpaca with the keys of your paper account: set %s and %s, or leave --paper out to trade at a broker on this machine that needs none", keyIDVariable, secretKeyVariable)
	}
	return m, nil
}

// open puts what the market needs into the system's configuration, and starts the broker
// that stands in for Alpaca. It returns a sentence about where is traded, and what ends it.
func (m market) open(c *system.Config) (where string, end func(), err error) {
	end = func() {}
	if m.secret == "" {
		return "", end, nil
	}
	where = "Trading at Alpaca, with the play money of your paper account."
	if m.keyID == "" {
		// Keys that open nothing else, so that nobody's own go anywhere.
		m.keyID, m.secretKey = rand.Text(), rand.Text()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, fmt.Errorf("listen for the broker on 127.0.0.1: %w", err)
		}
		server := &http.Server{Handler: broker.New(broker.Config{KeyID: m.keyID, SecretKey: m.secretKey}), ReadHeaderTimeout: 10 * time.Second}
		go server.Serve(listener)
		end = func() { server.Close() }
		c.Environment = map[string]string{"MARKET_ENDPOINT": "http://" + listener.Addr().String()}
		where = "Trading at a broker on this machine that stands in for Alpaca; --paper trades at Alpaca itself, with play money."
	} else {
		c.Token = rand.Text() // others on this machine should not trade with that account
	}
	value, err := json.Marshal(map[string]string{keyIDVariable: m.keyID, secretKeyVariable: m.secretKey})
	if err != nil {
		end()
		return "", nil, fmt.Errorf("encode the keys: %w", err)
	}
	c.Secrets = map[string]string{m.secret: string(value)}
	return where, end, nil
}
