// Package frame gives views of packets: of one Ethernet frame in memory that a
// port lent us (Frame), and of the IPv4 packet in it (Packet), with rewrites
// that keep every checksum right incrementally (RFC 1624).
//
// A view borrows bytes; it copies and allocates nothing. Header and checksum
// arithmetic is gVisor's (pkg/tcpip/header, pkg/tcpip/checksum). Nothing here
// decides what becomes of a packet.
//
// Invariants: a Packet that Parse accepted can be rewritten without a further
// length check; ESP bytes are never touched (rule R70); a UDP checksum of zero
// stays zero (RFC 768: not computed).
package frame
