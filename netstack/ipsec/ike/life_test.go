package ike

import (
	"testing"
	"time"
)

func TestBothEndsBeginAtOnce(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		ca, cb := pairOf()
		a, b := w.add(ca), w.add(cb)
		a.initiate("b", "net")
		b.initiate("a", "net")
		w.run(time.Minute)
		w.agree(a, b, 1)
		if len(a.e.list) != 1 {
			t.Fatalf("%d IKE SAs\n%s", len(a.e.list), w.history())
		}
	}
}

func TestBothEndsRekeyAChildAtOnce(t *testing.T) {
	collisions := uint64(0)
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		ca, cb := pairOf()
		a, b := w.add(ca), w.add(cb)
		a.initiate("b", "net")
		w.run(time.Second)
		a.do(a.e.RekeyChild(one(a).In, w.now))
		b.do(b.e.RekeyChild(one(b).In, w.now))
		w.run(time.Minute)
		w.agree(a, b, 1)
		if a.count(ChildFailed)+b.count(ChildFailed) != 0 {
			t.Fatal(w.history())
		}
		if a.e.ChildRekey == 2 {
			collisions++
		}
	}
	if collisions < 20 {
		t.Fatalf("%d collisions of 50", collisions)
	}
}

func TestBothEndsRekeyTheIKESAAtOnce(t *testing.T) {
	collisions := 0
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		ca, cb := pairOf()
		a, b := w.add(ca), w.add(cb)
		a.initiate("b", "net")
		w.run(time.Second)
		number := a.e.number
		a.do(a.e.Rekey("b", w.now))
		b.do(b.e.Rekey("a", w.now))
		// When the delete of the old SA overtakes the loser's answer, the
		// loser forgets its own: the winner drops that one after lameTime.
		w.run(3 * time.Minute)
		w.agree(a, b, 1)
		if len(a.e.list) != 1 || a.e.list[0].state != stateUp || a.count(ChildDown) != 0 {
			t.Fatal(w.history())
		}
		if a.e.number == number+2 {
			collisions++
		}
		// The survivor works in both directions.
		a.do(a.e.RekeyChild(one(a).In, w.now))
		w.run(time.Second)
		b.do(b.e.RekeyChild(one(b).In, w.now))
		w.run(time.Second)
		w.agree(a, b, 1)
	}
	if collisions < 20 {
		t.Fatalf("%d collisions of 50", collisions)
	}
}

func TestOneRekeysTheIKESAWhileTheOtherRekeysAChild(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		ca, cb := pairOf()
		a, b := w.add(ca), w.add(cb)
		a.initiate("b", "net")
		w.run(time.Second)
		a.do(a.e.Rekey("b", w.now))
		b.do(b.e.RekeyChild(one(b).In, w.now))
		w.run(time.Minute)
		w.agree(a, b, 1)
		if a.e.IKERekeys != 1 || a.e.ChildRekey != 1 {
			t.Fatalf("%d and %d rekeyed\n%s", a.e.IKERekeys, a.e.ChildRekey, w.history())
		}
	}
}

func TestBothEndsDeleteAChildAtOnce(t *testing.T) {
	w, a, b := tunnel(t, nil)
	a.do(a.e.DeleteChild(one(a).In, w.now))
	b.do(b.e.DeleteChild(one(b).In, w.now))
	w.run(time.Minute)
	w.agree(a, b, 0)
	if len(a.e.list) != 1 {
		t.Fatal("the IKE SA went with its child")
	}
	a.initiate("b", "net")
	w.run(time.Second)
	w.agree(a, b, 1)
}

func TestADayOfLifetimes(t *testing.T) {
	w, a, b := tunnel(t, func(a, b *Config) { a.Peers[0].Children[0].Up = true })
	w.loss, w.dup = 0.1, 0.1
	for range 24 {
		w.run(time.Hour)
		if len(a.children) == 0 || len(b.children) == 0 {
			t.Fatalf("nothing is up\n%s", w.history())
		}
	}
	w.loss = 0
	w.run(10 * time.Minute)
	w.agree(a, b, len(a.children))
	if n := a.e.ChildRekey; n < 24 || n > 40 || a.e.IKERekeys < 6 || a.e.IKERekeys > 10 {
		t.Fatalf("%d children and %d IKE SAs rekeyed in a day", n, a.e.IKERekeys)
	}
	if a.count(PeerDead) != 0 || a.e.IKEUps != 1 {
		t.Fatal(w.history())
	}
}

func TestADeadPeerIsNoticedAndComesBack(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *Config) { a.Peers[0].Children[0].Up = true })
	b.off = true
	w.run(5 * time.Minute)
	if a.count(PeerDead) != 1 || len(a.children) != 0 {
		t.Fatal(w.history())
	}
	b.off = false
	w.run(5 * time.Minute)
	w.agree(a, b, 1)
}

func TestAPeerThatRestartsSaysSo(t *testing.T) {
	w, a, b := tunnel(t, nil)
	_, cb := pairOf()
	cb.Peers[0].Children[0].Up = true
	w.hosts = w.hosts[:1]
	fresh := w.add(cb)
	b.off = true
	w.run(5 * time.Second)
	w.agree(a, fresh, 1)
	if v := a.said(IKEDown); v == nil || v.Reason != "the peer began anew" {
		t.Fatal(w.history())
	}
}

func TestAQuietPeerIsAskedWhetherItLives(t *testing.T) {
	w, a, b := tunnel(t, nil)
	sent := a.sent
	w.run(10 * time.Minute)
	if n := a.sent - sent; n < 8 || n > 42 {
		t.Fatalf("%d messages in ten minutes", n)
	}
	w.agree(a, b, 1)
	w, a, b = tunnel(t, func(a, b *Config) { a.Peers[0].DPDDelay, b.Peers[0].DPDDelay = -1, -1 })
	sent = a.sent
	w.run(10 * time.Minute)
	if a.sent != sent {
		t.Fatal("it is asked although that is off")
	}
	w.agree(a, b, 1)
}

func TestALostAnswerIsRepeatedBitByBit(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	a, b := w.add(ca), w.add(cb)
	seen, drop := map[string]int{}, map[string]bool{}
	w.tap = func(p packet) bool { // the first of each answer is lost
		h, _ := parseHeader(p.b)
		if !h.response() {
			return true
		}
		seen[string(p.b)]++
		lost := !drop[string(p.b)]
		drop[string(p.b)] = true
		return !lost
	}
	a.initiate("b", "net")
	w.run(time.Minute)
	a.do(a.e.RekeyChild(one(a).In, w.now))
	w.run(time.Minute)
	a.do(a.e.Rekey("b", w.now))
	w.run(time.Minute)
	w.agree(a, b, 1)
	for m, n := range seen {
		if n < 2 {
			t.Fatalf("an answer of %d octets was sent once", len(m))
		}
	}
	if b.e.IKEUps != 1 || b.e.ChildUps != 2 || b.e.IKERekeys != 1 || b.e.Duplicates < 5 {
		t.Fatalf("%+v", b.e.Counters)
	}
}

func TestKeysAreWipedAtTheEnd(t *testing.T) {
	w, a, b := tunnel(t, nil)
	var all []*ikeKeys
	var children []*ChildSA
	for _, h := range w.hosts {
		for _, sa := range h.e.list {
			all = append(all, sa.keys)
		}
		for _, c := range h.children {
			children = append(children, c)
		}
		for _, c := range h.e.spis {
			if len(c.pub.KeysIn.Cipher)+len(c.pub.KeysOut.Cipher) != 0 {
				t.Fatal("the engine keeps a child's keys")
			}
		}
	}
	a.do(a.e.Rekey("b", w.now))
	w.run(time.Second)
	all = append(all, a.e.list[0].keys, b.e.list[0].keys)
	a.do(a.e.Close("b", w.now))
	w.run(time.Second)
	for _, k := range all {
		for _, part := range [][]byte{k.material, k.d, k.ei, k.pr} {
			if len(part) == 0 || !zero(part) {
				t.Fatal("keys of an IKE SA are left")
			}
		}
	}
	for _, c := range children {
		if len(c.KeysIn.Cipher) == 0 || !zero(c.KeysIn.Cipher) || !zero(c.KeysOut.Cipher) {
			t.Fatal("keys of a child are left")
		}
	}
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func TestTheNewPairSaysWhatItReplacesAndWhetherToWait(t *testing.T) {
	w, a, b := tunnel(t, nil)
	oldA, oldB := one(a).In, one(b).In
	if one(a).Hold || one(b).Hold || one(a).Replaces != 0 {
		t.Fatal("a first pair waits for nothing")
	}
	w.tap = func(p packet) bool { // the delete of the old pair is lost
		h, _ := parseHeader(p.b)
		return h.exchange != exchangeInformational
	}
	a.do(a.e.RekeyChild(oldA, w.now))
	w.run(time.Second)
	if len(a.children) != 2 || len(b.children) != 2 {
		t.Fatal(w.history())
	}
	for in, c := range a.children {
		if in != oldA && (c.Hold || c.Replaces != oldA) {
			t.Fatalf("who began may send: %+v", *c)
		}
	}
	for in, c := range b.children {
		if in != oldB && (!c.Hold || c.Replaces != oldB) {
			t.Fatalf("who answered waits: %+v", *c)
		}
	}
	w.tap = nil
	w.run(10 * time.Second)
	w.agree(a, b, 1)
}
