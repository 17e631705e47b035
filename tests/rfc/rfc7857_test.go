package rfc

import (
	"encoding/binary"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

func TestRFC7857_Section2_ARSTShortensTheConnectionOnly(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF, rfc5382), func(b *bed) {
		out := b.connect(alice, yes)
		b.across(tcp(yes, out, rst))
		b.after(239 * time.Second)
		b.across(tcp(alice, yes, ack)) // the reset was forged: the subscriber goes on
	})
}

func TestRFC7857_Section3_PortOverlapForOtherDestinations(t *testing.T) {
	always := func(c *lsn.Config) { c.Rand = func(uint32) uint32 { return 7 } }
	onEachBed(t, group(lsn.APDM, lsn.APDF, one, always), func(b *bed) {
		a, z := b.across(udp(alice, yes)).Src, b.across(udp(bob, zed)).Src
		if a != z {
			b.t.Fatalf("%v and %v: two destinations should share a port here", a, z)
		}
		if got := b.across(udp(yes, a)); got.Dst != alice {
			b.t.Errorf("%v came in as %v", yes, got)
		}
		if got := b.across(udp(zed, z)); got.Dst != bob {
			b.t.Errorf("%v came in as %v", zed, got)
		}
		if again := b.across(udp(bob, yes)).Src; again == a {
			b.t.Errorf("two subscribers are %v for the same destination", a)
		}
	})
}

func TestRFC7857_Section4_PairingHoldsAcrossProtocols(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		addr := b.across(udp(alice, yes)).Src.Addr
		for _, d := range []datagram{tcp(alice, yes, syn), ping(alice, yes.Addr)} {
			if got := b.across(d).Src.Addr; got != addr {
				b.t.Errorf("%v left from %v, want %v", d, got, addr)
			}
		}
	})
}

// byProtocol makes UDP endpoint-independent and leaves TCP at the default.
func byProtocol(c *lsn.Config) {
	for i := range c.Groups[0].Apps {
		if a := &c.Groups[0].Apps[i]; a.Proto == frame.ProtoTCP {
			a.Mapping, a.Filtering = lsn.APDM, lsn.APDF
		}
	}
}

func TestRFC7857_Section5_MappingForEachProtocol(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF, byProtocol), func(b *bed) {
		if b.across(udp(alice, yes)).Src != b.across(udp(alice, zed)).Src {
			b.t.Error("UDP has two mappings")
		}
		if b.across(tcp(alice, yes, syn)).Src == b.across(tcp(alice, zed, syn)).Src {
			b.t.Error("TCP has one mapping")
		}
	})
}

func TestRFC7857_Section6_FilteringForEachProtocol(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF, byProtocol), func(b *bed) {
		b.across(udp(zed, b.across(udp(alice, yes)).Src))
		out := b.across(tcp(alice, yes, syn)).Src
		if came := b.put(tcp(zed, out, syn)); len(came[inside]) != 0 {
			b.t.Errorf("came in: %v", came)
		}
	})
}

func TestRFC7857_Section7_StrangersDoNotRefresh(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		for range 3 {
			b.after(40 * time.Second)
			b.across(udp(far, out))
		}
		b.after(3 * time.Second)
		b.dies(udp(far, out), drop.NoMapping)
	})
}

func TestRFC7857_Section8_ParityWithBlocks(t *testing.T) {
	keep := func(c *lsn.Config) {
		c.Pools[0].PortBlocks, c.Groups[0].BlockSize = true, 256
		transport(lsn.TransportProfile{Proto: frame.ProtoUDP, PreserveParity: true})(c)
	}
	onEachBed(t, group(lsn.EIM, lsn.EIF, keep), func(b *bed) {
		for port := uint16(5000); port < 5020; port++ {
			if got := b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src; got.Port%2 != port%2 {
				b.t.Errorf("source port %d became %d", port, got.Port)
			}
		}
	})
}

func TestRFC7857_Section9_PortsInABlockAreNotInOrder(t *testing.T) {
	blocks := func(c *lsn.Config) { c.Pools[0].PortBlocks, c.Groups[0].BlockSize = true, 256 }
	onEachBed(t, group(lsn.EIM, lsn.EIF, blocks), func(b *bed) {
		up, last := 0, uint16(0)
		for port := uint16(1); port <= 200; port++ {
			got := b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src.Port
			if got == last+1 {
				up++
			}
			last = got
		}
		if up > 20 { // one of 256 by chance; later ones have fewer to choose from
			b.t.Errorf("%d of 200 ports followed the one before", up)
		}
	})
}

// Two subscribers, one NAT address, one server, one identification: whoever
// puts the pieces together would splice them.
func TestRFC7857_Section10_IdentificationsDoNotCollide(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF, one), func(b *bed) {
		ids := map[uint16]bool{}
		for _, from := range []frame.Endpoint{alice, bob} {
			whole := udp(from, yes, make([]byte, 1400)...)
			whole.ID = 4711
			for _, piece := range cut(whole, 800) {
				for _, got := range b.put(piece)[outside] {
					ids[got.ID] = true
				}
			}
		}
		if len(ids) != 2 {
			b.t.Errorf("identifications %v: want one for each subscriber's datagram", ids)
		}
	})
}

func TestRFC7857_Section11_QueryTimeoutIsASetting(t *testing.T) {
	long := transport(lsn.TransportProfile{Proto: frame.ProtoICMP, SessionTimeout: 5 * time.Minute})
	onEachBed(t, group(lsn.EIM, lsn.APDF, long), func(b *bed) {
		out := b.across(ping(alice, yes.Addr)).Src
		b.after(5 * time.Minute)
		b.across(pong(yes.Addr, out))
	})
}

// TestRFC6056_PortsAreDrawnFromTheWholeRange: algorithm 1 or 2, not a counter.
func TestRFC6056_PortsAreDrawnFromTheWholeRange(t *testing.T) {
	onEachBed(t, group(lsn.APDM, lsn.APDF, one), func(b *bed) {
		var quarters [4]int
		for port := uint16(1); port <= 200; port++ {
			got := b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src.Port
			quarters[(int(got)-1024)*4/64512]++
		}
		for i, n := range quarters {
			if n < 15 { // 50 on average: fewer than 15 once in 10^9 runs
				b.t.Errorf("quarter %d of the ports was drawn %d times of 200", i, n)
			}
		}
	})
}

// A subscriber's address and ports follow from its own address, both ways.
func TestRFC7422_DeterministicBothWays(t *testing.T) {
	computed := func(c *lsn.Config) {
		c.Pools[0].Type, c.Groups[0].Type, c.Groups[0].BlockSize = lsn.Deterministic, lsn.Deterministic, 504
	}
	s := group(lsn.EIM, lsn.EIF, computed)
	onEachBed(t, s, func(b *bed) {
		for host := byte(2); host < 30; host++ {
			from := frame.Endpoint{Addr: frame.Addr{192, 0, 2, host}, Port: 5000}
			got := b.across(udp(from, yes)).Src
			// PORTS: 128 blocks of 504 ports on the first address.
			first := 1024 + 504*int(binary.BigEndian.Uint16([]byte{0, host}))
			if got.Addr != nat[0] || int(got.Port) < first || int(got.Port) >= first+504 {
				b.t.Errorf("%v left as %v, want %v with a port from %d to %d", from, got, nat[0], first, first+503)
			}
		}
	})
}
