// Command stocktrading is the CDK app: it synthesizes the stock trading stack, with
// the configuration that cdk.json and the command line's -c choose.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"stocktrading/stacks"
	"stocktrading/stacks/config"
)

func main() {
	if err := synthesize(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func synthesize() error {
	defer jsii.Close()

	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false)})
	choices, err := config.FromContext(func(key string) any {
		return app.Node().TryGetContext(jsii.String(key))
	})
	if err != nil {
		return err
	}
	stacks.NewStockTrading(app, "StockTrading", choices)
	app.Synth(nil)
	return nil
}
