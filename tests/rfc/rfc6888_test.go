package rfc

import (
	"testing"
	"time"

	"net/netip"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

func TestRFC6888_REQ2_PairedPooling(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		addr := b.across(udp(alice, yes)).Src.Addr
		b.after(90 * time.Second)
		if got := b.across(tcp(alice, far, syn)).Src.Addr; got != addr {
			b.t.Errorf("left from %v, before from %v", got, addr)
		}
	})
}

func TestRFC6888_REQ3_PoolInPieces(t *testing.T) {
	pieces := func(c *lsn.Config) {
		c.Pools[0].Ranges = []lsn.Range{{First: nat[0], Last: nat[0]}, {First: frame.Addr{203, 0, 113, 40}, Last: frame.Addr{203, 0, 113, 41}}}
		for i := range c.Groups[0].Apps {
			c.Groups[0].Apps[i].Pooling = lsn.Random
		}
	}
	onEachBed(t, group(lsn.EIM, lsn.EIF, pieces), func(b *bed) {
		seen := map[frame.Addr]bool{}
		for port := uint16(5000); port < 5100; port++ {
			seen[b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src.Addr] = true
		}
		if len(seen) != 3 {
			b.t.Errorf("%d addresses were used, want all 3: %v", len(seen), seen)
		}
	})
}

func TestRFC6888_REQ4_PortLimitOfASubscriber(t *testing.T) {
	quota := transport(lsn.TransportProfile{Proto: frame.ProtoUDP, PortQuota: 3})
	onEachBed(t, group(lsn.EIM, lsn.EIF, quota), func(b *bed) {
		from := func(port uint16) frame.Endpoint { return frame.Endpoint{Addr: alice.Addr, Port: port} }
		for port := uint16(1); port <= 3; port++ {
			b.across(udp(from(port), yes))
		}
		b.refused(udp(from(4), yes), 1)
		b.across(udp(from(3), zed))      // another session on a port that is there
		b.across(udp(bob, yes))          // another subscriber
		b.across(tcp(from(4), yes, syn)) // another protocol
		b.after(2*time.Minute + time.Second)
		b.across(udp(from(4), yes))
	})
}

func TestRFC6888_REQ5_StateLimitOfASubscriber(t *testing.T) {
	quota := transport(lsn.TransportProfile{Proto: frame.ProtoUDP, SessionQuota: 3})
	onEachBed(t, group(lsn.EIM, lsn.EIF, quota), func(b *bed) {
		to := func(port uint16) frame.Endpoint { return frame.Endpoint{Addr: yes.Addr, Port: port} }
		for port := uint16(1); port <= 3; port++ {
			b.across(udp(alice, to(port)))
		}
		b.refused(udp(alice, to(4)), 1)
		b.across(udp(bob, to(4)))
	})
}

func TestRFC6888_REQ6_ExemptDestinations(t *testing.T) {
	exempt := func(c *lsn.Config) { c.Groups[0].Exempt = []netip.Prefix{netip.PrefixFrom(zed.Addr.Netip(), 32)} }
	onEachBed(t, group(lsn.EIM, lsn.EIF, exempt), func(b *bed) {
		if got := b.across(udp(alice, zed)); got.Src != alice {
			b.t.Errorf("left as %v, want it untranslated", got)
		}
		if got := b.across(udp(zed, alice)); got.Dst != alice {
			b.t.Errorf("came in as %v", got)
		}
		if got := b.across(udp(alice, yes)); got.Src == alice {
			b.t.Errorf("left as %v, want it translated", got)
		}
		b.dies(udp(yes, alice), drop.ClientNotReachable)
	})
}

func TestRFC6888_REQ7_FilteringEndpointIndependent(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		b.across(udp(far, out))
	})
}

// A port that was in use is nobody's for two minutes: what is still under way
// to it reaches nobody else.
func TestRFC6888_REQ8_PortsRestTwoMinutes(t *testing.T) {
	rest := func(c *lsn.Config) {
		c.Pools[0].ReallocTimeout = 2 * time.Minute
		c.Groups[0].BlockSize = 0
	}
	few := func(c *lsn.Config) { // all ports but two are somebody's already
		c.Rand = func(n uint32) uint32 { return 0 }
	}
	onEachBed(t, group(lsn.EIM, lsn.EIF, one, rest, few), func(b *bed) {
		first := b.across(udp(alice, yes)).Src
		b.after(2*time.Minute + time.Second)
		b.dies(udp(yes, first), drop.NoMapping)
		second := b.across(udp(bob, yes)).Src
		if second == first {
			b.t.Fatalf("%v was given away while it should rest", first)
		}
		b.after(2 * time.Minute)
		if third := b.across(udp(frame.Endpoint{Addr: bob.Addr, Port: 1}, yes)).Src; third != first {
			b.t.Errorf("%v has rested, but %v was taken", first, third)
		}
	})
}

func TestRFC6888_REQ11_ExhaustionIsToldAndHarmsNobody(t *testing.T) {
	full := func(c *lsn.Config) {
		c.Pools[0].PortBlocks = true
		c.Groups[0].BlockSize = 64512
	}
	onEachBed(t, group(lsn.EIM, lsn.EIF, one, full), func(b *bed) {
		first := b.across(udp(alice, yes)).Src // alice has the only block
		b.refused(udp(bob, yes), 1)
		if again := b.across(udp(alice, yes)).Src; again != first {
			b.t.Errorf("alice moved from %v to %v", first, again)
		}
		b.across(udp(yes, first))
	})
}

// Random ports, from random blocks: nobody can guess the next one.
func TestRFC6888_REQ15_PortsAreHardToGuess(t *testing.T) {
	onEachBed(t, group(lsn.APDM, lsn.APDF), func(b *bed) {
		near, last := 0, uint16(0)
		const n = 200
		for port := uint16(5000); port < 5000+n; port++ {
			got := b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src.Port
			if d := int(got) - int(last); d >= -64 && d <= 64 {
				near++
			}
			last = got
		}
		// 129 of 64,512 ports are that near: 0.4 of 200 on average, and more
		// than 10 once in 10^11 runs.
		if near > 10 {
			b.t.Errorf("%d of %d ports were next to the one before", near, n)
		}
	})
}

func TestRFC6888_REQ14_OneRecordForABlock(t *testing.T) {
	var blocks, others int
	blocksOnly := func(c *lsn.Config) {
		c.Pools[0].PortBlocks = true
		c.Groups[0].BlockSize = 256
		c.OnEvent = func(e lsn.Event) {
			if e.Kind == lsn.BlockAllocated || e.Kind == lsn.BlockFreed {
				blocks++
			} else {
				others++
			}
		}
	}
	s := group(lsn.EIM, lsn.EIF, one, blocksOnly)
	s.mtu = [2]int{1500, 1500}
	b := inMemory(t, s)
	for port := uint16(1); port <= 200; port++ {
		b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes))
	}
	if blocks != 1 || others != 400 {
		t.Errorf("%d records of blocks and %d of mappings and sessions; want 1 and 400", blocks, others)
	}
}
