package link

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// twoPorts is a fabric over drivers that only take note.
func twoPorts(t testing.TB, fast FastPath) (f *Fabric, drops *drop.Counters, a, b *nullDriver) {
	t.Helper()
	drops = new(drop.Counters)
	f = NewFabric(Config{Drops: drops, Fast: only(fast)})
	a, b = &nullDriver{mac: routerMAC, keep: true}, &nullDriver{mac: router2MAC, keep: true}
	pa, pb := f.AddPort("lan", a), f.AddPort("wan", b)
	for _, v := range []struct {
		p    *Port
		id   frame.Interface
		vlan uint16
	}{{pa, 1, 0}, {pa, 2, 20}, {pb, 3, 30}} {
		if _, err := v.p.AddInterface(v.id, "v", v.vlan); err != nil {
			t.Fatal(err)
		}
	}
	return f, drops, a, b
}

// outgoingBatch makes a frame for each egress; its last byte is its place.
func outgoingBatch(out ...frame.Interface) []frame.Frame {
	batch := make([]frame.Frame, 0, len(out))
	for k, o := range out {
		p := ip(40)
		p[39] = byte(k)
		f := frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, p), 99)
		f.Out = o
		batch = append(batch, f)
	}
	return batch
}

func TestFramesOfOnePortLeaveTogetherAndInOrder(t *testing.T) {
	f, drops, a, b := twoPorts(t, nil)
	f.send(nil, outgoingBatch(3, 1, 0, 3, 2, 77, 1, 0, 3))
	type seen struct {
		Writes []int
		VLANs  []uint16
		Marks  []byte
	}
	if d := cmp.Diff(seen{[]int{3}, []uint16{30, 30, 30}, []byte{0, 3, 8}}, seen{b.writes, b.vlans, b.marks}); d != "" {
		t.Errorf("wan: %s", d)
	}
	if d := cmp.Diff(seen{[]int{3}, []uint16{0, 20, 0}, []byte{1, 4, 6}}, seen{a.writes, a.vlans, a.marks}); d != "" {
		t.Errorf("lan: %s", d)
	}
	if n := drops.Get(drop.PortDown); n != 1 {
		t.Errorf("%d frames to an unknown interface, want 1", n)
	}
}

func TestRefusedFramesAreCountedByReason(t *testing.T) {
	tests := []struct {
		name   string
		refuse func([]frame.Frame) (int, drop.Reason)
		want   map[drop.Reason]uint64
		sent   []byte
	}{
		{"queue full after two", func([]frame.Frame) (int, drop.Reason) { return 2, drop.TxRefused },
			map[drop.Reason]uint64{drop.TxRefused: 3}, []byte{0, 1}},
		{"down", func([]frame.Frame) (int, drop.Reason) { return 0, drop.PortDown },
			map[drop.Reason]uint64{drop.PortDown: 5}, nil},
		{"a driver that gives no reason", func([]frame.Frame) (int, drop.Reason) { return 4, drop.None },
			map[drop.Reason]uint64{drop.TxRefused: 1}, []byte{0, 1, 2, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, drops, a, _ := twoPorts(t, nil)
			a.refuse = tt.refuse
			f.send(nil, outgoingBatch(1, 1, 2, 1, 1))
			if d := cmp.Diff(tt.sent, a.marks); d != "" {
				t.Errorf("sent: %s", d)
			}
			for r, n := range drops.Snapshot() {
				if n != tt.want[drop.Reason(r)] {
					t.Errorf("%v: %d, want %d", drop.Reason(r), n, tt.want[drop.Reason(r)])
				}
			}
			var tx uint64
			for _, c := range f.Counters() {
				tx += c.TxFrames
			}
			if tx != uint64(len(tt.sent)) {
				t.Errorf("the interfaces count %d frames sent, want %d", tx, len(tt.sent))
			}
		})
	}
}

func TestAFrameThatIsTooBigStopsNoOther(t *testing.T) {
	f, drops, a, _ := twoPorts(t, nil)
	batch := outgoingBatch(1, 1, 2, 1)
	for k, n := range map[int]int{1: 1501, 2: 1500} {
		out := batch[k].Out
		batch[k] = frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(n)), 0)
		batch[k].Out = out
	}
	f.send(nil, batch)
	if d := cmp.Diff([]byte{0, byte(1499 % 256), 3}, a.marks); d != "" {
		t.Errorf("sent: %s", d)
	}
	if n := drops.Get(drop.FrameTooBig); n != 1 {
		t.Errorf("%d drops, want 1", n)
	}
}

func TestATagThatTheDriverPutInIsNotCountedAsBytes(t *testing.T) {
	f, _, a, _ := twoPorts(t, nil)
	a.refuse = func(b []frame.Frame) (int, drop.Reason) {
		for k := range b {
			b[k].PushTag()
		}
		return len(b), drop.None
	}
	f.send(nil, outgoingBatch(1, 2))
	for _, c := range f.Counters()[:2] {
		if c.TxBytes != 54 {
			t.Errorf("VLAN %d: %d bytes, want 54", c.VLAN, c.TxBytes)
		}
	}
}

func TestNumbersAndVLANsAreGivenOnce(t *testing.T) {
	f, _, _, _ := twoPorts(t, nil)
	lan, wan := f.ports[0], f.ports[1]
	tests := []struct {
		name string
		port *Port
		id   frame.Interface
		vlan uint16
		ok   bool
	}{
		{"number 0", lan, 0, 40, false},
		{"number taken on the same port", lan, 1, 40, false},
		{"number taken on another port", wan, 1, 40, false},
		{"VLAN taken", lan, 4, 20, false},
		{"untagged taken", lan, 4, 0, false},
		{"VLAN 4095", lan, 4, 4095, false},
		{"VLAN free on this port", wan, 4, 20, true},
		{"the last VLAN and number", wan, 255, 4094, true},
	}
	for _, tt := range tests {
		if _, err := tt.port.AddInterface(tt.id, tt.name, tt.vlan); (err == nil) != tt.ok {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
}

// The whole way of a frame that hits: sorted, rewritten, tagged, written,
// counted.
func TestAFrameThatHitsCostsNoAllocation(t *testing.T) {
	oneWay := fastFunc(func(f *frame.Frame) bool { f.Out = 3; return true })
	turn := frame.Interface(0)
	allWays := fastFunc(func(f *frame.Frame) bool { turn = turn%3 + 1; f.Out = turn; return true })
	for name, fast := range map[string]FastPath{"one egress": oneWay, "three egresses": allWays} {
		t.Run(name, func(t *testing.T) {
			f, drops, a, b := twoPorts(t, fast)
			a.keep, b.keep = false, false
			src := outgoingBatch(make([]frame.Interface, frame.Batch)...)
			batch := make([]frame.Frame, frame.Batch)
			for k := range src {
				src[k].SetMACs(routerMAC, hostMAC)
				src[k].VLAN = uint16(k % 2 * 20)
			}
			n := testing.AllocsPerRun(100, func() {
				copy(batch, src)
				f.ports[0].Input(batch)
			})
			if n != 0 {
				t.Errorf("%v allocations for a batch of %d", n, frame.Batch)
			}
			var tx, fastHits uint64
			for _, c := range f.Counters() {
				tx += c.TxFrames
				fastHits += c.Fast
			}
			if want := uint64(101 * frame.Batch); tx != want || fastHits != want {
				t.Errorf("%d frames sent, %d hits, want %d of both; drops %v", tx, fastHits, want, drops.Snapshot())
			}
		})
	}
}

func BenchmarkAHit(b *testing.B) {
	f, _, da, db := twoPorts(b, fastFunc(func(f *frame.Frame) bool { f.Out = 3; return true }))
	da.keep, db.keep = false, false
	src := outgoingBatch(make([]frame.Interface, frame.Batch)...)
	batch := make([]frame.Frame, frame.Batch)
	for k := range src {
		src[k].SetMACs(routerMAC, hostMAC)
		src[k].VLAN = 0
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += frame.Batch {
		copy(batch, src)
		f.ports[0].Input(batch)
	}
}
