// Package xdp lets the kernel forward busy flows by itself: a program on each
// port (package bpf) looks frames up as soon as the driver has them, and sends
// what it knows out of the other port. It is a flow.Offload: package flow says
// which flows, and gets their counts.
//
// What is here and not there: which port can have the program, and where; the
// flow table in the map's memory, written while the programs read it; next hops
// as the kernel's ports are now; what all of it counts.
//
// What the kernel takes away. A port's frames are seen by the program before
// anybody else has them. What it leaves goes on as if there were none: to the
// packet ring that the router reads, and then to the drop that package takeover
// has put behind that. What it forwards is seen by nobody: not by a capture on
// the port, nor by the kernel's own filters and queues.
//
// A program in a driver (native) can send only to ports whose driver takes
// frames that way, and loses the rest without a word. So all ports are native,
// or all generic; see ports.
//
// Invariants:
//
//   - Only frames to the router's own address, of an interface that was
//     configured, in flows that were added, are touched.
//   - Nothing is pinned: the links to the ports are files of this process. When
//     it ends, however it ends, no program is left.
//   - A program of somebody else is never replaced.
//   - A flow whose way is not there any more goes to the stack: its port is
//     gone, down, or has become narrower than its packets.
//   - What a flow carried is told once, to the packet. A ref is given out again
//     only when nothing that counted for it can be late any more.
//   - The methods of flow.Offload make no system call.
package xdp
