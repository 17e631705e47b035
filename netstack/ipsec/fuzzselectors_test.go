package ipsec

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"spigate/netstack/frame"
)

// bytesOf gives out the bytes of a fuzzer's input one after the other, and
// zeros behind its end.
type bytesOf []byte

func (b *bytesOf) next() (x byte) {
	if len(*b) > 0 {
		x, *b = (*b)[0], (*b)[1:]
	}
	return x
}

func (b *bytesOf) word() uint16 { return uint16(b.next())<<8 | uint16(b.next()) }

func (b *bytesOf) addr() frame.Addr { return frame.Addr{b.next(), b.next(), b.next(), b.next()} }

func (b *bytesOf) prefix() netip.Prefix {
	return netip.PrefixFrom(b.addr().Netip(), int(b.next())%33)
}

func (b *bytesOf) flow() Flow {
	f := Flow{Src: b.addr(), Dst: b.addr(), Proto: b.next()}
	if hasPorts(f.Proto) && b.next()&1 == 0 {
		f.SrcPort, f.DstPort, f.Ports = b.word(), b.word(), true
	}
	return f
}

// FuzzSelectors makes selectors and flows of any bytes: what may be configured
// is found as VR29 says word by word, both ways; a flow is covered by the pair
// of its selector; and whatever pairs cover, those they are within cover, too.
func FuzzSelectors(f *testing.F) {
	seed := func(count byte, words ...any) {
		b := []byte{count}
		for _, w := range words {
			switch w := w.(type) {
			case string:
				p := pfx(w)
				a := p.Addr().As4()
				b = append(append(b, a[:]...), byte(p.Bits()))
			case int:
				b = append(b, byte(w))
			case uint16:
				b = binary.BigEndian.AppendUint16(b, w)
			case netip.Addr:
				b = append(b, w.AsSlice()...)
			}
		}
		f.Add(b)
	}
	any16 := uint16(0)
	seed(0, "10.1.1.0/24", "192.168.15.0/24", 0, any16, any16, 0, 0, 0, 0, ip("10.1.1.9"), ip("192.168.15.2"), 17, 0, uint16(1000), uint16(80))
	seed(1, "10.0.0.0/8", "0.0.0.0/0", 6, any16, uint16(443), 1, 1, 5, "0.0.0.0/0", "0.0.0.0/0", 0, any16, any16, 2, 2, 9, 0,
		ip("10.255.255.255"), ip("255.255.255.255"), 6, 0, uint16(65535), uint16(443))
	seed(0, "255.255.255.255/32", "0.0.0.0/32", 17, uint16(65535), uint16(1), 0, 0, 0, ip("255.255.255.255"), ip("0.0.0.0"), 17, 1)
	seed(2, "10.1.1.7/31", "10.1.1.7/1", 1, any16, uint16(80), 0, 0, 0, 255)
	f.Fuzz(func(t *testing.T, data []byte) {
		b := bytesOf(data)
		c := Config{Policies: []Policy{rio()}}
		for i := range int(b.next())%66 + 1 { // more than one word of an index has bits
			s := TrafficSelector{
				Name: fmt.Sprintf("s%02d", i), Policy: "Rio", Source: b.prefix(), Destination: b.prefix(),
				Protocol: b.next(), SourcePort: b.word(), DestinationPort: b.word(),
				Direction: Direction(b.next() % 3), Action: Action(b.next() % 3), Order: int(int8(b.next())),
			}
			if !hasPorts(s.Protocol) && b.next() != 255 { // 255: refused
				s.SourcePort, s.DestinationPort = 0, 0
			}
			c.Selectors = append(c.Selectors, s)
			if len(b) == 0 {
				break
			}
		}
		if _, err := NewPolicies(c); err != nil {
			return
		}
		p := policies(t, c)
		p.Warnings()
		for range 8 {
			found(t, p, c.Selectors, b.flow())
		}
		for _, s := range p.Selectors() {
			for _, o := range p.Selectors() {
				related(t, s.Pair(), o.Pair())
			}
		}
	})
}

// found looks a flow up both ways.
func found(t *testing.T, p *Policies, all []TrafficSelector, f Flow) {
	for way, l := range map[Direction]Lookup{In: p.Out(f), Out: p.In(f.Reversed())} {
		name := ""
		if l.Selector != nil {
			name = l.Selector.Name
			if pair := l.Selector.Pair(); !pair.Covers(f) {
				t.Fatalf("%s does not cover %v, which it was found for", name, f)
			}
		}
		if want := naiveFind(all, f, way); name != want {
			t.Fatalf("%v, not %v: %q, want %q", f, way, name, want)
		}
	}
}

// related asks corners of a pair that is within another one, or meets it.
func related(t *testing.T, a, o Pair) {
	if a.meets(&o) != o.meets(&a) || a.within(&o) && !a.meets(&o) {
		t.Fatalf("%+v and %+v: within %v, meet %v and %v", a, o, a.within(&o), a.meets(&o), o.meets(&a))
	}
	for _, f := range []Flow{
		{Src: a.Local.First, Dst: a.Remote.First, SrcPort: a.Local.FirstPort, DstPort: a.Remote.FirstPort, Proto: a.Proto, Ports: true},
		{Src: a.Local.Last, Dst: a.Remote.Last, SrcPort: a.Local.LastPort, DstPort: a.Remote.LastPort, Proto: a.Proto, Ports: true},
	} {
		if !a.Covers(f) || a.within(&o) && !o.Covers(f) || o.Covers(f) && !a.meets(&o) {
			t.Fatalf("%v: %+v %v, %+v %v", f, a, a.Covers(f), o, o.Covers(f))
		}
	}
}
