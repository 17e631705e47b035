package keying

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/ipsec/ike"
)

// TestWhateverTheNetworkDoesBothDatabasesMatch plays a bad network, packets,
// rekeyings, used up SAs, reloads and power cuts at both ends, and then a good
// network: in the end both databases have the same pairs, packets pass both
// ways, and nothing else is left.
func TestWhateverTheNetworkDoesBothDatabasesMatch(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, rapid.Uint64().Draw(rt, "seed"))
		sa, sb := ends()
		for _, s := range []*setup{&sa, &sb} {
			k := &s.config.Peers[0].Children[0]
			k.Up = rapid.Bool().Draw(rt, "begins by itself")
			k.Lifetime = time.Duration(rapid.SampledFrom([]int{2, 60}).Draw(rt, "lifetime")) * time.Minute
			s.config.Limits["net"] = Limits{Bytes: rapid.SampledFrom([]uint64{0, 2_000}).Draw(rt, "octets")}
		}
		if rapid.Bool().Draw(rt, "behind a NAT") {
			w.nat[sa.local] = addr("203.0.113.7")
			sb.config.Peers[0].Remote, sb.config.Peers[0].Children[0].Up = addr("0.0.0.0"), false
		}
		a, b := w.add(sa), w.add(sb)
		w.loss = rapid.Float64Range(0, 0.4).Draw(rt, "loss")
		w.dup = rapid.Float64Range(0, 0.3).Draw(rt, "dup")
		w.spread = int64(rapid.IntRange(1, 3000).Draw(rt, "spread")) * int64(time.Millisecond)
		for range rapid.IntRange(0, 40).Draw(rt, "steps") {
			play(rt, w, rapid.SampledFrom([][2]*gate{{a, b}, {b, a}}).Draw(rt, "who"))
			a.sound()
			b.sound()
		}
		w.loss, w.dup, w.spread = 0, 0, 1
		w.natShift = 1000
		if !settle(w, a, b) {
			rt.Fatalf("%s\n%s", w.differ(a, b), w.history())
		}
		closeBoth(rt, w, a, b)
	})
}

// play lets one end do one thing, and some time pass.
func play(rt *rapid.T, w *world, g [2]*gate) {
	here, there := g[0], g[1]
	peer := here.config.Peers[0].Name
	switch rapid.IntRange(0, 11).Draw(rt, "what") {
	case 0, 1, 2, 3:
		for range rapid.IntRange(1, 20).Draw(rt, "packets") {
			here.send(there)
			w.run(50 * time.Millisecond)
		}
	case 4, 5:
		here.order(here.keys.RekeyChild("net"))
		if rapid.Bool().Draw(rt, "at both ends") {
			there.order(there.keys.RekeyChild("net"))
		}
	case 6:
		here.order(here.keys.Rekey(peer))
	case 7:
		here.order(here.keys.Terminate(peer))
	case 8:
		here.begin()
	case 9:
		here.apply()
	case 10: // a reload takes everything away and brings it back
		peers := here.config.Peers
		here.config.Peers = slices.Clone(peers)
		here.config.Peers[0].DPDDelay = time.Duration(rapid.IntRange(10, 40).Draw(rt, "dpd")) * time.Second
		here.apply()
	case 11:
		w.natShift = uint16(rapid.IntRange(1000, 1004).Draw(rt, "shift"))
	}
	w.run(time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "ms")) * time.Millisecond)
}

// settle reports whether both ends match soon, and packets pass.
func settle(w *world, a, b *gate) bool {
	w.run(15 * time.Minute)
	for range 100 {
		n := a.send(b)
		w.run(7 * time.Second) // longer than an old half lingers
		m := b.send(a)
		w.run(time.Second)
		a.sound()
		b.sound()
		if w.differ(a, b) == "" && len(a.keys.pairs) > 0 && b.got[n] == 1 && a.got[m] == 1 {
			return true
		}
	}
	return false
}

// closeBoth ends everything and checks that nothing is left.
func closeBoth(rt *rapid.T, w *world, a, b *gate) {
	a.keys.End(w.now)
	b.config = Config{}
	w.run(time.Second)
	b.apply()
	w.run(5 * time.Minute)
	for _, g := range []*gate{a, b} {
		k := g.keys
		if len(g.db.List(w.now)) != 0 || len(k.pairs)+len(k.bySA)+len(k.named)+len(k.rests)+len(k.out)+len(k.doomed)+len(k.queue.held) != 0 || k.due.Load() != ike.Never || k.queue.filled.Load() {
			rt.Fatalf("%v keeps something\n%s", g.addr, w.history())
		}
	}
}
