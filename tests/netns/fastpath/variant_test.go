package fastpath

import (
	"encoding/binary"

	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/xdp"
)

// variant is one way through the router.
type variant interface {
	name() string

	// prepare changes the configuration of a router that is about to be built
	// on the cables of the bed.
	prepare(b *bed, c *netstack.Config)

	// send sends a step's packets, already in frames, and settles.
	send(b *bed, packets []drawn)

	// countsLate tells that frames are counted some time after they were sent,
	// with a sweep.
	countsLate() bool

	// swept is called when the clock was moved.
	swept(b *bed)

	// went fails the test unless the packets of the bed went this way.
	went(b *bed)
}

// drawn is a frame that goes into the router on a side.
type drawn struct {
	side  int
	frame []byte
}

// behind is how many bytes of the frame are behind its packet.
func (d drawn) behind() int {
	b := untagged(d.frame)[frame.HeaderLen:]
	return max(0, len(b)-int(binary.BigEndian.Uint16(b[2:])))
}

// piece reports whether the packet is a fragment.
func (d drawn) piece() bool {
	b := untagged(d.frame)
	return len(b) >= frame.HeaderLen+20 && (b[frame.HeaderLen+6]&0x3f|b[frame.HeaderLen+7]) != 0
}

// slow is the stack: the flow table is emptied before every packet, which then
// is alone in the router.
type slow struct{}

func (slow) name() string                   { return "slow path" }
func (slow) prepare(*bed, *netstack.Config) {}
func (slow) countsLate() bool               { return false }
func (slow) swept(*bed)                     {}

func (slow) send(b *bed, packets []drawn) {
	for _, p := range packets {
		b.r.Flows().Flush()
		b.side[p.side].send(p.frame)
		b.settle()
		if p.piece() {
			b.settle() // held pieces may come in again on the other port, behind its answer
		}
	}
}

func (slow) went(b *bed) {
	if n := b.r.Flows().Stats().Hits - b.hits; n != 0 {
		b.t.Errorf("%s: %d packets took the fast path", b, n)
	}
}

// fast is the flow table over AF_PACKET: packets come in batches.
type fast struct{}

func (fast) name() string                   { return "fast path" }
func (fast) prepare(*bed, *netstack.Config) {}
func (fast) countsLate() bool               { return false }
func (fast) swept(*bed)                     {}

func (fast) send(b *bed, packets []drawn) {
	for _, p := range packets {
		b.padding[p.side] += uint64(p.behind())
		b.side[p.side].send(p.frame)
		if p.piece() {
			// Held pieces that the first one lets go come in again behind the batch:
			// of pieces that contradict each other another one would be believed.
			b.settle()
			b.settle() // as above
		}
	}
	b.settle()
}

func (fast) went(b *bed) {
	st := b.r.Flows().Stats()
	b.t.Logf("%s: %d packets of %d", b, st.Hits-b.hits, st.Hits+st.Misses+st.Punts)
	if n := st.Hits - b.hits; n < 100 {
		b.t.Errorf("%s: only %d packets took it: the test compares the slow path with itself", b, n)
	}
}

func variants() []variant {
	return []variant{slow{}, fast{}, &offload{mode: xdp.Generic}, &offload{mode: xdp.Native}}
}
