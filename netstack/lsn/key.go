package lsn

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// Keys are fixed bytes without pointers and without padding, so that they are
// hashed in one go. No table holds them: they are made anew from the slabs.

// tupleKey finds a session from inside.
type tupleKey struct {
	inside, remote         frame.Addr
	insidePort, remotePort uint16
	proto                  uint16
}

// mapKey finds a mapping from inside. remote is cut to what the mapping mode
// looks at. The rules are part of it: a mapping belongs to one application
// profile, whose pooling and filtering it keeps. They imply the protocol.
type mapKey struct {
	inside, remote         frame.Addr
	insidePort, remotePort uint16
	rules                  uint16
}

// portKey names one outside port.
type portKey struct {
	addr  frame.Addr
	port  uint16
	proto uint16
}

// permitKey names a remote address that a mapping sends to.
type permitKey struct {
	mapping uint32
	remote  frame.Addr
}

func (t Tuple) key() tupleKey {
	return tupleKey{t.Inside.Addr, t.Remote.Addr, t.Inside.Port, t.Remote.Port, uint16(t.Proto)}
}

func (t Tuple) mapKey(r *rules) mapKey {
	k := mapKey{inside: t.Inside.Addr, insidePort: t.Inside.Port, rules: r.index}
	if r.app.Mapping <= ADM {
		k.remote = t.Remote.Addr
	}
	if r.app.Mapping == APDM {
		k.remotePort = t.Remote.Port
	}
	return k
}

// Identifiers of sessions and mappings: shard, generation of the slot, slot.
// A generation is never 0, and so no identifier is.
const (
	generations = 1<<24 - 1
	shardBits   = 6
	numShards   = 1 << shardBits
)

func makeID(shard int, generation, slot uint32) uint64 {
	return uint64(shard)<<56 | uint64(generation)<<32 | uint64(slot)
}

func splitID(id uint64) (shard int, generation, slot uint32) {
	return int(id >> 56), uint32(id>>32) & generations, uint32(id)
}

// ref names a slot in any shard, for the outside index: shard and slot.
const slotBits = 32 - shardBits

func makeRef(id uint64) uint32 {
	shard, _, slot := splitID(id)
	return uint32(shard)<<slotBits | slot
}

func splitRef(r uint32) (shard int, slot uint32) { return int(r >> slotBits), r & (1<<slotBits - 1) }

func nextGeneration(g uint32) uint32 {
	if g == generations {
		return 1
	}
	return g + 1
}

// spread hashes 32 bits to a shard (Fibonacci hashing: neighbouring
// subscribers land in different shards).
func spread(v uint32) int { return int(v * 0x9e3779b1 >> (32 - shardBits)) }

func insideShard(a frame.Addr) int { return spread(binary.BigEndian.Uint32(a[:])) }

// outsideShard depends on the address and on the port's range of 1024, so that
// a single NAT address still spreads over many locks, and a search for a port
// takes one lock for each range.
func outsideShard(a frame.Addr, port uint16) int {
	return spread(binary.BigEndian.Uint32(a[:])<<6 ^ uint32(port>>regionBits))
}
