package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/frame"
)

// neighbors hears what the stack learns by ARP (stack.NUDDispatcher), and
// takes flows towards a neighbour that is gone or has another MAC address off
// the fast path: the next packet asks the stack again.
type neighbors struct {
	r  *Router
	mu sync.Mutex
	// known is bounded by the stack's own table, 512 entries for each NIC.
	known map[neighbor]tcpip.LinkAddress
}

type neighbor struct {
	nic  tcpip.NICID
	addr frame.Addr
}

var _ stack.NUDDispatcher = (*neighbors)(nil)

// OnNeighborAdded implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborAdded(nic tcpip.NICID, e stack.NeighborEntry) {
	n.OnNeighborChanged(nic, e)
}

// OnNeighborChanged implements stack.NUDDispatcher. Most changes are of the
// reachability state alone and cost the fast path nothing.
func (n *neighbors) OnNeighborChanged(nic tcpip.NICID, e stack.NeighborEntry) {
	if e.Addr.Len() != 4 {
		return
	}
	at := neighbor{nic, e.Addr.As4()}
	n.mu.Lock()
	old, had := n.known[at]
	n.known[at] = e.LinkAddr
	n.mu.Unlock()
	if e.State == stack.Unreachable || had && old != e.LinkAddr {
		n.r.flows.InvalidateHop(frame.Interface(nic), at.addr)
	}
}

// OnNeighborRemoved implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborRemoved(nic tcpip.NICID, e stack.NeighborEntry) {
	if e.Addr.Len() != 4 {
		return
	}
	at := neighbor{nic, e.Addr.As4()}
	n.mu.Lock()
	delete(n.known, at)
	n.mu.Unlock()
	n.r.flows.InvalidateHop(frame.Interface(nic), at.addr)
}
