package ipsec

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// recorded is one packet of a conversation of real daemons, as the inside of
// the router saw it.
type recorded struct {
	at     int64
	packet frame.Packet
	bytes  []byte
}

// server is the gateway's address in all recordings.
var server = frame.Addr{203, 0, 113, 2}

// readPcap reads the IPv4 packets of a recording (libpcap format, little
// endian, Ethernet).
func readPcap(t testing.TB, name string) []recorded {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 24 || binary.LittleEndian.Uint32(b) != 0xa1b2c3d4 || binary.LittleEndian.Uint32(b[20:]) != 1 {
		t.Fatalf("%s: not a little endian Ethernet pcap", name)
	}
	var out []recorded
	for b = b[24:]; len(b) >= 16; {
		n := int(binary.LittleEndian.Uint32(b[8:]))
		at := int64(binary.LittleEndian.Uint32(b))*1e9 + int64(binary.LittleEndian.Uint32(b[4:]))*1e3
		f := b[16 : 16+n]
		b = b[16+n:]
		if len(f) < 14 || binary.BigEndian.Uint16(f[12:]) != 0x0800 {
			continue
		}
		r := recorded{at: at, bytes: f[14:]}
		if r.packet.Parse(r.bytes) == drop.None {
			out = append(out, r)
		}
	}
	return out
}

// replay plays one client's side of a recording against the ALG as if inside
// were its address, and returns the results of the ESP packets.
type replay struct {
	w       *world
	inside  frame.Addr
	mapping uint64
	esp     int
	lost    []recorded
}

func (r *replay) play(p recorded) {
	r.w.t.Helper()
	dir := alg.In2Out
	serverPort := p.packet.DstPort
	if p.packet.Src == server {
		dir, serverPort = alg.Out2In, p.packet.SrcPort
	} else if p.packet.Dst != server {
		return
	}
	switch p.packet.Proto {
	case frame.ProtoUDP:
		number := binary.BigEndian.AppendUint32(nil, uint32(len(r.w.sent)))
		pk := IKEPacket{Dir: dir, Profile: r.w.profile, Inside: r.inside, NAT: addrN, Server: server, ServerPort: serverPort,
			Mapping: r.mapping + uint64(serverPort), Payload: p.packet.UDPPayload(), Packet: append(number, p.bytes...)}
		r.w.sent = append(r.w.sent, pk)
		if res := r.w.step(pk); res.Verdict == alg.Drop {
			r.w.t.Errorf("IKE dropped: %v", res.Reason)
		}
	case frame.ProtoESP:
		r.esp++
		res := r.w.esp(dir, r.inside, addrN, server, p.packet.SPI, p.packet.Seq)
		if res.Verdict != alg.Forward || res.Inside != r.inside {
			r.lost = append(r.lost, p)
		}
	}
}

func TestRecordedConversations(t *testing.T) {
	for _, c := range []struct {
		file     string
		sessions int // ESP sessions ESTABLISHED over the recording
		float    bool
	}{
		{file: "ikev1-libreswan-strongswan.pcap", sessions: 3},
		{file: "ikev2-strongswan-iked.pcap", sessions: 2},
		{file: "ikev2-libreswan-libreswan.pcap", sessions: 2},
		{file: "ikev1-natt-strongswan.pcap", float: true},
		{file: "ikev2-natt-strongswan.pcap", float: true},
	} {
		t.Run(c.file, func(t *testing.T) {
			w := newWorld(t)
			r := &replay{w: w, inside: addrA, mapping: 7 << 32}
			packets := readPcap(t, c.file)
			for _, p := range packets {
				w.at(float64(p.at-packets[0].at) / 1e9)
				r.play(p)
			}
			for _, p := range r.lost {
				t.Errorf("ESP lost: SPI %08x seq %d from %v", p.packet.SPI, p.packet.Seq, p.packet.Src)
			}
			n := w.a.Counters()
			if n.Total != uint64(c.sessions) || n.MalformedIKE != 0 || (r.esp > 0) == c.float {
				t.Errorf("%d sessions (want %d), %d malformed, %d ESP packets", n.Total, c.sessions, n.MalformedIKE, r.esp)
			}
			floated := false
			for _, l := range w.lines {
				floated = floated || bytes.HasPrefix([]byte(l), []byte("IKE FLOATED"))
			}
			if floated != c.float {
				t.Errorf("floated %v, want %v", floated, c.float)
			}
		})
	}
}

// TestTwoRecordedClientsBehindOneAddress interleaves two real conversations
// with one gateway so that the second quick mode starts while the first
// client's gate is open: exactly what a NAT without the ALG mixes up.
func TestTwoRecordedClientsBehindOneAddress(t *testing.T) {
	w := newWorld(t)
	a := &replay{w: w, inside: addrA, mapping: 7 << 32}
	b := &replay{w: w, inside: addrB, mapping: 8 << 32}
	first := readPcap(t, "ikev1-libreswan-strongswan.pcap")
	second := readPcap(t, "ikev2-strongswan-iked.pcap")
	gap := 0
	for i, p := range first { // A up to quick mode, no ESP yet
		if p.packet.Proto == frame.ProtoESP {
			gap = i
			break
		}
		a.play(p)
	}
	waited := 0
	for i, p := range second { // B asks; its peer cannot answer what it did not get
		b.play(p)
		if w.a.Counters().Blocked == 1 {
			waited = i + 1
			break
		}
	}
	if waited == 0 {
		t.Fatal("B's IKE_AUTH did not wait")
	}
	for _, p := range first[gap : gap+6] {
		a.play(p)
	}
	if len(w.released) != 1 {
		t.Fatalf("%d messages released, want B's IKE_AUTH", len(w.released))
	}
	for _, p := range second[waited : waited+8] {
		b.play(p)
	}
	if len(a.lost)+len(b.lost) != 0 || a.esp == 0 || b.esp == 0 {
		t.Errorf("lost %d of A's %d and %d of B's %d", len(a.lost), a.esp, len(b.lost), b.esp)
	}
	if c := w.a.Counters(); c.Active != 2 {
		t.Errorf("%d sessions active, want both", c.Active)
	}
}
