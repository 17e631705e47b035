package swsim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/hw"
)

// out is what a test expects to leave, by port.
type out = map[string][][]byte

func wantOut(t *testing.T, what string, got, want out) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestABroadcastStaysInItsVLAN(t *testing.T) {
	b := newOffice(t)
	plain, in10, in20 := ether(everybody, alice, "x"), ether(everybody, alice, "x", 10), ether(everybody, alice, "x", 20)
	wantOut(t, "without tag in 10", b.send("lan1", plain), out{"lan2": {plain}, "lan4": {in10}, "cpu": {in10}})
	wantOut(t, "without tag in 20", b.send("lan3", plain), out{"lan4": {in20}, "cpu": {in20}})
	wantOut(t, "tagged 10", b.send("lan4", in10), out{"lan1": {plain}, "lan2": {plain}, "cpu": {in10}})
	wantOut(t, "tagged 20", b.send("lan4", in20), out{"lan3": {plain}, "cpu": {in20}})
	wantOut(t, "of the router, 20", b.send("cpu", in20), out{"lan3": {plain}, "lan4": {in20}})
	group, tagged := ether(multicast, alice, "x"), ether(multicast, alice, "x", 10)
	wantOut(t, "to a group", b.send("lan2", group), out{"lan1": {group}, "lan4": {tagged}, "cpu": {tagged}})
}

func TestAStationThatWasHeardIsSentToAlone(t *testing.T) {
	b := newOffice(t)
	toBob, in10 := ether(bob, alice, "x"), ether(bob, alice, "x", 10)
	wantOut(t, "nobody knows Bob", b.send("lan1", toBob), out{"lan2": {toBob}, "lan4": {in10}, "cpu": {in10}})
	back := ether(alice, bob, "x")
	wantOut(t, "Alice is known", b.send("lan2", back), out{"lan1": {back}})
	wantOut(t, "so is Bob", b.send("lan1", toBob), out{"lan2": {toBob}})
	// The same address in another VLAN is another station.
	in20 := ether(bob, alice, "x", 20)
	wantOut(t, "Bob in 20", b.send("lan3", toBob), out{"lan4": {in20}, "cpu": {in20}})
	wantOut(t, "Bob is where the frame comes from", b.send("lan2", ether(bob, carol, "x")), out{})

	moved := b.s.Learning().Moves
	wantOut(t, "Bob speaks from lan4", b.send("lan4", ether(alice, bob, "x", 10)), out{"lan1": {back}})
	wantOut(t, "and is found there", b.send("lan1", toBob), out{"lan4": {in10}})
	if n := b.s.Learning().Moves - moved; n != 1 {
		t.Errorf("%d moves, want 1", n)
	}
}

func TestASilentStationIsForgotten(t *testing.T) {
	b := newOffice(t)
	back, in10 := ether(alice, bob, "x"), ether(alice, bob, "x", 10)
	b.send("lan1", ether(everybody, alice, "x"))
	b.now += int64(ageing) - 2
	wantOut(t, "in time", b.send("lan2", back), out{"lan1": {back}})
	b.now += int64(ageing) / 8
	wantOut(t, "too late", b.send("lan2", back), out{"lan1": {back}, "lan4": {in10}, "cpu": {in10}})
	if got := b.s.Stations(); len(got) != 1 || got[0].MAC != bob.bytes() || got[0].Port != "lan2" || got[0].VLAN != 10 {
		t.Errorf("stations %v", got)
	}
}

func TestAPortThatIsFlushedHasNoStations(t *testing.T) {
	b := newOffice(t)
	b.send("lan1", ether(everybody, alice, "x"))
	b.send("lan2", ether(everybody, bob, "x"))
	b.must(b.s.Flush("lan1"))
	back, in10 := ether(alice, bob, "x"), ether(alice, bob, "x", 10)
	wantOut(t, "Alice is sought", b.send("lan2", back), out{"lan1": {back}, "lan4": {in10}, "cpu": {in10}})
	wantOut(t, "Bob is not", b.send("lan1", ether(bob, alice, "x")), out{"lan2": {ether(bob, alice, "x")}})
}

func TestAFrameOfAForeignVLANIsDroppedAndCounted(t *testing.T) {
	b := newOffice(t)
	for _, c := range []struct {
		name, port string
		frame      []byte
		why        Why
		rx         hw.Counters // what moves
	}{
		{"a host tags itself into 20", "lan1", ether(everybody, alice, "x", 20), NotMember, hw.Counters{RxDropped: 1}},
		{"a VLAN of nobody", "lan4", ether(everybody, alice, "x", 30), UnknownVLAN, hw.Counters{RxDropped: 1}},
		{"the reserved VLAN", "lan4", ether(everybody, alice, "x", 4095), UnknownVLAN, hw.Counters{RxDropped: 1}},
		{"no tag where there must be one", "lan4", ether(everybody, alice, "x"), NoPVID, hw.Counters{RxDropped: 1}},
		{"priority alone is no VLAN", "lan4", ether(everybody, alice, "x", 0xe000), NoPVID, hw.Counters{RxDropped: 1}},
		{"the router without tag", "cpu", ether(everybody, routerMAC, "x"), NoPVID, hw.Counters{RxDropped: 1}},
		{"from a group", "lan1", ether(bob, multicast, "x"), BadSource, hw.Counters{RxDropped: 1}},
		{"from nobody", "lan1", ether(bob, 0, "x"), BadSource, hw.Counters{RxDropped: 1}},
		{"spanning tree", "lan1", ether(0x0180c2000000, alice, "x"), LinkLocal, hw.Counters{RxDropped: 1}},
		{"neighbour discovery", "lan1", ether(0x0180c200000e, alice, "x"), LinkLocal, hw.Counters{RxDropped: 1}},
		{"too short", "lan1", make([]byte, 13), Short, hw.Counters{RxErrors: 1}},
		{"cut in the tag", "lan1", ether(bob, alice, "", 10)[:16], Short, hw.Counters{RxErrors: 1}},
		{"too long", "lan1", ether(bob, alice, strings.Repeat("x", 1501)), Long, hw.Counters{RxErrors: 1}},
		{"too long behind its tag", "lan1", ether(bob, alice, strings.Repeat("x", 1501), 10), Long, hw.Counters{RxErrors: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := b.counters(c.port)
			wantOut(t, "", b.send(c.port, c.frame), out{})
			want := before
			want.RxFrames, want.RxBytes = want.RxFrames+1, want.RxBytes+uint64(len(c.frame))
			want.RxErrors, want.RxDropped = want.RxErrors+c.rx.RxErrors, want.RxDropped+c.rx.RxDropped
			if d := cmp.Diff(want, b.counters(c.port)); d != "" {
				t.Errorf("counters: %s", d)
			}
			if b.s.Refused(c.port, c.why) == 0 {
				t.Errorf("not counted as %v", c.why)
			}
		})
	}
	if got := b.s.Stations(); len(got) != 0 {
		t.Errorf("something was learned from frames that were not taken: %v", got)
	}
}

func TestWhatPassesIsNotChangedBeyondItsTag(t *testing.T) {
	b := newOffice(t)
	full, long := strings.Repeat("x", 1500), strings.Repeat("x", 1496)
	for _, c := range []struct {
		name, port string
		frame      []byte
		want       out
	}{
		{"full length", "lan1", ether(everybody, alice, full),
			out{"lan2": {ether(everybody, alice, full)}, "lan4": {ether(everybody, alice, full, 10)}, "cpu": {ether(everybody, alice, full, 10)}}},
		{"full length with a tag", "lan4", ether(everybody, alice, full, 20),
			out{"lan3": {ether(everybody, alice, full)}, "cpu": {ether(everybody, alice, full, 20)}}},
		{"priority stays with its tag", "lan4", ether(everybody, alice, "x", 0xa014),
			out{"lan3": {ether(everybody, alice, "x")}, "cpu": {ether(everybody, alice, "x", 0xa014)}}},
		{"priority without VLAN", "lan1", ether(everybody, alice, "x", 0xa000),
			out{"lan2": {ether(everybody, alice, "x")}, "lan4": {ether(everybody, alice, "x", 0xa00a)}, "cpu": {ether(everybody, alice, "x", 0xa00a)}}},
		{"the port's own VLAN, tagged", "lan1", ether(everybody, alice, "x", 10),
			out{"lan2": {ether(everybody, alice, "x")}, "lan4": {ether(everybody, alice, "x", 10)}, "cpu": {ether(everybody, alice, "x", 10)}}},
		{"two tags leave by tagged members", "lan4", ether(everybody, alice, long, 10, 20),
			out{"cpu": {ether(everybody, alice, long, 10, 20)}}},
		{"a tag behind a priority tag", "lan1", ether(everybody, alice, "x", 0, 20),
			out{"lan4": {ether(everybody, alice, "x", 10, 20)}, "cpu": {ether(everybody, alice, "x", 10, 20)}}},
		{"a provider's tag is none", "lan1", provider(ether(everybody, alice, "x", 20)),
			out{"lan2": {provider(ether(everybody, alice, "x", 20))}, "lan4": {behind(10, provider(ether(everybody, alice, "x", 20)))},
				"cpu": {behind(10, provider(ether(everybody, alice, "x", 20)))}}},
	} {
		t.Run(c.name, func(t *testing.T) { wantOut(t, "", b.send(c.port, c.frame), c.want) })
	}
	if n := b.counters("lan2").TxDropped; n != 2 {
		t.Errorf("lan2 did not send %d frames, want 2 that have two tags", n)
	}
}

// provider makes a frame's tag one of 802.1ad.
func provider(b []byte) []byte {
	b[12], b[13] = 0x88, 0xa8
	return b
}

// behind puts a tag in front.
func behind(vlan uint16, b []byte) []byte {
	f := framed(b)
	f.setTag(vlan)
	return f.Bytes()
}

func TestABatchKeepsItsOrderAtEachPort(t *testing.T) {
	b := newOffice(t)
	b.send("lan2", ether(everybody, bob, "x"))
	one, two, three := ether(bob, alice, "1", 10), ether(everybody, alice, "2", 10), ether(bob, alice, "3", 10)
	got := b.send("lan4", one, ether(everybody, carol, "other", 20), two, three)
	plain := ether(everybody, alice, "2")
	wantOut(t, "", got, out{
		"lan1": {plain}, "lan2": {ether(bob, alice, "1"), plain, ether(bob, alice, "3")},
		"lan3": {ether(everybody, carol, "other")}, "cpu": {ether(everybody, carol, "other", 20), two},
	})
}

func TestAPortThatIsOffPassesNothing(t *testing.T) {
	b := newOffice(t)
	b.send("lan2", ether(everybody, bob, "x"))
	b.must(b.s.SetPort("lan2", false))
	in10 := ether(bob, alice, "x", 10)
	wantOut(t, "to it", b.send("lan1", ether(bob, alice, "x")), out{"lan4": {in10}, "cpu": {in10}})
	wantOut(t, "from it", b.send("lan2", ether(alice, bob, "x")), out{})
	if n := b.s.Refused("lan2", PortOff); n != 1 {
		t.Errorf("%d frames were refused, want 1", n)
	}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// A cable that is pulled: its stations are sought elsewhere, nobody waits, and
// the first frame after it is back is answered.
func TestALinkThatGoesAndComesIsTold(t *testing.T) {
	b := newOffice(t)
	b.send("lan2", ether(everybody, bob, "x"))
	b.ports["lan2"].setDown(true)
	if b.s.Look(); len(b.s.Changes()) != 1 {
		t.Error("nobody was told")
	}
	<-b.s.Changes()
	in10 := ether(bob, alice, "x", 10)
	wantOut(t, "Bob is sought", b.send("lan1", ether(bob, alice, "x")), out{"lan4": {in10}, "cpu": {in10}})
	links, err := b.s.Links()
	b.must(err)
	want := []hw.Link{{Port: "lan1", Up: true, Duplex: true}, {Port: "lan2"}, {Port: "lan3", Up: true, Duplex: true},
		{Port: "lan4", Up: true, Duplex: true}, {Port: "cpu", Up: true, Duplex: true}}
	if d := cmp.Diff(want, links); d != "" {
		t.Error(d)
	}
	if b.s.Look(); len(b.s.Changes()) != 0 {
		t.Error("something was told that is no news")
	}
	b.ports["lan2"].setDown(false)
	wantOut(t, "back", b.send("lan2", ether(alice, bob, "x")), out{"lan1": {ether(alice, bob, "x")}})
	wantOut(t, "found", b.send("lan1", ether(bob, alice, "x")), out{"lan2": {ether(bob, alice, "x")}})
	if len(b.s.Changes()) != 1 {
		t.Error("nobody was told that it is back")
	}
}

func TestAPortThatTakesNotAllIsCounted(t *testing.T) {
	b := newOffice(t)
	b.ports["lan2"].full = true
	b.send("lan1", ether(everybody, alice, "1"), ether(everybody, alice, "2"))
	if c := b.counters("lan2"); c.TxFrames != 1 || c.TxDropped != 1 || c.TxBytes != 15 {
		t.Errorf("counted %+v", c)
	}
	if c := b.counters("lan1"); c.RxFrames != 2 || c.RxBytes != 30 || c.RxDropped != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestWhatADeviceLosesIsCountedAtItsPort(t *testing.T) {
	b := newOffice(t)
	b.send("lan1", make([]byte, 5), ether(everybody, alice, "x", 20))
	b.ports["lan1"].malformed, b.ports["lan1"].overrun = 10, 20
	if c := b.counters("lan1"); c.RxErrors != 11 || c.RxDropped != 21 || c.RxFrames != 2 {
		t.Errorf("counted %+v", c)
	}
}

func TestAPortWithoutHeadroomLosesOnlyWhatNeedsIt(t *testing.T) {
	b := newOffice(t)
	raw := ether(everybody, alice, "x")
	b.s.input(b.s.byName["lan1"], []Frame{{Mem: raw, End: len(raw)}}, b.now)
	wantOut(t, "", b.drain(), out{"lan2": {raw}})
	if c := b.counters("lan4"); c.TxDropped != 1 {
		t.Errorf("lan4: %+v", c)
	}
}

// The whole machine: a goroutine for each port, a plan that changes under way,
// a port that breaks.
func TestFramesPassWhileItRuns(t *testing.T) {
	b := newBench(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.s.Run(ctx) }()
	b.apply(office())
	for range 100 {
		b.ports["lan1"].in <- ether(everybody, alice, "x")
		b.ports["lan4"].in <- ether(everybody, carol, "y", 20)
	}
	b.waits("lan3", 100)
	b.waits("lan2", 100)
	b.ports["lan4"].broken = errors.New("the device is gone")
	b.ports["lan4"].in <- nil
	<-b.s.Changes()
	b.ports["lan1"].in <- ether(everybody, alice, "x")
	b.waits("lan2", 1)
	if links, err := b.s.Links(); err != nil || links[3].Up {
		t.Errorf("links %v, %v", links, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := b.s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if _, open := <-b.s.Changes(); open {
		<-b.s.Changes()
	}
	if err := b.s.Prepare(); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("prepare after close: %v", err)
	}
}

// waits takes so many frames off a port's far end.
func (b *bench) waits(port string, n int) {
	p := b.ports[port]
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.out) < n {
		p.wrote.Wait()
	}
	p.out = nil
}

func TestASwitchThatCannotBeIsRefusedWithAllFaults(t *testing.T) {
	p := newFakePort()
	_, err := New(Config{Name: "sw0", CPU: "cpu", Ports: []NamedPort{{"lan1", p}, {"lan1", p}, {"", nil}},
		Ageing: time.Millisecond, Entries: -1, MTU: 20})
	if err == nil {
		t.Fatal("it was made")
	}
	for _, part := range []string{"switch sw0", "lan1 is there twice", "without a name", `"cpu" is none`, "ageing", "addresses", "mtu 20", "clock"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing about %q: %v", part, err)
		}
	}
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	b := newOffice(t)
	before, err := b.s.Table()
	b.must(err)
	for name, err := range map[string]error{
		"VLAN 0":               b.s.SetVLAN(hw.VLAN{ID: 0}),
		"VLAN 4095":            b.s.SetVLAN(hw.VLAN{ID: 4095}),
		"no such port":         b.s.SetVLAN(hw.VLAN{ID: 5, Tagged: []string{"lan9"}}),
		"no such port either":  b.s.SetVLAN(hw.VLAN{ID: 5, Untagged: []string{"lan9"}}),
		"both":                 b.s.SetVLAN(hw.VLAN{ID: 5, Tagged: []string{"lan1"}, Untagged: []string{"lan1"}}),
		"remove 0":             b.s.RemoveVLAN(0),
		"pvid of no port":      b.s.SetPVID("lan9", 1),
		"pvid 4095":            b.s.SetPVID("lan1", 4095),
		"on, of no port":       b.s.SetPort("lan9", true),
		"forget, of no port":   b.s.Flush("lan9"),
		"longer than it can":   b.s.SetMTU(1501),
		"shorter than IP asks": b.s.SetMTU(60),
	} {
		if err == nil || errors.Is(err, hw.ErrSilent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	after, err := b.s.Table()
	b.must(err)
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("something has changed: %s", d)
	}
}
