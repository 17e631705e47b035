package link

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestEachFrameGoesToItsVLANOrDiesForItsReason(t *testing.T) {
	group := frame.MAC{1, 0, 0x5e, 0, 0, 5}
	p := ip(60)
	tests := []struct {
		name string
		raw  []byte
		vlan uint16 // told by the driver
		to   uint16 // VLAN of the interface that gets it
		why  drop.Reason
	}{
		{name: "untagged frame", raw: ether(routerMAC, hostMAC, 0, frame.TypeIPv4, p)},
		{name: "tag in the frame", raw: ether(routerMAC, hostMAC, 20, frame.TypeIPv4, p), to: 20},
		{name: "tag told by the driver", raw: ether(routerMAC, hostMAC, 0, frame.TypeIPv4, p), vlan: 20, to: 20},
		{name: "priority tag is untagged", raw: prioTagged(p)},
		{name: "broadcast", raw: ether(broadcast, hostMAC, 0, frame.TypeIPv4, p)},
		{name: "multicast on a VLAN", raw: ether(group, hostMAC, 20, frame.TypeIPv4, p), to: 20},
		{name: "foreign MAC", raw: ether(otherMAC, hostMAC, 0, frame.TypeIPv4, p), why: drop.NotForUs},
		{name: "foreign MAC on a foreign VLAN", raw: ether(otherMAC, hostMAC, 9, frame.TypeIPv4, p), why: drop.NotForUs},
		{name: "our own frame from a hub", raw: ether(routerMAC, routerMAC, 0, frame.TypeIPv4, p), why: drop.NotForUs},
		{name: "our own broadcast from a hub", raw: ether(broadcast, routerMAC, 0, frame.TypeIPv4, p), why: drop.NotForUs},
		{name: "unknown VLAN", raw: ether(routerMAC, hostMAC, 30, frame.TypeIPv4, p), why: drop.VLANUnknown},
		{name: "VLAN 4095", raw: ether(routerMAC, hostMAC, 4095, frame.TypeIPv4, p), why: drop.VLANUnknown},
		{name: "no VLAN has this number", raw: ether(routerMAC, hostMAC, 0, frame.TypeIPv4, p), vlan: 65535, why: drop.VLANUnknown},
		{name: "IPv6", raw: ether(routerMAC, hostMAC, 0, 0x86dd, p), why: drop.EtherType},
		{name: "LLDP", raw: ether(frame.MAC{1, 0x80, 0xc2, 0, 0, 0x0e}, hostMAC, 0, 0x88cc, p), why: drop.EtherType},
		{name: "two tags", raw: ether(routerMAC, hostMAC, 20, frame.TypeVLAN, append([]byte{0, 20, 8, 0}, p...)), why: drop.DoubleTagged},
		{name: "a second tag does not choose the VLAN", raw: ether(routerMAC, hostMAC, 20, frame.TypeIPv4, p), vlan: 10, why: drop.DoubleTagged},
		{name: "cut in the tag", raw: ether(routerMAC, hostMAC, 20, 0, nil)[:16], why: drop.FrameShort},
		{name: "a provider's tag", raw: ether(routerMAC, hostMAC, 0, frame.TypeProvider, append([]byte{0, 20, 8, 0}, p...)), why: drop.DoubleTagged},
		{name: "the tag of an old provider", raw: ether(routerMAC, hostMAC, 20, frame.TypeOldProvider, append([]byte{0, 20, 8, 0}, p...)), why: drop.DoubleTagged},
		{name: "a tag behind a priority tag", raw: behindPriority(p), why: drop.DoubleTagged},
		{name: "13 bytes", raw: make([]byte, 13), why: drop.FrameShort},
		{name: "nothing", raw: nil, why: drop.FrameShort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(Config{})
			stacks := map[uint16]*fakeStack{}
			for id, vlan := range []uint16{0, 10, 20} {
				_, stacks[vlan] = b.add(t, frame.Interface(id+1), vlan)
			}
			b.port.Input([]frame.Frame{frame.Copy(tt.raw, tt.vlan)})
			for vlan, s := range stacks {
				want := 0
				if vlan == tt.to && tt.why == drop.None {
					want = 1
				}
				if len(s.got) != want {
					t.Errorf("VLAN %d got %d frames, want %d", vlan, len(s.got), want)
				}
				if len(s.got) == 1 && !bytes.Equal(s.got[0][frame.HeaderLen:], p) {
					t.Errorf("VLAN %d got % x", vlan, s.got[0])
				}
			}
			want := map[drop.Reason]uint64{}
			if tt.why != drop.None {
				want[tt.why] = 1
			}
			b.wantDrops(t, want)
		})
	}
}

func prioTagged(payload []byte) []byte {
	b := ether(routerMAC, hostMAC, 1, frame.TypeIPv4, payload)
	b[14], b[15] = 0xa0, 0 // priority 5, VLAN 0
	return b
}

// behindPriority has a priority tag outside and VLAN 20 inside.
func behindPriority(payload []byte) []byte {
	b := ether(routerMAC, hostMAC, 1, frame.TypeVLAN, append([]byte{0, 20, 8, 0}, payload...))
	b[14], b[15] = 0xa0, 0
	return b
}

func TestTheStackSeesNoEthernetPaddingAndOneSlice(t *testing.T) {
	b := newBench(Config{})
	_, s := b.add(t, 1, 0)
	s.do = func(pkt *stack.PacketBuffer) {
		if n := len(pkt.AsSlices()); n != 1 {
			t.Errorf("the packet lies in %d pieces", n)
		}
	}
	tests := []struct {
		payload []byte
		want    int
	}{
		{append(ip(28), make([]byte, 18)...), 28},
		{ip(60), 60},
	}
	for k, tt := range tests {
		b.input(ether(routerMAC, hostMAC, 0, frame.TypeIPv4, tt.payload))
		if n := len(s.got[k]) - frame.HeaderLen; n != tt.want {
			t.Errorf("payload of %d bytes: the stack sees %d, want %d", len(tt.payload), n, tt.want)
		}
	}
}

// An operator wants to see one of them, which the stack does not keep.
func TestAnIPv4HeaderThatLiesIsDroppedBeforeTheStackSeesIt(t *testing.T) {
	spoil := func(at int, v byte) []byte { p := ip(40); p[at] = v; return p }
	for name, payload := range map[string][]byte{
		"longer than the frame": spoil(2, 0xff), "a length of nothing": spoil(3, 0), "cut": ip(20)[:5], "nothing": nil,
		"version 6": spoil(0, 0x65), "a header of 16 bytes": spoil(0, 0x44), "a header longer than the packet": spoil(0, 0x4f),
	} {
		b := newBench(Config{})
		_, s := b.add(t, 1, 0)
		raw := ether(routerMAC, hostMAC, 0, frame.TypeIPv4, payload)
		f := frame.Copy(raw, 0)
		if in, why := b.port.Judge(&f); in != 1 || why != drop.IPMalformed {
			t.Errorf("%s: judged %v by %d", name, why, in)
		}
		b.input(raw)
		b.wantDrops(t, map[drop.Reason]uint64{drop.IPMalformed: 1})
		if len(s.got) != 0 {
			t.Errorf("%s: the stack saw it", name)
		}
	}
}

func TestTheStackLearnsHowTheFrameWasAddressed(t *testing.T) {
	b := newBench(Config{})
	_, s := b.add(t, 1, 0)
	b.input(ether(routerMAC, hostMAC, 0, frame.TypeIPv4, ip(40)))
	b.input(ether(broadcast, hostMAC, 0, frame.TypeIPv4, ip(40)))
	b.input(ether(frame.MAC{1, 0, 0x5e, 0, 0, 1}, hostMAC, 0, frame.TypeIPv4, ip(40)))
	want := []tcpip.PacketType{tcpip.PacketHost, tcpip.PacketBroadcast, tcpip.PacketMulticast}
	if d := cmp.Diff(want, s.kinds); d != "" {
		t.Error(d)
	}
}

func TestTheFastPathGetsOnlyIPv4UnicastAndTheStackTheRest(t *testing.T) {
	var seen []byte
	fast := fastFunc(func(f *frame.Frame) bool {
		p := f.Bytes()
		seen = append(seen, p[len(p)-1])
		if p[len(p)-1]%2 == 1 {
			f.Out = 2
			return true
		}
		return false
	})
	b := newBench(Config{Fast: only(fast)})
	_, s := b.add(t, 1, 0)
	b.add(t, 2, 20)
	mark := func(dst frame.MAC, etherType uint16, m byte) []byte {
		p := ip(40)
		p[39] = m
		return ether(dst, hostMAC, 0, etherType, p)
	}
	b.input(
		mark(routerMAC, frame.TypeIPv4, 1),
		mark(broadcast, frame.TypeIPv4, 3),
		mark(routerMAC, frame.TypeIPv4, 2),
		mark(routerMAC, 0x86dd, 5),
		mark(otherMAC, frame.TypeIPv4, 7),
		mark(routerMAC, frame.TypeIPv4, 9),
	)
	if d := cmp.Diff([]byte{1, 2, 9}, seen); d != "" {
		t.Errorf("the fast path saw other frames: %s", d)
	}
	var sent []byte
	for _, w := range b.far.Drain() {
		if w[12] != 0x81 || w[15] != 20 {
			t.Errorf("left without its tag: % x", w[:18])
		}
		sent = append(sent, w[len(w)-1])
	}
	if d := cmp.Diff([]byte{1, 9}, sent); d != "" {
		t.Errorf("other frames were sent: %s", d)
	}
	var slow []byte
	for _, g := range s.got {
		slow = append(slow, g[len(g)-1])
	}
	if d := cmp.Diff([]byte{3, 2}, slow); d != "" {
		t.Errorf("the stack got other frames: %s", d)
	}
	b.wantDrops(t, map[drop.Reason]uint64{drop.EtherType: 1, drop.NotForUs: 1})
	want := []InterfaceCounters{
		{ID: 1, Name: "v", RxFrames: 5, RxBytes: 5 * 54, Fast: 2, Slow: 2, Port: "wan", Up: true},
		{ID: 2, Name: "v", VLAN: 20, TxFrames: 2, TxBytes: 2 * 54, Port: "wan", Up: true},
	}
	if d := cmp.Diff(want, b.fabric.Counters()); d != "" {
		t.Error(d)
	}
}

func TestAnEgressLeftOverInAFrameIsForgotten(t *testing.T) {
	b := newBench(Config{Fast: only(fastFunc(func(*frame.Frame) bool { return false }))})
	_, s := b.add(t, 1, 0)
	f := frame.Copy(ether(routerMAC, hostMAC, 0, frame.TypeIPv4, ip(40)), 0)
	f.In, f.Out = 9, 1
	b.port.Input([]frame.Frame{f})
	if sent := b.far.Drain(); len(s.got) != 1 || len(sent) != 0 {
		t.Errorf("the stack got %d frames, %d were sent", len(s.got), len(sent))
	}
}

func TestAPanicInTheStackCostsOneFrameAndIsLoggedOnceASecond(t *testing.T) {
	var log strings.Builder
	b := newBench(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, s := b.add(t, 1, 0)
	s.do = func(pkt *stack.PacketBuffer) {
		if pkt.Data().Size() == 41 {
			panic("unrecognized tcpip forwarding error")
		}
	}
	good := ether(routerMAC, hostMAC, 0, frame.TypeIPv4, ip(40))
	bad := ether(routerMAC, hostMAC, 0, frame.TypeIPv4, ip(41))
	b.input(good, bad, good, bad, good)
	if len(s.got) != 5 {
		t.Errorf("the stack was offered %d frames, want all 5", len(s.got))
	}
	b.wantDrops(t, map[drop.Reason]uint64{drop.StackPanic: 2})
	if n := strings.Count(log.String(), "unrecognized tcpip"); n != 1 {
		t.Errorf("%d log lines in one second, want 1", n)
	}
	if !strings.Contains(log.String(), "DeliverNetworkPacket") {
		t.Error("the log line does not show where the panic came from")
	}
	b.now += 1e9
	b.input(bad)
	if n := strings.Count(log.String(), "unrecognized tcpip"); n != 2 {
		t.Errorf("%d log lines after a second, want 2", n)
	}
}

func TestAFrameForAnInterfaceWithoutAStackIsCounted(t *testing.T) {
	b := newBench(Config{})
	i, s := b.add(t, 1, 0)
	f := ether(routerMAC, hostMAC, 0, frame.TypeIPv4, ip(40))
	i.Attach(nil)
	b.input(f)
	b.wantDrops(t, map[drop.Reason]uint64{drop.VLANUnknown: 1})
	i.Attach(s)
	b.input(f)
	if len(s.got) != 1 {
		t.Errorf("attached again, the stack got %d frames, want 1", len(s.got))
	}
}

func TestWhatTheDriverLostBecomesADropOnce(t *testing.T) {
	d := &nullDriver{mac: routerMAC, lost: 7}
	drops := new(drop.Counters)
	var now int64
	f := NewFabric(Config{Drops: drops, Now: func() int64 { return now }})
	p := f.AddPort("wan", d)
	if _, err := p.AddInterface(1, "v", 0); err != nil {
		t.Fatal(err)
	}
	p.Input(nil)
	if got := f.Counters()[0].Lost; got != 7 || drops.Get(drop.RxRingFull) != 7 {
		t.Errorf("lost %d, drops %d, want 7 and 7", got, drops.Get(drop.RxRingFull))
	}
	d.lost = 9
	p.Input(nil)
	if got := drops.Get(drop.RxRingFull); got != 7 {
		t.Errorf("asked the driver again within the second: %d", got)
	}
	now = 1e9
	p.Input(nil)
	if got := drops.Get(drop.RxRingFull); got != 9 {
		t.Errorf("after a second %d drops, want 9", got)
	}
}

// Spreading goes by flows: the first lane may have none.
func TestFramesThatWereLostAreCountedByWhicheverLaneReceives(t *testing.T) {
	d := &nullDriver{mac: routerMAC, lost: 3}
	drops := new(drop.Counters)
	p := NewFabric(Config{Drops: drops}).AddPort("lan", &brokenLanes{Driver: d})
	p.lanes[1].input(nil)
	if n := drops.Get(drop.RxRingFull); n != 3 {
		t.Errorf("%d frames are counted as lost, want 3", n)
	}
}
