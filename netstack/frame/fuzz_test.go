package frame

import (
	"bytes"
	"testing"

	"spigate/netstack/drop"
)

// FuzzPacket holds the promise of Parse: what it accepted can be rewritten
// without a further look at any length, and keeps its length and its meaning.
func FuzzPacket(f *testing.F) {
	for _, proto := range []uint8{ProtoTCP, ProtoUDP, ProtoICMP, ProtoESP, ProtoAH} {
		s := spec{Src: Addr{10, 0, 0, 1}, Dst: Addr{192, 0, 2, 7}, Proto: proto, TTL: 9, SrcPort: 500, DstPort: 4500, ICMPType: 8, Payload: payload}
		b := s.build()
		f.Add(b)
		f.Add(b[:27])
		f.Add(errorAbout(b, 28))
		f.Add(errorAbout(b, 100, 1, 2, 3, 4))
		s.Options = 10
		f.Add(s.build())
		s.FlagsOffset = 0x2000
		f.Add(s.build())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		behind := append(bytes.Clone(b), "behind"...)
		var p Packet
		if p.Parse(behind[:len(b)]) != drop.None {
			return
		}
		query, _ := p.ICMPQuery()
		if p.Proto == ProtoUDP && !p.Fragment {
			_ = p.UDPPayload()
		}
		if p.ICMPError() {
			quoteBothWays(t, &p)
		}
		p.SetTTL(p.TTL() - 1)
		p.SetSource(Addr{1, 2, 3, 4}, 77)
		p.SetDestination(Addr{5, 6, 7, 8}, 78)
		var again Packet
		if why := again.Parse(behind[:len(b)]); why != drop.None {
			t.Fatalf("rewritten, it is %v", why)
		}
		ported := !p.Fragment && (p.Proto == ProtoTCP || p.Proto == ProtoUDP)
		if again.Src != (Addr{1, 2, 3, 4}) || again.Dst != (Addr{5, 6, 7, 8}) ||
			ported && (again.SrcPort != 77 || again.DstPort != 78) || query && again.ICMPID != 78 {
			t.Fatalf("rewritten, it is %+v", again)
		}
		if string(behind[len(p.Bytes()):]) != string(b[len(p.Bytes()):])+"behind" {
			t.Fatal("wrote behind the packet")
		}
	})
}

func quoteBothWays(t *testing.T, p *Packet) {
	q, why := p.Quote()
	if why != drop.None {
		return
	}
	p.RewriteQuoteSource(&q, Addr{9, 9, 9, 9}, 99)
	p.RewriteQuoteDestination(&q, Addr{8, 8, 8, 8}, 88)
	again, why := p.Quote()
	if why != drop.None {
		t.Fatalf("rewritten, the quote is %v", why)
	}
	if again.Src != q.Src || again.Dst != q.Dst || again.SPI != q.SPI || again.Proto == ProtoUDP && again.DstPort != 88 {
		t.Fatalf("rewritten, the quote is %+v, want %+v", again, q)
	}
}

// FuzzTag holds that a tag can be taken out of, and put into, any bytes.
func FuzzTag(f *testing.F) {
	f.Add(plain, uint16(20))
	f.Add(tagged(0, 20), uint16(0))
	f.Add(tagged(0, 20)[:17], uint16(1))
	f.Add([]byte{}, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, vlan uint16) {
		fr := Copy(b, vlan)
		fr.StripTag()
		if fr.Len() != len(b) && fr.Len() != len(b)-TagLen {
			t.Fatalf("%d bytes of %d are left", fr.Len(), len(b))
		}
		wanted, n := fr.VLAN, fr.Len()
		if fr.PushTag() && wanted != 0 && fr.Len() != n+TagLen {
			t.Fatalf("tag %d: %d bytes of %d", wanted, fr.Len(), n)
		}
	})
}
