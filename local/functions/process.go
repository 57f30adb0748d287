package functions

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A function is a function with its processes.
type function struct {
	Function
	pool  *Pool
	slots chan struct{} // one for each invocation that has a process or is about to get one

	mu   sync.Mutex
	idle []*process // free for the next invocation, the one that was used last at the end
}

// serve runs an invocation in a process. It returns when the process waits for more work or has ended.
func (f *function) serve(inv *invocation) {
	timer := time.NewTimer(f.pool.initTimeout)
	defer timer.Stop()
	for {
		proc, reused := f.takeIdle()
		if !reused {
			var err error
			if proc, err = f.start(); err != nil {
				inv.fail(inv.exited("Runtime failed to start: " + err.Error()))
				return
			}
		}
		select {
		case proc.work <- inv:
			timer.Reset(f.Timeout)
			if f.watch(proc, inv, timer) {
				f.putIdle(proc)
			}
			return
		case <-proc.exited:
			// An invocation does not pay for a process that died while it had nothing to do. But where a new process dies,
			// another one would die as well.
			if reused && proc.hasPolled() {
				continue
			}
			inv.fail(proc.exitFailure(inv))
			return
		case <-timer.C:
			proc.end()
			inv.fail(inv.timedOut(f.pool.initTimeout))
			return
		}
	}
}

// watch follows an invocation that a process works on. It reports whether the process can take another one.
func (f *function) watch(proc *process, inv *invocation, timer *time.Timer) bool {
	select {
	case <-inv.over:
		return true
	case <-proc.exited:
		inv.fail(proc.exitFailure(inv))
		return false
	case <-timer.C:
		// The time also bounds what a process does between its answer and its next poll; then the answer stands.
		proc.end()
		inv.fail(inv.timedOut(f.Timeout))
		return false
	}
}

func (f *function) takeIdle() (*process, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.idle) == 0 {
		return nil, false
	}
	last := len(f.idle) - 1
	proc := f.idle[last]
	f.idle = f.idle[:last]
	return proc, true
}

func (f *function) putIdle(proc *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = append(f.idle, proc)
}

func (f *function) removeIdle(proc *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = slices.DeleteFunc(f.idle, func(p *process) bool { return p == proc })
}

// A process is an execution environment of a function.
type process struct {
	function *function
	cmd      *exec.Cmd
	work     chan *invocation // received from by a poll, so that only a process that polls can be given work
	exited   chan struct{}    // closed when the process has ended and its output has been read

	mu        sync.Mutex
	polled    bool
	current   *invocation  // taken, and not over
	initError *InvokeError // the failure that the process reported before it ended
}

// start starts a process of the function.
func (f *function) start() (*process, error) {
	p := f.pool
	id := randomHex(16) // nobody else can guess the address, so nobody else can take the function's work or answer for it
	proc := &process{function: f, work: make(chan *invocation), exited: make(chan struct{})}
	proc.cmd = exec.Command(f.Path)
	proc.cmd.Dir = filepath.Dir(f.Path)
	proc.cmd.Env = f.environment(p.address + "/" + id)
	proc.cmd.WaitDelay = time.Second // something that the process left behind may still hold its output
	isolate(proc.cmd)
	output := &lines{write: func(line []byte) {
		if p.config.Log != nil {
			p.config.Log(f.Name, line)
		}
	}}
	proc.cmd.Stdout, proc.cmd.Stderr = output, output

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if err := proc.cmd.Start(); err != nil {
		return nil, err
	}
	p.processes[id] = proc
	p.running.Go(func() {
		proc.cmd.Wait() // how it ended is in ProcessState
		output.flush()
		f.removeIdle(proc)
		p.mu.Lock()
		delete(p.processes, id)
		p.mu.Unlock()
		close(proc.exited)
	})
	return proc, nil
}

// environment is what Lambda sets, and the function's own environment.
func (f *function) environment(runtimeAPI string) []string {
	env := map[string]string{"PATH": os.Getenv("PATH"), "TZ": ":UTC"}
	temporary := []string{"TMPDIR"}
	if runtime.GOOS == "windows" {
		temporary = []string{"TEMP", "TMP", "SYSTEMROOT"}
	}
	for _, name := range temporary {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	maps.Copy(env, f.Env)
	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       f.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      time.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + randomHex(16),
		"AWS_LAMBDA_LOG_FORMAT":           cmp.Or(f.LogFormat, "Text"),
		"_HANDLER":                        f.Handler,
	})
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// kill ends the process, if it hasn't ended, without asking: a function has no say in when Lambda ends it either.
func (proc *process) kill() { proc.cmd.Process.Kill() }

// end kills the process and returns when it has ended.
func (proc *process) end() {
	proc.kill()
	<-proc.exited
}

func (proc *process) hasPolled() bool {
	proc.mu.Lock()
	defer proc.mu.Unlock()
	return proc.polled
}

// exitFailure is the failure of an invocation whose process has ended.
func (proc *process) exitFailure(inv *invocation) *InvokeError {
	proc.mu.Lock()
	defer proc.mu.Unlock()
	switch state := proc.cmd.ProcessState; {
	case proc.initError != nil:
		return proc.initError
	case state == nil || state.Success():
		return inv.exited("Runtime exited without providing a reason")
	default:
		return inv.exited("Runtime exited with error: " + state.String())
	}
}

// lines passes on what is written to it line by line.
type lines struct {
	write   func(line []byte)
	partial []byte
}

// maxLine is Lambda's limit for a line of the log, which goes on in another one.
const maxLine = 256 << 10

func (l *lines) Write(data []byte) (int, error) {
	l.partial = append(l.partial, data...)
	for {
		i := bytes.IndexByte(l.partial, '\n')
		if i < 0 {
			if len(l.partial) >= maxLine {
				l.flush()
			}
			return len(data), nil
		}
		l.write(bytes.Clone(bytes.TrimSuffix(l.partial[:i], []byte("\r"))))
		l.partial = l.partial[i+1:]
	}
}

func (l *lines) flush() {
	if len(l.partial) > 0 {
		l.write(l.partial)
		l.partial = nil
	}
}
