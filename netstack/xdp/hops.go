//go:build linux && !noxdp

package xdp

import (
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/xdp/bpf"
)

// hops keeps the rows of next hops, which programs read while they are written.
// One lock is held for all of it.
//
// A row is made invalid before it changes, and valid, with a new version, after.
// A program that finds the version the same before and after the rest has a
// whole row. That the row is still its flow's it knows from looking at the
// flow's tag once more behind that: flows of a row leave the table before the
// row is given to another next hop, and until then it means the same to them.
// What comes first here is a store that machines do not move behind what
// follows; how a program reads in order is in its own text.
type hops struct {
	maps rows
	all  [flow.MaxHops + 1]hop

	// exit says how packets leave for an interface now; false: they do not.
	exit func(frame.Interface) (exit, bool)
}

// rows are the programs' rows: see bpf.Maps.
type rows interface {
	SetHop(id int, r bpf.Route)
	ClearHop(id int)
	Punt(id int)
}

// A hop is a row with what is wanted of it.
type hop struct {
	want  flow.OffloadHop
	has   bpf.Route // what the row was last given
	valid bool      // the row is
}

// An exit is how packets leave for an interface.
type exit struct {
	port int    // the programs' number
	vlan uint16 // 802.1Q id, 0: without tag
	mtu  int    // of the device, bytes of IP
}

func (h *hops) set(id flow.HopID, want flow.OffloadHop) {
	h.all[id].want = want
	h.renew(id)
}

// renewAll makes all rows what they should be, after ports have changed.
func (h *hops) renewAll() {
	for id := range h.all {
		h.renew(flow.HopID(id))
	}
}

// stop makes all rows invalid until they are renewed.
func (h *hops) stop() {
	for id := range h.all {
		h.clear(flow.HopID(id))
	}
}

// renew makes a row what it should be.
func (h *hops) renew(id flow.HopID) {
	p := &h.all[id]
	e, ok := h.exit(p.want.Out)
	if !p.want.Valid || !ok {
		h.clear(id)
		return
	}
	r := bpf.Route{Port: e.port, VLAN: e.vlan, Dst: p.want.Dst, Src: p.want.Src, MTU: min(e.mtu, p.want.MTU)}
	if p.valid && p.has == r {
		return
	}
	h.maps.SetHop(int(id), r)
	p.has, p.valid = r, true
}

func (h *hops) clear(id flow.HopID) {
	if p := &h.all[id]; p.valid {
		h.maps.ClearHop(int(id))
		p.valid = false
	}
}
