package vserver

import (
	"sync"
	"time"
)

// past remembers for a few seconds which listeners counted a connection that
// ended: a reader that found its flow just before may add packets to it, and
// the fast path tells of those in its next sweep.
type past struct {
	mu         sync.Mutex
	turned     int64
	young, old map[uint64]ended
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
	// pastRoom bounds each past; there are 128. Beyond it, what late readers
	// add is not counted.
	pastRoom = 512
)

// bury remembers a connection, if it can have had flows.
func (t *Table) bury(c *conn) {
	c.mu.Lock()
	flows := c.fast || c.sent[Client].Packets > 0 && c.sent[Remote].Packets > 0
	e := ended{c.keys[Client], c.counters()}
	c.mu.Unlock()
	if !flows {
		return
	}
	p := &t.past[c.id%shardCount]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.young == nil {
		p.young = map[uint64]ended{}
	}
	if len(p.young) < pastRoom {
		p.young[c.id] = e
	}
}

// turn forgets the old ones and makes the young ones old.
func (p *past) turn(now int64) {
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

func (p *past) find(id uint64) (ended, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.young[id]; ok {
		return e, true
	}
	e, ok := p.old[id]
	return e, ok
}

// Active tells of packets that the fast path forwarded: id is the connection's,
// 0 if the caller only knows the key k that they showed (KeyOfFlow); now is
// when the last of them passed, bytes are of IP. With numbered, end and ack are
// the side's sequence numbers, as those of Hit.Numbers (VR17). It refreshes the
// connection and counts.
//
// It reports whether the connection lives. For one that just ended it still
// counts to its listeners, but with id 0 only until OnEnd has returned.
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
	c.last = max(c.last, now)
	return true
}

func (t *Table) activeLate(id uint64, k Key, packets, bytes uint64) {
	e, ok := t.past[id%shardCount].find(id)
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
