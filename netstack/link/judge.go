package link

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Judge tells what the port would do with a frame that came in now, before the
// fast path and the stack: by which interface it would come in (0: by none), and
// why it would be dropped. It counts and answers nothing; of f it changes only what
// Input would, in place.
func (p *Port) Judge(f *frame.Frame) (frame.Interface, drop.Reason) {
	i, why := p.admit(f)
	if why != drop.None {
		return 0, why
	}
	switch f.EtherType() {
	case frame.TypeARP:
		_, why = p.judgeARP(i, header.ARP(f.Payload()))
	case frame.TypeIPv4:
		if !soundIPv4(f.Payload()) {
			why = drop.IPMalformed
		}
	default:
		why = drop.EtherType
	}
	return i.id, why
}

// judgeARP says whether a message is for the stack, or is answered here, or
// must not be believed.
func (p *Port) judgeARP(i *Interface, h header.ARP) (answered bool, why drop.Reason) {
	if !p.sound(h) {
		return false, drop.ARPMalformed
	}
	proxied := i.proxy.Load()
	// Here the proxied addresses are ours alone. A message that claims one, a
	// gratuitous one among them, must neither be answered nor believed.
	if proxied.has(frame.Addr(h.ProtocolAddressSender())) {
		return false, drop.NATAddressSpoofed
	}
	// A probe, with sender 0.0.0.0, is answered like every other request: it
	// asks whether somebody has the address, and we do (RFC 5227).
	return h.Op() == header.ARPRequest && proxied.has(frame.Addr(h.ProtocolAddressTarget())), drop.None
}

// soundIPv4 reports whether b begins with an IPv4 header whose lengths fit it
// (RFC 791). The stack would see that too, but keeps no example of it.
func soundIPv4(b []byte) bool {
	if len(b) < header.IPv4MinimumSize || b[0]>>4 != header.IPv4Version {
		return false
	}
	h := header.IPv4(b)
	hlen, total := int(h.HeaderLength()), int(h.TotalLength())
	return hlen >= header.IPv4MinimumSize && total >= hlen && total <= len(b)
}
