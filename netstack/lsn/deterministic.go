package lsn

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"spigate/netstack/frame"
)

// dealing is the arithmetic of deterministic NAT (R18, RFC 7422): which block
// of which address is whose, both ways. It has no state.
//
// The subscribers are numbered in the order of the client's networks, the NAT
// addresses in the order of the group's pools, and the blocks of an address
// from FirstPort on. Subscriber i has, with b blocks to an address and m
// addresses,
//
//	ByPorts      address ⌊i/b⌋, block i mod b
//	ByAddresses  address i mod m, block ⌊i/m⌋
type dealing struct {
	policy     AllocPolicy
	size       int // ports of a block
	perAddress int // blocks of an address: b
	addresses  int // m
	total      uint64
	byNumber   []section // the client's networks in their order
	byAddress  []section // the same, ascending
}

// section is one network of subscribers.
type section struct {
	first  uint32 // its lowest address
	size   uint64 // how many addresses it has
	number uint64 // that of its first subscriber
}

// place is where a subscriber's block is.
type place struct{ address, block int }

// newDealing makes the arithmetic for a client. It refuses networks that
// overlap, and more subscribers than blocks: they would have to share one.
func newDealing(policy AllocPolicy, size, addresses int, networks []netip.Prefix) (*dealing, error) {
	d := &dealing{policy: policy, size: size, perAddress: numPorts / size, addresses: addresses}
	for _, p := range networks {
		first := p.Masked().Addr().As4()
		s := section{binary.BigEndian.Uint32(first[:]), 1 << (32 - p.Bits()), d.total}
		d.total += s.size
		d.byNumber = append(d.byNumber, s)
	}
	d.byAddress = slices.Clone(d.byNumber)
	sort.Slice(d.byAddress, func(i, j int) bool { return d.byAddress[i].first < d.byAddress[j].first })
	for i := 1; i < len(d.byAddress); i++ {
		if before := d.byAddress[i-1]; uint64(before.first)+before.size > uint64(d.byAddress[i].first) {
			return nil, fmt.Errorf("networks of a deterministic client overlap at %v", addrOf(d.byAddress[i].first))
		}
	}
	if room := uint64(addresses) * uint64(d.perAddress); d.total > room {
		return nil, fmt.Errorf("%d subscribers need a block each, and %d addresses have %d blocks of %d ports in all (R18)",
			d.total, addresses, room, size)
	}
	return d, nil
}

// forward returns the place of a subscriber's block.
func (d *dealing) forward(a frame.Addr) (place, bool) {
	v := binary.BigEndian.Uint32(a[:])
	i, exact := slices.BinarySearchFunc(d.byAddress, v, func(s section, v uint32) int { return cmp.Compare(s.first, v) })
	if !exact {
		i-- // the last one that begins before
	}
	if i < 0 || uint64(v-d.byAddress[i].first) >= d.byAddress[i].size {
		return place{}, false
	}
	number := int(d.byAddress[i].number + uint64(v-d.byAddress[i].first))
	if d.policy == ByAddresses {
		return place{number % d.addresses, number / d.addresses}, true
	}
	return place{number / d.perAddress, number % d.perAddress}, true
}

// backward returns whose block is at a place; ok is false if it is nobody's.
func (d *dealing) backward(p place) (a frame.Addr, ok bool) {
	if p.address < 0 || p.address >= d.addresses || p.block < 0 || p.block >= d.perAddress {
		return a, false
	}
	number := uint64(p.address)*uint64(d.perAddress) + uint64(p.block)
	if d.policy == ByAddresses {
		number = uint64(p.block)*uint64(d.addresses) + uint64(p.address)
	}
	if number >= d.total {
		return a, false
	}
	return d.subscriber(number), true
}

// subscriber returns the address of a subscriber by its number, which must be
// below total.
func (d *dealing) subscriber(number uint64) frame.Addr {
	i, exact := slices.BinarySearchFunc(d.byNumber, number, func(s section, v uint64) int { return cmp.Compare(s.number, v) })
	if !exact {
		i--
	}
	s := d.byNumber[i]
	return addrOf(s.first + uint32(number-s.number))
}

// blocksOf returns how many blocks of an address have a subscriber.
func (d *dealing) blocksOf(address int) int {
	if d.policy == ByAddresses {
		n := int(d.total) / d.addresses
		if address < int(d.total)%d.addresses {
			n++
		}
		return n
	}
	return min(max(int(d.total)-address*d.perAddress, 0), d.perAddress)
}

// portsOf returns the ports of the block with a number.
func portsOf(block, size int) (first, last uint16) {
	return uint16(FirstPort + block*size), uint16(FirstPort + (block+1)*size - 1)
}

func addrOf(v uint32) (a frame.Addr) {
	binary.BigEndian.PutUint32(a[:], v)
	return a
}
