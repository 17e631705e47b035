package lsn

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

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
}

// natAddress is the state of one NAT address that is not per port.
type natAddress struct {
	addr  frame.Addr
	pool  uint16
	used  [numProtocols]atomic.Int32  // ports that at least one mapping claims
	freed [numProtocols]atomic.Uint32 // claims given back, ever; wraps
	full  exhausted
}

// exhausted remembers for which remotes a complete search found no free port,
// so that a flood against a full address costs a look at this list and not a
// search. A mark counts until something is given back (natAddress.freed).
type exhausted struct {
	mu    sync.Mutex
	next  uint8
	marks [8]mark
}

// mark is one exhausted remote; want.proto 0 is an empty place.
type mark struct {
	want  claim
	freed uint32
}

// exhausted reports whether nothing was given back since a search for want
// failed.
func (n *natAddress) exhausted(want claim) bool {
	i, _ := protoIndex(want.proto)
	if n.used[i].Load() < numPorts {
		return false // an unused port fits everything; the common case, without a lock
	}
	if want.width == wideAny {
		return true
	}
	freed := n.freed[i].Load()
	n.full.mu.Lock()
	defer n.full.mu.Unlock()
	for _, m := range n.full.marks {
		if m.want == want && m.freed == freed {
			return true
		}
	}
	return false
}

// setExhausted remembers a search that failed; freed is natAddress.freed as it
// was before the search, so that what was given back meanwhile counts.
func (n *natAddress) setExhausted(want claim, freed uint32) {
	n.full.mu.Lock()
	defer n.full.mu.Unlock()
	for i := range n.full.marks {
		if n.full.marks[i].want == want {
			n.full.marks[i].freed = freed
			return
		}
	}
	n.full.marks[n.full.next%uint8(len(n.full.marks))] = mark{want, freed}
	n.full.next++
}

// addPool makes the pool's addresses and returns their indices.
func (t *Table) addPool(index int, p Pool) (out []uint32, err error) {
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
			if n, twice := t.byAddr[a]; twice {
				return nil, fmt.Errorf("pool %q: address %v is already in pool %q", p.Name, a, t.poolNames[t.addrs[n].pool])
			}
			t.byAddr[a] = uint32(len(t.addrs))
			out = append(out, uint32(len(t.addrs)))
			t.addrs = append(t.addrs, &natAddress{addr: a, pool: uint16(index)})
			t.addrList = append(t.addrList, a)
		}
	}
	return out, nil
}

// Owns reports whether a is a NAT address of some pool.
func (t *Table) Owns(a frame.Addr) bool {
	_, ok := t.byAddr[a]
	return ok
}

// Addresses returns all NAT addresses, in the order of the configuration. The
// caller must not change it.
func (t *Table) Addresses() []frame.Addr { return t.addrList }
