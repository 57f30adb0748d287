//go:build alpaca

package market

import (
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"stocktrading/lambdas/awsenv"
	"stocktrading/lambdas/market/alpaca"
)

// Open returns Alpaca, as the function's environment says: MARKET_MODE, "paper" or "live",
// and MARKET_SECRET, the ARN of the keys. The local run adds MARKET_ENDPOINT, an address in
// place of Alpaca's, which no deployed function has.
func Open() *alpaca.Market {
	secret := os.Getenv("MARKET_SECRET")
	return alpaca.New(alpaca.Config{
		Live:     os.Getenv("MARKET_MODE") == "live",
		Endpoint: os.Getenv("MARKET_ENDPOINT"),
		Secret: &alpaca.Secret{ARN: secret, Reader: func() (alpaca.SecretReader, error) {
			name, err := arn.Parse(secret)
			if err != nil {
				return nil, fmt.Errorf("parse ARN: %w", err)
			}
			cfg, err := awsenv.Load()
			if err != nil {
				return nil, err
			}
			cfg.Region = name.Region // which need not be the function's
			return secretsmanager.NewFromConfig(cfg), nil
		}},
	})
}
