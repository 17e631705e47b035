package frag

import (
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// How long a datagram may live, from its first piece or its decision on.
const (
	// Hold is how long pieces wait for the others (R29).
	Hold = 2 * time.Second
	// Life is how long pieces follow a decision. A receiver waits longer, but
	// ids have to rest for as long (ids.go).
	Life = 5 * time.Second
	// KeepCut is how long the cut of a joined datagram is remembered: a held
	// IKE message may leave half a minute later (R58).
	KeepCut = 60 * time.Second
)

type state uint8

const (
	waiting   state = iota // its first piece was not seen
	refused                // the first was refused: the others share its fate
	decided                // pieces are carried
	gathering              // pieces are collected until all are here
	joined                 // all were; its cut is remembered
)

// datagram is what is known about one. It belongs to a shard.
type datagram struct {
	Datagram
	state state
	born  int64 // monotonic nanoseconds
	owner *owner
	seen  coverage // waiting, gathering: what is held; decided: what has passed

	pieces [][]byte // held IPv4 packets
	bytes  int      // what they cost

	to     Translation // decided
	reason drop.Reason // refused
	cut    int         // gathering, joined: length of the longest piece
}

// overhead is what a held piece costs beside its bytes, so that a flood of
// tiny ones is bounded as well.
const overhead = 64

func cost(b []byte) int { return len(b) + overhead }

func (d *datagram) expired(now int64) bool {
	life := Hold
	switch d.state {
	case decided:
		life = Life
	case joined:
		life = KeepCut
	}
	return now-d.born > int64(life)
}

// malformed reports what no honest host sends, whatever the other pieces are.
func malformed(p *frame.Packet) bool {
	offset, n := p.FragmentOffset(), len(p.Transport())
	switch {
	case n == 0, p.MoreFragments() && n%8 != 0, p.HeaderLength()+offset+n > 65535:
		return true
	case p.Proto == frame.ProtoTCP: // it would write into the TCP header (RFC 3128)
		return offset > 0 && offset < 20
	}
	return false
}
