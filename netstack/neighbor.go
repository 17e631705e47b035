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
	known map[neighbor]frame.MAC
}

type neighbor struct {
	nic  frame.Interface
	addr frame.Addr
}

var _ stack.NUDDispatcher = (*neighbors)(nil)

// mac returns the address of a neighbour to which the stack would send at
// once. Asking the stack itself is no good here: of a neighbour that it does
// not know it would keep the question, and answer it from another goroutine.
func (n *neighbors) mac(at neighbor) (frame.MAC, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	mac, ok := n.known[at]
	return mac, ok
}

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
	at := neighbor{frame.Interface(nic), e.Addr.As4()}
	if e.State == stack.Unknown || e.State == stack.Incomplete || e.State == stack.Unreachable || len(e.LinkAddr) != 6 {
		n.forget(at)
		return
	}
	mac := frame.MAC([]byte(e.LinkAddr))
	n.mu.Lock()
	old, had := n.known[at]
	n.known[at] = mac
	n.mu.Unlock()
	if had && old != mac {
		n.r.flows.InvalidateHop(at.nic, at.addr)
	}
}

// OnNeighborRemoved implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborRemoved(nic tcpip.NICID, e stack.NeighborEntry) {
	if e.Addr.Len() == 4 {
		n.forget(neighbor{frame.Interface(nic), e.Addr.As4()})
	}
}

func (n *neighbors) forget(at neighbor) {
	n.mu.Lock()
	_, had := n.known[at]
	delete(n.known, at)
	n.mu.Unlock()
	if had {
		n.r.flows.InvalidateHop(at.nic, at.addr)
	}
}
