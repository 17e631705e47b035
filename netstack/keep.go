package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// kept holds on to what forward leaves to postrouting: the packet's connection,
// and its header.
//
// In between, the stack copies the packet, gives the memory of its header back
// to a pool, and only then reads the TTL there (forwardPacketWithRoute,
// DeepCopyForForwarding). With several ports that memory is another packet's
// by then, and the packet leaves with a TTL out of nowhere: 255, say, if it was
// cleared. The copy carries the number of its place here in its mark.
type kept struct {
	mu     sync.Mutex
	places []keptPacket
	free   []uint32 // numbers of empty places, from 1
}

type keptPacket struct {
	header *buffer.View
	hit    vserver.Hit
	mark   uint32
}

// keep is called by forward for a packet that goes on.
func (k *kept) keep(pk *stack.PacketBuffer, p *packet) {
	what := keptPacket{pk.NetworkHeader().View(), p.hit, p.mark()}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.free); n > 0 {
		pk.Mark, k.free = k.free[n-1], k.free[:n-1]
		k.places[pk.Mark-1] = what
		return
	}
	k.places = append(k.places, what)
	pk.Mark = uint32(len(k.places))
}

// leave is called by postrouting for the copy.
func (k *kept) leave(pk *stack.PacketBuffer, p *packet) {
	if pk.Mark == 0 {
		return
	}
	k.mu.Lock()
	i := pk.Mark - 1
	what := k.places[i]
	k.places[i] = keptPacket{}
	k.free = append(k.free, pk.Mark)
	k.mu.Unlock()
	pk.Mark = 0
	p.hit = what.hit
	p.recall(what.mark)
	what.header.Release()
}

// What prerouting leaves to forward stands in the mark itself: the course in
// the low bits, and in frame.MarkBits what is known of the packet to those who
// look on.
const (
	admittedMark   = 1 << 2
	redirectedMark = 1 << 3
	unsealedMark   = 1 << 4
	demandsMark    = 1 << 5

	keptMark = unsealedMark | frame.MarkBits // of what is held and comes in again
)

// mark packs it.
func (p *packet) mark() uint32 {
	m := uint32(p.course) | p.watched
	if p.admitted {
		m |= admittedMark
	}
	if p.redirected {
		m |= redirectedMark
	}
	if p.unsealed {
		m |= unsealedMark
	}
	if p.demands {
		m |= demandsMark
	}
	return m
}

func (p *packet) recall(mark uint32) {
	p.course, p.admitted, p.redirected = course(mark&(admittedMark-1)), mark&admittedMark != 0, mark&redirectedMark != 0
	p.watched = mark & frame.MarkBits
	p.unsealed, p.demands = mark&unsealedMark != 0, mark&demandsMark != 0
}
