//go:build !noweb

package web

import (
	"errors"
	"log/slog"
	"net/http"
)

const (
	loginPath  = "/login"
	logoutPath = "/logout"
)

func (p *site) loginPage() page { return page{path: loginPath, title: "Log in", template: "login"} }

// loginForm is what the page of the log-in shows.
type loginForm struct{ Name, Next, Why string }

// login shows the form, or checks what it sends. A log-in always makes a new
// session: one that somebody planted in the browser before is worth nothing.
func (p *site) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.server.badForm(w, err)
		return
	}
	form := loginForm{Name: r.PostForm.Get("name"), Next: p.next(r.Form.Get("next"))}
	page := p.byPath[loginPath]
	if r.Method != http.MethodPost {
		p.show(w, &request{Request: r}, page, http.StatusOK, form)
		return
	}
	user, err := p.server.users.logIn(sourceOf(r), form.Name, r.PostForm.Get("password"))
	if err != nil {
		status, level := http.StatusUnauthorized, slog.LevelWarn
		if errors.Is(err, errOften) {
			// Anybody can have that said as often as he likes; the others are bounded.
			status, level = http.StatusTooManyRequests, slog.LevelDebug
			w.Header().Set("Retry-After", "60")
		}
		p.server.log.Log(r.Context(), level, "web: log-in refused", "from", r.RemoteAddr, "reason", err)
		form.Why = err.Error()
		p.show(w, &request{Request: r}, page, status, form)
		return
	}
	p.sessions.end(p.cookie(r))
	id, err := p.sessions.begin(user)
	if err != nil {
		p.server.log.Error("web: log-in", "error", err)
		p.server.plain(w, http.StatusInternalServerError, "no session could be made, see the daemon's log")
		return
	}
	p.server.log.Info("web: log-in", "user", user.name, "role", user.role.String(), "from", r.RemoteAddr)
	p.setCookie(w, id, 0)
	http.Redirect(w, r, form.Next, http.StatusSeeOther)
}

// next is the page after the log-in: one of ours, whatever the address says.
func (p *site) next(path string) string {
	if page, ok := p.byPath[path]; ok && page.menu != "" {
		return path
	}
	return "/"
}

func (p *site) logout(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.server.badForm(w, err)
		return
	}
	o := p.sessionOf(r, true)
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		p.server.plain(w, http.StatusMethodNotAllowed, "use the button")
		return
	case o != nil && !o.hasToken(r.PostForm.Get(tokenField)):
		p.server.plain(w, http.StatusForbidden, "the form is not of this session")
		return
	case o != nil:
		p.sessions.end(p.cookie(r))
	}
	p.setCookie(w, "", -1)
	http.Redirect(w, r, loginPath, http.StatusSeeOther)
}

// cookieName has the prefix that makes browsers take it over TLS alone, for this
// host alone. Without TLS, which there is on loopback alone, not all would take it.
func (p *site) cookieName() string {
	if p.server.config.Web.TLS {
		return "__Host-spigate"
	}
	return "spigate"
}

func (p *site) setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: p.server.config.Web.TLS, SameSite: http.SameSiteStrictMode,
	})
}

// cookie is the id of a session, or "".
func (p *site) cookie(r *http.Request) string {
	c, err := r.Cookie(p.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// knows reports whether a request is one of a session.
func (p *site) knows(r *http.Request) bool { return p.sessionOf(r, false) != nil }

// sessionOf returns the session of a request, or nil. A user who is not in the
// configuration any more has none.
func (p *site) sessionOf(r *http.Request, used bool) *session {
	o := p.sessions.find(p.cookie(r), used)
	if o == nil {
		return nil
	}
	if now, ok := p.server.users.named(o.user.name); !ok || !now.same(o.user) {
		p.sessions.end(p.cookie(r))
		return nil
	}
	return o
}
