package lsn

import (
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestEveryDropReasonHasItsPacket(t *testing.T) {
	x, y := at(subscriber, 1000), at(serverY, 80)
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoTCP, Mapping: EIM, Filtering: EIF}))
	b := f.mustOut(tcp(x, y), syn, 0)
	u := f.mustOut(udp(x, y), 0, 0)
	outs := []struct {
		name  string
		tup   Tuple
		flags uint8
		want  drop.Reason
	}{
		{"GRE", Tuple{47, x, y}, 0, drop.ProtocolUnsupported},
		{"ESP is the ALG's", Tuple{frame.ProtoESP, x, y}, 0, drop.ProtocolUnsupported},
		{"no subscriber", udp(at(frame.Addr{10, 0, 0, 1}, 1), y), 0, drop.NoMapping},
		{"from a NAT address", udp(at(nat1, 1), y), 0, drop.NATAddressSpoofed},
		{"TCP in the middle of a connection", tcp(x, at(serverZ, 1)), ack, drop.NotSYN},
		{"TCP SYN-ACK out of nothing", tcp(x, at(serverZ, 1)), syn | ack, drop.NotSYN},
		{"TCP RST out of nothing", tcp(x, at(serverZ, 1)), rst, drop.NotSYN},
	}
	for _, tt := range outs {
		if _, why := f.out(tt.tup, Hints{TCPFlags: tt.flags}, 1); why != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, why, tt.want)
		}
	}
	ins := []struct {
		name            string
		proto           uint8
		outside, remote frame.Endpoint
		flags           uint8
		want            drop.Reason
	}{
		{"GRE", 47, b.Outside, y, 0, drop.ProtocolUnsupported},
		{"to an unused port", frame.ProtoTCP, at(nat1, 1), y, syn, drop.NoMapping},
		{"to a foreign address", frame.ProtoTCP, at(serverZ, 1), y, syn, drop.NoMapping},
		{"to a port of the other protocol", frame.ProtoICMP, b.Outside, y, 0, drop.NoMapping},
		{"stranger at a full cone, SYN", frame.ProtoTCP, b.Outside, at(serverZ, 9), syn, drop.None},
		{"stranger at a full cone, no SYN", frame.ProtoTCP, b.Outside, at(serverZ, 8), ack, drop.NotSYN},
		{"stranger at a closed mapping", frame.ProtoUDP, u.Outside, at(serverZ, 9), 0, drop.Filtered},
		{"the server, from another port", frame.ProtoUDP, u.Outside, at(serverY, 9), 0, drop.Filtered},
	}
	for _, tt := range ins {
		if _, why := f.in(tt.proto, tt.outside, tt.remote, tt.flags, 1); why != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, why, tt.want)
		}
	}
	f.check()
}

func TestDroppedPacketsAndFindsRefreshNothing(t *testing.T) {
	f := build(t, config(nat1))
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 2)), 0, 0)
	for s := int64(10); s <= 120; s += 10 {
		f.in(frame.ProtoUDP, b.Outside, at(serverZ, 2), 0, s*second)
		if got, ok := f.FindOut(b.Tuple); !ok || got != b {
			t.Fatalf("FindOut: %+v, %v", got, ok)
		}
		if got, ok := f.FindIn(b.Proto, b.Outside, b.Remote); !ok || got != b {
			t.Fatalf("FindIn: %+v, %v", got, ok)
		}
	}
	if _, ok := f.FindIn(b.Proto, b.Outside, at(serverZ, 2)); ok {
		t.Error("FindIn found a session for a remote that has none")
	}
	if _, ok := f.FindOut(udp(b.Remote, b.Inside)); ok {
		t.Error("FindOut found a session for a tuple that has none")
	}
	f.reply(b, 0, 120*second+1, drop.NoMapping)
}

func TestDecidingChangesNothing(t *testing.T) {
	f := build(t, config(nat7, AppProfile{Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: EIF}))
	f.Table.rand = func(uint32) uint32 { t.Error("a random number was drawn"); return 0 }
	tup := udp(at(subscriber, 1), at(serverY, 2))
	pl, why := f.DecideOut(tup, Hints{}, 0)
	if why != drop.None || pl.Mapping != 0 || len(pl.Addresses) != 7 || pl.Profile == nil || pl.Group.Name != "G" {
		t.Errorf("%v, plan %+v", why, pl)
	}
	if st := f.Stats(); st.Sessions != [3]int{} || st.Paired != 0 || st.Pools[0].Used != [3]int{} {
		t.Errorf("deciding left %+v", st)
	}
	f.Table.rand = seeded(1)
	b := f.mustOut(tup, 0, 0)
	snapshot := func() (out []SessionInfo) {
		f.Walk(func(s SessionInfo) bool { s.Group = nil; out = append(out, s); return true })
		return out
	}
	before := snapshot()
	f.DecideOut(tup, Hints{Bytes: 9}, 500*second)
	f.DecideIn(b.Proto, b.Outside, b.Remote, Hints{}, 50*second)
	if pl, why := f.DecideIn(b.Proto, b.Outside, at(serverZ, 1), Hints{}, 50*second); why != drop.None || pl.Session != 0 || pl.Mapping != b.Mapping || pl.Inside != b.Inside {
		t.Errorf("%v, plan %+v", why, pl)
	}
	if d := cmp.Diff(before, snapshot()); d != "" {
		t.Error(d)
	}
}

func TestWithoutSYNCheckATCPSessionIsPickedUp(t *testing.T) {
	c := config(nat1)
	c.Groups[0].Transports = []TransportProfile{{Name: "T", Proto: frame.ProtoTCP, SynCheck: Disabled}}
	f := build(t, c)
	b := f.mustOut(tcp(at(subscriber, 1), at(serverY, 80)), ack, 0)
	if b.Established {
		t.Error("cached before the other side was heard")
	}
	if b = f.reply(b, ack, 1, drop.None); !b.Established {
		t.Error("not cached although both sides were heard")
	}
}

func TestICMPQueriesUseTheirIdentifierAsAPort(t *testing.T) {
	f := build(t, config(nat1))
	a := f.mustOut(Tuple{frame.ProtoICMP, at(subscriber, 7), at(serverY, 0)}, 0, 0)
	b := f.mustOut(Tuple{frame.ProtoICMP, at(other, 7), at(serverY, 0)}, 0, 0)
	if a.Outside == b.Outside {
		t.Fatal("two subscribers' pings share an identifier")
	}
	if got := f.reply(b, 0, 1, drop.None); got.Inside != at(other, 7) {
		t.Errorf("the answer went to %v", got.Inside)
	}
	if st := f.Stats(); st.Sessions != [3]int{0, 0, 2} || st.Pools[0].Used != [3]int{0, 0, 2} {
		t.Errorf("counted as %+v", st)
	}
}

func TestTheSessionTableIsBounded(t *testing.T) {
	c := config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF})
	c.MaxSessions = 3
	f := build(t, c)
	x := at(subscriber, 1)
	b := f.mustOut(udp(x, at(serverY, 1)), 0, 0)
	f.mustOut(udp(x, at(serverY, 2)), 0, 0)
	f.in(b.Proto, b.Outside, at(serverZ, 1), 0, 0)
	if _, why := f.out(udp(x, at(serverY, 3)), Hints{}, 1); why != drop.SessionTableFull {
		t.Errorf("from inside: %v", why)
	}
	if _, why := f.in(b.Proto, b.Outside, at(serverZ, 2), 0, 1); why != drop.SessionTableFull {
		t.Errorf("from outside: %v", why)
	}
	f.mustOut(b.Tuple, 0, 1) // what is there goes on
	f.RemoveMapping(b.Mapping)
	if len(f.gone) != 3 {
		t.Errorf("%d sessions reported gone, want 3", len(f.gone))
	}
	f.mustOut(udp(x, at(serverY, 3)), 0, 2)
	f.check()
}

func TestAFlushTakesWhatItsFilterSelects(t *testing.T) {
	tests := []struct {
		name string
		f    func(Binding) Filter
		left int
	}{
		{"everything", func(Binding) Filter { return Filter{} }, 0},
		{"one subscriber", func(Binding) Filter { return Filter{Network: netip.MustParsePrefix("192.0.2.1/32")} }, 1},
		{"no subscriber", func(Binding) Filter { return Filter{Network: netip.MustParsePrefix("10.0.0.0/8")} }, 3},
		{"one NAT port", func(b Binding) Filter { return Filter{NAT: b.Outside.Addr, NATPort: b.Outside.Port} }, 2},
		{"a foreign NAT address", func(Binding) Filter { return Filter{NAT: serverY} }, 3},
		{"another client", func(Binding) Filter { return Filter{Client: "D"} }, 3},
		{"the client", func(Binding) Filter { return Filter{Client: "C"} }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := build(t, config(nat1))
			b := f.mustOut(udp(at(subscriber, 1), at(serverY, 2)), 0, 0)
			f.mustOut(udp(at(subscriber, 2), at(serverY, 2)), 0, 0)
			f.mustOut(udp(at(other, 2), at(serverY, 2)), 0, 0)
			if s, n := f.Flush(tt.f(b)); n != 3-tt.left || s != n || len(f.gone) != n || f.Stats().Sessions[1] != tt.left {
				t.Errorf("flushed %d of %d mappings, reported %d, left %d", s, n, len(f.gone), f.Stats().Sessions[1])
			}
			f.check()
		})
	}
}

func TestWalkShowsWhoBeganAndStopsWhenTold(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 2)), 0, 5)
	f.in(b.Proto, b.Outside, at(serverZ, 3), 0, 6)
	began := map[frame.Endpoint]bool{}
	f.Walk(func(s SessionInfo) bool {
		began[s.Remote] = s.FromInside
		if s.Outside != b.Outside || s.Profile != "A" || s.Group.Name != "G" {
			t.Errorf("session %+v", s)
		}
		return true
	})
	want := map[frame.Endpoint]bool{at(serverY, 2): true, at(serverZ, 3): false}
	if d := cmp.Diff(want, began); d != "" {
		t.Error(d)
	}
	n := 0
	f.Walk(func(SessionInfo) bool { n++; return false })
	if n != 1 {
		t.Errorf("walked on for %d sessions", n)
	}
}

func TestOnlyTheSessionOfARemoteIsUsedWhereTwoMappingsAdmitIt(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Filtering: EIF})) // APDM: a mapping for each server
	x := at(subscriber, 1)
	y := f.mustOut(udp(x, at(serverY, 1)), 0, 0)
	z := f.mustOut(udp(x, at(serverZ, 1)), 0, 100*second)
	if _, why := f.in(y.Proto, y.Outside, z.Remote, 0, 110*second); why != drop.Filtered {
		t.Errorf("a server through another server's mapping: %v, want filtered", why)
	}
	f.reply(z, 0, 110*second, drop.None)
	f.mustOut(y.Tuple, 0, 110*second)
	if _, why := f.in(y.Proto, y.Outside, z.Remote, 0, 230*second); why != drop.None {
		t.Errorf("after its own session ended: %v", why)
	}
	f.check()
}

func TestTheIdentifierOfAnEndedSessionDoesNotReachItsSuccessor(t *testing.T) {
	f := build(t, config(nat1))
	tup := udp(at(subscriber, 1), at(serverY, 2))
	old := f.mustOut(tup, 0, 0)
	f.RemoveMapping(old.Mapping)
	b := f.mustOut(tup, 0, 1)
	f.RemoveMapping(old.Mapping)
	f.SetIdle(old.Mapping, 1)
	f.FlowActive(old.Session, true, 100*second, 5, 5)
	if got, ok := f.FindOut(tup); !ok || got != b {
		t.Errorf("%+v, want %+v untouched", got, b)
	}
	f.reply(b, 0, 121*second, drop.NoMapping)
}

func TestStaleAndWildIdentifiersAreHarmless(t *testing.T) {
	f := build(t, config(nat1))
	for _, id := range []uint64{0, 1, 1 << 32, 63<<56 | 1<<32 | 1, math.MaxUint64} {
		f.RemoveMapping(id)
		f.SetIdle(id, 1)
		f.FlowActive(id, true, 1, 1, 1)
	}
	f.check()
}

func TestTheHitPathAllocatesNothing(t *testing.T) {
	f := build(t, config(nat1))
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 2)), 0, 0)
	n := testing.AllocsPerRun(100, func() {
		out, _ := f.DecideOut(b.Tuple, Hints{}, 1)
		f.CommitOut(&out, 1)
		in, _ := f.DecideIn(b.Proto, b.Outside, b.Remote, Hints{}, 1)
		f.CommitIn(&in, 1)
		f.FindIn(b.Proto, b.Outside, b.Remote)
		f.FlowActive(b.Session, true, 1, 1, 1)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
