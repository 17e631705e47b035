package rfc

import (
	"bytes"
	"testing"
	"time"

	"spigate/configs"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

func TestRFC4787_REQ1_MappingEndpointIndependent(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		first := b.across(udp(alice, yes))
		for _, server := range []frame.Endpoint{yes2, zed, far} {
			if again := b.across(udp(alice, server)); again.Src != first.Src {
				b.t.Errorf("towards %v the subscriber is %v, towards %v it was %v", server, again.Src, yes, first.Src)
			}
		}
	})
}

// NetScaler's default, which REQ-1 forbids: the deviation is documented.
func TestRFC4787_REQ1_MappingAddressAndPortDependentIsTheDefault(t *testing.T) {
	onEachBed(t, group(lsn.APDM, lsn.APDF), func(b *bed) {
		if first, second := b.across(udp(alice, yes)), b.across(udp(alice, yes2)); first.Src == second.Src {
			b.t.Errorf("two ports of a server saw the subscriber as %v", first.Src)
		}
	})
}

func TestRFC4787_REQ2_PairedAddress(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		first := b.across(udp(alice, yes)).Src.Addr
		for port := uint16(6000); port < 6020; port++ {
			from := frame.Endpoint{Addr: alice.Addr, Port: port}
			for _, d := range []datagram{udp(from, zed), tcp(from, zed, syn), ping(from, zed.Addr)} {
				if got := b.across(d).Src.Addr; got != first {
					b.t.Fatalf("%v left from %v, the subscriber's address is %v", d, got, first)
				}
			}
		}
	})
}

func TestRFC4787_REQ3_NoPortOverloading(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF, one), func(b *bed) {
		owner := map[frame.Endpoint]frame.Endpoint{}
		for host := byte(2); host < 102; host++ {
			from := frame.Endpoint{Addr: frame.Addr{192, 0, 2, host}, Port: 5000}
			got := b.across(udp(from, yes)).Src
			if other, taken := owner[got]; taken {
				b.t.Fatalf("%v and %v are both %v", other, from, got)
			}
			owner[got] = from
		}
		for out, in := range owner {
			if got := b.across(udp(zed, out)).Dst; got != in {
				b.t.Errorf("%v leads to %v, want %v", out, got, in)
			}
		}
	})
}

func TestRFC4787_REQ3a_WellKnownPortsAreNotGivenToOthers(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		for port := uint16(1); port < 1024; port += 31 {
			if got := b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src; got.Port < 1024 {
				b.t.Errorf("source port %d became %d", port, got.Port)
			}
		}
	})
}

func TestRFC4787_REQ3a_PortRangePreserved(t *testing.T) {
	keep := transport(lsn.TransportProfile{Proto: frame.ProtoUDP, PreserveRange: true})
	onEachBed(t, group(lsn.EIM, lsn.EIF, keep), func(b *bed) {
		for port := uint16(1); port < 2048; port += 31 {
			if got := b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src; (got.Port < 1024) != (port < 1024) {
				b.t.Errorf("source port %d became %d", port, got.Port)
			}
		}
	})
}

func TestRFC4787_REQ4_PortParityPreserved(t *testing.T) {
	keep := transport(lsn.TransportProfile{Proto: frame.ProtoUDP, PreserveParity: true})
	onEachBed(t, group(lsn.EIM, lsn.EIF, keep), func(b *bed) {
		for port := uint16(5000); port < 5040; port++ {
			if got := b.across(udp(frame.Endpoint{Addr: alice.Addr, Port: port}, yes)).Src; got.Port%2 != port%2 {
				b.t.Errorf("source port %d became %d", port, got.Port)
			}
		}
	})
}

func TestRFC4787_REQ5_UDPMappingLivesTwoMinutes(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		b.after(2 * time.Minute)
		b.across(udp(yes, out))
		b.after(2 * time.Second) // what the flow table carries may live longer by so much (R22)
		b.dies(udp(yes, out), drop.NoMapping)
	})
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		b.after(2*time.Minute + tick)
		b.dies(udp(yes, out), drop.NoMapping)
	})
}

func TestRFC4787_REQ6_OutboundRefreshes(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		for range 5 {
			b.after(2 * time.Minute)
			if again := b.across(udp(alice, yes)).Src; again != out {
				b.t.Fatalf("the mapping moved from %v to %v", out, again)
			}
		}
	})
}

func TestRFC4787_REQ6_InboundRefreshIsAKnob(t *testing.T) {
	refresh := func(c *lsn.Config) {
		for i := range c.Groups[0].Apps {
			c.Groups[0].Apps[i].InboundRefresh = lsn.Enabled
		}
	}
	onEachBed(t, group(lsn.EIM, lsn.EIF, refresh), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		for range 5 {
			b.after(2 * time.Minute)
			b.across(udp(yes, out))
		}
	})
}

// The way out of REQ-7 is its first: networks that conflict are refused.
func TestRFC4787_REQ7_NetworksDoNotOverlap(t *testing.T) {
	const text = `version = 1
[port.p]
driver = "raw"
device = "eth0"
[vlan.inside]
port = "p"
addresses = ["192.0.2.1/24"]
[vlan.outside]
port = "p"
id = 2
addresses = ["192.0.2.129/25"]
`
	if _, _, err := configs.Parse("f", []byte(text)); err == nil {
		t.Error("two networks that overlap were accepted")
	}
}

func TestRFC4787_REQ8_FilteringEndpointIndependent(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		for _, from := range []frame.Endpoint{yes, yes2, zed, far} {
			if got := b.across(udp(from, out)); got.Dst != alice || got.Src != from {
				b.t.Errorf("%v to %v came in as %v", from, out, got)
			}
		}
	})
}

func TestRFC4787_REQ8_FilteringAddressDependent(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.ADF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		b.across(udp(yes, out))
		b.across(udp(yes2, out))
		b.dies(udp(zed, out), drop.Filtered)
		b.across(udp(alice, zed))
		b.across(udp(zed, out))
	})
}

func TestRFC4787_REQ8_FilteringAddressAndPortDependent(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		b.across(udp(yes, out))
		b.dies(udp(yes2, out), drop.Filtered)
		b.dies(udp(zed, out), drop.Filtered)
		b.across(udp(alice, yes2))
		b.across(udp(yes2, out))
	})
}

func TestRFC4787_REQ9a_HairpinWithExternalSource(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		b.hairpins(udp(alice, yes), udp(bob, yes))
	})
}

// hairpins lets the subscribers of two packets to the outside talk to each
// other through the NAT: each sees the other's NAT address and port.
func (b *bed) hairpins(first, second datagram) {
	b.t.Helper()
	a, z := b.across(first).Src, b.across(second).Src
	for _, c := range []struct {
		from, to, seenAs frame.Endpoint
		target           frame.Endpoint
	}{{first.Src, z, a, second.Src}, {second.Src, a, z, first.Src}} {
		d := first
		d.Src, d.Dst = c.from, c.to
		out := b.put(d)
		if len(out[outside]) != 0 || len(out[inside]) != 1 {
			b.t.Fatalf("%v came out %v, want once inside (drops %v)", d, out, b.dropped())
		}
		if got := out[inside][0]; got.Src != c.seenAs || got.Dst != c.target {
			b.t.Errorf("%v came in as %v, want %v>%v", d, got, c.seenAs, c.target)
		}
	}
}

// What is asked of the NAT at one time it does at every other: many
// subscribers with the same source port change neither mapping nor filter.
func TestRFC4787_REQ11_DeterministicBehaviour(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.ADF, one), func(b *bed) {
		for host := byte(2); host < 60; host++ {
			from := frame.Endpoint{Addr: frame.Addr{192, 0, 2, host}, Port: 5000}
			out := b.across(udp(from, yes)).Src
			if again := b.across(udp(from, yes2)).Src; again != out {
				b.t.Fatalf("%v has two mappings", from)
			}
			b.across(udp(yes2, out))
			b.dies(udp(zed, out), drop.Filtered)
		}
	})
}

func TestRFC4787_REQ12_ICMPDoesNotEndAMapping(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		sent := b.across(udp(alice, yes))
		for _, code := range []uint8{0, 1, 2, 3, 13} {
			got := b.across(about(yes.Addr, sent, 3, code))
			if q, err := got.quoted(); err != nil || q.Src != alice || q.Dst != yes || got.Code != code {
				b.t.Errorf("ICMP 3/%d came in as %v about %v (%v)", code, got, q, err)
			}
		}
		if got := b.across(udp(yes, sent.Src)); got.Dst != alice {
			b.t.Errorf("came in as %v", got)
		}
	})
}

func TestRFC4787_REQ13_TooBigIsTold(t *testing.T) {
	s := group(lsn.EIM, lsn.EIF)
	s.mtu = [2]int{1500, 1000}
	onEachBed(t, s, func(b *bed) {
		b.across(udp(alice, yes)) // a mapping is there, as in a transfer
		big := udp(alice, yes, make([]byte, 1200)...)
		big.DF = true
		got := b.answered(big)
		q, err := got.quoted()
		if err != nil || got.Type != 3 || got.Code != 4 || got.MTU != 1000 || q.Src != alice || q.Dst != yes {
			b.t.Errorf("told %v with MTU %d about %v (%v), want 3/4 with 1000", got, got.MTU, q, err)
		}
	})
}

func TestRFC4787_REQ13_FragmentsWhereThatIsAllowed(t *testing.T) {
	s := group(lsn.EIM, lsn.EIF)
	s.mtu = [2]int{1500, 1000}
	onEachBed(t, s, func(b *bed) {
		big := udp(alice, yes, make([]byte, 1200)...)
		out := b.put(big)
		if whole := glue(b.t, out[outside]); len(whole) != 8+len(big.Body) {
			b.t.Errorf("%d bytes in %d pieces, want %d", len(whole), len(out[outside]), 8+len(big.Body))
		}
	})
}

// glue puts fragments together, in whatever order they came.
func glue(t testing.TB, pieces []datagram) []byte {
	t.Helper()
	var out []byte
	for len(pieces) > 0 {
		next := -1
		for i, p := range pieces {
			if int(p.Offset) == len(out) {
				next = i
			}
		}
		if next < 0 {
			t.Fatalf("a piece is missing at %d: %v", len(out), pieces)
		}
		p := pieces[next]
		if p.Offset == 0 {
			p = datagram{Body: p.transport()}
		}
		out = append(out, p.Body...)
		pieces = append(pieces[:next:next], pieces[next+1:]...)
	}
	return out
}

func TestRFC4787_REQ14_FragmentsInAnyOrder(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		for _, c := range []struct {
			whole datagram
			side  int
		}{{udp(alice, yes, bytes.Repeat([]byte("abcdefgh"), 200)...), outside}, {udp(yes, out, bytes.Repeat([]byte("12345678"), 200)...), inside}} {
			for n, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}} {
				c.whole.ID = uint16(100*c.side + n + 1)
				pieces := cut(c.whole, 600)
				var got []datagram
				for _, i := range order {
					came := b.put(pieces[i])
					got = append(got, came[c.side]...)
				}
				if want, have := c.whole.transport()[8:], glue(b.t, got); !bytes.Equal(want, have[8:]) {
					b.t.Errorf("order %v: %d bytes came, want the %d sent", order, len(have)-8, len(want))
				}
			}
		}
	})
}

// cut makes fragments of at most size bytes of payload.
func cut(d datagram, size int) (out []datagram) {
	whole := d.transport()
	size &^= 7
	for at := 0; at < len(whole); at += size {
		p := d
		p.Raw, p.Offset, p.More, p.Body = true, uint16(at), at+size < len(whole), whole[at:min(at+size, len(whole))]
		out = append(out, p)
	}
	return out
}
