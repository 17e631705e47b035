package vserver

import (
	"maps"
	"slices"
	"sort"

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

// RequiresProtection reports whether nothing of the listener's connections may
// come or leave in clear (VR31).
func (l *Listener) RequiresProtection() bool {
	return l.Server != nil && l.Server.RequireProtection || l.NAT != nil && l.NAT.RequireProtection
}

// ListsVLANs reports whether the VLANs of its definition are those on which it
// listens; otherwise they are those on which it does not.
func (l *Listener) ListsVLANs() bool {
	switch l.Kind {
	case KindServer:
		return l.Server.VLANs.Enabled
	case KindNAT:
		return l.NAT.VLANs.Enabled
	case KindSNAT:
		return l.SNAT.VLANs.Enabled
	}
	return false
}

// Counters returns the listener's counters; nil for groups and own addresses,
// which count themselves.
func (l *Listener) Counters() *Counters { return l.counters }

// Listeners is a whole configuration, ready to match. It does not change; the
// caller swaps it for another (VR11). The counters live on: see Adopt.
type Listeners struct {
	all      []*Listener
	byName   map[objectName]*Listener
	warnings []string
	resume   bool // go on behind a disabled server (VR9)

	dst   nest
	nodes []node // by network of dst
	rows  []row  // of all nodes, by destination, in each in the order of VR7

	translated map[frame.Addr]*Listener // NAT by its translation address
	originated map[frame.Addr]*Listener // NAT by its originating address
	selfs      map[frame.Addr]*Listener
	origins    listenerNest // SNATs
	clients    listenerNest // groups

	answers map[frame.Addr]bool // addresses that something translates to, or may (automap)
}

type objectName struct {
	kind Kind
	name string
}

// listenerNest holds listeners by source network.
type listenerNest struct {
	nest  nest
	lists [][]*Listener
}

// Warnings tells what is legal and probably not meant (Q1, Q6).
func (l *Listeners) Warnings() []string { return l.warnings }

// All lists virtual servers, NATs, SNATs, groups and own addresses.
func (l *Listeners) All() []*Listener { return l.all }

// Find returns the listener of a kind by name, nil if there is none.
func (l *Listeners) Find(kind Kind, name string) *Listener { return l.byName[objectName{kind, name}] }

// heir is the object that has another's kind and name, nil if there is none.
func (l *Listeners) heir(of *Listener) *Listener {
	if of == nil {
		return nil
	}
	return l.Find(of.Kind, of.Name)
}

// Adopt takes over the counters of old's objects for those of the same kind and
// name, and how much of their rate limits is used, so that a reload loses
// nothing. Call it before l is used; Table.Reload does.
func (l *Listeners) Adopt(old *Listeners) {
	for _, x := range old.all {
		h := l.heir(x)
		if h == nil || x.counters == nil {
			continue
		}
		h.counters = x.counters
		if h.rate != nil && x.rate != nil {
			h.rate.until.Store(x.rate.until.Load())
		}
	}
}

func newListenerNest(by map[network][]*Listener) listenerNest {
	ps := slices.Collect(maps.Keys(by))
	sort.Slice(ps, func(i, j int) bool { return byNetwork(ps[i], ps[j]) < 0 })
	n := listenerNest{newNest(ps), make([][]*Listener, len(ps))}
	for i, p := range ps {
		n.lists[i] = by[p]
	}
	return n
}
