package flow

import (
	"sync/atomic"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// Reader looks packets up for one goroutine that receives. The packets of one
// flow must go through one Reader at a time: a flow's counter has one adder.
type Reader struct {
	_ [64]byte // nothing of a Reader is in another's cache lines

	t      *Table
	in     atomic.Pointer[arena] // where it is at the moment: nobody may unmap it
	counts readerCounts

	// Scratch of a batch: the frames that may be in the table.
	n      int
	at     [frame.Batch]uint8
	hashes [frame.Batch]uint64
	keys   [frame.Batch]bucket.Key
	sum    uint64 // so that Touch's loads are not left out

	_ [64]byte
}

// readerCounts have one writer each.
type readerCounts struct{ hits, misses, punts atomic.Uint64 }

// Reader returns a Reader for one goroutine.
func (t *Table) Reader() *Reader {
	r := &Reader{t: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers[r] = struct{}{}
	return r
}

// Close ends the Reader; its counts stay in the table's. Process must not be
// called any more.
func (r *Reader) Close() {
	t := r.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.readers[r]; open {
		delete(t.readers, r)
		t.count.add(&r.counts)
	}
}

// Process forwards what the table knows: every frame whose flow is in it is
// rewritten, and its Out is set. All other frames are untouched, and are the
// stack's. now is monotonic nanoseconds. It returns the number of frames with
// Out set.
func (r *Reader) Process(batch []frame.Frame, now int64) (hits int) {
	for len(batch) > 0 {
		n := min(len(batch), frame.Batch)
		hits += r.process(batch[:n], now)
		batch = batch[n:]
	}
	return hits
}

// process works in passes, so that the cache misses of a batch overlap: the
// loads of one pass do not wait for each other (BenchmarkProcess).
func (r *Reader) process(batch []frame.Frame, now int64) (hits int) {
	r.parse(batch)
	known := 0
	if a := r.enter(); a != nil {
		r.sum += a.Seek(r.keys[:r.n], r.hashes[:r.n])
		hits, known = r.forward(a, batch, now)
		r.in.Store(nil)
	}
	r.counts.add(hits, r.n-known, len(batch)-r.n+known-hits)
	return hits
}

// enter returns the arena to look flows up in, and keeps it from being unmapped
// until r.in says otherwise: the writers unmap what is not the current one, and
// what nobody is in (Table.inUse).
func (r *Reader) enter() *arena {
	for {
		a := r.t.arena.Load()
		r.in.Store(a)
		if r.t.arena.Load() == a {
			return a
		}
	}
}

// inUse reports whether a reader is in a. Table.mu is held.
func (t *Table) inUse(a *arena) bool {
	for r := range t.readers {
		if r.in.Load() == a {
			return true
		}
	}
	return false
}

// parse finds the frames that may be in the table, and their keys.
func (r *Reader) parse(batch []frame.Frame) {
	n := 0
	for i := range batch {
		if k, ok := parse(&batch[i]); ok {
			r.keys[n&(frame.Batch-1)] = k
			r.at[n&(frame.Batch-1)] = uint8(i)
			n++
		}
	}
	r.n = n
}

// forward looks the parsed frames up and rewrites those whose flows are there:
// how many it sent, and how many flows were there. Looking all of them up first
// is a pass of its own: what the cache lacks is waited for together.
func (r *Reader) forward(a *arena, batch []frame.Frame, now int64) (hits, known int) {
	// Not in r: what points into an arena must not outlast the batch.
	var found [frame.Batch]bucket.Found
	n := 0
	for i := range r.n {
		k := r.keys[i&(frame.Batch-1)]
		if e, ok := a.Find(k, r.hashes[i&(frame.Batch-1)]); ok {
			found[n&(frame.Batch-1)] = e
			r.keys[n&(frame.Batch-1)], r.at[n&(frame.Batch-1)] = k, r.at[i&(frame.Batch-1)]
			n++
		}
	}
	for i := range n {
		at := i & (frame.Batch - 1)
		sent, current := r.t.forward(&batch[r.at[at]], r.keys[at], &found[at], now)
		if sent {
			hits++
		}
		if current {
			known++
		}
	}
	return hits, known
}

// add counts a batch.
func (c *readerCounts) add(hits, misses, punts int) {
	if hits != 0 {
		c.hits.Add(uint64(hits))
	}
	if misses != 0 {
		c.misses.Add(uint64(misses))
	}
	if punts != 0 {
		c.punts.Add(uint64(punts))
	}
}
