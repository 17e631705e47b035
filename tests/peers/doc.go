// Package peers proves spigate with real IKE daemons: strongSwan, libreswan and
// OpenIKED as Debian packages them, with the ESP of a Linux kernel, in a
// virtual machine. Each VPN host is a namespace of the guest with a network
// card of its own; spigate runs outside, between the cards, in a namespace of
// the machine that tests. It translates all clients to one address.
//
// A Bed is the guest and the networks, made once. A row names the daemons of
// the clients and of the gateway, a scenario what happens to them; each cell of
// the matrix has fresh daemons and a fresh router. What counts: pings through
// the tunnels, the byte and packet counters of both kernels, and that no ESP
// packet came to a client that does not own its SPI. Each row with plain ESP
// runs against stock masquerading, too, which must fail as it is known to.
//
// In a second family of cells tunnels end on spigate: an Ending is spigate with
// a host behind it, and one daemon with its kernel's ESP (rules VR1 to VR37).
//
// The guest is built of the machine's own package sources (Build) and kept for
// as long as the packages' versions stay. It is emulated, not accelerated: it
// runs wherever the test does, and slowly. So no test demands that something
// is quick; every wait has a generous bound.
//
// It is no test of IKE or of the daemons, and the guest knows nothing of the
// router. Rules R35 to R74 of the IPsec ALG are what is at stake.
//
// Invariants: nothing is left behind but the cache; only processes that the
// test started are ended; the guest reaches nothing but the two networks.
package peers
