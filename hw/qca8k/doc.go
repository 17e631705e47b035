// Package qca8k drives the switch chips AR8327, QCA8327, QCA8328, QCA8334 and
// QCA8337 by their registers, over a management bus (MDIO, IEEE 802.3 clause
// 22). Seven ports: 1 to 5 have a PHY in the chip, 0 and 6 go to the router's
// processor or to something else on the board.
//
// What is known of the registers comes from public sources, and each constant
// names its own: "qca8k" is Linux drivers/net/dsa/qca, "ar8327" is OpenWrt's
// driver of that name, "ssdk" is the vendor's switch software kit (isisc).
// Facts are from there; the code is this project's.
//
// It brings the chip to 802.1Q, mode secure, on every port, and does nothing
// about what a boot loader or the board decides: pads, clocks, speed of the
// router's own port. Those it remembers at the opening and puts back when the
// chip was reset. It speaks no vendor tag: VLANs tell ports apart.
//
// Invariants:
//   - Every wait is bounded by a number of polls. A chip that stays busy, reads
//     as all ones or all zeros, or has another id than before, is silent.
//   - What a register holds is read from it, never remembered, but for the page.
//     That is remembered within one call at most, for a reset changes it.
//   - A port that the configuration does not name passes nothing.
package qca8k
