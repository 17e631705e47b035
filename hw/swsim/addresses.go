package swsim

import (
	"hash/maphash"
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// ways is how many stations may stand at one place of the table.
const ways = 8

// table is where stations were last seen, by VLAN and address: as in chips, a
// hash names a place with room for a few, and the one that was silent longest
// makes way for another. It is read without a lock and allocates nothing.
//
// Each place has a sequence number, odd while somebody writes there: a reader
// who sees it change reads again.
type table struct {
	places []place
	seed   maphash.Seed
	ageing int64 // ns without a frame after which a station is forgotten
	fresh  int64 // ns for which an entry is not written again

	moves, evicted atomic.Uint64
}

type place struct {
	seq atomic.Uint32
	key [ways]atomic.Uint64 // see key; 0: free
	val [ways]atomic.Uint64 // see seenAt
}

// patience is how often a reader looks at a place that is being written to. One
// who gives up floods, which is never wrong.
const patience = 64

// newTable makes a table for at least so many entries. Stations are forgotten
// when they were silent for ageing, or up to a sixteenth of it longer: an entry
// is not written for every frame.
func newTable(entries int, ageing time.Duration) *table {
	n := max(1, (entries+ways-1)/ways)
	n = 1 << bits.Len(uint(n-1)) // the next power of two
	return &table{places: make([]place, n), seed: maphash.MakeSeed(), ageing: int64(ageing + ageing/16), fresh: int64(ageing / 16)}
}

// key names a station. It is not 0, because no VLAN is.
func key(vlan uint16, a address) uint64 { return uint64(vlan)<<48 | uint64(a) }

// An entry's value is the port's number in the upper 6 bits and the time in
// the rest: nanoseconds go around after nine years, so only differences count.
const timeBits = 58

func seenAt(port int, now int64) uint64 { return uint64(port)<<timeBits | uint64(now)&(1<<timeBits-1) }

func portOf(val uint64) int { return int(val >> timeBits) }

// age is how long ago a value was written, in ns. It is below 0 for one written
// by somebody whose clock was read later than ours.
func age(val uint64, now int64) int64 {
	const spare = 64 - timeBits
	return int64(uint64(now)<<spare-val<<spare) >> spare
}

func (t *table) place(k uint64) *place {
	return &t.places[maphash.Comparable(t.seed, k)&uint64(len(t.places)-1)]
}

// find returns the value of a station that was seen within the ageing time.
func (t *table) find(k uint64, now int64) (val uint64, ok bool) {
	p := t.place(k)
	for range patience {
		seq := p.seq.Load()
		i := p.way(k)
		if i >= 0 {
			val = p.val[i].Load()
		}
		if seq&1 == 0 && p.seq.Load() == seq {
			return val, i >= 0 && age(val, now) <= t.ageing
		}
	}
	return 0, false
}

func (p *place) way(k uint64) int {
	for i := range p.key {
		if p.key[i].Load() == k {
			return i
		}
	}
	return -1
}

// learn notes that a station was seen at a port.
func (t *table) learn(k uint64, port int, now int64) {
	val, known := t.find(k, now)
	if known && portOf(val) == port && age(val, now) < t.fresh {
		return
	}
	p := t.place(k)
	p.lock()
	defer p.unlock()
	i := p.way(k)
	if i < 0 {
		i = t.room(p, now)
	} else if old := p.val[i].Load(); portOf(old) != port && age(old, now) <= t.ageing {
		t.moves.Add(1)
	}
	p.key[i].Store(k)
	p.val[i].Store(seenAt(port, now))
}

// room returns a way that is free, or else the one that was silent longest.
func (t *table) room(p *place, now int64) int {
	oldest, most := 0, int64(math.MinInt64)
	for i := range p.key {
		if p.key[i].Load() == 0 {
			return i
		}
		if a := age(p.val[i].Load(), now); a > most {
			oldest, most = i, a
		}
	}
	if most <= t.ageing {
		t.evicted.Add(1)
	}
	return oldest
}

// forget removes the entries for which gone says so.
func (t *table) forget(gone func(vlan uint16, port int) bool) {
	for n := range t.places {
		p := &t.places[n]
		p.lock()
		for i := range p.key {
			if k := p.key[i].Load(); k != 0 && gone(uint16(k>>48), portOf(p.val[i].Load())) {
				p.key[i].Store(0)
			}
		}
		p.unlock()
	}
}

// each calls do for every station that was not silent for too long.
func (t *table) each(now int64, do func(vlan uint16, a address, port int, age int64)) {
	for n := range t.places {
		p := &t.places[n]
		for i := range p.key {
			k := p.key[i].Load()
			if val, ok := t.find(k, now); k != 0 && ok {
				do(uint16(k>>48), address(k&(1<<48-1)), portOf(val), age(val, now))
			}
		}
	}
}

func (p *place) lock() {
	for {
		if seq := p.seq.Load(); seq&1 == 0 && p.seq.CompareAndSwap(seq, seq+1) {
			return
		}
		runtime.Gosched()
	}
}

func (p *place) unlock() { p.seq.Add(1) }
