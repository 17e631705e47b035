package netstack

import (
	"fmt"
	"testing"

	"spigate/alg/tftp"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

const readFile = "\x00\x01boot\x00octet\x00"

func TestTFTPPassesWhateverTheProfile(t *testing.T) {
	for m := lsn.APDM; m <= lsn.EIM; m++ {
		for f := lsn.APDF; f <= lsn.EIF; f++ {
			t.Run(m.String()+" "+f.String(), func(t *testing.T) {
				w := newWorld(t, withHelpers(lsn.AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: m, Filtering: f}))
				near, there := at(client1, 4000), at(server, 40069)
				w.fromLAN(udpTo(near, at(server, 69), readFile))
				p := w.one(w.atWAN())
				nat := at(p.Src, p.SrcPort)
				w.fromLAN(udpTo(near, at(server, 69), readFile)) // it is asked again
				if p := w.one(w.atWAN()); at(p.Src, p.SrcPort) != nat || string(p.UDPPayload()) != readFile {
					t.Errorf("asked again from %v:%d: %q", p.Src, p.SrcPort, p.UDPPayload())
				}
				for i := range 3 {
					w.fromWAN(udpTo(there, nat, fmt.Sprint("data", i)))
					if p := w.one(w.atLAN()); at(p.Dst, p.DstPort) != near || string(p.UDPPayload()) != fmt.Sprint("data", i) {
						t.Errorf("data arrives at %v:%d: %q", p.Dst, p.DstPort, p.UDPPayload())
					}
					w.fromLAN(udpTo(near, there, "ack"))
					if p := w.one(w.atWAN()); at(p.Src, p.SrcPort) != nat {
						t.Errorf("acknowledged from %v:%d, asked from %v", p.Src, p.SrcPort, nat)
					}
				}
				if f == lsn.APDF {
					w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(udpTo(at(server, 5), nat, "a second answer")) })
				}
				if f != lsn.EIF {
					reason := drop.Filtered
					w.wantDrop(reason, 1, func() { w.fromWAN(udpTo(at(server2, 5), nat, "another host")) })
				}
				if got, want := w.r.TFTP(), (tftp.Stats{Opened: 2}); got != want {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

func TestWithoutTheHelperTFTPIsFiltered(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(udpTo(at(client1, 4000), at(server, 69), readFile))
	p := w.one(w.atWAN())
	w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(udpTo(at(server, 40069), at(p.Src, p.SrcPort), "data")) })
}

func TestOtherDatagramsToPort69OpenNothing(t *testing.T) {
	w := newWorld(t, withHelpers())
	w.fromLAN(udpTo(at(client1, 4000), at(server, 69), "hello"))
	p := w.one(w.atWAN())
	w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(udpTo(at(server, 40069), at(p.Src, p.SrcPort), "data")) })
	if got := w.r.TFTP(); got.Strange != 1 {
		t.Errorf("%+v", got)
	}
}
