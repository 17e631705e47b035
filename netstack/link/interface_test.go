package link

import (
	"bytes"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

var (
	routerIP = tcpip.AddrFrom4([4]byte{10, 0, 0, 1})
	hostIP   = tcpip.AddrFrom4([4]byte{10, 0, 0, 2})
)

// realStack puts gVisor above i, with routerIP on it, and a clock that stands.
func realStack(t *testing.T, i *Interface) (*stack.Stack, *faketime.ManualClock) {
	t.Helper()
	clock := faketime.NewManualClock()
	s := stack.New(stack.Options{
		Clock:              clock,
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4},
	})
	t.Cleanup(s.Destroy)
	if err := s.CreateNIC(tcpip.NICID(i.ID()), i); err != nil {
		t.Fatal(err)
	}
	addr := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: routerIP, PrefixLen: 24},
	}
	if err := s.AddProtocolAddress(tcpip.NICID(i.ID()), addr, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: tcpip.NICID(i.ID())}})
	return s, clock
}

// arpFrame builds an ARP message in a frame.
func arpFrame(dst frame.MAC, vlan uint16, op header.ARPOp, sha frame.MAC, spa [4]byte, tpa [4]byte) []byte {
	h := header.ARP(make([]byte, header.ARPSize))
	h.SetIPv4OverEthernet()
	h.SetOp(op)
	copy(h.HardwareAddressSender(), sha[:])
	copy(h.ProtocolAddressSender(), spa[:])
	copy(h.ProtocolAddressTarget(), tpa[:])
	return ether(dst, sha, vlan, frame.TypeARP, h)
}

func echoRequest() []byte {
	b := ip(20 + 8 + 24)
	h := header.IPv4(b)
	b[9] = frame.ProtoICMP
	copy(b[12:], []byte{10, 0, 0, 2, 10, 0, 0, 1})
	h.SetChecksum(^h.CalculateChecksum())
	c := header.ICMPv4(b[20:])
	c.SetType(header.ICMPv4Echo)
	c.SetCode(0)
	c.SetChecksum(0)
	c.SetChecksum(^checksum.Checksum(c, 0))
	return b
}

// A neighbour resolves the router and pings it on a tagged VLAN; everything
// goes through the real stack and happens before Input returns.
func TestTheStackAnswersARPAndPingOnATaggedVLAN(t *testing.T) {
	b := newBench(Config{})
	i, err := b.port.AddInterface(7, "v", 20)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := realStack(t, i)
	b.input(arpFrame(broadcast, 20, header.ARPRequest, hostMAC, [4]byte{10, 0, 0, 2}, [4]byte{10, 0, 0, 1}))
	got := b.far.Drain()
	if len(got) != 1 || !bytes.Equal(got[0][:18], ether(hostMAC, routerMAC, 20, frame.TypeARP, nil)) {
		t.Fatalf("no ARP reply with our address and tag: % x", got)
	}
	padded := append(echoRequest(), make([]byte, 40)...)
	b.input(ether(routerMAC, hostMAC, 20, frame.TypeIPv4, padded))
	got = b.far.Drain()
	if len(got) != 1 || !bytes.Equal(got[0][:18], ether(hostMAC, routerMAC, 20, frame.TypeIPv4, nil)) {
		t.Fatalf("no echo reply: % x", got)
	}
	if reply := got[0][18:]; len(reply) != 52 || reply[20] != byte(header.ICMPv4EchoReply) || !bytes.Equal(reply[28:], padded[28:52]) {
		t.Errorf("not the reply to our request: % x", reply)
	}
	b.wantDrops(t, nil)
	n, err2 := s.Neighbors(7, ipv4.ProtocolNumber)
	if err2 != nil || len(n) != 1 || n[0].LinkAddr != tcpip.LinkAddress(hostMAC[:]) {
		t.Errorf("neighbours %v, %v", n, err2)
	}
}

// gVisor takes a reply for an answer only if it was sent to us alone, which it
// learns from the interface.
func TestAUnicastARPReplyMakesTheNeighbourReachableAndABroadcastOneDoesNot(t *testing.T) {
	for dst, want := range map[frame.MAC]stack.NeighborState{routerMAC: stack.Reachable, broadcast: stack.Stale} {
		b := newBench(Config{})
		i, err := b.port.AddInterface(7, "v", 0)
		if err != nil {
			t.Fatal(err)
		}
		s, clock := realStack(t, i)
		if err := s.GetLinkAddress(7, hostIP, routerIP, ipv4.ProtocolNumber, nil); err == nil {
			t.Fatal("resolved without asking")
		}
		clock.RunImmediatelyScheduledJobs()
		if got := b.far.Drain(); len(got) != 1 {
			t.Fatalf("%d ARP requests, want 1", len(got))
		}
		b.input(arpFrame(dst, 0, header.ARPReply, hostMAC, [4]byte{10, 0, 0, 2}, [4]byte{10, 0, 0, 1}))
		n, _ := s.Neighbors(7, ipv4.ProtocolNumber)
		if len(n) != 1 || n[0].State != want {
			t.Errorf("reply to % x: neighbours %v, want one that is %v", dst, n, want)
		}
	}
}

// outPacket is a packet as the stack hands it down, in several pieces.
func outPacket(payload []byte) *stack.PacketBuffer {
	var whole buffer.Buffer
	half := len(payload) / 2
	whole.Append(buffer.NewViewWithData(payload[:half]))
	whole.Append(buffer.NewViewWithData(payload[half:]))
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 40, Payload: whole})
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	pkt.EgressRoute.LocalLinkAddress = tcpip.LinkAddress(routerMAC[:])
	pkt.EgressRoute.RemoteLinkAddress = tcpip.LinkAddress(hostMAC[:])
	return pkt
}

func TestWhatTheStackWritesLeavesWhole(t *testing.T) {
	for _, vlan := range []uint16{0, 20} {
		b := newBench(Config{})
		i, _ := b.add(t, 1, vlan)
		var list stack.PacketBufferList
		for _, n := range []int{20, 1500, 1501, 41} {
			pkt := outPacket(ip(n))
			i.AddHeader(pkt)
			list.PushBack(pkt)
		}
		if n, err := i.WritePackets(list); n != 4 || err != nil {
			t.Errorf("WritePackets = %d, %v; the stack must see no failure", n, err)
		}
		list.Reset()
		var want [][]byte
		for _, n := range []int{20, 1500, 41} {
			want = append(want, ether(hostMAC, routerMAC, vlan, frame.TypeIPv4, ip(n)))
		}
		if d := cmp.Diff(want, b.far.Drain()); d != "" {
			t.Errorf("VLAN %d: %s", vlan, d)
		}
		b.wantDrops(t, map[drop.Reason]uint64{drop.FrameTooBig: 1})
	}
}

func TestTheStackNeverSeesAWriteFail(t *testing.T) {
	b := newBench(Config{})
	i, _ := b.add(t, 1, 0)
	write := func(header bool) {
		t.Helper()
		pkt := outPacket(ip(12))
		if header {
			i.AddHeader(pkt)
		}
		var list stack.PacketBufferList
		list.PushBack(pkt)
		if n, err := i.WritePackets(list); n != 1 || err != nil {
			t.Errorf("WritePackets = %d, %v", n, err)
		}
		list.Reset()
	}
	b.near.SetUp(false)
	write(true)
	b.near.SetUp(true)
	write(false) // no Ethernet header
	for range memoryQueue + 3 {
		write(true)
	}
	i.Close()
	write(true)
	b.wantDrops(t, map[drop.Reason]uint64{drop.PortDown: 2, drop.FrameShort: 1, drop.TxRefused: 3})
}

func TestReinjectLooksLikeAnArrival(t *testing.T) {
	b := newBench(Config{})
	i, s := b.add(t, 1, 20)
	p := ip(60)
	i.Reinject(p, 0)
	clear(p)
	if len(s.got) != 1 {
		t.Fatalf("the stack got %d packets", len(s.got))
	}
	want := ether(routerMAC, frame.MAC{}, 0, frame.TypeIPv4, ip(60))
	if d := cmp.Diff(want, s.got[0]); d != "" {
		t.Errorf("not a copy: %s", d)
	}
	c := b.fabric.Counters()[0]
	if c.Reinjected != 1 || c.RxFrames != 0 || c.Slow != 0 {
		t.Errorf("counted as received: %+v", c)
	}
	s.do = func(*stack.PacketBuffer) { panic("boom") }
	i.Reinject(nil, 0)
	i.Attach(nil)
	i.Reinject(p, 0)
	b.wantDrops(t, map[drop.Reason]uint64{drop.StackPanic: 1, drop.VLANUnknown: 1})
}

func TestACloseFreesNumberAndVLANAndRunsTheActionOnce(t *testing.T) {
	b := newBench(Config{})
	i, s := b.add(t, 1, 20)
	runs := 0
	i.SetOnCloseAction(func() { runs++; i.Attach(nil) })
	i.Close()
	i.Close()
	i.Wait()
	if runs != 1 || i.IsAttached() {
		t.Errorf("action ran %d times, attached %v", runs, i.IsAttached())
	}
	b.input(ether(routerMAC, hostMAC, 20, frame.TypeIPv4, ip(40)))
	b.wantDrops(t, map[drop.Reason]uint64{drop.VLANUnknown: 1})
	next, ns := b.add(t, 1, 20)
	i.Close() // late, and must not touch its successor
	b.input(ether(routerMAC, hostMAC, 20, frame.TypeIPv4, ip(40)))
	if len(s.got) != 0 || len(ns.got) != 1 || !next.IsAttached() {
		t.Errorf("old stack got %d, new one %d", len(s.got), len(ns.got))
	}
}

func TestAStackThatIsDestroyedGivesItsInterfacesBack(t *testing.T) {
	b := newBench(Config{})
	i, err := b.port.AddInterface(1, "v", 0)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := realStack(t, i)
	s.Destroy()
	if i.IsAttached() {
		t.Error("still attached")
	}
	if _, err := b.port.AddInterface(1, "again", 0); err != nil {
		t.Error(err)
	}
}

func TestDetachingUnderTrafficIsSafe(t *testing.T) {
	b := newBench(Config{})
	i, _ := b.add(t, 1, 0)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 500 {
			b.input(ether(routerMAC, hostMAC, 0, frame.TypeIPv4, ip(40)))
		}
	})
	wg.Go(func() {
		for range 500 {
			i.Attach(nil)
			i.Attach(new(fakeStack))
		}
	})
	wg.Wait()
	if c := b.fabric.Counters()[0]; c.RxFrames != 500 {
		t.Errorf("%d frames received, want 500", c.RxFrames)
	}
}

func TestTheMTUIsTheDriversUnlessSetLower(t *testing.T) {
	b := newBench(Config{})
	i, _ := b.add(t, 1, 20)
	for _, tt := range []struct{ set, want uint32 }{{0, 1500}, {1300, 1300}, {9000, 1500}, {0, 1500}} {
		i.SetMTU(tt.set)
		if got := i.MTU(); got != tt.want {
			t.Errorf("set to %d: MTU %d, want %d", tt.set, got, tt.want)
		}
	}
}
