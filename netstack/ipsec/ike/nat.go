package ike

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
)

// natHash is the data of a NAT detection notify (RFC 7296 section 2.23). SHA-1
// is what the RFC wants; nothing depends on its strength.
func natHash(spiI, spiR uint64, a netip.AddrPort) []byte {
	b := binary.BigEndian.AppendUint64(nil, spiI)
	b = binary.BigEndian.AppendUint64(b, spiR)
	b = append(b, a.Addr().AsSlice()...)
	sum := sha1.Sum(binary.BigEndian.AppendUint16(b, a.Port()))
	return sum[:]
}

// addNAT adds the two notifies. With NATForce our source is made up, so that
// the other end sees a NAT.
func (sa *ikeSA) addNAT(c *chain) {
	if sa.peer.NATTraversal == NATOff {
		return
	}
	source := natHash(sa.spiI, sa.spiR, sa.local)
	if sa.peer.NATTraversal == NATForce {
		source = sa.e.random(20)
	}
	c.notify(notifyNATSource, source)
	c.notify(notifyNATDestination, natHash(sa.spiI, sa.spiR, sa.remote))
}

// detectNAT compares the other end's notifies with the addresses on the
// packet. There may be several sources, for an end with several addresses.
func (sa *ikeSA) detectNAT(c *content) {
	if sa.peer.NATTraversal == NATOff || c.find(notifyNATSource) == nil || c.find(notifyNATDestination) == nil {
		return
	}
	spiR := sa.spiR
	if !sa.initiator {
		spiR = 0 // the first message was made without ours
	}
	from, to := natHash(sa.spiI, spiR, sa.remote), natHash(sa.spiI, spiR, sa.local)
	sa.natThere, sa.natHere = true, true
	for _, n := range c.notifies {
		switch {
		case n.kind == notifyNATSource && bytes.Equal(n.data, from):
			sa.natThere = false
		case n.kind == notifyNATDestination && bytes.Equal(n.data, to):
			sa.natHere = false
		}
	}
	if sa.peer.NATTraversal == NATForce {
		sa.natHere = true
	}
}

// udp reports whether ESP goes in UDP.
func (sa *ikeSA) udp() bool { return sa.marker && (sa.natHere || sa.natThere) }

// float moves an initiator to port 4500.
func (sa *ikeSA) float() {
	if !sa.natHere && !sa.natThere || sa.marker {
		return
	}
	sa.marker = true
	sa.local = netip.AddrPortFrom(sa.local.Addr(), NATPort)
	sa.remote = netip.AddrPortFrom(sa.remote.Addr(), NATPort)
}
