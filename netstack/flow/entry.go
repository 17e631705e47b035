package flow

import (
	"encoding/binary"
	"sync/atomic"
	"time"

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
	OwnerLSN  OwnerKind = iota + 1 // a session of the large scale NAT
	OwnerESP                       // an ESP session of the IPsec ALG
	OwnerConn                      // a connection of package vserver
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

// A slot's counter word: packets in the upper 28 bits, bytes in the lower 36,
// so that one addition counts a packet. The difference of two readings is
// exact as long as less than 64 GiB lie between them: at one Sweep a second,
// 500 Gbit/s in a single flow.
const (
	bytesBits = 36
	onePacket = uint64(1) << bytesBits
	bytesMask = onePacket - 1
)

// slot is the part of a flow that a look-up reads: one cache line. The fields
// below num belong to the writers and are under Table.mu.
type slot struct {
	seq  atomic.Uint32 // odd: live
	next atomic.Uint32 // the next slot of the bucket's chain, 0 ends it
	w0   atomic.Uint64 // source and destination address
	w1   atomic.Uint64 // ID, protocol, interface; low 16 bits: see notKey
	w2   atomic.Uint64 // new address, new port, next hop
	st   atomic.Uint64 // packets and bytes, wrapping
	num  atomic.Uint64 // numbered: End and Ack

	last int64 // the last known activity, monotonic nanoseconds
	idle int64 // nanoseconds
}

// The low bits of w1 are outside of the key: they say what to do.
const (
	notKey   = 0xffff
	sideMask = 1
	dfOnly   = 2
	numbered = 4

	// choosy flows do not take every packet of their key.
	choosy = dfOnly | numbered
)

// how packs what of e stands in w1 beside the key.
func (e *Entry) how() uint64 {
	h := uint64(e.Side)
	if e.DFOnly {
		h |= dfOnly
	}
	if e.Numbered && e.Key.Proto == frame.ProtoTCP {
		h |= numbered
	}
	return h
}

// record is the part of a flow that only writers need, under Table.mu.
type record struct {
	owner          Owner
	seen           uint64 // the slot's st as of the last credit
	packets, bytes uint64 // as of then
	prev, next     uint32 // ring of the owner's flows; next also links free slots
	state          state
}

type state uint8

const (
	stateFree state = iota
	stateLive
	stateRetired // removed since the last Sweep
	stateResting // removed before the last Sweep: free after the next
)

// rewriteWord packs what a hit needs to know into one word.
func (e *Entry) rewriteWord() uint64 {
	return uint64(binary.BigEndian.Uint32(e.Addr[:]))<<32 | uint64(e.Port)<<16 | uint64(e.Hop)
}

// write puts e into a slot that no reader takes for live.
func (s *slot) write(e *Entry, now int64) {
	w0, w1 := e.Key.words()
	s.w0.Store(w0)
	s.w1.Store(w1 | e.how())
	s.w2.Store(e.rewriteWord())
	s.num.Store(numbersWord(e.End, e.Ack))
	s.last, s.idle = now, int64(e.Idle)
}

func (s *slot) key() Key { return keyOfWords(s.w0.Load(), s.w1.Load()) }

func (s *slot) hop() HopID { return HopID(s.w2.Load()) }

// same reports whether the slot does for its key exactly what e would, from
// whatever numbers on.
func (s *slot) same(e *Entry) bool {
	return s.w2.Load() == e.rewriteWord() && s.w1.Load()&notKey == e.how()
}

// refresh is an Insert of what the slot does already. Table.mu is held.
func (s *slot) refresh(e *Entry, now int64) {
	s.last, s.idle = now, int64(e.Idle)
	if s.w1.Load()&numbered != 0 {
		s.advance(e.End, e.Ack)
	}
}

// entry is the slot's content as it was inserted, without its owner.
func (s *slot) entry() Entry {
	w1, w2 := s.w1.Load(), s.w2.Load()
	e := Entry{
		Key: s.key(), Side: Side(w1 & sideMask), Port: uint16(w2 >> 16),
		Hop: HopID(w2), Idle: time.Duration(s.idle), DFOnly: w1&dfOnly != 0,
	}
	e.Numbered, e.End, e.Ack = s.numbers()
	binary.BigEndian.PutUint32(e.Addr[:], uint32(w2>>32))
	return e
}
