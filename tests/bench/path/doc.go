// Package path measures what forwards a packet from one network to another,
// beside each other on the same bed: the kernel with and without NAT, spigate
// by its slow path, by its flow table, by XDP, and as limits the same ports with
// nobody who decides anything.
package path
