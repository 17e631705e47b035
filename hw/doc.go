// Package hw is what the router needs from a switch chip: VLANs on its ports,
// link state, counters. It holds the words (Chip, Plan, Table), checks a plan
// against a chip's limits, brings a chip from what it has to what it should
// have in small steps, and watches over it while the router runs.
//
// Drivers live below: hw/dsa (switches of the kernel), hw/qca8k (registers over
// MDIO), hw/swsim (a switch in software). hw/hwtest is the suite that each of
// them passes. The words are those of IEEE 802.1Q: a port is a tagged or an
// untagged member of a VLAN, and its PVID is the VLAN of what comes in without
// a tag.
//
// It forwards nothing and knows no addresses: that is the router's business.
// Nothing here imports netstack.
//
// Invariants:
//   - The router's own port is a tagged member of every VLAN, and of nothing
//     untagged: a frame without a tag never reaches the router.
//   - On the way from one table to another no frame gets from a VLAN to a port
//     that is a member of it neither before nor after.
//   - What was written is read back; a chip that forgot something is an error,
//     not a surprise.
//   - A chip that does not answer changes nothing about the router: it goes on
//     with what still passes, says so, and tries again.
package hw
