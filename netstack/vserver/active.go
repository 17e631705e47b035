package vserver

import (
	"sync"
	"time"
)

// past remembers for a few seconds which listeners counted a connection that
// ended: a reader that found its flow just before may add packets to it, and
// the fast path tells of those in its next sweep.
type past[K comparable] struct {
	mu         sync.Mutex
	turned     int64
	young, old map[K]ended
}

// ended is what counts of a connection that is no more.
type ended struct {
	client   Key
	counters [2]*Counters
}

const (
	// pastAge is how long a connection is remembered at least, twice that at
	// most: the fast path is swept every second.
	pastAge = 2 * int64(time.Second)
	// pastRoom bounds each past; there are 128 of a kind. Beyond it, what late
	// readers add is not counted.
	pastRoom = 512
)

func (p *past[K]) add(k K, e ended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.young == nil {
		p.young = map[K]ended{}
	}
	if len(p.young) < pastRoom {
		p.young[k] = e
	}
}

// turn forgets the old ones and makes the young ones old.
func (p *past[K]) turn(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now-p.turned < pastAge {
		return
	}
	p.turned = now
	p.old, p.young = p.young, p.old
	if len(p.young) > 0 {
		clear(p.young)
	}
}

func (p *past[K]) find(k K) (ended, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.young[k]; ok {
		return e, true
	}
	e, ok := p.old[k]
	return e, ok
}

// bury remembers a connection, if it can have had flows. Whose flows are the
// LSN's is known to the fast path by its keys only.
func (t *Table) bury(c *conn) {
	c.mu.Lock()
	flows := c.fast || c.sent[Client].Packets > 0 && c.sent[Remote].Packets > 0
	byLSN, e := c.byLSN(), ended{c.keys[Client], c.counters()}
	c.mu.Unlock()
	if !flows {
		return
	}
	t.past[c.id%shardCount].add(c.id, e)
	if byLSN {
		for _, k := range c.keys {
			t.pastKeys[t.place(k)].add(k, e)
		}
	}
}

// late finds who counts for a connection that is no more.
func (t *Table) late(id uint64, k Key) (ended, bool) {
	if id == 0 {
		return t.pastKeys[t.place(k)].find(k)
	}
	return t.past[id%shardCount].find(id)
}

// Active tells of packets that the fast path forwarded: id is the connection's,
// 0 if their flow was the LSN's and only the key k that they showed on its
// inside is known (KeyOfFlow); now is when the last of them passed, bytes are of
// IP; with no packets it is told of numbers alone. With numbered, end and ack are
// the side's sequence numbers, as those of Hit.Numbers (VR17). It refreshes the
// connection and counts.
//
// It reports whether the connection lives. For one that ended in the last
// seconds it still counts to its listeners.
func (t *Table) Active(id uint64, k Key, packets, bytes uint64, end, ack uint32, numbered bool, now int64) bool {
	sh := t.shard(k)
	sh.mu.RLock()
	c := sh.conns[k]
	sh.mu.RUnlock()
	if c == nil || id != 0 && c.id != id {
		t.activeLate(id, k, packets, bytes)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == opening {
		return false // somebody else's packets: it has no flows yet
	}
	from := c.side(k)
	c.sent[from].Packets += packets
	c.sent[from].Bytes += bytes
	c.count(from, packets, bytes)
	if numbered {
		c.carried(from, end, ack)
	}
	c.fast = true
	if c.state == dead {
		return false
	}
	if packets > 0 { // numbers alone are no activity
		c.last = max(c.last, now)
	}
	return true
}

func (t *Table) activeLate(id uint64, k Key, packets, bytes uint64) {
	e, ok := t.late(id, k)
	if !ok {
		return
	}
	from := Remote
	if k == e.client {
		from = Client
	}
	for _, n := range e.counters {
		if n != nil {
			n.packet(from, packets, bytes)
		}
	}
}
