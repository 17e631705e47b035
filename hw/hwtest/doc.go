// Package hwtest is the suite that every driver of a switch chip passes, and a
// chip in memory, with faults on request, for tests of what uses one.
//
// The suite knows a chip by hw.Chip alone. It sets and reads back, it walks
// from drawn plan to drawn plan, and at every step it asks where a frame would
// go (IEEE 802.1Q 8.6: ingress, egress): no frame may get to a port to which it
// could get neither before nor after. A driver whose chip can be watched more
// closely than call by call, register by register say, gives an observer.
//
// It takes testing.TB, so that it can be run on chips that are broken on
// purpose: a suite that finds nothing there would be worth nothing.
//
// Invariants:
//   - The suite needs no time and no network, and draws the same plans each time.
//   - A Fake may be used by several goroutines.
package hwtest
