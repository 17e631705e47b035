package filter

import (
	"encoding/binary"
	"fmt"
	"strings"

	"spigate/netstack/frame"
)

// Expr is an expression. nil matches everything. It is read only, and safe for
// concurrent use.
type Expr struct {
	nodes []node // a node comes behind those that it is made of; the last is the whole
}

type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	opNet  // addr under mask, on side
	opPort // low to high, on side
	opProto
	opKind
	opFragment
	opSPI
	opIn
	opOut
)

// side is whose address or port is meant.
type side uint8

const (
	either side = iota
	source
	destination
)

type node struct {
	op         op
	side       side
	proto      uint8
	iface      frame.Interface
	low, high  uint16 // ports; low: EtherType
	addr, mask uint32
	spi        uint32
	a, b       int // nodes
	name       string
}

// Match reports whether p is chosen. It allocates nothing.
func (e *Expr) Match(p *Packet) bool {
	return e == nil || e.at(len(e.nodes)-1, p)
}

func (e *Expr) at(i int, p *Packet) bool {
	n := &e.nodes[i]
	switch n.op {
	case opAnd:
		return e.at(n.a, p) && e.at(n.b, p)
	case opOr:
		return e.at(n.a, p) || e.at(n.b, p)
	case opNot:
		return !e.at(n.a, p)
	}
	return n.match(p)
}

// match is for the words.
func (n *node) match(p *Packet) bool {
	ipv4 := p.Kind == frame.TypeIPv4
	switch n.op {
	case opNet:
		return (ipv4 || p.Kind == frame.TypeARP) && (n.side != destination && n.has(p.Src) || n.side != source && n.has(p.Dst))
	case opPort:
		return p.Ported && (n.side != destination && n.covers(p.SrcPort) || n.side != source && n.covers(p.DstPort))
	case opProto:
		return ipv4 && p.Proto == n.proto
	case opKind:
		return p.Kind == n.low
	case opFragment:
		return p.Fragment
	case opSPI:
		return p.AnySPI || p.SPI == n.spi
	case opIn:
		return p.In == n.iface
	case opOut:
		return p.Out == n.iface
	}
	return false
}

func (n *node) has(a frame.Addr) bool { return binary.BigEndian.Uint32(a[:])&n.mask == n.addr }

func (n *node) covers(port uint16) bool { return port >= n.low && port <= n.high }

// String is an expression that means the same. It is "" for nil.
func (e *Expr) String() string {
	if e == nil {
		return ""
	}
	return e.text(len(e.nodes)-1, opOr)
}

// text is node i as a part of one of this kind: "and" binds closer than "or", and
// "not" closer than both.
func (e *Expr) text(i int, in op) string {
	n := &e.nodes[i]
	switch n.op {
	case opNot:
		return "not " + e.text(n.a, opNot)
	case opAnd:
		return bracketed(e.text(n.a, opAnd)+" and "+e.text(n.b, opAnd), in == opNot)
	case opOr:
		return bracketed(e.text(n.a, opOr)+" or "+e.text(n.b, opOr), in != opOr)
	}
	return n.text()
}

func bracketed(text string, needed bool) string {
	if needed {
		return "(" + text + ")"
	}
	return text
}

var sideWords = [...]string{"", "src ", "dst "}

// protoWords are the protocols that have a word of their own.
var protoWords = map[string]uint8{"icmp": frame.ProtoICMP, "tcp": frame.ProtoTCP, "udp": frame.ProtoUDP, "gre": 47, "esp": frame.ProtoESP, "ah": frame.ProtoAH}

func (n *node) text() string {
	var b strings.Builder
	b.WriteString(sideWords[n.side])
	switch n.op {
	case opNet:
		var a frame.Addr
		binary.BigEndian.PutUint32(a[:], n.addr)
		bits := 0
		for m := n.mask; m != 0; m <<= 1 {
			bits++
		}
		if bits == 32 {
			fmt.Fprintf(&b, "host %v", a)
		} else {
			fmt.Fprintf(&b, "net %v/%d", a, bits)
		}
	case opPort:
		fmt.Fprintf(&b, "port %d", n.low)
		if n.high != n.low {
			fmt.Fprintf(&b, "-%d", n.high)
		}
	case opSPI:
		fmt.Fprintf(&b, "spi %08x", n.spi)
	default:
		b.WriteString(n.name)
	}
	return b.String()
}
