// Package states runs one Standard state machine on this machine, as AWS Step Functions would run it in the cloud.
//
// An npm package, aws-local-stepfunctions, interprets the definition in a Node process (bridge.mjs). This package starts
// that process, performs the tasks it asks for, records the history of each execution as AWS would, and answers the
// Step Functions API (Engine.ServeHTTP), so that the AWS SDKs and the AWS CLI work on it unchanged. Where the interpreter
// differs from AWS, the bridge corrects it or Start rejects the definition. Definitions use JSONPath.
package states

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Config says what to run and how.
type Config struct {
	Node       string     // the node executable
	Dir        string     // the folder of bridge.mjs; Node looks for the interpreter's package from there upward
	Definition []byte     // Amazon States Language in JSON, with all substitutions made
	ARN        string     // of the state machine; names the region and the account as well
	Name       string     // of the state machine
	RoleARN    string     // of the state machine
	Run        TaskRunner // performs a task

	// Valid, if set, is a folder in which Start remembers the definitions that it has found valid. It is for one version
	// of the interpreter. Validation is most of a start.
	Valid string

	// RetryInterval, if set, is the time between two attempts of a task, in place of what its Retry says. It counts in
	// whole milliseconds.
	RetryInterval time.Duration

	// Observe, if set, is called with each event of each execution, from one goroutine and in the order of each
	// history. It lags behind the history and may call the engine, except Close.
	Observe func(executionARN string, e HistoryEvent)
}

// Task is one attempt of a Task state.
type Task struct {
	ExecutionARN string
	State        string
	Resource     string
	Input        json.RawMessage // the resolved Parameters or input, as JSON
	Token        string          // of a .waitForTaskToken task, else ""
	Timeout      time.Duration   // of the attempt, which has begun
}

// TaskRunner performs a task and returns its output as JSON; no output is null. For a .waitForTaskToken task it
// performs the sending alone, and the engine then waits for the answer. An *Error in the chain of err gives the
// failure's name and cause; any other error is States.TaskFailed with its text as the cause. The context ends when
// the attempt has timed out or the execution was stopped.
type TaskRunner func(ctx context.Context, t Task) (output json.RawMessage, err error)

// Error is the failure of a task: an error name of Amazon States Language, which Retry and Catch match, and a cause.
type Error struct {
	Name  string
	Cause string
}

func (e *Error) Error() string {
	if e.Cause == "" {
		return e.Name
	}
	return e.Name + ": " + e.Cause
}

// Engine runs the executions of one state machine. Its methods may be called from any goroutine.
type Engine struct {
	config     Config
	definition definition
	created    Time
	execution  string // the prefix of an execution's ARN
	region     string

	node    *exec.Cmd
	out     *queue[byte] // to Node; whoever reads from Node can send without waiting for it to read
	stderr  *tail
	ctx     context.Context // of all tasks
	cancel  context.CancelFunc
	runners sync.WaitGroup
	observe *queue[observed]
	done    chan struct{} // closed when Node has ended
	close   func() error

	mu         sync.Mutex
	executions []*execution // by id - 1, oldest first
	byName     map[string]*execution
	tasks      map[int64]*task // open tasks by the bridge's id
	tokens     map[string]*task
	replies    map[int64]chan bool
	lastReply  int64
	closing    bool
	down       error // why Node is no longer there
}

var machineARN = regexp.MustCompile(`^arn:(aws[a-z-]*):states:([a-z0-9-]+):(\d{12}):stateMachine:([^:]+)$`)

// stopPatience is how long Close waits for Node to end by itself. A state machine that never comes to a task or a
// wait keeps it from reading its stdin.
const stopPatience = 10 * time.Second

// Start starts the interpreter and has it validate the definition, unless it has passed validation before. The context
// bounds the start alone: the engine runs until Close, or until its Node process dies (see Done).
func Start(ctx context.Context, c Config) (*Engine, error) {
	arn := machineARN.FindStringSubmatch(c.ARN)
	if arn == nil || arn[4] != c.Name {
		return nil, fmt.Errorf("start state machine %s: %q is not the ARN of a state machine of that name", c.Name, c.ARN)
	}
	definition, err := parseDefinition(c.Definition)
	if err != nil {
		return nil, fmt.Errorf("start state machine %s: %w", c.Name, err)
	}
	e := &Engine{
		config:     c,
		definition: definition,
		created:    now(),
		execution:  fmt.Sprintf("arn:%s:states:%s:%s:execution:%s:", arn[1], arn[2], arn[3], arn[4]),
		region:     arn[2],
		stderr:     &tail{},
		done:       make(chan struct{}),
		byName:     map[string]*execution{},
		tasks:      map[int64]*task{},
		tokens:     map[string]*task{},
		replies:    map[int64]chan bool{},
	}
	e.close = sync.OnceValue(e.shutDown)
	if err := e.start(ctx); err != nil {
		return nil, fmt.Errorf("start state machine %s: %w", c.Name, err)
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context) error {
	e.node = exec.Command(e.config.Node, filepath.Join(e.config.Dir, "bridge.mjs"))
	e.node.Stderr = e.stderr
	e.node.WaitDelay = time.Second // something that Node left behind may still hold its output
	stdin, err := e.node.StdinPipe()
	if err != nil {
		return fmt.Errorf("open stdin of %s: %w", e.config.Node, err)
	}
	stdout, err := e.node.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open stdout of %s: %w", e.config.Node, err)
	}
	if err := e.node.Start(); err != nil {
		return fmt.Errorf("run interpreter: %w", err)
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.out = newQueue(func(lines []byte) error {
		_, err := stdin.Write(lines)
		return err // Node has ended, and its reader reports that
	})
	go func() {
		<-e.out.done
		stdin.Close() // with which Node ends
	}()
	e.observe = newQueue(func(events []observed) error {
		for _, o := range events {
			if e.config.Observe != nil {
				e.config.Observe(o.execution, o.event)
			}
		}
		return nil
	})
	loaded := make(chan error, 1)
	go e.read(stdout, loaded)
	marker := e.validMarker()
	validate := true
	if marker != "" {
		_, err := os.Stat(marker)
		validate = err != nil
	}
	e.send(command{
		Do: "load", Definition: string(e.config.Definition), Validate: validate, RetryMS: e.config.RetryInterval.Milliseconds(),
	})

	select {
	case err = <-loaded:
	case <-e.done:
		err = e.down
	case <-ctx.Done():
		err = fmt.Errorf("run interpreter: %w", ctx.Err())
		stdout.Close() // upon which read kills Node, which may hang
	}
	if err != nil {
		e.Close()
		return err
	}
	if validate && marker != "" {
		_ = os.WriteFile(marker, nil, 0o644) // without it, the next start validates again
	}
	return nil
}

// validMarker is the path of a file that exists if this definition has passed validation. It is empty if nothing is to be
// remembered.
func (e *Engine) validMarker() string {
	if e.config.Valid == "" {
		return ""
	}
	text := localPort.ReplaceAll(e.config.Definition, []byte("//127.0.0.1/"))
	return filepath.Join(e.config.Valid, fmt.Sprintf("%x", sha256.Sum256(text)))
}

// localPort is in the addresses of the local run's queues. It changes from start to start, which makes no difference to
// whether a definition is valid.
var localPort = regexp.MustCompile(`//127\.0\.0\.1:[0-9]+/`)

// Close ends the Node process, ends the context of the tasks that are still performed, and waits for both and for
// the events still to be observed. Executions that are open stay so, and Wait returns for them with an error. Close
// returns the error that Node died of, or the one that it had to be killed.
func (e *Engine) Close() error { return e.close() }

func (e *Engine) shutDown() error {
	e.mu.Lock()
	e.closing = true
	for _, x := range e.executions {
		x.stopTimer()
	}
	e.mu.Unlock()

	e.cancel()
	e.out.close()
	kill := time.AfterFunc(stopPatience, func() { e.node.Process.Kill() })
	<-e.done
	killed := !kill.Stop()
	e.runners.Wait()
	e.observe.close()
	<-e.observe.done

	switch {
	case !errors.Is(e.down, errClosed):
		return e.down
	case killed:
		return fmt.Errorf("close state machine %s: interpreter did not end by itself", e.config.Name)
	}
	return nil
}

// Done is closed when the engine no longer runs: after Close, or when its Node process died; Err says which.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Err returns why the engine no longer runs, and nil while it does.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.down
}

var errClosed = errors.New("state machine is closed")

// read handles the bridge's reports until Node ends. It never waits for anything that waits for Node.
func (e *Engine) read(stdout io.Reader, loaded chan<- error) {
	reports := json.NewDecoder(stdout)
	for {
		var r report
		if err := reports.Decode(&r); err != nil {
			if err != io.EOF {
				e.node.Process.Kill() // it wrote what no bridge writes
			}
			break
		}
		switch r.Is {
		case "ready":
			loaded <- nil
		case "invalid":
			loaded <- errors.New(r.Cause)
		default:
			e.handle(r)
		}
	}
	err := e.node.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	e.out.close()
	e.ended(err)
}

// ended fails what is open, since nobody will finish it.
func (e *Engine) ended(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer close(e.done)
	for id, reply := range e.replies {
		delete(e.replies, id)
		close(reply)
	}
	if e.closing {
		e.down = errClosed
		return
	}
	e.down = fmt.Errorf("interpreter ended (%w)%s", err, e.stderr)
	at := now()
	for _, x := range e.executions {
		if x.status == StatusRunning {
			e.end(x, at, StatusFailed, "", errRuntime, e.down.Error())
		}
	}
	e.cancel()
}

// Wait blocks until the execution has ended and returns it.
func (e *Engine) Wait(ctx context.Context, executionARN string) (Execution, error) {
	x, err := e.find(executionARN)
	if err != nil {
		return Execution{}, err
	}
	select {
	case <-x.ended:
	case <-e.done: // which ends all executions, unless it was closed
		select {
		case <-x.ended:
		default:
			return Execution{}, fmt.Errorf("wait for execution %s: %w", x.name, e.Err())
		}
	case <-ctx.Done():
		return Execution{}, fmt.Errorf("wait for execution %s: %w", x.name, ctx.Err())
	}
	return e.DescribeExecution(executionARN)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = bytes.Clone(t.text[over:])
	}
	return len(p), nil
}

// String returns what was written after a colon, and nothing if nothing was.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.text))
	if text == "" {
		return ""
	}
	return ": " + text
}
