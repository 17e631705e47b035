package flow

import "spigate/netstack/frame"

// Offload is a second forwarder below the table: a program in the kernel, or
// the flow engine of a switch chip. The table gives it the flows that have
// proved busy; it forwards their packets by itself, so that they never reach
// Process, and counts them. Everything else it passes up as it came.
//
// Whose a packet is. A packet matches a flow by the flow's whole Key: IPv4
// without options, not a fragment, source, destination, protocol, ID, and the
// interface (port and VLAN) that it came in on. What matches may be forwarded
// only as Process would do it, byte for byte:
//
//   - the IPv4 header checksum is right, the packet is as long as it says, its
//     TTL is above 1 and the frame's destination is the port's own MAC address;
//   - TCP has none of SYN, FIN and RST; UDP's length fits the packet, and no
//     port is IKE's (500, 4500);
//   - DFOnly: the packet has DF;
//   - the hop is Valid and the packet, as an IPv4 datagram, is not longer than
//     its MTU.
//
// Then TTL-1, the address of Side and, for TCP and UDP, the port of Side are
// written, every checksum is corrected incrementally (RFC 1624; a UDP checksum
// of 0 stays 0, one that becomes 0 is sent as 0xffff), padding behind the
// datagram is cut off, the MAC addresses of the hop are written, the VLAN tag
// is that of Out (none, another, or a new one; the priority bits are 0), and
// the frame leaves through the port of Out. A packet that fails any of this, or
// that the engine is not sure of, goes up unchanged: passing up is always
// right, and the table has the flow, too.
//
// Counting. A forwarded packet counts once for its flow: one packet, and the
// bytes of the IPv4 datagram (its total length). What goes up is not counted
// here, because the table counts it. An engine that loses packets behind its
// counter (a full queue) has counted them all the same, as a port does.
//
// Calls. All are serial, under the table's lock, some for each of many flows:
// none may block, wait for hardware to answer, or call the table. An engine
// that is slow to program queues the work; but Remove and SetHop must have
// taken effect when they return, but for a packet that is in flight at that
// moment. Calls come until Table.Close has returned, which removes every flow but
// releases none. An engine that fails for good refuses each Add, drops out of the
// packets' way as a whole, and goes on to answer Count.
//
// Time. There is none in this seam: the table decides by its Sweep (once a
// second) what is busy, what is idle and what leaves.
//
// The life of one ref, with whatever happens in between:
//
//	Add ─► Count, Count, ... ─► Remove ─► Count, ... ─► Release
//	       once a Sweep at least          ≥ one whole Sweep
type Offload interface {
	// Add takes f. The back-end forwards it from now on, and names it ref until
	// Release; its count begins at 0. ok is false where the back-end cannot take
	// f (an interface that it does not reach) or is full: the flow stays with
	// the table, and may be offered again. Nothing of this key is matched by the
	// back-end when Add is called, and f.Hop was told by SetHop.
	Add(f Offloaded) (ref uint32, ok bool)

	// Remove ends the matching of ref. When it returns, no packet that arrives
	// later is forwarded by it; one in flight still may be, and then counts.
	Remove(ref uint32)

	// Count tells for each of refs, in into, which is as long, what it forwarded
	// since the last Count of it, or since Add. It comes at least once a Sweep, for
	// many refs at a time, so that an engine can read its counters in bulk; they
	// must hold two seconds at line rate. Whatever is told is told once.
	Count(refs []uint32, into []Carried)

	// Release gives ref back: it comes a whole Sweep or more after Remove, right
	// after the last Count. This is the hold-down in which packets in flight end
	// and are counted for the right flow: before, the back-end must not use for
	// another flow what ref stands for, counters included; after, it may.
	Release(ref uint32)

	// SetHop sets a row of next hops, 1 to MaxHops: before the first Add that
	// uses id, and at each change. With Valid false, packets of flows with this
	// hop go up from now on, and the other fields mean nothing; the row may be
	// set again when no flow uses it any more.
	SetHop(id HopID, h OffloadHop)

	// Punt asks that the next packet which would be forwarded to this hop goes
	// up instead, once. It comes every 20 s (PuntEvery) for a hop that flows of
	// the back-end use, and again each Sweep until a packet came: the stack must
	// see one, so that it keeps asking for the neighbour's MAC address.
	Punt(id HopID)
}

// Offloaded is a flow as an Offload gets it. Of the protocols only TCP, UDP
// and ESP are offered, never a Numbered flow.
type Offloaded struct {
	Key    Key
	Side   Side       // which address and port are rewritten
	Addr   frame.Addr // the new address of that side
	Port   uint16     // its new port, host byte order; for ESP it means nothing
	Hop    HopID      // 1 to MaxHops
	DFOnly bool       // packets without DF go up
}

// Carried is what was forwarded: packets, and bytes of their IPv4 datagrams.
type Carried struct{ Packets, Bytes uint64 }

// OffloadHop is a next hop as an Offload gets it.
type OffloadHop struct {
	Out      frame.Interface // port and VLAN that frames leave through
	Dst, Src frame.MAC       // to write into them
	MTU      int             // greatest IPv4 datagram, bytes
	Valid    bool
}

// What Config means where it does not say.
const (
	DefaultOffloadAfter = 32
	DefaultOffloadIdle  = 10
)
