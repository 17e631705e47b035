package flow

import (
	"encoding/binary"
	"time"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// Side says which address of a packet, and which port, is rewritten.
type Side uint8

// The two sides. in2out rewrites the source, out2in the destination.
const (
	Source Side = iota
	Destination
)

// OwnerKind says whose number an Owner's ID is.
type OwnerKind uint8

// The kinds of owners.
const (
	OwnerLSN    OwnerKind = iota + 1 // a session of the large scale NAT
	OwnerESP                         // an ESP session of the IPsec ALG
	OwnerConn                        // a connection of package vserver
	OwnerStatic                      // a connection whose packets a 1:1 mapping translates; 0: such a mapping alone
)

// Owner is what a flow exists for. When it ends, its flows end with it.
// Each traffic domain counts its sessions for itself.
type Owner struct {
	Kind   OwnerKind
	Domain uint16 // traffic domain
	ID     uint64
}

// Entry is one direction of one flow and what to do with its packets.
type Entry struct {
	Key   Key
	Side  Side
	Addr  frame.Addr    // the new address of that side
	Port  uint16        // its new port or ICMP identifier, host byte order; ESP: ignored
	Hop   HopID         // from Table.Hop
	Owner Owner         // reported to and removed with
	Idle  time.Duration // the flow leaves the table when idle for longer (R22)
	// DFOnly leaves packets of the flow that have DF clear to the stack, which
	// gives each an IPv4 id of its own (R29).
	DFOnly bool
	// Numbered follows the sequence numbers of a TCP flow; it means nothing for
	// other protocols. Segments without ACK are left to the stack, as those with
	// SYN, FIN or RST always are.
	Numbered bool
	End, Ack uint32 // Numbered: behind the furthest byte sent; the furthest acknowledgement
}

// flags of the entry in a bucket, beside Valid and Extended.
func (e *Entry) flags() uint32 {
	var f uint32
	if e.Side == Destination {
		f |= bucket.Destination
	}
	if e.DFOnly {
		f |= bucket.DFOnly
	}
	return f
}

// numbered reports whether e's numbers are to be followed.
func (e *Entry) numbered() bool { return e.Numbered && e.Key.Proto == frame.ProtoTCP }

// rewriteWord packs what a hit needs to know into one word.
func (e *Entry) rewriteWord() uint64 {
	var port [2]byte
	binary.BigEndian.PutUint16(port[:], e.Port)
	return bucket.PackValue(binary.NativeEndian.Uint32(e.Addr[:]), binary.NativeEndian.Uint16(port[:]), uint16(e.Hop))
}

// setRewrite is the inverse of flags and rewriteWord.
func (e *Entry) setRewrite(flags uint32, word uint64) {
	addr, port, hop := bucket.UnpackValue(word)
	var b [2]byte
	binary.NativeEndian.PutUint32(e.Addr[:], addr)
	binary.NativeEndian.PutUint16(b[:], port)
	e.Port, e.Hop = binary.BigEndian.Uint16(b[:]), HopID(hop)
	if flags&bucket.Destination != 0 {
		e.Side = Destination
	}
	e.DFOnly = flags&bucket.DFOnly != 0
}
