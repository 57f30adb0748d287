package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"golang.org/x/sync/errgroup"

	"stocktrading/local/setup"
	"stocktrading/local/states"
	"stocktrading/local/system"
)

const input = `{"symbol":"AMZN","qty":5}`

// measureTrade takes the functions' own time from that of a whole trade with automatic approval: what is left is the
// interpreter, the queue, the topic and the ways between them.
func measureTrade(ctx context.Context, b bench) ([]row, error) {
	project, err := setup.Open(map[string]any{"approval": "automatic"}, b.progress)
	if err != nil {
		return nil, err
	}
	c, err := system.Prepare(ctx, project)
	if err != nil {
		return nil, err
	}
	var functions stopwatch
	c.Invoke = func(next system.Invoker) system.Invoker {
		return func(ctx context.Context, arn string, payload []byte) ([]byte, error) {
			functions.begin()
			defer functions.end()
			return next(ctx, arn, payload)
		}
	}
	began := time.Now()
	s, err := system.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	started := time.Since(began)

	trade := func() (whole, own time.Duration, err error) {
		began, before := time.Now(), functions.read()
		arn, err := s.Engine().StartExecution("", []byte(input))
		if err != nil {
			return 0, 0, err
		}
		x, err := s.Engine().Wait(ctx, arn)
		if err == nil && x.Status != states.StatusSucceeded {
			err = fmt.Errorf("execution %s ended %s: %s", x.Name, x.Status, x.Cause)
		}
		return time.Since(began), functions.read() - before, err
	}
	whole, rest := row{what: "local trade, automatic approval", unit: "ms"}, row{what: "the same without the functions' own time", unit: "ms"}
	const warmUp = 5 // the first ones start the functions
	for i := range warmUp + b.times(200) {
		took, own, err := trade()
		if err != nil {
			return nil, err
		}
		if i >= warmUp {
			whole.samples = append(whole.samples, milliseconds(took))
			rest.samples = append(rest.samples, milliseconds(took-own))
		}
	}
	return []row{once("start of the local system, all being built", "ms", milliseconds(started)), whole, rest}, nil
}

// A stopwatch adds up the time in which something runs, be it one thing or several at once.
type stopwatch struct {
	mu      sync.Mutex
	running int
	since   time.Time
	sum     time.Duration
}

func (s *stopwatch) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running++; s.running == 1 {
		s.since = time.Now()
	}
}

func (s *stopwatch) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 {
		s.sum += time.Since(s.since)
	}
}

func (s *stopwatch) read() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running > 0 {
		return s.sum + time.Since(s.since)
	}
	return s.sum
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// few and many are how many executions wait at once.
const few, many = 500, 5000

// measureOpen has executions wait at once on a system of their own, and then approves all of them.
func measureOpen(ctx context.Context, b bench) ([]row, error) {
	local := filepath.Join(b.dir, "local")
	if _, _, err := b.run(ctx, nil, "go", "build", "-o", local, "./local"); err != nil {
		return nil, err
	}
	var memory, ask, decide [2][]float64
	for range b.times(1) {
		for i, n := range []int{few, many} {
			o, err := b.open(ctx, local, n)
			if err != nil {
				return nil, fmt.Errorf("%d at once: %w", n, err)
			}
			memory[i] = append(memory[i], o.bytes/float64(n)/1e3)
			ask[i] = append(ask[i], milliseconds(o.asked)/float64(n))
			decide[i] = append(decide[i], milliseconds(o.decided)/float64(n))
		}
	}
	rows := []row{}
	for _, r := range []struct {
		what, unit string
		samples    [2][]float64
	}{
		{"memory for each execution that waits", "kB", memory},
		{"time for each execution until it waits", "ms", ask},
		{"time for each decision, to the end of the execution", "ms", decide},
	} {
		rows = append(rows,
			row{fmt.Sprintf("%s, %d at once", r.what, few), r.unit, r.samples[0]},
			row{fmt.Sprintf("the same, %d at once", many), r.unit, r.samples[1]},
			ratios("that is", r.samples[1], r.samples[0]))
	}
	return rows, nil
}

type opened struct {
	bytes          float64 // of memory, more than before
	asked, decided time.Duration
}

func (b bench) open(ctx context.Context, local string, n int) (o opened, err error) {
	serve := exec.CommandContext(ctx, local, "--serve")
	serve.Dir = b.root
	output, err := serve.StdoutPipe()
	if err != nil {
		return o, err
	}
	if err := serve.Start(); err != nil {
		return o, err
	}
	defer func() {
		serve.Process.Signal(os.Interrupt)
		serve.Wait()
	}()
	// What --serve tells is also how to know what waits.
	var endpoint, machine string
	lines := bufio.NewScanner(output)
	for machine == "" {
		if !lines.Scan() {
			return o, errors.New("local --serve ended before it was up")
		}
		if _, after, ok := strings.Cut(lines.Text(), "The system is up at "); ok {
			endpoint = strings.TrimSuffix(strings.Fields(after)[0], ".")
		}
		if _, after, ok := strings.Cut(lines.Text(), "./desk --state-machine "); ok {
			machine = strings.TrimSpace(after)
		}
	}
	var waiting atomic.Int64
	allWait := make(chan struct{})
	go func() {
		for lines.Scan() {
			if strings.Contains(lines.Text(), "waits for a decision") && waiting.Add(1) == int64(n) {
				close(allWait)
			}
		}
		io.Copy(io.Discard, output)
	}()

	client := func(accessKey string) *sfn.Client {
		return sfn.New(sfn.Options{
			Region: system.Region, BaseEndpoint: aws.String(endpoint), Credentials: credentials.NewStaticCredentialsProvider(accessKey, "local", ""),
		})
	}
	developer, approver := client("developer"), client(system.Approver)
	before, err := memory(ctx, serve.Process.Pid)
	if err != nil {
		return o, err
	}
	began := time.Now()
	executions := make([]string, n)
	if err := inParallel(ctx, n, func(ctx context.Context, i int) error {
		x, err := developer.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(machine), Input: aws.String(input)})
		if err == nil {
			executions[i] = *x.ExecutionArn
		}
		return err
	}); err != nil {
		return o, err
	}
	select {
	case <-allWait:
	case <-ctx.Done():
		return o, ctx.Err()
	}
	o.asked = time.Since(began)
	after, err := memory(ctx, serve.Process.Pid)
	if err != nil {
		return o, err
	}
	o.bytes = after - before

	began = time.Now()
	if err := inParallel(ctx, n, func(ctx context.Context, i int) error { return approve(ctx, approver, executions[i]) }); err != nil {
		return o, err
	}
	for {
		running, err := developer.ListExecutions(ctx, &sfn.ListExecutionsInput{
			StateMachineArn: aws.String(machine), StatusFilter: types.ExecutionStatusRunning, MaxResults: 1,
		})
		if err != nil {
			return o, err
		}
		if len(running.Executions) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	o.decided = time.Since(began)
	return o, nil
}

func inParallel(ctx context.Context, n int, f func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}

// approve does what the desk does: it reads the token from the history and sends the answer.
func approve(ctx context.Context, client *sfn.Client, execution string) error {
	history, err := client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: aws.String(execution), ReverseOrder: true})
	if err != nil {
		return err
	}
	for _, e := range history.Events {
		if e.TaskScheduledEventDetails == nil {
			continue
		}
		var parameters struct{ MessageBody struct{ TaskToken string } }
		if err := json.Unmarshal([]byte(*e.TaskScheduledEventDetails.Parameters), &parameters); err != nil {
			return fmt.Errorf("read what %s waits for: %w", execution, err)
		}
		_, err := client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: aws.String(parameters.MessageBody.TaskToken), Output: aws.String(`{"decision":"approve"}`)})
		return err
	}
	return fmt.Errorf("%s does not wait", execution)
}

// memory is the resident memory in bytes of a process and of all that it has started, as ps tells it.
func memory(ctx context.Context, pid int) (float64, error) {
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=,ppid=,rss=").Output()
	if err != nil {
		return 0, fmt.Errorf("run ps: %w", err)
	}
	return sumTree(string(out), pid)
}

// sumTree adds up a process and its descendants, from lines of process, parent and kilobytes.
func sumTree(list string, root int) (float64, error) {
	children, size := map[int][]int{}, map[int]float64{}
	for line := range strings.Lines(list) {
		var numbers [3]int
		fields := strings.Fields(line)
		if len(fields) != len(numbers) {
			return 0, fmt.Errorf("ps gave the line %q", line)
		}
		for i, field := range fields {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("ps gave the line %q", line)
			}
			numbers[i] = n
		}
		children[numbers[1]] = append(children[numbers[1]], numbers[0])
		size[numbers[0]] = float64(numbers[2]) * 1024
	}
	if _, ok := size[root]; !ok {
		return 0, fmt.Errorf("ps has no process %d", root)
	}
	sum := 0.0
	for open := []int{root}; len(open) > 0; open = open[1:] {
		sum += size[open[0]]
		open = append(open, children[open[0]]...)
	}
	return sum, nil
}
