package assembly

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var environment = Environment{Partition: "aws", Region: "eu-central-1", AccountID: "123456789012", URLSuffix: "amazonaws.com"}

// resolveTemplate resolves a template as the only stack of an assembly.
func resolveTemplate(t *testing.T, template string, env Environment) (*Stack, error) {
	t.Helper()
	dir := t.TempDir()
	manifest := `{"artifacts": {"Trading": {"type": "aws:cloudformation:stack", "properties": {"templateFile": "template.json"}}}}`
	for name, text := range map[string]string{"manifest.json": manifest, "template.json": template} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a.Resolve(env)
}

func mustResolve(t *testing.T, template string) *Stack {
	t.Helper()
	stack, err := resolveTemplate(t, template, environment)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func resolveSystem(t *testing.T) *Stack {
	t.Helper()
	a, err := Read("testdata/system")
	if err != nil {
		t.Fatal(err)
	}
	stack, err := a.Resolve(environment)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func TestResolveIdentities(t *testing.T) {
	type identity struct {
		Ref        string
		Attributes map[string]string
	}
	want := map[string]identity{
		"BuyF1E2D3C4": {"Trading-BuyF1E2D3C4", map[string]string{
			"Arn": "arn:aws:lambda:eu-central-1:123456789012:function:Trading-BuyF1E2D3C4",
		}},
		"Mapping": {"b593c801-3b83-5399-9d7f-f3b271c4380e", map[string]string{
			"Id":                    "b593c801-3b83-5399-9d7f-f3b271c4380e",
			"EventSourceMappingArn": "arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:b593c801-3b83-5399-9d7f-f3b271c4380e",
		}},
		"Queue4A7E3555": {"https://sqs.eu-central-1.amazonaws.com/123456789012/Trading-Queue4A7E3555", map[string]string{
			"Arn":       "arn:aws:sqs:eu-central-1:123456789012:Trading-Queue4A7E3555",
			"QueueName": "Trading-Queue4A7E3555",
			"QueueUrl":  "https://sqs.eu-central-1.amazonaws.com/123456789012/Trading-Queue4A7E3555",
		}},
		"QueuePolicy": {"Trading-QueuePolicy", map[string]string{"Id": "Trading-QueuePolicy"}},
		"Topic": {"arn:aws:sns:eu-central-1:123456789012:Trading-Topic", map[string]string{
			"TopicArn":  "arn:aws:sns:eu-central-1:123456789012:Trading-Topic",
			"TopicName": "Trading-Topic",
		}},
		"TopicPolicy": {"Trading-TopicPolicy", map[string]string{"Id": "Trading-TopicPolicy"}},
		"Subscription": {"arn:aws:sns:eu-central-1:123456789012:Trading-Topic:eba9d379-4d30-5dee-a9c6-3ffc23ebd774", map[string]string{
			"Arn": "arn:aws:sns:eu-central-1:123456789012:Trading-Topic:eba9d379-4d30-5dee-a9c6-3ffc23ebd774",
		}},
		"Machine": {"arn:aws:states:eu-central-1:123456789012:stateMachine:Trading-Machine", map[string]string{
			"Arn":  "arn:aws:states:eu-central-1:123456789012:stateMachine:Trading-Machine",
			"Name": "Trading-Machine",
		}},
		"Role": {"Trading-Role", map[string]string{
			"Arn":    "arn:aws:iam::123456789012:role/Trading-Role",
			"RoleId": "AROAK7CUGPX3GTP5ORZWB",
		}},
		"Approver": {"arn:aws:iam::123456789012:policy/trading/Trading-Approver", map[string]string{
			"PolicyArn": "arn:aws:iam::123456789012:policy/trading/Trading-Approver",
		}},
		"Logs": {"/trading/local", map[string]string{
			"Arn": "arn:aws:logs:eu-central-1:123456789012:log-group:/trading/local:*",
		}},
		"Alarm": {"Trading-Alarm", map[string]string{
			"Arn": "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:Trading-Alarm",
		}},
		"Bucket": {"", map[string]string{}},
	}
	got := map[string]identity{}
	for id, r := range resolveSystem(t).Resources {
		if r.LogicalID != id {
			t.Errorf("resource %s says that it is %s", id, r.LogicalID)
		}
		got[id] = identity{r.Ref, r.Attributes}
	}
	equal(t, "identities", want, got)
}

func TestResolveProperties(t *testing.T) {
	stack := resolveSystem(t)
	want := map[string]any{
		"Code": map[string]any{"S3Bucket": "cdk-assets-123456789012-eu-central-1", "S3Key": "buy.zip"},
		"Environment": map[string]any{"Variables": map[string]any{
			"TOPIC_ARN":  "arn:aws:sns:eu-central-1:123456789012:Trading-Topic",
			"QUEUE_NAME": "Trading-Queue4A7E3555",
		}},
		"LoggingConfig": map[string]any{"LogFormat": "JSON", "LogGroup": "/trading/local"},
		"Role":          "arn:aws:iam::123456789012:role/Trading-Role",
		"Timeout":       json.Number("10"),
	}
	equal(t, "properties of the function", want, stack.Resources["BuyF1E2D3C4"].Properties)
	policy := []any{map[string]any{
		"Resource":  "arn:aws:logs:eu-central-1:123456789012:log-group:/trading/local:*",
		"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
	}}
	equal(t, "policy of the role", policy, stack.Resources["Role"].Properties["Policies"])
	outputs := map[string]Output{
		"StateMachineArn": {Value: "arn:aws:states:eu-central-1:123456789012:stateMachine:Trading-Machine", Description: "The state machine."},
		"Batch":           {Value: "10"},
	}
	equal(t, "outputs", outputs, stack.Outputs)
	paths := map[string]string{"BuyF1E2D3C4": "Trading/Buy/Resource", "Queue4A7E3555": "Trading/Queue/Resource", "Role": "Trading/Role/Resource", "Topic": ""}
	for id, path := range paths {
		if got := stack.Resources[id].ConstructPath; got != path {
			t.Errorf("construct path of %s is %q, want %q", id, got, path)
		}
	}
}

func TestResolveQueueURLBase(t *testing.T) {
	env := environment
	env.QueueURLBase = "http://127.0.0.1:4566"
	stack, err := resolveTemplate(t, `{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}`, env)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := stack.Resources["Queue"].Ref, "http://127.0.0.1:4566/123456789012/Trading-Queue"; got != want {
		t.Errorf("queue URL is %s, want %s", got, want)
	}
}

func TestResolveCutsNames(t *testing.T) {
	long := strings.Repeat("VeryLongName", 6)
	stack := mustResolve(t, `{"Resources": {
		"`+long+`A": {"Type": "AWS::Lambda::Function"},
		"`+long+`B": {"Type": "AWS::Lambda::Function"},
		"`+long+`C": {"Type": "AWS::SNS::Topic"}
	}}`)
	a, b := stack.Resources[long+"A"].Ref, stack.Resources[long+"B"].Ref
	if len(a) != 64 || len(b) != 64 || a == b || !strings.HasPrefix(a, "Trading-VeryLongName") {
		t.Errorf("got names %s and %s, want two of 64 characters", a, b)
	}
	if got, want := stack.Resources[long+"C"].Attributes["TopicName"], "Trading-"+long+"C"; got != want {
		t.Errorf("got topic name %s, want %s", got, want)
	}
}

func TestResolveFunctions(t *testing.T) {
	tests := []struct {
		name, value string
		want        any
	}{
		{"text", `"plain"`, "plain"},
		{"null", `null`, nil},
		{
			"pseudo parameters", `{"Fn::Join": ["|", [{"Ref": "AWS::Partition"}, {"Ref": "AWS::Region"}, {"Ref": "AWS::AccountId"}, {"Ref": "AWS::StackName"}, {"Ref": "AWS::URLSuffix"}]]}`,
			"aws|eu-central-1|123456789012|Trading|amazonaws.com",
		},
		{"reference", `{"Ref": "Queue"}`, "https://sqs.eu-central-1.amazonaws.com/123456789012/Trading-Queue"},
		{"attribute as list", `{"Fn::GetAtt": ["Queue", "Arn"]}`, "arn:aws:sqs:eu-central-1:123456789012:Trading-Queue"},
		{"join of numbers and booleans", `{"Fn::Join": ["-", ["a", 1000000, 1.50, true]]}`, "a-1000000-1.50-true"},
		{"substitution", `{"Fn::Sub": "${AWS::Region} ${Queue.QueueName} ${Queue}"}`, "eu-central-1 Trading-Queue https://sqs.eu-central-1.amazonaws.com/123456789012/Trading-Queue"},
		{"substitution of literals", `{"Fn::Sub": "${!Literal} $ {x} ${AWS::Region} $${AWS::Region}"}`, "${Literal} $ {x} eu-central-1 $eu-central-1"},
		{"object with a key Ref among others", `{"Ref": "Nothing", "Other": 1}`, map[string]any{"Ref": "Nothing", "Other": json.Number("1")}},
		{"object with a key Condition", `{"Condition": {"Ref": "AWS::Region"}}`, map[string]any{"Condition": "eu-central-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stack := mustResolve(t, `{"Resources": {
				"Queue": {"Type": "AWS::SQS::Queue"},
				"X": {"Type": "AWS::SNS::Topic", "Properties": {"Y": `+tt.value+`}}
			}}`)
			equal(t, "value", tt.want, stack.Resources["X"].Properties["Y"])
		})
	}
}

func TestResolveRefusesValues(t *testing.T) {
	const place = "resolve template of stack Trading: Resources.X.Properties.Y"
	tests := []struct{ name, value, want string }{
		{"import", `{"Fn::ImportValue": "a"}`, place + `: Fn::ImportValue is not supported by the local run`},
		{"condition", `{"Fn::If": ["a", 1, 2]}`, place + `: Fn::If is not supported by the local run`},
		{"nested in a list", `{"a": [0, {"b": {"Fn::GetAZs": ""}}]}`, place + `.a[1].b: Fn::GetAZs is not supported by the local run`},
		{"nested in a join", `{"Fn::Join": ["", ["a", {"Fn::Base64": "a"}]]}`, place + `.Fn::Join[1][1]: Fn::Base64 is not supported by the local run`},
		{"function beside another key", `{"Fn::Join": ["", []], "a": 1}`, place + `: Fn::Join must be the only key of its object`},
		{"no value", `{"Ref": "AWS::NoValue"}`, place + `: AWS::NoValue is not supported by the local run`},
		{"parameter", `{"Ref": "Open"}`, place + `: parameter Open is not supported by the local run`},
		{"split", `{"Fn::Join": ["/", {"Fn::Split": [":", "a:b"]}]}`, place + `.Fn::Join[1]: Fn::Split is not supported by the local run`},
		{"select", `{"Fn::Select": [1, ["a", "b"]]}`, place + `: Fn::Select is not supported by the local run`},
		{"substitution of own values", `{"Fn::Sub": ["${Own}", {"Own": "a"}]}`, place + `.Fn::Sub: anything but text is not supported by the local run`},
		{"attribute as text", `{"Fn::GetAtt": "Queue.Arn"}`, place + `: Fn::GetAtt takes a list of a logical id and the name of an attribute`},
		{"delimiter that is not text", `{"Fn::Join": [{"Ref": "AWS::Region"}, []]}`, place + `.Fn::Join[0]: the delimiter is not text`},
		{"pseudo parameter", `{"Ref": "AWS::NotificationARNs"}`, place + `: AWS::NotificationARNs is not supported by the local run`},
		{"reference to nothing", `{"Ref": "Nothing"}`, place + `: refers to Nothing, and there is no resource Nothing`},
		{"attribute of nothing", `{"Fn::GetAtt": ["Nothing", "Arn"]}`, place + `: refers to Nothing.Arn, and there is no resource Nothing`},
		{"substitution of nothing", `{"Fn::Sub": "${Nothing}"}`, place + `.Fn::Sub: refers to Nothing, and there is no resource Nothing`},
		{"attribute that does not exist", `{"Fn::GetAtt": ["Queue", "Nothing"]}`, place + `: refers to Queue.Nothing, an attribute that the local run does not support for the type AWS::SQS::Queue`},
		{"reference to an unknown type", `{"Ref": "Bucket"}`, place + `: refers to Bucket, and resources of the type AWS::S3::Bucket are not supported by the local run`},
		{"attribute of an unknown type", `{"Fn::Sub": "${Bucket.Arn}"}`, place + `.Fn::Sub: refers to Bucket.Arn, and resources of the type AWS::S3::Bucket are not supported by the local run`},
		{"usage statistics", `{"Ref": "CDKMetadata"}`, place + `: refers to CDKMetadata, and there is no resource CDKMetadata`},
		{"itself", `{"Ref": "X"}`, `resolve template of stack Trading: Resources.X: resources depend on each other in a circle: X -> X`},
		{"circle", `{"Ref": "A"}`, `resolve template of stack Trading: Resources.A: resources depend on each other in a circle: A -> B -> X -> A`},
		{"reference without a name", `{"Ref": ["Queue"]}`, place + `: Ref takes a name`},
		{"join of one argument", `{"Fn::Join": [""]}`, place + `.Fn::Join: the function takes a list of two arguments`},
		{"join of an object", `{"Fn::Join": ["", [{"a": 1}]]}`, place + `.Fn::Join[1][0]: the value is not text`},
		{"join of text", `{"Fn::Join": ["", "a"]}`, place + `.Fn::Join[1]: the value is not a list`},
		{"substitution of an object", `{"Fn::Sub": {"a": 1}}`, place + `.Fn::Sub: anything but text is not supported by the local run`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := resolveTemplate(t, `{
				"Parameters": {"Open": {"Type": "String"}},
				"Resources": {
					"Queue": {"Type": "AWS::SQS::Queue"},
					"Bucket": {"Type": "AWS::S3::Bucket"},
					"CDKMetadata": {"Type": "AWS::CDK::Metadata"},
					"A": {"Type": "AWS::SNS::Topic", "DependsOn": ["B"]},
					"B": {"Type": "AWS::SNS::Topic", "Properties": {"X": {"Fn::GetAtt": ["X", "TopicName"]}}},
					"X": {"Type": "AWS::SNS::Topic", "Properties": {"Y": `+tt.value+`}}
				}
			}`, environment)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got error\n%v, want\n%s", err, tt.want)
			}
		})
	}
}

func TestResolveRefusesTemplates(t *testing.T) {
	tests := []struct{ name, template, want string }{
		{"transform", `{"Transform": "AWS::Serverless-2016-10-31"}`, "Transform: a transform is not supported by the local run"},
		{"rule", `{"Rules": {"Mine": {}}}`, "Rules.Mine: a rule is not supported by the local run"},
		{"conditional resource", `{"Resources": {"X": {"Type": "AWS::SNS::Topic", "Condition": "C"}}}`, "Resources.X.Condition: a condition is not supported by the local run"},
		{"conditional output", `{"Outputs": {"X": {"Value": "a", "Condition": "C"}}}`, "Outputs.X.Condition: a condition is not supported by the local run"},
		{"output that is not text", `{"Outputs": {"X": {"Value": ["a"]}}}`, "Outputs.X.Value: the value is not text"},
		{"dependency on nothing", `{"Resources": {"X": {"Type": "AWS::SNS::Topic", "DependsOn": ["Nothing"]}}}`, "Resources.X.DependsOn: there is no resource Nothing"},
		{"no type", `{"Resources": {"X": {}}}`, "Resources.X: the resource has no Type"},
		{"resource that is not an object", `{"Resources": {"X": 1}}`, "json: cannot unmarshal number into Go struct field template.Resources of type assembly.templateResource"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := resolveTemplate(t, tt.template, environment)
			want := "resolve template of stack Trading: " + tt.want
			if err == nil || err.Error() != want {
				t.Errorf("got error\n%v, want\n%s", err, want)
			}
		})
	}
}

func TestStackLookups(t *testing.T) {
	stack := mustResolve(t, `{"Resources": {
		"B": {"Type": "AWS::SNS::Topic"},
		"Queue": {"Type": "AWS::SQS::Queue"},
		"Bucket": {"Type": "AWS::S3::Bucket"},
		"A": {"Type": "AWS::SNS::Topic"}
	}}`)
	var ids []string
	for _, r := range stack.ByType("AWS::SNS::Topic") {
		ids = append(ids, r.LogicalID)
	}
	equal(t, "topics", []string{"A", "B"}, ids)
	for arn, want := range map[string]string{
		"arn:aws:sqs:eu-central-1:123456789012:Trading-Queue": "Queue",
		"arn:aws:sns:eu-central-1:123456789012:Trading-A":     "A",
		"arn:aws:sns:eu-central-1:123456789012:Trading-C":     "",
		"": "",
	} {
		r, ok := stack.ByARN(arn)
		if r.LogicalID != want || ok != (want != "") {
			t.Errorf("resource %q has the ARN %q, want %q", r.LogicalID, arn, want)
		}
	}
}

func TestResourceDecode(t *testing.T) {
	var got struct {
		Timeout       int
		LoggingConfig struct{ LogFormat, LogGroup string }
	}
	r := resolveSystem(t).Resources["BuyF1E2D3C4"]
	if err := r.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Timeout != 10 || got.LoggingConfig.LogFormat != "JSON" || got.LoggingConfig.LogGroup != "/trading/local" {
		t.Errorf("got %+v", got)
	}
	var wrong struct{ Timeout bool }
	if err := r.Decode(&wrong); err == nil || !strings.HasPrefix(err.Error(), "decode properties of BuyF1E2D3C4: ") {
		t.Errorf("got error %v for a number as bool", err)
	}
}

func TestResourceDefinition(t *testing.T) {
	tests := []struct{ name, properties, want, err string }{
		{"plain", `{"DefinitionString": "{}"}`, `{}`, ""},
		{
			"substituted", `{"DefinitionString": "${Queue} ${Number} ${Queue}", "DefinitionSubstitutions": {"Queue": {"Fn::GetAtt": ["Queue", "QueueName"]}, "Number": 60, "Unused": "x"}}`,
			"Trading-Queue 60 Trading-Queue", "",
		},
		{
			"joined", `{"DefinitionString": {"Fn::Join": ["", ["a ", {"Fn::GetAtt": ["Queue", "QueueName"]}, " ${B}"]]}, "DefinitionSubstitutions": {"B": "b"}}`,
			"a Trading-Queue b", "",
		},
		{"substituted by a placeholder", `{"DefinitionString": "${A}", "DefinitionSubstitutions": {"A": "${B}"}}`, "${B}", ""},
		{
			"without a substitution", `{"DefinitionString": "${A} ${B} ${C}", "DefinitionSubstitutions": {"A": "a"}}`,
			"", "read definition of Machine: ${B} has no substitution",
		},
		{
			"substituted by a list", `{"DefinitionString": "${A}", "DefinitionSubstitutions": {"A": []}}`,
			"", "read definition of Machine: the substitution of ${A} is neither text nor a number",
		},
		{"in a bucket", `{"DefinitionS3Location": {"Bucket": "b"}}`, "", "read definition of Machine: it has no DefinitionString"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stack := mustResolve(t, `{"Resources": {
				"Queue": {"Type": "AWS::SQS::Queue"},
				"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": `+tt.properties+`}
			}}`)
			got, err := stack.Resources["Machine"].Definition()
			if message := errorText(err); got != tt.want || message != tt.err {
				t.Errorf("got %q and error %q, want %q and %q", got, message, tt.want, tt.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
