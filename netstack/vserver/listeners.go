package vserver

import (
	"cmp"
	"net/netip"
	"slices"

	"spigate/netstack/frame"
)

// Kind is what kind of object a listener is, in the order of VR2 and VR3.
type Kind uint8

// The kinds of listeners.
const (
	KindNone Kind = iota
	KindServer
	KindSNAT
	KindNAT
	KindGroup
	KindSelf
)

// String returns the object's name in tmsh's words.
func (k Kind) String() string {
	return [...]string{"none", "virtual server", "snat", "nat", "lsn group", "self address"}[k]
}

// Listener is one object that admits flows. It is immutable but for its
// counters. Of the four pointers the one of its kind is set.
type Listener struct {
	Kind    Kind
	Name    string
	Profile FastL4 // with defaults filled in

	Server *Server
	NAT    *NAT
	SNAT   *SNAT
	Group  *Group

	vlans    vlanSet
	counters *Counters
	rate     *meter
}

// VLANs lists the interfaces on which the listener listens, in order. It is for
// messages and allocates.
func (l *Listener) VLANs() []frame.Interface { return l.vlans.members() }

// Counters returns the listener's counters; nil for groups and own addresses,
// which count themselves.
func (l *Listener) Counters() *Counters { return l.counters }

// Listeners is a whole configuration, ready to match. It does not change; the
// caller swaps it for another (VR11). The counters live on: see Adopt.
type Listeners struct {
	all      []*Listener
	warnings []string
	resume   bool // go on behind a disabled server (VR9)

	dst   nest
	nodes []node // by prefix of dst

	translated map[frame.Addr]*Listener // NAT by its translation address
	originated map[frame.Addr]*Listener // NAT by its originating address
	selfs      map[frame.Addr]*Listener
	origins    listenerNest // SNATs
	clients    listenerNest // groups
}

// node holds the servers of one destination prefix.
type node struct {
	src   nest
	lists []portList // by prefix of src
}

// portList holds servers of one destination and one source: first those of a
// port, by port, then those of any; in each port in the order of VR7.
type portList struct {
	servers []*Listener
	any     int // where those of any port begin
}

// listenerNest holds listeners by source prefix.
type listenerNest struct {
	nest  nest
	lists [][]*Listener
}

// Warnings tells what is legal and probably not meant (Q1, Q6).
func (l *Listeners) Warnings() []string { return l.warnings }

// All lists virtual servers, NATs, SNATs, groups and own addresses.
func (l *Listeners) All() []*Listener { return l.all }

// Find returns the listener of a kind by name, nil if there is none.
func (l *Listeners) Find(kind Kind, name string) *Listener {
	for _, x := range l.all {
		if x.Kind == kind && x.Name == name {
			return x
		}
	}
	return nil
}

// Adopt takes over the counters of old's objects for those of the same kind and
// name, so that a reload loses nothing. Call it before l is used; Table.Reload
// does.
func (l *Listeners) Adopt(old *Listeners) {
	type key struct {
		kind Kind
		name string
	}
	known := map[key]*Counters{}
	for _, x := range old.all {
		known[key{x.Kind, x.Name}] = x.counters
	}
	for _, x := range l.all {
		if c := known[key{x.Kind, x.Name}]; c != nil {
			x.counters = c
		}
	}
}

// buildServers makes the two-level lookup (VR11).
func (l *Listeners) buildServers(servers []*Listener) {
	byDst := groupBy(servers, func(x *Listener) netip.Prefix { return x.Server.Destination })
	dsts := sorted(byDst)
	l.dst, l.nodes = newNest(dsts), make([]node, len(dsts))
	for i, d := range dsts {
		bySrc := groupBy(byDst[d], func(x *Listener) netip.Prefix { return x.Server.Source })
		srcs := sorted(bySrc)
		n := node{newNest(srcs), make([]portList, len(srcs))}
		for j, s := range srcs {
			n.lists[j] = newPortList(bySrc[s])
		}
		l.nodes[i] = n
	}
}

func newPortList(servers []*Listener) portList {
	slices.SortFunc(servers, byRank)
	any := slices.IndexFunc(servers, func(x *Listener) bool { return x.Server.Port == 0 })
	if any < 0 {
		any = len(servers)
	}
	return portList{servers, any}
}

// byRank is steps 3 to 5 of VR7, with the ports in order; names break ties
// between disjoint VLANs.
func byRank(a, b *Listener) int {
	x, y := a.Server, b.Server
	return cmp.Or(
		first(x.Port != 0, y.Port != 0), cmp.Compare(x.Port, y.Port),
		first(x.Protocol != 0, y.Protocol != 0), cmp.Compare(x.Protocol, y.Protocol),
		first(x.VLANs.listed(), y.VLANs.listed()), cmp.Compare(x.Name, y.Name))
}

// first orders what has a property before what has not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func newListenerNest(by map[netip.Prefix][]*Listener) listenerNest {
	ps := sorted(by)
	n := listenerNest{newNest(ps), make([][]*Listener, len(ps))}
	for i, p := range ps {
		n.lists[i] = by[p]
	}
	return n
}

func groupBy(xs []*Listener, key func(*Listener) netip.Prefix) map[netip.Prefix][]*Listener {
	out := map[netip.Prefix][]*Listener{}
	for _, x := range xs {
		out[key(x)] = append(out[key(x)], x)
	}
	return out
}

func sorted(by map[netip.Prefix][]*Listener) []netip.Prefix {
	ps := make([]netip.Prefix, 0, len(by))
	for p := range by {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, byPrefix)
	return ps
}
