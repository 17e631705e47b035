// Package board says what a device is: its ports, its switch chip, where its
// MAC addresses come from, how much memory the router may use on it and where
// its configuration is kept. The table is explicit (table.go); which of its
// rows this machine is, the kernel's device tree tells (detect.go).
//
// It is not a driver: hw moves a switch, board/flash writes, board/boot starts
// a machine. It decides nothing about a configuration either; it only says what
// there is.
//
// Invariants:
//   - A machine that no row describes is the board "generic": whatever the
//     configuration names is taken as it is.
//   - The tables that Budget gives fit into the memory that it gives, all full.
//   - Nothing here imports netstack.
package board
