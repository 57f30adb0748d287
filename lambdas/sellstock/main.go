// Command sellstock is the function of the state "Sell Stock".
package main

import (
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"stocktrading/lambdas/market"
	"stocktrading/lambdas/trading"
	"stocktrading/lambdas/trading/tradehandler"
)

func main() {
	lambda.Start(tradehandler.New(trading.Sell, market.Open(), lambdacontext.NewLogger()))
}
