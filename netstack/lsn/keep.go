package lsn

import "spigate/netstack/frame"

// noPool is the pool of a NAT address that only static mappings use.
const noPool = 1<<16 - 1

// natAddressOf finds a NAT address, or makes one that is in no pool.
func (set *settings) natAddressOf(a frame.Addr) *natAddress {
	if n, ok := set.byAddr[a]; ok {
		return set.addrs[n]
	}
	n := &natAddress{addr: a}
	set.pools = append(set.pools, noPool)
	n.hold.init(Pool{})
	set.byAddr[a] = uint32(len(set.addrs))
	set.addrs, set.addrList = append(set.addrs, n), append(set.addrList, a)
	return n
}

// keeping is which ports of a NAT address are kept for static mappings: they
// are never drawn, and count as used.
type keeping struct {
	all   [numProtocols]bool
	ports [numProtocols]map[uint16]bool
}

// keeper says which ports are kept, while the settings change: region by region
// what is comes into force for what was. nil: none.
type keeper struct {
	was, is *keeping
	moved   [numRegions]bool // under the region's outside shard
}

func (k *keeping) has(i int, port uint16) bool {
	return k != nil && (k.all[i] || k.ports[i][port])
}

// keepFor keeps one port, or with 0 all, of an address that is not in use yet.
func (n *natAddress) keepFor(i int, port uint16) {
	k := n.keeps.Load()
	if k == nil {
		k = &keeper{is: &keeping{}}
		for r := range k.moved {
			k.moved[r] = true
		}
		n.keeps.Store(k)
	}
	if k.is.ports[i] == nil {
		k.is.ports[i] = map[uint16]bool{}
	}
	if port != 0 {
		n.keepPort(i, port)
		return
	}
	for p := uint16(1); p != 0; p++ {
		if !n.kept(i, p) {
			n.tally(protocols[i], p, 1)
		}
	}
	k.is.all[i], k.is.ports[i] = true, map[uint16]bool{}
}

func (n *natAddress) keepPort(i int, port uint16) {
	if !n.kept(i, port) {
		n.tally(protocols[i], port, 1)
		n.keeps.Load().is.ports[i][port] = true
	}
}

// kept reports whether a port is a static mapping's. Its outside shard is
// locked.
func (n *natAddress) kept(i int, port uint16) bool {
	k := n.keeps.Load()
	switch {
	case k == nil:
		return false
	case k.moved[port>>regionBits]:
		return k.is.has(i, port)
	}
	return k.was.has(i, port)
}

// keeping returns what an address that is not in use yet has to keep.
func (n *natAddress) keeping() *keeping {
	if k := n.keeps.Load(); k != nil {
		return k.is
	}
	return nil
}

// keep makes other ports those of static mappings. A port that somebody uses
// stays with him until he gives it back.
func (t *Table) keep(n *natAddress, is *keeping) {
	var was *keeping
	if k := n.keeps.Load(); k != nil {
		was = k.is
	}
	if was == nil && is == nil {
		return
	}
	k := &keeper{was: was, is: is}
	n.keeps.Store(k)
	for region := range numRegions {
		o := &t.outsides[outsideShard(n.addr, uint16(region<<regionBits))]
		o.mu.Lock()
		o.keepRegion(n, k, region)
		o.mu.Unlock()
	}
}

func (o *outside) keepRegion(n *natAddress, k *keeper, region int) {
	var changed []portKey
	for p := region << regionBits; p < (region+1)<<regionBits; p++ {
		for i, proto := range protocols {
			port := uint16(p)
			if p == 0 || k.was.has(i, port) == k.is.has(i, port) {
				continue
			}
			if _, u := o.port(portKey{n.addr, port, uint16(proto)}); u == nil {
				changed = append(changed, portKey{n.addr, port, uint16(proto)})
			}
		}
	}
	for _, c := range changed {
		i, _ := protoIndex(uint8(c.proto))
		if k.was.has(i, c.port) {
			n.count(i, c.port, -1)
			n.full.clear(claim{proto: uint8(c.proto)}, true)
		} else {
			n.count(i, c.port, 1)
		}
	}
	k.moved[region] = true
}
