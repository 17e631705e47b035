package vserver

import (
	"cmp"
	"sort"
)

// row is what a look-up asks of one virtual server, in one cache line: with
// 100,000 servers nothing else of them is near (BenchmarkMatch).
type row struct {
	vlans     vlanSet
	src, mask uint32
	port      uint16 // 0: any
	proto     uint8  // 0: any
	srcBits   uint8
	role      Role
	translate Translation
	disabled  bool
	_         [9]byte // 64 bytes altogether
	x         *Listener
}

func newRow(p placed) row {
	s := p.x.Server
	return row{
		vlans: p.x.vlans, src: p.src.first, mask: p.src.mask(), srcBits: p.src.bits, port: p.port, proto: p.proto,
		role: s.Role, translate: s.SourceTranslation, disabled: s.Disabled, x: p.x,
	}
}

// span is a piece of the rows.
type span struct{ from, to int32 }

// node holds the servers of one destination.
type node struct {
	span
	wide *wide // many servers: by source and port
}

// wide finds the servers of a destination that has more than narrowNode.
type wide struct {
	src   nest
	lists []portList // by network of src
}

// portList holds the servers of one destination and one source: first those of
// a port, by port, then those of any.
type portList struct{ own, any span }

// narrowNode is up to how many rows are looked at one by one.
const narrowNode = 8

// placed is a server on its way into the rows, with what orders it (VR7).
type placed struct {
	dst, src network
	port     uint16
	proto    uint8
	listed   bool
	number   int32 // among the servers of the configuration
	x        *Listener
}

func place(x *Listener, number int) placed {
	s := x.Server
	return placed{networkOf(s.Destination), networkOf(s.Source), s.Port, s.Protocol, s.VLANs.listed(), int32(number), x}
}

// byPlace puts the servers of one destination together, and there the winner
// before those whom it wins over (VR7); names break ties between disjoint VLANs.
func byPlace(a, b placed) int {
	if c := byNetwork(a.dst, b.dst); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(b.src.bits, a.src.bits), cmp.Compare(a.src.first, b.src.first),
		first(a.port != 0, b.port != 0), cmp.Compare(a.port, b.port),
		first(a.proto != 0, b.proto != 0), cmp.Compare(a.proto, b.proto),
		first(a.listed, b.listed), cmp.Compare(a.x.Name, b.x.Name), cmp.Compare(a.number, b.number))
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

// equal reports whether VR7 cannot tell two servers apart but by their VLANs.
func (p placed) equal(o placed) bool {
	return p.dst == o.dst && p.src == o.src && p.port == o.port && p.proto == o.proto && p.listed == o.listed
}

// buildServers makes the two-level lookup (VR11) of servers sorted byPlace.
func (l *Listeners) buildServers(all []placed) {
	l.rows = make([]row, len(all))
	for i, p := range all {
		l.rows[i] = newRow(p)
	}
	dsts := 0
	runs(all, placed.sameDestination, func(span) { dsts++ })
	networks := make([]network, 0, dsts)
	l.nodes = make([]node, 0, dsts)
	runs(all, placed.sameDestination, func(s span) {
		networks = append(networks, all[s.from].dst)
		n := node{span: s}
		if s.to-s.from > narrowNode {
			n.wide = newWide(all[s.from:s.to], s.from)
		}
		l.nodes = append(l.nodes, n)
	})
	l.dst = newNest(networks)
}

func (p placed) sameDestination(o placed) bool { return p.dst == o.dst }

func (p placed) sameSource(o placed) bool { return p.src == o.src }

// newWide makes the lookup of one destination's servers, whose rows begin at
// base.
func newWide(all []placed, base int32) *wide {
	lists := map[network]portList{}
	runs(all, placed.sameSource, func(s span) {
		any := s.from
		for any < s.to && all[any].port != 0 {
			any++
		}
		lists[all[s.from].src] = portList{span{base + s.from, base + any}, span{base + any, base + s.to}}
	})
	w := &wide{lists: make([]portList, 0, len(lists))}
	srcs := make([]network, 0, len(lists))
	for src := range lists {
		srcs = append(srcs, src)
	}
	sort.Slice(srcs, func(i, j int) bool { return byNetwork(srcs[i], srcs[j]) < 0 })
	for _, src := range srcs {
		w.lists = append(w.lists, lists[src])
	}
	w.src = newNest(srcs)
	return w
}

// runs calls fn for each longest piece whose members are the same.
func runs(all []placed, same func(a, b placed) bool, fn func(span)) {
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && same(all[from], all[to]) {
			to++
		}
		fn(span{int32(from), int32(to)})
		from = to
	}
}
