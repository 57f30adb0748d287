package trading

import (
	"strings"
	"testing"
)

func TestIsLimitPrice(t *testing.T) {
	for price, want := range map[string]bool{
		"187.12": true, "0.0001": true, "5": true, "100": true, "999999999.999999999": true, "0.10": true,
		"": false, "0": false, "0.0": false, "00.5": false, "05": false, ".5": false, "5.": false, "-5": false, "+5": false, "1e3": false,
		"1,5": false, "1.2.3": false, "1234567890": false, "1.0000000001": false, " 5": false, "5\n": false, "٥": false,
	} {
		if got := isLimitPrice(price); got != want {
			t.Errorf("isLimitPrice(%q) = %v", price, got)
		}
	}
}

func TestIsExecutionARN(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for arn, want := range map[string]bool{
		"arn:aws:states:eu-west-1:123456789012:execution:StockTrading:order-42":           true,
		"arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:StockTrading:ordre-é": true,
		"arn:aws:states:eu-west-1:123456789012:execution:StockTrading:" + long(80):        true,
		"arn:aws:states:eu-west-1:123456789012:execution:StockTrading:" + long(81):        false,
		"arn:aws:states:eu-west-1:123456789012:execution:StockTrading:":                   false,
		"arn:aws:states:eu-west-1:123456789012:execution::order-42":                       false,
		"arn:aws:states:eu-west-1:123456789012:stateMachine:StockTrading:order-42":        false,
		"arn:aws:states:eu-west-1:12345678901:execution:StockTrading:order-42":            false,
		"arn:aws:states:EU:123456789012:execution:StockTrading:order-42":                  false,
		"arn:aws:states::123456789012:execution:StockTrading:order-42":                    false,
		"arn:aws:lambda:eu-west-1:123456789012:execution:StockTrading:order-42":           false,
		"arn:gcp:states:eu-west-1:123456789012:execution:StockTrading:order-42":           false,
		"urn:aws:states:eu-west-1:123456789012:execution:StockTrading:order-42":           false,
		"arn:aws:states:eu-west-1:123456789012:express:StockTrading:order-42:0123":        false,
		"arn:aws:states:eu-west-1:123456789012:execution:StockTrading:order-42:more":      false,
		"x arn:aws:states:eu-west-1:123456789012:execution:StockTrading:order-42":         false,
		"": false,
	} {
		if got := isExecutionARN(arn); got != want {
			t.Errorf("isExecutionARN(%q) = %v", arn, got)
		}
	}
}
