package swsim

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// FuzzFrame lets any bytes come in at any port, after somebody has spoken at
// each: whatever leaves must leave by a member of the frame's VLAN, with the tag
// that belongs there, and with the rest of its bytes.
func FuzzFrame(f *testing.F) {
	for n, raw := range [][]byte{
		nil, ether(everybody, alice, "x"), ether(bob, alice, "x", 10), ether(bob, alice, "x", 20),
		ether(bob, alice, "x", 0xe000), ether(bob, alice, "x", 10, 20), ether(bob, alice, "x", 0, 20), ether(bob, alice, "x", 4095),
		ether(0x0180c2000000, alice, "x"), ether(bob, multicast, "x"), provider(ether(bob, alice, "x", 20)),
		ether(bob, alice, "", 10)[:16], ether(bob, alice, "", 10, 20)[:20], ether(bob, alice, string(make([]byte, 1500))),
	} {
		f.Add(uint8(n), raw)
	}
	f.Fuzz(func(t *testing.T, at uint8, raw []byte) {
		b := newOffice(t)
		b.send("lan1", ether(everybody, alice, "x"))
		b.send("lan4", ether(everybody, bob, "x", 10), ether(everybody, bob, "x", 20))
		in := names[int(at)%len(names)]
		for port, sent := range b.send(in, slices.Clone(raw)) {
			if port == in {
				t.Errorf("it left by %s again", port)
			}
			for _, got := range sent {
				checkSent(t, in, port, raw, got)
			}
		}
	})
}

// vlanOf is the VLAN of a frame of the office, 0: none that its port is in.
func vlanOf(port string, raw []byte) uint16 {
	vlan := map[string]uint16{"lan1": 10, "lan2": 10, "lan3": 20}[port]
	if f := framed(raw); len(raw) >= 18 {
		if tci, tagged := f.tag(); tagged && tci&0xfff != 0 {
			vlan = tci & 0xfff
		}
	}
	if !slices.Contains(map[string][]uint16{"lan1": {10}, "lan2": {10}, "lan3": {20}, "lan4": {10, 20}, "cpu": {10, 20}}[port], vlan) {
		return 0
	}
	return vlan
}

func checkSent(t *testing.T, in, port string, raw, got []byte) {
	t.Helper()
	vlan, tagged := vlanOf(in, raw), port == "lan4" || port == "cpu"
	if vlan == 0 || vlanOf(port, got) != vlan {
		t.Errorf("VLAN %d from %s left by %s: %x", vlan, in, port, got)
	}
	if len(got) < 14 || tagged != (binary.BigEndian.Uint16(got[12:]) == typeTag) {
		t.Fatalf("wrong tag at %s: %x", port, got)
	}
	if !bytes.Equal(untag(got), untag(raw)) {
		t.Errorf("changed on its way:\n%x\n%x", raw, got)
	}
}

// untag is a frame without its first tag.
func untag(b []byte) []byte {
	f := framed(b)
	f.dropTag()
	return f.Bytes()
}
