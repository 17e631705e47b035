package flow

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// probe is what the first passes over a batch find out about a frame.
type probe struct {
	w0, w1 uint64
	bucket uint32
	first  uint32 // first slot of the bucket's chain
	ok     bool
}

// found is a flow as a look-up saw it, consistent in itself.
type found struct {
	s      *slot
	w1, w2 uint64
	hop    *hop
}

// Process forwards what it knows: every frame whose flow is in the table is
// rewritten, and its Out is set. All other frames are untouched, and are the
// stack's. now is monotonic nanoseconds. It returns the number of frames with
// Out set.
func (t *Table) Process(batch []frame.Frame, now int64) (hits int) {
	for len(batch) > 0 {
		n := min(len(batch), frame.Batch)
		hits += t.process(batch[:n], now)
		batch = batch[n:]
	}
	return hits
}

// process works in passes, so that the cache misses of a batch overlap: the
// loads of one pass do not wait for each other (BenchmarkProcess).
func (t *Table) process(batch []frame.Frame, now int64) int {
	var probes [frame.Batch]probe
	looked := 0
	for i := range batch {
		p := &probes[i]
		if p.w0, p.w1, p.ok = parse(&batch[i]); p.ok {
			p.bucket = t.bucket(p.w0, p.w1)
			looked++
		}
	}
	for i := range batch {
		probes[i].first = t.heads[probes[i].bucket].Load()
	}
	for i := range batch {
		t.slots[probes[i].first].w0.Load()
	}
	hits, known := 0, 0
	for i := range batch {
		p := &probes[i]
		if !p.ok {
			continue
		}
		r, ok := t.find(p)
		if !ok {
			continue
		}
		known++
		if r.forward(&batch[i], now) {
			hits++
		}
	}
	t.count.add(hits, looked-known, len(batch)-looked+known-hits)
	return hits
}

// find looks a probe up without a lock.
func (t *Table) find(p *probe) (r found, ok bool) {
	i := p.first
	for n := 0; i != 0 && n < maxChain; n++ {
		s := &t.slots[i]
		if s.w0.Load() == p.w0 && (s.w1.Load()^p.w1)>>16 == 0 {
			return t.read(s, p)
		}
		i = s.next.Load()
	}
	return found{}, false
}

// read takes a consistent copy of a slot that has the probe's key, or reports
// a miss. The next hop is loaded before the second look at the sequence
// number: while the flow lives, its hop's row is not given away.
func (t *Table) read(s *slot, p *probe) (r found, ok bool) {
	seq := s.seq.Load()
	w0, w1, w2 := s.w0.Load(), s.w1.Load(), s.w2.Load()
	if seq&1 == 0 || w0 != p.w0 || (w1^p.w1)>>16 != 0 {
		return found{}, false
	}
	h := t.hops[HopID(w2)%(MaxHops+1)].Load()
	if s.seq.Load() != seq || h == nil {
		return found{}, false
	}
	return found{s: s, w1: w1, w2: w2, hop: h}, true
}

// forward rewrites f and sends it to its next hop, or leaves it to the stack.
func (r *found) forward(f *frame.Frame, now int64) bool {
	b := f.Bytes()
	total := binary.BigEndian.Uint16(b[frame.HeaderLen+2:])
	if !r.hop.valid.Load() || int(total) > r.hop.mtu || r.hop.due(now) {
		return false
	}
	if r.w1&choosy != 0 && !r.takes(b[frame.HeaderLen:frame.HeaderLen+int(total)]) {
		return false
	}
	rewrite(b[frame.HeaderLen:], r.w1, r.w2)
	f.Trim(frame.HeaderLen + int(total)) // as the stack does
	f.SetMACs(r.hop.dst, r.hop.src)
	f.Out = r.hop.at.out
	r.s.st.Add(onePacket + uint64(total))
	return true
}

// takes reports whether a choosy flow forwards this packet, which then counts
// for its numbers: before it counts as a packet, so that a report never has the
// one without the other.
func (r *found) takes(ip []byte) bool {
	if r.w1&dfOnly != 0 && ip[atFlags]&dontFragment == 0 {
		return false
	}
	if r.w1&numbered == 0 {
		return true
	}
	end, ack, ok := numbersOf(ip[ipLen:])
	if ok {
		r.s.advance(end, ack)
	}
	return ok
}
