package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// measureStart starts functions against a Runtime API that never has an event for them.
func measureStart(ctx context.Context, b bench) ([]row, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	polled := make(chan struct{}, 1)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/runtime/invocation/next") {
			polled <- struct{}{}
			<-r.Context().Done()
		}
	})}
	go server.Serve(listener)
	defer server.Close()

	var rows []row
	for _, f := range []struct{ handler, what string }{
		{"checkstockprice", "start of a function to its first poll"},
		{"requesthumanapproval", "the same with an AWS SDK client"},
	} {
		r := row{what: f.what, unit: "ms"}
		for i := range 1 + b.times(100) {
			took, err := startFunction(ctx, filepath.Join(b.root, ".build", "functions", f.handler), listener.Addr().String(), polled)
			if err != nil {
				return rows, fmt.Errorf("%s: %w", f.handler, err)
			}
			if i > 0 { // the first one reads the file
				r.samples = append(r.samples, milliseconds(took))
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func startFunction(ctx context.Context, path, api string, polled <-chan struct{}) (time.Duration, error) {
	function := exec.CommandContext(ctx, path)
	function.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + api, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret",
		"TOPIC_ARN=arn:aws:sns:us-east-1:123456789012:topic",
	}
	began := time.Now()
	if err := function.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- function.Wait() }()
	select {
	case <-polled:
		took := time.Since(began)
		function.Process.Kill()
		<-ended
		return took, nil
	case err := <-ended:
		return 0, fmt.Errorf("the function ended before it polled: %v", err)
	}
}
