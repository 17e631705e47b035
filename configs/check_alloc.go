package configs

import "slices"

// The ports of one NAT address that can be drawn or computed (R16, R18).
const (
	firstDynamicPort = 1024
	dynamicPorts     = 65536 - firstDynamicPort
)

// checkAlloc holds what table 1.1 and R17, R18 say of groups and their pools.
func (r *reader) checkAlloc(w *raw) {
	owner := map[*Pool]*Group{}
	for _, g := range w.LSN.Groups {
		at := func(key string) spot { return keyAt("lsn", "group", g.Name, key) }
		for i, p := range g.Pools {
			r.checkPoolType(g, p, at("pools").of(i))
			if other := owner[p]; other != nil && p.Type == NATDeterministic {
				r.fault(at("pools").of(i), "%s is DETERMINISTIC and belongs to %s already: such a pool has one group",
					label("lsn", "pool", p.Name), label("lsn", "group", other.Name))
			}
			if other := owner[p]; other != nil && p.Type == NATDynamic && other.BlockSize != g.BlockSize {
				r.fault(at("port_block_size"), "%s is cut into blocks of %d by %s: a pool is cut up once",
					label("lsn", "pool", p.Name), other.BlockSize, label("lsn", "group", other.Name))
			}
			owner[p] = g
		}
		if g.Type == NATDynamic && w.written[g]("alloc_policy") {
			r.fault(at("alloc_policy"), "only a DETERMINISTIC group has one (rule R18)")
		}
		if g.BlockSize > dynamicPorts {
			r.fault(at("port_block_size"), "%d ports: an address has %d of them", g.BlockSize, dynamicPorts)
			continue
		}
		if g.Type == NATDeterministic {
			r.checkRoom(g)
		}
	}
	for _, p := range w.LSN.Pools {
		if p.ReallocTimeout > 0 && p.Blocks {
			r.warn(keyAt("lsn", "pool", p.Name, "port_realloc_timeout"), "has no effect with port blocks (rule R25)")
		}
	}
}

// checkPoolType: a group and its pools are of one kind, and a block size goes
// with blocks.
func (r *reader) checkPoolType(g *Group, p *Pool, at spot) {
	switch {
	case g.Type != p.Type:
		r.fault(at, "%s has nat_type %s, the group has %s: they must be the same",
			label("lsn", "pool", p.Name), p.Type, g.Type)
	case p.Blocks && g.BlockSize == 0:
		r.fault(at, "%s has port_block_allocation: the group needs a port_block_size, from 256 on", label("lsn", "pool", p.Name))
	case !p.Blocks && g.BlockSize > 0:
		r.fault(at, "%s has no port_block_allocation, but the group has a port_block_size", label("lsn", "pool", p.Name))
	}
}

// checkRoom: every subscriber of a deterministic group has a block (R18).
func (r *reader) checkRoom(g *Group) {
	var addresses, subscribers uint64
	for _, p := range g.Pools {
		for _, a := range p.Ranges {
			if !a.From.IsValid() {
				return
			}
			addresses += a.size()
		}
	}
	if g.Client == nil || len(g.Pools) == 0 {
		return
	}
	for i, n := range g.Client.Networks {
		if !n.IsValid() {
			return
		}
		if slices.Contains(g.Client.Networks[:i], n) {
			return // checkClients has said so
		}
		if slices.ContainsFunc(g.Client.Networks[:i], n.Overlaps) {
			r.fault(keyAt("lsn", "client", g.Client.Name, "networks").of(i), "%s overlaps another network of this client: in %s, which is DETERMINISTIC, a subscriber is counted once (rule R18)",
				n, label("lsn", "group", g.Name))
			return
		}
		subscribers += 1 << (32 - n.Bits())
	}
	blocks := uint64(dynamicPorts / g.BlockSize)
	if subscribers > addresses*blocks {
		r.fault(keyAt("lsn", "group", g.Name, "pools"), "%d subscribers need a block of %d ports each, and the pools have %d: %d on each address (rule R18)",
			subscribers, g.BlockSize, addresses*blocks, blocks)
	}
}
