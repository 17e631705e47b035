package link

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// An Onlooker looks on: it is shown the frames that pass through all ports, by every lane
// at once. It must not wait, keep a frame's memory, or change a frame. Without one
// a lane asks for it three times in a batch, and that is all.
type Onlooker interface {
	// Received is shown a frame that came in by p, before anything is done with it;
	// its In is 0 if it is about to be dropped. It returns the mark by which the
	// frame is known from here on, of the bits frame.MarkBits; 0: by none.
	Received(p *Port, f *frame.Frame, now int64) (mark uint32)

	// Wants reports whether Hit is to be told how a frame with this mark, or 0, was.
	Wants(mark uint32) bool

	// Hit is shown a frame that the fast path has rewritten, about to be sent. was is
	// the frame as it came, nil if that was not wanted.
	Hit(was []byte, f *frame.Frame, now int64)

	// Delivered: the stack has returned from a frame with a mark. It may have kept
	// what was in it.
	Delivered(f *frame.Frame, now int64)

	// Sent is shown a frame that p has sent, with its tag in place or in VLAN.
	Sent(p *Port, f *frame.Frame, now int64)
}

// SetOnlooker lets t look on from now on, in place of whoever did; nil: nobody.
func (f *Fabric) SetOnlooker(t Onlooker) {
	if t == nil {
		f.looker.Store(nil)
		return
	}
	f.looker.Store(&t)
}

// process lets the fast path have the frames of a batch.
func (l *lane) process(batch []frame.Frame, now int64) (hits int) {
	if on := l.port.fabric.looker.Load(); on != nil {
		return l.lookedOn(*on, batch, now)
	}
	return l.fast.Process(batch, now)
}

// lookedOn is process while somebody looks on.
func (l *lane) lookedOn(on Onlooker, batch []frame.Frame, now int64) (hits int) {
	if l.was == nil {
		l.was = make([][]byte, frame.Batch)
	}
	for len(batch) > 0 {
		n := min(len(batch), frame.Batch)
		hits += l.watch(on, batch[:n], now)
		batch = batch[n:]
	}
	return hits
}

// watch is looked for a batch for which there is room.
func (l *lane) watch(on Onlooker, batch []frame.Frame, now int64) (hits int) {
	for k := range batch {
		l.was[k] = l.was[k][:0]
		if f := &batch[k]; on.Wants(f.Mark) {
			l.was[k] = append(l.was[k], f.Bytes()...)
		}
	}
	hits = l.fast.Process(batch, now)
	for k := range batch {
		if f := &batch[k]; f.Out != 0 {
			on.Hit(l.was[k], f, now)
		}
	}
	return hits
}

// dropped is a frame that was dropped, as it is told.
func dropped(f *frame.Frame, why drop.Reason, now int64) drop.Dropped {
	return drop.Dropped{Reason: why, Packet: f.Bytes(), At: now, In: uint8(f.In), Mark: f.Mark}
}

// dropped is what came in at i, or comes in again there, as it is told.
func (i *Interface) dropped(why drop.Reason, b []byte, mark uint32, now int64) drop.Dropped {
	return drop.Dropped{Reason: why, Packet: b, At: now, In: uint8(i.id), Mark: mark & frame.MarkBits}
}

// refused counts frames that a driver did not take. Of many the first one is an
// example, unless somebody wants to be told of each.
func (f *Fabric) refused(batch []frame.Frame, why drop.Reason) {
	if !f.drops.Watched() {
		f.drops.Add(why, uint64(len(batch)-1))
		batch = batch[:1]
	}
	for k := range batch {
		f.drops.CountOf(dropped(&batch[k], why, f.now()))
	}
}
