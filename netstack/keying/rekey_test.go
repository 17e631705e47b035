package keying

import (
	"slices"
	"testing"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

func (g *gate) order(err error) {
	g.w.t.Helper()
	if err != nil {
		g.w.t.Fatal(err)
	}
}

func TestARekeyingFromAnySideLosesNoPacket(t *testing.T) {
	for name, c := range map[string]struct{ a, b, ike, secrecy bool }{
		"from the first":                 {a: true},
		"from the second":                {b: true},
		"from both":                      {a: true, b: true},
		"from both, with another secret": {a: true, b: true, secrecy: true},
		"of the IKE SA":                  {a: true, ike: true},
		"of the IKE SA from both":        {a: true, b: true, ike: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, b := tunnel(t, func(a, b *setup) {
				if c.secrecy {
					a.config.Peers[0].Children[0].Proposals[0].Groups = []ike.Group{ike.X25519}
					b.config.Peers[0].Children[0].Proposals[0].Groups = []ike.Group{ike.X25519}
				}
			})
			first := a.db.List(w.now)[0].SPI
			again := func(g *gate, peer string) {
				if c.ike {
					g.order(g.keys.Rekey(peer))
				} else {
					g.order(g.keys.RekeyChild("net"))
				}
			}
			lost := w.stream(a, b, 20*time.Second, time.Millisecond, func(i int) {
				if c.a && i%3000 == 1000 {
					again(a, "b.example")
				}
				if c.b && i%3000 == 1000 {
					again(b, "a.example")
				}
			})
			if lost != 0 {
				t.Fatalf("%d packets were lost\n%s", lost, w.history())
			}
			w.run(10 * time.Second)
			w.agree(a, b, 1)
			n := a.keys.Counters()
			if c.ike && n.IKERekeys < 5 || !c.ike && n.ChildRekey < 5 || !c.ike && a.db.List(w.now)[0].SPI == first {
				t.Fatalf("rekeyed %d and %d times\n%s", n.IKERekeys, n.ChildRekey, w.history())
			}
		})
	}
}

// Packets may be sealed at any moment: when the other end reads the delete,
// none may follow on the old pair.
func TestNothingFollowsTheDeleteOnTheOldPair(t *testing.T) {
	w, a, _ := tunnel(t, nil)
	deletes := 0
	w.tap = func(p *parcel) bool {
		if is(p, 37, false) && p.from.Addr() == a.addr {
			deletes++
			if out := a.selector("net").Info().Outbound; len(out) != 2 || out[0] != a.youngest().child.Out {
				t.Errorf("outbound %08x\n%s", out, w.history())
			}
		}
		return true
	}
	a.order(a.keys.RekeyChild("net"))
	w.run(time.Second)
	if deletes != 1 {
		t.Errorf("%d deletes", deletes)
	}
}

func TestLifetimesRekeyByThemselvesForADay(t *testing.T) {
	w, a, b := tunnel(t, nil)
	if lost := w.stream(a, b, 24*time.Hour, time.Minute, nil); lost != 0 {
		t.Fatalf("%d packets were lost\n%s", lost, w.history())
	}
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	if n := a.keys.Counters(); n.ChildRekey < 24 || n.IKERekeys < 6 || n.IKEUps != 1 {
		t.Errorf("%+v", n)
	}
}

// heldBack lets b rekey and cuts the wire towards b before a's answer is known
// there: a has the new pair, b has not.
func heldBack(t *testing.T) (w *world, a, b *gate) {
	t.Helper()
	w, a, b = tunnel(t, nil)
	w.tap = func(p *parcel) bool { return p.esp || p.from.Addr() != a.addr }
	b.order(b.keys.RekeyChild("net"))
	w.run(100 * time.Millisecond)
	if !a.keys.Waiting() || b.keys.Waiting() || len(a.keys.pairs) != 2 || len(b.keys.pairs) != 1 {
		t.Fatalf("nothing is held back\n%s", w.history())
	}
	a.sound()
	return w, a, b
}

// youngest is the pair that replaces another.
func (g *gate) youngest() *pair {
	g.w.t.Helper()
	for _, p := range g.keys.pairs {
		if p.child.Replaces != 0 {
			return p
		}
	}
	g.w.t.Fatal("no pair replaces another")
	return nil
}

func TestTheOldPairIsUsedUntilTheOtherEndHasTheNewOne(t *testing.T) {
	w, a, b := heldBack(t)
	n := a.send(b)
	w.run(100 * time.Millisecond)
	if b.got[n] != 1 {
		t.Fatalf("it was sent on a pair that the other end does not have\n%s", w.history())
	}
	for _, v := range a.keys.View(w.now) {
		if len(v.Children) == 2 && !v.Children[1].Hold {
			t.Errorf("the view does not tell that it is held back: %+v", v.Children)
		}
	}
	w.tap = nil
	w.run(20 * time.Second)
	w.agree(a, b, 1)
	if a.keys.Waiting() {
		t.Error("it still waits")
	}
	if a.keys.View(w.now)[0].Children[0].Hold {
		t.Error("the view still says that it is held back")
	}
}

func TestTheFirstPacketOnTheNewPairEndsTheHold(t *testing.T) {
	w, a, b := heldBack(t)
	// The answer comes, and then all of IKE is lost: only ESP can tell.
	w.tap = func(p *parcel) bool { return p.esp || len(b.keys.pairs) == 1 }
	w.run(3 * time.Second)
	if len(b.keys.pairs) != 2 {
		t.Fatalf("the answer was not repeated\n%s", w.history())
	}
	b.send(a)
	w.run(100 * time.Millisecond)
	young := a.youngest()
	if young.out == nil || a.keys.Waiting() {
		t.Fatalf("it is still held back\n%s", w.history())
	}
	if got := a.selector("net").Info().Outbound; len(got) != 2 || got[0] != young.child.Out {
		t.Errorf("outbound %08x; want %08x first", got, young.child.Out)
	}
	w.tap = nil
	w.run(30 * time.Second)
	w.agree(a, b, 1)
}

func TestAPairThatWaitsTakesOverWhenTheOldOneIsUsedUp(t *testing.T) {
	w, a, b := heldBack(t)
	old := a.keys.sorted()[0]
	if old.held {
		old = a.keys.sorted()[1]
	}
	a.keys.Event(ipsec.Event{Kind: ipsec.SAEnded, SA: old.out})
	w.run(100 * time.Millisecond)
	if old.out != nil || len(a.selector("net").Info().Outbound) != 1 || a.keys.Waiting() {
		t.Fatalf("outbound %08x\n%s", a.selector("net").Info().Outbound, w.history())
	}
	w.tap = nil
	w.run(3 * time.Minute)
	a.sound()
	b.sound()
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("the tunnel did not survive\n%s", w.history())
	}
	w.agree(a, b, 1)
}

// Its outbound SA ended a moment ago, and nobody has noticed but a packet.
func TestAPacketWithoutAnSAEndsTheHold(t *testing.T) {
	w, a, _ := heldBack(t)
	a.keys.Acquire("net")
	a.keys.Work(w.now)
	if a.keys.Waiting() || len(a.selector("net").Info().Outbound) != 2 {
		t.Fatalf("it is still held back\n%s", w.history())
	}
	a.sound()
}

func TestWhatEndsTogetherDoesNotTakeOver(t *testing.T) {
	w, a, _ := heldBack(t)
	before := len(a.released)
	a.order(a.keys.Terminate("b.example"))
	a.keys.Work(w.now)
	if len(a.released) != before || len(a.db.List(w.now)) != 0 || len(a.keys.rests) != 0 {
		t.Fatalf("released %v\n%s", a.released, w.history())
	}
}

// child is one of a's, as the engine would have it installed.
func (g *gate) child(in, replaces uint32, hold bool) ike.Action {
	p := g.keys.sorted()[0].child
	p.In, p.Out, p.Replaces, p.Hold = in, in+1, replaces, hold
	p.KeysIn, p.KeysOut = ike.Keys{Cipher: []byte("a key and its salt..")}, ike.Keys{Cipher: []byte("another key and salt")}
	return ike.Action{Kind: ike.Install, Child: &p}
}

func TestTheYoungestOfSeveralThatWaitIsTheFirstChoice(t *testing.T) {
	w, a, _ := tunnel(t, nil)
	k, old := a.keys, a.keys.sorted()[0].child
	k.do([]ike.Action{a.child(0x1000, old.In, true)})
	k.do([]ike.Action{a.child(0x2000, 0x1000, true)})
	if out := a.selector("net").Info().Outbound; len(out) != 1 || !k.Waiting() {
		t.Fatalf("outbound %08x", out)
	}
	k.Heard(0x2000)
	k.Work(w.now)
	if out := a.selector("net").Info().Outbound; !slices.Equal(out, []uint32{0x2001, 0x1001, old.Out}) || k.Waiting() {
		t.Errorf("outbound %08x", out)
	}
}

func TestTheTimeNeverGoesBack(t *testing.T) {
	w, a, _ := tunnel(t, nil)
	a.order(a.keys.Terminate("b.example"))
	a.keys.Work(w.now - 5*second) // who read the clock earlier comes in later
	for i, v := range a.events[1:] {
		if v.At < a.events[i].At || v.At < w.now-second && v.Kind == ike.IKEDown {
			t.Errorf("%v after %v", v, a.events[i])
		}
	}
}

func TestKeysThatWereHeldBackAreWiped(t *testing.T) {
	w, a, _ := heldBack(t)
	young := a.youngest()
	key := young.later.Keys.Encrypt
	if allZero(key) {
		t.Fatal("there is no key")
	}
	a.keys.End(w.now)
	if !allZero(key) || young.later != nil || len(a.db.List(w.now)) != 0 || a.keys.Waiting() {
		t.Error("the key of the half that was held back is still there")
	}
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// The database has copies: what the engine handed over is overwritten.
func TestKeysAreWipedOnceTheDatabaseHasThem(t *testing.T) {
	w, a, _ := tunnel(t, nil)
	c := ike.ChildSA{
		Peer: "b.example", Name: "net", In: 0x1000, Out: 0x2000, Cipher: ike.AESGCM128,
		Local: a.keys.sorted()[0].child.Local, Remote: a.keys.sorted()[0].child.Remote,
		LocalSelectors: a.config.Peers[0].Children[0].Local, RemoteSelectors: a.config.Peers[0].Children[0].Remote,
		KeysIn: ike.Keys{Cipher: []byte("a key and its salt..")}, KeysOut: ike.Keys{Cipher: []byte("another key and salt")},
	}
	for name, change := range map[string]func(c *ike.ChildSA){
		"installed":          func(*ike.ChildSA) {},
		"of no selector":     func(c *ike.ChildSA) { c.Name = "nobody" },
		"beyond it":          func(c *ike.ChildSA) { c.LocalSelectors = []ike.Selector{ike.PrefixSelector(net4("10.0.0.0/8"))} },
		"of another mode":    func(c *ike.ChildSA) { c.Mode = ike.Transport },
		"of no known cipher": func(c *ike.ChildSA) { c.Cipher = 99 },
		"of IPv6":            func(c *ike.ChildSA) { c.LocalSelectors = []ike.Selector{ike.PrefixSelector(net4("2001:db8::/32"))} },
		"with a bad key":     func(c *ike.ChildSA) { c.KeysOut.Cipher = []byte("short") },
	} {
		x := c
		x.KeysIn.Cipher, x.KeysOut.Cipher = []byte(string(c.KeysIn.Cipher)), []byte(string(c.KeysOut.Cipher))
		change(&x)
		k := a.keys
		k.do([]ike.Action{{Kind: ike.Install, Child: &x}})
		k.finish()
		if !allZero(x.KeysIn.Cipher) || !allZero(x.KeysOut.Cipher) {
			t.Errorf("%s: its keys are still there", name)
		}
		if p := k.pairs[0x1000]; (p != nil) != (name == "installed") {
			t.Errorf("%s: it is installed: %v\n%s", name, p != nil, w.history())
		}
		k.do([]ike.Action{{Kind: ike.Remove, Child: &ike.ChildSA{In: 0x1000}}})
	}
	if n := len(a.said(ike.ChildFailed)); n != 6 {
		t.Errorf("%d failures were told\n%s", n, w.history())
	}
	for _, v := range a.said(ike.ChildFailed) {
		if v.Remedy == "" || v.Reason == "" {
			t.Errorf("%+v", v)
		}
	}
	w.run(10 * time.Second)
	a.sound()
}

func TestOctetsRekeyAPairOnceForBothHalves(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *setup) { a.config.Limits["net"] = Limits{Bytes: 16_000} })
	lost := w.stream(a, b, 20*time.Second, 100*time.Millisecond, nil) // about 1200 octets a second and direction
	if lost != 0 {
		t.Fatalf("%d packets were lost\n%s", lost, w.history())
	}
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	if n := a.keys.Counters().ChildRekey; n != 1 && n != 2 {
		t.Errorf("rekeyed %d times\n%s", n, w.history())
	}
}

func TestAPairThatIsUsedUpIsDeletedAndMadeAnew(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *setup) { a.config.Limits["net"] = Limits{Bytes: 16_000} })
	w.stream(a, b, time.Second, time.Millisecond, nil) // much more than it may
	if len(a.said(ike.ChildDown)) == 0 {
		t.Fatalf("it lives on\n%s", w.history())
	}
	w.run(20 * time.Second)
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("there is no successor\n%s", w.history())
	}
	w.agree(a, b, 1)
}

func TestSlowPacketsOnTheOldPairStillCount(t *testing.T) {
	w, a, b := tunnel(t, nil)
	var slow []parcel
	w.tap = func(p *parcel) bool {
		if p.esp && p.from.Addr() == b.addr {
			slow = append(slow, *p)
			return false
		}
		return true
	}
	n := b.send(a)
	w.tap = nil
	b.order(b.keys.RekeyChild("net"))
	w.run(2 * time.Second)
	if len(b.said(ike.ChildDown)) != 1 || len(a.said(ike.ChildDown)) != 1 {
		t.Fatalf("the old pair is still there\n%s", w.history())
	}
	for _, p := range slow {
		a.take(p)
	}
	if a.got[n] != 1 {
		t.Errorf("it was lost: %v", a.refused)
	}
	for _, left := range a.keys.Lingering(w.now) {
		if left < 2*time.Second || left > 4*time.Second {
			t.Errorf("it stays for %v more, want what is left of %v", left, lingers)
		}
	}
	if len(a.keys.Lingering(w.now)) != 1 {
		t.Error("nobody is told that it stays")
	}
	w.run(5 * time.Second)
	w.agree(a, b, 1)
	if len(a.keys.Lingering(w.now)) != 0 || len(a.db.List(w.now)) != 2 {
		t.Errorf("old halves stay\n%s", w.history())
	}
}
