package netstack

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	ikev2 "spigate/netstack/ipsec/ike"
)

// natBed is a tunnelBed whose router here is behind a NAT that gives it another
// port. What comes to ports that were given before is lost.
type natBed struct {
	*tunnelBed
	port uint16
	kept [][]byte // ESP of here, as it left the NAT
	hold bool     // ESP of here is kept and does not arrive
}

func newNATBed(t *testing.T) *natBed {
	t.Helper()
	mode := func(m ikev2.NATTraversal) option { return func(c *Config) { c.Keying.Peers[0].NATTraversal = m } }
	b := &natBed{port: 40001}
	b.tunnelBed = newTunnelBed(t, []option{mode(ikev2.NATForce)}, []option{mode(ikev2.NATOn)})
	b.tamper = b.translate
	b.up()
	if got := b.ends(); !slices.Equal(got, []uint16{40001, 40001}) {
		t.Fatalf("there ESP goes to %v", got)
	}
	return b
}

// translate is the NAT. A checksum of zero is none (RFC 768).
func (b *natBed) translate(from *world, p []byte) [][]byte {
	b.t.Helper()
	if p[9] != frame.ProtoUDP {
		b.t.Fatalf("on the wire: % x", p)
	}
	p = bytes.Clone(p)
	src, dst := p[20:22], p[22:24]
	p[26], p[27] = 0, 0
	switch {
	case from == b.here && binary.BigEndian.Uint16(src) == tunnels.PortNATT:
		binary.BigEndian.PutUint16(src, b.port)
		if tunnels.ClassifyUDP(p[28:]) == tunnels.UDPESP {
			b.kept = append(b.kept, p)
			if b.hold {
				return nil
			}
		}
	case from == b.there && binary.BigEndian.Uint16(src) == tunnels.PortNATT:
		if binary.BigEndian.Uint16(dst) != b.port {
			return nil
		}
		binary.BigEndian.PutUint16(dst, tunnels.PortNATT)
	}
	return [][]byte{p}
}

// ends are the ports that the SAs there have at their other end.
func (b *natBed) ends() (ports []uint16) {
	for _, i := range b.there.r.IPsec().List(b.there.r.now()) {
		ports = append(ports, i.Remote.Port)
	}
	return ports
}

// elsewhere gives a packet in UDP another source.
func elsewhere(p []byte, a frame.Addr, port uint16) []byte {
	p = bytes.Clone(p)
	copy(p[12:], a[:])
	binary.BigEndian.PutUint16(p[20:], port)
	return ttl(p, p[8])
}

func TestAnswersFollowAPeerWhoseNATGivesItAnotherPort(t *testing.T) {
	b := newNATBed(t)
	b.port = 40002
	b.fromThere(udpTo(at(far, 9), at(near, 9), "to nobody"))
	if got := b.here.atLAN(); len(got) != 0 {
		t.Fatal("the NAT has not changed its mind")
	}
	for i := range 5 {
		b.port = uint16(40003 + i)
		b.fromHere(udpTo(at(near, 9), at(far, 9), "here I am"))
		b.there.one(b.there.atLAN())
		b.fromThere(udpTo(at(far, 9), at(near, 9), "answer"))
		if p := b.here.one(b.here.atLAN()); string(p.UDPPayload()) != "answer" {
			t.Fatalf("here came % x", p.Bytes())
		}
		if got := b.ends(); !slices.Equal(got, []uint16{b.port, b.port}) {
			t.Fatalf("there ESP goes to %v, want %d", got, b.port)
		}
	}
	// So does IKE of the end that did not move: nothing is asked twice.
	if err := b.there.r.Keying().RekeyChild("S"); err != nil {
		t.Fatal(err)
	}
	b.advance(time.Second)
	if n := b.there.r.Keying().Counters(); n.ChildRekey != 1 || n.Retransmits != 0 {
		t.Errorf("%+v", n)
	}
	b.sealed()
}

func TestAPacketThatWasHeldBackMovesNoPeer(t *testing.T) {
	b := newNATBed(t)
	b.hold = true
	b.fromHere(udpTo(at(near, 9), at(far, 9), "held back"))
	held := b.kept[len(b.kept)-1]
	b.hold = false
	b.fromHere(udpTo(at(near, 9), at(far, 9), "newer"))
	b.there.one(b.there.atLAN())
	seen := b.kept[len(b.kept)-1]
	b.there.wantDrop(drop.Replay, 1, func() { b.there.fromWAN(elsewhere(seen, stranger, 4711)) })
	b.there.fromWAN(elsewhere(held, stranger, 4711))
	if p := b.there.one(b.there.atLAN()); string(p.UDPPayload()) != "held back" {
		t.Fatalf("there came % x", p.Bytes())
	}
	if got := b.ends(); !slices.Equal(got, []uint16{40001, 40001}) {
		t.Fatalf("there ESP goes to %v", got)
	}
	b.fromThere(udpTo(at(far, 9), at(near, 9), "answer"))
	b.here.one(b.here.atLAN())
}

// The router here takes itself to be behind a NAT: what it sees from the other
// end may be that NAT's doing.
func TestAPeerThatIsBehindNoNATIsNotFollowed(t *testing.T) {
	b := newNATBed(t)
	before := b.here.r.IPsec().List(b.here.r.now())
	b.there.fromLAN(udpTo(at(far, 9), at(near, 9), "from another port"))
	p := b.there.one(b.there.atWAN())
	b.here.fromWAN(elsewhere(b.translate(b.there, p.Bytes())[0], endThere, 4711))
	b.here.one(b.here.atLAN())
	for i, now := range b.here.r.IPsec().List(b.here.r.now()) {
		if now.Remote != before[i].Remote || now.Remote.Port != tunnels.PortNATT {
			t.Errorf("it sends to %v", now.Remote)
		}
	}
	b.fromHere(udpTo(at(near, 9), at(far, 9), "answer"))
	b.there.one(b.there.atLAN())
}

func TestThatAPeerHasMovedIsLoggedAndShown(t *testing.T) {
	b := newNATBed(t)
	b.port = 40002
	b.fromHere(udpTo(at(near, 9), at(far, 9), "here I am"), udpTo(at(near, 9), at(far, 9), "and here"))
	if n := len(b.there.lines("PEER MOVED")); n != 1 {
		t.Errorf("%d lines", n)
	}
	b.there.wantLine("PEER MOVED", "remote=198.51.100.1:40002", "peer=P", `reason="from 198.51.100.1:40001"`)
	for _, v := range b.there.r.Keying().View(b.there.r.now()) {
		if v.Remote.Port() != 40002 || !v.NATThere || v.NATHere || v.Children[0].Remote != v.Remote {
			t.Errorf("%+v", v)
		}
	}
}
