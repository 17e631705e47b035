package netstack

import (
	"bytes"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// atQuota is a world in which client1 has the one UDP session that it may have.
func atQuota(t testing.TB, options ...option) *world {
	t.Helper()
	w := newWorld(t, append([]option{withUDP(lsn.TransportProfile{SessionQuota: 1})}, options...)...)
	w.fromLAN(udpTo(at(client1, 1000), at(server, 53), "the one"))
	w.one(w.atWAN())
	return w
}

func TestRFC6888_REQ11_ARefusedPacketIsAnsweredAndNothingElseEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refusal lsn.Refusal
		code    int
	}{
		{"RFC 6888", lsn.RefuseHostUnreachable, 1},
		{"RFC 5508 REQ-8", lsn.RefuseProhibited, 13},
		{"silently", lsn.RefuseSilently, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := atQuota(t, func(c *Config) { c.LSN.Groups[0].OnRefusal = tt.refusal })
			refused := udpTo(at(client1, 1001), at(server, 53), "one too many")
			w.wantDrop(drop.SessionQuota, 1, func() { w.fromLAN(refused) })
			w.none(w.atWAN())
			if tt.code < 0 {
				w.none(w.atLAN())
			} else {
				p := w.one(w.atLAN())
				if p.Src != lanAddr || p.Dst != client1 || p.ICMPType != 3 || int(p.ICMPCode) != tt.code {
					t.Fatalf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
				}
				if quote := p.Transport()[8:]; !bytes.Equal(quote, refused) {
					t.Errorf("quotes % x\n want % x", quote, refused)
				}
			}
			w.fromLAN(udpTo(at(client1, 1000), at(server, 53), "still there"))
			w.one(w.atWAN())
		})
	}
}

func TestRFC6888_REQ11_ExhaustedPortsAreAnsweredToo(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.LSN.Statics = []lsn.Static{{Name: "all", Proto: frame.ProtoUDP, Inside: at(client2, 0), Outside: at(natAddr, 0)}}
	})
	w.wantDrop(drop.NoFreePort, 1, func() { w.fromLAN(udpTo(at(client1, 1), at(server, 53), "x")) })
	if p := w.one(w.atLAN()); p.ICMPType != 3 || p.ICMPCode != 1 {
		t.Errorf("type %d code %d", p.ICMPType, p.ICMPCode)
	}
}

func TestRefusalsAreAnsweredAFewTimesASecond(t *testing.T) {
	w := atQuota(t)
	for range 50 {
		w.fromLAN(udpTo(at(client1, 1001), at(server, 53), "x"))
	}
	if n := len(w.atLAN()); n != refusalsPerSecond {
		t.Errorf("%d answers in a second", n)
	}
	w.fromLAN(udpTo(at(client2, 1), at(server, 53), "x")) // has its own session
	w.fromLAN(udpTo(at(client2, 2), at(server, 53), "x"))
	w.one(w.atLAN()) // and is told, whatever the other does
	w.advance(time.Second)
	w.fromLAN(udpTo(at(client1, 1001), at(server, 53), "x"))
	w.one(w.atLAN())
}

func TestALongRefusedPacketIsQuotedInPart(t *testing.T) {
	w := atQuota(t)
	w.fromLAN(udpTo(at(client1, 1001), at(server, 53), string(make([]byte, 1400))))
	if p := w.one(w.atLAN()); len(p.Bytes()) != 576 {
		t.Errorf("%d bytes", len(p.Bytes()))
	}
}

func TestRFC1812_4327_NoErrorIsSentAboutWhatMayNotHaveOne(t *testing.T) {
	pieces := fragments(udpTo(at(client1, 1001), at(server, 53), text(200)), 124)
	w := atQuota(t)
	w.fromLAN(pieces[0])
	if p := w.one(w.atLAN()); p.ICMPType != 3 {
		t.Errorf("about a first piece: type %d", p.ICMPType)
	}
	w.fromLAN(pieces[1])
	w.none(w.atLAN())
	w.inBroadcastFrame(0, udpTo(at(client1, 1001), at(server, 53), "x"))
	w.none(w.atLAN())
	w.fromLAN(udpTo(at(addr("192.0.2.255"), 1), at(server, 53), "x"))
	w.fromLAN(udpTo(at(addr("192.0.2.255"), 2), at(server, 53), "x"))
	w.none(w.atLAN())
}
