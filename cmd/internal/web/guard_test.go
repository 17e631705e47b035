//go:build !noweb

package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestWhoeverIsNotLoggedInSeesTheLogInAlone(t *testing.T) {
	r := newRig(t)
	for _, page := range r.site.pages() {
		w := r.ask(http.MethodGet, page.path, "", nil)
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), loginPath) {
			t.Errorf("%s: %d, to %q", page.path, w.Code, w.Header().Get("Location"))
		}
		if page.live == "" {
			continue
		}
		if w := r.ask(http.MethodGet, page.live, "", nil); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", page.live, w.Code)
		}
	}
	if w := r.ask(http.MethodPost, "/ipsec", "", url.Values{"action": {"clear"}}); w.Code != http.StatusForbidden || len(r.house.doings()) > 0 {
		t.Errorf("a form without a session: %d, did %v", w.Code, r.house.doings())
	}
}

func TestAForgedCookieIsNobodys(t *testing.T) {
	r := newRig(t)
	real := r.logIn("admin", adminPassword)
	for _, cookie := range []string{"x", strings.Repeat("A", 43), real[:42], real + "A", "A" + real[1:], strings.ToLower(real) + "!", strings.Repeat("B", 8000)} {
		if w := r.ask(http.MethodGet, "/", cookie, nil); w.Code != http.StatusSeeOther {
			t.Errorf("cookie %.50q: %d", cookie, w.Code)
		}
	}
	if w := r.ask(http.MethodGet, "/", real, nil); w.Code != http.StatusOK {
		t.Errorf("the real one: %d", w.Code)
	}
}

func TestTheCookieIsForThisHostOverTLSAlone(t *testing.T) {
	r := newRig(t)
	w := r.ask(http.MethodPost, loginPath, "", url.Values{"name": {"admin"}, "password": {adminPassword}})
	text := w.Header().Get("Set-Cookie")
	for _, want := range []string{"__Host-spigate=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if strings.Contains(text, "Domain") || strings.Contains(text, "Expires") {
		t.Errorf("%q", text)
	}
}

func TestAFormWithoutItsTokenDoesNothing(t *testing.T) {
	r := newRig(t)
	mine, other := r.logIn("admin", adminPassword), r.logIn("admin", adminPassword)
	for name, token := range map[string]string{"none": "", "wrong": strings.Repeat("A", 43), "another session's": r.token(other)} {
		w := r.ask(http.MethodPost, "/ipsec", mine, url.Values{"action": {"clear"}, "token": {token}})
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
		// In the address it is no token either: addresses are written down.
		w = r.ask(http.MethodPost, "/ipsec?token="+r.token(mine), mine, url.Values{"action": {"clear"}})
		if w.Code != http.StatusForbidden {
			t.Errorf("in the address: %d", w.Code)
		}
	}
	if did := r.house.doings(); len(did) > 0 {
		t.Errorf("did %v", did)
	}
	w := r.ask(http.MethodPost, "/ipsec", mine, url.Values{"action": {"clear"}, "token": {r.token(mine)}})
	if did := r.house.doings(); w.Code != http.StatusSeeOther || len(did) != 1 {
		t.Errorf("with it: %d, did %v", w.Code, did)
	}
}

func TestAFormFromElsewhereIsRefused(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	form := url.Values{"action": {"clear"}, "token": {r.token(cookie)}}
	header := func(pairs ...string) func(*http.Request) {
		return func(q *http.Request) {
			q.Header.Del("Sec-Fetch-Site")
			for i := 0; i < len(pairs); i += 2 {
				q.Header.Add(pairs[i], pairs[i+1])
			}
		}
	}
	for name, change := range map[string]func(*http.Request){
		"another site":              header("Sec-Fetch-Site", "cross-site"),
		"a sister of our name":      header("Sec-Fetch-Site", "same-site"),
		"typed by hand":             header("Sec-Fetch-Site", "none"),
		"two opinions":              header("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"),
		"an old browser, elsewhere": header("Origin", "https://evil.example"),
		"an old browser, hidden":    header("Origin", "null"),
		"another port":              header("Origin", "https://gw1.example:9"),
		"no browser":                header(),
	} {
		if w := r.ask(http.MethodPost, "/ipsec", cookie, form, change); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
		if w := r.ask(http.MethodPost, loginPath, "", url.Values{"name": {"admin"}, "password": {adminPassword}}, change); w.Code != http.StatusForbidden {
			t.Errorf("%s: log-in: %d", name, w.Code)
		}
	}
	if did := r.house.doings(); len(did) > 0 {
		t.Errorf("did %v", did)
	}
	if w := r.ask(http.MethodPost, "/ipsec", cookie, form, header("Origin", "https://gw1.example:8443")); w.Code != http.StatusSeeOther {
		t.Errorf("an old browser, here: %d", w.Code)
	}
}

func TestWhoOnlyLooksChangesNothing(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("reader", readerPassword)
	token := r.token(cookie)
	for _, form := range []struct{ path, action string }{{"/ipsec", "clear"}, {"/ipsec", "flush"}, {"/pools", "clear"}, {"/subscribers", "flush"}} {
		w := r.ask(http.MethodPost, form.path, cookie, url.Values{"action": {form.action}, "token": {token}, "source_ip": {"192.0.2.10"}})
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Only an admin") {
			t.Errorf("%v: %d", form, w.Code)
		}
	}
	if did := r.house.doings(); len(did) > 0 {
		t.Errorf("did %v", did)
	}
	for _, page := range r.site.pages() {
		w := r.ask(http.MethodGet, page.path, cookie, nil)
		if strings.Contains(w.Body.String(), `name="action"`) {
			t.Errorf("%s shows a button for admins", page.path)
		}
	}
}

func TestMethodsHostsAndPathsThatAreNotOurs(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	for _, c := range []struct {
		method, target string
		change         func(*http.Request)
		want           int
	}{
		{"PUT", "/", nil, http.StatusMethodNotAllowed},
		{"DELETE", "/ipsec", nil, http.StatusMethodNotAllowed},
		{"TRACE", "/", nil, http.StatusMethodNotAllowed},
		{"OPTIONS", "*", nil, http.StatusMethodNotAllowed},
		{"get", "/", nil, http.StatusMethodNotAllowed},
		{"POST", "/drops", nil, http.StatusMethodNotAllowed},
		{"GET", "/logout", nil, http.StatusMethodNotAllowed},
		{"GET", "/", func(q *http.Request) { q.Host = "" }, http.StatusBadRequest},
		{"GET", "/", func(q *http.Request) { q.Host = "a b" }, http.StatusBadRequest},
		{"GET", "/", func(q *http.Request) { q.Host = "gw1:80:80" }, http.StatusBadRequest},
		{"GET", "/", func(q *http.Request) { q.Host = "<script>" }, http.StatusBadRequest},
		{"GET", "/", func(q *http.Request) { q.Host = "gw1:0x50" }, http.StatusBadRequest},
		{"GET", "/", func(q *http.Request) { q.RequestURI = "http://other.example/" }, http.StatusBadRequest},
		{"GET", "/", func(q *http.Request) { q.ContentLength = 5 }, http.StatusBadRequest},
		{"GET", "/nothing", nil, http.StatusNotFound},
		{"GET", "/drops/", nil, http.StatusNotFound},
		{"GET", "/DROPS", nil, http.StatusNotFound},
		{"GET", "//drops", nil, http.StatusNotFound},
		{"GET", "/./drops", nil, http.StatusNotFound},
		{"GET", "/x/../drops", nil, http.StatusNotFound},
		{"GET", "/%64rops", nil, http.StatusNotFound}, // no browser writes it so
		{"GET", "/%2fdrops", nil, http.StatusNotFound},
		{"GET", "/..%2fdrops", nil, http.StatusNotFound},
		{"GET", "/drops%00", nil, http.StatusNotFound},
		{"GET", "/fail", nil, http.StatusNotFound},
		{"GET", "/assets/", nil, http.StatusNotFound},
		{"GET", "/assets/../doc.go", nil, http.StatusNotFound},
		{"GET", "/assets/nothing.css", nil, http.StatusNotFound},
		{"POST", "/assets/style.css", nil, http.StatusNotFound},
		{"GET", "/templates/layout.html", nil, http.StatusNotFound},
		{"GET", "/v1/status", nil, http.StatusNotFound}, // the control socket's
		{"GET", "/flows?from=-1", nil, http.StatusBadRequest},
		{"GET", "/flows?from=99999999999999999999", nil, http.StatusBadRequest},
		{"GET", "/flows?source_ip=x", nil, http.StatusBadRequest},
		{"GET", "/flows?a=%zz", nil, http.StatusBadRequest},
		{"GET", "/subscribers?client=nobody", nil, http.StatusNotFound},
		{"GET", "/config?slot=nowhere", nil, http.StatusNotFound},
	} {
		q := c.change
		if q == nil {
			q = func(*http.Request) {}
		}
		w := r.ask(c.method, c.target, cookie, nil, q)
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, w.Code, c.want)
		}
		if location := w.Header().Get("Location"); location != "" {
			t.Errorf("%s %s leads to %q", c.method, c.target, location)
		}
	}
}

func TestABodyThatIsTooLargeIsNotRead(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	large := url.Values{"action": {"clear"}, "more": {strings.Repeat("x", maxBody)}}
	if w := r.ask(http.MethodPost, "/ipsec", cookie, large); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("one that says so: %d", w.Code)
	}
	unsaid := func(q *http.Request) { q.ContentLength = -1; q.TransferEncoding = []string{"chunked"} }
	if w := r.ask(http.MethodPost, "/ipsec", cookie, large, unsaid); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("one that does not: %d", w.Code)
	}
	if w := r.ask(http.MethodPost, loginPath, "", url.Values{"name": {strings.Repeat("x", maxForm)}}); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a log-in: %d", w.Code)
	}
}

func TestEveryAnswerForbidsWhatIsNotNeeded(t *testing.T) {
	r := newRig(t)
	for _, target := range []string{"/", loginPath, "/nothing", "/assets/style.css"} {
		h := r.ask(http.MethodGet, target, "", nil).Header()
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
			t.Errorf("%s: %q", target, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: %q", target, name, h.Get(name))
			}
		}
	}
}

func TestOnLoopbackOnlyNamesOfThisMachineAreTaken(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Address, c.Web.TLS = "127.0.0.1:8080", false })
	for host, want := range map[string]int{
		"127.0.0.1:8080": http.StatusOK, "localhost:9999": http.StatusOK, "[::1]:8080": http.StatusOK,
		"evil.example": http.StatusBadRequest, "127.0.0.1.evil.example:8080": http.StatusBadRequest, "192.0.2.1": http.StatusBadRequest,
	} {
		if w := r.ask(http.MethodGet, loginPath, "", nil, func(q *http.Request) { q.Host = host }); w.Code != want {
			t.Errorf("%s: %d, want %d", host, w.Code, want)
		}
	}
}

func TestWhatIsForProgramsAsksForAPasswordBeyondLoopback(t *testing.T) {
	extra := map[string]http.Handler{}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		extra[path] = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { w.Write([]byte(path)) })
	}
	far := newRig(t, func(c *Config) { c.Extra = extra })
	near := newRig(t, func(c *Config) { c.Extra, c.Address, c.Web.TLS = extra, "127.0.0.1:8080", false })
	local := func(q *http.Request) { q.Host = "localhost" }
	as := func(name, password string) func(*http.Request) {
		return func(q *http.Request) { q.SetBasicAuth(name, password) }
	}
	for _, c := range []struct {
		what string
		w    *httptest.ResponseRecorder
		want int
	}{
		{"metrics without", far.ask("GET", "/metrics", "", nil), 401},
		{"metrics, wrong", far.ask("GET", "/metrics", "", nil, as("reader", "x")), 401},
		{"metrics", far.ask("GET", "/metrics", "", nil, as("reader", readerPassword)), 200},
		{"health", far.ask("GET", "/healthz", "", nil), 200},
		{"ready", far.ask("GET", "/readyz", "", nil), 200},
		{"a form", far.ask("POST", "/metrics", "", url.Values{}, as("reader", readerPassword)), 405},
		{"metrics on loopback", near.ask("GET", "/metrics", "", nil, local), 200},
	} {
		if c.w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.w.Code, c.want)
		}
	}
	// Who has proved himself once is not counted: a collector asks every few seconds.
	for i := range 50 {
		if w := far.ask("GET", "/metrics", "", nil, as("reader", readerPassword)); w.Code != 200 {
			t.Fatalf("the %dth time: %d", i, w.Code)
		}
	}
	far.users.replace(nil)
	if w := far.ask("GET", "/metrics", "", nil, as("reader", readerPassword)); w.Code != 401 {
		t.Errorf("who is no user any more: %d", w.Code)
	}
}

func TestAPageThatPanicsFailsAlone(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	broken := r.site.byPath["/drops"]
	broken.get = func(*request) (any, error) { panic("of a test") }
	if w := r.ask(http.MethodGet, "/drops", cookie, nil); w.Code != http.StatusInternalServerError || !strings.Contains(r.log.String(), "of a test") {
		t.Errorf("%d %s\n%s", w.Code, w.Body, r.log)
	}
	if w := r.ask(http.MethodGet, "/", cookie, nil); w.Code != http.StatusOK || len(r.slots) != 0 {
		t.Errorf("afterwards: %d, %d requests are counted", w.Code, len(r.slots))
	}
}
