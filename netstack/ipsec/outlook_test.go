package ipsec

import (
	"fmt"
	"testing"
	"time"

	"spigate/netstack/frame"
)

// What is foretold is what happens: without an SA, while a packet waits for one,
// with one, for packets that fit and that do not, and when it is over.
func TestWhatIsForetoldOfAPacketIsWhatBecomesOfIt(t *testing.T) {
	for _, mode := range []Mode{Transport, Tunnel} {
		for _, n := range []int{60, 1400, 1445, 1446, 1447, 1466, 1467, 1500} {
			for _, df := range []bool{true, false} {
				t.Run(fmt.Sprint(mode, " ", n, " ", df), func(t *testing.T) {
					g := newGate(t, false)
					f := foretelling{g, inner{src: "10.1.1.9", dst: "192.168.15.2", proto: frame.ProtoUDP, size: n, df: df}.packet()}
					f.compare(t, 0, Held)
					f.compare(t, second, NoSA)
					c := g.config(0x1000, true)
					c.Mode, c.Lifetime = mode, Lifetime{HardTime: time.Minute}
					g.add(c, 2*second)
					most := map[Mode]int{Tunnel: 1446, Transport: 1466}[mode]
					if df && n > most {
						f.compare(t, 3*second, TooBig)
					} else {
						f.compare(t, 3*second, Pass)
					}
					f.compare(t, 62*second, Expired)
				})
			}
		}
	}
}

type foretelling struct {
	*gate
	p []byte
}

func (f foretelling) compare(t *testing.T, now int64, want Verdict) {
	t.Helper()
	var p frame.Packet
	p.Parse(f.p)
	s, flow := f.selector("lan"), FlowOf(&p)
	before := fmt.Sprintf("%+v %+v", f.db.Totals(), s.Info())
	would := f.db.WouldSend(s, flow, f.p[:20], len(f.p), 1500, now)
	if after := fmt.Sprintf("%+v %+v", f.db.Totals(), s.Info()); after != before {
		t.Fatalf("foretelling has changed\n%s to\n%s", before, after)
	}
	b, off := room(f.p)
	did := f.db.Send(s, flow, b, off, len(f.p), 1500, 0, now)
	if would.Verdict != want || did.Verdict != want || would.SA != did.SA || would.MTU != did.MTU || want == Pass && would.To != did.To {
		t.Errorf("at %d s: foretold %+v, it became %+v, want %v", now/second, would, did, want)
	}
}

func TestAManualPolicyHasNobodyToAskForAnSA(t *testing.T) {
	g := newGate(t, false)
	c := rioConfig(false)
	s := Suite{AESCBC, 128, HMACSHA256}
	c.Manual = []ManualSA{{Name: "in", Policy: "Rio", Source: ip("198.51.100.200"), Destination: ip("198.51.100.1"), SPI: 0x900, Suite: s, Keys: someKeys(s, 1)}}
	g.apply(c, 0)
	f := foretelling{g, udpPacket(100)}
	f.compare(t, 0, NoSA)
	a := g.db.WouldReceive(0x900, addr("198.51.100.1"), 0)
	if a.Verdict != Pass || a.SA == nil || fmt.Sprint(a.Selectors) != "[lan]" {
		t.Errorf("its inbound SA: %+v", a)
	}
	if a = g.db.WouldReceive(0x901, addr("198.51.100.1"), 0); a.Verdict != NoSA || a.SA != nil {
		t.Errorf("an SPI of nobody: %+v", a)
	}
}
