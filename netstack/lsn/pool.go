package lsn

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"spigate/netstack/frame"
)

// MaxPoolAddresses is the greatest number of NAT addresses in one pool, as on
// a NetScaler.
const MaxPoolAddresses = 4096

// Range is a range of addresses, both ends included.
type Range struct{ First, Last frame.Addr }

// Pool is a set of NAT addresses, not necessarily contiguous (RFC 6888 REQ-3).
// An address belongs to one pool; a pool may serve several groups.
type Pool struct {
	Name   string
	Ranges []Range
	Type   NATType // must be that of every group that uses the pool
	// PortBlocks gives every subscriber whole blocks of ports (R17). It is
	// always on in a deterministic pool.
	PortBlocks bool
	// ReallocTimeout is how long a port that was given back must not be given
	// to anybody (R25, RFC 6888 REQ-8, which wants 120 s): 0, which is
	// NetScaler's default and means at once, to 600 s.
	ReallocTimeout time.Duration
	// MaxReallocQueue is how many ports of one NAT address wait so at once: 0
	// to 65536. When so many wait, the next one is free at once.
	MaxReallocQueue int
}

// natAddress is the state of one NAT address that is not per port.
type natAddress struct {
	addr   frame.Addr
	used   [numProtocols][numLanes]atomic.Int32  // ports that are claimed or held
	ports  [numProtocols]atomic.Pointer[portMap] // the same as bits; nil before the first
	full   exhausted
	hold   holdDown
	blocks *blocks // nil: ports are drawn one by one

	owner atomic.Pointer[Group] // of a deterministic address, whose group.addrs[row] it is
	row   int

	keeps atomic.Pointer[keeper] // ports for static mappings; nil: none
}

// tally counts a port that came into use or out of it, but for one of a static
// mapping, which counts always. Its outside shard is locked.
func (n *natAddress) tally(proto uint8, port uint16, by int) {
	i, _ := protoIndex(proto)
	if n.kept(i, port) {
		return
	}
	n.count(i, port, by)
}

func (n *natAddress) count(i int, port uint16, by int) {
	n.used[i][laneOf(port)].Add(int32(by))
	m := n.ports[i].Load()
	for m == nil { // ports of other regions may come at the same time
		n.ports[i].CompareAndSwap(nil, new(portMap))
		m = n.ports[i].Load()
	}
	m[port>>wordBits] ^= 1 << (port & (wordSize - 1))
}

// portMap has a bit for each port of an address that is claimed or held, so
// that the last unused ones are found 64 at a look: 8 KiB. A word is under the
// lock of its region's outside shard.
type portMap [1 << 16 / wordSize]uint64

const (
	wordBits = 6
	wordSize = 1 << wordBits
)

// unused returns the first port from first to last, in steps, that is neither
// claimed nor held. m may be nil.
func (m *portMap) unused(first, last, step int) (port int, ok bool) {
	if m == nil {
		return first, first <= last
	}
	lane := ^uint64(0)
	if step == 2 {
		lane = 0x5555555555555555 << (first & 1)
	}
	for p := first; p <= last; p = p&^(wordSize-1) + wordSize {
		free := ^m[p>>wordBits] & lane & (^uint64(0) << (p & (wordSize - 1)))
		if free != 0 {
			port = p&^(wordSize-1) + bits.TrailingZeros64(free)
			return port, port <= last
		}
	}
	return 0, false
}

// unused reports whether any port of a set is neither claimed nor held.
func (n *natAddress) unused(proto uint8, kind setKind) (any bool) {
	i, _ := protoIndex(proto)
	kind.lanes(func(lane int) { any = any || n.used[i][lane].Load() < laneSize[lane] })
	return any
}

// mark is a search that found nothing: for a claim, in the ports of a set.
type mark struct {
	claim
	kind setKind
}

// exhausted remembers which complete searches found no free port,
// so that a flood against a full address costs a look at this list and not a
// search. It does not matter while any port of its set is unused, because that
// one fits everything. It goes when a claim towards its remote is given back;
// and when a port becomes unused, because whoever takes that one next may leave
// room for its remote beside himself.
type exhausted struct {
	count atomic.Int32  // marks that are set, so that the lock is rarely needed
	freed atomic.Uint32 // claims given back, ever; wraps
	mu    sync.Mutex
	next  uint8
	marks [8]mark // proto 0: empty
}

// exhausted reports whether no port of the set fits, without a search. false
// means that a search will tell.
func (n *natAddress) exhausted(want claim, kind setKind) bool {
	if n.unused(want.proto, kind) {
		return false
	}
	if want.width == wideAny {
		return true
	}
	if n.full.count.Load() == 0 {
		return false
	}
	n.full.mu.Lock()
	defer n.full.mu.Unlock()
	return slices.Contains(n.full.marks[:], mark{want, kind})
}

// set remembers a search that failed, unless anything was given back since it
// began, when freed was as told: the search may have missed that.
func (e *exhausted) set(want mark, freed uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count.Add(1) // before freed is read: clear does it the other way round
	place := &e.marks[e.next%uint8(len(e.marks))]
	if e.freed.Load() != freed || slices.Contains(e.marks[:], want) {
		e.count.Add(-1)
		return
	}
	if place.proto != 0 {
		e.count.Add(-1)
	}
	*place = want
	e.next++
}

// clear notes that a claim was given back, and whether its port is unused now.
func (e *exhausted) clear(c claim, unused bool) {
	e.freed.Add(1)
	if e.count.Load() == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.marks {
		if m := &e.marks[i]; m.proto != 0 && (m.claim == c || unused && m.proto == c.proto) {
			e.marks[i] = mark{}
			e.count.Add(-1)
		}
	}
}

// addPool makes the pool's addresses and returns their indices.
func (set *settings) addPool(index int, p Pool) (out []uint32, err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, r := range p.Ranges {
		first, last := binary.BigEndian.Uint32(r.First[:]), binary.BigEndian.Uint32(r.Last[:])
		if first > last {
			return nil, fmt.Errorf("pool %q: range %v-%v is backwards", p.Name, r.First, r.Last)
		}
		if uint64(last-first)+uint64(len(out)) >= MaxPoolAddresses {
			return nil, fmt.Errorf("pool %q: more than %d addresses", p.Name, MaxPoolAddresses)
		}
		for i := range last - first + 1 {
			var a frame.Addr
			binary.BigEndian.PutUint32(a[:], first+i)
			if n, twice := set.byAddr[a]; twice {
				return nil, fmt.Errorf("pool %q: address %v is already in pool %q", p.Name, a, set.poolNames[set.pools[n]])
			}
			set.byAddr[a] = uint32(len(set.addrs))
			out = append(out, uint32(len(set.addrs)))
			n := &natAddress{addr: a}
			set.pools = append(set.pools, uint16(index))
			n.hold.init(p)
			set.addrs = append(set.addrs, n)
			set.addrList = append(set.addrList, a)
		}
	}
	return out, nil
}

// Owns reports whether a is a NAT address of some pool.
func (t *Table) Owns(a frame.Addr) bool {
	_, ok := t.cfg().byAddr[a]
	return ok
}

// Addresses returns all NAT addresses, in the order of the configuration. The
// caller must not change it.
func (t *Table) Addresses() []frame.Addr { return t.cfg().addresses }
