package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// kept holds on to the headers of packets between forward and postrouting.
//
// In between, the stack copies the packet, gives the memory of its header back
// to a pool, and only then reads the TTL there (forwardPacketWithRoute,
// DeepCopyForForwarding). With several ports that memory is another packet's
// by then, and the packet leaves with a TTL out of nowhere: 255, say, if it was
// cleared. The copy carries the number of its place here in its mark.
type kept struct {
	mu    sync.Mutex
	views []*buffer.View
	free  []uint32 // numbers of empty places, from 1
}

// keep is called by forward for a packet that goes on.
func (k *kept) keep(pk *stack.PacketBuffer) {
	v := pk.NetworkHeader().View()
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.free); n > 0 {
		pk.Mark, k.free = k.free[n-1], k.free[:n-1]
		k.views[pk.Mark-1] = v
		return
	}
	k.views = append(k.views, v)
	pk.Mark = uint32(len(k.views))
}

// leave is called by postrouting for the copy.
func (k *kept) leave(pk *stack.PacketBuffer) {
	if pk.Mark == 0 {
		return
	}
	k.mu.Lock()
	i := pk.Mark - 1
	v := k.views[i]
	k.views[i] = nil
	k.free = append(k.free, pk.Mark)
	k.mu.Unlock()
	pk.Mark = 0
	v.Release()
}
