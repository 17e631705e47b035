package rfc

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// rfc5382 are the timers that REQ-5 asks for, which NetScaler's are not.
func rfc5382(c *lsn.Config) {
	transport(lsn.TransportProfile{
		Proto: frame.ProtoTCP, SessionTimeout: 7440 * time.Second, SynIdleTimeout: 240 * time.Second, FinRstTimeout: 240 * time.Second,
	})(c)
}

// connect opens a connection from inside and returns its outside endpoint.
func (b *bed) connect(from, to frame.Endpoint) frame.Endpoint {
	b.t.Helper()
	out := b.across(tcp(from, to, syn)).Src
	b.across(tcp(to, out, synAck))
	b.across(tcp(from, to, ack))
	return out
}

func TestRFC5382_REQ1_MappingEndpointIndependent(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		first := b.connect(alice, yes)
		for _, server := range []frame.Endpoint{yes2, zed, far} {
			if again := b.connect(alice, server); again != first {
				b.t.Errorf("towards %v the subscriber is %v, towards %v it was %v", server, again, yes, first)
			}
		}
	})
}

func TestRFC5382_REQ2_ThreeWayHandshakeFromOutside(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		out := b.connect(alice, yes)
		b.across(tcp(zed, out, syn))
		b.across(tcp(alice, zed, synAck))
		b.across(tcp(zed, out, ack))
	})
}

func TestRFC5382_REQ2_SimultaneousOpen(t *testing.T) {
	onEachBed(t, group(lsn.APDM, lsn.APDF), func(b *bed) {
		out := b.across(tcp(alice, yes, syn)).Src
		b.across(tcp(yes, out, syn)) // crossed ours on its way
		b.across(tcp(alice, yes, synAck))
		b.across(tcp(yes, out, synAck))
		b.after(119 * time.Second) // more than a SYN's idle time: it is established
		b.across(tcp(alice, yes, ack))
	})
}

func TestRFC5382_REQ3_FilteringAsForUDP(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		b.across(tcp(far, b.connect(alice, yes), syn))
	})
	onEachBed(t, group(lsn.EIM, lsn.ADF), func(b *bed) {
		b.across(tcp(yes2, b.connect(alice, yes), syn))
	})
}

// Nothing for six seconds, then a refusal; an outbound SYN in between makes a
// connection of it.
func TestRFC5382_REQ4_UnsolicitedSYNIsNotAnsweredForSixSeconds(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.across(tcp(alice, yes, syn)).Src
		if came := b.put(tcp(zed, out, syn)); len(came[inside])+len(came[outside]) != 0 {
			b.t.Fatalf("came out %v", came)
		}
		if came := b.after(6*time.Second - tick); len(came[inside])+len(came[outside]) != 0 {
			b.t.Fatalf("before its time: %v", came)
		}
		came := b.after(2 * time.Second)
		if len(came[outside]) != 1 || len(came[inside]) != 0 {
			b.t.Fatalf("after six seconds: %v, want one ICMP error outside", came)
		}
		got := came[outside][0]
		q, err := got.quoted()
		if err != nil || got.Type != 3 || got.Code != 3 || got.Dst.Addr != zed.Addr || q.Src != zed || q.Dst != out {
			b.t.Errorf("told %v about %v (%v), want 3/3 about %v>%v", got, q, err, zed, out)
		}
	})
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.across(tcp(alice, yes, syn)).Src
		b.put(tcp(zed, out, syn))
		b.after(3 * time.Second)
		if again := b.across(tcp(alice, zed, syn)).Src; again != out {
			b.t.Fatalf("the second connection leaves from %v, the first from %v", again, out)
		}
		if came := b.after(10 * time.Second); len(came[inside])+len(came[outside]) != 0 {
			b.t.Errorf("a simultaneous open was refused: %v", came)
		}
		b.across(tcp(zed, out, syn))
	})
}

func TestRFC5382_REQ5_EstablishedConnectionLivesTwoHours(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF, rfc5382), func(b *bed) {
		out := b.connect(alice, yes)
		b.after(7440 * time.Second)
		b.across(tcp(yes, out, ack))
	})
}

func TestRFC5382_REQ5_TransitoryConnectionLivesFourMinutes(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF, rfc5382), func(b *bed) {
		out := b.across(tcp(alice, yes, syn)).Src
		b.after(240 * time.Second)
		b.across(tcp(yes, out, synAck))
		b.across(tcp(alice, yes, ack))
		b.across(tcp(alice, yes, fin))
		b.after(240 * time.Second)
		b.across(tcp(yes, out, fin))
		b.after(240*time.Second + tick)
		b.dies(tcp(yes, out, ack), drop.NoMapping)
	})
}

// NetScaler's own timers are the default: the deviation is documented.
func TestRFC5382_REQ5_NetScalersTimersAreTheDefault(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.across(tcp(alice, yes, syn)).Src
		b.after(60*time.Second + tick)
		b.dies(tcp(yes, out, synAck), drop.NoMapping)
	})
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.connect(alice, yes)
		b.after(122 * time.Second)
		b.dies(tcp(yes, out, ack), drop.NoMapping)
	})
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.connect(alice, yes)
		b.across(tcp(yes, out, rst))
		b.after(30*time.Second + tick)
		b.dies(tcp(yes, out, ack), drop.NoMapping)
	})
}

func TestRFC5382_REQ7_NoPortOverloading(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF, one), func(b *bed) {
		seen := map[frame.Endpoint]frame.Addr{}
		for host := byte(2); host < 52; host++ {
			from := frame.Endpoint{Addr: frame.Addr{192, 0, 2, host}, Port: 5000}
			out := b.across(tcp(from, yes, syn)).Src
			if other, taken := seen[out]; taken {
				b.t.Fatalf("%v and %v are both %v", other, from.Addr, out)
			}
			seen[out] = from.Addr
		}
	})
}

func TestRFC5382_REQ8a_HairpinWithExternalSource(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.EIF), func(b *bed) {
		b.hairpins(tcp(alice, yes, syn), tcp(bob, yes, syn))
	})
}

func TestRFC5382_REQ9_ICMPErrorsAreTranslated(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		sent := b.across(tcp(alice, yes, syn))
		for _, code := range []uint8{0, 1, 3, 4, 13} {
			got := b.across(about(gateway, sent, 3, code))
			if q, err := got.quoted(); err != nil || got.Dst.Addr != alice.Addr || q.Src != alice || q.Dst != yes {
				b.t.Errorf("ICMP 3/%d came in as %v about %v (%v)", code, got, q, err)
			}
		}
	})
}

func TestRFC5382_REQ10_ICMPDoesNotEndAConnection(t *testing.T) {
	onEachBed(t, group(lsn.EIM, lsn.APDF), func(b *bed) {
		out := b.connect(alice, yes)
		sent := b.across(tcp(alice, yes, ack))
		for _, code := range []uint8{0, 1, 2, 3, 13} {
			b.across(about(yes.Addr, sent, 3, code))
		}
		if got := b.across(tcp(yes, out, ack)); got.Dst != alice {
			b.t.Errorf("came in as %v", got)
		}
	})
}
