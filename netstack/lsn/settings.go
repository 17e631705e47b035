package lsn

import (
	"errors"
	"slices"

	"spigate/netstack/frame"
)

// settings is what the configuration says. It is made as a whole and never
// changed; Reload exchanges it. An index in it stays what it is in the next
// settings as long as anything in the shards refers to it.
type settings struct {
	clients   clients
	statics   statics
	silent    map[frame.Addr]bool // NAT addresses; see SilentSYN
	poolNames []string
	byAddr    map[frame.Addr]uint32 // index into addrs
	addresses []frame.Addr          // all, in the order of the configuration

	// By index, with what the settings before had and this one has not.
	groups   []*Group
	rules    []*rules
	addrs    []*natAddress
	addrList []frame.Addr
	pools    []uint16 // of addresses: index into poolNames, or noPool

	// Without that, in the order of the configuration.
	list     []*Group
	ruleList []*rules
	live     []uint32 // indices into addrs
	nowRules []bool   // by index: in ruleList
	nowAddrs []bool   // by index: in live
}

// cfg returns the present settings. Whoever makes a mapping reads them with the
// subscriber's shard locked: Reload looks at every shard after it has
// exchanged them, and finds what was made by the old ones.
func (t *Table) cfg() *settings { return t.settings.Load() }

// newSettings returns the settings of a configuration, or all its faults.
func newSettings(c Config) (*settings, error) {
	set := &settings{clients: clients{groups: map[network]*Group{}}, byAddr: map[frame.Addr]uint32{}}
	pools, err := set.addPools(c.Pools)
	err = errors.Join(err, set.addGroups(c, pools), set.addStatics(c.Statics))
	if err != nil {
		return nil, err
	}
	set.silence()
	set.list, set.ruleList, set.addresses = set.groups, set.rules, set.addrList
	for i := range set.addrs {
		set.live, set.nowAddrs = append(set.live, uint32(i)), append(set.nowAddrs, true)
	}
	for range set.rules {
		set.nowRules = append(set.nowRules, true)
	}
	for _, g := range set.list {
		g.sorted = slices.Sorted(slices.Values(g.addrs))
	}
	return set, nil
}

// serves reports whether the group's pools have an address.
func (g *Group) serves(address uint32) bool {
	_, ok := slices.BinarySearch(g.sorted, address)
	return ok
}

// keeps reports whether a mapping fits the settings: what New or Reload made of
// them, and not what is left of those before.
func (set *settings) keeps(m *mapping) bool {
	if !listed(set.nowRules, int(m.rules)) || !listed(set.nowAddrs, int(m.address)) {
		return false
	}
	r := set.rules[m.rules]
	if r.static {
		i, _ := protoIndex(m.proto)
		st := find(set.statics.inside, m.proto, m.inside, m.remote.Addr)
		return st != nil && st.rules(i) == r && st.Outside.Addr == m.outside.Addr && st.port(m.inside.Port) == m.outside.Port
	}
	// Beside a static mapping a helper may have one on an address of no pool.
	return set.clients.find(m.inside.Addr) == r.group && (r.group.serves(m.address) || set.pools[m.address] == noPool)
}
