package lsn

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"spigate/netstack/frame"
)

// Client names the networks of subscribers. A client belongs to one group.
type Client struct {
	Name     string
	Networks []netip.Prefix // IPv4; host bits are ignored
}

// clients finds a subscriber's group by longest prefix (R13): one map over
// prefixes, probed once for every prefix length that is in use.
type clients struct {
	lengths []uint8 // longest first
	groups  map[network]*Group
}

// network is a prefix: 8 bytes, no pointer.
type network struct {
	addr frame.Addr
	bits uint32
}

func (c *clients) add(cl Client, g *Group) error {
	for _, p := range cl.Networks {
		if !p.IsValid() || !p.Addr().Is4() {
			return fmt.Errorf("client %q: network %v is not an IPv4 prefix", cl.Name, p)
		}
		n := network{frame.Addr(p.Masked().Addr().As4()), uint32(p.Bits())}
		if other := c.groups[n]; other != nil {
			return fmt.Errorf("client %q: network %v is already a client of group %q", cl.Name, p, other.Name)
		}
		c.groups[n] = g
		if bits := uint8(p.Bits()); !slices.Contains(c.lengths, bits) {
			c.lengths = append(c.lengths, bits)
			sort.Slice(c.lengths, func(i, j int) bool { return c.lengths[i] > c.lengths[j] })
		}
	}
	return nil
}

func (c *clients) find(a frame.Addr) *Group {
	for _, bits := range c.lengths {
		if g := c.groups[network{mask(a, bits), uint32(bits)}]; g != nil {
			return g
		}
	}
	return nil
}

func mask(a frame.Addr, bits uint8) (out frame.Addr) {
	m := ^uint32(0) << (32 - bits) // a shift by 32 gives 0 in Go
	binary.BigEndian.PutUint32(out[:], binary.BigEndian.Uint32(a[:])&m)
	return out
}

// Client returns the group of the subscriber with inside address a: the one
// with the longest matching network (R13). ok is false for an address that is
// no subscriber's: its packets are routed untranslated, if policy permits.
func (t *Table) Client(a frame.Addr) (g *Group, ok bool) {
	g = t.cfg().clients.find(a)
	return g, g != nil
}
