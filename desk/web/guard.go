package web

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"sync"
)

// maxForm is larger than any form of the page: an input of 256 KiB, escaped.
const maxForm = 1 << 20

// guard lets in the person who started the desk, and nobody else who can make their
// browser, or a program on this machine, send a request.
//
// Everything is under a path that no other server on this machine knows, because a browser
// sends the cookies of 127.0.0.1 to each of its ports.
type guard struct {
	host   string // what the address says, such as 127.0.0.1:8080
	base   string // the path of everything, with a slash at both ends
	secret string // of the cookie
	form   string // of every form
	tell   func(address string)
	used   func(http.ResponseWriter) // the page of an address that has been used

	mu  sync.Mutex
	key string // opens the page once
}

func newGuard(host string, tell func(string)) *guard {
	return &guard{host: host, base: "/" + rand.Text() + "/", secret: rand.Text(), form: rand.Text(), tell: tell}
}

const cookieName = "desk"

// invite tells the person an address that opens the page once.
func (g *guard) invite() {
	g.mu.Lock()
	g.key = rand.Text()
	address := "http://" + g.host + g.base + "enter?key=" + g.key
	g.mu.Unlock()
	g.tell(address)
}

// enter exchanges the key of an address for the cookie.
func (g *guard) enter(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	right := g.key != "" && same(r.URL.Query().Get("key"), g.key)
	if right {
		g.key = ""
	}
	g.mu.Unlock()
	if !right {
		if g.requireCookie(r) == nil { // somebody who reloads is in already
			http.Redirect(w, r, g.base, http.StatusSeeOther)
			return
		}
		g.used(w)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: g.secret, Path: g.base, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, g.base, http.StatusSeeOther)
	g.invite()
}

// Why a request is refused. The texts are shown.
var (
	errHost   = errors.New("the desk answers to its own address only")
	errOrigin = errors.New("the desk answers to its own pages only")
	errSecret = errors.New("open the desk by the address that it printed where it was started")
	errForm   = errors.New("the form is not of this run of the desk: load the page again")
	errMethod = errors.New("the desk takes GET, and POST for a change")
)

// wrap protects everything under the base.
func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		// A browser that may not name where it came from sends no usable Origin with a form either.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if err := g.check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if r.URL.Path == g.base+"enter" && r.Method == http.MethodGet {
			g.enter(w, r)
			return
		}
		if err := g.requireCookie(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if !same(r.PostFormValue("form"), g.form) {
				http.Error(w, errForm.Error(), http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// check refuses a request that no page of the desk sends. CrossOriginProtection refuses a change
// that comes from elsewhere. It doesn't look at a page that is only read, a change without an
// Origin, or a foreign name in Host that was made to lead here.
func (g *guard) check(r *http.Request) error {
	var (
		read         = r.Method == http.MethodGet || r.Method == http.MethodHead
		origin, site = r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
		protection   http.CrossOriginProtection
	)
	switch {
	case r.Host != g.host:
		return errHost
	case !read && r.Method != http.MethodPost:
		return errMethod
	case protection.Check(r) != nil:
		return errOrigin
	case origin != "http://"+g.host && (origin != "" || !read):
		return errOrigin
	case read && site != "" && site != "same-origin" && site != "none":
		return errOrigin // another port of this machine is the same site, but another origin
	}
	return nil
}

// requireCookie refuses a request without the cookie that enter sets.
func (g *guard) requireCookie(r *http.Request) error {
	cookie, err := r.Cookie(cookieName)
	if err != nil || !same(cookie.Value, g.secret) {
		return errSecret
	}
	return nil
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
