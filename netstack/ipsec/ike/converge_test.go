package ike

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBothEndsConverge plays a bad network, both ends beginning, rekeying and
// deleting whenever they like, and then a good one: in the end both have
// exactly the same pairs of ESP SAs, and nothing else is left.
func TestBothEndsConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, rapid.Uint64().Draw(rt, "seed"))
		ca, cb := pairOf()
		ca.Peers[0].Children[0].Up = true
		cb.Peers[0].Children[0].Up = rapid.Bool().Draw(rt, "both begin")
		if rapid.Bool().Draw(rt, "forward secrecy") {
			ca.Peers[0].Children[0].Proposals[0].Groups = []Group{X25519, ECP256}
			cb.Peers[0].Children[0].Proposals[0].Groups = []Group{ECP256, X25519}
		}
		cb.CookiesFrom = rapid.SampledFrom([]int{-1, 32}).Draw(rt, "cookies")
		a, b := w.add(ca), w.add(cb)
		w.loss = rapid.Float64Range(0, 0.4).Draw(rt, "loss")
		w.dup = rapid.Float64Range(0, 0.3).Draw(rt, "dup")
		w.delay = int64(rapid.IntRange(1, 5000).Draw(rt, "delay")) * int64(time.Millisecond)
		for range rapid.IntRange(0, 40).Draw(rt, "steps") {
			play(rt, w, rapid.SampledFrom(w.hosts).Draw(rt, "host"))
		}
		w.loss, w.dup = 0, 0
		w.run(15 * time.Minute)
		one := settle(w, a, b)
		if !one {
			rt.Fatalf("the children did not become stable\n%s", w.history())
		}
		if len(a.children) == 0 {
			rt.Fatalf("nothing is up\n%s", w.history())
		}
		w.agree(a, b, len(a.children))
		closeBoth(rt, w, a, b)
	})
}

// play does one thing at one end and lets some time pass.
func play(rt *rapid.T, w *world, h *host) {
	other := w.hosts[0]
	if other == h {
		other = w.hosts[1]
	}
	peer := h.e.peers[0].Name
	switch rapid.IntRange(0, 7).Draw(rt, "what") {
	case 0, 1:
		h.initiate(peer, "net")
	case 2, 3:
		for _, in := range h.inbound() {
			h.do(h.e.RekeyChild(in, w.now))
		}
		if rapid.Bool().Draw(rt, "at both ends") {
			for _, in := range other.inbound() {
				other.do(other.e.RekeyChild(in, w.now))
			}
		}
	case 4, 5:
		h.do(h.e.Rekey(peer, w.now))
		if rapid.Bool().Draw(rt, "at both ends") {
			other.do(other.e.Rekey(other.e.peers[0].Name, w.now))
		}
	case 6:
		for _, in := range h.inbound() {
			h.do(h.e.DeleteChild(in, w.now))
		}
	case 7:
		if rapid.IntRange(0, 3).Draw(rt, "close") == 0 {
			h.do(h.e.Close(peer, w.now))
		}
	}
	w.run(time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "ms")) * time.Millisecond)
}

// settle reports whether both ends have nothing under way, soon.
func settle(w *world, a, b *host) bool {
	for range 100 {
		busy := len(w.queue)
		for _, h := range []*host{a, b} {
			for _, sa := range h.e.list {
				busy += len(sa.allTasks())
				if sa.state != stateUp {
					busy++
				}
			}
		}
		if busy == 0 {
			return true
		}
		w.run(3 * time.Second)
	}
	return false
}

// closeBoth ends everything and checks that nothing is left.
func closeBoth(rt *rapid.T, w *world, a, b *host) {
	a.do(a.e.CloseAll(w.now))
	for _, p := range b.e.peers {
		for i := range p.Children {
			p.Children[i].Up = false
		}
	}
	w.run(10 * time.Minute)
	for _, h := range []*host{a, b} {
		if len(h.children) != 0 || len(h.e.list) != 0 || len(h.e.bySPI) != 0 || len(h.e.spis) != 0 || len(h.e.inits) != 0 || len(h.e.graves) != 0 || h.e.NextDeadline() != Never {
			rt.Fatalf("%v keeps %d children, %d IKE SAs, %d SPIs, %d graves, deadline %d\n%s", h.addr, len(h.children), len(h.e.list), len(h.e.spis), len(h.e.graves), h.e.NextDeadline(), w.history())
		}
	}
}
