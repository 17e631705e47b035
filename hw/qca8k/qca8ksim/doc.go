// Package qca8ksim is a QCA8337 or AR8327 in memory, as its management bus
// shows it: 16 bits at a time, a page register, a low half that waits for its
// high half, tables behind commands with a busy bit. It has the registers that
// VLANs need, from the same public sources as the driver, but written down once
// more: a wrong address in the driver is not wrong here, too.
//
// It is strict. An access whose outcome is not defined on the chip, a command
// while it is busy, a reserved bit that changes, half a register, is a fault
// that Faults lists, and a test fails on.
//
// Forward tells from the registers alone where a frame goes and with which tag.
//
// Invariants:
//   - It imports nothing of the driver.
//   - It may be used by several goroutines.
package qca8ksim
