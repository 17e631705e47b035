package netstack

import (
	"sync"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// piecePorts remembers the ports of datagrams that pass in pieces: later pieces
// show none, and a selector may ask for them (Q19, RFC 4301 section 7). The first
// piece goes first wherever a translation had to know it; a later one that comes
// before it has no ports here either.
type piecePorts struct {
	mu    sync.Mutex
	known map[pieceKey]pieceFlow
}

// pieceKey is a datagram as it passes one place.
type pieceKey struct {
	src, dst frame.Addr
	id       uint16
	proto    uint8
	spi      uint32 // of the SA that it came out of, 0: on its way out, or in clear
}

type pieceFlow struct {
	src, dst uint16
	since    int64
}

const (
	maxPieceFlows = 4096
	pieceFlowAge  = 30 * time.Second // as long as frag waits for a datagram
)

// outward is the flow of a packet, whole or not; known is false for a later piece
// that shows no ports where there are some.
func (t *piecePorts) outward(p *packet) (f tunnels.Flow, known bool) {
	if !p.Fragment {
		return tunnels.FlowOf(&p.Packet), true
	}
	f, known = t.flow(&p.Packet, 0, p.now)
	return f, known || p.Proto != frame.ProtoTCP && p.Proto != frame.ProtoUDP
}

// inward decides about what the database could not: a later piece out of an SA
// that was made for some ports. First ones are remembered.
func (t *piecePorts) inward(got *tunnels.Received, now int64) tunnels.Verdict {
	var p frame.Packet
	if p.Parse(got.Inner) != drop.None || !p.Fragment {
		return got.Verdict
	}
	f, known := t.flow(&p, got.SPI, now)
	if got.Verdict == tunnels.Undecided && known && got.SA.Covers(f.Reversed()) {
		return tunnels.Pass
	}
	return got.Verdict
}

// flow is a piece's flow, with ports if its datagram's are known.
func (t *piecePorts) flow(p *frame.Packet, spi uint32, now int64) (f tunnels.Flow, known bool) {
	k := pieceKey{src: p.Src, dst: p.Dst, id: p.ID(), proto: p.Proto, spi: spi}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.FragmentOffset() == 0 {
		q := *p
		if q.OpenFirst() != drop.None {
			return tunnels.FlowOf(p), false
		}
		if f = tunnels.FlowOf(&q); f.Ports && (len(t.known) < maxPieceFlows || t.known[k] != (pieceFlow{})) {
			t.known[k] = pieceFlow{f.SrcPort, f.DstPort, now}
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

// sweep forgets the datagrams that are complete by now, or never will be.
func (t *piecePorts) sweep(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, f := range t.known {
		if now-f.since >= int64(pieceFlowAge) {
			delete(t.known, k)
		}
	}
}
