// Package tap measures ways of a packet between two TAP devices, as a router in a
// virtual machine's host or in a container has them: programs hold the other end
// of both, and every frame costs them a system call.
//
//	this process ── fd ── lan [router] wan ── fd ── this process
//	writes, CPU 0          a way of package path      reads, CPU 0
//
// It knows one Ethernet frame only, untagged, and answers ARP for everybody.
package tap
