package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/frame"
)

// packet is one IPv4 packet on its way through a hook.
type packet struct {
	frame.Packet
	in, out frame.Interface // out is 0 before routing
	route   *stack.Route    // nil before routing
	group   bool            // it came in a broadcast or multicast frame
	now     int64           // monotonic nanoseconds
}

// view returns the IPv4 packet in pk as one slice. Received packets lie in one
// piece, because the link delivers them so, and the slice is their memory.
// What the stack itself made lies in pieces (reserved header, data): then the
// slice is a copy, and back must be called to write it back.
func view(pk *stack.PacketBuffer) (b []byte, back func()) {
	skip := len(pk.LinkHeader().Slice())
	parts := pk.AsSlices()
	for len(parts) > 0 && len(parts[0]) <= skip {
		skip -= len(parts[0])
		parts = parts[1:]
	}
	if len(parts) == 0 {
		return nil, func() {}
	}
	parts[0] = parts[0][skip:]
	if len(parts) == 1 {
		return parts[0], func() {}
	}
	for _, part := range parts {
		b = append(b, part...)
	}
	return b, func() {
		rest := b
		for _, part := range parts {
			rest = rest[copy(part, rest):]
		}
	}
}
