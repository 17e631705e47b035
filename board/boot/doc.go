// Package boot is process 1 of the router's image: a small supervisor of the
// one program there is. It mounts, loads kernel modules, finds the flash, starts
// "run" as a child and again when it ends, reaps, pets the watchdog while the
// child answers, reads commands from the console and ends the machine in order.
//
// The decisions are a state machine without a clock and without a system
// (supervisor.go); what a Linux does is behind the interface System.
//
// It is not an init for anything else: no services, no users, no shell. It does
// not know packets or configurations, and does not import the router.
//
// Invariants:
//   - It never ends: the kernel would. What fails is said, and what can go on
//     goes on.
//   - Nothing that a child, the console or the flash does makes it wait: a log
//     that is not read, a line without end, a command that hangs.
//   - Everything that it keeps is bounded: lines, the log, commands waiting.
//   - A router that does not answer is not petted for.
package boot
