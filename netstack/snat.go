package netstack

import (
	"iter"
	"net/netip"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// How the two sides of a connection see each other: what a virtual server, NAT
// or SNAT makes of source and destination (VR19, VR22, VR24). At most one of
// the two is translated.

// sourceNAT is what the source of a flow may look like from outside.
type sourceNAT struct {
	addrs []netip.Addr // to choose from; none: it keeps its own
	first int          // the one to begin with
	none  bool         // there is none, though it must have another
	ports vserver.SourcePort
	whole bool // the address alone is another, as a NAT does it: the port stays
}

// openTowards opens a connection whose answers get a 5-tuple of their own.
func (r *Router) openTowards(p *packet, res vserver.Result, s vserver.Segment, w way) (vserver.Hit, vserver.Verdict, drop.Reason) {
	client := vserver.KeyOf(&p.Packet)
	answer := client.Reversed()
	if res.Inbound {
		answer.Src = res.Listener.NAT.Originating.As4()
	}
	g := r.sourceNATOf(res, w, p.Src)
	if g.none {
		return vserver.Hit{}, vserver.TupleBusy, drop.NoFreePort
	}
	if len(g.addrs) > 0 || res.Inbound {
		if why := g.cannot(p); why != drop.None {
			return vserver.Hit{}, vserver.TupleBusy, why
		}
	}
	if len(g.addrs) == 0 {
		h, v := r.conns.Open(res, client, answer, s, p.in, p.now)
		return h, v, drop.None
	}
	for k := range r.answers(g, client, answer) {
		if !r.conns.Free(k, s, p.now) {
			continue
		}
		if h, v := r.conns.Open(res, client, k, s, p.in, p.now); v != vserver.TupleBusy {
			return h, v, drop.None
		}
	}
	return vserver.Hit{}, vserver.TupleBusy, drop.NoFreePort
}

// cannot says why a packet cannot have another address. Where the port may
// have to change, too, an ICMP message needs an identifier to stand for it.
func (g *sourceNAT) cannot(p *packet) drop.Reason {
	if query, _ := p.ICMPQuery(); p.Proto == frame.ProtoICMP && !query && len(g.addrs) > 0 && !g.whole {
		return drop.ProtocolUnsupported
	}
	return untranslatable(p)
}

// sourceNATOf says how the source of a flow is translated: a server's own way goes
// before a NAT or SNAT that fits (VR19).
func (r *Router) sourceNATOf(res vserver.Result, w way, client frame.Addr) sourceNAT {
	from := res.Listener
	if from.Kind == vserver.KindServer {
		switch s := from.Server; s.SourceTranslation {
		case vserver.Automap:
			return r.automap(w, s.SourcePort)
		case vserver.TranslateSNAT:
			return sourceNAT{addrs: s.Translations, first: firstOf(len(s.Translations), client), ports: s.SourcePort}
		case vserver.TranslateLSN:
			return sourceNAT{}
		}
		if from = res.Source; from == nil {
			return sourceNAT{}
		}
	}
	switch {
	case from.Kind == vserver.KindNAT && !res.Inbound:
		return sourceNAT{addrs: []netip.Addr{from.NAT.Translation}, whole: true}
	case from.Kind == vserver.KindSNAT && from.SNAT.Automap:
		return r.automap(w, from.SNAT.SourcePort)
	case from.Kind == vserver.KindSNAT:
		s := from.SNAT
		return sourceNAT{addrs: s.Translations, first: firstOf(len(s.Translations), client), ports: s.SourcePort}
	}
	return sourceNAT{}
}

// automap is our own address on the way out.
func (r *Router) automap(w way, ports vserver.SourcePort) sourceNAT {
	a, ok := r.addressOn(w.out, w.next)
	if !ok {
		return sourceNAT{none: true} // rather than as it is
	}
	return sourceNAT{addrs: []netip.Addr{a.Netip()}, ports: ports}
}

// firstOf is the address of a pool of n that a client always begins with.
func firstOf(n int, client frame.Addr) int {
	h := uint32(2166136261) // FNV-1a
	for _, b := range client {
		h = (h ^ uint32(b)) * 16777619
	}
	return int(h % uint32(max(n, 1)))
}

// How many ports of an address are tried at random: of the client's first one,
// and of each other. A pool that is exhausted is asked again and again, and must
// not cost more the larger it is.
const (
	portTries      = 128
	otherPortTries = 4
	mostOthers     = 128 // addresses
)

// answers yields the keys that answers could have, the best one first: with the
// client's own port, unless that is to change, and then with others.
func (r *Router) answers(g sourceNAT, client, answer vserver.Key) iter.Seq[vserver.Key] {
	ported := client.Proto == frame.ProtoTCP || client.Proto == frame.ProtoUDP || client.Proto == frame.ProtoICMP
	return func(yield func(vserver.Key) bool) {
		tries := portTries
		for i := range min(len(g.addrs), 1+mostOthers) {
			answer.Dst = g.addrs[(g.first+i)%len(g.addrs)].As4()
			own := g.whole || !ported || g.ports != vserver.ChangePort && r.usable(answer.Dst, client.Proto, client.SrcPort)
			if own && !yield(answer) {
				return
			}
			if g.whole || !ported || g.ports == vserver.PreserveStrict {
				continue
			}
			for range tries {
				port := uint16(1024 + r.random(65536-1024))
				if r.usable(answer.Dst, client.Proto, port) && !yield(withPort(answer, port)) {
					return
				}
			}
			tries = otherPortTries
		}
	}
}

// withPort gives answers another destination port; of an ICMP query the
// identifier stands on both sides.
func withPort(k vserver.Key, port uint16) vserver.Key {
	k.DstPort = port
	if k.Proto == frame.ProtoICMP {
		k.SrcPort = port
	}
	return k
}

// usable reports whether answers may come to a port: IKE to one of our own
// addresses is for ourselves (VR1).
func (r *Router) usable(a frame.Addr, proto uint8, port uint16) bool {
	return proto != frame.ProtoUDP || !ikePort(port) || !r.isLocal(a)
}
