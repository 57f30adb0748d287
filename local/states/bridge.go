package states

import (
	"encoding/json"
	"io"
	"sync"
)

// command is one line to the bridge. State data goes as JSON text, so that neither side parses the other's twice and
// no nesting can upset the protocol.
type command struct {
	Do          string  `json:"do"` // load, start, settle, submitted or stop
	Definition  string  `json:"definition,omitempty"`
	Validate    bool    `json:"validate,omitempty"`
	RetryMS     int64   `json:"retryMs,omitempty"` // between attempts; 0 for what the definition says
	Run         int64   `json:"run,omitempty"`     // an execution's id
	ARN         string  `json:"arn,omitempty"`
	Name        string  `json:"name,omitempty"`
	RoleARN     string  `json:"roleArn,omitempty"`
	MachineARN  string  `json:"machineArn,omitempty"`
	MachineName string  `json:"machineName,omitempty"`
	Input       string  `json:"input,omitempty"`
	Task        int64   `json:"task,omitempty"`
	Data        *string `json:"data,omitempty"` // of a task that succeeded
	Status      Status  `json:"status,omitempty"`
	Error       string  `json:"error,omitempty"`
	Cause       string  `json:"cause,omitempty"`
	Reply       int64   `json:"reply,omitempty"` // asks for a reply with this id
}

// report is one line from the bridge.
type report struct {
	Is        string  `json:"is"` // ready, invalid, entered, exited, task, submitted, settled, reply or ended
	At        int64   `json:"at"` // milliseconds since 1970
	Run       int64   `json:"run"`
	Task      int64   `json:"task"`
	State     string  `json:"state"`
	StateType string  `json:"stateType"`
	Data      *string `json:"data"`
	Token     string  `json:"token"`
	Status    Status  `json:"status"`
	Error     string  `json:"error"`
	Cause     string  `json:"cause"`
	TimedOut  bool    `json:"timedOut"`
	Reply     int64   `json:"reply"`
	OK        bool    `json:"ok"`
}

func (r report) data() string {
	if r.Data == nil {
		return ""
	}
	return *r.Data
}

// send queues a command. Commands are executed in the order in which they were sent.
func (e *Engine) send(c command) {
	line, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers
	}
	e.out.put(append(line, '\n'))
}

// outbox writes to Node from a goroutine of its own. It takes everything at once, so that whoever reads from Node can
// send to it without ever waiting for it to read.
type outbox struct {
	mu     sync.Mutex
	some   *sync.Cond
	queue  []byte
	closed bool
}

func newOutbox(w io.WriteCloser) *outbox {
	o := &outbox{}
	o.some = sync.NewCond(&o.mu)
	go o.write(w)
	return o
}

func (o *outbox) put(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.queue = append(o.queue, line...)
		o.some.Signal()
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.some.Signal()
}

func (o *outbox) write(w io.WriteCloser) {
	defer w.Close()
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.closed {
			o.some.Wait()
		}
		lines := o.queue
		o.queue = nil
		o.mu.Unlock()
		if len(lines) == 0 {
			return
		}
		if _, err := w.Write(lines); err != nil {
			o.close() // Node has ended, which its reader tells
			return
		}
	}
}

// observer calls a function with each event from one goroutine, however long it takes.
type observer struct {
	mu     sync.Mutex
	some   *sync.Cond
	queue  []observed
	closed bool
	done   chan struct{}
}

type observed struct {
	execution string
	event     HistoryEvent
}

func newObserver(f func(string, HistoryEvent)) *observer {
	o := &observer{done: make(chan struct{})}
	o.some = sync.NewCond(&o.mu)
	if f == nil {
		o.closed = true
		close(o.done)
		return o
	}
	go o.run(f)
	return o
}

func (o *observer) put(execution string, e HistoryEvent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.queue = append(o.queue, observed{execution, e})
		o.some.Signal()
	}
}

// close waits until all that was put is observed.
func (o *observer) close() {
	o.mu.Lock()
	o.closed = true
	o.some.Signal()
	o.mu.Unlock()
	<-o.done
}

func (o *observer) run(f func(string, HistoryEvent)) {
	defer close(o.done)
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.closed {
			o.some.Wait()
		}
		events := o.queue
		o.queue = nil
		o.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			f(e.execution, e.event)
		}
	}
}
