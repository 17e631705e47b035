// Package takeover takes a port from the kernel, so that nothing that arrives
// there or leaves there is the kernel's doing, and gives it back as it was.
//
// A router that reads a port through AF_PACKET sees copies: the kernel has the
// frames too. If it forwards (ip_forward = 1) it sends on, untranslated, what
// we translate; if it has addresses there it answers for them. So Take, in
// this order, drops everything behind the packet tap (tc ingress) and all that
// the kernel itself would send (tc egress; our own frames pass by it, since
// PACKET_QDISC_BYPASS skips it), removes addresses and with them the routes,
// switches ARP off, switches forwarding and the like off for this device,
// switches offloads off (they make frames that were never on the wire), and
// sets the port up.
//
// What was there before stands in a state file, written before each change.
// Restore goes back in the reverse order, so that the drop is the last to go.
// After a kill the changes stay: still nothing leaks. The next Take finds the
// file, keeps the values in it as the original ones, and goes over all steps
// again. A file of another device of the same name, of another boot or of
// another network namespace is ignored.
//
// It is not a driver: it moves no frame and does not know spigate's packages.
// It is Linux only, and acts in the network namespace of the calling thread.
//
// Invariants: the drop stands before anything else is touched, and until all
// else is undone. A value in the state file is never one that Take itself set.
// One Take for a device and state directory at a time, over all processes.
package takeover
