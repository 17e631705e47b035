//go:build !noweb

package web

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// stuck is a browser that has stopped reading.
type stuck struct {
	http.ResponseWriter
	writing, on chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	s.writing <- struct{}{}
	<-s.on
	return s.ResponseWriter.Write(b)
}

func TestBrowsersThatHaveStoppedReadingTakeNobodysPlace(t *testing.T) {
	r := newRig(t)
	s := &stuck{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	done := make(chan struct{})
	for range 2 * maxRequests {
		go func() {
			q := httptest.NewRequest(http.MethodGet, "/assets/style.css", nil)
			q.Host = "gw1.example:8443"
			r.ServeHTTP(&stuck{httptest.NewRecorder(), s.writing, s.on}, q)
			done <- struct{}{}
		}()
		<-s.writing
	}
	if w := r.ask(http.MethodGet, loginPath, "", nil); w.Code != http.StatusOK {
		t.Errorf("meanwhile: %d %s", w.Code, w.Body)
	}
	close(s.on)
	for range 2 * maxRequests {
		<-done
	}
}

func TestFormsThatComeSlowlyTakeNobodysPlace(t *testing.T) {
	r := newRig(t)
	done := make(chan int)
	var bodies []*io.PipeWriter
	for range 2 * maxRequests {
		body, end := io.Pipe()
		bodies = append(bodies, end)
		go func() {
			q := httptest.NewRequest(http.MethodPost, loginPath, body)
			q.Host = "gw1.example:8443"
			q.Header.Set("Sec-Fetch-Site", "same-origin")
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			r.ServeHTTP(w, q)
			done <- w.Code
		}()
		if _, err := end.Write([]byte("name=a")); err != nil { // it has been read
			t.Fatal(err)
		}
	}
	if w := r.ask(http.MethodGet, loginPath, "", nil); w.Code != http.StatusOK {
		t.Errorf("meanwhile: %d %s", w.Code, w.Body)
	}
	for _, end := range bodies {
		end.CloseWithError(io.ErrUnexpectedEOF)
	}
	for range bodies {
		if code := <-done; code != http.StatusBadRequest {
			t.Errorf("a form that was cut off: %d", code)
		}
	}
}

func TestWhoeverIsNotLoggedInSendsNothingLarge(t *testing.T) {
	r := newRig(t)
	large := url.Values{"text": {strings.Repeat("x", 2*maxForm)}}
	if w := r.ask(http.MethodPost, "/config", "", large); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("without a session: %d", w.Code)
	}
	if w := r.ask(http.MethodPost, "/config", r.logIn("admin", adminPassword), large); w.Code != http.StatusForbidden {
		t.Errorf("with one, and without its token: %d", w.Code)
	}
}

func TestAFloodOfLogInsDoesNotFillTheLog(t *testing.T) {
	r := newRig(t)
	for range 1000 {
		r.try("admin", "no", "192.0.2.1:4000")
	}
	if n := strings.Count(r.log.String(), "log-in refused"); n != burstOfOne {
		t.Errorf("%d lines, want one for each attempt that was looked at: %d", n, burstOfOne)
	}
}

// Whatever somebody sends who is not logged in: an answer with our headers, no
// session, and nothing done.
func FuzzRequest(f *testing.F) {
	const ours = "Host: gw1.example:8443\r\nSec-Fetch-Site: same-origin\r\n"
	for _, seed := range []string{
		"GET / HTTP/1.1\r\n" + ours + "\r\n",
		"GET /login?next=/drops HTTP/1.1\r\n" + ours + "Cookie: __Host-spigate=" + strings.Repeat("A", 43) + "; a=\"b; c\r\n\r\n",
		"POST /login HTTP/1.1\r\n" + ours + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\nname=admin&password=x&next=%2f",
		"POST /login HTTP/1.1\r\n" + ours + "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na=%zz\r\n0\r\n\r\n",
		"POST /config HTTP/1.1\r\n" + ours + "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 999999999\r\n\r\n--x\r\n",
		"GET /..;/config HTTP/1.1\r\n" + ours + "\r\n", "GET /%2e%2e/config HTTP/1.1\r\n" + ours + "\r\n", "GET //config HTTP/1.1\r\n" + ours + "\r\n",
		"GET /config%00 HTTP/1.1\r\n" + ours + "\r\n", "GET http://gw1.example:8443/config HTTP/1.1\r\n" + ours + "\r\n",
		"CONNECT gw1.example:8443 HTTP/1.1\r\n" + ours + "\r\n", "OPTIONS * HTTP/1.1\r\n" + ours + "\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]:\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET /assets/../login.go HTTP/1.1\r\n" + ours + "\r\n",
		"GET /overview/events?a;b=%&&== HTTP/1.1\r\n" + ours + "\r\n",
	} {
		f.Add([]byte(seed))
	}
	r := newRig(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return // net/http refuses it
		}
		q.RemoteAddr = "192.0.2.1:4000"
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		if w.Code < 200 || w.Code > 599 || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%d, %v", w.Code, w.Header())
		}
		if w.Header().Get("Set-Cookie") != "" && q.URL.Path != logoutPath {
			t.Errorf("a session: %v", w.Header())
		}
		if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
			t.Errorf("sent to %q", to)
		}
		if did := r.house.doings(); len(did) > 0 {
			t.Errorf("did %v", did)
		}
	})
}
