// Package logs is where the daemon's own log goes: lines of text or JSON on
// stderr, and, if configured, a collector that speaks syslog (RFC 5424 over UDP,
// TCP or a local socket; framing over TCP is RFC 6587 section 3.4.1).
//
// A program logs before it has read its configuration. So a Root is made first,
// with what is on the command line, and Use gives it the rest; loggers that were
// handed out meanwhile follow.
//
// Invariants: whoever logs never waits, not for stderr's reader alone: the
// collector has a queue, the oldest records go first when it is full, and a
// record says how many went. The same message many times a second is told some
// times, and then counted. What a stranger on the network can put into a message
// breaks no form: text is quoted, JSON escaped, RFC 5424 escaped (6.3.3).
//
// It is not the log of the NAT, which is netstack/natlog's: that one has other
// forms, is batched, and is written by the packet path.
package logs
