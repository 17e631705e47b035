//go:build !noweb

package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// site is the pages.
type site struct {
	server   *Server
	sessions sessions
	samples  samples
	byPath   map[string]*served
	menu     []menuGroup
	streamed map[string]stream
	open     chan struct{} // one for each stream
}

// served is a page with its template.
type served struct {
	page
	template *template.Template
}

type menuGroup struct {
	Name  string
	Pages []menuPage
}

type menuPage struct{ Path, Title string }

func newSite(s *Server) (*site, error) {
	p := &site{server: s, byPath: map[string]*served{}, open: make(chan struct{}, maxStreams)}
	p.sessions.now, p.sessions.random = s.config.Now, s.config.Rand
	p.sessions.byID = map[[32]byte]*session{}
	p.set(s.config.Web)
	layout, err := template.New("layout").Funcs(functions()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	for _, page := range append(p.pages(), p.loginPage(), p.failPage()) {
		t, err := layout.Clone()
		if err == nil {
			_, err = t.ParseFS(templateFiles, "templates/"+page.template+".html")
		}
		if err != nil {
			return nil, err
		}
		p.byPath[page.path] = &served{page, t}
		p.enter(page)
	}
	p.streamed = p.allStreams()
	return p, nil
}

// enter puts a page into the menu.
func (p *site) enter(page page) {
	if page.menu == "" {
		return
	}
	if n := len(p.menu); n == 0 || p.menu[n-1].Name != page.menu {
		p.menu = append(p.menu, menuGroup{Name: page.menu})
	}
	group := &p.menu[len(p.menu)-1]
	group.Pages = append(group.Pages, menuPage{page.path, page.title})
}

// set takes the timeouts and ends the sessions of users that are not the same any more.
func (p *site) set(w configs.Web) {
	p.sessions.keep(w.SessionTimeout, func(a account) bool {
		now, ok := p.server.users.named(a.name)
		return ok && now.same(a)
	})
}

// run samples the counters until ctx ends.
func (p *site) run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	p.sample()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.sample()
		}
	}
}

// serve answers a request that has passed the server's guards.
func (p *site) serve(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, "/assets/"); ok {
		p.asset(w, r, name)
		return
	}
	if !p.server.users.any() {
		p.server.plain(w, http.StatusForbidden, nobody)
		return
	}
	switch r.URL.Path {
	case loginPath:
		p.login(w, r)
		return
	case logoutPath:
		p.logout(w, r)
		return
	}
	if err := r.ParseForm(); err != nil {
		p.server.badForm(w, err)
		return
	}
	if s, ok := p.streamed[r.URL.Path]; ok {
		p.stream(w, r, s)
		return
	}
	page, ok := p.byPath[r.URL.Path]
	if !ok || page.path == failPath {
		p.server.plain(w, http.StatusNotFound, "no such page")
		return
	}
	o := p.sessionOf(r, true)
	if o == nil {
		p.toLogin(w, r)
		return
	}
	p.answer(w, &request{r, o, p.server.config.Backend, p.server.config.Editor}, page)
}

// nobody is what the pages say while there is nobody who may log in.
const nobody = `No user may log in yet. Add one to the configuration:

  [web.user.admin]
  password = "..."     # what "spigate web password" prints
  role = "admin"       # or read_only

and apply it: "spigate config apply FILE", or SIGHUP.`

// answer asks a page, or does what its form wants.
func (p *site) answer(w http.ResponseWriter, r *request, page *served) {
	if !r.session.may(page.role) {
		p.fail(w, r, http.StatusForbidden, "This page is for admins.")
		return
	}
	if r.Method != http.MethodPost {
		data, err := page.get(r)
		if err != nil {
			p.failed(w, r, err)
			return
		}
		p.show(w, r, page, http.StatusOK, data)
		return
	}
	switch {
	case page.post == nil:
		w.Header().Set("Allow", "GET, HEAD")
		p.fail(w, r, http.StatusMethodNotAllowed, "This page has no form to send.")
	case !r.session.hasToken(r.PostForm.Get(tokenField)):
		p.fail(w, r, http.StatusForbidden, "The form is not of this session: load its page again.")
	case !page.anyone && !r.session.may(configs.WebAdmin):
		p.fail(w, r, http.StatusForbidden, "Only an admin may do this.")
	default:
		p.act(w, r, page)
	}
}

// tokenField is the field of a form that proves that it is one of the session's.
const tokenField = "token"

func (p *site) act(w http.ResponseWriter, r *request, page *served) {
	out, err := page.post(r)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	p.server.log.Info("web: operator", "user", r.session.user.name, "from", r.RemoteAddr, "page", page.path, "action", r.PostForm.Get("action"), "done", out.notice)
	if out.to == "" {
		p.show(w, r, page, http.StatusOK, out.data)
		return
	}
	p.sessions.leave(r.session, out.notice)
	http.Redirect(w, r.Request, out.to, http.StatusSeeOther)
}

// view is what the templates have.
type view struct {
	Title, Path, Host string
	Menu              []menuGroup
	User, Role, Token string
	Admin             bool
	Notice            string
	Live              string
	Refresh           int
	Data              any
}

// show makes the whole page before the first byte of it is sent: what fails on
// the way is an error, never half a page.
func (p *site) show(w http.ResponseWriter, r *request, page *served, status int, data any) {
	v := view{Title: page.title, Path: page.path, Host: p.server.config.Hostname, Live: page.live, Refresh: page.refresh, Data: data}
	if r.session != nil {
		v.Menu, v.Token = p.menu, r.session.token
		v.User, v.Role, v.Admin = r.session.user.name, r.session.user.role.String(), r.session.may(configs.WebAdmin)
		v.Notice = p.sessions.take(r.session)
	}
	var b bytes.Buffer
	if err := page.template.ExecuteTemplate(&b, "layout", v); err != nil {
		p.server.log.Error("web: page", "path", page.path, "error", err)
		p.server.plain(w, http.StatusInternalServerError, "the page failed, see the daemon's log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// failed answers with what a backend returned.
func (p *site) failed(w http.ResponseWriter, r *request, err error) {
	status := http.StatusInternalServerError
	var e *control.Error
	if errors.As(err, &e) {
		switch e.Code {
		case control.CodeNotFound:
			status = http.StatusNotFound
		case control.CodeBusy:
			status = http.StatusServiceUnavailable
		case control.CodeInternal:
		default:
			status = http.StatusBadRequest
		}
	}
	p.fail(w, r, status, err.Error())
}

// failPath is no path that anybody can ask for: the page of errors.
const failPath = "fail"

func (p *site) failPage() page { return page{path: failPath, title: "Not done", template: "fail"} }

func (p *site) fail(w http.ResponseWriter, r *request, status int, why string) {
	p.show(w, r, p.byPath[failPath], status, why)
}

// asset sends a file that pages load. It may stay in the browser for an hour: a
// new build has new names for them (see functions).
func (p *site) asset(w http.ResponseWriter, r *http.Request, name string) {
	text, err := fs.ReadFile(assetFiles, "assets/"+name)
	if err != nil || r.Method == http.MethodPost || name != path.Base(name) {
		p.server.plain(w, http.StatusNotFound, "no such file")
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.Header().Set("Cache-Control", "private, max-age=3600")
	w.Write(text)
}

// toLogin sends a browser to the log-in, and from there back to the page.
func (p *site) toLogin(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		p.server.plain(w, http.StatusForbidden, "you are not logged in any more: log in and do it again")
		return
	}
	to := loginPath
	if r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(r.URL.Path)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
