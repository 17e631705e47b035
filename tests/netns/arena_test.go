package netns

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	webAddress  = "127.0.0.1:8443"
	webPassword = "only the honest know it"
)

// arena is a daemon whose network socket and control socket are attacked.
type arena struct {
	d    *Daemon
	jobs chan func() // run inside the router's namespace

	mu      sync.Mutex
	tallied map[string]int
}

// newArena has the attackers' goroutines inside the router's namespace.
func newArena(t *testing.T, s *Site, d *Daemon) *arena {
	t.Helper()
	a := &arena{d: d, jobs: make(chan func()), tallied: map[string]int{}}
	var inside sync.WaitGroup
	for range 4 {
		inside.Go(func() {
			err := s.Router.Do(func() error {
				for job := range a.jobs {
					job()
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		close(a.jobs)
		inside.Wait()
	})
	return a
}

// tally counts what became of something.
func (a *arena) tally(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tallied[what]++
}

// counts are the tallies so far, from now on none.
func (a *arena) counts() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.tallied
	a.tallied = map[string]int{}
	return out
}

func counted(m map[string]int) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s: %d", k, m[k]))
	}
	return strings.Join(out, ", ")
}

// dial connects to the pages from an address of this machine; "": the usual one.
// The connection ends with the context.
func (a *arena) dial(ctx context.Context, from string) (conn net.Conn, err error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	done := make(chan struct{})
	a.jobs <- func() {
		defer close(done)
		conn, err = dialer.Dial("tcp4", webAddress)
	}
	<-done
	if err == nil {
		context.AfterFunc(ctx, func() { conn.Close() })
	}
	return conn, err
}

// dialTLS is dial with the handshake.
func (a *arena) dialTLS(ctx context.Context, from string) (net.Conn, error) {
	raw, err := a.dial(ctx, from)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// dialControl connects to the control socket.
func (a *arena) dialControl(ctx context.Context) (net.Conn, error) {
	conn, err := net.DialTimeout("unix", a.d.Socket, 5*time.Second)
	if err == nil {
		context.AfterFunc(ctx, func() { conn.Close() })
	}
	return conn, err
}

// exchange sends a request and returns the status of the answer, "cut off" if
// there is none, or "ours" if the attack was over before.
func exchange(ctx context.Context, conn net.Conn, request io.Reader) string {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.Copy(conn, request) // the answer may come before its end
	}()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	status := "cut off"
	if err == nil {
		status = fmt.Sprint(r.StatusCode)
		io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
		r.Body.Close()
	} else if ctx.Err() != nil {
		status = "ours"
	}
	conn.Close()
	<-sent
	return status
}

// once asks over a connection of its own, and tallies the answer.
func (a *arena) once(ctx context.Context, dial func(context.Context) (net.Conn, error), request io.Reader) {
	conn, err := dial(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.tally("cut off")
	default:
		a.tally(exchange(ctx, conn, request))
	}
	if err == nil {
		conn.Close()
	}
}

func (a *arena) overTLS(ctx context.Context) (net.Conn, error) { return a.dialTLS(ctx, "") }

// crowd runs an attacker so many times at once, and waits for all.
func crowd(n int, attacker func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { attacker(i) })
	}
	all.Wait()
}

// head is a request's beginning, as a browser on one of our own pages sends it.
func head(method, path string, more ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: " + webAddress + "\r\nSec-Fetch-Site: same-origin\r\n" + strings.Join(append(more, "\r\n"), "")
}

func loginForm(name, password string) string {
	form := url.Values{"name": {name}, "password": {password}}.Encode()
	return head("POST", "/login", "Content-Type: application/x-www-form-urlencoded\r\n", fmt.Sprintf("Content-Length: %d\r\n", len(form))) + form
}

// logIn is what an honest user does, from an address; it returns the cookie.
func (a *arena) logIn(ctx context.Context, from string) (cookie string, err error) {
	conn, err := a.dialTLS(ctx, from)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, loginForm("honest", webPassword)); err != nil {
		return "", err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	for _, c := range r.Cookies() {
		if r.StatusCode == http.StatusSeeOther && c.Value != "" {
			return c.Name + "=" + c.Value, nil
		}
	}
	return "", errors.New("the log-in is answered with " + r.Status)
}

// rest lets time pass.
func rest(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
}
