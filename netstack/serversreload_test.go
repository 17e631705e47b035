package netstack

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// with is the settings of a world with other listeners.
func (w *world) with(fn func(*vserver.Config)) Settings {
	s := w.on(natAddr)
	fn(&s.Listeners)
	return s
}

// fifths are servers for a fifth of the other site each, and what a reload makes
// of them.
var fifths = []struct {
	name, destination string
	after             func(*vserver.Server) // nil: it is gone
	legal             func(port uint16) bool
}{
	{"stays", "10.1.1.0/27", func(*vserver.Server) {}, func(uint16) bool { return true }},
	{"narrower", "10.1.1.32/27", func(s *vserver.Server) { s.Port, s.Protocol = 80, frame.ProtoTCP }, func(port uint16) bool { return port == 80 }},
	{"off", "10.1.1.64/27", func(s *vserver.Server) { s.Disabled = true }, func(uint16) bool { return true }},
	{"elsewhere", "10.1.1.96/27", func(s *vserver.Server) { *s = on(*s, wanIf); s.ConnectionLimit = 1 }, func(uint16) bool { return true }},
	{"gone", "10.1.1.128/27", nil, func(uint16) bool { return false }},
	{"refuses", "10.1.1.160/27", rejecting, func(uint16) bool { return false }},
}

func TestVR11_AReloadUnderAThousandConnectionsResetsOnlyThoseThatAreNotLegalAnyMore(t *testing.T) {
	var before, after []vserver.Server
	for _, f := range fifths {
		s := forwarding(f.name, f.destination)
		before = append(before, s)
		if f.after != nil {
			after = append(after, change(s, f.after))
		}
	}
	after = append(after, forwarding("added", "10.1.1.192/27"))
	// With room to grow into the flow table finds a place for each flow at once,
	// and not two sweeps later.
	w := newSites(t, serving(before...), func(c *Config) { c.Flows = 1 << 15 })
	var talks []*talk
	var legal []bool
	for i := range 1020 {
		f := i % len(fifths)
		port := uint16(80 + i/len(fifths)%2)
		remote := netip.MustParsePrefix(fifths[f].destination).Addr().As4()
		remote[3] += byte(1 + i%20)
		k := w.talk(true, at(near, uint16(20000+i)), at(remote, port)).shake().chat(1 + i%2)
		talks, legal = append(talks, k), append(legal, fifths[f].legal(port))
	}
	counted := map[string]vserver.Stats{}
	w.wait(1)
	for _, f := range fifths {
		counted[f.name] = w.stats(vserver.KindServer, f.name)
	}
	for i, k := range talks { // the fast path has numbers that no sweep has told
		if i%5 == 0 {
			k.chat(1)
		}
	}
	w.reload(w.with(func(c *vserver.Config) { c.Servers = after }))

	type ends struct{ from, to frame.Endpoint }
	told := map[ends][]rst{}
	for _, x := range append(w.resets(w.atLAN()), w.resets(w.atWAN())...) {
		told[ends{x.from, x.to}] = append(told[ends{x.from, x.to}], x)
	}
	alive := 0
	for i, k := range talks {
		if legal[i] {
			alive++
		}
		for side := range vserver.Remote + 1 {
			got := told[ends{k.seen[1-side], k.ends[side]}]
			want := []rst{{k.seen[1-side], k.ends[side], k.acked[side], k.next[side], frame.TCPRst | ack}}
			if legal[i] {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Errorf("connection %d to %v, side %d was told %+v, want %+v", i, k.ends[1], side, got, want)
			}
		}
	}
	if n, flows := w.r.conns.Len(), w.r.flows.Stats().Entries; n != alive || flows != 2*alive {
		t.Errorf("%d connections and %d flows, want %d and twice that", n, flows, alive)
	}
	hits := w.r.flows.Stats().Hits
	for i, k := range talks {
		if legal[i] {
			k.chat(1)
		}
	}
	if n := w.r.flows.Stats().Hits - hits; n != uint64(2*alive) {
		t.Errorf("%d segments of %d took the fast path", n, 2*alive)
	}
	w.wait(1)
	for _, f := range fifths {
		if f.after == nil {
			continue
		}
		s := w.stats(vserver.KindServer, f.name)
		if old := counted[f.name]; s.Total != old.Total || s.Maximum != old.Maximum || s.PacketsIn < old.PacketsIn || s.Current+int64(s.Closed) != 170 {
			t.Errorf("%s: before %+v\nafter %+v", f.name, old, s)
		}
	}
	w.newOnes()
	for i, k := range talks {
		if legal[i] {
			k.part()
		}
	}
	if d := w.dropped(); len(d) != 4 {
		t.Errorf("dropped %v", d)
	}
}

// newOnes begins a flow to each fifth after the reload.
func (w *world) newOnes() {
	w.t.Helper()
	for destination, why := range map[string]drop.Reason{
		"10.1.1.64": drop.VSDisabled, "10.1.1.96": drop.VLANMiss, "10.1.1.128": drop.NoListener, "10.1.1.160": drop.VSRejected,
	} {
		w.wantDrop(why, 1, func() { w.fromLAN(segment(at(near, 1), at(addr(destination), 80), 1, 0, syn, "")) })
	}
	w.atLAN() // the refusal
	for _, destination := range []string{"10.1.1.0", "10.1.1.32", "10.1.1.192"} {
		w.talk(true, at(near, 1), at(addr(destination), 80)).shake().part()
	}
}

// The addresses that servers, NATs and SNATs translate to are ours for as long
// as somebody has them: ARP is answered, who is new is announced, and
// connections end when their address goes.
func TestVR11_TranslationAddressesComeAndGoWithAReload(t *testing.T) {
	a, b, c := addr("203.0.113.50"), addr("203.0.113.51"), addr("203.0.113.52")
	host := addr("10.2.1.9")
	set := func(snat, nat, own frame.Addr) func(*vserver.Config) {
		return func(v *vserver.Config) {
			v.SNATs = []vserver.SNAT{{Name: "s", Origins: prefixes("10.2.1.1/32"), Translations: []netip.Addr{snat.Netip()}}}
			v.NATs = []vserver.NAT{{Name: "n", Originating: host.Netip(), Translation: nat.Netip()}}
			v.Servers = []vserver.Server{change(forwarding("v", "10.1.1.0/24"), func(s *vserver.Server) {
				s.Source, s.SourceTranslation, s.Translations = prefixes("10.2.1.2/32")[0], vserver.TranslateSNAT, []netip.Addr{own.Netip()}
			})}
		}
	}
	w := newSites(t, func(x *Config) { set(a, b, c)(&x.Listeners) })
	w.neighbor(lanIf, host)
	talks := map[frame.Addr]*talk{}
	for client, as := range map[frame.Addr]frame.Addr{near: a, host: b, near2: c} {
		k := w.talk(true, at(client, 40000), at(far, 80))
		k.seen[vserver.Client] = at(as, 40000)
		talks[client] = k.shake().chat(2)
	}
	x, y := addr("203.0.113.60"), addr("203.0.113.61")
	w.reload(w.with(set(a, x, y))) // the SNAT stays, the others change
	frames := w.wan.Drain()
	got := announced(frames)
	slices.SortFunc(got, func(p, q frame.Addr) int { return slices.Compare(p[:], q[:]) })
	if !slices.Equal(got, []frame.Addr{x, y}) {
		t.Errorf("announced %v, want the new ones alone", got)
	}
	for about, yes := range map[frame.Addr]bool{a: true, b: false, c: false, x: true, y: true} {
		if w.answersFor(about) != yes {
			t.Errorf("ARP for %v is answered: %v", about, !yes)
		}
	}
	if n := w.r.conns.Len(); n != 1 {
		t.Errorf("%d connections are left, want the SNAT's", n)
	}
	near2s := talks[near2]
	want := []rst{{near2s.seen[0], near2s.ends[1], near2s.acked[1], near2s.next[1], frame.TCPRst | ack}}
	if got := w.resets(ipv4In(frames)); !slices.Equal(got, want) {
		t.Errorf("outside was told %+v, want %+v", got, want)
	}
	w.atLAN()
	talks[near].chat(2).part()
	for client, as := range map[frame.Addr]frame.Addr{near: a, host: x, near2: y} {
		k := w.talk(true, at(client, 40001), at(far, 80))
		k.seen[vserver.Client] = at(as, 40001)
		k.shake()
	}
}

// What cannot be taken changes nothing, and says all that is wrong.
func TestVR11_ARefusedReloadLeavesListenersAndConnections(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(2)
	for i, bad := range [][]vserver.Server{
		{change(ipsec0(), func(s *vserver.Server) { s.Mirror = true })},
		{forwarding("a", "10.0.0.0/8"), forwarding("b", "10.0.0.0/8")},
	} {
		if _, err := w.r.Reload(w.with(func(c *vserver.Config) { c.Servers = bad })); err == nil {
			t.Errorf("%d was taken", i)
		}
	}
	w.none(w.atLAN())
	k.chat(2).part()
	w.talk(true, at(near, 40001), at(far, 80)).shake()
	if n := w.stats(vserver.KindServer, "ipsec-0").Total; n != 2 {
		t.Errorf("%d connections", n)
	}
}

// A profile that wants to see every packet takes what is there off the fast
// path.
func TestVR11_AProfileThatChangesHoldsForTheConnectionsThatAreThere(t *testing.T) {
	for _, lsn := range []bool{false, true} {
		group := func(s *vserver.Server) {
			if lsn {
				s.SourceTranslation, s.Group = vserver.TranslateLSN, "G"
			}
		}
		servers := []vserver.Server{change(forwarding("site", "10.1.1.0/24"), group)}
		w := newSites(t, serving(servers...))
		k := w.talk(true, at(client1, 40000), at(far, 80))
		if lsn {
			k.seen[vserver.Client] = at(natAddr, w.through(k))
		}
		k.shake().chat(3)
		if w.r.flows.Stats().Entries != 2 {
			t.Fatalf("%d flows", w.r.flows.Stats().Entries)
		}
		w.reload(w.with(func(c *vserver.Config) {
			c.Servers = servers
			c.Profiles = []vserver.FastL4{{Name: "fastL4", PreserveTTL: true, IdleTimeout: 20 * time.Second}}
		}))
		for range 3 {
			if p := w.one(k.give(vserver.Client, k.segment(vserver.Client, ack, ""))); p.TTL() != 64 {
				t.Errorf("LSN %v: TTL %d", lsn, p.TTL())
			}
			if p := w.one(k.give(vserver.Remote, k.segment(vserver.Remote, ack, ""))); p.TTL() != 64 {
				t.Errorf("LSN %v: TTL %d of an answer", lsn, p.TTL())
			}
		}
		if n := w.r.flows.Stats().Entries; n != 0 {
			t.Errorf("LSN %v: %d flows", lsn, n)
		}
		w.wait(22)
		k.acked = [2]uint32{k.next[1], k.next[0]}
		k.resetBoth()
	}
}

// through sends a talk's SYN and returns the port that it leaves from; the talk
// repeats it.
func (w *world) through(k *talk) uint16 {
	w.t.Helper()
	p := w.one(k.give(vserver.Client, k.segment(vserver.Client, syn, "")))
	return p.SrcPort
}
