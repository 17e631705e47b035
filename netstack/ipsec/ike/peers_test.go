package ike

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestChangingOnePeerLeavesTheOthersAlone(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	cb.Peers[0].Children[0].Up = true
	other := cb.Peers[0]
	other.Name, other.Remote, other.RemoteID = "c", netip.MustParseAddr("192.0.2.3"), ident("c.example")
	other.Children = []Child{other.Children[0]}
	cb.Peers = append(cb.Peers, other)
	cc, _ := pairOf()
	cc.Peers[0].Local, cc.Peers[0].LocalID = other.Remote, ident("c.example")
	b, a, c := w.add(cb), w.add(ca), w.add(cc)
	w.run(10 * time.Second)
	if len(b.children) != 2 || len(a.children) != 1 || len(c.children) != 1 {
		t.Fatal(w.history())
	}
	kept := one(c).In
	if out, err := b.e.SetPeers(append(cb.Peers, Peer{Name: "d"}), w.now); err == nil || out != nil {
		t.Fatal("a fault is taken")
	}
	changed := pairPeers(cb.Peers)
	changed[0].Lifetime = 2 * time.Hour
	out, err := b.e.SetPeers(changed, w.now)
	if err != nil {
		t.Fatal(err)
	}
	b.do(out)
	w.run(20 * time.Second)
	if len(b.children) != 2 || len(a.children) != 1 || a.count(IKEDown) != 1 || c.count(IKEDown) != 0 || one(c).In != kept {
		t.Fatal(w.history())
	}
	out, err = b.e.SetPeers(changed[1:], w.now)
	if err != nil {
		t.Fatal(err)
	}
	b.do(out)
	w.run(20 * time.Second)
	if len(b.children) != 1 || len(a.children) != 0 || len(c.children) != 1 || len(b.e.list) != 1 {
		t.Fatal(w.history())
	}
	for _, h := range w.hosts {
		h.sound()
	}
}

// Other children of a peer are no reason to end its IKE SA: those that stay are
// not touched, those with another lifetime are rekeyed, what is not configured
// any more ends at both ends, and what is new comes up.
func TestOtherChildrenLeaveTheIKESAAlone(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	twoNets := func(c *Config, local, remote string) {
		more := c.Peers[0].Children[0]
		more.Name, more.Local, more.Remote = "more", net4(local), net4(remote)
		c.Peers[0].Children = append([]Child{c.Peers[0].Children[0]}, more)
	}
	single := pairPeers(cb.Peers)
	twoNets(&ca, "10.3.0.0/24", "10.4.0.0/24")
	twoNets(&cb, "10.4.0.0/24", "10.3.0.0/24")
	for i := range cb.Peers[0].Children {
		cb.Peers[0].Children[i].Up = true
	}
	single[0].Children[0].Up = true
	a, b := w.add(ca), w.add(Config{Peers: single})
	apply := func(list []Peer) {
		t.Helper()
		out, err := b.e.SetPeers(pairPeers(list), w.now)
		if err != nil {
			t.Fatal(err)
		}
		b.do(out)
		w.run(20 * time.Second)
	}
	w.run(10 * time.Second)
	first := b.spiOf("net")
	apply(cb.Peers)
	if b.spiOf("more") == 0 || b.spiOf("net") != first || len(a.children) != 2 {
		t.Fatal("one more:", w.history())
	}
	longer := pairPeers(cb.Peers)
	longer[0].Children[0].Lifetime = 2 * time.Hour
	more := b.spiOf("more")
	apply(longer)
	if b.spiOf("more") != more || b.spiOf("net") == first || len(a.children) != 2 || a.count(ChildFailed)+b.count(ChildFailed) != 0 {
		t.Fatal("another lifetime:", w.history())
	}
	first = b.spiOf("net")
	longer[0].Children = longer[0].Children[:1]
	apply(longer)
	if b.spiOf("more") != 0 || b.spiOf("net") != first || len(a.children) != 1 || a.count(ChildDown) != 2 {
		t.Fatal("one less:", w.history())
	}
	if a.count(IKEUp) != 1 || a.count(IKEDown)+b.count(IKEDown) != 0 {
		t.Fatal("the IKE SA began anew:", w.history())
	}
	for _, h := range w.hosts {
		h.sound()
	}
}

// spiOf is the inbound SPI of the only pair of a child, or 0.
func (h *host) spiOf(name string) (in uint32) {
	for _, c := range h.children {
		if c.Name != name {
			continue
		}
		if in != 0 {
			h.w.t.Fatal(name, "has several pairs")
		}
		in = c.In
	}
	return in
}

// pairPeers copies peers with their children.
func pairPeers(list []Peer) []Peer {
	out := append([]Peer{}, list...)
	for i := range out {
		out[i].Children = append([]Child{}, out[i].Children...)
	}
	return out
}

func TestOperatorsSeeWhatIsThere(t *testing.T) {
	w, a, b := tunnel(t, nil)
	w.run(time.Minute)
	v := a.e.View(w.now)
	if len(v) != 1 || v[0].State != "up" || v[0].Identity != "b.example" || v[0].Suite != "aes128-gcm-prfsha256-x25519" || !v[0].Initiator ||
		len(v[0].Children) != 1 || v[0].Children[0].In != one(a).In || v[0].Children[0].State != "up" || v[0].Quiet > 31*time.Second ||
		v[0].Age < time.Minute || v[0].Rekey < 3*time.Hour || v[0].End < v[0].Rekey || v[0].Children[0].Rekey > time.Hour {
		t.Fatalf("%+v", v)
	}
	if x := v[0].Children[0]; len(x.KeysIn.Cipher)+len(x.KeysOut.Cipher) != 0 {
		t.Fatal("a view has keys")
	}
	b.off = true
	a.do(a.e.DeleteChild(one(a).In, w.now))
	if v := a.e.View(w.now); v[0].Children[0].State != "closing" {
		t.Fatalf("%+v", v)
	}
	a.do(a.e.Close("b", w.now))
	if v := a.e.View(w.now); v[0].State != "closing" || len(v[0].Children) != 0 || v[0].End != 0 {
		t.Fatalf("%+v", v)
	}
}

// BenchmarkTunnel sets up and takes down a tunnel: both ends' work.
func BenchmarkTunnel(b *testing.B) {
	for _, g := range []Group{X25519, ECP256, ECP384, MODP2048, MODP3072, MODP4096} {
		b.Run(g.String(), func(b *testing.B) {
			w := newWorld(b, 1)
			ca, cb := pairOf()
			ca.Peers[0].Proposals[0].Groups, cb.Peers[0].Proposals[0].Groups = []Group{g}, []Group{g}
			x := w.add(ca)
			w.add(cb)
			for b.Loop() {
				x.initiate("b", "net")
				w.run(time.Second)
				x.do(x.e.Close("b", w.now))
				w.run(time.Second)
			}
		})
	}
}

// BenchmarkNextDeadline looks for what is due among many tunnels.
func BenchmarkNextDeadline(b *testing.B) {
	w := newWorld(b, 1)
	_, cb := pairOf()
	first := cb.Peers[0]
	cb.Peers, cb.MaxHalfOpen = nil, 1000
	for i := range 500 {
		p := first
		p.Name, p.Remote, p.RemoteID = fmt.Sprint("client", i), netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), ident(fmt.Sprint("client", i))
		p.Children = []Child{first.Children[0]}
		p.Children[0].Up = true
		cb.Peers = append(cb.Peers, p)
		ca, _ := pairOf()
		ca.Peers[0].Local, ca.Peers[0].LocalID = p.Remote, p.RemoteID
		w.add(ca)
	}
	h := w.add(cb)
	w.run(2 * time.Second)
	if len(h.e.list) != 500 || len(h.children) != 500 {
		b.Fatalf("%d IKE SAs", len(h.e.list))
	}
	b.Run("500 tunnels", func(b *testing.B) {
		for b.Loop() {
			h.e.NextDeadline()
		}
	})
	b.Run("500 tunnels tick", func(b *testing.B) {
		for b.Loop() {
			h.e.Tick(w.now)
		}
	})
}
