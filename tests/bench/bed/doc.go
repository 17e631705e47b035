// Package bed holds what every measurement of a packet's way shares: the
// namespaces and cables, the traffic that is sent, where the work is done, and
// what a way (a Variant) is. What sends and counts is of package traffic.
//
//	source eth0 ══ lan [router] wan ══ eth0 sink        ══ a veth pair
//	generator          a Variant       traffic sink
//
// Nothing here judges figures; that is the report's.
package bed
