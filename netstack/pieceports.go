package netstack

import (
	"sync"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// Later pieces of a datagram show no ports, and a selector may ask for them (Q19,
// RFC 4301 section 7). The first piece goes first wherever a translation had to
// know it. A later one that comes before it has no ports here either: it passes
// where no selector could have meant it, and nowhere else.

// piecePorts remembers the ports of datagrams that pass in pieces, at each place
// that asks for itself: who fills one table takes nothing from the others.
type piecePorts struct {
	clear  pieceTable // as they came in clear
	out    pieceTable // as they leave
	opened pieceTable // as they came out of an SA
}

type pieceTable struct {
	mu    sync.Mutex
	known map[pieceKey]pieceFlow
}

// pieceKey is a datagram as it passes one place. Where it came in is part of it:
// nobody on another network makes ports for it.
type pieceKey struct {
	src, dst frame.Addr
	id       uint16
	proto    uint8
	in       frame.Interface
	spi      uint32 // of the SA that it came out of, or 0
}

type pieceFlow struct {
	src, dst uint16
	since    int64
}

const (
	maxPieceFlows = 4096             // of a table
	pieceFlowAge  = 30 * time.Second // as long as frag waits for a datagram
)

// of is the flow of a packet, whole or not; known is false for a later piece that
// shows no ports where there are some.
func (t *pieceTable) of(p *packet) (f tunnels.Flow, known bool) {
	if !p.Fragment {
		return tunnels.FlowOf(&p.Packet), true
	}
	f, known = t.flow(&p.Packet, p.in, 0, p.now)
	return f, known || p.Proto != frame.ProtoTCP && p.Proto != frame.ProtoUDP
}

// inward decides about what the database could not: a later piece out of an SA
// that was made for some ports. First ones are remembered.
func (t *piecePorts) inward(got *tunnels.Received, now int64) tunnels.Verdict {
	var p frame.Packet
	if p.Parse(got.Inner) != drop.None || !p.Fragment {
		return got.Verdict
	}
	f, known := t.opened.flow(&p, 0, got.SPI, now)
	if got.Verdict == tunnels.Undecided && known && got.SA.Covers(f.Reversed()) {
		return tunnels.Pass
	}
	return got.Verdict
}

// flow is a piece's flow, with ports if its datagram's are known.
func (t *pieceTable) flow(p *frame.Packet, in frame.Interface, spi uint32, now int64) (f tunnels.Flow, known bool) {
	k := pieceKey{src: p.Src, dst: p.Dst, id: p.ID(), proto: p.Proto, in: in, spi: spi}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.FragmentOffset() == 0 {
		q := *p
		if q.OpenFirst() != drop.None {
			return tunnels.FlowOf(p), false
		}
		if f = tunnels.FlowOf(&q); f.Ports && (len(t.known) < maxPieceFlows || t.known[k] != (pieceFlow{})) {
			t.remember(k, pieceFlow{f.SrcPort, f.DstPort, now})
		}
		return f, true
	}
	f = tunnels.FlowOf(p)
	of, known := t.known[k]
	if known {
		f.SrcPort, f.DstPort, f.Ports = of.src, of.dst, true
	}
	return f, known
}

func (t *pieceTable) remember(k pieceKey, f pieceFlow) {
	if t.known == nil {
		t.known = map[pieceKey]pieceFlow{}
	}
	t.known[k] = f
}

// sweep forgets the datagrams that are complete by now, or never will be.
func (t *piecePorts) sweep(now int64) {
	for _, of := range []*pieceTable{&t.clear, &t.out, &t.opened} {
		of.sweep(now)
	}
}

func (t *pieceTable) sweep(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, f := range t.known {
		if now-f.since >= int64(pieceFlowAge) {
			delete(t.known, k)
		}
	}
}
