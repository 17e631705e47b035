package vserver

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"spigate/netstack/frame"
)

// TableConfig sizes a Table.
type TableConfig struct {
	Capacity  int // connections; 0: 262144
	Listeners *Listeners
	// OnEnd is told of each connection that ends, exactly once, by whoever
	// ends it (Open, Touch, Sweep, Reload, Remove). No lock is held: it may
	// call the table. The connection takes no packets any more, but Active
	// still counts for it, its keys are not free yet and its place under the
	// limits is taken. May be nil.
	OnEnd func(End)
}

// End is a connection that ended.
type End struct {
	ID, Session    uint64   // Session: what Hit.Bind was given, 0: nothing
	Also           []uint64 // what Hit.BindAlso was given
	Client, Remote Key
	Listener       *Listener // who had admitted it
	ByLSN          bool      // as Hit.ByLSN
	Reset          bool      // both sides are to be sent RSTs
	At             int64     // monotonic ns
}

// Table holds the connections that virtual servers, NATs and SNATs admitted. It
// is safe for use by many goroutines.
type Table struct {
	capacity int64
	onEnd    func(End)
	count    atomic.Int64
	ids      atomic.Uint64 // the last one given
	set      atomic.Pointer[Listeners]
	seed     maphash.Seed
	shards   [shardCount]shard
	past     [shardCount]past[uint64] // by ID
	pastKeys [shardCount]past[Key]    // of those whose flows are the LSN's
}

const (
	shardCount      = 128
	defaultCapacity = 1 << 18
)

// shard holds the keys that hash to it, of both sides, and the timers of the
// connections whose client key does.
type shard struct {
	mu    sync.RWMutex
	conns map[Key]*conn
	wheel wheel
}

// NewTable makes an empty table.
func NewTable(c TableConfig) *Table {
	if c.Capacity <= 0 {
		c.Capacity = defaultCapacity
	}
	t := &Table{capacity: int64(c.Capacity), onEnd: c.OnEnd, seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].conns = map[Key]*conn{}
	}
	if c.Listeners == nil {
		c.Listeners = &Listeners{}
	}
	t.set.Store(c.Listeners)
	return t
}

// Listeners is what matches now: the latest of NewTable and Reload.
func (t *Table) Listeners() *Listeners { return t.set.Load() }

// Len is how many connections there are, those included that are over but not
// swept yet.
func (t *Table) Len() int { return int(t.count.Load()) }

func (t *Table) shard(k Key) *shard { return &t.shards[t.place(k)] }

func (t *Table) place(k Key) uint64 { return maphash.Comparable(t.seed, k) % shardCount }

// Find looks for the connection of a packet, from either side. It asks for no
// VLAN, no state of a server and no limit (VR4, VR5), and changes nothing. One
// that is over is not found, nor is a closed one by a SYN.
func (t *Table) Find(k Key, s Segment, now int64) (Hit, bool) {
	sh := t.shard(k)
	sh.mu.RLock()
	c := sh.conns[k]
	sh.mu.RUnlock()
	if c == nil {
		return Hit{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.alive(now) || c.replaceable(&s) {
		return Hit{}, false
	}
	return Hit{c.side(k), c}, true
}

// Touch commits a packet of a found connection: it refreshes the timer, follows
// the TCP states and counts. ok is false if the connection ended since Find;
// over is true if this packet was its last, which is still forwarded.
func (t *Table) Touch(h Hit, s Segment, in frame.Interface, now int64) (over, ok bool) {
	c := h.conn
	c.mu.Lock()
	if !c.alive(now) {
		c.mu.Unlock()
		return false, false
	}
	c.in[h.Side] = in
	over, why := c.track(h.Side, &s, now)
	if over {
		c.state = dead
	}
	nearer := c.deadline() < c.due
	c.count(h.Side, 1, uint64(s.Length))
	c.mu.Unlock()
	switch {
	case over:
		t.drop(c, why, now)
	case nearer:
		t.hasten(c)
	}
	return over, true
}

// Abandon ends a connection whose first packet died on its way behind Open: a
// flow that is nobody's has no place under the limits.
func (t *Table) Abandon(h Hit, now int64) {
	if h.conn.kill() {
		t.drop(h.conn, endAdmin, now)
	}
}

// Uncount takes back the first packet of a connection, bytes of IP long: it is
// kept for later, and told by Touch when it is let go.
func (t *Table) Uncount(h Hit, bytes int) {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[Client].Packets--
	c.sent[Client].Bytes -= uint64(bytes)
	c.count(Client, ^uint64(0), -uint64(bytes))
}

// Decide tells whether Open would admit a new connection of the client key k.
// It changes nothing.
func (t *Table) Decide(r Result, k Key, s Segment, now int64) Verdict {
	switch l := r.Listener; {
	case r.Verdict != Admit:
		return r.Verdict
	case l == nil || l.counters == nil:
		return NoListener
	case k.Proto == frame.ProtoTCP && !opens(&s, &l.Profile):
		return NotSYN
	case t.count.Load() >= t.capacity:
		return TableFull
	case l.limit() > 0 && l.counters.held.Load() >= int64(l.limit()):
		return Limited
	case !l.rate.open(now):
		return RateLimited
	}
	return Admit
}

// opens: a SYN opens, with loose-initialization anything but a RST (VR15).
func opens(s *Segment, p *FastL4) bool {
	if s.Flags&frame.TCPRst != 0 {
		return false
	}
	return p.LooseInitialization || s.Flags&(frame.TCPSyn|tcpAck) == frame.TCPSyn
}

func (l *Listener) limit() int {
	if l.Server == nil {
		return 0
	}
	return l.Server.ConnectionLimit
}

// Open commits what Match and Decide admitted: it makes the connection, with
// its first packet counted. client is the key of that packet as it came, remote
// that of the answers as they will come, after every translation. It is for
// servers, NATs and SNATs: groups and own addresses have their own tables.
func (t *Table) Open(r Result, client, remote Key, s Segment, in frame.Interface, now int64) (Hit, Verdict) {
	if v := t.Decide(r, client, s, now); v != Admit {
		r.Refused(v)
		return Hit{}, v
	}
	l := r.Listener
	if t.count.Add(1) > t.capacity {
		t.count.Add(-1)
		return Hit{}, TableFull
	}
	v := Admit
	switch {
	case !l.counters.hold(l.limit()):
		v = Limited
	case !l.rate.pass(now):
		l.counters.cancel()
		v = RateLimited
	}
	if v != Admit {
		t.count.Add(-1)
		r.Refused(v)
		return Hit{}, v
	}
	c := &conn{id: t.ids.Add(1), keys: [2]Key{client, remote}, opened: now, l: l, from: r.Source, last: now}
	if l.Server != nil && l.Server.SourceTranslation == TranslateLSN {
		c.lsn = &bound{group: l.Server.Group}
	}
	if v = t.enter(c, r.of, &s, in, now); v != Admit {
		l.counters.cancel()
		t.count.Add(-1)
		return Hit{}, v
	}
	return Hit{Client, c}, Admit
}

// Refused counts a connection that a limit kept out. Open does it by itself; it
// is for who asks Decide and leaves it at that.
func (r *Result) Refused(v Verdict) {
	switch v {
	case Limited:
		r.Listener.counters.refused.Add(1)
	case RateLimited:
		r.Listener.counters.slowed.Add(1)
	}
}
