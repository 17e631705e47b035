package netstack

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// rekey negotiates SPIs number n of a tunnel that is up.
func (k *tunnel) rekey(n uint32) {
	k.w.t.Helper()
	k.w.fromLAN(k.say(2, k.id+1, createSA, flagV2Init, n))
	k.w.one(k.w.atWAN())
	k.w.fromWAN(k.answer(2, createSA, flagV2Resp, n))
	k.w.one(k.w.atLAN())
	k.spiIn, k.spiOut, k.seqIn, k.seqOut = k.spiIn+0x10000, k.spiOut+0x10000, 0, 0
}

func TestASubscriberAtItsQuotaGetsNoFurtherESPSession_R37(t *testing.T) {
	for name, c := range map[string]struct {
		limits lsn.TransportProfile
		reason drop.Reason
		other  bool // whether another subscriber of the group has room
	}{
		"of the subscriber": {lsn.TransportProfile{SessionQuota: 3}, drop.SessionQuota, true},
		"of the group":      {lsn.TransportProfile{GroupSessionLimit: 3}, drop.GroupSessionLimit, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) {
				c.limits.Name, c.limits.Proto = "U", frame.ProtoUDP
				cfg.LSN.Groups[0].Transports = []lsn.TransportProfile{c.limits}
			})
			k := w.tunnel(client1, 0x1000)
			k.up() // its IKE is the first session, its ESP the second
			k.traffic()
			first := *k
			k.rekey(2)
			k.traffic() // the third
			second := *k
			k.rekey(3)
			w.wantDrop(c.reason, 1, func() { w.fromLAN(k.out()) })
			w.wantDrop(c.reason, 1, func() { w.fromWAN(k.in()) })
			w.none(w.atWAN())
			told := w.one(w.atLAN()) // of its own packet, and nobody of the other
			if q, _ := told.Quote(); told.Dst != client1 || told.ICMPType != 3 || told.ICMPCode != 1 || q.SPI != k.spiOut {
				t.Errorf("told %v type %d code %d about SPI %x", told.Dst, told.ICMPType, told.ICMPCode, q.SPI)
			}
			if n := w.r.alg.Counters(); n.ESPSessions != 2 || n.Active != 2 || n.Dropped != 2 {
				t.Errorf("%+v", n)
			}
			w.advance(31 * time.Second) // the gate of the third exchange has shut
			if c.other {
				w.tunnel(client2, 0x2000).up()
			} else {
				b := w.tunnel(client2, 0x2000)
				w.wantDrop(c.reason, 1, func() { w.fromLAN(b.say(2, 0, ikeSAInit, flagV2Init, 0)) })
				w.one(w.atLAN())
			}
			for range 6 { // what is established goes on; the first falls silent
				w.advance(10 * time.Minute)
				second.traffic()
				w.fromLAN(k.say(2, k.id+1, 37, flagV2Init, 9))
				w.one(w.atWAN())
			}
			k.rekey(4)
			k.traffic() // in the place of the first
			w.wantDrop(drop.ESPStaleSPI, 1, func() { w.fromWAN(first.in()) })
			if n := w.r.alg.Counters(); n.ESPSessions < 2 {
				t.Errorf("%+v", n)
			}
		})
	}
}
