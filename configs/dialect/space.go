package dialect

import (
	"net/netip"
	"strings"
)

// space gives out networks for documentation (RFC 5737) that a text does not use.
type space struct {
	taken []netip.Prefix
	next  int
}

// newSpace looks at every address in the document.
func (d *Document) newSpace() *space {
	s := &space{}
	for _, t := range d.tables {
		s.take(t.Name())
		for _, v := range t.values {
			words, _ := v.data.([]string)
			if one, ok := v.data.(string); ok {
				words = append(words, one)
			}
			for _, word := range words {
				s.take(word)
			}
		}
	}
	return s
}

// take notes what looks like an address: alone, with a length, a port, or the
// end of a range behind it.
func (s *space) take(word string) {
	if p, err := netip.ParsePrefix(word); err == nil {
		s.mark(p)
		return
	}
	host, _, _ := strings.Cut(word, ":")
	if p, err := netip.ParsePrefix(host); err == nil {
		s.mark(p)
	}
	for _, part := range strings.SplitN(host, "-", 2) {
		if a, err := netip.ParseAddr(strings.TrimSpace(part)); err == nil {
			s.mark(netip.PrefixFrom(a, 28))
		}
	}
}

// documentation are the networks of RFC 5737, from the one that is used first.
func documentation() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	}
}

// mark notes a network, if it is about those for documentation at all.
func (s *space) mark(p netip.Prefix) {
	for _, doc := range documentation() {
		if p.Addr().Is4() && p.Bits() > 8 && p.Overlaps(doc) && len(s.taken) < 4096 {
			s.taken = append(s.taken, p.Masked())
			return
		}
	}
}

// slices16 is how many networks with 16 addresses the three have.
const slices16 = 48

// network returns the next network of 16 addresses that is free. When none is
// left it begins anew, and check will say so.
func (s *space) network() netip.Prefix {
	for range slices16 {
		n := s.next % slices16
		s.next++
		b := documentation()[n/16].Addr().As4()
		b[3] = byte(n % 16 * 16)
		p := netip.PrefixFrom(netip.AddrFrom4(b), 28)
		if !s.overlaps(p) {
			return p
		}
	}
	return netip.PrefixFrom(documentation()[0].Addr(), 28)
}

func (s *space) overlaps(p netip.Prefix) bool {
	for _, t := range s.taken {
		if t.Overlaps(p) {
			return true
		}
	}
	return false
}

// host returns an address of the next free network.
func (s *space) host() string { return at(s.network(), 1).String() }

// at is the n-th address of a network.
func at(p netip.Prefix, n byte) netip.Addr {
	b := p.Masked().Addr().As4()
	b[3] += n
	return netip.AddrFrom4(b)
}
