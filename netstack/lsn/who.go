package lsn

import "spigate/netstack/frame"

// DeterministicInfo is the block that arithmetic gives a subscriber (R18).
type DeterministicInfo struct {
	Group       *Group
	Domain      uint16
	Inside, NAT frame.Addr
	First, Last uint16 // ports, both included
}

// BlockInfo is a drawn block that belongs to a subscriber (R17).
type BlockInfo struct {
	Group       *Group
	Pool        string
	Domain      uint16
	Inside, NAT frame.Addr
	First, Last uint16            // ports, both included
	Mappings    int               // that have a port of it
	Used        [numProtocols]int // ports with a mapping, by protocol as in Stats
}

// OwnerKind is how it is known who has an outside port.
type OwnerKind uint8

// The kinds of Owner.
const (
	OwnedByMapping    OwnerKind = iota // somebody uses the port now
	OwnedByBlock                       // it lies in a block that somebody has now
	OwnedByArithmetic                  // it lies in a block that is always the same subscriber's
	OwnedByStatic                      // a static mapping gives it to somebody, used or not (R27)
)

func (k OwnerKind) String() string { return word(k, "MAPPING", "BLOCK", "DETERMINISTIC", "STATIC") }

// Owner is somebody who has an outside port.
type Owner struct {
	Kind        OwnerKind
	Group       *Group
	Domain      uint16
	Inside      frame.Endpoint // the port is that of a mapping, static or not
	First, Last uint16         // of a block; of a mapping the port itself

	// Of a mapping, static or not; Remote is cut to what the mapping looks at:
	// nothing with EIM, the address with ADM. Proto 0 is every protocol.
	Proto   uint8
	Remote  frame.Endpoint
	Mapping uint64
}

// Deterministic returns the block of a subscriber of a deterministic group; ok
// is false for anybody else. It is the same at any time, as long as the
// configuration is.
func (t *Table) Deterministic(inside frame.Addr) (info DeterministicInfo, ok bool) {
	g := t.cfg().clients.find(inside)
	if g == nil || g.Type != Deterministic {
		return info, false
	}
	return t.dealtTo(g, inside)
}

func (t *Table) dealtTo(g *Group, a frame.Addr) (info DeterministicInfo, ok bool) {
	address, number, ok := g.dealt(a)
	if !ok {
		return info, false
	}
	info = DeterministicInfo{Group: g, Domain: t.domain, Inside: a, NAT: t.cfg().addrList[address]}
	info.First, info.Last = portsOf(number, g.BlockSize)
	return info, true
}

// WalkDeterministic calls fn for every subscriber of every deterministic group,
// in their order, until it returns false. It computes one after the other and
// keeps nothing. An address of the client's networks that belongs to another
// group, by a longer prefix, is left out: its block is nobody's.
func (t *Table) WalkDeterministic(fn func(DeterministicInfo) bool) {
	for _, g := range t.cfg().list {
		if g.Type != Deterministic {
			continue
		}
		for number := range g.dealing.total {
			if info, ok := t.dealtTo(g, g.dealing.subscriber(number)); ok && t.cfg().clients.find(info.Inside) == g && !fn(info) {
				return
			}
		}
	}
}

// WalkDeterministicOn is WalkDeterministic for the blocks of one NAT address,
// in the order of their ports.
func (t *Table) WalkDeterministicOn(nat frame.Addr, fn func(DeterministicInfo) bool) {
	i, ok := t.cfg().byAddr[nat]
	if !ok || t.cfg().addrs[i].owner.Load() == nil {
		return
	}
	n := t.cfg().addrs[i]
	for number := range n.owner.Load().dealing.perAddress {
		if info, ok := t.dealtAt(n, number); ok && !fn(info) {
			return
		}
	}
}

// dealtAt returns whose block is at a place of a deterministic address; ok is
// false if it is nobody's.
func (t *Table) dealtAt(n *natAddress, number int) (info DeterministicInfo, ok bool) {
	a, ok := n.owner.Load().dealing.backward(place{n.row, number})
	if !ok || t.cfg().clients.find(a) != n.owner.Load() {
		return info, false
	}
	return t.dealtTo(n.owner.Load(), a)
}

// WalkBlocks calls fn for every drawn block that has a subscriber, by address
// and port, until it returns false. It copies the blocks of one address at a
// time; no lock is held while fn runs.
func (t *Table) WalkBlocks(fn func(BlockInfo) bool) {
	set := t.cfg()
	for _, i := range set.live {
		n := set.addrs[i]
		if n.blocks == nil || n.owner.Load() != nil {
			continue
		}
		for number := range n.blocks.list {
			if info, ok := t.blockInfo(set, i, number); ok && !fn(info) {
				return
			}
		}
	}
}

// blockInfo describes a drawn block; ok is false if nobody has it.
func (t *Table) blockInfo(set *settings, address uint32, number int) (info BlockInfo, ok bool) {
	n := set.addrs[address]
	a, ok := n.blocks.owner(number)
	if !ok {
		return info, false
	}
	sh := &t.insides[insideShard(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	k := &n.blocks.list[number]
	if now, ok := n.blocks.owner(number); !ok || now != a {
		return info, false // it has just changed hands
	}
	info = BlockInfo{
		Group: set.groups[k.group], Pool: set.poolNames[set.pools[address]], Domain: t.domain,
		Inside: a, NAT: n.addr, Mappings: int(k.claims),
	}
	info.First, info.Last = n.blocks.ports(number)
	for i := range protocols {
		info.Used[i] = int(k.used[i])
	}
	return info, true
}

// WhoOwns calls fn for everybody who has an outside port at now, until it
// returns false: first the subscriber whose block it lies in, then those to
// whom the configuration gives it, then the live mappings on it. Of those there
// may be several: one for each protocol, and for each remote where mappings
// depend on the remote (R19).
//
// Only what follows from the configuration is true at other times too; for the
// rest the NAT log has to be asked.
func (t *Table) WhoOwns(outside frame.Endpoint, now int64, fn func(Owner) bool) {
	set := t.cfg()
	i, ok := set.byAddr[outside.Addr]
	if !ok {
		return
	}
	if o, ok := t.blockOwner(set, i, outside.Port); ok && !fn(o) {
		return
	}
	if !t.staticOwners(outside, fn) {
		return
	}
	used := false
	for _, proto := range protocols {
		used = used || t.inUse(portKey{outside.Addr, outside.Port, uint16(proto)})
	}
	for i := range t.insides {
		if used && !t.ownersIn(&t.insides[i], outside, now, fn) {
			return
		}
	}
}

// blockOwner returns the subscriber whose block a port lies in.
func (t *Table) blockOwner(set *settings, address uint32, port uint16) (o Owner, ok bool) {
	n := set.addrs[address]
	if n.blocks == nil {
		return o, false
	}
	number, ok := n.blocks.of(port)
	if !ok {
		return o, false
	}
	if n.owner.Load() != nil {
		d, ok := t.dealtAt(n, number)
		return Owner{Kind: OwnedByArithmetic, Group: d.Group, Domain: d.Domain, Inside: frame.Endpoint{Addr: d.Inside}, First: d.First, Last: d.Last}, ok
	}
	b, ok := t.blockInfo(set, address, number)
	return Owner{Kind: OwnedByBlock, Group: b.Group, Domain: b.Domain, Inside: frame.Endpoint{Addr: b.Inside}, First: b.First, Last: b.Last}, ok
}

// staticOwners tells the static mappings of a port.
func (t *Table) staticOwners(outside frame.Endpoint, fn func(Owner) bool) (more bool) {
	for _, s := range t.cfg().statics.list {
		if s.Outside.Addr != outside.Addr || s.Outside.Port != 0 && s.Outside.Port != outside.Port {
			continue
		}
		o := Owner{
			Kind: OwnedByStatic, Group: s.group, Domain: t.domain, Inside: s.Inside,
			First: outside.Port, Last: outside.Port, Proto: s.Proto, Remote: frame.Endpoint{Addr: s.Remote},
		}
		if s.Inside.Port == 0 {
			o.Inside.Port = outside.Port
		}
		if !fn(o) {
			return false
		}
	}
	return true
}

func (t *Table) inUse(k portKey) bool {
	o := &t.outsides[outsideShard(k.addr, k.port)]
	o.mu.Lock()
	defer o.mu.Unlock()
	_, u := o.port(k)
	return u.users() > 0
}

// ownersIn looks through the mappings of a shard, some at a time.
func (t *Table) ownersIn(sh *inside, outside frame.Endpoint, now int64, fn func(Owner) bool) (more bool) {
	var found []Owner
	for next := uint32(1); next != 0; {
		found, next = t.ownersFrom(sh, next, outside, now, found[:0])
		for i := range found {
			if !fn(found[i]) {
				return false
			}
		}
	}
	return true
}

func (t *Table) ownersFrom(sh *inside, from uint32, outside frame.Endpoint, now int64, out []Owner) ([]Owner, uint32) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	end := min(from+sweepStep, sh.mappings.end())
	for slot := from; slot < end; slot++ {
		m := sh.mappings.at(slot)
		if m.head == 0 || m.outside != outside {
			continue
		}
		if r := t.cfg().rules[m.rules]; sh.alive(m, r, now) {
			out = append(out, Owner{
				Kind: OwnedByMapping, Group: r.group, Domain: t.domain, Inside: m.inside,
				First: outside.Port, Last: outside.Port, Proto: r.app.Proto,
				Remote: r.looksAt(m.remote), Mapping: makeID(sh.number, m.generation, slot),
			})
		}
	}
	if end == sh.mappings.end() {
		return out, 0
	}
	return out, end
}

// looksAt cuts a remote endpoint to what the mapping mode looks at.
func (r *rules) looksAt(remote frame.Endpoint) frame.Endpoint {
	switch r.app.Mapping {
	case EIM:
		return frame.Endpoint{}
	case ADM:
		remote.Port = 0
	}
	return remote
}
