package ike

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Selector is a traffic selector (RFC 7296 section 3.13.1): a range of
// addresses of one family, an IP protocol (0: any) and a range of ports in
// host byte order, both ends included. For ICMP the ports are type and code.
type Selector struct {
	From, To         netip.Addr
	Protocol         uint8
	PortFrom, PortTo uint16
}

// PrefixSelector is a selector for all protocols and ports of a prefix.
func PrefixSelector(p netip.Prefix) Selector {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return Selector{From: p.Addr(), To: to, PortTo: 65535}
}

// valid reports whether the ranges are the right way round. The one other
// thing that RFC 7296 allows, "opaque" ports (65535 to 0), is not supported.
func (s Selector) valid() bool {
	return s.From.IsValid() && s.To.IsValid() && s.From.Is4() == s.To.Is4() && !s.To.Less(s.From) && s.PortFrom <= s.PortTo
}

// String writes a prefix where the range is one, then protocol and ports.
func (s Selector) String() string {
	out := s.From.String() + "-" + s.To.String()
	for bits := 0; s.From.IsValid() && bits <= s.From.BitLen(); bits++ {
		p := netip.PrefixFrom(s.From, bits)
		if w := PrefixSelector(p); w.From == s.From && w.To == s.To {
			out = p.String()
			break
		}
	}
	if s.Protocol != 0 {
		out += fmt.Sprintf("[%d]", s.Protocol)
	}
	switch {
	case s.PortFrom == s.PortTo:
		out += fmt.Sprintf(":%d", s.PortFrom)
	case s.PortFrom != 0 || s.PortTo != 65535:
		out += fmt.Sprintf(":%d-%d", s.PortFrom, s.PortTo)
	}
	return out
}

// selectorText writes a list for a message.
func selectorText(list []Selector) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = s.String()
	}
	return strings.Join(words, " ")
}

// intersect is what both selectors cover.
func (s Selector) intersect(o Selector) (Selector, bool) {
	if s.From.Is4() != o.From.Is4() || s.Protocol != o.Protocol && s.Protocol != 0 && o.Protocol != 0 {
		return Selector{}, false
	}
	out := Selector{From: s.From, To: s.To, Protocol: max(s.Protocol, o.Protocol),
		PortFrom: max(s.PortFrom, o.PortFrom), PortTo: min(s.PortTo, o.PortTo)}
	if out.From.Less(o.From) {
		out.From = o.From
	}
	if o.To.Less(out.To) {
		out.To = o.To
	}
	return out, out.valid()
}

// covers reports whether all of o is in s.
func (s Selector) covers(o Selector) bool {
	in, ok := s.intersect(o)
	return ok && in == o
}

// narrowSelectors is what an offered and a configured list have in common
// (RFC 7296 section 2.9), without selectors that others of it cover.
func narrowSelectors(offered, configured []Selector) []Selector {
	var out []Selector
	for _, o := range offered {
		for _, c := range configured {
			if in, ok := o.intersect(c); ok {
				out = addSelector(out, in)
			}
		}
	}
	return out
}

func addSelector(list []Selector, s Selector) []Selector {
	if slices.ContainsFunc(list, func(o Selector) bool { return o.covers(s) }) || len(list) == maxSelectors {
		return list
	}
	list = slices.DeleteFunc(list, func(o Selector) bool { return s.covers(o) })
	return append(list, s)
}

// subset reports whether each selector of list is covered by one of wide: a
// responder may narrow what was offered, never widen it.
func subset(list, wide []Selector) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(s Selector) bool {
		return !slices.ContainsFunc(wide, func(w Selector) bool { return w.covers(s) })
	})
}

const (
	selectorIPv4 = 7
	selectorIPv6 = 8
)

func encodeSelectors(list []Selector) []byte {
	b := []byte{uint8(len(list)), 0, 0, 0}
	for _, s := range list {
		kind := uint8(selectorIPv4)
		if !s.From.Is4() {
			kind = selectorIPv6
		}
		from, to := s.From.AsSlice(), s.To.AsSlice()
		b = append(b, kind, s.Protocol)
		b = binary.BigEndian.AppendUint16(b, uint16(8+2*len(from)))
		b = binary.BigEndian.AppendUint16(b, s.PortFrom)
		b = binary.BigEndian.AppendUint16(b, s.PortTo)
		b = append(append(b, from...), to...)
	}
	return b
}

// parseSelectors reads a TS payload. Selectors of unknown type and opaque
// ports are left out (RFC 7296 section 2.9 lets a responder narrow them away).
func parseSelectors(b []byte) ([]Selector, *fault) {
	if len(b) < 4 || b[0] == 0 || b[0] > maxSelectors {
		return nil, syntax("traffic selectors cannot be read")
	}
	out, count := []Selector{}, int(b[0])
	b = b[4:]
	for range count {
		if len(b) < 8 {
			return nil, syntax("traffic selectors are cut short")
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 8 || n > len(b) {
			return nil, syntax("a traffic selector says it has %d octets of %d", n, len(b))
		}
		s, known, f := parseSelector(b[:n])
		if f != nil {
			return nil, f
		}
		if known && s.PortFrom <= s.PortTo {
			out = append(out, s)
		}
		b = b[n:]
	}
	if len(b) != 0 {
		return nil, syntax("%d octets after the traffic selectors", len(b))
	}
	return out, nil
}

func parseSelector(b []byte) (s Selector, known bool, f *fault) {
	size := 0
	switch b[0] {
	case selectorIPv4:
		size = 4
	case selectorIPv6:
		size = 16
	default:
		return s, false, nil
	}
	if len(b) != 8+2*size {
		return s, false, syntax("a traffic selector of type %d has %d octets", b[0], len(b))
	}
	s.Protocol = b[1]
	s.PortFrom, s.PortTo = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	s.From, _ = netip.AddrFromSlice(b[8 : 8+size])
	s.To, _ = netip.AddrFromSlice(b[8+size:])
	if s.To.Less(s.From) {
		return s, false, syntax("a traffic selector ends before it begins")
	}
	return s, true, nil
}
