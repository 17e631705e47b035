//go:build !noweb

package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"spigate/configs"
)

func (r *rig) try(name, password, from string) *httptest.ResponseRecorder {
	return r.ask(http.MethodPost, loginPath, "", url.Values{"name": {name}, "password": {password}}, func(q *http.Request) { q.RemoteAddr = from })
}

func TestASessionEndsAfterItsTimeWithoutARequest(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	for range 3 {
		r.clock.move(29 * time.Minute)
		if w := r.ask(http.MethodGet, "/", cookie, nil); w.Code != http.StatusOK {
			t.Fatalf("in use: %d", w.Code)
		}
	}
	r.clock.move(30 * time.Minute)
	if w := r.ask(http.MethodGet, "/", cookie, nil); w.Code != http.StatusSeeOther {
		t.Errorf("after half an hour of nothing: %d", w.Code)
	}
}

func TestASessionEndsAfterTwelveHoursWhateverIsDone(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	for range 12*60/20 - 1 {
		r.clock.move(20 * time.Minute)
		if w := r.ask(http.MethodGet, "/", cookie, nil); w.Code != http.StatusOK {
			t.Fatalf("in use: %d", w.Code)
		}
	}
	r.clock.move(20 * time.Minute)
	if w := r.ask(http.MethodGet, "/", cookie, nil); w.Code != http.StatusSeeOther {
		t.Errorf("after twelve hours: %d", w.Code)
	}
}

func TestLogOutEndsTheSessionAndNobodyElseCan(t *testing.T) {
	r := newRig(t)
	cookie := r.logIn("admin", adminPassword)
	if w := r.ask(http.MethodPost, logoutPath, cookie, url.Values{"token": {"x"}}); w.Code != http.StatusForbidden {
		t.Errorf("without the token: %d", w.Code)
	}
	if w := r.ask(http.MethodPost, logoutPath, cookie, url.Values{"token": {r.token(cookie)}}); w.Code != http.StatusSeeOther {
		t.Errorf("with it: %d", w.Code)
	}
	if w := r.ask(http.MethodGet, "/", cookie, nil); w.Code != http.StatusSeeOther {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func TestSessionsAreBoundedAndTheOldestGoes(t *testing.T) {
	r := newRig(t)
	var cookies []string
	for range maxOfUser + 1 {
		r.clock.move(time.Minute) // attempts are counted, too
		cookies = append(cookies, r.logIn("admin", adminPassword))
	}
	if w := r.ask(http.MethodGet, "/", cookies[0], nil); w.Code != http.StatusSeeOther {
		t.Errorf("the first of %d: %d", len(cookies), w.Code)
	}
	if w := r.ask(http.MethodGet, "/", cookies[1], nil); w.Code != http.StatusOK {
		t.Errorf("the second: %d", w.Code)
	}
	for i := range 2 * maxSessions {
		if _, err := r.site.sessions.begin(account{name: fmt.Sprint("user ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.site.sessions.byID); n > maxSessions {
		t.Errorf("%d sessions, at most %d", n, maxSessions)
	}
}

func TestALogInMakesANewSessionWhateverCookieThereWas(t *testing.T) {
	r := newRig(t)
	planted := r.logIn("reader", readerPassword)
	w := r.ask(http.MethodPost, loginPath, planted, url.Values{"name": {"admin"}, "password": {adminPassword}})
	if w.Code != http.StatusSeeOther || strings.Contains(w.Header().Get("Set-Cookie"), planted) {
		t.Fatalf("%d %q", w.Code, w.Header().Get("Set-Cookie"))
	}
	if w := r.ask(http.MethodGet, "/", planted, nil); w.Code != http.StatusSeeOther {
		t.Errorf("the old one is still good: %d", w.Code)
	}
}

func TestTheLogInLeadsToOurOwnPagesAlone(t *testing.T) {
	r := newRig(t)
	for next, want := range map[string]string{
		"/drops": "/drops", "": "/", "//evil.example": "/", "https://evil.example": "/", "/nothing": "/", "/login": "/", "javascript:x": "/", "fail": "/",
	} {
		r.clock.move(time.Minute)
		w := r.ask(http.MethodPost, loginPath, "", url.Values{"name": {"admin"}, "password": {adminPassword}, "next": {next}})
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
}

func TestAWrongPasswordAndANameThatThereIsNotLookAlike(t *testing.T) {
	r := newRig(t)
	page := func(name, password string) string {
		r.clock.move(time.Minute)
		w := r.try(name, password, "192.0.2.1:4000")
		if w.Code != http.StatusUnauthorized || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d, cookie %q", name, w.Code, w.Header().Get("Set-Cookie"))
		}
		return strings.ReplaceAll(w.Body.String(), name, "NAME")
	}
	wrong := page("admin", "no")
	for _, password := range []string{"", "no", strings.Repeat("x", 100), adminPassword + strings.Repeat("x", 80)} {
		if got := page("nobody", password); got != wrong {
			t.Errorf("the pages differ:\n%s\n%s", wrong, got)
		}
	}
	if strings.Contains(r.log.String(), "no\"") || strings.Contains(r.log.String(), adminPassword) {
		t.Errorf("a password is in the log: %s", r.log)
	}
}

// The hash that is computed for nobody is as expensive as the dearest user's: the
// time is that of the cost in it, which is compared here in place of clocks.
func TestNobodysHashCostsWhatAUsersDoes(t *testing.T) {
	u, err := newUsers(strings.NewReader(strings.Repeat("r", 32)), newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	u.replace([]account{{name: "a", hash: []byte("$2a$10$" + strings.Repeat("a", 53))}, {name: "b", hash: []byte("$2a$12$" + strings.Repeat("b", 53))}})
	if got := string(u.nobody[:7]); got != "$2a$12$" || len(u.nobody) != 60 {
		t.Errorf("nobody's hash is %q", u.nobody)
	}
	u.replace([]account{{name: "c", hash: []byte("$2a$04$" + strings.Repeat("c", 53))}})
	if _, err := u.logIn(netip.MustParsePrefix("192.0.2.1/32"), "x", "y"); err != errWrong {
		t.Errorf("nobody's log-in: %v", err)
	}
}

func TestAttemptsAreCountedForEachAddressAndForAllTogether(t *testing.T) {
	r := newRig(t)
	count := func(from string, tries int) (wrong, often int) {
		for range tries {
			switch w := r.try("admin", "no", from); w.Code {
			case http.StatusUnauthorized:
				wrong++
			case http.StatusTooManyRequests:
				often++
			}
		}
		return wrong, often
	}
	if wrong, often := count("192.0.2.1:4000", 20); wrong != burstOfOne || often != 20-burstOfOne {
		t.Errorf("one address: %d looked at, %d not", wrong, often)
	}
	if w := r.try("admin", adminPassword, "192.0.2.1:4001"); w.Code != http.StatusTooManyRequests {
		t.Errorf("the right password, too soon: %d", w.Code)
	}
	if wrong, _ := count("192.0.2.2:4000", 20); wrong != burstOfAll-burstOfOne {
		t.Errorf("another address: %d looked at, want what is left of all together", wrong)
	}
	if wrong, _ := count("[2001:db8::1]:4000", 1); wrong != 0 {
		t.Errorf("a third address: %d looked at", wrong)
	}
	if w := r.try("admin", adminPassword, "127.0.0.1:4000"); w.Code != http.StatusSeeOther {
		t.Errorf("this machine itself: %d", w.Code)
	}
	r.clock.move(everyOfOne)
	if w := r.try("admin", adminPassword, "192.0.2.1:4000"); w.Code != http.StatusSeeOther {
		t.Errorf("a while later: %d", w.Code)
	}
}

func TestAFloodFromManyAddressesIsRememberedInBoundedMemory(t *testing.T) {
	a := attempts{from: map[netip.Prefix]*bucket{}}
	now, let := newClock().now(), 0
	for i := range 20 * maxSources {
		if a.allow(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), now) {
			let++
		}
	}
	if len(a.from) > maxSources || let != burstOfAll {
		t.Errorf("%d addresses are remembered, %d attempts let through", len(a.from), let)
	}
}

func TestOnlyOneHashIsComputedAtATime(t *testing.T) {
	r := newRig(t)
	r.users.turn <- struct{}{} // somebody else's
	if w := r.try("admin", adminPassword, "192.0.2.1:4000"); w.Code != http.StatusTooManyRequests {
		t.Errorf("meanwhile: %d", w.Code)
	}
	<-r.users.turn
	if w := r.try("admin", adminPassword, "192.0.2.1:4000"); w.Code != http.StatusSeeOther {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func TestAReloadLogsOutWhoHasChangedAndNobodyElse(t *testing.T) {
	r := newRig(t)
	admin, reader := r.logIn("admin", adminPassword), r.logIn("reader", readerPassword)
	both := twoUsers(t)
	same := r.users.byName["reader"]
	both[0].role, both[1] = configs.WebReadOnly, same
	r.users.replace(both)
	r.site.set(configs.Web{SessionTimeout: time.Minute})
	if w := r.ask(http.MethodGet, "/", admin, nil); w.Code != http.StatusSeeOther {
		t.Errorf("whose role is another: %d", w.Code)
	}
	if w := r.ask(http.MethodGet, "/", reader, nil); w.Code != http.StatusOK {
		t.Errorf("who is the same: %d", w.Code)
	}
	r.clock.move(time.Minute)
	if w := r.ask(http.MethodGet, "/", reader, nil); w.Code != http.StatusSeeOther {
		t.Errorf("after the new timeout: %d", w.Code)
	}
	r.SetWeb(configs.Web{})
	if w := r.ask(http.MethodGet, "/", reader, nil); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "spigate web password") {
		t.Errorf("without any user: %d %s", w.Code, w.Body)
	}
}
