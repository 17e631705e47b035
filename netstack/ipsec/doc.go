// Package ipsec is the packet half of the tunnels that end on the router:
// policies and traffic selectors, security associations, and ESP (RFC 4303) in
// tunnel and transport mode, bare and in UDP (RFC 3948).
//
// It is pure: it sends nothing, starts no goroutine and reads no clock. Time is
// `now`, monotonic nanoseconds. Packets are sealed and opened in the memory in
// which they lie; what is returned borrows that memory. What becomes of a
// packet is told as a Verdict. Keys are negotiated elsewhere; this package asks
// for them by events and by Sent.Acquire.
//
// Rules VR25 to VR37 and VR46: those of the virtual servers' specification with
// a V in front. Architecture: RFC 4301. Ciphers are the standard library's:
// AES-GCM (RFC 4106), AES-CBC (RFC 3602), none (RFC 2410), HMAC-SHA2 (RFC 4868).
//
// What it is not: it joins no fragments and makes none, knows no routes and no
// IKE, and does not speak AH, IPv6 or compression.
package ipsec
