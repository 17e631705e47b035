package ipsec

import (
	"testing"

	"spigate/netstack/frame"
)

// RFC 6040 figure 4, row by row: inner, then outer Not-ECT, ECT(0), ECT(1), CE.
func TestCongestionComesOutOfTheTunnelAsRFC6040Says(t *testing.T) {
	const lost = 0xff
	table := map[uint8][4]uint8{
		notECT: {notECT, notECT, notECT, lost},
		ect0:   {ect0, ect0, ect1, ce},
		ect1:   {ect1, ect1, ect1, ce},
		ce:     {ce, ce, ce, ce},
	}
	for i, s := range []Suite{{AESGCM, 128, AuthNone}, {AESCBC, 256, HMACSHA384}} {
		for in, row := range table {
			for j, outer := range []uint8{notECT, ect0, ect1, ce} {
				send, receive := ends(t, s, nil)
				p := inner{src: "10.1.1.1", dst: "10.2.2.2", proto: frame.ProtoUDP, tos: 0xb8 | in, size: 64}.packet()
				sealed := seal(t, send, p, 0)
				if sealed[1] != 0xb8|in {
					t.Fatalf("suite %d: the outer TOS is %#x, the inner one %#x (RFC 6040 section 4.1)", i, sealed[1], 0xb8|in)
				}
				setTOS(sealed, 0xb8|outer)
				goodHeader(t, sealed)
				got, v := open(receive, sealed, 0)
				if row[j] == lost {
					if v != ECNInvalid {
						t.Errorf("inner %02b outer %02b: %v", in, outer, v)
					}
					continue
				}
				if v != Pass || got[1] != 0xb8|row[j] {
					t.Fatalf("inner %02b outer %02b: %v, TOS %#x, want %#x", in, outer, v, got[1], 0xb8|row[j])
				}
				goodHeader(t, got)
			}
		}
	}
}

func TestAChangedTOSKeepsEveryHeaderChecksumRight(t *testing.T) {
	for was := range 256 {
		for now := range 256 {
			p := inner{src: "10.1.1.1", dst: "10.2.2.2", proto: frame.ProtoUDP, tos: uint8(was), size: 28}.packet()
			setTOS(p, uint8(now))
			goodHeader(t, p)
		}
	}
}
