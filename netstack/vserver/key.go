package vserver

import (
	"encoding/binary"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

// Key is a flow's 5-tuple as a packet of one side shows it. The VLAN is no part
// of it: an answer may come back another way (VR4, Q10).
type Key struct {
	Src, Dst         frame.Addr
	SrcPort, DstPort uint16 // TCP, UDP: host byte order; ICMP query: its identifier, twice; otherwise 0
	Proto            uint8
	Query            Query // of ICMP: with one identifier, each side may ask the other
}

// Query is what an ICMP packet is. Some systems give all their pings the same
// identifier: what one side asks is another flow than what it answers.
type Query uint8

// NoQuery is every other packet.
const (
	NoQuery Query = iota
	Request
	Answer
)

// KeyOf is the key of a packet as it stands. ICMP errors have none of their
// own: they belong to the flow that they quote (VR12). ESP is known by its
// addresses, because its SPIs differ between the two sides.
func KeyOf(p *frame.Packet) Key {
	k := Key{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort, Proto: p.Proto}
	if query, request := p.ICMPQuery(); query {
		k.SrcPort, k.DstPort, k.Query = p.ICMPID, p.ICMPID, queryOf(request)
	}
	return k
}

// KeyOfQuote is the key of the packet that an ICMP error quotes.
func KeyOfQuote(q *frame.Quote) Key {
	k := Key{Src: q.Src, Dst: q.Dst, SrcPort: q.SrcPort, DstPort: q.DstPort, Proto: q.Proto}
	if q.Proto == frame.ProtoICMP {
		k.Query = queryOf(q.Request)
	}
	return k
}

func queryOf(request bool) Query {
	if request {
		return Request
	}
	return Answer
}

// KeyOfFlow is the key of a fast path entry.
func KeyOfFlow(f flow.Key) Key {
	k := Key{Src: f.Src, Dst: f.Dst, Proto: f.Proto}
	switch f.Proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		k.SrcPort, k.DstPort = uint16(f.ID>>16), uint16(f.ID)
	case frame.ProtoICMP:
		k.SrcPort, k.DstPort = uint16(f.ID>>16), uint16(f.ID>>16)
		k.Query = queryOf(uint8(f.ID) == icmpEcho)
	}
	return k
}

// icmpEcho is the type of the one query that takes the fast path, beside its
// answer.
const icmpEcho = 8

// Reversed is the key of an answer.
func (k Key) Reversed() Key {
	answer := [...]Query{NoQuery: NoQuery, Request: Answer, Answer: Request}
	return Key{Src: k.Dst, Dst: k.Src, SrcPort: k.DstPort, DstPort: k.SrcPort, Proto: k.Proto, Query: answer[k.Query]}
}

// Segment is what a connection wants to know of a packet.
type Segment struct {
	Length   int   // IP total length in bytes
	Flags    uint8 // TCP: frame.TCPSyn and so on; other protocols: 0
	Seq, Ack uint32
	Size     uint32 // of the TCP payload, SYN and FIN included: how far it moves Seq
}

// tcpAck is the flag that says that Ack means something.
const tcpAck = 0x10

// SegmentOf reads a packet. Of a fragment it knows the length only, unless it
// is a first one that was opened.
func SegmentOf(p *frame.Packet) Segment {
	s := Segment{Length: len(p.Bytes())}
	t := p.Transport()
	if p.Proto != frame.ProtoTCP || p.SrcPort == 0 && p.DstPort == 0 || len(t) < 20 {
		return s
	}
	s.Flags = p.TCPFlags
	s.Seq, s.Ack = binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:])
	s.Size = uint32(max(len(t)-int(t[12]>>4)*4, 0))
	if s.Flags&frame.TCPSyn != 0 {
		s.Size++
	}
	if s.Flags&frame.TCPFin != 0 {
		s.Size++
	}
	return s
}
