package frame

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/netstack/drop"
)

// cut cuts a packet without options into pieces of size payload bytes.
func cut(b []byte, size int) (out [][]byte) {
	for off := 20; off < len(b); off += size {
		end := min(off+size, len(b))
		piece := append(bytes.Clone(b[:20]), b[off:end]...)
		SetFragment(piece, off-20, end < len(b))
		out = append(out, piece)
	}
	return out
}

// join puts pieces in order back together.
func join(pieces [][]byte) []byte {
	out := bytes.Clone(pieces[0])
	for _, p := range pieces[1:] {
		out = append(out, p[20:]...)
	}
	SetFragment(out, 0, false)
	return out
}

func TestRewrittenFragmentsJoinToThePacketBuiltFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSpec.Draw(t, "spec")
		s.Options, s.FlagsOffset = 0, 0
		s.Payload = append(s.Payload, make([]byte, 40)...)
		pieces := cut(s.build(), rapid.SampledFrom([]int{24, 32, 48}).Draw(t, "size"))
		src, dst, sport, dport := genAddr.Draw(t, "src"), genAddr.Draw(t, "dst"), genPort.Draw(t, "sport"), genPort.Draw(t, "dport")
		id := rapid.Uint16().Draw(t, "id")
		for i, b := range pieces {
			var p Packet
			if why := p.Parse(b); why != drop.None {
				t.Fatal(why)
			}
			if opened := p.OpenFirst() == drop.None; opened != (i == 0) {
				t.Fatalf("piece %d opened: %v", i, opened)
			}
			p.SetSource(src, sport)
			p.SetDestination(dst, dport)
			p.SetID(id)
			if onesSum(b[:20]) != 0xffff || p.ID() != id {
				t.Fatalf("piece %d: % x", i, b[:20])
			}
		}
		s.setSource(src, sport)
		s.setDestination(dst, dport)
		got, want := join(pieces), s.build()
		var p Packet
		p.Parse(want)
		p.SetID(id)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestWhatAFragmentSaysOfItself(t *testing.T) {
	for _, tt := range []struct {
		flags  uint16
		frag   bool
		more   bool
		offset int
	}{
		{0, false, false, 0},
		{0x4000, false, false, 0},
		{0x2000, true, true, 0},
		{0x2001, true, true, 8},
		{0x1fff, true, false, 65528},
		{0x6002, true, true, 16},
	} {
		var p Packet
		p.Parse(spec{Proto: ProtoESP, FlagsOffset: tt.flags, Payload: make([]byte, 16)}.build())
		if p.Fragment != tt.frag || p.MoreFragments() != tt.more || p.FragmentOffset() != tt.offset {
			t.Errorf("%#x: %v, %v, %d", tt.flags, p.Fragment, p.MoreFragments(), p.FragmentOffset())
		}
	}
}

func TestOnlyAFirstFragmentWithItsWholeTransportHeaderOpens(t *testing.T) {
	long := spec{Proto: ProtoTCP, FlagsOffset: 0x2000, Payload: make([]byte, 40)}.build()
	long[20+12] = 15 << 4 // options, all in this piece
	cutShort := long[:20+56]
	cutShort[3] = 20 + 56
	lying := spec{Proto: ProtoTCP, FlagsOffset: 0x2000, Payload: make([]byte, 40)}.build()
	lying[20+12] = 4 << 4
	short := func(proto uint8, n int) []byte {
		b := spec{Proto: proto, FlagsOffset: 0x2000, Payload: make([]byte, 40)}.build()[:20+n]
		b[3] = byte(20 + n)
		return b
	}
	for name, tt := range map[string]struct {
		b    []byte
		want drop.Reason
	}{
		"UDP":                     {short(ProtoUDP, 8), drop.None},
		"UDP ports only":          {short(ProtoUDP, 7), drop.FragmentMalformed},
		"TCP":                     {short(ProtoTCP, 24), drop.None},
		"TCP up to its flags":     {short(ProtoTCP, 16), drop.FragmentMalformed},
		"TCP options cut off":     {cutShort, drop.FragmentMalformed},
		"TCP offset of 4":         {lying, drop.FragmentMalformed},
		"ICMP":                    {short(ProtoICMP, 8), drop.None},
		"ESP":                     {short(ProtoESP, 8), drop.None},
		"ESP without its number":  {short(ProtoESP, 4), drop.FragmentMalformed},
		"nothing":                 {short(ProtoUDP, 0), drop.FragmentMalformed},
		"a whole packet":          {spec{Proto: ProtoUDP}.build(), drop.None},
		"a piece from the middle": {spec{Proto: ProtoUDP, FlagsOffset: 0x2002, Payload: make([]byte, 40)}.build(), drop.FragmentMalformed},
	} {
		var p Packet
		if why := p.Parse(bytes.Clone(tt.b)); why != drop.None {
			t.Errorf("%s: %v", name, why)
			continue
		}
		if got := p.OpenFirst(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestAnOpenedFragmentShowsItsFieldsAndNoMoreThanIsThere(t *testing.T) {
	b := spec{Proto: ProtoUDP, SrcPort: 500, DstPort: 4500, Payload: make([]byte, 2000)}.build()
	var p Packet
	p.Parse(cut(b, 1480)[0])
	if p.OpenFirst() != drop.None || p.SrcPort != 500 || p.DstPort != 4500 || len(p.UDPPayload()) != 1472 {
		t.Errorf("%+v", p)
	}
	b = spec{Proto: ProtoICMP, ICMPType: 8, SrcPort: 77, Payload: make([]byte, 2000)}.build()
	p.Parse(cut(b, 1480)[0])
	if query, _ := p.ICMPQuery(); query {
		t.Error("a closed fragment says that it is a query")
	}
	p.OpenFirst()
	if query, request := p.ICMPQuery(); !query || !request || p.ICMPID != 77 {
		t.Errorf("%+v", p)
	}
	if p.Parse(cut(b, 1480)[1]); p.ICMPID != 0 || p.OpenFirst() == drop.None {
		t.Errorf("the second piece as the first: %+v", p)
	}
}

// FuzzOpenFirst holds the promise of Parse for first fragments too.
func FuzzOpenFirst(f *testing.F) {
	for _, proto := range []uint8{ProtoTCP, ProtoUDP, ProtoICMP, ProtoESP, ProtoAH} {
		b := spec{Proto: proto, TTL: 9, SrcPort: 500, DstPort: 4500, ICMPType: 8, Payload: payload, FlagsOffset: 0x2000}.build()
		f.Add(b)
		f.Add(b[:27])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		behind := append(bytes.Clone(b), "behind"...)
		var p Packet
		if p.Parse(behind[:len(b)]) != drop.None || p.OpenFirst() != drop.None {
			return
		}
		if p.Proto == ProtoUDP {
			_ = p.UDPPayload()
		}
		p.SetSource(Addr{1, 2, 3, 4}, 77)
		p.SetDestination(Addr{5, 6, 7, 8}, 78)
		p.SetID(79)
		var again Packet
		if why := again.Parse(behind[:len(b)]); why != drop.None || again.OpenFirst() != drop.None {
			t.Fatalf("rewritten, it is %v", why)
		}
		if ported := p.Proto == ProtoTCP || p.Proto == ProtoUDP; again.Src != (Addr{1, 2, 3, 4}) || again.ID() != 79 ||
			ported && (again.SrcPort != 77 || again.DstPort != 78) {
			t.Fatalf("rewritten, it is %+v", again)
		}
		if string(behind[len(p.Bytes()):]) != string(b[len(p.Bytes()):])+"behind" {
			t.Fatal("wrote behind the packet")
		}
	})
}
