package rfc

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

func TestRFC5508_REQ1_QueriesPass(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		for _, from := range []frame.Endpoint{alice, bob} { // with the same identifier
			out := b.across(ping(from, yes.Addr))
			if got := b.across(pong(yes.Addr, out.Src)); got.Dst != from || string(got.Body) != "ping" {
				b.t.Errorf("the answer came in as %v, want it at %v", got, from)
			}
		}
	})
}

func TestRFC5508_REQ1a_QueryMappingIsEndpointIndependent(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		first := b.across(ping(alice, yes.Addr)).Src
		if again := b.across(ping(alice, zed.Addr)).Src; again != first {
			b.t.Errorf("identifier %d is %v towards one host and %v towards another", alice.Port, first, again)
		}
	})
}

func TestRFC5508_REQ2_QueryMappingLivesAMinute(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.across(ping(alice, yes.Addr)).Src
		b.after(60 * time.Second)
		b.across(pong(yes.Addr, out))
	})
}

// errorsOf are the ICMP errors that REQ-3 to REQ-5 are about.
var errorsOf = []struct{ kind, code uint8 }{{3, 0}, {3, 1}, {3, 3}, {3, 4}, {3, 13}, {11, 0}, {11, 1}, {12, 0}}

func TestRFC5508_REQ3_AnErrorWithABadChecksumDies(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		sent := b.across(udp(alice, yes))
		bad := about(yes.Addr, sent, 3, 3)
		bad.Raw, bad.Body = true, bad.transport()
		bad.Body[2] ^= 0xff
		if came := b.put(bad); len(came[inside])+len(came[outside]) != 0 {
			b.t.Errorf("came out %v", came)
		}
	})
}

func TestRFC5508_REQ4_ErrorsFromOutsideReachTheSubscriber(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		for _, d := range []datagram{udp(alice, yes), tcp(alice, yes, syn), ping(alice, yes.Addr)} {
			sent := b.across(d)
			for _, e := range errorsOf {
				got := b.across(about(gateway, sent, e.kind, e.code))
				q, err := got.quoted()
				if err != nil || got.Src.Addr != gateway || got.Dst.Addr != alice.Addr || q.Src != alice || q.Dst != d.Dst || got.Type != e.kind || got.Code != e.code {
					b.t.Errorf("%d/%d about %v came in as %v about %v (%v)", e.kind, e.code, d, got, q, err)
				}
			}
		}
	})
}

func TestRFC5508_REQ4_ErrorsAboutNothingDie(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		sent := b.across(udp(alice, yes))
		sent.Src.Port ^= 1
		b.dies(about(gateway, sent, 3, 3), drop.ICMPNoFlow)
	})
}

func TestRFC5508_REQ5_ErrorsFromInsideLeaveTranslated(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.across(udp(alice, yes)).Src
		came := b.across(udp(yes, out))
		for _, e := range errorsOf {
			got := b.across(about(alice.Addr, came, e.kind, e.code))
			q, err := got.quoted()
			if err != nil || got.Src.Addr != out.Addr || got.Dst.Addr != yes.Addr || q.Src != yes || q.Dst != out {
				b.t.Errorf("%d/%d left as %v about %v (%v)", e.kind, e.code, got, q, err)
			}
		}
	})
}

func TestRFC5508_REQ6_ErrorsRefreshNothing(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		sent := b.across(udp(alice, yes))
		for range 3 {
			b.after(40 * time.Second)
			b.across(about(yes.Addr, sent, 3, 1))
		}
		b.after(tick)
		b.dies(udp(yes, sent.Src), drop.NoMapping)
	})
}

// A query names no port, so only an address of its own leads it to a subscriber.
func TestRFC5508_REQ7_QueriesHairpin(t *testing.T) {
	of := frame.Addr{203, 0, 113, 40}
	whole := func(c *lsn.Config) {
		c.Statics = []lsn.Static{{Name: "bob", Inside: frame.Endpoint{Addr: bob.Addr}, Outside: frame.Endpoint{Addr: of}}}
	}
	onEachBed(t, group(lsn.EIM, lsn.EIF, whole), func(b *bed) {
		b.meet(bob.Addr)
		out := b.put(ping(alice, of))
		if len(out[inside]) != 1 || len(out[outside]) != 0 {
			b.t.Fatalf("the query came out %v, want once inside (drops %v)", out, b.dropped())
		}
		query := out[inside][0]
		if query.Type != 8 || query.Dst.Addr != bob.Addr || query.Src.Addr != nat[0] && query.Src.Addr != nat[1] {
			b.t.Fatalf("it came in as %v, want it at %v from a NAT address", query, bob.Addr)
		}
		out = b.put(pong(bob.Addr, query.Src))
		if len(out[inside]) != 1 || len(out[outside]) != 0 {
			b.t.Fatalf("the answer came out %v, want once inside (drops %v)", out, b.dropped())
		}
		if got := out[inside][0]; got.Type != 0 || got.Src.Addr != of || got.Dst != alice {
			b.t.Errorf("it came in as %v, want it at %v from %v", got, alice, of)
		}
	})
}

func TestRFC5508_REQ7_ErrorsHairpin(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		a, z := b.across(udp(alice, yes)).Src, b.across(udp(bob, yes)).Src
		out := b.put(udp(alice, z))
		if len(out[inside]) != 1 {
			b.t.Fatalf("came out %v", out)
		}
		at := out[inside][0] // at bob, from alice's outside endpoint
		back := b.put(about(bob.Addr, at, 3, 3))
		if len(back[inside]) != 1 || len(back[outside]) != 0 {
			b.t.Fatalf("the error came out %v (drops %v)", back, b.dropped())
		}
		got := back[inside][0]
		q, err := got.quoted()
		if err != nil || got.Src.Addr != z.Addr || got.Dst.Addr != alice.Addr || q.Src != alice || q.Dst != z {
			b.t.Errorf("the error came in as %v about %v (%v); %v is alice outside", got, q, err, a)
		}
	})
}

// RFC 6888 REQ-11 asks for code 1 and is younger; code 13 is a setting.
func TestRFC5508_REQ8_RefusalWithCode13(t *testing.T) {
	prohibit := func(c *lsn.Config) { c.Groups[0].OnRefusal = lsn.RefuseProhibited }
	quota := transport(lsn.TransportProfile{Proto: frame.ProtoUDP, SessionQuota: 1})
	onEachBed(t, group(lsn.EIM, lsn.EIF, prohibit, quota), func(b *bed) {
		b.across(udp(alice, yes))
		b.refused(udp(alice, zed), 13)
	})
}

// refused sends a packet from inside that is refused with an ICMP error.
func (b *bed) refused(d datagram, code uint8) {
	b.t.Helper()
	got := b.answered(d)
	q, err := got.quoted()
	if err != nil || got.Type != 3 || got.Code != code || got.Src.Addr != routerAddr[inside] || got.Dst.Addr != d.Src.Addr || q.Src != d.Src || q.Dst != d.Dst {
		b.t.Errorf("%v was answered with %v about %v (%v), want 3/%d", d, got, q, err, code)
	}
}

// An error in answer to an error would breed.
func TestRFC5508_REQ9_NoErrorAboutAnError(t *testing.T) {
	quota := transport(lsn.TransportProfile{Proto: frame.ProtoICMP, SessionQuota: 1})
	onEachBed(t, group(lsn.EIM, lsn.EIF, quota), func(b *bed) {
		stray := udp(frame.Endpoint{Addr: zed.Addr, Port: 9}, frame.Endpoint{Addr: alice.Addr, Port: 9})
		if came := b.put(about(alice.Addr, stray, 3, 3)); len(came[inside])+len(came[outside]) != 0 {
			b.t.Errorf("came out %v", came)
		}
	})
}
