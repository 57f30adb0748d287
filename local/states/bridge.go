package states

import (
	"encoding/json"
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

// send queues a command. Commands are executed in the order in which they were sent.
func (e *Engine) send(c command) {
	line, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers
	}
	e.out.put(append(line, '\n')...)
}

// queue hands what is put into it to a function, in order and from its own goroutine, so that put never waits for
// what the function waits for.
type queue[T any] struct {
	mu     sync.Mutex
	some   *sync.Cond
	items  []T
	closed bool
	done   chan struct{} // closed when all that was put is handled, after close or an error
}

// newQueue starts a queue. The function gets all that there is at once; its error closes the queue.
func newQueue[T any](handle func([]T) error) *queue[T] {
	q := &queue[T]{done: make(chan struct{})}
	q.some = sync.NewCond(&q.mu)
	go q.run(handle)
	return q
}

// put does nothing after close.
func (q *queue[T]) put(items ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.items = append(q.items, items...)
		q.some.Signal()
	}
}

// close does not wait: done is closed when the rest is handled.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Signal()
}

func (q *queue[T]) run(handle func([]T) error) {
	defer close(q.done)
	for {
		q.mu.Lock()
		for len(q.items) == 0 && !q.closed {
			q.some.Wait()
		}
		items := q.items
		q.items = nil
		q.mu.Unlock()
		if len(items) == 0 {
			return
		}
		if handle(items) != nil {
			q.close()
			return
		}
	}
}

// observed is an event on its way to Config.Observe.
type observed struct {
	execution string
	event     HistoryEvent
}
