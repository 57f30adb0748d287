// Package web is the desk as a page in a person's own browser: what waits, the answers,
// the executions and the workflow's picture. It is served on this machine's loopback
// address to the person who started it, and calls Step Functions as package decision does.
package web

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"stocktrading/desk/decision"
	"stocktrading/desk/timefmt"
	"stocktrading/lambdas/trading"
	"stocktrading/stacks/asl"
)

// Config is what a page is made of.
type Config struct {
	Client  decision.Client
	Machine decision.Machine
	Who     func(context.Context) (string, error) // who decides

	// Start starts an execution on the local run and returns its name. Without it the page
	// is one of AWS, where the console starts executions.
	Start func(name, input string) (string, error)

	// Tell is given the address to open, and a new one whenever that has been used.
	Tell func(address string)
}

//go:embed static templates
var files embed.FS

// Server serves the page to the person who opened it.
type Server struct {
	http.Handler
	config Config
	desk   *decision.Desk
	guard  *guard
	pages  *template.Template
	ctx    context.Context // of what goes on when no page waits for it

	mu      sync.Mutex
	listing *listing // the list that is being made, if any
}

// Serve serves the page on a free port of 127.0.0.1 until the context ends.
func Serve(ctx context.Context, c Config) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the browser on 127.0.0.1: %w", err)
	}
	s := newServer(listener.Addr().String(), c)
	s.ctx = ctx
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	context.AfterFunc(ctx, func() { server.Close() })
	s.guard.invite()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the browser: %w", err)
	}
	return nil
}

// newServer returns a server that answers to a host and port.
func newServer(host string, c Config) *Server {
	s := &Server{
		config: c, desk: decision.New(c.Client, c.Machine, c.Who), guard: newGuard(host, c.Tell),
		ctx: context.Background(),
	}
	s.desk.Progress, s.guard.used = s.progress, s.used
	s.pages = template.Must(template.New("").Funcs(template.FuncMap{
		"line": func(text string) string { return line(text, 300) }, "lines": lines,
		"stamp": stamp, "dollars": trading.Dollars, "person": decision.Person, "span": timefmt.Span,
	}).ParseFS(files, "templates/*.html"))
	routes := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /{$}":            s.waits,
		"GET /decide":         s.confirm,
		"POST /decide":        s.decide,
		"GET /list":           s.executions,
		"GET /decisions":      s.decisions,
		"GET /decisions.json": s.export("application/json", decision.WriteJSON[decision.Trade]),
		"GET /decisions.csv":  s.export("text/csv; charset=utf-8", decision.WriteCSV),
		"GET /execution":      s.execution,
		"GET /workflow":       s.workflow,
		"GET /start":          s.startForm,
		"POST /start":         s.start,
	} {
		routes.Handle(pattern, s.serve(h))
	}
	routes.Handle("GET /static/", http.FileServerFS(files))
	s.Handler = s.guard.wrap(http.StripPrefix(strings.TrimSuffix(s.guard.base, "/"), routes))
	return s
}

// page is what a template shows.
type page struct {
	Title    string
	Section  string // of the navigation
	Base     string
	Form     string // the secret of the forms
	Machine  string
	Local    bool
	Poll     int // milliseconds until the page looks again; 0 for never
	Problem  string
	Template string
	Status   int    // of HTTP; 0 for OK
	Location string // if not empty, the page to go to in place of this one
	Type     string // of a file to be saved in place of a page
	File     []byte
	Data     any
}

// handler makes a page. An error is shown as a page of its own.
type handler func(r *http.Request) (page, error)

func (s *Server) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := h(r)
		if err != nil {
			p = page{Title: "That did not work", Template: "problem", Problem: decision.Sentence(err.Error()), Status: status(err)}
		}
		if p.Location != "" {
			http.Redirect(w, r, p.Location, http.StatusSeeOther)
			return
		}
		if p.Type != "" {
			w.Header().Set("Content-Type", p.Type)
			w.Header().Set("Content-Disposition", "attachment")
			_, _ = w.Write(p.File)
			return
		}
		p.Base, p.Form = s.guard.base, s.guard.form
		p.Machine, p.Local = s.config.Machine.ARN, s.config.Start != nil
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if p.Status != 0 {
			w.WriteHeader(p.Status)
		}
		// What is written is partly sent already when it fails, so there is nobody to tell.
		_ = s.pages.ExecuteTemplate(w, p.Template, p)
	})
}

// used is the page for somebody whose address has been used. The style sheet's file takes the
// cookie, so the page holds it.
func (s *Server) used(w http.ResponseWriter) {
	css, err := files.ReadFile("static/desk.css")
	if err != nil {
		panic(err) // it is embedded
	}
	hash := sha256.Sum256(css)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusForbidden)
	_ = s.pages.ExecuteTemplate(w, "used", template.CSS(css)) // as in serve
}

// statusError is a sentence, with the error of the desk that decides its HTTP status.
type statusError struct {
	is       error // one of the desk's
	sentence string
}

func (e *statusError) Error() string { return e.sentence }
func (e *statusError) Unwrap() error { return e.is }

// status is the HTTP status for an error of the desk.
func status(err error) int {
	switch {
	case errors.Is(err, decision.ErrNoExecution):
		return http.StatusNotFound
	case errors.Is(err, decision.ErrGone), errors.Is(err, decision.ErrNotYet):
		return http.StatusConflict
	case errors.Is(err, decision.ErrWrongUse):
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// definition returns the state machine as it is now, read and as text.
func (s *Server) definition(ctx context.Context) (asl.Workflow, string, error) {
	definition, err := s.desk.Definition(ctx)
	if err != nil {
		return asl.Workflow{}, "", err
	}
	w, err := asl.Read(definition)
	return w, definition, err
}

// stamp writes a time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
