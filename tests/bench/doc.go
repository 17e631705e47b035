// Command bench measures spigate beside the kernel, in one run on one machine,
// and prints ratios: absolute figures differ from machine to machine and from
// minute to minute, ratios far less.
//
//	in process     a case ──► ns/packet                      (cases.go)
//	               ESP | the bare cipher ──► ns/packet       (esp.go)
//	               a router with a tunnel | in clear         (tunnel.go)
//
//	TAP devices    source ── TAP ── router ── veth ── router ── TAP ── sink
//	               two routers in this process, in clear | ESP between them (taps.go)
//
//	in namespaces  source ── veth ── lan[router]wan ── veth ── sink
//	               sendmmsg          one of:                  counted by its
//	               from one CPU      kernel ip_forward        device
//	                                 kernel + nft masquerade
//	                                 spigate
//
// The ways of a packet are laid out side by side and measured in turns, round
// after round; the median of the rounds counts. So a slow minute of the
// machine hits all of them.
//
// It is not a test: nothing fails for being slow. It needs root and nft.
package main
