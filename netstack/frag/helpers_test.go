package frag

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

const second = int64(1e9)

var (
	alice  = frame.Addr{192, 0, 2, 11}
	bob    = frame.Addr{192, 0, 2, 12}
	nat    = frame.Addr{203, 0, 113, 3}
	remote = frame.Addr{198, 51, 100, 7}
)

// datagramSpec is a whole datagram; build computes it from scratch.
type datagramSpec struct {
	src, dst     frame.Addr
	sport, dport uint16 // ICMP: sport is the identifier
	proto        uint8
	id           uint16
	payload      []byte
}

func (s datagramSpec) build() []byte {
	var t []byte
	at := -1
	switch s.proto {
	case frame.ProtoTCP:
		t, at = make([]byte, 20), 16
		t[12] = 5 << 4
	case frame.ProtoUDP:
		t, at = make([]byte, 8), 6
		binary.BigEndian.PutUint16(t[4:], uint16(8+len(s.payload)))
	case frame.ProtoICMP:
		t, at = make([]byte, 8), 2
		t[0] = 8
	case frame.ProtoESP:
		t = make([]byte, 8)
	}
	switch s.proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		binary.BigEndian.PutUint16(t, s.sport)
		binary.BigEndian.PutUint16(t[2:], s.dport)
	case frame.ProtoICMP:
		binary.BigEndian.PutUint16(t[4:], s.sport)
	case frame.ProtoESP:
		binary.BigEndian.PutUint32(t, 0xc0000001)
	}
	t = append(t, s.payload...)
	if at >= 0 {
		sum := uint16(0)
		if s.proto != frame.ProtoICMP {
			sum = header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(s.proto), tcpip.AddrFrom4(s.src), tcpip.AddrFrom4(s.dst), uint16(len(t)))
		}
		binary.BigEndian.PutUint16(t[at:], ^checksum.Checksum(t, sum))
	}
	b := make([]byte, 20, 20+len(t))
	header.IPv4(b).Encode(&header.IPv4Fields{
		TotalLength: uint16(20 + len(t)), ID: s.id, TTL: 64, Protocol: s.proto,
		SrcAddr: tcpip.AddrFrom4(s.src), DstAddr: tcpip.AddrFrom4(s.dst),
	})
	header.IPv4(b).SetChecksum(^header.IPv4(b).CalculateChecksum())
	return append(b, t...)
}

// cutAt cuts a packet at these payload offsets, which are multiples of 8.
func cutAt(b []byte, offsets ...int) (out [][]byte) {
	offsets = append(offsets, len(b)-20)
	at := 0
	for _, end := range offsets {
		if end <= at {
			continue
		}
		p := append(bytes.Clone(b[:20]), b[20+at:20+end]...)
		frame.SetFragment(p, at, end < len(b)-20)
		out = append(out, p)
		at = end
	}
	return out
}

// inPieces cuts a packet into pieces of n payload bytes.
func inPieces(b []byte, n int) [][]byte {
	var offsets []int
	for at := n; at < len(b)-20; at += n {
		offsets = append(offsets, at)
	}
	return cutAt(b, offsets...)
}

// router is the least that can be built around a Table: it translates
// everything the same way, gathers what gather says, and sends released pieces
// in again.
type router struct {
	*Table
	drops  *drop.Counters
	now    int64
	refuse drop.Reason
	gather func(p *frame.Packet) bool
	out    [][]byte // translated
	whole  [][]byte // joined
}

func newRouter() *router {
	d := &drop.Counters{}
	return &router{Table: New(Config{Drops: d}), drops: d}
}

const natPort = 40000

// to is the translation of a datagram: the port tells subscribers apart.
func to(k Key) Translation {
	if k.Side == In2Out {
		return Translation{Addr: nat, Port: natPort + uint16(k.Src[3])}
	}
	return Translation{Addr: alice, Port: 5353}
}

func sideOf(p *frame.Packet) Side {
	if p.Dst == nat {
		return Out2In
	}
	return In2Out
}

// send lets pieces come in and returns what happened to the last.
func (r *router) send(pieces ...[]byte) (why drop.Reason) {
	for _, b := range pieces {
		if why = r.one(bytes.Clone(b)); why != drop.None {
			r.drops.Count(why, b, r.now)
		}
	}
	return why
}

func (r *router) one(b []byte) drop.Reason {
	var p frame.Packet
	if why := p.Parse(b); why != drop.None {
		return why
	}
	k := KeyOf(&p, 1, sideOf(&p))
	res := r.Piece(k, &p, r.now)
	if res.Verdict == First && r.gather != nil && r.gather(&p) {
		inside := p.Src
		if k.Side == Out2In {
			inside = to(k).Addr
		}
		res = r.Gather(res.Datagram, inside, &p, r.now)
	}
	var again [][]byte
	switch res.Verdict {
	case Kept:
		return drop.None
	case Dropped:
		return res.Reason
	case Joined:
		r.whole = append(r.whole, res.Whole)
		return drop.None
	case First:
		if r.refuse != drop.None {
			r.Refuse(res.Datagram, r.refuse, r.now)
			return r.refuse
		}
		var why drop.Reason
		if again, why = r.Decide(res.Datagram, to(k), r.now); why != drop.None {
			return why
		}
	}
	why := r.Carry(k, &p, r.now)
	if why == drop.None {
		r.out = append(r.out, p.Bytes())
	}
	r.send(again...)
	return why
}

// count fails unless exactly these drops were counted.
func (r *router) count(t testing.TB, want map[drop.Reason]uint64) {
	t.Helper()
	for i, n := range r.drops.Snapshot() {
		if n != want[drop.Reason(i)] {
			t.Errorf("%s: %d drops, want %d", drop.Reason(i), n, want[drop.Reason(i)])
		}
	}
}

// assembler is a plain receiver: it puts pieces in a buffer, and a datagram is
// complete when every byte was written. Two different bytes in one place, or
// two ends, are fatal.
type assembler struct {
	t    testing.TB
	open map[Key]*assembly
	done [][]byte
}

type assembly struct {
	header []byte
	body   [65536]byte
	have   [65536]bool
	end    int
}

func (a *assembler) receive(pieces ...[]byte) {
	for _, b := range pieces {
		a.one(b)
	}
}

func (a *assembler) one(b []byte) {
	a.t.Helper()
	if checksum.Checksum(b[:20], 0) != 0xffff {
		a.t.Fatalf("header checksum wrong: % x", b[:20])
	}
	var p frame.Packet
	p.Parse(b)
	k := KeyOf(&p, 0, 0)
	d := a.open[k]
	if d == nil {
		d = &assembly{}
		a.open[k] = d
	}
	if p.FragmentOffset() == 0 {
		d.header = bytes.Clone(b[:20])
	}
	for i, c := range p.Transport() {
		at := p.FragmentOffset() + i
		if d.have[at] && d.body[at] != c {
			a.t.Fatalf("byte %d of %v is spliced", at, k)
		}
		d.body[at], d.have[at] = c, true
	}
	if !p.MoreFragments() {
		d.end = p.FragmentOffset() + len(p.Transport())
	}
	if d.end == 0 || d.header == nil || bytes.IndexByte(asBytes(d.have[:d.end]), 0) >= 0 {
		return
	}
	whole := append(d.header, d.body[:d.end]...)
	frame.SetFragment(whole, 0, false)
	a.done = append(a.done, whole)
	delete(a.open, k)
}

func asBytes(have []bool) []byte {
	out := make([]byte, len(have))
	for i, h := range have {
		if h {
			out[i] = 1
		}
	}
	return out
}

// filler makes n bytes that differ from place to place.
func filler(n int, salt byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ salt
	}
	return b
}
