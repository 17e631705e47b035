package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"spigate/netstack/frame"
)

// The most memory in bytes that a connection of the router's own may take in
// each direction: pages are small, and nobody is to fill a router's memory with
// them.
const (
	ownBufferLeast = 4 << 10
	ownBuffer      = 32 << 10
	ownBufferMost  = 128 << 10
)

// Bounds of connections of the router's own: ownPatience is how long the other end
// may take nothing, ownBacklog how many wait to be accepted, ownRetries how often
// a segment is sent again, ownLinger how long a closed one waits for the other end.
const (
	ownPatience = 30 * time.Second
	ownBacklog  = 64
	ownRetries  = 6
	ownLinger   = 5 * time.Second
)

// tcpFactory is TCP as a Router has it: with connections of its own, or without
// (tcpClosed).
func tcpFactory(own bool) stack.TransportProtocolFactory {
	if !own {
		return newTCPClosed
	}
	return tcp.NewProtocol
}

// tameTCP bounds what a connection of the router's own takes.
func (r *Router) tameTCP() error {
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: ownBufferLeast, Default: ownBuffer, Max: ownBufferMost}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: ownBufferLeast, Default: ownBuffer, Max: ownBufferMost}
	retries, linger := tcpip.TCPMaxRetriesOption(ownRetries), tcpip.TCPLingerTimeoutOption(ownLinger)
	for _, o := range []tcpip.SettableTransportProtocolOption{&receive, &send, &retries, &linger} {
		if err := tcpipError(r.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o)); err != nil {
			return err
		}
	}
	return nil
}

// Owns reports whether an address is one of an interface of the Chassis: the
// kernel of the machine does not have it.
func (ch *Chassis) Owns(a netip.Addr) bool {
	r, _ := ch.owner4(a)
	return r != nil
}

// owner4 is the Router of an address, that of the lowest traffic domain if
// several have it, and the interface that the address is on.
func (ch *Chassis) owner4(a netip.Addr) (*Router, frame.Interface) {
	if !a.Is4() {
		return nil, 0
	}
	for _, r := range ch.routers {
		for _, n := range r.connected {
			if n.addr == a.As4() {
				return r, n.nic
			}
		}
	}
	return nil, 0
}

// ListenTCP listens at an address of one of the interfaces, for
// who lives behind that interface: an address of the inside is not served to the
// outside. It needs RouterConfig.OwnTCP. Connections are gVisor's: their time is
// the Chassis' clock.
func (ch *Chassis) ListenTCP(at netip.AddrPort) (net.Listener, error) {
	r, nic := ch.owner4(at.Addr())
	if r == nil {
		return nil, fmt.Errorf("%s is no address of this router", at.Addr())
	}
	var queue waiter.Queue
	port, err := r.ownPort(tcpip.FullAddress{NIC: tcpip.NICID(nic), Addr: tcpip.AddrFrom4(at.Addr().As4()), Port: at.Port()}, &queue)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", at, err)
	}
	return &ownListener{gonet.NewTCPListener(r.stack, &queue, port), r, nic}, nil
}

// ownPort is a port that listens, with a patience, which connections inherit: who
// takes nothing of what is left to send, or acknowledges no end, would keep a
// connection that we have closed for ever, and its memory.
func (r *Router) ownPort(at tcpip.FullAddress, queue *waiter.Queue) (tcpip.Endpoint, error) {
	ep, err := r.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, queue)
	if err != nil {
		return nil, tcpipError(err)
	}
	patience := tcpip.TCPUserTimeoutOption(ownPatience)
	if err = ep.SetSockOpt(&patience); err == nil {
		err = ep.Bind(at)
	}
	if err == nil {
		err = ep.Listen(ownBacklog)
	}
	if err != nil {
		ep.Close()
		return nil, tcpipError(err)
	}
	return ep, nil
}

// ownListener accepts who lives behind one interface. The stack takes an address
// of ours from wherever its packets come, even where an endpoint is bound to an
// interface: by then it has forgotten which that was.
type ownListener struct {
	net.Listener
	r   *Router
	nic frame.Interface
}

// Accept implements net.Listener. Of a connection from elsewhere nothing is read.
func (l *ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.welcome(c.RemoteAddr()) {
			return c, err
		}
		_ = c.Close() // nobody is there to be told
	}
}

// welcome reports whether packets to a remote address leave by the interface:
// those that come from there by another one are not believed (see spoofed).
func (l *ownListener) welcome(remote net.Addr) bool {
	a, err := netip.ParseAddrPort(remote.String())
	if err != nil || !a.Addr().Is4() {
		return false
	}
	route, fault := l.r.stack.FindRoute(0, tcpip.Address{}, tcpip.AddrFrom4(a.Addr().As4()), ipv4.ProtocolNumber, false)
	if fault != nil {
		return false
	}
	defer route.Release()
	return route.NICID() == tcpip.NICID(l.nic)
}
