package web

import (
	"io"
	"net"
	"sync"

	"spigate/tests/netns"
)

// forwarder takes connections here and makes them again inside a namespace.
type forwarder struct {
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// forward listens on a port of loopback for connections to an address in n.
func forward(n *netns.Namespace, to string) (*forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &forwarder{listener: l, open: map[net.Conn]bool{}}
	f.running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { f.join(n, near, to) })
		}
	})
	return f, nil
}

// Address is where it listens.
func (f *forwarder) Address() string { return f.listener.Addr().String() }

// Close ends all connections.
func (f *forwarder) Close() {
	f.listener.Close()
	f.mu.Lock()
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}

func (f *forwarder) keep(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = true
}

func (f *forwarder) join(n *netns.Namespace, near net.Conn, to string) {
	defer near.Close()
	f.keep(near)
	var far net.Conn
	err := n.Do(func() (err error) {
		far, err = net.Dial("tcp", to)
		return err
	})
	if err != nil {
		return
	}
	defer far.Close()
	f.keep(far)
	var one sync.WaitGroup
	one.Go(func() {
		io.Copy(far, near)
		far.Close()
	})
	io.Copy(near, far)
	near.Close()
	one.Wait()
}
