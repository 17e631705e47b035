//go:build !noweb

package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
)

func TestEveryPageShowsWhatTheRouterHas(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	for target, want := range map[string][]string{
		"/":                        {"port down: wan", "<b>203</b>", "150 subscribers", "esp no gate in"},
		"/virtual":                 {"ipsec-2", "36.1K", "10.2.1.0:any", "NAT-1", "automap", "Maximum"},
		"/pools":                   {"LSN-POOL-1", "203.0.113.3-203.0.113.9", "90.0 %", "LSN-GROUP-1"},
		"/subscribers":             {"100 of 150 subscribers", "203.0.113.3"},
		"/ipsec":                   {"c3a1b2d4", "192.0.2.111", "confirmed", "established", "00001000"},
		"/flows":                   {"192.0.2.10:2", "203.0.113.3:6234", "inside → external"},
		"/drops":                   {"No gate is open &lt;for it&gt;.", "Look at the gates.", "1\u202f234\u202f567", "AH cannot pass a NAT.", "spi deadbeef"},
		"/explain":                 {"inside", "external"},
		"/ports":                   {"sw0", "another program is attached", "192.0.2.1/24"},
		"/config":                  {"psk = &lt;secret&gt;", "&lt;b&gt;first&lt;/b&gt;", `href="/config?against=1"`},
		"/config?against=1":        {`class="plus"`, "x = 2"},
		"/ipsec?source_ip=1.2.3.4": {"There is no ESP session."},
	} {
		text := r.page(cookie, target)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q", target, w)
			}
		}
	}
}

func TestNoPageHasAScriptOrAStyleInIt(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	inline := regexp.MustCompile(`<style|<script[^>]*>[^<]|\sstyle=|\son[a-z]+=|javascript:|https?://`)
	for _, page := range r.site.pages() {
		text := r.page(cookie, page.path)
		if at := inline.FindString(text); at != "" {
			t.Errorf("%s has %q", page.path, at)
		}
		if strings.Contains(text, "ZgotmplZ") {
			t.Errorf("%s: the template put something where it may not stand", page.path)
		}
	}
}

func TestWhatABrowserLoadsIsSmall(t *testing.T) {
	r := newRig(t)
	r.house.flows = 1000
	for i := range 40 {
		r.house.virtual = append(r.house.virtual, control.LTMVirtual{Name: fmt.Sprint("virtual-", i)})
	}
	for range maxSamples {
		r.clock.move(sampleEvery)
		r.house.hits += 123456
		r.site.sample()
	}
	cookie := r.logIn("admin", adminPassword)
	assets := 0
	for _, name := range []string{"style.css", "live.js", "icon.svg"} {
		assets += len(r.ask(http.MethodGet, "/assets/"+name, "", nil).Body.String())
	}
	if assets > 25_000 {
		t.Errorf("style, script and icon have %d bytes", assets)
	}
	for _, page := range r.site.pages() {
		n := len(r.page(cookie, page.path)) + assets
		t.Logf("%-14s %6d bytes", page.path, n)
		if n > 100_000 {
			t.Errorf("%s: a browser loads %d bytes, at most 100000", page.path, n)
		}
	}
}

func TestFlowsArePagedAndKeepTheirFilter(t *testing.T) {
	r := newRig(t)
	r.house.flows = 250
	cookie := r.logIn("reader", readerPassword)
	next := regexp.MustCompile(`href="(\?[^"]+)">more`)
	seen, target := 0, "/flows?source_ip=192.0.2.10"
	for target != "" {
		text := r.page(cookie, target)
		seen += strings.Count(text, "inside → external")
		m := next.FindStringSubmatch(text)
		target = ""
		if m != nil {
			target = "/flows" + strings.ReplaceAll(m[1], "&amp;", "&")
			if !strings.Contains(target, "source_ip=192.0.2.10") {
				t.Errorf("the next page forgets the filter: %s", target)
			}
		}
	}
	if seen != 250 {
		t.Errorf("%d flows were shown, want 250", seen)
	}
}

func TestExplainAsksWhatTheFormSays(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("reader", readerPassword)
	q := url.Values{"in": {"inside"}, "protocol": {"tcp"}, "source": {"192.0.2.10"}, "source_port": {"4000"}, "destination": {"10.1.1.1"}, "destination_port": {"80"}, "flags": {"syn"}}
	text := r.page(cookie, "/explain?"+q.Encode())
	for _, want := range []string{"no_listener", "f.toml:12 [ltm.virtual.ipsec-2]", "Add a virtual server.",
		"spigate explain --in inside --frame tcp,192.0.2.10:4000,10.1.1.1:80 --flags=syn"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	for field, bad := range map[string]string{"source": "x", "source_port": "99999", "flags": "sin", "in": "nowhere", "protocol": "other"} {
		wrong := url.Values{}
		for k, v := range q {
			wrong[k] = v
		}
		wrong.Set(field, bad)
		text := r.page(cookie, "/explain?"+wrong.Encode())
		if !strings.Contains(text, `class="notice bad"`) || strings.Contains(text, "no_listener") {
			t.Errorf("%s = %q is taken", field, bad)
		}
	}
}

func TestAdminsFlushAndClear(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	token := r.token(cookie)
	do := func(path string, pairs ...string) *httptest.ResponseRecorder {
		form := url.Values{"token": {token}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return r.ask(http.MethodPost, path, cookie, form)
	}
	do("/ipsec", "action", "flush", "source_ip", "192.0.2.10")
	if text := r.page(cookie, "/ipsec"); !strings.Contains(text, "192.0.2.10: 2 ESP sessions") {
		t.Errorf("the next page does not say what was done:\n%s", text)
	}
	if text := r.page(cookie, "/ipsec"); strings.Contains(text, "192.0.2.10: 2 ESP sessions") {
		t.Error("the page after that says it again")
	}
	do("/ipsec", "action", "clear")
	do("/subscribers", "action", "flush", "source_ip", "192.0.2.10", "td", "0")
	do("/pools", "action", "clear")
	if w := do("/ipsec", "action", "flush"); w.Code != http.StatusBadRequest {
		t.Errorf("a flush of nobody in particular: %d", w.Code)
	}
	if w := do("/subscribers", "action", "flush", "source_ip", "*"); w.Code != http.StatusBadRequest {
		t.Errorf("a flush of everybody: %d", w.Code)
	}
	if w := do("/ipsec", "action", "burn"); w.Code != http.StatusBadRequest {
		t.Errorf("an action that there is not: %d", w.Code)
	}
	want := "flush ipsec source_ip=192.0.2.10, clear ipsec, flush lsn source_ip=192.0.2.10&td=0, clear lsn"
	if got := strings.Join(r.house.doings(), ", "); got != want {
		t.Errorf("did %s\nwant %s", got, want)
	}
	if log := r.log.String(); strings.Count(log, `msg="web: operator" user=admin`) != 4 {
		t.Errorf("the log:\n%s", log)
	}
}

func TestThePlotIsOfTheLastHourAndHasGapsWhereCountersBeganAnew(t *testing.T) {
	r := newRig(t)
	for i := range 2 * maxSamples {
		r.house.hits += 1000
		if i == 2*maxSamples-10 {
			r.house.hits = 0
		}
		r.site.sample()
		r.clock.move(sampleEvery)
	}
	all := r.site.samples.all()
	if len(all) != maxSamples || all[len(all)-1].at.Sub(all[0].at) != sampleSpan {
		t.Fatalf("%d samples over %s", len(all), all[len(all)-1].at.Sub(all[0].at))
	}
	got := rates(all, func(s *sample) uint64 { return s.fast })
	gaps := 0
	for _, v := range got {
		if math.IsNaN(v) {
			gaps++
		} else if v != 100 {
			t.Fatalf("%v packets/s, want 100", v)
		}
	}
	if gaps != 1 {
		t.Errorf("%d gaps, want 1", gaps)
	}
	p := r.site.plots()[0]
	if p.Top != "100" || p.Lines[0].Now != "100" || !strings.HasPrefix(p.Lines[0].Path, "M2.0 0.0L4.0 0.0") || !strings.HasSuffix(p.Lines[0].Path, "L720.0 0.0") {
		t.Errorf("%+v", p)
	}
}

func TestNumbersAreWrittenAsBIGIPWritesThem(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.4: "0.4", 9.94: "9.9", 42: "42", 999: "999", 1000: "1K", 36096: "36.1K", 999499: "999K", 999500: "1M", 1.5e9: "1.5G", 2e18: "2000P"} {
		if got := short(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestAStreamSendsThePageAnewWhenItChanges(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("reader", readerPassword)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		q := httptest.NewRequestWithContext(ctx, http.MethodGet, "/ipsec/live", nil)
		q.Host = "gw1"
		q.AddCookie(&http.Cookie{Name: r.site.cookieName(), Value: cookie})
		r.ServeHTTP(&flusher{header: http.Header{}, w: out}, q)
	}()
	event := func() string {
		var b strings.Builder
		one := make([]byte, 1)
		for !strings.HasSuffix(b.String(), "\n\n") {
			if _, err := in.Read(one); err != nil {
				t.Fatal(err)
			}
			b.Write(one)
		}
		return b.String()
	}
	if got := event(); got != "retry: 3000\n\n" {
		t.Errorf("begins with %q", got)
	}
	if got := event(); !strings.Contains(got, "192.0.2.111") || strings.Contains(got, "<html") {
		t.Errorf("the gate is not there: %s", got)
	}
	r.house.mu.Lock()
	r.house.gates = nil
	r.house.mu.Unlock()
	if got := event(); !strings.Contains(got, "No gate is open") {
		t.Errorf("the gate is still there: %s", got)
	}
	r.users.replace(nil) // nobody may look any more
	<-ended
	if len(r.site.open) != 0 {
		t.Error("the stream is still counted")
	}
}

// flusher is a connection that takes streams.
type flusher struct {
	header http.Header
	w      *io.PipeWriter
}

func (f *flusher) Header() http.Header              { return f.header }
func (f *flusher) WriteHeader(int)                  {}
func (f *flusher) Write(b []byte) (int, error)      { return f.w.Write(b) }
func (f *flusher) Flush()                           {}
func (f *flusher) SetWriteDeadline(time.Time) error { return nil }
func (f *flusher) SetReadDeadline(time.Time) error  { return nil }

func TestStreamsAreBounded(t *testing.T) {
	r := newRig(t)
	mine := &session{}
	for range maxStreamsOfOne {
		if _, ok := r.site.enterStream(mine); !ok {
			t.Fatal("too few")
		}
	}
	if _, ok := r.site.enterStream(mine); ok {
		t.Errorf("more than %d of one session", maxStreamsOfOne)
	}
	var last func()
	for range maxStreams - maxStreamsOfOne {
		leave, ok := r.site.enterStream(&session{})
		if !ok {
			t.Fatal("too few")
		}
		last = leave
	}
	if _, ok := r.site.enterStream(&session{}); ok {
		t.Errorf("more than %d in all", maxStreams)
	}
	last()
	if _, ok := r.site.enterStream(&session{}); !ok {
		t.Error("a place that is free again is not given")
	}
	cookie := r.logIn("admin", adminPassword)
	if w := r.ask(http.MethodGet, "/ipsec/live", cookie, nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", w.Code)
	}
}

func TestABackendThatFailsIsAnErrorAndNoHalfPage(t *testing.T) {
	for err, want := range map[error]int{
		errors.New("flash is broken"):                                  http.StatusInternalServerError,
		&control.Error{Message: "busy", Code: control.CodeBusy}:        http.StatusServiceUnavailable,
		control.NotFound("slot", "x"):                                  http.StatusNotFound,
		&control.Error{Message: "<odd>", Code: control.CodeBadRequest}: http.StatusBadRequest,
	} {
		r := newRig(t)
		cookie := r.logIn("admin", adminPassword)
		w := httptest.NewRecorder()
		q := httptest.NewRequest(http.MethodGet, "/config", nil)
		r.site.failed(w, &request{Request: q, session: r.site.sessions.find(cookie, true), backend: r.house}, err)
		if w.Code != want || !strings.Contains(w.Body.String(), "notice bad") || strings.Contains(w.Body.String(), "<odd>") {
			t.Errorf("%v: %d\n%s", err, w.Code, w.Body)
		}
	}
}
