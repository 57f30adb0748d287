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
		fmt.Fprintln(os.Stderr, "\nerror:", err) // jsii's last words don't end their line
		os.Exit(1)
	}
}

func synthesize() (err error) {
	defer jsii.Close()
	defer func() { // constructs panic: with what the compiler says of a function, for one
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()

	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false)})
	choices, err := config.FromContext(func(key string) any {
		return app.Node().TryGetContext(jsii.String(key))
	})
	if err != nil {
		return err
	}
	choices.Partition = config.Partition(os.Getenv("CDK_DEFAULT_REGION")) // which the CLI deploys to
	stacks.NewStockTrading(app, "StockTrading", choices)
	app.Synth(nil)
	return nil
}
