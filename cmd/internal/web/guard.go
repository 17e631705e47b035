package web

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
)

// ServeHTTP answers every request there is.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Done()
	defer s.caught(w, r)
	s.headers(w.Header())
	if status, why := s.refuses(r); status != 0 {
		s.plain(w, status, why)
		return
	}
	if h, ok := s.config.Extra[r.URL.Path]; ok {
		s.extra(w, r, h)
		return
	}
	// Whoever is not logged in has a small form to send at most, and it is read
	// before it takes a place: it may come as slowly as the server's times allow.
	limit := int64(maxBody)
	known := s.site.knows(r)
	if !known {
		limit = maxForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if !known {
		if err := r.ParseForm(); err != nil {
			s.badForm(w, err)
			return
		}
	}
	if s.site.streams(r.URL.Path) { // those are counted apart: they stay
		s.site.serve(w, r)
		return
	}
	answer, ok := s.answer(w, r)
	if !ok {
		w.Header().Set("Retry-After", "2")
		s.plain(w, http.StatusServiceUnavailable, "too many requests at a time")
		return
	}
	answer.send()
}

// answer makes an answer in one of the places, and gives the place up: whoever
// reads slowly, or not at all, takes it from nobody.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) (a *answer, ok bool) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return nil, false
	}
	a = &answer{w: w, status: http.StatusOK}
	s.site.serve(a, r)
	return a, true
}

// answer is one that is whole before the first byte of it is sent.
type answer struct {
	w      http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *answer) send() {
	a.w.WriteHeader(a.status)
	a.w.Write(a.body.Bytes())
}

// badForm answers a body or query that cannot be read.
func (s *Server) badForm(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		s.plain(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is too large: it may have %d bytes, or %d of whoever is logged in", maxForm, maxBody))
		return
	}
	s.plain(w, http.StatusBadRequest, "the form cannot be read")
}

// caught turns a panic of a page into an error for the one who asked, and a line
// in the log. It stays with the one request.
func (s *Server) caught(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	s.log.Error("web: page failed", "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	s.plain(w, http.StatusInternalServerError, "the page failed, see the daemon's log")
}

// headers are those of every answer. Nothing is loaded from elsewhere, no
// script stands in a page, nobody may put a page into a frame, and what a page
// shows stays in no cache.
func (s *Server) headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // with none browsers send no Origin
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
}

// plain answers with one line of text.
func (s *Server) plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(text + "\n"))
}

// refuses says what is wrong with a request, whoever sends it.
func (s *Server) refuses(r *http.Request) (status int, why string) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "only GET, HEAD and POST"
	case !s.isHost(r.Host):
		return http.StatusBadRequest, "the Host header is not ours"
	case !strings.HasPrefix(r.RequestURI, "/"):
		return http.StatusBadRequest, "no such address"
	case r.URL.RawPath != "" || strings.ContainsAny(r.URL.Path, "\\\x00") || strings.Contains(r.URL.Path, "//") || strings.Contains(r.URL.Path, ".."):
		return http.StatusNotFound, "no such page"
	case len(r.TransferEncoding) > 0 && r.Method != http.MethodPost || r.ContentLength > 0 && r.Method != http.MethodPost:
		return http.StatusBadRequest, "a body is for POST alone"
	case r.ContentLength > maxBody:
		return http.StatusRequestEntityTooLarge, "the request is too large"
	case r.Method == http.MethodPost && !sameSite(r):
		return http.StatusForbidden, "this did not come from our own pages"
	}
	return 0, ""
}

// isHost judges the Host header. A page on loopback is only asked for by names
// of this machine: a name of somebody else that resolves to 127.0.0.1 would make
// his page ours in the eyes of a browser.
func (s *Server) isHost(text string) bool {
	host := text
	if h, port, err := net.SplitHostPort(text); err == nil {
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return false
		}
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return !s.loopback || isLoopback(host)
	}
	if s.loopback || host == "" || len(host) > 253 {
		return false
	}
	return strings.IndexFunc(host, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	}) < 0
}

// sameSite reports whether a browser says that one of our own pages sent a
// request. Browsers of the last years send Sec-Fetch-Site, those before them
// Origin with a POST; what sends neither is none.
func sameSite(r *http.Request) bool {
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 {
		return len(site) == 1 && site[0] == "same-origin"
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// extra answers what is no page.
func (s *Server) extra(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if r.Method == http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD")
		s.plain(w, http.StatusMethodNotAllowed, "only GET and HEAD")
		return
	}
	open := s.loopback || r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
	if !open {
		name, password, ok := r.BasicAuth()
		if !ok || s.users.program(sourceOf(r), name, password) != nil {
			w.Header().Set("WWW-Authenticate", `Basic realm="spigate", charset="UTF-8"`)
			s.plain(w, http.StatusUnauthorized, "name and password, please")
			return
		}
	}
	h.ServeHTTP(w, r)
}

// sourceOf is whom a request is counted to: an IPv4 address, or a network of
// IPv6 that one customer has.
func sourceOf(r *http.Request) netip.Prefix {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil { // of no network: all together
		return netip.Prefix{}
	}
	return customer(a.Addr())
}

func customer(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked()
}
