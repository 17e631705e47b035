package keying

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// setup is what an operator configures at one end.
type setup struct {
	local, inside netip.Addr
	config        Config
	policies      ipsec.Config
}

func addr(s string) netip.Addr   { return netip.MustParseAddr(s) }
func net4(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func ident(s string) ike.Identity {
	id, err := ike.ParseIdentity(s)
	if err != nil {
		panic(err)
	}
	return id
}

func gcm() []ike.Proposal { return []ike.Proposal{{Ciphers: []ike.Cipher{ike.AESGCM128}}} }

// ends gives both ends of a tunnel between 10.1.0.0/16 and 10.2.0.0/16, with
// one selector "net".
func ends() (a, b setup) {
	return end("192.0.2.1", "198.51.100.1", "a.example", "b.example", "10.1.0.0/16", "10.2.0.0/16"),
		end("198.51.100.1", "192.0.2.1", "b.example", "a.example", "10.2.0.0/16", "10.1.0.0/16")
}

func end(local, remote, me, you, here, there string) setup {
	child := ike.Child{Name: "net", Local: []ike.Selector{ike.PrefixSelector(net4(here))}, Remote: []ike.Selector{ike.PrefixSelector(net4(there))}, Proposals: gcm()}
	peer := ike.Peer{
		Name: you, Local: addr(local), Remote: addr(remote), LocalID: ident(me), RemoteID: ident(you), LocalAuth: ike.PSK, RemoteAuth: ike.PSK,
		Secret:    ike.Secret("a long enough secret of both"),
		Proposals: []ike.Proposal{{Ciphers: []ike.Cipher{ike.AESGCM128}, PRFs: []ike.PRF{ike.PRFSHA256}, Groups: []ike.Group{ike.X25519}}},
		Children:  []ike.Child{child},
	}
	return setup{
		local: addr(local), inside: net4(here).Addr().Next().Next(),
		config: Config{Peers: []ike.Peer{peer}, Limits: map[string]Limits{}},
		policies: ipsec.Config{
			Policies:  []ipsec.Policy{{Name: "tunnel", Mode: ipsec.Tunnel, Local: addr(local), Remote: addr(remote)}},
			Selectors: []ipsec.TrafficSelector{{Name: "net", Source: net4(here), Destination: net4(there), Policy: "tunnel"}},
		},
	}
}

// tunnel makes two gateways and lets a packet bring their tunnel up.
func tunnel(t testing.TB, change func(a, b *setup)) (w *world, a, b *gate) {
	t.Helper()
	w = newWorld(t, 7)
	sa, sb := ends()
	if change != nil {
		change(&sa, &sb)
	}
	a, b = w.add(sa), w.add(sb)
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("the packet that asked for the tunnel did not come through\n%s", w.history())
	}
	w.agree(a, b, 1)
	return w, a, b
}

// agree checks that both databases have the same n pairs, and nothing that no
// pair has.
func (w *world) agree(a, b *gate, n int) {
	w.t.Helper()
	a.sound()
	b.sound()
	if why := w.differ(a, b); why != "" || len(a.keys.pairs) != n {
		w.t.Fatalf("%d pairs, want %d; %s\n%s", len(a.keys.pairs), n, why, w.history())
	}
}

// differ says in what the databases of both ends do not match, "" if they do.
func (w *world) differ(a, b *gate) string {
	for _, g := range []*gate{a, b} {
		if list, n := g.db.List(w.now), len(g.keys.pairs); len(list) != 2*n {
			return fmt.Sprintf("%v has %d SAs for %d pairs", g.addr, len(list), n)
		}
	}
	if len(a.keys.pairs) != len(b.keys.pairs) {
		return fmt.Sprintf("%d and %d pairs", len(a.keys.pairs), len(b.keys.pairs))
	}
	for _, p := range a.keys.sorted() {
		q := b.keys.pairs[p.child.Out]
		switch {
		case q == nil || q.child.Out != p.child.In || q.child.Name != p.child.Name:
			return fmt.Sprintf("pair %08x of %v is not at the other end", p.child.In, a.addr)
		case p.in == nil || p.out == nil || q.in == nil || q.out == nil:
			return fmt.Sprintf("pair %08x is not whole", p.child.In)
		case !slices.EqualFunc(p.in.Scope(), q.in.Scope(), mirrored):
			return fmt.Sprintf("the ends of pair %08x carry different traffic: %v %v", p.child.In, p.in.Scope(), q.in.Scope())
		}
	}
	return ""
}

func mirrored(x, y ipsec.Pair) bool {
	return x.Local == y.Remote && x.Remote == y.Local && x.Proto == y.Proto
}

// sound checks that the Keyer's tables, the engine's children and the database
// agree with each other.
func (g *gate) sound() {
	t, k := g.w.t, g.keys
	t.Helper()
	halves, held, named, known := len(k.rests), 0, 0, map[uint32]bool{}
	for in, p := range k.pairs {
		for _, sa := range []*ipsec.SA{p.in, p.out} {
			if sa == nil {
				continue
			}
			if halves++; k.bySA[sa] != p {
				t.Fatalf("%v: an SA of pair %08x is not in the table", g.addr, in)
			}
		}
		if p.held {
			held++
		}
		if p.held && p.later == nil || p.child.In != in || p.ending {
			t.Fatalf("%v: pair %08x is %+v", g.addr, in, p)
		}
		if !slices.Contains(k.named[p.child.Name], p) {
			t.Fatalf("%v: pair %08x is not behind its selector", g.addr, in)
		}
		known[in] = true
	}
	for _, list := range k.named {
		named += len(list)
	}
	if list := g.db.List(g.w.now); len(list) != halves || len(k.bySA) != halves-len(k.rests) || named != len(k.pairs) {
		t.Fatalf("%v: the database has %d SAs, the pairs %d, by SA %d, by name %d of %d\n%s", g.addr, len(list), halves, len(k.bySA), named, len(k.pairs), g.w.history())
	}
	if n := int(k.queue.holding.Load()) + len(k.queue.heard); held != n {
		t.Fatalf("%v: %d pairs are held back, %d are waited for", g.addr, held, n)
	}
	for _, v := range k.View(g.w.now) {
		for _, c := range v.Children {
			if !known[c.In] && c.State != "closing" {
				t.Fatalf("%v: the engine has pair %08x, which is not here\n%s", g.addr, c.In, g.w.history())
			}
			delete(known, c.In)
		}
	}
	if len(known) != 0 || len(k.out) != 0 || len(k.doomed) != 0 {
		t.Fatalf("%v: pairs %v are not the engine's; %d and %d things wait\n%s", g.addr, known, len(k.out), len(k.doomed), g.w.history())
	}
}

// is reports whether a parcel is IKE of an exchange, a request or an answer.
func is(p *parcel, exchange byte, answer bool) bool {
	return !p.esp && len(p.b) >= 28 && p.b[18] == exchange && (p.b[19]&0x20 != 0) == answer
}

// has fails unless an error has the words.
func has(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}
