// Package pace measures ways of a packet with loads that are held back: one-way
// latency at a rate that each of them carries with ease, lone pings, and how many
// flows that nobody knows a way sets up in a second. Package path floods the same
// ways, package load has the measurements themselves.
package pace
