package ipsec

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Flow is what selectors look at: the addresses and ports of a packet after
// every rewriting outbound, and before any inbound (VR25).
type Flow struct {
	Src, Dst         frame.Addr
	SrcPort, DstPort uint16 // host byte order; they count only with Ports
	Proto            uint8
	Ports            bool // the ports are known: TCP and UDP, but not in later fragments
}

// FlowOf is the flow of a packet as it stands. A fragment that is not the first
// has no ports: it matches no selector that names one. Whoever knows its
// datagram fills them in (Q19).
func FlowOf(p *frame.Packet) Flow {
	f := Flow{Src: p.Src, Dst: p.Dst, Proto: p.Proto}
	if hasPorts(p.Proto) && (!p.Fragment || p.SrcPort != 0 || p.DstPort != 0) {
		f.SrcPort, f.DstPort, f.Ports = p.SrcPort, p.DstPort, true
	}
	return f
}

// QuotedFlow is the flow of the packet that an ICMP error is about. An error
// belongs to the SA of the flow it reports on, whoever sent it (RFC 4301
// section 6, Q16): outbound look up its Reversed, if the error's own flow finds
// no selector. ok is false for everything but an ICMP error with a good quote.
func QuotedFlow(p *frame.Packet) (f Flow, ok bool) {
	if !p.ICMPError() {
		return f, false
	}
	q, why := p.Quote()
	if why != drop.None {
		return f, false
	}
	f = Flow{Src: q.Src, Dst: q.Dst, Proto: q.Proto}
	if hasPorts(q.Proto) {
		f.SrcPort, f.DstPort, f.Ports = q.SrcPort, q.DstPort, true
	}
	return f, true
}

// QuotedHosts is QuotedFlow for whoever must not miss a quote: also of one too
// short or too odd to show ports, or of a later fragment. known is false if
// there should be ports and are none.
func QuotedHosts(p *frame.Packet) (f Flow, known, ok bool) {
	if f, ok = QuotedFlow(p); ok || !p.ICMPError() {
		return f, true, ok
	}
	t := p.Transport()
	if len(t) < header.ICMPv4MinimumSize+header.IPv4MinimumSize {
		return f, false, false
	}
	q := t[header.ICMPv4MinimumSize:]
	f = Flow{Src: frame.Addr(q[12:16]), Dst: frame.Addr(q[16:20]), Proto: q[9]}
	return f, !hasPorts(f.Proto), q[0]>>4 == 4
}

func hasPorts(proto uint8) bool { return proto == frame.ProtoTCP || proto == frame.ProtoUDP }

// Reversed is the flow of an answer.
func (f Flow) Reversed() Flow {
	f.Src, f.Dst, f.SrcPort, f.DstPort = f.Dst, f.Src, f.DstPort, f.SrcPort
	return f
}

// String is for logs: PROTO SRC DST, with ports where they are known.
func (f Flow) String() string {
	if !f.Ports {
		return fmt.Sprintf("%d %v %v", f.Proto, f.Src, f.Dst)
	}
	return fmt.Sprintf("%d %v %v", f.Proto, frame.Endpoint{Addr: f.Src, Port: f.SrcPort}, frame.Endpoint{Addr: f.Dst, Port: f.DstPort})
}

// Range is one side of a Pair: addresses and ports, ends included. Ports 0 to
// 65535 are any, and then packets without ports match, too.
type Range struct {
	First, Last         frame.Addr
	FirstPort, LastPort uint16
}

// Pair is what an SA may carry: packets between two ranges, of one protocol or
// of any (0). It is written as IKE negotiates it (RFC 7296 section 3.13) and
// seen from here: outbound packets go from Local to Remote.
type Pair struct {
	Local, Remote Range
	Proto         uint8
}

func number(a frame.Addr) uint32 { return binary.BigEndian.Uint32(a[:]) }

func (r *Range) anyPort() bool { return r.FirstPort == 0 && r.LastPort == 0xffff }

func (r *Range) hasAddr(a frame.Addr) bool {
	n := number(a)
	return number(r.First) <= n && n <= number(r.Last)
}

func (r *Range) hasPort(port uint16, known bool) bool {
	return r.anyPort() || known && r.FirstPort <= port && port <= r.LastPort
}

// Covers reports whether an outbound packet of this flow may use the pair.
func (p *Pair) Covers(f Flow) bool {
	return p.coversHosts(f) && p.Local.hasPort(f.SrcPort, f.Ports) && p.Remote.hasPort(f.DstPort, f.Ports)
}

func (p *Pair) coversHosts(f Flow) bool {
	return (p.Proto == 0 || p.Proto == f.Proto) && p.Local.hasAddr(f.Src) && p.Remote.hasAddr(f.Dst)
}

func (r *Range) within(o *Range) bool {
	return number(o.First) <= number(r.First) && number(r.Last) <= number(o.Last) &&
		o.FirstPort <= r.FirstPort && r.LastPort <= o.LastPort
}

func (r *Range) meets(o *Range) bool {
	return number(o.First) <= number(r.Last) && number(r.First) <= number(o.Last) &&
		o.FirstPort <= r.LastPort && r.FirstPort <= o.LastPort
}

// within reports whether all that p covers is covered by o.
func (p *Pair) within(o *Pair) bool {
	return (o.Proto == 0 || o.Proto == p.Proto) && p.Local.within(&o.Local) && p.Remote.within(&o.Remote)
}

// meets reports whether some flow is covered by both.
func (p *Pair) meets(o *Pair) bool {
	return (p.Proto == 0 || o.Proto == 0 || p.Proto == o.Proto) && p.Local.meets(&o.Local) && p.Remote.meets(&o.Remote)
}

// rangeOf is a prefix with one port, 0 for any.
func rangeOf(p netip.Prefix, port uint16) Range {
	first := p.Masked().Addr().As4()
	host := uint32(uint64(1)<<(32-p.Bits()) - 1)
	r := Range{First: first, FirstPort: port, LastPort: port}
	binary.BigEndian.PutUint32(r.Last[:], number(first)|host)
	if port == 0 {
		r.LastPort = 0xffff
	}
	return r
}
