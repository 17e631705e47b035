package netstack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	ikev2 "spigate/netstack/ipsec/ike"
)

// portIKE is where IKE begins (RFC 7296 section 2).
const portIKE = 500

// sockets are IKE's: UDP endpoints of the stack at both ports of each end of a
// tunnel. They are read without waiting, by whoever negotiates.
type sockets struct {
	heard atomic.Bool // some socket has something to read

	mu     sync.Mutex
	of     map[netip.AddrPort]*socket
	buffer []byte
}

type socket struct {
	local netip.AddrPort
	ep    tcpip.Endpoint
	queue waiter.Queue
}

const (
	maxDatagram = 65535
	ikeBuffer   = 1 << 20 // bytes that wait for the negotiator, of a socket
	maxReads    = 256     // datagrams of a socket in a turn
)

func (s *sockets) at(a netip.AddrPort) *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[a]
}

func (s *sockets) all() (out []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := range s.of {
		out = append(out, a)
	}
	return out
}

// open listens at an address of the Router.
func (s *sockets) open(r *Router, at netip.AddrPort) error {
	k := &socket{local: at}
	ep, err := r.stack.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, &k.queue)
	if err != nil {
		return tcpipError(err)
	}
	k.ep = ep
	ep.SocketOptions().SetReceiveBufferSize(ikeBuffer, true)
	ep.SocketOptions().SetReceiveTOS(true)
	if err := ep.Bind(tcpip.FullAddress{Addr: tcpip.AddrFrom4(at.Addr().As4()), Port: at.Port()}); err != nil {
		ep.Close()
		return tcpipError(err)
	}
	entry := waiter.NewFunctionEntry(waiter.ReadableEvents, func(waiter.EventMask) {
		s.heard.Store(true)
		r.negotiator.rouse()
	})
	k.queue.EventRegister(&entry)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[at] = k
	return nil
}

func (s *sockets) drop(at netip.AddrPort) {
	s.mu.Lock()
	k := s.of[at]
	delete(s.of, at)
	s.mu.Unlock()
	if k != nil {
		k.ep.Close()
	}
}

func (s *sockets) close() {
	for _, at := range s.all() {
		s.drop(at)
	}
}

// read hands what has come to IKE, and ESP to the ciphers.
func (s *sockets) read(r *Router) {
	if !s.heard.Swap(false) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buffer == nil {
		s.buffer = make([]byte, maxDatagram)
	}
	for _, k := range s.of {
		for range maxReads {
			if !k.read(r, s.buffer) {
				break
			}
		}
		if k.ep.Readiness(waiter.ReadableEvents) != 0 {
			s.heard.Store(true)
		}
	}
}

// read takes one datagram and reports whether there was one, or an error in its
// place.
func (k *socket) read(r *Router, buffer []byte) bool {
	w := tcpip.SliceWriter(buffer)
	res, err := k.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
	if _, none := err.(*tcpip.ErrWouldBlock); none {
		return false
	}
	if err != nil || res.RemoteAddr.Addr.Len() != 4 {
		return true // an ICMP error about what we have sent: IKE asks again by itself
	}
	b := buffer[:res.Count]
	from := netip.AddrPortFrom(netip.AddrFrom4(res.RemoteAddr.Addr.As4()), res.RemoteAddr.Port)
	if k.local.Port() != tunnels.PortNATT {
		r.keyer.Datagram(k.local, from, b, false)
		return true
	}
	switch tunnels.ClassifyUDP(b) {
	case tunnels.UDPIKE:
		r.keyer.Datagram(k.local, from, b[len(tunnels.NonESPMarker):], true)
	case tunnels.UDPESP: // it came in pieces: whole it would not have come so far
		r.openLater(k.rebuild(b, from, res.ControlMessages.TOS), frame.Interface(res.RemoteAddr.NIC), 0, r.now())
	}
	return true
}

// rebuild makes an IPv4 packet of a datagram again, as much of it as opening
// looks at.
func (k *socket) rebuild(b []byte, from netip.AddrPort, tos uint8) []byte {
	p := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize+len(b))
	header.IPv4(p).Encode(&header.IPv4Fields{
		TOS: tos, TotalLength: uint16(len(p)), TTL: 1, Protocol: frame.ProtoUDP,
		SrcAddr: tcpip.AddrFrom4(from.Addr().As4()), DstAddr: tcpip.AddrFrom4(k.local.Addr().As4()),
	})
	u := p[header.IPv4MinimumSize:]
	binary.BigEndian.PutUint16(u, from.Port())
	binary.BigEndian.PutUint16(u[2:], k.local.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	copy(u[header.UDPMinimumSize:], b)
	return p
}

// send sends what IKE says. A failure is like a loss on the way: IKE asks again.
func (k *socket) send(d ikev2.Datagram) {
	b := d.Bytes
	if d.Marker {
		b = append([]byte(tunnels.NonESPMarker), b...)
	}
	_, _ = k.ep.Write(bytes.NewReader(b), tcpip.WriteOptions{To: &tcpip.FullAddress{
		Addr: tcpip.AddrFrom4(d.Remote.Addr().As4()), Port: d.Remote.Port(),
	}})
}
