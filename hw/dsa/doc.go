// Package dsa drives a switch of the kernel: one of DSA, the framework in which
// each port of a switch chip is a network device, or any devices that a bridge
// of the kernel joins. The driver makes a VLAN-filtering bridge, puts the ports
// into it and says on each which VLANs it has; the kernel passes that on to the
// chip. The bridge itself is the router's own port: a packet socket on it
// receives and sends the frames of all VLANs, tagged.
//
// What is asked of the kernel (documented in net/dsa and bridge of its
// networking documentation): vlan_filtering 1, vlan_default_pvid 0 (otherwise
// it adds VLAN 1 to all), no spanning tree, no multicast snooping, VLANs of the
// bridge itself ("self") tagged.
//
// It takes no packets: netstack/link and its takeover do that with the bridge,
// as with any device. It sets no addresses and knows no IP.
//
// Invariants:
//   - Everything that is told is read from the kernel, and nothing is kept in
//     memory that the kernel could change.
//   - A bridge that is not ours, and a port of somebody else's bridge, are
//     refused and not touched.
//   - How the ports were before is written on the bridge, so that a router that
//     was killed can still give them back.
//   - A frame that came into a port before its VLANs were set goes nowhere: the
//     bridge has no VLAN by itself.
package dsa
