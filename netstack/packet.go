package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// packet is one IPv4 packet on its way through a hook. They are used again:
// three hooks see each packet of the slow path.
type packet struct {
	frame.Packet
	in, out frame.Interface // out is 0 before routing
	route   *stack.Route    // nil before routing
	group   bool            // it came in a broadcast or multicast frame
	now     int64           // monotonic nanoseconds
	exempt  bool            // postrouting: a fragment that leaves untranslated (R13)
	cut     int             // postrouting: the longest piece that it came in, 0: it came whole
	ours    bool            // postrouting: not the stack's packet any more but one in its place

	watched uint32 // what those who look on know it by, of frame.MarkBits (watch.go)

	asked    bool // it is explained, not forwarded: nothing is counted
	unsealed bool // it came out of a tunnel
	demands  bool // its virtual server requires protection (VR31)

	admitted   bool        // by a virtual server, NAT or SNAT: the LSN has no part in it
	redirected bool        // forward: its connection gave it another destination
	course     course      // forward: what prerouting knows of its connection
	hit        vserver.Hit // postrouting: its connection

	entry flow.Entry // postrouting: what the fast path may get of it, if it leaves in clear
	fast  bool       // there is one
	epoch uint64     // of the flow table, as of then

	put func() // back into the pool

	pieces [][]byte // the memory of a packet that lies in more than one
	joined []byte   // and their bytes
}

// view returns the IPv4 packet in pk as one slice. Received packets lie in one
// piece, because the link delivers them so, and the slice is their memory.
// What the stack itself made lies in pieces (reserved header, data): then the
// slice is a copy, and writeBack must be called.
func (p *packet) view(pk *stack.PacketBuffer) []byte {
	p.pieces, p.joined = p.pieces[:0], p.joined[:0]
	views, skip := pk.AsViewList()
	skip += len(pk.LinkHeader().Slice())
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		n := min(skip, len(b))
		skip -= n
		if len(b) > n {
			p.pieces = append(p.pieces, b[n:])
		}
	}
	if len(p.pieces) == 1 {
		return p.pieces[0]
	}
	for _, piece := range p.pieces {
		p.joined = append(p.joined, piece...)
	}
	return p.joined
}

// whole gives a UDP packet back what stands behind its datagram: the options of
// RFC 9868, say. The stack has cut that off before it asks us, but in its memory
// it is still there. behind is its length in bytes, mostly 0.
func (p *packet) whole(b []byte) (all []byte, behind int) {
	if len(b) < header.IPv4MinimumSize || b[9] != frame.ProtoUDP || len(p.pieces) != 1 {
		return b, 0
	}
	total := int(header.IPv4(b).TotalLength())
	if total <= len(b) || total > cap(b) {
		return b, 0
	}
	p.pieces[0] = b[:total]
	return b[:total], total - len(b)
}

// writeBack puts a view into the memory that it was taken from.
func (p *packet) writeBack() {
	if len(p.pieces) == 1 {
		return
	}
	rest := p.joined
	for _, piece := range p.pieces {
		rest = rest[copy(piece, rest):]
	}
}

// release forgets what the packet refers to.
func (p *packet) release() {
	clear(p.pieces)
	*p = packet{put: p.put, pieces: p.pieces[:0], joined: p.joined[:0]}
}
