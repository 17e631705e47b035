package netstack

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// ICMP codes of type 3, destination unreachable (RFC 792, RFC 1812).
const (
	codeHost       = 1
	codeProtocol   = 2
	codePort       = 3
	codeTooLong    = 4
	codeProhibited = 13
)

// refuse ends a packet for which there was no session. A subscriber who has
// come to a limit is told so (R20, RFC 6888 REQ-11 B).
func (r *Router) refuse(p *packet, g *lsn.Group, tup lsn.Tuple, why drop.Reason) outcome {
	r.lsn.Refused(g, tup, why, p.now)
	if g == nil || !lsn.Refusing(why) {
		return dropped(why)
	}
	code := uint8(codeHost)
	switch g.OnRefusal {
	case lsn.RefuseProhibited:
		code = codeProhibited
	case lsn.RefuseSilently:
		return dropped(why)
	}
	from, ok := r.addressOn(p.in, p.Src)
	if ok && r.answerable(p) && r.refusals.allow(p.Src, p.now) {
		r.unreachable(code, from, p.Bytes(), mostQuoted)
	}
	return dropped(why)
}

// answerable reports whether an ICMP error may be sent about a packet at all:
// not about an error, a fragment that is not the first, or anything that was
// sent to or from more than one host (RFC 1812 section 4.3.2.7).
func (r *Router) answerable(p *packet) bool {
	_, toAll := r.broadcasts[p.Dst]
	_, fromAll := r.broadcasts[p.Src]
	later := p.Fragment && p.FragmentOffset() != 0
	return !p.group && !later && !toAll && !fromAll && !p.ICMPError() &&
		p.Dst[0] < 224 && p.Src[0] < 224 && p.Src[0] != 0 && p.Src[0] != 127
}

// addressOn returns our address on an interface, the one in the network of a
// neighbour if there are several.
func (r *Router) addressOn(in frame.Interface, to frame.Addr) (a frame.Addr, ok bool) {
	for _, n := range r.connected {
		if n.nic != in {
			continue
		}
		if n.subnet.Contains(to.Netip()) {
			return n.addr, true
		}
		if !ok {
			a, ok = n.addr, true
		}
	}
	return a, ok
}

// An error is no longer than 576 bytes with what it quotes (RFC 1812 section
// 4.3.2.3).
const (
	icmpHeaders = header.IPv4MinimumSize + header.ICMPv4MinimumSize
	mostQuoted  = 576 - icmpHeaders
)

// unreachable sends a destination unreachable about a packet to its source,
// quoting most bytes of it, by the route to there. The stack's own limit of
// ICMP errors holds for it too.
func (r *Router) unreachable(code uint8, from frame.Addr, about []byte, most int) {
	if r.stack.AllowICMPMessage() {
		r.originate(unreachable(code, 0, from, about, most))
	}
}

// unreachable makes the packet. mtu is that of the next hop, for codeTooLong
// (RFC 1191 section 4).
func unreachable(code uint8, mtu uint16, from frame.Addr, about []byte, most int) []byte {
	to := tcpip.AddrFrom4(frame.Addr(about[12:16]))
	about = about[:min(most, len(about))]
	b := make([]byte, icmpHeaders+len(about))
	header.IPv4(b).Encode(&header.IPv4Fields{
		TOS: 0xc0, TotalLength: uint16(len(b)), TTL: 64, Protocol: frame.ProtoICMP, // internetwork control: RFC 1812 section 4.3.2.5
		SrcAddr: tcpip.AddrFrom4(from), DstAddr: to,
	})
	t := b[header.IPv4MinimumSize:]
	t[0], t[1] = uint8(header.ICMPv4DstUnreachable), code
	binary.BigEndian.PutUint16(t[6:], mtu)
	copy(t[header.ICMPv4MinimumSize:], about)
	binary.BigEndian.PutUint16(t[2:], ^checksum.Checksum(t, 0))
	return b
}

// perSubscriber bounds how many refusals a second one subscriber is told of,
// so that one who floods cannot use up what the stack allows for all.
// Subscribers share buckets: what is lost is an ICMP error.
type perSubscriber struct {
	mu      sync.Mutex
	since   int64 // start of the running second, monotonic ns
	buckets [256]uint8
}

const refusalsPerSecond = 5

func (s *perSubscriber) allow(a frame.Addr, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now-s.since >= int64(sweepEvery) {
		s.since, s.buckets = now, [256]uint8{}
	}
	n := &s.buckets[a[3]^a[2]*31^a[1]*17]
	if *n == refusalsPerSecond {
		return false
	}
	*n++
	return true
}
