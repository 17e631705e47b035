package link

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

var broadcast = frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// proxySet is a set of IPv4 addresses: ranges in ascending order that do not
// touch each other, so that a big pool costs little.
type proxySet []span

type span struct{ first, last uint32 }

func newProxySet(prefixes []netip.Prefix) *proxySet {
	var all []span
	for _, p := range prefixes {
		if !p.IsValid() || !p.Addr().Is4() {
			continue
		}
		a := p.Masked().Addr().As4()
		first := binary.BigEndian.Uint32(a[:])
		all = append(all, span{first, first | uint32(uint64(1)<<(32-p.Bits())-1)})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].first < all[j].first })
	set := make(proxySet, 0, len(all))
	for _, s := range all {
		if n := len(set); n > 0 && uint64(s.first) <= uint64(set[n-1].last)+1 {
			set[n-1].last = max(set[n-1].last, s.last)
			continue
		}
		set = append(set, s)
	}
	return &set
}

func (s *proxySet) has(a frame.Addr) bool {
	_, ok := slices.BinarySearchFunc(*s, binary.BigEndian.Uint32(a[:]), func(r span, n uint32) int {
		switch {
		case r.last < n:
			return -1
		case r.first > n:
			return 1
		}
		return 0
	})
	return ok
}

// arp answers a request for a proxied address and gives every other sound ARP
// message to the stack. An answered one goes no further: what it says about
// its sender is nothing that the stack asked for.
func (p *Port) arp(i *Interface, f *frame.Frame, now int64) {
	h := header.ARP(f.Payload())
	answered, why := p.judgeARP(i, h)
	if why != drop.None {
		p.fabric.drops.CountOf(dropped(f, why, now))
		return
	}
	if answered {
		target := frame.Addr(h.ProtocolAddressTarget())
		i.sendARP(header.ARPReply, target, frame.MAC(h.HardwareAddressSender()), frame.Addr(h.ProtocolAddressSender()))
		return
	}
	i.deliver(f, now)
}

// sound reports whether h is a request or a reply about IPv4 over Ethernet
// whose sender can be a station other than ourselves.
func (p *Port) sound(h header.ARP) bool {
	if !h.IsValid() || h.Op() != header.ARPRequest && h.Op() != header.ARPReply {
		return false
	}
	mac := frame.MAC(h.HardwareAddressSender())
	return mac != frame.MAC{} && !mac.IsGroup() && mac != p.mac
}

// Announce tells the neighbours by a gratuitous ARP request that a is here
// (RFC 5227 section 2.3), for example after a switch-over.
func (i *Interface) Announce(a frame.Addr) {
	i.sendARP(header.ARPRequest, a, frame.MAC{}, a)
}

// sendARP sends a message that says that addr is at the port's MAC address.
// Without a target MAC it goes to everybody.
func (i *Interface) sendARP(op header.ARPOp, addr frame.Addr, to frame.MAC, target frame.Addr) {
	o := outgoings.Get().(*outgoing)
	defer outgoings.Put(o)
	o.mem, o.mark = append(o.mem[:0], make([]byte, frame.TagLen+frame.HeaderLen+header.ARPSize)...), 0
	eth := o.mem[frame.TagLen:]
	dst := to
	if to == (frame.MAC{}) {
		dst = broadcast
	}
	copy(eth, dst[:])
	copy(eth[6:], i.port.mac[:])
	binary.BigEndian.PutUint16(eth[12:], frame.TypeARP)
	h := header.ARP(eth[frame.HeaderLen:])
	h.SetIPv4OverEthernet()
	h.SetOp(op)
	copy(h.HardwareAddressSender(), i.port.mac[:])
	copy(h.ProtocolAddressSender(), addr[:])
	copy(h.HardwareAddressTarget(), to[:])
	copy(h.ProtocolAddressTarget(), target[:])
	i.send(o)
}
