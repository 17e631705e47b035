package vserver

import "time"

// wheel tells which connections of a shard may have come to their time: a ring
// of lists, one for each second, as the LSN's. It is lazy: a deadline that
// moves away costs nothing, the connection is looked at when its old time comes
// and put where it belongs then. A deadline that comes nearer must be told by
// set. It is used under its shard's lock, with the connection's for set.
type wheel struct {
	rings [wheelTicks + 1]link // the last one: due
	tick  int64                // all before it is done
}

// link is a connection's place in a list, or a list's own head. Lists are
// rings, so that one is moved to another as a whole.
type link struct {
	prev, next *link // both nil: in no list
	conn       *conn // nil: a head
}

const (
	tickLength = int64(time.Second)
	wheelTicks = 64
	dueList    = wheelTicks
)

// set puts a connection where its deadline belongs.
func (w *wheel) set(c *conn, deadline int64) {
	c.link.remove()
	c.due = deadline
	tick := min(max(deadline/tickLength, w.tick), w.tick+wheelTicks-1)
	head := w.ring(tick % wheelTicks)
	c.link = link{prev: head, next: head.next, conn: c}
	head.next.prev, head.next = &c.link, &c.link
}

// ring returns the head of a list, which is a ring of itself at first.
func (w *wheel) ring(i int64) *link {
	head := &w.rings[i]
	if head.next == nil {
		head.prev, head.next = head, head
	}
	return head
}

// remove takes a link out of its list. It may be in none.
func (l *link) remove() {
	if l.next != nil {
		l.prev.next, l.next.prev = l.next, l.prev
		l.prev, l.next = nil, nil
	}
}

// round is one sweep's way through a wheel.
type round struct {
	now     int64
	present bool // the list of the present second was taken
}

// take takes out a connection that has to be looked at by now, nil if there is
// none. After a leap in time it goes once around the ring.
func (w *wheel) take(r *round) *conn {
	tick := r.now / tickLength
	w.tick = max(w.tick, tick-wheelTicks+1)
	for {
		if l := w.ring(dueList).next; l.conn != nil {
			l.remove()
			return l.conn
		}
		switch {
		case w.tick < tick:
			w.ripen(w.tick % wheelTicks)
			w.tick++
		case w.tick == tick && !r.present:
			// What is put back into the present second is left for the next round.
			r.present = true
			w.ripen(tick % wheelTicks)
		default:
			return nil
		}
	}
}

// ripen makes a list the due one, which is empty.
func (w *wheel) ripen(i int64) {
	from, to := w.ring(i), w.ring(dueList)
	if from.next == from {
		return
	}
	to.next, to.prev = from.next, from.prev
	to.next.prev, to.prev.next = to, to
	from.prev, from.next = from, from
}
