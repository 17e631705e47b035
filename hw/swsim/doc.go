// Package swsim is a switch in software: an hw.Chip that moves frames between
// ports handed to it, so that a router with a four-port switch runs on any
// machine, over TAP devices or whatever else can be read and written.
//
// It switches as IEEE 802.1Q describes a VLAN bridge of customer tags (0x8100):
// a frame with a tag is of the tag's VLAN, one without or with a priority tag
// (VLAN 0) of its port's PVID; what its VLAN does not have its port of as a
// member is dropped (8.6.2, ingress filtering). Addresses are learned for each
// VLAN by itself. Service tags (802.1ad, 0x88a8) are no tags here. It knows no
// spanning tree: frames to 01:80:c2:00:00:0x are for bridges alone and end here
// (table 8-1), and a loop in the cabling is a loop.
//
// One thing differs from the standard: a frame with two tags leaves by tagged
// members of its outer VLAN only. By an untagged one it would leave with its
// inner tag in front, which nobody has checked, and a switch further on would
// take it for a frame of that VLAN.
//
// Invariants:
//   - A frame never leaves by the port where it came in, nor by one that is no
//     member of its VLAN, whatever the address table says.
//   - When a method of hw.Chip returns, no frame is under way by the former
//     tables.
//   - The address table is bounded, and a station that it has no room for is
//     flooded to: nothing is lost.
//   - A frame that is forwarded costs no allocation; it is changed in the
//     memory in which it came in.
//   - One port that fails ends that port, not the switch.
package swsim
