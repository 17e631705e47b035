package link

import (
	"encoding/binary"
	"net"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	routerMAC  = frame.MAC{2, 0, 0, 0, 0, 1}
	router2MAC = frame.MAC{2, 0, 0, 0, 0, 2}
	hostMAC    = frame.MAC{2, 0, 0, 0, 0, 0xaa}
	otherMAC   = frame.MAC{2, 0, 0, 0, 0, 0xbb}
)

// ether builds a frame, with a tag if vlan is not 0.
func ether(dst, src frame.MAC, vlan, etherType uint16, payload []byte) []byte {
	b := append(append([]byte(nil), dst[:]...), src[:]...)
	if vlan != 0 {
		b = binary.BigEndian.AppendUint16(b, frame.TypeVLAN)
		b = binary.BigEndian.AppendUint16(b, vlan)
	}
	b = binary.BigEndian.AppendUint16(b, etherType)
	return append(b, payload...)
}

// ip builds an IPv4 packet of n bytes that is as sound as this package cares.
func ip(n int) []byte {
	b := make([]byte, n)
	b[0], b[8], b[9] = 0x45, 64, frame.ProtoESP
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	copy(b[12:], []byte{192, 0, 2, 10, 198, 51, 100, 1})
	for k := 20; k < n; k++ {
		b[k] = byte(k)
	}
	return b
}

// fakeStack takes what an interface delivers.
type fakeStack struct {
	got   [][]byte // whole packets, with their link header
	kinds []tcpip.PacketType
	do    func(*stack.PacketBuffer)
}

func (s *fakeStack) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	b := append([]byte(nil), pkt.LinkHeader().Slice()...)
	s.got = append(s.got, append(b, pkt.Data().AsRange().ToSlice()...))
	s.kinds = append(s.kinds, pkt.PktType)
	if s.do != nil {
		s.do(pkt)
	}
}

func (s *fakeStack) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// nullDriver takes what it is told to take, and keeps nothing but the batches'
// shape.
type nullDriver struct {
	mac    frame.MAC
	writes []int                                        // length of each write, if keep
	vlans  []uint16                                     // VLAN of each frame written, if keep
	marks  []byte                                       // last byte of each frame written, if keep
	refuse func(batch []frame.Frame) (int, drop.Reason) // nil: takes everything
	keep   bool
	lost   uint64
}

func (d *nullDriver) Read([]frame.Frame) (int, error) { return 0, net.ErrClosed }
func (d *nullDriver) MAC() frame.MAC                  { return d.mac }
func (d *nullDriver) MTU() int                        { return 1500 }
func (d *nullDriver) Up() bool                        { return true }
func (d *nullDriver) Lost() uint64                    { return d.lost }
func (d *nullDriver) Close() error                    { return nil }

func (d *nullDriver) Write(batch []frame.Frame) (int, drop.Reason) {
	n, why := len(batch), drop.None
	if d.refuse != nil {
		n, why = d.refuse(batch)
	}
	if d.keep {
		d.writes = append(d.writes, len(batch))
		for k := range batch[:n] {
			b := batch[k].Bytes()
			d.vlans = append(d.vlans, batch[k].VLAN)
			d.marks = append(d.marks, b[len(b)-1])
		}
	}
	return n, why
}

// only is a Config.Fast that gives fast to every port.
func only(fast FastPath) func() FastPath { return func() FastPath { return fast } }

// fastFunc is a fast path made of a function over one frame.
type fastFunc func(f *frame.Frame) bool

func (fn fastFunc) Process(batch []frame.Frame, _ int64) int {
	hits := 0
	for k := range batch {
		if fn(&batch[k]) {
			hits++
		}
	}
	return hits
}

// bench is a fabric with one port, the far end of its cable, and the clock.
type bench struct {
	drops  *drop.Counters
	fabric *Fabric
	port   *Port
	far    *Memory // what the router sends can be drained here
	near   *Memory
	now    int64
}

func newBench(c Config) *bench {
	b := &bench{drops: new(drop.Counters)}
	c.Drops = b.drops
	c.Now = func() int64 { return b.now }
	b.fabric = NewFabric(c)
	b.near, b.far = NewPair(routerMAC, hostMAC, 1500)
	b.port = b.fabric.AddPort("wan", b.near)
	return b
}

// add adds an interface with a fake stack above it.
func (b *bench) add(t testing.TB, id frame.Interface, vlan uint16) (*Interface, *fakeStack) {
	t.Helper()
	i, err := b.port.AddInterface(id, "v", vlan)
	if err != nil {
		t.Fatal(err)
	}
	s := new(fakeStack)
	i.Attach(s)
	return i, s
}

// interfaces are all that the bench has.
func (b *bench) interfaces() (all []*Interface) {
	for id := range b.fabric.interfaces {
		if i := b.fabric.interfaces[id].Load(); i != nil {
			all = append(all, i)
		}
	}
	return all
}

// input lets raw frames, tags in place, come in.
func (b *bench) input(raw ...[]byte) {
	batch := make([]frame.Frame, 0, len(raw))
	for _, r := range raw {
		batch = append(batch, frame.Copy(r, 0))
	}
	b.port.Input(batch)
}

// wantDrops fails unless exactly these drops were counted.
func (b *bench) wantDrops(t testing.TB, want map[drop.Reason]uint64) {
	t.Helper()
	for r, n := range b.drops.Snapshot() {
		if n != want[drop.Reason(r)] {
			t.Errorf("%v: %d drops, want %d", drop.Reason(r), n, want[drop.Reason(r)])
		}
	}
}
