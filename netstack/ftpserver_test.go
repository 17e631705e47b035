package netstack

import (
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// A subscriber's FTP server behind a static mapping: what it says of passive
// mode has to be true outside.

func withStatic(s lsn.Static) option {
	return func(c *Config) {
		withHelpers()(c)
		c.LSN.Statics = []lsn.Static{s}
	}
}

// served is a control connection from outside to the subscriber's server.
type served struct {
	w          *world
	there, nat frame.Endpoint
	seq        uint32 // of the server's next text
}

func (w *world) served(nat frame.Addr) *served {
	w.t.Helper()
	s := &served{w: w, there: at(server, 33000), nat: at(nat, 21), seq: 5001}
	w.fromWAN(segment(s.there, s.nat, 100, 0, syn, ""))
	w.one(w.atLAN())
	w.fromLAN(segment(at(client1, 21), s.there, 5000, 101, synAck, ""))
	w.one(w.atWAN())
	return s
}

// says is what the client outside gets of the server's text.
func (s *served) says(text string) string {
	s.w.t.Helper()
	s.w.fromLAN(segment(at(client1, 21), s.there, s.seq, 101, ack, text))
	s.seq += uint32(len(text))
	return said(s.w.one(s.w.atWAN()))
}

// connects opens a data connection from outside to e, which must lead to the
// server's port.
func (s *served) connects(e frame.Endpoint, port uint16) {
	s.w.t.Helper()
	s.w.fromWAN(segment(at(server, 33001), e, 1, 0, syn, ""))
	if p := s.w.one(s.w.atLAN()); at(p.Dst, p.DstPort) != at(client1, port) {
		s.w.t.Errorf("leads to %v:%d", p.Dst, p.DstPort)
	}
	s.w.fromLAN(segment(at(client1, port), at(server, 33001), 9, 2, synAck, ""))
	if p := s.w.one(s.w.atWAN()); at(p.Src, p.SrcPort) != e {
		s.w.t.Errorf("is answered from %v:%d", p.Src, p.SrcPort)
	}
}

func TestAPassiveServerBehindAStaticMapping(t *testing.T) {
	for name, nat := range map[string]frame.Addr{"an address of the pool": natAddr, "an address of its own": addr("203.0.113.77")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withStatic(lsn.Static{Name: "S", Proto: frame.ProtoTCP, Inside: at(client1, 21), Outside: at(nat, 21)}))
			s := w.served(nat)
			const reply = "227 Entering Passive Mode (192,0,2,11,156,65).\r\n"
			got := s.says(reply)
			e := named(t, got)
			if want := fmt.Sprintf("227 Entering Passive Mode (203,0,113,%d,%d,%d).\r\n", nat[3], e.Port>>8, e.Port&0xff); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
			w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(segment(at(server2, 1), e, 1, 0, syn, "")) })
			s.connects(e, 40001)
			grown := uint32(len(got) - len(reply))
			w.fromWAN(segment(s.there, s.nat, 101, s.seq+grown, ack, "PASV\r\n"))
			if p := w.one(w.atLAN()); header.TCP(p.Transport()).AckNumber() != s.seq {
				t.Errorf("%d is acknowledged, want %d", header.TCP(p.Transport()).AckNumber(), s.seq)
			}
			var port uint16
			got = s.says("229 Entering Extended Passive Mode (|||40002|)\r\n")
			if n, err := fmt.Sscanf(got, "229 Entering Extended Passive Mode (|||%d|)\r\n", &port); n != 1 {
				t.Fatalf("%q: %v", got, err)
			}
			w.fromWAN(segment(at(server, 33002), at(nat, port), 1, 0, syn, ""))
			if p := w.one(w.atLAN()); at(p.Dst, p.DstPort) != at(client1, 40002) {
				t.Errorf("leads to %v:%d", p.Dst, p.DstPort)
			}
		})
	}
}

// A subscriber with an address of its own has every port open already, under
// its own number.
func TestAPassiveServerWithAnAddressOfItsOwn(t *testing.T) {
	nat := addr("203.0.113.77")
	w := newWorld(t, withStatic(lsn.Static{Name: "S", Inside: at(client1, 0), Outside: at(nat, 0)}))
	s := w.served(nat)
	if got, want := s.says("227 ok (192,0,2,11,156,65)\r\n"), "227 ok (203,0,113,77,156,65)\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.connects(at(nat, 40001), 40001)
	if got := w.r.LSN().Expectations(); got.Opened != 0 {
		t.Errorf("expectations %+v", got)
	}
}

func TestAnActiveServerBehindAStaticMappingNeedsNothing(t *testing.T) {
	w := newWorld(t, withStatic(lsn.Static{Name: "S", Proto: frame.ProtoTCP, Inside: at(client1, 21), Outside: at(natAddr, 21)}))
	s := w.served(natAddr)
	const line = "PORT 203,0,113,254,130,53\r\n"
	w.fromWAN(segment(s.there, s.nat, 101, s.seq, ack, line))
	if got := said(w.one(w.atLAN())); got != line {
		t.Errorf("%q", got)
	}
	w.fromLAN(segment(at(client1, 20), at(server, 33333), 1, 0, syn, ""))
	if p := w.one(w.atWAN()); p.Src != natAddr {
		t.Errorf("it connects from %v", p.Src)
	}
}
