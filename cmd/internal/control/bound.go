package control

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Bounds of connections. Each costs some 20 kB, whether it asks or not. Some are
// kept for the superuser and the daemon's own user, so that whoever of the group
// holds connections open keeps those two from nothing.
const (
	maxConnections = 96
	keptForOwner   = 16
)

// limited is a listener that refuses connections over the bounds.
type limited struct {
	net.Listener
	refusal []byte
	owns    func(net.Conn) bool

	mu   sync.Mutex
	open int
}

func bound(l net.Listener) *limited {
	text := `{"error":"too many connections at a time","code":"` + CodeBusy + `"}` + "\n"
	return &limited{Listener: l, owns: ownersOwn, refusal: fmt.Appendf(nil,
		"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		http.StatusServiceUnavailable, http.StatusText(http.StatusServiceUnavailable), len(text), text)}
}

// ownersOwn reports whether the superuser or our own user is at the other end.
func ownersOwn(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	cred, ok := credentials(u)
	return ok && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid())
}

// Accept returns the next connection within the bounds.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.enter(l.owns(c)) {
			return &counted{Conn: c, leave: sync.OnceFunc(l.leave)}, nil
		}
		// It fits into the socket's empty buffer: nobody is waited for.
		if c.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			c.Write(l.refusal)
		}
		c.Close()
	}
}

func (l *limited) enter(owner bool) bool {
	limit := maxConnections
	if !owner {
		limit -= keptForOwner
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= limit {
		return false
	}
	l.open++
	return true
}

func (l *limited) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
