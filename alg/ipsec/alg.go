package ipsec

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// shardCount is how many shards there are of each kind. It is far above the
// number of cores, so that two ports seldom meet on one lock, and a power of
// two, so that a hash is cut with a shift.
const (
	shardBits  = 6
	shardCount = 1 << shardBits
)

// Config bounds the ALG. Zero fields take the default.
type Config struct {
	MaxIKESessions int   // of all subscribers; half-open ones get half of it; 65536
	MaxESPSessions int   // of all subscribers; 131072
	MaxHeldBytes   int   // of all pairs; 16 MiB
	Quota          Quota // the NAT's session quotas; nil: none
}

// Quota counts ESP sessions against a subscriber's and its group's session
// quotas, which are the NAT's (R37). Its methods are called with a shard
// locked: they must not wait and not call the ALG.
type Quota interface {
	Take(inside frame.Addr) drop.Reason // it has one more, unless a reason is returned
	Give(inside frame.Addr)             // it has one less
}

// ALG is the IPsec ALG. Its methods are safe for concurrent use.
type ALG struct {
	cfg     Config
	seed    maphash.Seed
	count   bounds
	tallies tallies
	shards  [shardCount]shard
	subs    [shardCount]subscribers
	maps    [shardCount]mappings
}

// New makes an ALG without sessions.
func New(c Config) *ALG {
	if c.MaxIKESessions == 0 {
		c.MaxIKESessions = 65536
	}
	if c.MaxESPSessions == 0 {
		c.MaxESPSessions = 131072
	}
	if c.MaxHeldBytes == 0 {
		c.MaxHeldBytes = 16 << 20
	}
	a := &ALG{cfg: c, seed: maphash.MakeSeed()}
	a.tallies.number = make(map[string]uint16)
	for i := range a.shards {
		a.shards[i].init(i, max(64, min(4096, c.MaxESPSessions/shardCount)))
		a.subs[i].init()
		a.maps[i].init()
	}
	return a
}

// IKEPacket is a UDP datagram to or from port 500 or 4500 of a server, with
// the mapping that the NAT found or made for it. Ports are in host byte order.
type IKEPacket struct {
	Dir                             alg.Direction
	Profile                         *Profile // nil: the group has no ALG (R35)
	Inside, NAT, Server             frame.Addr
	InsidePort, NATPort, ServerPort uint16
	Mapping                         uint64
	Payload                         []byte          // of the datagram
	Packet                          []byte          // the IPv4 packet as it came in; copied if held
	In                              frame.Interface // where it came in
	Mark                            uint32          // the caller's own, given back with the packet
}

// ESPPacket is an ESP packet. In2Out: NAT is the subscriber's address by the
// NAT's pairing, zero if it has none (R37). Out2In: Inside and Profile are
// empty.
type ESPPacket struct {
	Dir                 alg.Direction
	Profile             *Profile
	Inside, NAT, Server frame.Addr
	SPI, Seq            uint32 // host byte order
	Len                 int    // of the IPv4 packet, bytes
}

// Result is what becomes of a packet. Inside and NAT are the addresses to
// translate to; Session is the ESP session's id, 0 for IKE. Cache allows this
// direction into the flow table, for Idle. The actions are to be done after
// the packet's own verdict, in order.
type Result struct {
	Verdict alg.Verdict
	Reason  drop.Reason
	Inside  frame.Addr
	NAT     frame.Addr
	Session uint64
	Cache   bool
	Idle    time.Duration
	Actions []Action
	Why     string // one sentence for explain
}

// hash8 spreads two addresses over the shards.
func hash8(a, b frame.Addr) uint64 {
	k := uint64(binary.BigEndian.Uint32(a[:]))<<32 | uint64(binary.BigEndian.Uint32(b[:]))
	k ^= k >> 29
	k *= 0x9e3779b97f4a7c15
	return k >> (64 - shardBits)
}

// shardOf returns the shard of a pair (R73).
func (a *ALG) shardOf(nat, server frame.Addr) *shard { return &a.shards[hash8(nat, server)] }

// subsOf returns the shard of a subscriber.
func (a *ALG) subsOf(inside frame.Addr) *subscribers {
	return &a.subs[hash8(frame.Addr{}, inside)]
}

// mapsOf returns the shard of a mapping.
func (a *ALG) mapsOf(mapping uint64) *mappings {
	return &a.maps[mapping*0x9e3779b97f4a7c15>>(64-shardBits)]
}
