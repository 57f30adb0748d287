package main

import (
	"context"
	"fmt"

	"stocktrading/desk/web"
)

// serve serves the desk as a page.
func (s session) serve(ctx context.Context) error {
	return web.Serve(ctx, web.Config{Client: s.client, Machine: s.machine, Who: s.who, Tell: func(address string) {
		fmt.Fprintf(s.stdout, "Open the desk in your browser; this address works once:\n\n  %s\n\n", address)
	}})
}
