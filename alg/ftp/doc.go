// Package ftp is the helper for FTP through a NAT (RFC 959, RFC 2428): it reads
// the control connection, which names addresses and ports in its text.
//
// Two cases need it. A subscriber's client says where the server is to connect
// to (PORT, EPRT: active mode); and a subscriber's server, reached by a static
// mapping, says where its client is to connect to (the replies 227 and 229:
// passive mode). In both the text leaves through the NAT, so only what leaves is
// rewritten, and of what comes in only the acknowledgements, which count other
// bytes than the subscriber has sent. Passive mode of a client needs nothing.
//
// A line is rewritten if it begins and ends in one segment. One that is split
// passes as it is: nothing is held, and clients write a command at once. For the
// rest the stream may be cut, repeated and cut again in any way: the rewriting
// is a function of the sequence number (stream.go). That needs every byte in
// order once, so a segment that leaves a gap before it is dropped (ftp_gap), and
// its sender repeats it.
//
// A port is opened only for the subscriber's own address and for no well-known
// port (RFC 2577 section 3, the bounce attack), and only to the remote of the
// control connection, for one connection within a minute. A line that asks for
// anything else passes untouched. What is encrypted (AUTH TLS) passes unread,
// and needs passive mode. LPRT and IPv6 have no meaning here.
//
// It holds no packet, starts no goroutine, reads no clock and knows no table of
// the NAT. Invariants:
//   - What an end has received is always a prefix of what the rewriting makes of
//     all that the other has sent.
//   - No acknowledgement covers a byte that the remote has not acknowledged.
//   - A packet does not become longer than its way out takes: it is cut before,
//     and the subscriber sends the rest again.
package ftp
