package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const arn = "arn:aws:lambda:eu-central-1:123456789012:function:Trading-Buy"

// executable is this test, which is also the function and its parent.
var executable string

func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		beFunction()
	}
	var err error
	if executable, err = os.Executable(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv("TEST_PARENT") != "" {
		beParent()
	}
	os.Exit(m.Run())
}

// A journal is what the functions' processes wrote.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) log(function string, line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, function+": "+string(line))
}

func (j *journal) count(prefix string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, line := range j.lines {
		if strings.HasPrefix(line, "Trading-Buy: "+prefix) {
			n++
		}
	}
	return n
}

func (j *journal) waitFor(t *testing.T, prefix string, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); j.count(prefix) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q was written %d times in 10 s, want %d", prefix, j.count(prefix), n)
		}
	}
}

// start starts a pool of one function, changed as a test needs it.
func start(t *testing.T, change func(*Function, *Config)) (*Pool, *journal) {
	t.Helper()
	j := &journal{}
	f := Function{
		Name: "Trading-Buy", ARN: arn, Path: executable, Timeout: 10 * time.Second, MemoryMB: 128,
		Env: map[string]string{}, LogGroup: "Trading-Logs", LogFormat: "JSON", Handler: "buystock",
	}
	config := Config{Log: j.log}
	if change != nil {
		change(&f, &config)
	}
	config.Functions = []Function{f}
	p, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, j
}

type request struct {
	Do string
	MS int
	N  int
}

type answer struct {
	PID         int
	Echo        request
	RequestID   string
	ARN         string
	Function    string
	LogGroup    string
	LogStream   string
	MemoryMB    int
	TraceID     string
	RemainingMS int64
	Dir         string
	Environment []string
	Text        string
}

func invoke(ctx context.Context, p *Pool, r request) (answer, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	output, err := p.Invoke(ctx, arn, payload)
	if err != nil {
		return answer{}, err
	}
	var a answer
	err = json.Unmarshal(output, &a)
	return a, err
}

func mustInvoke(t *testing.T, p *Pool, r request) answer {
	t.Helper()
	a, err := invoke(t.Context(), p, r)
	if err != nil {
		t.Fatalf("invoke %+v: %v", r, err)
	}
	return a
}

// invokeError is the failure in an error, and empty if there is none.
func invokeError(err error) InvokeError {
	if failure, ok := errors.AsType[*InvokeError](err); ok {
		return *failure
	}
	return InvokeError{}
}

// equal reports how what was got differs from what is wanted.
func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestInvoke(t *testing.T) {
	p, _ := start(t, nil)
	a := mustInvoke(t, p, request{Do: "echo", N: 5})
	want := answer{
		PID: a.PID, Echo: request{Do: "echo", N: 5}, ARN: arn, Function: "Trading-Buy", LogGroup: "Trading-Logs", MemoryMB: 128,
		RequestID: a.RequestID, LogStream: a.LogStream, TraceID: a.TraceID, RemainingMS: a.RemainingMS,
	}
	equal(t, "answer", want, a)
	for what, match := range map[string][2]string{
		"request id": {a.RequestID, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`},
		"log stream": {a.LogStream, `^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`},
		"trace id":   {a.TraceID, `^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`},
	} {
		if !regexp.MustCompile(match[1]).MatchString(match[0]) {
			t.Errorf("%s is %q, want %s", what, match[0], match[1])
		}
	}
	if a.RemainingMS < 5_000 || a.RemainingMS > 10_000 {
		t.Errorf("function has %d ms left of its 10 s", a.RemainingMS)
	}
	if b := mustInvoke(t, p, request{Do: "echo"}); b.PID != a.PID || b.RequestID == a.RequestID {
		t.Errorf("second invocation is %s of process %d after %s of process %d, want another one of the same", b.RequestID, b.PID, a.RequestID, a.PID)
	}
}

func TestInvokeFailures(t *testing.T) {
	of := func(name, message string) InvokeError {
		return InvokeError{name, fmt.Sprintf(`{"errorType":"%s","errorMessage":"RequestId: ID Error: %s"}`, name, message)}
	}
	tests := []struct {
		name    string
		request request
		want    InvokeError
		survive bool // the process serves the next invocation too
	}{
		{"named error", request{Do: "fail"}, InvokeError{"NotTraded", `{"errorMessage":"not traded: closed","errorType":"NotTraded"}`}, true},
		{"wrapped error", request{Do: "wrap"}, InvokeError{"wrapError", `{"errorMessage":"trade: closed","errorType":"wrapError"}`}, true},
		{"panic", request{Do: "panic"}, InvokeError{"string", `{"errorMessage":"out of stock","errorType":"string","stackTrace":STACK}`}, false},
		{"error without a type", request{Do: "fail without a type"}, InvokeError{"Lambda.Unknown", `it broke`}, true},
		{"exit with an error", request{Do: "exit", N: 1}, of("Runtime.ExitError", "Runtime exited with error: exit status 1"), false},
		{"exit without an error", request{Do: "exit"}, of("Runtime.ExitError", "Runtime exited without providing a reason"), false},
		{"timeout", request{Do: "sleep", MS: 60_000}, of("Sandbox.Timedout", "Task timed out after 0.50 seconds"), false},
		{"answer that is too large", request{Do: "long", N: 6 << 20}, of("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291456 bytes)."), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, _ := start(t, func(f *Function, _ *Config) {
				if tt.request.Do == "sleep" {
					f.Timeout = 500 * time.Millisecond
				}
			})
			before := mustInvoke(t, p, request{Do: "echo"})
			_, err := invoke(t.Context(), p, tt.request)
			got := invokeError(err)
			got.Cause = regexp.MustCompile(`RequestId: [0-9a-f-]{36} `).ReplaceAllString(got.Cause, "RequestId: ID ")
			got.Cause = regexp.MustCompile(`"stackTrace":\[.*\]`).ReplaceAllString(got.Cause, `"stackTrace":STACK`)
			equal(t, "failure", tt.want, got)
			if !tt.survive {
				waitForEnd(t, before.PID, 0)
			}
			after := mustInvoke(t, p, request{Do: "echo"})
			if survived := after.PID == before.PID; survived != tt.survive {
				t.Errorf("the process served the next invocation: %t, want %t", survived, tt.survive)
			}
		})
	}
}

func TestInvokeRefuses(t *testing.T) {
	p, j := start(t, nil)
	tests := []struct {
		name, arn string
		payload   []byte
		want      InvokeError
	}{
		{"unknown function", arn + "s", nil, InvokeError{"Lambda.ResourceNotFoundException", "Function not found: " + arn + "s"}},
		{"payload over 6 MB", arn, make([]byte, 6<<20+1), InvokeError{"Lambda.RequestTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := p.Invoke(t.Context(), tt.arn, tt.payload); invokeError(err) != tt.want {
				t.Errorf("got error %v, want %v", err, &tt.want)
			}
		})
	}
	if n := j.count("work"); n != 0 {
		t.Errorf("the function worked %d times", n)
	}
}

func TestStartRefuses(t *testing.T) {
	tests := []struct {
		name      string
		functions []Function
		want      string
	}{
		{"no timeout", []Function{{Name: "A", ARN: "a"}}, "start function A: it has no timeout"},
		{"same ARN", []Function{{Name: "A", ARN: "a", Timeout: 1}, {Name: "B", ARN: "a", Timeout: 1}}, "start function B: another one has its ARN a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Start(t.Context(), Config{Functions: tt.functions})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestRuntimeAPIRefuses(t *testing.T) {
	p, _ := start(t, nil)
	tests := []struct{ do, want string }{
		{"poll early", "403 Forbidden"},
		{"answer another", "400 Bad Request"},
	}
	for _, tt := range tests {
		t.Run(tt.do, func(t *testing.T) {
			if got := mustInvoke(t, p, request{Do: tt.do}).Text; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A request that stops half-way is not waited for; a process waits for work as long as it takes.
func TestRequestTime(t *testing.T) {
	defer func(before time.Duration) { requestTime = before }(requestTime)
	requestTime = 100 * time.Millisecond
	p, _ := start(t, nil)
	first := mustInvoke(t, p, request{}).PID
	c, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /x/2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
	time.Sleep(3 * requestTime)
	if again := mustInvoke(t, p, request{}).PID; again != first {
		t.Errorf("process %d gets the work, want %d, which waits for it", again, first)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_PARENT", "secret")
	t.Setenv("AWS_PROFILE", "production")
	t.Setenv("TMPDIR", "/tmp")
	p, _ := start(t, func(f *Function, _ *Config) {
		f.Env = map[string]string{"TOPIC_ARN": "arn", "AWS_REGION": "eu-central-1", "AWS_LAMBDA_FUNCTION_NAME": "Other"}
	})
	a := mustInvoke(t, p, request{Do: "environment"})
	if want := filepath.Dir(executable); a.Dir != want && runtime.GOOS == "linux" {
		t.Errorf("works in %s, want %s", a.Dir, want)
	}
	var own []string
	for _, v := range a.Environment {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "_X_AMZN_TRACE_ID", "TEMP", "TMP", "SYSTEMROOT":
		default:
			own = append(own, v)
		}
	}
	slices.Sort(own)
	want := []string{
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_FUNCTION_NAME=Trading-Buy",
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_LOG_FORMAT=JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME=Trading-Logs",
		"AWS_REGION=eu-central-1",
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=/tmp",
		"TOPIC_ARN=arn",
		"TZ=:UTC",
		"_HANDLER=buystock",
	}
	if runtime.GOOS == "windows" {
		want = slices.DeleteFunc(want, func(v string) bool { return v == "TMPDIR=/tmp" })
	}
	equal(t, "environment", want, own)
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	tests := []struct{ maximum, invocations, processes int }{
		{1, 3, 1},
		{2, 6, 2},
		{0, 4, 4},
		{0, 9, 4},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d invocations of at most %d", tt.invocations, tt.maximum), func(t *testing.T) {
			arrived, gate := make(chan struct{}, tt.invocations), make(chan struct{})
			p, j := start(t, func(f *Function, c *Config) {
				f.Timeout, c.MaxConcurrency = time.Minute, tt.maximum
				c.Kill = func(_ string, _ []byte, at Moment) bool {
					if at == BeforeWork {
						arrived <- struct{}{}
						<-gate
					}
					return false
				}
			})
			pids := make([]int, tt.invocations)
			var wg sync.WaitGroup
			for i := range pids {
				wg.Go(func() {
					a, err := invoke(t.Context(), p, request{Do: "echo"})
					if err != nil {
						t.Error(err)
					}
					pids[i] = a.PID
				})
			}
			for range tt.processes {
				<-arrived
			}
			// Now every slot is taken, and the other invocations wait for one.
			if slots := p.functions[arn].slots; len(slots) != tt.processes || cap(slots) != tt.processes {
				t.Errorf("%d of %d slots are taken, want %d of as many", len(slots), cap(slots), tt.processes)
			}
			close(gate)
			wg.Wait()
			slices.Sort(pids)
			if got := len(slices.Compact(pids)); got != tt.processes || j.count("process") != tt.processes {
				t.Errorf("%d processes served and %d were started, want %d", got, j.count("process"), tt.processes)
			}
		})
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	exited := regexp.MustCompile(`^{"errorType":"Runtime.ExitError","errorMessage":"RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 3"}$`)
	tests := []struct {
		name, start, path, errorName string
		cause                        *regexp.Regexp
	}{
		{"exits before its first poll", "exit", "", "Runtime.ExitError", exited},
		{"reports an error before its first poll", "report", "", "NoMarket", regexp.MustCompile(`^{"errorMessage":"no market","errorType":"NoMarket"}$`)},
		{"does not poll", "hang", "", "Sandbox.Timedout", regexp.MustCompile(`Error: Task timed out after 0.05 seconds"}$`)},
		{"does not exist", "", "missing", "Runtime.ExitError", regexp.MustCompile(`Error: Runtime failed to start: .*missing`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, j := start(t, func(f *Function, _ *Config) {
				f.Env = map[string]string{"START": tt.start}
				if tt.path != "" {
					f.Path = filepath.Join(t.TempDir(), tt.path)
				}
			})
			if tt.start == "hang" { // the others end by themselves
				p.initTimeout = 50 * time.Millisecond
			}
			for range 3 {
				_, err := invoke(t.Context(), p, request{Do: "echo"})
				if got := invokeError(err); got.Name != tt.errorName || !tt.cause.MatchString(got.Cause) {
					t.Fatalf("got error %v, want %s with %s", err, tt.errorName, tt.cause)
				}
			}
			if n := j.count("process"); n > 3 {
				t.Errorf("%d processes were started for 3 invocations", n)
			}
		})
	}
}

func TestInvokeAfterIdleProcessDied(t *testing.T) {
	p, _ := start(t, nil)
	for range 20 {
		a := mustInvoke(t, p, request{Do: "echo"})
		p.functions[arn].idle[0].end()
		if b := mustInvoke(t, p, request{Do: "echo"}); b.PID == a.PID {
			t.Errorf("process %d answered after it was killed", b.PID)
		}
	}
}

func TestKill(t *testing.T) {
	tests := []struct {
		name   string
		at     Moment
		worked int
	}{
		{"before its work", BeforeWork, 0},
		{"after its work", AfterWork, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kill := true
			p, j := start(t, func(_ *Function, c *Config) {
				c.Kill = func(function string, payload []byte, at Moment) bool {
					if function != "Trading-Buy" || !strings.Contains(string(payload), `"echo"`) {
						t.Errorf("asked for %s %s", function, payload)
					}
					return at == tt.at && kill
				}
			})
			if _, err := invoke(t.Context(), p, request{Do: "echo"}); invokeError(err).Name != "Runtime.ExitError" {
				t.Errorf("got error %v, want Runtime.ExitError", err)
			}
			if n := j.count("done"); n != tt.worked {
				t.Errorf("the function worked %d times, want %d", n, tt.worked)
			}
			kill = false
			mustInvoke(t, p, request{Do: "echo"})
		})
	}
}

func TestLog(t *testing.T) {
	p, j := start(t, nil)
	if _, err := invoke(t.Context(), p, request{Do: "print"}); err == nil {
		t.Fatal("the function did not fail")
	}
	want := []string{"work print", "one", "two", "", "three", "four"}
	for i := range want {
		want[i] = "Trading-Buy: " + want[i]
	}
	equal(t, "lines", want, j.lines[1:])
}

func TestLongLines(t *testing.T) {
	var lengths []int
	l := &lines{write: func(line []byte) { lengths = append(lengths, len(line)) }}
	for range 10 {
		fmt.Fprint(l, strings.Repeat("x", 32<<10))
	}
	fmt.Fprint(l, "\nshort\nrest")
	l.flush()
	l.flush()
	equal(t, "lengths of the lines", []int{maxLine, 64 << 10, 5, 4}, lengths)
}

func TestInvokeContext(t *testing.T) {
	t.Parallel()
	arrived, gate := make(chan struct{}, 2), make(chan struct{}) // of the first and the third invocation
	p, j := start(t, func(_ *Function, c *Config) {
		c.MaxConcurrency = 1
		c.Kill = func(_ string, _ []byte, at Moment) bool {
			if at == BeforeWork {
				arrived <- struct{}{}
				<-gate
			}
			return false
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := invoke(ctx, p, request{Do: "first"})
		first <- err
	}()
	<-arrived
	second := make(chan error)
	go func() {
		_, err := invoke(ctx, p, request{Do: "second"})
		second <- err
	}()
	cancel()
	for _, done := range []chan error{first, second} {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want %v", err, context.Canceled)
		}
	}
	close(gate)
	mustInvoke(t, p, request{Do: "third"})
	if j.count("done first") != 1 || j.count("work second") != 0 || j.count("process") != 1 {
		t.Errorf("the process did %q, want the first and the third invocation", j.lines)
	}
}

func TestClose(t *testing.T) {
	tests := []struct {
		name, start string
		end         func(p *Pool, cancel context.CancelFunc)
	}{
		{"close", "", func(p *Pool, _ context.CancelFunc) { p.Close() }},
		{"close with processes that ignore signals", "deaf", func(p *Pool, _ context.CancelFunc) { p.Close() }},
		{"close twice at once", "", func(p *Pool, _ context.CancelFunc) {
			var wg sync.WaitGroup
			wg.Go(func() { p.Close() })
			wg.Go(func() { p.Close() })
			wg.Wait()
		}},
		{"end of the context", "", func(p *Pool, cancel context.CancelFunc) {
			cancel()
			p.running.Wait()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := &journal{}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p, err := Start(ctx, Config{Log: j.log, MaxConcurrency: 2, Functions: []Function{{
				Name: "Trading-Buy", ARN: arn, Path: executable, Timeout: time.Minute, Env: map[string]string{"START": tt.start},
			}}})
			if err != nil {
				t.Fatal(err)
			}
			errs := make(chan error)
			for range 3 {
				go func() {
					_, err := invoke(t.Context(), p, request{Do: "sleep", MS: 30_000})
					errs <- err
				}()
			}
			j.waitFor(t, "work sleep", 2)
			began := time.Now()
			tt.end(p, cancel)
			for range 3 {
				if err := <-errs; !errors.Is(err, errClosed) {
					t.Errorf("invocation under way has the error %v, want %v", err, errClosed)
				}
			}
			if _, err := invoke(t.Context(), p, request{Do: "echo"}); !errors.Is(err, errClosed) {
				t.Errorf("later invocation has the error %v, want %v", err, errClosed)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("closing took %s", took)
			}
			for _, line := range j.lines {
				if text, ok := strings.CutPrefix(line, "Trading-Buy: process "); ok {
					pid, err := strconv.Atoi(text)
					if err != nil {
						t.Fatal(err)
					}
					waitForEnd(t, pid, 0)
				}
			}
		})
	}
}

// beParent is a program that is killed while its functions wait and work. It never returns.
func beParent() {
	working := make(chan struct{})
	p, err := Start(context.Background(), Config{
		Functions: []Function{{Name: "Trading-Buy", ARN: arn, Path: executable, Timeout: time.Minute}},
		Log: func(_ string, line []byte) {
			fmt.Printf("%s\n", line)
			if string(line) == "work outlive" {
				close(working)
			}
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	invoke(context.Background(), p, request{Do: "echo"})
	go invoke(context.Background(), p, request{Do: "outlive"})
	<-working // or the next would be served by the same process
	go invoke(context.Background(), p, request{Do: "echo"})
	select {}
}
