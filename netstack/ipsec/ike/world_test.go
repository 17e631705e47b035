package ike

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// tester is what tests and property tests have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// host is an engine and the ESP layer's side of it: which pairs are there.
type host struct {
	w        *world
	e        *Engine
	addr     netip.Addr
	children map[uint32]*ChildSA
	events   []Event
	sent     int
	off      bool
}

// packet is a datagram under way.
type packet struct {
	at       int64
	from, to netip.AddrPort
	marker   bool
	b        []byte
}

// world is hosts, a network that loses, repeats and reorders, and a clock that
// is moved by hand.
type world struct {
	t         tester
	now       int64
	rng       *rand.Rand
	hosts     []*host
	queue     []packet
	loss, dup float64
	delay     int64                     // at most
	nat       map[netip.Addr]netip.Addr // inside to outside; ports move by 1000
	tap       func(packet) bool         // false: lost
}

type source struct{ r *rand.Rand }

func (s source) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

func newWorld(t tester, seed uint64) *world {
	return &world{t: t, now: 1_000 * second, rng: rand.New(rand.NewPCG(seed, 1)), delay: int64(20 * time.Millisecond), nat: map[netip.Addr]netip.Addr{}}
}

func (w *world) add(c Config) *host {
	w.t.Helper()
	if c.Random == nil {
		c.Random = source{rand.New(rand.NewPCG(w.rng.Uint64(), 2))}
	}
	e, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	h := &host{w: w, e: e, addr: c.Peers[0].Local, children: map[uint32]*ChildSA{}}
	w.hosts = append(w.hosts, h)
	return h
}

// do carries out what an engine asks for.
func (h *host) do(list []Action) {
	for _, a := range list {
		switch a.Kind {
		case Send:
			h.sent++
			h.w.post(packet{from: a.Datagram.Local, to: a.Datagram.Remote, marker: a.Datagram.Marker, b: bytes.Clone(a.Datagram.Bytes)})
		case Install:
			if h.children[a.Child.In] != nil {
				h.w.t.Fatalf("%v installs %08x twice", h.addr, a.Child.In)
			}
			h.children[a.Child.In] = a.Child
		case Remove:
			c := h.children[a.Child.In]
			if c == nil {
				h.w.t.Fatalf("%v removes %08x, which is not there", h.addr, a.Child.In)
			}
			c.KeysIn.Wipe()
			c.KeysOut.Wipe()
			delete(h.children, a.Child.In)
		case Move:
			c := h.children[a.Child.In]
			c.Local, c.Remote = a.Child.Local, a.Child.Remote
		case Log:
			h.events = append(h.events, *a.Event)
		}
	}
}

const natPorts = 1000

func (w *world) post(p packet) {
	if out, ok := w.nat[p.from.Addr()]; ok {
		p.from = netip.AddrPortFrom(out, p.from.Port()+natPorts)
	}
	for in, out := range w.nat {
		if p.to.Addr() == out {
			p.to = netip.AddrPortFrom(in, p.to.Port()-natPorts)
		}
	}
	if w.tap != nil && !w.tap(p) {
		return
	}
	n := 1
	switch r := w.rng.Float64(); {
	case r < w.loss:
		n = 0
	case r < w.loss+w.dup:
		n = 2
	}
	for range n {
		p.at = w.now + 1 + w.rng.Int64N(w.delay)
		w.queue = append(w.queue, p)
	}
}

// run moves the clock to now+d and lets happen what happens until then.
func (w *world) run(d time.Duration) {
	end, steps := w.now+int64(d), 0
	for {
		next := end + 1
		for _, h := range w.hosts {
			if !h.off {
				next = min(next, max(w.now, h.e.NextDeadline()))
			}
		}
		for _, p := range w.queue {
			next = min(next, p.at)
		}
		if next > end {
			break
		}
		w.now = next
		if steps++; steps > 2_000_000 {
			w.t.Fatal("the machines never rest")
		}
		w.deliver()
		for _, h := range w.hosts {
			if !h.off && h.e.NextDeadline() <= w.now {
				h.do(h.e.Tick(w.now))
				if at := h.e.NextDeadline(); at <= w.now {
					h.do(h.e.Tick(w.now))
					if at := h.e.NextDeadline(); at <= w.now {
						w.t.Fatalf("%v is due at %d although it is %d and it was called", h.addr, at, w.now)
					}
				}
			}
		}
	}
	w.now = end
}

func (w *world) deliver() {
	var due []packet
	w.queue = slices.DeleteFunc(w.queue, func(p packet) bool {
		if p.at <= w.now {
			due = append(due, p)
			return true
		}
		return false
	})
	for _, p := range due {
		for _, h := range w.hosts {
			if h.addr == p.to.Addr() && !h.off && !(len(p.b) == 1 && p.b[0] == 0xff) {
				h.do(h.e.HandleMessage(p.to, p.from, p.b, p.marker, w.now))
			}
		}
	}
}

// agree checks that both ends have the same pairs with the same keys, n of
// them, and the same number of IKE SAs.
func (w *world) agree(a, b *host, n int) {
	w.t.Helper()
	if len(a.children) != n || len(b.children) != n {
		w.t.Fatalf("%d and %d children; want %d\n%s", len(a.children), len(b.children), n, w.history())
	}
	for in, c := range a.children {
		d := b.children[c.Out]
		if d == nil || d.Out != in {
			w.t.Fatalf("child %08x of %v is not at the other end\n%s", in, a.addr, w.history())
		}
		if !bytes.Equal(c.KeysIn.Cipher, d.KeysOut.Cipher) || !bytes.Equal(c.KeysOut.Cipher, d.KeysIn.Cipher) ||
			!bytes.Equal(c.KeysIn.Integrity, d.KeysOut.Integrity) || !bytes.Equal(c.KeysOut.Integrity, d.KeysIn.Integrity) ||
			bytes.Equal(c.KeysIn.Cipher, c.KeysOut.Cipher) && len(c.KeysIn.Cipher) > 0 {
			w.t.Fatalf("keys of child %08x differ", in)
		}
		if len(c.KeysIn.Cipher) != c.Cipher.KeyLen() || len(c.KeysIn.Integrity) != c.Integrity.KeyLen() {
			w.t.Fatalf("child %08x has keys of %d and %d octets", in, len(c.KeysIn.Cipher), len(c.KeysIn.Integrity))
		}
		if c.Cipher != d.Cipher || c.Integrity != d.Integrity || c.ESN != d.ESN || c.Mode != d.Mode || c.UDP != d.UDP ||
			!slices.Equal(c.LocalSelectors, d.RemoteSelectors) || !slices.Equal(c.RemoteSelectors, d.LocalSelectors) {
			w.t.Fatalf("the ends of child %08x differ:\n%+v\n%+v", in, *c, *d)
		}
	}
	if x, y := len(a.e.list), len(b.e.list); x != y {
		w.t.Fatalf("%d and %d IKE SAs\n%s", x, y, w.history())
	}
	for _, x := range a.e.list {
		y := b.e.bySPI[x.spiI^x.spiR^x.spi()]
		if y == nil || y.spiI != x.spiI || y.spiR != x.spiR || y.initiator == x.initiator || !bytes.Equal(x.keys.material, y.keys.material) || len(x.children) != len(y.children) {
			w.t.Fatalf("IKE SA %d of %v is another one at the other end\n%s", x.number, a.addr, w.history())
		}
	}
	for _, h := range w.hosts {
		h.sound()
	}
}

// sound checks that an engine's tables agree with each other.
func (h *host) sound() {
	t := h.w.t
	t.Helper()
	children := 0
	for _, sa := range h.e.list {
		if h.e.bySPI[sa.spi()] != sa {
			t.Fatalf("IKE SA %d is not in the table", sa.number)
		}
		children += len(sa.children)
	}
	reserved := 0
	for _, c := range h.e.spis {
		if c == nil {
			reserved++
		}
	}
	waiting := 0
	for _, sa := range h.e.list {
		for _, k := range sa.allTasks() {
			if k.spi != 0 {
				waiting++
			}
		}
	}
	if len(h.e.bySPI) != len(h.e.list) || len(h.e.spis)-reserved != children || reserved != waiting || len(h.e.inits) > len(h.e.list) {
		t.Fatalf("%v: %d IKE SAs, %d by SPI, %d by first message; %d children, %d by SPI, %d reserved for %d tasks", h.addr,
			len(h.e.list), len(h.e.bySPI), len(h.e.inits), children, len(h.e.spis), reserved, waiting)
	}
}

func (w *world) history() string {
	var b strings.Builder
	for _, h := range w.hosts {
		fmt.Fprintf(&b, "%v:\n", h.addr)
		for _, sa := range h.e.list {
			fmt.Fprintf(&b, "  sa %d state %d initiator %v children %d tasks %d pending %v\n", sa.number, sa.state, sa.initiator, len(sa.children), len(sa.tasks), sa.pending != nil)
		}
		for _, v := range h.events[max(0, len(h.events)-40):] {
			fmt.Fprintf(&b, "  %12.6f %v\n", float64(v.At)/float64(second), &v)
		}
	}
	return b.String()
}

// said returns the first event of a kind.
func (h *host) said(k EventKind) *Event {
	for i := range h.events {
		if h.events[i].Kind == k {
			return &h.events[i]
		}
	}
	return nil
}

func (h *host) count(k EventKind) int {
	n := 0
	for _, v := range h.events {
		if v.Kind == k {
			n++
		}
	}
	return n
}

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("198.51.100.1")
)

func ident(s string) Identity {
	id, err := ParseIdentity(s)
	if err != nil {
		panic(err)
	}
	return id
}

func net4(s string) []Selector { return []Selector{PrefixSelector(netip.MustParsePrefix(s))} }

func gcm() []Proposal {
	return []Proposal{{Ciphers: []Cipher{AESGCM128}, PRFs: []PRF{PRFSHA256}, Groups: []Group{X25519}}}
}

func esp() []Proposal { return []Proposal{{Ciphers: []Cipher{AESGCM128}}} }

// pairOf gives the two configurations of a tunnel with a pre-shared key.
func pairOf() (a, b Config) {
	secret := Secret("a long enough secret of both")
	a.Peers = []Peer{{Name: "b", Local: addrA, Remote: addrB, LocalID: ident("a.example"), RemoteID: ident("b.example"), LocalAuth: PSK, RemoteAuth: PSK,
		Secret: secret, Proposals: gcm(), Children: []Child{{Name: "net", Local: net4("10.1.0.0/16"), Remote: net4("10.2.0.0/16"), Proposals: esp()}}}}
	b.Peers = []Peer{{Name: "a", Local: addrB, Remote: addrA, LocalID: ident("b.example"), RemoteID: ident("a.example"), LocalAuth: PSK, RemoteAuth: PSK,
		Secret: secret, Proposals: gcm(), Children: []Child{{Name: "net", Local: net4("10.2.0.0/16"), Remote: net4("10.1.0.0/16"), Proposals: esp()}}}}
	return a, b
}

// inbound lists the SPIs of all children in order.
func (h *host) inbound() []uint32 { return slices.Sorted(maps.Keys(h.children)) }

func (h *host) initiate(peer, child string) {
	h.w.t.Helper()
	out, err := h.e.Initiate(peer, child, h.w.now)
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.do(out)
}
