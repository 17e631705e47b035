// Package bed holds what every measurement of a packet's way shares: the
// namespaces and cables, the traffic that is sent, the instruments that send and
// count it, and what a way (a Variant) is.
//
//	source eth0 ══ lan [router] wan ══ eth0 sink        ══ a veth pair, or a TAP device each
//	Sender, CPU 0      a Variant       Receiver
//
// Nothing here judges figures; that is the report's.
package bed
