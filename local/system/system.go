// Package system is the whole stack on this machine, made of the synthesized cloud
// assembly: the state machine, the functions as processes, the queue, the topic and
// the roles, behind one loopback endpoint that speaks the AWS protocols.
package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stocktrading/local/assembly"
	"stocktrading/local/functions"
	"stocktrading/local/setup"
	"stocktrading/local/states"
)

// Where the stack is taken to be deployed.
const (
	Region    = "us-east-1"
	AccountID = "123456789012"
)

// requestTime is how long a request may take to arrive, its body included; the reply may
// take longer. Idle connections stay open for longer than the AWS SDKs keep theirs: if the
// endpoint closed one first, the next request could be on its way.
var requestTime = 10 * time.Second

const idleTime = 2 * time.Minute

// Config is what a system is made of.
type Config struct {
	Assembly  *assembly.Assembly
	Functions string       // the folder of the functions' executables, named after their handlers
	Bridge    string       // the folder of the interpreter's bridge: local/states
	Valid     string       // the folder that remembers valid definitions, as the engine does; none if empty
	Node      string       // the node executable
	Listener  net.Listener // of the endpoint, on 127.0.0.1; any free port if nil

	// Secrets are the values that Secrets Manager has, by ARN. Environment is what every
	// function has in its environment beside what the template says.
	Secrets     map[string]string
	Environment map[string]string

	// Token is the session token that every request to the endpoint needs. AWSConfig has it;
	// the functions have one of their own. If it is empty, the endpoint serves every user of
	// this machine.
	Token string

	// Optional observers. The first two are called from one goroutine at a time.
	OnEvent        func(executionARN string, e states.HistoryEvent)
	OnNotification func(Notification)
	OnLog          func(function string, line []byte)

	// RetryInterval, if set, is the time between two attempts of a task, in place of what
	// the definition's Retry says, so that a run of many failures takes less time.
	RetryInterval time.Duration

	// Optional ways to disturb the system, for tests of how it copes. Deny takes a
	// permission away from a role or managed policy, named by its construct id. Kill is
	// that of the functions. Invoke wraps every invocation of a function, Endpoint every
	// request to the endpoint.
	Deny     func(holder, action, resource string) bool
	Kill     func(function string, payload []byte, at functions.Moment) bool
	Invoke   func(next Invoker) Invoker
	Endpoint func(next http.Handler) http.Handler
}

// Prepare finds or builds all that a system of the project is made of.
func Prepare(ctx context.Context, p setup.Project) (Config, error) {
	ready, err := p.Build(ctx)
	if err != nil {
		return Config{}, err
	}
	if ready.Assembly, err = p.Synthesize(ctx, ready.App); err != nil {
		return Config{}, err
	}
	return Read(ready)
}

// Read reads what was prepared.
func Read(ready setup.Prepared) (Config, error) {
	cloud, err := assembly.Read(ready.Assembly)
	if err != nil {
		return Config{}, err
	}
	return Config{Assembly: cloud, Functions: ready.Functions, Bridge: ready.Bridge, Valid: ready.Valid, Node: ready.Node}, nil
}

// Invoker invokes a function; its error may be a *functions.InvokeError.
type Invoker func(ctx context.Context, functionARN string, payload []byte) ([]byte, error)

// System is a running stack.
type System struct {
	endpoint   string
	token      string
	stack      *assembly.Stack
	machineARN string
	principals principals
	engine     *states.Engine
	pool       *functions.Pool
	invoke     Invoker
	log        func(source string, line []byte)
	messaging  *messaging
	secrets    secrets
	server     *http.Server
	stop       context.CancelFunc
	background sync.WaitGroup
}

// Start brings the system up. The context bounds the start alone: the system runs until
// Close. Its messaging part has package-level state, so there is one system in a process
// at a time.
func Start(ctx context.Context, c Config) (_ *System, err error) {
	listener := c.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listen on 127.0.0.1: %w", err)
		}
	}
	s := &System{endpoint: "http://" + listener.Addr().String(), token: c.Token, log: c.OnLog, secrets: newSecrets(c.Secrets)}
	if s.log == nil {
		s.log = func(string, []byte) {}
	}
	var lifetime context.Context
	lifetime, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			listener.Close()
			s.Close()
		}
	}()

	if s.stack, err = c.Assembly.Resolve(assembly.Environment{
		Partition:    "aws",
		Region:       Region,
		AccountID:    AccountID,
		URLSuffix:    "amazonaws.com",
		QueueURLBase: s.endpoint,
	}); err != nil {
		return nil, fmt.Errorf("resolve template: %w", err)
	}
	machine, err := only(s.stack, "AWS::StepFunctions::StateMachine")
	if err != nil {
		return nil, err
	}
	s.machineARN = machine.Ref
	if s.principals, err = readPrincipals(s.stack, c.Deny); err != nil {
		return nil, err
	}
	if s.messaging, err = startMessaging(s, listener.Addr(), c.OnNotification); err != nil {
		return nil, err
	}
	if err := s.startFunctions(lifetime, c); err != nil {
		return nil, err
	}
	if err := s.startEngine(ctx, c, machine); err != nil {
		return nil, err
	}
	handler := s.guard(listener.Addr())
	if c.Endpoint != nil {
		handler = c.Endpoint(handler)
	}
	s.server = &http.Server{Handler: handler, ReadTimeout: requestTime, IdleTimeout: idleTime}
	s.background.Go(func() { s.server.Serve(listener) })
	if err := s.startEventSourceMapping(lifetime); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *System) startFunctions(ctx context.Context, c Config) error {
	var configured []functions.Function
	for _, r := range s.stack.ByType("AWS::Lambda::Function") {
		var p struct {
			Handler       string
			Timeout       int
			MemorySize    int
			Role          string
			Environment   struct{ Variables map[string]string }
			LoggingConfig struct{ LogGroup, LogFormat string }
		}
		if err := r.Decode(&p); err != nil {
			return err
		}
		path := filepath.Join(c.Functions, p.Handler)
		if runtime.GOOS == "windows" {
			path += ".exe"
		}
		env := map[string]string{
			"AWS_REGION":                Region,
			"AWS_DEFAULT_REGION":        Region,
			"AWS_ACCESS_KEY_ID":         s.principals.accessKey(p.Role),
			"AWS_SECRET_ACCESS_KEY":     "local",
			"AWS_SESSION_TOKEN":         s.secrets.token,
			"AWS_ENDPOINT_URL":          s.endpoint,
			"AWS_EC2_METADATA_DISABLED": "true",
			// Ignore this machine's own AWS configuration.
			"AWS_CONFIG_FILE":             os.DevNull,
			"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		}
		maps.Copy(env, c.Environment)
		maps.Copy(env, p.Environment.Variables)
		configured = append(configured, functions.Function{
			Name:      r.Ref,
			ARN:       r.Attributes["Arn"],
			Path:      path,
			Timeout:   time.Duration(p.Timeout) * time.Second,
			MemoryMB:  p.MemorySize,
			Env:       env,
			LogGroup:  p.LoggingConfig.LogGroup,
			LogFormat: p.LoggingConfig.LogFormat,
			Handler:   p.Handler,
		})
	}
	var err error
	if s.pool, err = functions.Start(ctx, functions.Config{Functions: configured, Log: s.log, Kill: c.Kill}); err != nil {
		return err
	}
	s.invoke = s.pool.Invoke
	if c.Invoke != nil {
		s.invoke = c.Invoke(s.invoke)
	}
	return nil
}

func (s *System) startEngine(ctx context.Context, c Config, machine assembly.Resource) error {
	definition, err := machine.Definition()
	if err != nil {
		return err
	}
	role, _ := machine.Properties["RoleArn"].(string)
	tasks := s.newTaskRunner(role)
	s.engine, err = states.Start(ctx, states.Config{
		Node:       c.Node,
		Dir:        c.Bridge,
		Valid:      c.Valid,
		Definition: []byte(definition),
		ARN:        machine.Ref,
		Name:       machine.Attributes["Name"],
		RoleARN:    role,
		Run:        tasks.run,
		Observe:    c.OnEvent,

		RetryInterval: c.RetryInterval,
	})
	return err
}

// Close ends all processes and connections of the system.
func (s *System) Close() error {
	s.stop()
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if s.pool != nil {
		errs = append(errs, s.pool.Close())
	}
	s.background.Wait()
	if s.messaging != nil {
		s.messaging.close()
	}
	return errors.Join(errs...)
}

// Endpoint is the base URL for AWS clients.
func (s *System) Endpoint() string { return s.endpoint }

// Token is the session token that the endpoint requires, or empty if it requires none.
func (s *System) Token() string { return s.token }

// StateMachineARN names the one state machine.
func (s *System) StateMachineARN() string { return s.machineARN }

// Stack is the resolved template.
func (s *System) Stack() *assembly.Stack { return s.stack }

// Engine is the Step Functions of the system, for callers in this process.
func (s *System) Engine() *states.Engine { return s.engine }

// AWSConfig is the configuration of a client of the endpoint. The access key says who
// calls: Approver, a role by its name, or any other for an administrator.
func (s *System) AWSConfig(accessKey string) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(s.endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, "local", s.token),
	}
}

// taskRunner performs the state machine's tasks with the permissions of its role.
type taskRunner struct {
	system *System
	role   string // ARN
	sqs    *sqs.Client
	sns    *sns.Client
}

func (s *System) newTaskRunner(role string) *taskRunner {
	cfg := s.AWSConfig(s.principals.accessKey(role))
	cfg.RetryMaxAttempts = 1 // the definition says what is tried again
	return &taskRunner{system: s, role: role, sqs: sqs.NewFromConfig(cfg), sns: sns.NewFromConfig(cfg)}
}

func (t *taskRunner) run(ctx context.Context, task states.Task) (json.RawMessage, error) {
	switch _, integration, _ := strings.Cut(task.Resource, ":states:::"); integration { // of any partition
	case "sqs:sendMessage.waitForTaskToken":
		return t.sendMessage(ctx, task.Input)
	case "sns:publish":
		return t.publish(ctx, task.Input)
	default:
		return t.invoke(ctx, task.Resource, task.Input)
	}
}

func (t *taskRunner) invoke(ctx context.Context, arn string, input json.RawMessage) (json.RawMessage, error) {
	if err := t.system.principals.authorize(t.role, "lambda:InvokeFunction", arn); err != nil {
		return nil, &states.Error{Name: "Lambda.AWSLambdaException", Cause: err.Error() + " (Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException)"}
	}
	output, err := t.system.invoke(ctx, arn, input)
	var failed *functions.InvokeError
	if errors.As(err, &failed) {
		return nil, &states.Error{Name: failed.Name, Cause: failed.Cause}
	}
	return output, err
}

func only(stack *assembly.Stack, typ string) (assembly.Resource, error) {
	resources := stack.ByType(typ)
	if len(resources) != 1 {
		return assembly.Resource{}, fmt.Errorf("the template has %d resources of type %s, the local run needs one", len(resources), typ)
	}
	return resources[0], nil
}
