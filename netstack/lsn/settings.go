package lsn

import (
	"errors"

	"spigate/netstack/frame"
)

// settings is what the configuration says. It is made as a whole and never
// changed; Reload exchanges it. An index in it stays what it is in the next
// settings as long as anything in the shards refers to it.
type settings struct {
	clients   clients
	groups    []*Group
	rules     []*rules
	poolNames []string
	addrs     []*natAddress
	addrList  []frame.Addr
	byAddr    map[frame.Addr]uint32 // index into addrs
	statics   statics
	silent    map[frame.Addr]bool // NAT addresses; see SilentSYN
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
	return set, nil
}
