package lsn

import (
	"errors"
	"slices"

	"spigate/netstack/frame"
)

// graft is the work of giving new settings the indices of the old ones, where
// both mean the same: then nothing in the shards has to change.
type graft struct {
	old, set *settings
	begun    []uint16 // indices of groups that were not there
	moved    []takeover
	replaced map[frame.Addr]bool // in both, but divided in another manner
	count    Reloaded
}

// takeover is an address whose state stays, and what the new settings say of
// it.
type takeover struct{ stays, says *natAddress }

// newGraft changes set, which nobody uses yet, and nothing of old.
func newGraft(old, set *settings) (*graft, error) {
	set.nowRules, set.nowAddrs = nil, nil
	g := &graft{old: old, set: set, replaced: map[frame.Addr]bool{}}
	g.graftGroups()
	g.graftRules()
	g.graftAddresses()
	if len(set.groups) > 1<<16 || len(set.rules) > 1<<16 || len(set.addrs) > maxAddresses {
		return nil, errors.New("too many groups, profiles or NAT addresses at once: old ones are still there until they are replaced")
	}
	return g, nil
}

// places hands out indices: of old things that are the same, or free ones.
type places struct {
	used []bool
	from int // no free one before
}

// newPlaces begins with the indices below n, of which live are in use.
func newPlaces(n int, live func(yield func(int))) places {
	p := places{used: make([]bool, n)}
	live(func(i int) { p.used[i] = true })
	return p
}

// free returns an index that nothing in the shards refers to.
func (p *places) free() int {
	for p.from < len(p.used) && p.used[p.from] {
		p.from++
	}
	if p.from == len(p.used) {
		p.used = append(p.used, false)
	}
	p.used[p.from] = true
	return p.from
}

// put stores v at an index, behind the end if need be.
func put[T any](list []T, i int, v T) []T {
	if i == len(list) {
		return append(list, v)
	}
	list[i] = v
	return list
}

// enlist notes an index as one of the new settings; listed asks for it.
func enlist(list []bool, i int) []bool {
	for len(list) <= i {
		list = append(list, false)
	}
	list[i] = true
	return list
}

func listed(list []bool, i int) bool { return i < len(list) && list[i] }

// graftGroups: a group is the same if its name and its client are.
func (g *graft) graftGroups() {
	was := map[[2]string]*Group{}
	for _, o := range g.old.list {
		was[[2]string{o.Name, o.Client}] = o
	}
	at := newPlaces(len(g.old.groups), func(yield func(int)) {
		for _, o := range g.old.list {
			yield(int(o.index))
		}
	})
	groups := slices.Clone(g.old.groups)
	for _, n := range g.set.list {
		i := 0
		if o := was[[2]string{n.Name, n.Client}]; o != nil {
			i, n.tally, n.hold = int(o.index), o.tally, o.hold
		} else {
			i = at.free()
			g.begun = append(g.begun, uint16(i))
		}
		n.index = uint16(i)
		groups = put(groups, i, n)
	}
	g.set.groups = groups
}

// rulesID is what rules must have in common to serve the same mappings: all
// that the indices and counters of a mapping depend on.
type rulesID struct {
	group          uint16
	stranger       bool // of a group that was not there before
	name           string
	proto          uint8
	pooling        Pooling
	mapping        Mapping
	filtering      Filtering
	static         bool
	natType        NATType
	blockSize, nth int
}

// ids names all rules; those that look alike are told apart by their order.
func (g *graft) ids(list []*rules, same func(*Group) bool) []rulesID {
	out, count := make([]rulesID, 0, len(list)), map[rulesID]int{}
	for _, r := range list {
		id := rulesID{
			group: r.group.index, stranger: !same(r.group), name: r.app.Name, proto: r.app.Proto,
			pooling: r.app.Pooling, mapping: r.app.Mapping, filtering: r.app.Filtering,
			static: r.static, natType: r.group.Type, blockSize: r.group.BlockSize,
		}
		nth := count[id]
		count[id]++
		id.nth = nth
		out = append(out, id)
	}
	return out
}

func (g *graft) graftRules() {
	was := map[rulesID]*rules{}
	for i, id := range g.ids(g.old.ruleList, func(*Group) bool { return true }) {
		was[id] = g.old.ruleList[i]
	}
	at := newPlaces(len(g.old.rules), func(yield func(int)) {
		for _, r := range g.old.ruleList {
			yield(int(r.index))
		}
	})
	list := slices.Clone(g.old.rules)
	ids := g.ids(g.set.ruleList, func(n *Group) bool {
		o := int(n.index)
		return o < len(g.old.groups) && g.old.groups[o].tally == n.tally
	})
	for i, r := range g.set.ruleList {
		place := 0
		if o := was[ids[i]]; o != nil {
			place = int(o.index)
		} else {
			place = at.free()
		}
		r.index = uint16(place)
		list = put(list, place, r)
		g.set.nowRules = enlist(g.set.nowRules, place)
	}
	g.set.rules = list
}

// graftAddresses: an address is the same if it is divided in the same manner.
func (g *graft) graftAddresses() {
	at := newPlaces(len(g.old.addrs), func(yield func(int)) {
		for _, i := range g.old.live {
			yield(int(i))
		}
	})
	addrs, addrList, pools := slices.Clone(g.old.addrs), slices.Clone(g.old.addrList), slices.Clone(g.old.pools)
	index := make([]uint32, len(g.set.addrs))
	for i, n := range g.set.addrs {
		o, both := g.old.byAddr[n.addr]
		place, keep := int(o), n
		switch {
		case both && sameDivision(g.old.addrs[o], n):
			keep = g.old.addrs[o]
			g.moved = append(g.moved, takeover{keep, n})
		default:
			place = at.free()
			g.replaced[n.addr] = both
		}
		index[i] = uint32(place)
		addrs, addrList, pools = put(addrs, place, keep), put(addrList, place, n.addr), put(pools, place, g.set.pools[i])
		g.set.nowAddrs = enlist(g.set.nowAddrs, place)
	}
	g.set.addrs, g.set.addrList, g.set.pools, g.set.live = addrs, addrList, pools, index
	g.renumber(index)
}

// renumber gives all that refers to addresses their new indices.
func (g *graft) renumber(index []uint32) {
	for a, i := range g.set.byAddr {
		g.set.byAddr[a] = index[i]
	}
	for _, n := range g.set.list {
		for j, i := range n.addrs {
			n.addrs[j] = index[i]
		}
		n.sorted = slices.Sorted(slices.Values(n.addrs))
		n.paused.Store(slices.ContainsFunc(n.addrList, func(a frame.Addr) bool { return g.replaced[a] }))
	}
}

// sameDivision reports whether ports of an address may go on as they are: no
// blocks or blocks of one size, and if they are computed, by the same sum.
func sameDivision(o, n *natAddress) bool {
	if o.blocks == nil || n.blocks == nil {
		return o.blocks == nil && n.blocks == nil
	}
	og, ng := o.owner.Load(), n.owner.Load()
	if og == nil || ng == nil {
		return og == nil && ng == nil && o.blocks.size == n.blocks.size
	}
	return og.index == ng.index && og.tally == ng.tally && o.row == n.row && og.dealing.equal(ng.dealing)
}

func (d *dealing) equal(o *dealing) bool {
	return d.policy == o.policy && d.size == o.size && d.addresses == o.addresses && slices.Equal(d.byNumber, o.byNumber)
}
