package netstack

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// tunnelNIC is the interface of a policy in interface mode: what a route sends
// there is sealed (VR30), and what the policy's SAs have opened comes in there
// (VR34).
type tunnelNIC struct {
	Tunnel
	r     *Router
	above atomic.Pointer[stack.NetworkDispatcher]
}

var _ stack.LinkEndpoint = (*tunnelNIC)(nil)

// noMTU is the MTU of a tunnel that has none of its own: how long a packet may
// be is known when its SA is (VR35).
const noMTU = 65535

// MTU implements stack.NetworkLinkEndpoint.
func (t *tunnelNIC) MTU() uint32 {
	if t.Tunnel.MTU > 0 {
		return uint32(t.Tunnel.MTU)
	}
	return noMTU
}

// SetMTU implements stack.NetworkLinkEndpoint. It does nothing: the
// configuration says it.
func (*tunnelNIC) SetMTU(uint32) {}

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (*tunnelNIC) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.NetworkLinkEndpoint. There is none.
func (*tunnelNIC) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.NetworkLinkEndpoint.
func (*tunnelNIC) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint. See link.Interface for the
// checksums. There is nobody to resolve.
func (*tunnelNIC) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityTXChecksumOffload
}

// Attach implements stack.NetworkLinkEndpoint.
func (t *tunnelNIC) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		t.above.Store(nil)
		return
	}
	t.above.Store(&d)
}

// IsAttached implements stack.NetworkLinkEndpoint.
func (t *tunnelNIC) IsAttached() bool { return t.above.Load() != nil }

// Wait implements stack.NetworkLinkEndpoint. It has no goroutine.
func (*tunnelNIC) Wait() {}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (*tunnelNIC) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.NetworkLinkEndpoint. There is none.
func (*tunnelNIC) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (*tunnelNIC) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close implements stack.NetworkLinkEndpoint.
func (*tunnelNIC) Close() {}

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (*tunnelNIC) SetOnCloseAction(func()) {}

// WritePackets implements stack.LinkWriter. It never fails: the stack panics on
// most errors. What cannot be sealed is counted by reason.
func (t *tunnelNIC) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for _, pk := range list.AsSlice() {
		t.write(pk)
	}
	return list.Len(), nil
}

func (t *tunnelNIC) write(pk *stack.PacketBuffer) {
	p, put := t.r.borrow()
	defer put()
	b := p.view(pk)
	p.out, p.now, p.watched = t.ID, t.r.now(), pk.Mark&frame.MarkBits
	why := p.Parse(b)
	if why == drop.None {
		why = t.r.via(p)
	}
	if why != drop.None {
		t.r.drops.CountOf(p.dropped(why, b))
	}
}

// via seals a packet that a route leads into a tunnel.
func (r *Router) via(p *packet) drop.Reason {
	if r.ofTunnels(p) {
		return drop.TunnelLoop // the way to the other end leads into the tunnel to it
	}
	policies := r.esp.Policies()
	l, f := r.selects(p, rules{
		func(f tunnels.Flow) tunnels.Lookup { return policies.Via(p.out, f) },
		func(f tunnels.Flow) tunnels.Lookup { return policies.ViaPiece(p.out, f) },
	})
	switch l.Verdict {
	case tunnels.Undecided:
		return drop.Fragment
	case tunnels.Protect:
		r.sealLater(p, l.Selector, f)
		return drop.None
	case tunnels.SelectorDiscard:
		r.esp.Count(l)
		return drop.SelectorDiscard
	}
	r.esp.Count(tunnels.Lookup{Verdict: tunnels.SelectorMiss})
	return drop.SelectorMiss // the other end has not agreed to it, and in clear there is no way
}

// deliver lets a packet come in from the tunnel. The bytes are copied.
func (t *tunnelNIC) deliver(packet []byte, mark uint32) {
	above := t.above.Load()
	if above == nil {
		t.r.drops.Count(drop.PortDown, packet, t.r.now())
		return
	}
	defer t.r.survive(packet)
	pk := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	defer pk.DecRef()
	pk.NetworkProtocolNumber, pk.Mark = ipv4.ProtocolNumber, unsealedMark|mark
	(*above).DeliverNetworkPacket(ipv4.ProtocolNumber, pk)
}

// tunnelNIC returns the tunnel with a number, or nil.
func (r *Router) tunnelNIC(i frame.Interface) *tunnelNIC {
	for _, t := range r.tunnels {
		if t.ID == i {
			return t
		}
	}
	return nil
}
