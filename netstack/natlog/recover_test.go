package natlog

import (
	"fmt"
	"testing"
)

// A datagram that left says nothing; none that left says less.
func TestAUDPCollectorIsBackOnlyAfterADatagram(t *testing.T) {
	alive, quiet := newFakeConn(), newFakeConn()
	s, _, _ := newTestSender(t, compactUDP, alive, quiet)
	s.offerNumbered(0, 0)
	s.drain(t.Context())
	s.fail(errRefused)
	s.batch, s.next = nil, 0 // nothing is left to be sent
	for range 1 + 3*probeTicks {
		s.tick(t.Context())
		s.drain(t.Context())
	}
	if s.conn == nil || s.stats().Up {
		t.Fatalf("a collector that was sent nothing is up: %+v", s.stats())
	}
	s.offerNumbered(1, 1)
	s.drain(t.Context())
	for range probeTicks {
		s.tick(t.Context())
	}
	if got := ports(t, quiet.messages()); got != "1" || !s.stats().Up {
		t.Errorf("sent %q, %+v", got, s.stats())
	}
}

// A collector that was back has its first attempt after one tick again.
func TestTheWaitBeginsAnewOnceACollectorIsBack(t *testing.T) {
	target := compactUDP
	target.Network = "tcp"
	first, last := newFakeConn(), newFakeConn()
	s, network, _ := newTestSender(t, target, first, nil, nil, nil, newFakeConn(), last)
	s.offerNumbered(0, 0)
	s.drain(t.Context())
	s.fail(errRefused)
	for n := 0; s.conn == nil; n++ {
		if n > 20 {
			t.Fatal("it is not back")
		}
		s.tick(t.Context())
	}
	dials := network.dials
	s.fail(errRefused)
	s.tick(t.Context())
	if network.dials != dials+1 {
		t.Errorf("%d attempts in the first tick, want 1", network.dials-dials)
	}
}

// Whatever the size, the padding is in it (RFC 7011 section 3.3.1).
func TestIPFIXMessagesStayBelowEverySize(t *testing.T) {
	batch := []Record{sampleMapping(), sampleBlock(), sampleESP(), sampleSession()}
	for _, sample := range []Record{sampleMapping(), sampleBlock(), sampleESP(), sampleSession(), sampleQuota()} {
		sample.Domain = 0
		for range 60 {
			batch = append(batch, sample)
		}
	}
	for size := MinMessageSize; size < MinMessageSize+100; size++ {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			e := testIPFIX(func(t *Target) { t.MessageSize = size })
			for rest := batch; len(rest) > 0; {
				b, used := e.encode(rest, 1, newClock().now())
				if len(b) > size || len(b)%setAlign != 0 {
					t.Fatalf("a message of %d bytes", len(b))
				}
				rest = rest[used:]
			}
		})
	}
}
