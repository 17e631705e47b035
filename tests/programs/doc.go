// Package programs runs the programs that people use, as Debian ships them,
// through the router: STUN servers and clients, iperf3, traceroute. They judge
// the NAT from outside, knowing nothing of it.
package programs
