package flow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
)

// rig is a table over a back-end, with the ledger of what was reported.
type rig struct {
	*Table
	back  *fakeOffload
	r     *Reader
	told  map[Owner]uint64 // packets, by Active
	bytes uint64
	away  uint64 // packets, by Offloaded
	now   int64
}

func newRig(t cleaner, c Config) *rig {
	g := &rig{back: newFakeOffload(8), told: map[Owner]uint64{}}
	c.Offload = g.back
	c.Active = func(r Report) { g.told[r.Owner] += r.Packets; g.bytes += r.Bytes }
	c.Offloaded = func(in, out frame.Interface, packets, bytes uint64) {
		if in != lan || out != wan {
			g.back.fault("told of packets from %d to %d", in, out)
		}
		g.away += packets
	}
	g.Table = open(t, c)
	g.r = g.Reader()
	return g
}

// send is a packet on its way up: the back-end, the table, and the stack.
func (g *rig) send(b []byte) (by string) {
	if g.back.forward(b) {
		return "back-end"
	}
	if g.r.Process([]frame.Frame{arrived(b, lan)}, g.now) == 1 {
		return "table"
	}
	return "stack"
}

// sweep is a second.
func (g *rig) sweep() {
	g.now += second
	g.back.sweeps++
	g.Sweep(g.now)
}

// busy makes a flow so busy that the next sweep offers it.
func (g *rig) busy(t testing.TB, b []byte) {
	t.Helper()
	for range DefaultOffloadAfter {
		if by := g.send(b); by != "table" {
			t.Fatalf("forwarded by the %s", by)
		}
	}
	g.sweep()
}

func (g *rig) faultless(t interface{ Errorf(string, ...any) }) {
	for _, f := range g.back.faults {
		t.Errorf("%s", f)
	}
	g.back.faults = nil
}

func (g *rig) want(t *testing.T, b []byte, by string) {
	t.Helper()
	if got := g.send(b); got != by {
		t.Errorf("forwarded by the %s, want the %s", got, by)
	}
}

func TestABusyFlowGoesToTheBackEndAndAQuietOneComesBack(t *testing.T) {
	const idle = 3
	g := newRig(t, Config{OffloadIdle: idle})
	b := espFrame(0)
	e := entryFor(t, g.Table, b, ownerA)
	e.DFOnly = true
	b[frame.HeaderLen+atFlags] |= dontFragment
	resum(b)
	insert(t, g.Table, e, 0)
	for range DefaultOffloadAfter - 1 {
		g.want(t, b, "table")
	}
	g.sweep()
	g.want(t, b, "table") // one too few
	g.busy(t, b)
	g.want(t, b, "back-end")
	want := Offloaded{Key: e.Key, Side: e.Side, Addr: e.Addr, Port: e.Port, Hop: e.Hop, DFOnly: true}
	if d := cmp.Diff(want, g.back.flows[1].Offloaded); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(OffloadHop{Out: wan, Dst: macGW, Src: macOut, MTU: 1500, Valid: true}, g.back.hops[e.Hop]); d != "" {
		t.Error(d)
	}
	g.sweep() // reports the packet
	for range idle - 1 {
		if s := g.Stats(); s.Offloaded != 1 || s.OffloadPackets != 1 {
			t.Fatalf("%+v", s)
		}
		g.sweep()
	}
	g.want(t, b, "back-end") // and lives on
	for range idle + 1 {
		g.sweep()
	}
	g.want(t, b, "table")
	g.busy(t, b) // it is not offered before the back-end's ref is released
	g.want(t, b, "table")
	g.sweep()
	g.busy(t, b)
	g.want(t, b, "back-end")
	g.sweep()
	n := uint64(DefaultOffloadAfter - 1 + 1 + 3*DefaultOffloadAfter + 2 + 3)
	if g.told[ownerA] != n || g.bytes != 52*n || g.away != 3 {
		t.Errorf("told of %d packets, %d bytes, %d of the back-end; want %d, %d, 3", g.told[ownerA], g.bytes, g.away, n, 52*n)
	}
	g.faultless(t)
}

func TestAnOffloadedFlowLivesByItsPacketsThere(t *testing.T) {
	g := newRig(t, Config{})
	b := espFrame(0)
	insert(t, g.Table, entryFor(t, g.Table, b, ownerA), 0)
	g.busy(t, b)
	for range 190 { // Idle is a minute
		if by := g.send(b); by == "table" || by == "stack" && g.now%(20*second) != 0 {
			t.Fatalf("at %d s forwarded by the %s", g.now/second, by)
		}
		g.sweep()
	}
	for range 60 {
		g.sweep()
	}
	if n := g.Stats().Entries; n != 1 {
		t.Errorf("%d flows a minute after the last packet, want 1", n)
	}
	g.sweep()
	if s := g.Stats(); s.Entries != 0 || s.Expired != 1 || s.Offloaded != 0 {
		t.Errorf("%+v", s)
	}
	g.sweep()
	g.sweep()
	if len(g.back.flows) != 0 {
		t.Error("the back-end has a flow that does not exist")
	}
	g.faultless(t)
}

// What takes a flow from the table takes it from the back-end before it returns.
func TestWhatEndsAFlowEndsItInTheBackEndAtOnce(t *testing.T) {
	for name, end := range map[string]func(g *rig, e Entry){
		"its owner":     func(g *rig, e Entry) { g.RemoveOwner(e.Owner, g.now) },
		"its key":       func(g *rig, e Entry) { g.Remove(e.Key) },
		"everything":    func(g *rig, e Entry) { g.Flush() },
		"the next hop":  func(g *rig, e Entry) { g.InvalidateHop(wan, gateway) },
		"the interface": func(g *rig, e Entry) { g.InvalidateInterface(wan) },
		"a new MAC":     func(g *rig, e Entry) { g.Hop(wan, gateway, macIn, macOut, 1500) },
		"a new MTU":     func(g *rig, e Entry) { g.Hop(wan, gateway, macGW, macOut, 1400) },
		"the table":     func(g *rig, e Entry) { g.Close() },
	} {
		g := newRig(t, Config{})
		b := espFrame(0)
		e := entryFor(t, g.Table, b, ownerA)
		insert(t, g.Table, e, 0)
		g.busy(t, b)
		g.want(t, b, "back-end")
		end(g, e)
		if by := g.send(b); by != "stack" {
			t.Errorf("%s ended it, forwarded by the %s", name, by)
		}
		if name == "its owner" && g.told[ownerA] != DefaultOffloadAfter+1 {
			t.Errorf("told of %d packets at once, want all", g.told[ownerA])
		}
		for range 4 {
			g.sweep()
		}
		if n := len(g.back.flows); n != 0 && name != "the table" {
			t.Errorf("%s: the back-end holds %d refs", name, n)
		}
		if g.told[ownerA] != DefaultOffloadAfter+1 && name != "the table" {
			t.Errorf("%s: told of %d packets, want %d", name, g.told[ownerA], DefaultOffloadAfter+1)
		}
		g.faultless(t)
	}
}

// 255 is the most that fits, and no more than it says.
func TestTheLongestIdleTimeInTheBackEndEnds(t *testing.T) {
	for _, idle := range []int{255, 1000} {
		g := newRig(t, Config{OffloadIdle: idle})
		e := entryFor(t, g.Table, espFrame(0), ownerA)
		e.Idle = time.Hour
		insert(t, g.Table, e, 0)
		g.busy(t, espFrame(0))
		for range 255 {
			g.sweep()
		}
		if n := g.Stats().Offloaded; n != 1 {
			t.Errorf("%d Sweeps: %d flows offloaded after 255 without a packet, want 1", idle, n)
		}
		g.sweep()
		if n := g.Stats().Offloaded; n != 0 {
			t.Errorf("%d Sweeps: the flow does not come back", idle)
		}
		g.faultless(t)
	}
}

func TestAClosedTableTellsTheBackEndNothing(t *testing.T) {
	g := newRig(t, Config{})
	e := entryFor(t, g.Table, espFrame(0), ownerA)
	insert(t, g.Table, e, 0)
	g.busy(t, espFrame(0))
	g.Close()
	g.back.closed = true
	g.RemoveOwner(ownerA, g.now)
	g.Credit(ownerA, g.now)
	g.Insert(e, g.Epoch(), g.now)
	g.Remove(e.Key)
	g.sweep()
	g.Hop(wan, gateway, macIn, macOut, 1500)
	g.Flush()
	g.InvalidateHop(wan, gateway)
	g.InvalidateInterface(wan)
	g.Close()
	g.faultless(t)
}

func TestAReplacedFlowDoesNotStayInTheBackEnd(t *testing.T) {
	g := newRig(t, Config{})
	b := espFrame(0)
	e := entryFor(t, g.Table, b, ownerA)
	insert(t, g.Table, e, 0)
	g.busy(t, b)
	insert(t, g.Table, e, g.now) // the same: refreshed
	g.want(t, b, "back-end")
	e.Addr, e.Owner = frame.Addr{203, 0, 113, 9}, ownerB
	insert(t, g.Table, e, g.now)
	if g.told[ownerA] != DefaultOffloadAfter+1 {
		t.Errorf("told of %d packets, want %d", g.told[ownerA], DefaultOffloadAfter+1)
	}
	g.busy(t, b)
	g.want(t, b, "back-end")
	g.sweep()
	if g.told[ownerB] != DefaultOffloadAfter+1 {
		t.Errorf("the new flow: told of %d packets, want %d", g.told[ownerB], DefaultOffloadAfter+1)
	}
	g.faultless(t)
}

func TestNumberedFlowsAndPingsStayWithTheTable(t *testing.T) {
	g := newRig(t, Config{})
	for kind, b := range kinds(10) {
		e := entryFor(t, g.Table, b, ownerA)
		e.Numbered = kind == "TCP"
		insert(t, g.Table, e, 0)
		g.busy(t, b)
		want := "back-end"
		if kind == "TCP" || kind == "ICMP" {
			want = "table"
		}
		if by := g.send(b); by != want {
			t.Errorf("%s: forwarded by the %s", kind, by)
		}
	}
	g.faultless(t)
}

func TestAFullBackEndRefusesAndTheTableGoesOn(t *testing.T) {
	g := newRig(t, Config{OffloadAfter: 1})
	for i := range 10 { // it takes 8
		insert(t, g.Table, entryFor(t, g.Table, espFrame(i), ownerA), 0)
		g.want(t, espFrame(i), "table")
	}
	g.sweep()
	by := map[string]int{}
	for i := range 10 {
		by[g.send(espFrame(i))]++
	}
	if s := g.Stats(); by["back-end"] != 8 || by["table"] != 2 || s.Offloaded != 8 || s.OffloadRefused != 2 {
		t.Errorf("%v, %+v", by, s)
	}
	g.faultless(t)
}

func TestEveryTwentySecondsTheStackSeesAPacketOfAnOffloadedNextHop(t *testing.T) {
	g := newRig(t, Config{OffloadAfter: 1})
	for i := range 2 {
		insert(t, g.Table, entryFor(t, g.Table, espFrame(i), ownerA), 0)
		g.want(t, espFrame(i), "table")
	}
	var stack []int64
	for range 60 {
		g.sweep()
		for i := range 2 {
			if g.send(espFrame(i)) == "stack" {
				stack = append(stack, g.now/second)
			}
		}
	}
	if d := cmp.Diff([]int64{20, 40, 60}, stack); d != "" {
		t.Error(d)
	}
	g.faultless(t)
}

func TestWalkTellsWhichFlowsAreOffloaded(t *testing.T) {
	g := newRig(t, Config{})
	for i := range 2 {
		insert(t, g.Table, entryFor(t, g.Table, espFrame(i), ownerA), 0)
	}
	g.busy(t, espFrame(1))
	g.want(t, espFrame(1), "back-end")
	g.sweep()
	g.Walk(func(in Info) bool {
		second := in.Key == keyOf(t, espFrame(1))
		if in.Offloaded != second || second && in.Packets != DefaultOffloadAfter+1 {
			t.Errorf("%+v: offloaded is %v, %d packets", in.Key, in.Offloaded, in.Packets)
		}
		return true
	})
}

func TestFlowsThatAreKeptHomeComeBackAndStay(t *testing.T) {
	g := newRig(t, Config{})
	b := espFrame(0)
	e := entryFor(t, g.Table, b, ownerA)
	insert(t, g.Table, e, 0)
	g.busy(t, b)
	g.want(t, b, "back-end")
	g.KeepHome(func(f Entry, out frame.Interface) bool {
		return f.Key == e.Key && f.Addr == e.Addr && out == g.hops[e.Hop].Load().at.out
	})
	g.sweep()
	for range 4 {
		for range DefaultOffloadAfter {
			g.want(t, b, "table")
		}
		g.sweep()
	}
	g.KeepHome(func(Entry, frame.Interface) bool { return false })
	g.busy(t, b)
	g.want(t, b, "back-end")
	g.faultless(t)
}

func TestAFlowIsFoundByItsKey(t *testing.T) {
	g := newRig(t, Config{})
	b := espFrame(0)
	e := entryFor(t, g.Table, b, ownerA)
	if _, ok := g.Find(e.Key); ok {
		t.Error("before it is there")
	}
	insert(t, g.Table, e, 0)
	g.want(t, b, "table")
	if i, ok := g.Find(e.Key); !ok || i.Owner != ownerA || i.Addr != e.Addr || i.Packets != 1 || i.Out != wan {
		t.Errorf("%+v, %v", i, ok)
	}
	g.Remove(e.Key)
	if _, ok := g.Find(e.Key); ok {
		t.Error("after it was removed")
	}
}
