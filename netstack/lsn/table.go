package lsn

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"spigate/netstack/frame"
)

// Table is the NAT: its settings, and the shards with the state. It is safe for
// concurrent use.
type Table struct {
	settings  atomic.Pointer[settings]
	reloading sync.Mutex // one Reload at a time

	domain  uint16
	limit   int64
	rand    func(n uint32) uint32
	onGone  func(session uint64)
	onEvent func(Event) // may be nil

	insides  [numShards]inside
	outsides [numShards]outside

	expected expectations
	swept    atomic.Int64 // when the last Sweep was, monotonic nanoseconds
	sessions atomic.Int64 // reserved or live, never above limit
	live     [numProtocols]struct{ sessions, mappings atomic.Int64 }
	created  [numProtocols]atomic.Uint64
	dropped  [numProtocols]atomic.Uint64
}

// inside is one shard of the subscribers' state.
type inside struct {
	mu       sync.Mutex
	number   int
	seed     maphash.Seed
	sessions slab[session, *session]
	mappings slab[mapping, *mapping]
	permits  slab[permit, *permit]
	pairs    slab[pair, *pair]
	users    slab[usage, *usage]

	tuples     index // of sessions
	keys       index // of mappings; not for wideFull, whose tuple says it all
	permitKeys index
	pairKeys   index
	userKeys   index

	holdings map[frame.Addr]holding // subscribers with port blocks
	traffic  []traffic              // by group

	expiry wheel[session, *session]
	holds  wheel[pair, *pair] // of pairs without a mapping
}

func (t *Table) makeShards() {
	for i := range t.insides {
		t.insides[i].number = i
		t.insides[i].holdings = map[frame.Addr]holding{}
		t.insides[i].seed = maphash.MakeSeed()
		t.outsides[i].seed = maphash.MakeSeed()
	}
}

// Tuple is a session as it is seen inside. For ICMP queries Inside.Port is the
// identifier and Remote.Port is 0 (R28).
type Tuple struct {
	Proto          uint8
	Inside, Remote frame.Endpoint
}

// Hints is what the packet tells beside its endpoints.
type Hints struct {
	TCPFlags uint8 // as in the header
	Bytes    int   // length of the IP packet, for the session's counters
	// Port is the outside port that a new mapping gets if it is free, even one
	// below FirstPort (R39); 0: any. It is no promise.
	Port uint16
	// Served: a virtual server has admitted the packet, and the LSN translates
	// for it (VR19).
	Served bool
}

// Binding is a session's translation, to be applied to a packet or cached.
type Binding struct {
	Tuple
	Outside          frame.Endpoint
	Session, Mapping uint64 // never 0
	Group            *Group
	Idle             time.Duration // the session's present idle time
	// Established tells that the flow may be cached: always for UDP and ICMP;
	// for TCP once both sides were heard, and until FIN or RST.
	Established bool
	Static      bool // on a static mapping (R27)
	Served      bool // a virtual server had a part in it: Hints.Served
}

// binding describes a session. The shard's lock is held.
func (t *Table) binding(sh *inside, slot uint32) Binding {
	s := sh.sessions.at(slot)
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	return Binding{
		Tuple:       m.tuple(s.remote),
		Outside:     m.outside,
		Session:     makeID(sh.number, s.generation, slot),
		Mapping:     makeID(sh.number, m.generation, s.mapping),
		Group:       r.group,
		Idle:        time.Duration(s.idle(m, r)),
		Established: s.established(r.app.Proto),
		Static:      r.static,
		Served:      s.seen&served != 0,
	}
}

// session finds a session by its identifier. The shard's lock is held.
func (sh *inside) session(id uint64) (slot uint32, s *session) {
	_, generation, slot := splitID(id)
	if slot == 0 || slot >= sh.sessions.end() {
		return 0, nil
	}
	if s = sh.sessions.at(slot); s.state == stateNone || s.generation != generation {
		return 0, nil
	}
	return slot, s
}

// mapping finds a mapping by its identifier. The shard's lock is held.
func (sh *inside) mapping(id uint64) (slot uint32, m *mapping) {
	_, generation, slot := splitID(id)
	if slot == 0 || slot >= sh.mappings.end() {
		return 0, nil
	}
	if m = sh.mappings.at(slot); m.head == 0 || m.generation != generation {
		return 0, nil
	}
	return slot, m
}

// shardOf returns the shard of an identifier, nil if no shard has that number.
func (t *Table) shardOf(id uint64) *inside {
	n, _, _ := splitID(id)
	if n >= numShards {
		return nil
	}
	return &t.insides[n]
}

// FindOut returns the session of a packet from inside, without refreshing or
// creating anything: for ICMP errors (R21, R28).
func (t *Table) FindOut(tup Tuple) (Binding, bool) {
	sh := &t.insides[insideShard(tup.Inside.Addr)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot := sh.findSession(tup)
	if slot == 0 {
		return Binding{}, false
	}
	return t.binding(sh, slot), true
}

// FindMapping returns the translation of the first session of a mapping, by
// the mapping's identifier, without refreshing anything.
func (t *Table) FindMapping(id uint64) (Binding, bool) {
	sh := t.shardOf(id)
	if sh == nil {
		return Binding{}, false
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, m := sh.mapping(id)
	if m == nil {
		return Binding{}, false
	}
	return t.binding(sh, m.head), true
}

// FindIn is FindOut for a packet from outside.
func (t *Table) FindIn(proto uint8, out, remote frame.Endpoint) (Binding, bool) {
	sh, mslot, _ := t.lookup(proto, out, remote)
	if sh == nil {
		return Binding{}, false
	}
	defer sh.mu.Unlock()
	slot := sh.sessionOf(mslot, remote)
	if slot == 0 {
		return Binding{}, false
	}
	return t.binding(sh, slot), true
}
