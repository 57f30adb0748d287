package stacks

import (
	"cmp"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"stocktrading/stacks/config"
)

// definition is the state machine in Amazon States Language. Its placeholders for
// resources are filled in by CloudFormation, the others by renderDefinition.
//
//go:embed stock_trading.asl.json
var definition string

// approvalAttempts is how often the state "Request Human Approval" may ask: once, and
// again for each retry of a request that could not be sent.
const approvalAttempts = 4

// workTime is more than all other states may take together, retries included. Most of it is
// for functions that are throttled.
const workTime = 2 * time.Hour

// renderDefinition puts the configuration in. JSON has no bare placeholder, so in the file
// numbers are quoted. The ARNs of Step Functions' integrations are spelled out there, since
// cfn-lint takes a placeholder in them for an error.
func renderDefinition(c config.Config) string {
	seconds := func(d time.Duration) string { return fmt.Sprint(int64(d / time.Second)) }
	return strings.NewReplacer(
		`"${ApprovalTimeoutSeconds}"`, seconds(c.ApprovalTimeout),
		`"${ExecutionTimeoutSeconds}"`, seconds(approvalAttempts*c.ApprovalTimeout+workTime),
		"${Stakes}", c.Stakes(),
		`"arn:aws:states:::`, `"arn:`+cmp.Or(c.Partition, "aws")+`:states:::`,
	).Replace(definition)
}
