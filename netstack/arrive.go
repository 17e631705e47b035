package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// The steps that look at a packet before any translation.

// cast keeps out what was sent to more than one host, but for the broadcasts
// of the network that it came from. A packet to one host in a frame for all
// would be forwarded once by each router there (RFC 1812 section 5.3.4); one
// to the broadcast address of another network is an amplifier (RFC 2644).
func (r *Router) cast(p *packet) outcome {
	home, toAll := r.broadcasts[p.Dst]
	switch {
	case p.Dst[0] >= 224: // multicast and 255.255.255.255: the stack forwards neither
		return goOn
	case toAll && home != p.in, !toAll && p.group, p.Dst[0] == 0:
		return dropped(drop.Broadcast)
	}
	return goOn
}

// shape keeps out what cannot be translated on its way in. Parsing itself has
// been done by hook; a packet that gVisor would deliver to us may still be odd.
func (r *Router) shape(p *packet) outcome {
	if why := torn(p); why != drop.None && (r.isLocal(p.Dst) || r.toMany(p)) {
		return fate(why)
	}
	if !r.lsn.Owns(p.Dst) {
		return goOn
	}
	return fate(untranslatable(p))
}

// torn refuses a first piece that ends inside its TCP header: nobody cuts so
// but to hide the rest of it (RFC 1858 section 3). What is translated never gets
// past frag with one. For ourselves, as one of many too, the stack would put the
// header together, and then read the datagram's IP options where the first piece's
// memory was (deliverPacketLocally keeps its header over parseTransport): by then
// another packet may have it.
func torn(p *packet) drop.Reason {
	if p.Proto != frame.ProtoTCP || !p.Fragment || p.FragmentOffset() != 0 {
		return drop.None
	}
	first := p.Packet
	return first.OpenFirst()
}

// untranslatable says why p can be translated in neither direction.
func untranslatable(p *packet) drop.Reason {
	switch {
	case p.Proto == frame.ProtoAH:
		return drop.AH // R36: AH covers the addresses
	case holdsRoute(p.Bytes()[header.IPv4MinimumSize:p.HeaderLength()]):
		return drop.IPOptions
	}
	return drop.None
}

// holdsRoute reports whether IP options record or dictate the packet's way, in
// addresses that mean nothing on the other side and tell it what lies here. Of
// options that are malformed the stack tells the sender.
func holdsRoute(options []byte) bool {
	for len(options) > 0 {
		switch options[0] {
		case 7, 68, 131, 137: // record route, timestamp, loose and strict source route
			return true
		case 0: // end of list
			return false
		case 1: // no operation
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return false
		}
		options = options[options[1]:]
	}
	return false
}

// spoofed drops what claims to come from an address of ours, NAT addresses
// included: only we send from those, and to the other side. And it drops what claims to come from a
// subscriber who lives elsewhere (RFC 3704): an outsider could pass the guard
// that way, and make mappings in a subscriber's name.
func (r *Router) spoofed(p *packet) outcome {
	if r.lsn.Owns(p.Src) || r.isLocal(p.Src) || r.owns(p.Src) {
		return dropped(drop.NATAddressSpoofed)
	}
	if _, from := r.lsn.Client(p.Src); from && r.home(p.Src) != p.in {
		return dropped(drop.ClientSpoofed)
	}
	return goOn
}

// expiring hands a packet that would leave with TTL 0 to the stack before it
// is translated, so that the stack answers it with time exceeded and quotes
// what the sender sent. The stack only looks for TTL 0 on arrival, hence the
// rewrite.
func (r *Router) expiring(p *packet) outcome {
	if p.TTL() > 1 || r.isLocal(p.Dst) {
		return goOn
	}
	if why := r.unwelcome(p); why != drop.None {
		return dropped(why)
	}
	p.SetTTL(0)
	return accept
}

// expire is expiring for a packet that came to an address of ours and goes on to
// somebody else. The stack answers it as it stands, which icmpSelf puts right.
func (p *packet) expire() {
	if p.TTL() <= 1 {
		p.SetTTL(0)
	}
}

// guard keeps outsiders away from the inside addresses of subscribers, who
// are reached through their NAT addresses only, but by what is exempt (R13).
// Our own address among them is for everybody on that network.
func (r *Router) guard(p *packet) outcome {
	if _, to := r.lsn.Client(p.Dst); !to || r.isLocal(p.Dst) && r.home(p.Dst) == p.in {
		return goOn
	}
	if _, from := r.lsn.Client(p.Src); from || r.exemptIn(p) {
		return goOn
	}
	return dropped(drop.ClientNotReachable)
}
