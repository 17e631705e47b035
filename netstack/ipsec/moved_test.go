package ipsec

import (
	"bytes"
	"encoding/binary"
	"testing"

	"spigate/netstack/frame"
)

// followed makes two gates with an SA in UDP between them, the far end of which
// follows the near one.
func followed(t *testing.T, change func(in *SAConfig)) (near, far *gate, sa *SA) {
	t.Helper()
	near, far = newGate(t, false), newGate(t, true)
	out, in := near.config(0x1001, true), far.config(0x1001, false)
	in.Follow = true
	if change != nil {
		change(&in)
	}
	out.Suite, out.Keys = in.Suite, in.Keys
	out.LocalPort, out.RemotePort, in.LocalPort, in.RemotePort = PortNATT, PortNATT, PortNATT, 61234
	near.add(out, 0)
	return near, far, far.add(in, 0)
}

// from gives a packet in UDP another source, as a NAT does.
func from(p []byte, src string, port uint16) []byte {
	p = bytes.Clone(p)
	a := addr(src)
	copy(p[12:], a[:])
	binary.BigEndian.PutUint16(p[20:], port)
	patch(p, protoUDP)
	return p
}

// bareESP takes the UDP header off.
func bareESP(p []byte, src string) []byte {
	p = from(p, src, PortNATT)
	copy(p[20:], p[28:])
	p = p[:len(p)-udpHeader]
	patch(p, protoESP)
	return p
}

func TestAPeerWhoseNATChangedItsMindIsNoticed(t *testing.T) {
	near, far, sa := followed(t, nil)
	_, sealed := near.send(udpPacket(60), 0)
	forged := bytes.Clone(sealed)
	forged[len(forged)-1] ^= 1
	if r := far.receive(forged, 0); r.Verdict != ICV || r.Moved {
		t.Errorf("a forged packet moves nobody: %+v", r)
	}
	r := far.receive(sealed, 0)
	if want := (frame.Endpoint{Addr: addr("198.51.100.1"), Port: PortNATT}); r.Verdict != Pass || !r.Moved || r.From != want {
		t.Errorf("%+v", r)
	}
	_, sealed = near.send(udpPacket(60), 0)
	if r := far.receive(bareESP(sealed, "198.51.100.77"), 0); r.Verdict != Pass || r.Moved {
		t.Errorf("bare ESP has no port to follow: %+v", r)
	}
	sa.Redirect(r.From)
	_, sealed = near.send(udpPacket(60), 0)
	if r := far.receive(sealed, 0); r.Verdict != Pass || r.Moved {
		t.Errorf("after it was followed: %+v", r)
	}
	if got := sa.Remote(); got != r.From {
		t.Errorf("the other end is %v", got)
	}
}

func TestOnlyTheNewestPacketMovesThePeer(t *testing.T) {
	near, far, _ := followed(t, nil)
	_, held := near.send(udpPacket(60), 0) // somebody on the way keeps it
	_, second := near.send(udpPacket(60), 0)
	_, third := near.send(udpPacket(60), 0)
	if r := far.receive(from(second, "203.0.113.7", 61234), 0); r.Verdict != Pass || !r.Moved {
		t.Errorf("the newest so far: %+v", r)
	}
	if r := far.receive(from(held, "203.0.113.66", 4711), 0); r.Verdict != Pass || r.Moved {
		t.Errorf("an old one that nobody has seen is let in, and moves nobody: %+v", r)
	}
	if r := far.receive(from(second, "203.0.113.66", 4711), 0); r.Verdict != Replay || r.Moved {
		t.Errorf("a repeated one: %+v", r)
	}
	if r := far.receive(from(third, "203.0.113.7", 61235), 0); r.Verdict != Pass || !r.Moved || r.From.Port != 61235 {
		t.Errorf("and the next one: %+v", r)
	}
}

// Nothing is inside, and the peer is there all the same.
func TestADummyShowsWhereThePeerIs(t *testing.T) {
	near, far, in := followed(t, nil)
	out := near.selector("lan").bundle.pick(udpFlow("10.1.1.9", "192.168.15.2"))
	bare := resign(out, 7, append(count(14), 14, protoDummy))
	length := len(bare) - 20 + udpHeader
	p := append(append(bytes.Clone(bare[:20]), 0x12, 0x34, PortNATT>>8, PortNATT&0xff, byte(length>>8), byte(length), 0, 0), bare[20:]...)
	patch(p, protoUDP)
	if r := far.receive(p, 0); r.Verdict != Dummy || !r.Moved || r.From.Port != 0x1234 || r.SA != in || r.Inner != nil {
		t.Errorf("%+v", r)
	}
}

func TestNobodyIsFollowedWhoMustNotBe(t *testing.T) {
	for name, change := range map[string]func(*SAConfig){
		"not behind a nat": func(c *SAConfig) { c.Follow = false },
		"without a window": func(c *SAConfig) { c.Manual = true },
	} {
		near, far, _ := followed(t, func(c *SAConfig) {
			c.Suite = Suite{AESCBC, 128, HMACSHA256} // manual keys want it
			c.Keys = someKeys(c.Suite, 7)
			change(c)
		})
		_, sealed := near.send(udpPacket(60), 0)
		if r := far.receive(from(sealed, "203.0.113.7", 61235), 0); r.Verdict != Pass || r.Moved {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
