package frag

import (
	"hash/maphash"

	"spigate/netstack/frame"
)

// Side tells which way a datagram goes.
type Side uint8

// The source of an In2Out datagram is rewritten, the destination of an Out2In.
const (
	In2Out Side = iota
	Out2In
)

// Key names a datagram, as its pieces come in (RFC 791, R29).
type Key struct {
	Src, Dst frame.Addr
	ID       uint16 // IPv4 identification, host byte order
	Proto    uint8
	In       frame.Interface
	Side     Side
	Unsealed bool // they came out of a tunnel: nothing in clear belongs to them
}

// KeyOf returns the key of an untranslated packet that came in at in.
func KeyOf(p *frame.Packet, in frame.Interface, side Side) Key {
	return Key{Src: p.Src, Dst: p.Dst, ID: p.ID(), Proto: p.Proto, In: in, Side: side}
}

// Datagram is a key with the start of the transport header: the name of a
// datagram that is being decided about. Piece makes it.
type Datagram struct {
	Key
	head [headLen]byte
}

// headLen is what every first fragment has at least behind its IPv4 header:
// ports and checksum, ICMP type and identifier, or SPI and sequence number.
const headLen = 8

// account names an owner: to whom a datagram is charged.
type account struct{ inside, remote, nat frame.Addr }

// accountOf says whose a datagram is. Outbound it is the subscriber's. Inbound
// it is that of a server and a NAT address, and the subscriber's alone as soon
// as inside is known: pieces that nobody asked for cannot push out the others,
// and forged servers at an open mapping are at the expense of its owner (R29).
func accountOf(k Key, inside frame.Addr) account {
	switch {
	case k.Side == In2Out:
		return account{inside: k.Src}
	case !inside.IsZero():
		return account{inside: inside}
	}
	return account{remote: k.Src, nat: k.Dst}
}

// shardOf places all datagrams of one account together, and those of the two
// sides apart. Only what inbound is a subscriber's lies in several shards, each
// of which has a share of its bound.
func (t *Table) shardOf(k Key) *shard {
	a := accountOf(k, frame.Addr{})
	n := maphash.Comparable(t.seed, a) % shardsPerSide
	return &t.shards[uint64(k.Side&1)*shardsPerSide+n]
}
