// Command stocktrading is the CDK app: it synthesizes the stock trading stack, with
// the configuration that cdk.json and the command line's -c choose.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"stocktrading/stacks"
	"stocktrading/stacks/config"
)

func main() {
	stderr := os.Stderr // which the end of the CDK's runtime takes
	if err := synthesize(); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		os.Exit(1)
	}
}

func synthesize() (err error) {
	validate := os.Getenv("CDK_VALIDATION") != "false"
	os.Setenv("CDK_VALIDATION", "false") // stacks.ValidateOnce validates in the CDK's place
	jsii.Close()                         // the runtime has read the environment before this line
	defer closeRuntime()
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
	if validate {
		stacks.ValidateOnce(app, filepath.Join(".build", "validated"))
	}
	app.Synth(nil)
	return nil
}

// closeRuntime ends the CDK's runtime without its last words: two of jsii's goroutines wait
// for the same process, and the one that comes second would tell of an abnormal exit.
func closeRuntime() {
	stderr := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		jsii.Close()
		return
	}
	os.Stderr = w // and stays so, since the words may come after the end
	said := make(chan string)
	go func() {
		text, _ := io.ReadAll(r)
		said <- string(text)
	}()
	jsii.Close()
	w.Close()
	io.WriteString(stderr, strings.ReplaceAll(<-said, "Runtime process exited abnormally: waitid: no child processes", ""))
}
