package functions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// runtimeAPI serves the Lambda Runtime API, each process under its own path.
// The API is described at https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
func (p *Pool) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, serve func(*process, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(method+" /{process}/2018-06-01/runtime"+path, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			proc, ok := p.processes[r.PathValue("process")]
			p.mu.Unlock()
			if !ok {
				http.NotFound(w, r)
				return
			}
			serve(proc, w, r)
		})
	}
	handle("GET", "/invocation/next", (*process).poll)
	handle("POST", "/invocation/{id}/response", takeAnswer((*invocation).succeed))
	handle("POST", "/invocation/{id}/error", takeAnswer(func(inv *invocation, body []byte) { inv.fail(reportedFailure(body)) }))
	handle("POST", "/init/error", (*process).takeInitError)
	return mux
}

// poll ends the invocation before and waits for another one.
func (proc *process) poll(w http.ResponseWriter, r *http.Request) {
	if !proc.beginPoll() {
		writeError(w, http.StatusForbidden, "InvalidStateTransition", "The invocation has no answer yet")
		return
	}
	select {
	case inv := <-proc.work:
		proc.assign(inv)
		if proc.function.pool.kills(proc.function, inv, BeforeWork) {
			proc.end()
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(proc.function.Timeout).UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", proc.function.ARN)
		h.Set("Lambda-Runtime-Trace-Id", inv.trace)
		w.Write(inv.payload)
	case <-r.Context().Done():
	}
}

// beginPoll ends the previous invocation. It is false if the process isn't free for another one.
func (proc *process) beginPoll() bool {
	proc.mu.Lock()
	defer proc.mu.Unlock()
	if proc.current != nil {
		select {
		case <-proc.current.answered:
		default:
			return false
		}
		close(proc.current.over)
		proc.current = nil
	}
	proc.polled = true
	return true
}

func (proc *process) assign(inv *invocation) {
	proc.mu.Lock()
	defer proc.mu.Unlock()
	proc.current = inv
}

// takeAnswer accepts the function's result or error.
func takeAnswer(answer func(*invocation, []byte)) func(*process, http.ResponseWriter, *http.Request) {
	return func(proc *process, w http.ResponseWriter, r *http.Request) {
		if inv, body, ok := proc.readAnswer(w, r); ok {
			answer(inv, body)
			w.WriteHeader(http.StatusAccepted)
		}
	}
}

// readAnswer reads the answer to the invocation that the request names. If it isn't ok, the request has been dealt with.
func (proc *process) readAnswer(w http.ResponseWriter, r *http.Request) (inv *invocation, body []byte, ok bool) {
	proc.mu.Lock()
	inv = proc.current
	proc.mu.Unlock()
	if inv == nil || inv.id != r.PathValue("id") {
		writeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return nil, nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		const name = "Function.ResponseSizeTooLarge"
		message := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxPayload)
		inv.fail(inv.failed(name, message))
		writeError(w, http.StatusRequestEntityTooLarge, name, message)
		return nil, nil, false
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "InvalidRequest", "The answer could not be read")
		return nil, nil, false
	}
	if proc.function.pool.kills(proc.function, inv, AfterWork) {
		proc.end()
		return nil, nil, false
	}
	return inv, body, true
}

// takeInitError accepts the error that ends a process before it has polled.
func (proc *process) takeInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		writeError(w, http.StatusBadRequest, "InvalidRequest", "The error could not be read")
		return
	}
	proc.mu.Lock()
	proc.initError = reportedFailure(body)
	proc.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

// reportedFailure is the failure that a function reported, as it reported it.
func reportedFailure(body []byte) *InvokeError {
	var reported struct {
		Type string `json:"errorType"`
	}
	// A report without a type, or that is not JSON, has the name that Step Functions gives to unknown failures.
	if err := json.Unmarshal(body, &reported); err != nil || reported.Type == "" {
		reported.Type = "Lambda.Unknown"
	}
	return &InvokeError{Name: reported.Type, Cause: string(body)}
}

func writeError(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"errorType": errorType, "errorMessage": message})
}
