package link

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Interface is a VLAN on a port: one NIC of the stack.
type Interface struct {
	id   frame.Interface
	name string
	vlan uint16
	port *Port

	above atomic.Pointer[attachment] // the stack, nil while there is none
	mtu   atomic.Uint32              // set by SetMTU, 0: the driver's
	proxy atomic.Pointer[proxySet]   // whom it answers ARP for, never nil
	count counters                   // of everybody who is no lane

	elsewhere elsewhere

	mu      sync.Mutex // guards what follows
	onClose func()
	lanes   []*counters // of each lane that had frames for it
}

// attachment lets an interface value be swapped atomically.
type attachment struct{ to stack.NetworkDispatcher }

var _ stack.LinkEndpoint = (*Interface)(nil)

// ID returns the interface's number.
func (i *Interface) ID() frame.Interface { return i.id }

// Name returns the VLAN's name in the configuration.
func (i *Interface) Name() string { return i.name }

// VLAN returns the 802.1Q id, 0 for untagged.
func (i *Interface) VLAN() uint16 { return i.vlan }

// MAC returns the address of the port, which all its interfaces share.
func (i *Interface) MAC() frame.MAC { return i.port.mac }

// Up reports whether the port can send.
func (i *Interface) Up() bool { return i.port.driver.Up() }

// Judge is that of its port.
func (i *Interface) Judge(f *frame.Frame) (frame.Interface, drop.Reason) { return i.port.Judge(f) }

// PortName is the name of its port.
func (i *Interface) PortName() string { return i.port.name }

// MTU implements stack.NetworkLinkEndpoint: bytes of an IP packet. A tag does
// not count.
func (i *Interface) MTU() uint32 {
	mtu := uint32(max(i.port.driver.MTU(), 0))
	if set := i.mtu.Load(); set != 0 && set < mtu {
		return set
	}
	return mtu
}

// SetMTU implements stack.NetworkLinkEndpoint. A value above the driver's MTU
// has no effect; 0 restores that.
func (i *Interface) SetMTU(mtu uint32) { i.mtu.Store(mtu) }

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (i *Interface) MaxHeaderLength() uint16 { return frame.HeaderLen }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (i *Interface) LinkAddress() tcpip.LinkAddress { return i.port.addr }

// SetLinkAddress implements stack.NetworkLinkEndpoint. It does nothing: the
// address belongs to the port.
func (i *Interface) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint.
//
// We claim to compute transport checksums, and do not: otherwise gVisor would
// recompute those of packets that it only forwards, and destroy fragments by
// it. The stack's output hook completes the packets that originate here.
func (i *Interface) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired | stack.CapabilityTXChecksumOffload
}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (i *Interface) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// Attach implements stack.NetworkLinkEndpoint. nil detaches: frames that come
// in from then on are dropped. A delivery that has begun may still end later.
func (i *Interface) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		i.above.Store(nil)
		return
	}
	i.above.Store(&attachment{d})
}

// IsAttached implements stack.NetworkLinkEndpoint.
func (i *Interface) IsAttached() bool { return i.above.Load() != nil }

// Wait implements stack.NetworkLinkEndpoint. An interface has no goroutine of
// its own: those that receive belong to the ports and end with Port.Run. It
// must not wait for a delivery, as the stack calls it with its lock held.
func (i *Interface) Wait() {}

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (i *Interface) SetOnCloseAction(fn func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.onClose = fn
}

// Close implements stack.NetworkLinkEndpoint: it takes the interface off its
// port, so that its number and VLAN are free again. The port stays open.
func (i *Interface) Close() {
	i.mu.Lock()
	fn := i.onClose
	i.onClose = nil
	i.mu.Unlock()
	if fn != nil {
		fn()
	}
	i.Attach(nil)
	f := i.port.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interfaces[i.id].CompareAndSwap(i, nil)
	i.port.vlans[i.vlan].CompareAndSwap(i, nil)
}

// AddHeader implements stack.NetworkLinkEndpoint.
func (i *Interface) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(frame.HeaderLen)).Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (i *Interface) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(frame.HeaderLen)
	return ok
}

// WritePackets implements stack.LinkWriter. It never fails: the stack panics
// on most errors. What cannot be sent is counted by reason.
func (i *Interface) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		i.write(pkt)
	}
	return pkts.Len(), nil
}

// outgoing is room to lay out one frame that is not in a driver's memory.
type outgoing struct {
	mem   []byte
	mark  uint32
	batch [1]frame.Frame
}

var outgoings = sync.Pool{New: func() any {
	return &outgoing{mem: make([]byte, 0, frame.TagLen+frame.HeaderLen+1500)}
}}

// write lays pkt out with room for a tag and sends it.
func (i *Interface) write(pkt *stack.PacketBuffer) {
	o := outgoings.Get().(*outgoing)
	defer outgoings.Put(o)
	o.mem, o.mark = append(o.mem[:0], make([]byte, frame.TagLen)...), pkt.Mark&frame.MarkBits
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		n := min(skip, len(b))
		o.mem = append(o.mem, b[n:]...)
		skip -= n
	}
	i.send(o)
}

// send lets the frame behind the headroom of o.mem leave.
func (i *Interface) send(o *outgoing) {
	f := &o.batch[0]
	*f = frame.New(o.mem, frame.TagLen, len(o.mem), 0)
	f.Out, f.Mark = i.id, o.mark
	why := drop.PortDown // the interface is closed
	switch p := i.port; {
	case f.Len() < frame.HeaderLen:
		why = drop.FrameShort
	case p.fabric.interfaces[i.id].Load() == i:
		f.VLAN = i.vlan
		p.transmit(nil, o.batch[:])
		return
	}
	i.port.fabric.drops.CountOf(dropped(f, why, i.port.fabric.now()))
}

// deliver copies a frame that came in and gives the copy to the stack.
func (i *Interface) deliver(f *frame.Frame, now int64) {
	i.count.slow.Add(1)
	b := f.Bytes()
	if f.EtherType() == frame.TypeIPv4 && !soundIPv4(f.Payload()) {
		i.port.fabric.drops.CountOf(dropped(f, drop.IPMalformed, now))
		return
	}
	b = b[:frame.HeaderLen+payloadLen(f)]
	kind := tcpip.PacketHost
	switch dst := f.Dst(); {
	case dst == broadcast:
		kind = tcpip.PacketBroadcast
	case dst.IsGroup():
		kind = tcpip.PacketMulticast
	}
	i.up(buffer.NewViewWithData(b), kind, f.Mark, b, now)
	if on := i.port.fabric.looker.Load(); on != nil && f.Mark != 0 {
		(*on).Delivered(f, now)
	}
}

// payloadLen returns the length of the frame's payload without the padding
// that Ethernet adds to short frames. A length that lies is left to the stack,
// which counts it.
func payloadLen(f *frame.Frame) int {
	b := f.Payload()
	n := len(b)
	switch {
	case f.EtherType() == frame.TypeARP:
		return min(n, header.ARPSize)
	case n >= header.IPv4MinimumSize:
		if total := int(binary.BigEndian.Uint16(b[2:])); total >= header.IPv4MinimumSize {
			return min(n, total)
		}
	}
	return n
}

// Reinject gives an IPv4 packet to the stack as if it had just come in here,
// from its prerouting hook on, with a mark that this hook can read. The bytes are
// copied. It must not be called from inside one of the stack's hooks, as the
// stack's locks do not nest.
func (i *Interface) Reinject(packet []byte, mark uint32) {
	i.count.reinjected.Add(1)
	v := buffer.NewViewSize(frame.HeaderLen + len(packet))
	b := v.AsSlice()
	clear(b[:frame.HeaderLen])
	copy(b, i.port.mac[:])
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv4)
	copy(b[frame.HeaderLen:], packet)
	i.up(v, tcpip.PacketHost, mark, packet, i.port.fabric.now())
}

// up gives a frame to the stack. It survives a panic there; the packet, whose
// state is unknown then, is left to the garbage collector.
func (i *Interface) up(v *buffer.View, kind tcpip.PacketType, mark uint32, sample []byte, now int64) {
	above := i.above.Load()
	if above == nil {
		v.Release()
		i.port.fabric.drops.CountOf(i.dropped(drop.VLANUnknown, sample, mark, now))
		return
	}
	defer func() {
		if what := recover(); what != nil {
			i.port.fabric.panicked(i, what, sample, mark)
		}
	}()
	proto := tcpip.NetworkProtocolNumber(binary.BigEndian.Uint16(v.AsSlice()[12:]))
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	pkt.LinkHeader().Consume(frame.HeaderLen)
	pkt.NetworkProtocolNumber = proto
	pkt.PktType, pkt.Mark = kind, mark
	above.to.DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}
