package netstack

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// sites gives a router of two domains a network that is no LSN group's.
func sites(c *ChassisConfig, _ []RouterConfig) {
	lan := c.Ports[0].VLANs
	for i := range lan {
		lan[i].Addresses = append(lan[i].Addresses, prefixes("10.2.1.254/24")...)
	}
}

// The listeners of one traffic domain admit nothing in another one, and neither
// do its connections, though addresses and ports are the same.
func TestListenersAndConnectionsBelongToOneDomain(t *testing.T) {
	d, err := newTwoDomains(t, sites, func(_ *ChassisConfig, r []RouterConfig) {
		for i := range r {
			if r[i].Domain == red {
				r[i].Listeners.Servers = []vserver.Server{forwarding("red", "203.0.113.0/24")}
				r[i].Listeners.NATs = []vserver.NAT{{Name: "n", Originating: near2.Netip(), Translation: addr("203.0.113.77").Netip()}}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []frame.Addr{near, near2} {
		d.neighbor(lanIf, a)
	}
	counted := func(why drop.Reason, fn func()) {
		t.Helper()
		before := d.ch.drops.Get(why)
		fn()
		if n := d.ch.drops.Get(why) - before; n != 1 {
			t.Errorf("%d drops by %s, want 1", n, why)
		}
	}
	out, back := udpTo(at(near, 5), at(server, 53), "question"), udpTo(at(server, 53), at(near, 5), "answer")
	for range 4 { // the last ones take the fast path
		d.put(0, red, out)
		if g := got(d.wan); len(g) != 1 || len(g[red]) != 1 {
			t.Fatalf("left %v", g)
		}
		d.put(1, red, back)
		if g := got(d.lan); len(g) != 1 || len(g[red]) != 1 {
			t.Fatalf("came %v", g)
		}
		counted(drop.NoListener, func() { d.put(0, 0, out) })
		counted(drop.NoListener, func() { d.put(1, 0, back) })
	}
	// The NAT's address is ours in its own domain alone.
	to := udpTo(at(server, 9), at(addr("203.0.113.77"), 9), "x")
	d.put(1, red, to)
	if g := got(d.lan); len(g[red]) != 1 {
		t.Errorf("came %v", g)
	}
	counted(drop.NoListener, func() { d.put(1, 0, to) })
	for tag, want := range map[uint16]int{0: 0, red: 1} {
		d.ch.Port(1).Input([]frame.Frame{frame.Copy(asked(addr("203.0.113.77")), tag)})
		if n := len(got(d.wan)[tag]); n != want {
			t.Errorf("tag %d: %d answers to ARP, want %d", tag, n, want)
		}
	}
	if len(got(d.lan))+len(got(d.wan)) != 0 {
		t.Error("something else left")
	}
	if a, b := d.ch.Router(0).Connections().Len(), d.ch.Router(red).Connections().Len(); a != 0 || b != 2 {
		t.Errorf("%d connections in domain 0, %d in domain 7; want 0 and 2", a, b)
	}
}

// Both domains have the same server and the same connection; the end of one is
// not the end of the other.
func TestAReloadOfOneDomainResetsNothingInAnother(t *testing.T) {
	d, err := newTwoDomains(t, sites, func(_ *ChassisConfig, r []RouterConfig) {
		for i := range r {
			r[i].Listeners.Servers = []vserver.Server{forwarding("site", "203.0.113.0/24")}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	d.neighbor(lanIf, near)
	data := segment(at(near, 5), at(server, 80), 2, 8, ack, "data")
	for _, tag := range []uint16{0, red} {
		d.put(0, tag, segment(at(near, 5), at(server, 80), 1, 0, syn, ""))
		d.put(1, tag, segment(at(server, 80), at(near, 5), 7, 2, synAck, ""))
		d.put(0, tag, data)
		d.put(0, tag, data)
	}
	got(d.lan)
	got(d.wan)
	hits := d.ch.Flows().Stats().Hits
	lsn := testLSN()
	lsn.Pools[0].Ranges[0].First, lsn.Pools[0].Ranges[0].Last = redNAT, redNAT
	if _, err := d.ch.Router(red).Reload(Settings{LSN: lsn, Profiles: (&world{}).on(natAddr).Profiles}); err != nil {
		t.Fatal(err)
	}
	if in, out := got(d.lan), got(d.wan); len(in) != 1 || len(in[red]) != 1 || len(out) != 1 || len(out[red]) != 1 {
		t.Errorf("told inside %v, outside %v", in, out)
	}
	d.put(0, 0, data)
	if g := got(d.wan); len(g[0]) != 1 || d.ch.Flows().Stats().Hits != hits+1 {
		t.Errorf("left %v", g)
	}
	d.put(0, red, data)
	if g := got(d.wan); len(g) != 0 {
		t.Errorf("left %v", g)
	}
}
