// Package capture takes copies of packets on their way, for "spigate capture".
//
// A packet passes up to four of five points: received as a frame, before and after
// its translation as an IPv4 packet, sent as a frame; or it ends as dropped. Each
// Capture has a bounded buffer between the packet path and whoever reads it: the
// path never waits for a reader, and what does not fit is counted as lost.
//
// Whoever was chosen by a filter once is followed: the mark that a packet carries
// keeps a bit for each capture, so that it is seen at the later points too, where
// its addresses are others.
//
// The files are pcapng (draft-ietf-opsawg-pcapng), with an interface for each
// point and VLAN; Ether makes frames of everything for the classic format.
//
// It is not a decoder, and it opens no file.
package capture
