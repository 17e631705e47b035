// Package fastpath tests that nobody on the wire, and nobody who reads the
// counters, can tell the ways through the router apart: the stack, the flow
// table in front of it, and the flows that the kernel forwards by itself. It
// plays the machines at both ends of real cables, and does so under stress too.
//
// It tests no single rule of any of them: packages flow, xdp and netstack do.
package fastpath
