package lsn

import "spigate/netstack/frame"

// noPool is the pool of a NAT address that only static mappings use.
const noPool = 1<<16 - 1

// natAddressOf finds a NAT address, or makes one that is in no pool.
func (set *settings) natAddressOf(a frame.Addr) *natAddress {
	if n, ok := set.byAddr[a]; ok {
		return set.addrs[n]
	}
	n := &natAddress{addr: a, pool: noPool}
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

// keepFor keeps one port, or with 0 all.
func (n *natAddress) keepFor(i int, port uint16) {
	if n.keeps == nil {
		n.keeps = &keeping{}
	}
	if n.keeps.ports[i] == nil {
		n.keeps.ports[i] = map[uint16]bool{}
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
	n.keeps.all[i], n.keeps.ports[i] = true, map[uint16]bool{}
}

func (n *natAddress) keepPort(i int, port uint16) {
	if !n.kept(i, port) {
		n.tally(protocols[i], port, 1)
		n.keeps.ports[i][port] = true
	}
}

// kept reports whether a port is a static mapping's.
func (n *natAddress) kept(i int, port uint16) bool {
	return n.keeps != nil && (n.keeps.all[i] || n.keeps.ports[i][port])
}
