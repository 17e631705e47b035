// Package link is where frames come from and where they go.
//
// A Fabric holds the ports of a router. A Port is a Driver (the kernel's
// packet ring, a TAP device, a capture file, memory) with the VLANs that it
// carries; each of these VLANs is an Interface, which a gVisor stack knows as a
// NIC (stack.LinkEndpoint). Two VLANs of one port may be NICs of two stacks. The receive loop of a port sorts frames out (is it for
// us, which VLAN), answers ARP for the addresses that the stack does not have
// (NAT and virtual addresses, RFC 1027), offers the rest to the fast path and
// gives what remains to the stack.
//
// It is not gVisor's fdbased endpoint, for these reasons: a port that goes
// down must not end the process or the loop, VLANs must be told apart, and
// frames that the fast path rewrites must leave from the memory in which they
// came in. It decides nothing about an IPv4 packet, not even about its header.
//
// Invariants:
//   - One goroutine for each lane of a port runs its loop; everything that a
//     frame causes happens in it, before the next Read. Reinject and the
//     stack's writes may come from any goroutine.
//   - The frames of one direction of a flow come by one lane, and in order. What
//     a lane writes on a hit, no other lane of its port writes.
//   - A frame's memory is its driver's. What the stack gets is a copy.
//   - gVisor never gets an error from a write: it would panic on most of them.
//     What a driver refuses is counted by reason.
//   - A panic in the stack costs one frame and is counted.
//   - A frame that travels by the fast path is neither copied nor allocated
//     for.
//   - Frames to a group address never reach the fast path, because a router
//     must not forward them as unicast (RFC 1812 section 5.3.4).
package link
