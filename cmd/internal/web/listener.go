package web

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds of connections. What is over them is closed at once: whoever keeps
// connections open without asking anything takes nobody else's. Some are left
// for this machine itself, so that an operator on it always gets in.
const (
	maxConnections = 64
	maxOfCustomer  = 16
	keptForUs      = 8
)

// limited is a listener that closes connections over the bounds.
type limited struct {
	net.Listener

	mu    sync.Mutex
	all   int
	from  map[netip.Prefix]int
	limit int // without those that are kept for loopback
}

func limitConnections(l net.Listener) net.Listener {
	return &limited{Listener: l, from: map[netip.Prefix]int{}, limit: maxConnections - keptForUs}
}

// Accept returns the next connection within the bounds.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, ok := l.enter(c.RemoteAddr())
		if ok {
			return &counted{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		c.Close()
	}
}

func (l *limited) enter(remote net.Addr) (netip.Prefix, bool) {
	var from netip.Prefix
	limit, most := l.limit, maxOfCustomer
	if a, err := netip.ParseAddrPort(remote.String()); err == nil {
		from = customer(a.Addr())
		if a.Addr().Unmap().IsLoopback() {
			limit, most = maxConnections, maxConnections
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= limit || l.from[from] >= most {
		return from, false
	}
	l.all++
	l.from[from]++
	return from, true
}

func (l *limited) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.from[from]--; l.from[from] == 0 {
		delete(l.from, from)
	}
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
