// Package commands plays every command of the command line against the real
// binary and a real daemon of it, and compares what they print: one file in
// txtar form for each command (README.md says how to read and write them).
//
// The daemon's ports are named pipes with capture records in them (driver
// pcap), so that nothing here needs privileges; at their other ends are
// stations that answer ARP and put recorded and made-up packets on the wire. A
// command's wait is for what has happened, never for time to pass.
package commands
