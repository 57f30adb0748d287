// Command draw reads a graph in Graphviz's language from its standard input and writes it
// as SVG to its standard output. It is a process of its own, because Graphviz's package
// compiles WebAssembly when it is initialised, which no other command should wait for, and
// keeps the machine code in the temporary folder, which must be private.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-graphviz"
)

func main() {
	if err := draw(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "draw:", err)
		os.Exit(1)
	}
}

func draw(ctx context.Context, in io.Reader, out io.Writer) error {
	source, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read graph: %w", err)
	}
	graph, err := graphviz.ParseBytes(source)
	if err != nil {
		return fmt.Errorf("parse graph: %w", err)
	}
	layout, err := graphviz.New(ctx)
	if err != nil {
		return fmt.Errorf("start Graphviz: %w", err)
	}
	if err := layout.Render(ctx, graph, graphviz.SVG, out); err != nil {
		return fmt.Errorf("draw graph: %w", err)
	}
	return nil
}
