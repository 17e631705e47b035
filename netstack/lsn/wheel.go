package lsn

import "time"

// wheel tells which slots of a slab may have come to their time, without
// looking at the others: a ring of lists, one for each second.
//
// It is lazy. A deadline that moves away costs nothing: the slot is looked at
// when its old time comes, and put where it belongs then. One that lies beyond
// the ring is put at its far end and looked at once in every turn. A deadline
// that comes nearer must be told by set. It is used under its shard's lock.
type wheel[T any, P timed[T]] struct {
	heads [wheelTicks + 1]uint32 // the last one: due
	tick  int64                  // where the sweep is: all before it is done
}

// timer is a slot's place in a wheel.
type timer struct {
	prev uint32 // slot, or the list with listMark; 0: in no list
	next uint32
}

type timed[T any] interface {
	slotOf[T]
	timer() *timer
}

const (
	tickLength = int64(time.Second)
	wheelTicks = 256
	dueList    = wheelTicks
	listMark   = 1 << 31
)

// set puts a slot where its deadline belongs. now need not be known: a time
// that is over is looked at with the next step.
func (w *wheel[T, P]) set(s *slab[T, P], slot uint32, deadline int64) {
	w.remove(s, slot)
	tick := min(max(deadline/tickLength, w.tick), w.tick+wheelTicks-1)
	w.push(s, slot, uint32(tick%wheelTicks))
}

func (w *wheel[T, P]) push(s *slab[T, P], slot, list uint32) {
	first := w.heads[list]
	*P(s.at(slot)).timer() = timer{list | listMark, first}
	if first != 0 {
		P(s.at(first)).timer().prev = slot
	}
	w.heads[list] = slot
}

// remove takes a slot out. It may be in no list.
func (w *wheel[T, P]) remove(s *slab[T, P], slot uint32) {
	t := P(s.at(slot)).timer()
	switch {
	case t.prev == 0:
		return
	case t.prev&listMark != 0:
		w.heads[t.prev&^listMark] = t.next
	default:
		P(s.at(t.prev)).timer().next = t.next
	}
	if t.next != 0 {
		P(s.at(t.next)).timer().prev = t.prev
	}
	*t = timer{}
}

// round is one sweep's way through a wheel.
type round struct {
	now     int64
	present bool // the list of the present second was taken
}

// next takes a slot out that has to be looked at by now, 0 if there is none.
// After a leap in time it goes once around the ring.
func (w *wheel[T, P]) next(s *slab[T, P], r *round) uint32 {
	tick := r.now / tickLength
	w.tick = max(w.tick, tick-wheelTicks+1)
	for {
		if slot := w.heads[dueList]; slot != 0 {
			w.remove(s, slot)
			return slot
		}
		switch {
		case w.tick < tick:
			w.ripen(s, uint32(w.tick%wheelTicks))
			w.tick++
		case w.tick == tick && !r.present:
			// What is put back into the present second is left for the next round.
			r.present = true
			w.ripen(s, uint32(tick%wheelTicks))
		default:
			return 0
		}
	}
}

// ripen makes a list the due one, which is empty.
func (w *wheel[T, P]) ripen(s *slab[T, P], list uint32) {
	first := w.heads[list]
	w.heads[list], w.heads[dueList] = 0, first
	if first != 0 {
		P(s.at(first)).timer().prev = dueList | listMark
	}
}
