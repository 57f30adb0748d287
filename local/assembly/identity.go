package assembly

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"
)

// A kind says how resources of one type are named.
type kind struct {
	name  string // the property that sets the physical name, if there is one
	limit int    // the longest physical name that the service accepts
	arn   string // the attribute that holds the ARN, if there is one

	// identify returns what Ref and Fn::GetAtt return for the resource with this physical name.
	identify func(r Resource, name string, env Environment) (ref string, attributes map[string]string)
}

// kinds are the types that may be referred to. What Ref and Fn::GetAtt return is documented with each type in the
// CloudFormation Template Reference.
var kinds = map[string]kind{
	"AWS::Lambda::Function": {"FunctionName", 64, "Arn", func(r Resource, name string, env Environment) (string, map[string]string) {
		return name, map[string]string{"Arn": env.arn("lambda", "function:"+name)}
	}},
	"AWS::Lambda::EventSourceMapping": {"", 255, "EventSourceMappingArn", func(r Resource, name string, env Environment) (string, map[string]string) {
		id := stableUUID(name)
		return id, map[string]string{"Id": id, "EventSourceMappingArn": env.arn("lambda", "event-source-mapping:"+id)}
	}},
	"AWS::SQS::Queue": {"QueueName", 80, "Arn", func(r Resource, name string, env Environment) (string, map[string]string) {
		base := env.QueueURLBase
		if base == "" {
			base = "https://sqs." + env.Region + "." + env.URLSuffix
		}
		url := strings.TrimSuffix(base, "/") + "/" + env.AccountID + "/" + name
		return url, map[string]string{"Arn": env.arn("sqs", name), "QueueName": name, "QueueUrl": url}
	}},
	"AWS::SQS::QueuePolicy": {"", 255, "", identifiedByID},
	"AWS::SNS::Topic": {"TopicName", 256, "TopicArn", func(r Resource, name string, env Environment) (string, map[string]string) {
		arn := env.arn("sns", name)
		return arn, map[string]string{"TopicArn": arn, "TopicName": name}
	}},
	"AWS::SNS::TopicPolicy": {"", 255, "", identifiedByID},
	"AWS::SNS::Subscription": {"", 255, "Arn", func(r Resource, name string, env Environment) (string, map[string]string) {
		topic, _ := r.Properties["TopicArn"].(string)
		arn := topic + ":" + stableUUID(name)
		return arn, map[string]string{"Arn": arn}
	}},
	"AWS::StepFunctions::StateMachine": {"StateMachineName", 80, "Arn", func(r Resource, name string, env Environment) (string, map[string]string) {
		arn := env.arn("states", "stateMachine:"+name)
		return arn, map[string]string{"Arn": arn, "Name": name}
	}},
	"AWS::IAM::Role": {"RoleName", 64, "Arn", func(r Resource, name string, env Environment) (string, map[string]string) {
		sum := sha256.Sum256([]byte(name))
		id := "AROA" + base32.StdEncoding.EncodeToString(sum[:])[:17] // IAM's own form: a prefix for the kind, 21 characters
		return name, map[string]string{"Arn": env.globalARN("iam", "role"+path(r)+name), "RoleId": id}
	}},
	"AWS::IAM::ManagedPolicy": {"ManagedPolicyName", 128, "PolicyArn", func(r Resource, name string, env Environment) (string, map[string]string) {
		arn := env.globalARN("iam", "policy"+path(r)+name)
		return arn, map[string]string{"PolicyArn": arn}
	}},
	"AWS::Logs::LogGroup": {"LogGroupName", 512, "Arn", func(r Resource, name string, env Environment) (string, map[string]string) {
		return name, map[string]string{"Arn": env.arn("logs", "log-group:"+name+":*")}
	}},
	"AWS::CloudWatch::Alarm": {"AlarmName", 255, "Arn", func(r Resource, name string, env Environment) (string, map[string]string) {
		return name, map[string]string{"Arn": env.arn("cloudwatch", "alarm:"+name)}
	}},
}

func identifiedByID(_ Resource, name string, _ Environment) (string, map[string]string) {
	return name, map[string]string{"Id": name}
}

// path is the path of an IAM resource, which stands between its kind and its name.
func path(r Resource) string {
	if p, ok := r.Properties["Path"].(string); ok {
		return p
	}
	return "/"
}

func (e Environment) arn(service, resource string) string {
	return strings.Join([]string{"arn", e.Partition, service, e.Region, e.AccountID, resource}, ":")
}

func (e Environment) globalARN(service, resource string) string {
	return strings.Join([]string{"arn", e.Partition, service, "", e.AccountID, resource}, ":")
}

// physicalName is the resource's own name if the template sets one, or else one made of the stack's name and the logical
// id. CloudFormation adds random characters; here a name is the same in each run, and a hash keeps those apart that are
// cut to the service's limit.
func (k kind) physicalName(r Resource, env Environment) string {
	if name, ok := r.Properties[k.name].(string); ok && k.name != "" {
		return name
	}
	name := env.StackName + "-" + r.LogicalID
	if len(name) <= k.limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	suffix := "-" + hex.EncodeToString(sum[:4])
	return name[:k.limit-len(suffix)] + suffix
}

func stableUUID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()
}
