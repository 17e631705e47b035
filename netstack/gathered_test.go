package netstack

import (
	"bytes"
	"testing"
)

func TestAnIKEAnswerInPiecesWithID0ArrivesInPiecesOfOneDatagram(t *testing.T) { // N22
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.init()
	w.one(a.ask())
	answer := udpTo(at(server, 500), at(natAddr, a.nat), ike(2, a.id, a.id+1, ikeAuth, flagV2Resp, 1, 4000))
	w.fromWAN(withID(fragments(answer, 1020), 0)...)
	if p := w.parsed(w.joined(w.atLAN())); p.Dst != client1 || !bytes.Equal(p.UDPPayload(), answer[28:]) {
		t.Errorf("came to %v with %d bytes", p.Dst, len(p.UDPPayload()))
	}
}

func cookieDemux(c *Config) {
	p := c.Profiles["P"]
	p.IKECookieDemux = true
	c.Profiles["P"] = p
}

func TestAnIKEAnswerToPort500IsGatheredToo(t *testing.T) { // N22, N40
	w := newWorld(t, cookieDemux)
	a := w.tunnel(client1, 0x1000)
	a.init()
	w.one(a.ask())
	answer := udpTo(at(server, 500), at(natAddr, 500), ike(2, a.id, a.id+1, ikeAuth, flagV2Resp, 1, 4000))
	w.fromWAN(reversed(fragments(answer, 1020))...)
	if p := w.parsed(w.joined(w.atLAN())); p.Dst != client1 || p.DstPort != 500 || !bytes.Equal(p.UDPPayload(), answer[28:]) {
		t.Errorf("came to %v:%d with %d bytes", p.Dst, p.DstPort, len(p.UDPPayload()))
	}
	a.traffic()
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}
