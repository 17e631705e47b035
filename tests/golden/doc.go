// Package golden holds recorded conversations of real IKE daemons that speak
// plain ESP, and loads them for replay.
//
// A Conversation is what one client and its gateway said to each other on the
// client's side of a NAT, in order. Only addresses are changed for replay:
// every IKE and ESP byte stays as the daemons sent it (rules R35, R70), so
// cookies, message ids, SPIs and sequence numbers are real ones. A byte for
// byte repeated IKE message is a retransmission (rule R49) and is one Step
// here: a replay makes its own retransmissions when it needs them.
//
// It is not an IKE implementation and cannot decrypt anything.
//
// Invariants: a loaded Conversation starts with an IKE step of the client, no
// two IKE steps of one side are equal, and every ESP step has at least the
// eight bytes of SPI and sequence number (RFC 4303 section 2).
package golden
