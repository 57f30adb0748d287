// Package functions is Lambda on this machine: it runs the project's Go functions as processes against a Lambda Runtime
// API, on loopback.
//
// As on Lambda, a process serves one invocation at a time, is used again for later ones, and has an environment of its
// own. A failure has the name and the cause that Step Functions sees on AWS, because those decide what Retry and Catch do.
// What is not as on Lambda: memory is not limited, and idle processes stay until the pool is closed.
//
// No process outlives the program that started it for longer than its invocation: a function polls the pool for work, and
// aws-lambda-go ends the process when that fails, whatever became of the pool.
package functions

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// maxPayload is Lambda's limit for the payload of a synchronous invocation, and for what it returns.
	maxPayload = 6 << 20
	// initTimeout is how long Lambda gives a process until its first poll.
	initTimeout = 10 * time.Second

	defaultConcurrency = 4
)

// requestTime is how long a request to the Runtime API may take to arrive, its body included; a poll may wait for its
// reply as long as it likes. A connection may be idle for longer than Go's HTTP client allows.
var requestTime = 10 * time.Second

const idleTime = 2 * time.Minute

// Function is a function to run.
type Function struct {
	Name      string
	ARN       string
	Path      string // the executable
	Timeout   time.Duration
	MemoryMB  int
	Env       map[string]string // the whole environment of the process apart from what Lambda sets
	LogGroup  string
	LogFormat string // "Text" (also if empty) or "JSON"
	Handler   string
}

// Moment is a moment of an invocation.
type Moment int

const (
	BeforeWork Moment = iota // the process is about to get the invocation
	AfterWork                // the process has reported its result, which nobody has read yet
)

// Config is what a pool runs, and how.
type Config struct {
	Functions []Function

	// Log, if set, gets each line that a process writes to its standard output or error, without the line break. It is
	// called by several goroutines at once.
	Log func(function string, line []byte)

	// MaxConcurrency is how many processes a function may have; further invocations wait. The default is 4.
	MaxConcurrency int

	// Kill, if set, is asked at both moments of each invocation whether to kill the process there and then, for runs that
	// test how the system copes. It is called by several goroutines at once.
	Kill func(function string, payload []byte, at Moment) bool
}

// InvokeError is a function's failure, as Step Functions sees it.
type InvokeError struct {
	Name  string // the error name that Retry and Catch match
	Cause string // mostly JSON, with an errorMessage and an errorType
}

func (e *InvokeError) Error() string { return e.Name + ": " + e.Cause }

var errClosed = errors.New("the functions have been stopped")

// Pool is a set of functions that can be invoked.
type Pool struct {
	config    Config
	functions map[string]*function // by ARN
	address   string               // of the Runtime API
	server    *http.Server
	closing   <-chan struct{}
	cancel    context.CancelFunc // closes closing
	closeOnce func() error
	running   sync.WaitGroup // processes and invocations

	initTimeout time.Duration

	mu        sync.Mutex
	closed    bool
	processes map[string]*process // by the id that their Runtime API address has in it
}

// Start starts a process of each function, so that the first invocation finds one that waits for it, and returns without
// waiting for them. The pool is closed when ctx ends.
func Start(ctx context.Context, config Config) (*Pool, error) {
	if config.MaxConcurrency <= 0 {
		config.MaxConcurrency = defaultConcurrency
	}
	p := &Pool{
		config:      config,
		functions:   map[string]*function{},
		initTimeout: initTimeout,
		processes:   map[string]*process{},
	}
	p.closeOnce = sync.OnceValue(p.close)
	for _, f := range config.Functions {
		if f.Timeout <= 0 {
			return nil, fmt.Errorf("start function %s: it has no timeout", f.Name)
		}
		if _, ok := p.functions[f.ARN]; ok {
			return nil, fmt.Errorf("start function %s: another one has its ARN %s", f.Name, f.ARN)
		}
		path, err := filepath.Abs(f.Path)
		if err != nil {
			return nil, fmt.Errorf("start function %s: %w", f.Name, err)
		}
		f.Path = path
		p.functions[f.ARN] = &function{Function: f, pool: p, slots: make(chan struct{}, config.MaxConcurrency)}
	}

	lifetime, cancel := context.WithCancel(ctx)
	p.closing, p.cancel = lifetime.Done(), cancel
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, fmt.Errorf("listen for functions: %w", err)
	}
	p.address = listener.Addr().String()
	p.server = &http.Server{Handler: p.runtimeAPI(), ReadTimeout: requestTime, IdleTimeout: idleTime}
	go p.server.Serve(listener)

	for _, f := range p.functions {
		// What goes wrong here goes wrong again when the function is invoked, and is reported then.
		if proc, err := f.start(); err == nil {
			f.putIdle(proc)
		}
	}
	context.AfterFunc(lifetime, func() { p.Close() })
	return p, nil
}

// Close ends all processes and returns when none is left. Invocations that are under way fail.
func (p *Pool) Close() error { return p.closeOnce() }

func (p *Pool) close() error {
	p.cancel()
	p.mu.Lock()
	p.closed = true // from here on no process starts
	for _, proc := range p.processes {
		proc.kill()
	}
	p.mu.Unlock()
	p.running.Wait()
	if err := p.server.Close(); err != nil {
		return fmt.Errorf("close the functions' Runtime API: %w", err)
	}
	return nil
}

// Invoke runs a function and returns what it returns. The error is an *InvokeError if the function failed or Lambda would
// have refused to run it. If ctx ends first, nobody waits for the function any longer, but it goes on, as on Lambda.
func (p *Pool) Invoke(ctx context.Context, functionARN string, payload []byte) ([]byte, error) {
	f, ok := p.functions[functionARN]
	if !ok {
		return nil, &InvokeError{Name: "Lambda.ResourceNotFoundException", Cause: "Function not found: " + functionARN}
	}
	if len(payload) > maxPayload {
		cause := fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxPayload)
		return nil, &InvokeError{Name: "Lambda.RequestTooLargeException", Cause: cause}
	}

	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("invoke function %s: %w", f.Name, ctx.Err())
	case <-p.closing:
		return nil, fmt.Errorf("invoke function %s: %w", f.Name, errClosed)
	}
	inv := newInvocation(payload)
	if !p.goRunning(func() {
		f.serve(inv)
		<-f.slots
		close(inv.finished)
	}) {
		return nil, fmt.Errorf("invoke function %s: %w", f.Name, errClosed)
	}

	select {
	case <-inv.finished:
	case <-ctx.Done():
		return nil, fmt.Errorf("invoke function %s: %w", f.Name, ctx.Err())
	}
	if inv.failure == nil {
		return inv.output, nil
	}
	select {
	case <-p.closing: // the process was killed for that; the function did not fail
		return nil, fmt.Errorf("invoke function %s: %w", f.Name, errClosed)
	default:
		return nil, inv.failure
	}
}

// goRunning runs work in a goroutine that Close waits for, unless the pool is closed.
func (p *Pool) goRunning(work func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Go(work)
	return true
}

func (p *Pool) kills(f *function, inv *invocation, at Moment) bool {
	return p.config.Kill != nil && p.config.Kill(f.Name, inv.payload, at)
}

// An invocation has one answer: the first one.
type invocation struct {
	id       string
	trace    string
	payload  []byte
	answered chan struct{} // closed when output or failure is set
	over     chan struct{} // closed when the process asks for more work
	finished chan struct{} // closed when the invocation is answered, and over or its process has ended

	once    sync.Once
	output  []byte
	failure *InvokeError
}

func newInvocation(payload []byte) *invocation {
	return &invocation{
		id:       uuid.NewString(),
		trace:    fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", time.Now().Unix(), randomHex(12), randomHex(8)),
		payload:  payload,
		answered: make(chan struct{}),
		over:     make(chan struct{}),
		finished: make(chan struct{}),
	}
}

func (inv *invocation) succeed(output []byte) { inv.answer(output, nil) }

func (inv *invocation) fail(err *InvokeError) { inv.answer(nil, err) }

func (inv *invocation) answer(output []byte, failure *InvokeError) {
	inv.once.Do(func() {
		inv.output, inv.failure = output, failure
		close(inv.answered)
	})
}

// failed is a failure that Lambda itself reports, in Lambda's words.
func (inv *invocation) failed(name, message string) *InvokeError {
	cause, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{name, "RequestId: " + inv.id + " Error: " + message})
	if err != nil {
		panic(err) // two texts are always JSON
	}
	return &InvokeError{Name: name, Cause: string(cause)}
}

func (inv *invocation) timedOut(after time.Duration) *InvokeError {
	return inv.failed("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", after.Seconds()))
}

func (inv *invocation) exited(reason string) *InvokeError {
	return inv.failed("Runtime.ExitError", reason)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
