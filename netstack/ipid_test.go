package netstack

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// mayBeCut returns a copy of an IPv4 packet with DF clear and an id.
func mayBeCut(b []byte, id uint16) []byte {
	h := header.IPv4(append([]byte(nil), b...))
	h.SetFlagsFragmentOffset(0, 0)
	h.SetID(id)
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	return h
}

// oneID returns the id of the one packet that came out.
func (w *world) oneID(packets [][]byte) uint16 {
	w.t.Helper()
	p := w.one(packets)
	return p.ID()
}

func dfClear(c *Config) { c.LSN.Groups[0].RewriteID = true }

func TestTwoSubscribersWithOneIDLeaveWithTwoIfDFIsClear_R29(t *testing.T) {
	for name, packet := range map[string]func(from frame.Addr) []byte{
		"UDP":  func(from frame.Addr) []byte { return udpTo(at(from, 5353), at(upstream, 53), "question") },
		"TCP":  func(from frame.Addr) []byte { return tcpTo(at(from, 5353), at(upstream, 80), frame.TCPSyn, "") },
		"ICMP": func(from frame.Addr) []byte { return echo(from, upstream, 8, 77, "ping") },
		"IKE": func(from frame.Addr) []byte {
			return udpTo(at(from, 500), at(upstream, 500), ike(2, uint64(from[3]), 0, ikeSAInit, flagV2Init, 0, 100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dfClear)
			seen := map[uint16]bool{}
			for range 50 {
				for _, from := range []frame.Addr{client1, client2} {
					w.fromLAN(mayBeCut(packet(from), 7))
					seen[w.oneID(w.atWAN())] = true // one checks the checksums
				}
			}
			if len(seen) != 100 || seen[0] {
				t.Errorf("100 packets left with %d ids", len(seen))
			}
			w.fromLAN(packet(client1))
			if p := w.one(w.atWAN()); p.ID() != 7 || !p.DontFragment() {
				t.Errorf("a packet with DF left with id %d", p.ID())
			}
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

func TestByDefaultWholePacketsKeepTheirID_R29(t *testing.T) {
	w := newWorld(t)
	for _, from := range []frame.Addr{client1, client2} {
		w.fromLAN(mayBeCut(udpTo(at(from, 5353), at(upstream, 53), "question"), 7))
		if p := w.one(w.atWAN()); p.ID() != 7 {
			t.Errorf("id %d", p.ID())
		}
	}
}

func TestWithDFClearRewritingOnlyPacketsWithDFTakeTheFastPath_R29(t *testing.T) {
	for name, c := range map[string]struct {
		rewrite     bool
		clear       uint64 // hits of a packet with DF clear
		distinctIDs int
	}{"default": {false, 1, 1}, "df-clear": {true, 0, 20}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.LSN.Groups[0].RewriteID = c.rewrite })
			s := at(server, 443)
			nat := w.conversation(s)
			k := w.tunnel(client1, 0x1000)
			k.up()
			k.traffic()
			for kind, packet := range map[string][]byte{"UDP": udpTo(at(client1, 40000), s, "more"), "ESP": k.out()} {
				ids := map[uint16]bool{}
				for range 20 {
					if n := w.hits(func() { w.fromLAN(mayBeCut(packet, 7)) }); n != c.clear {
						t.Fatalf("%s with DF clear: %d hits, want %d", kind, n, c.clear)
					}
					ids[w.oneID(w.atWAN())] = true
					if n := w.hits(func() { w.fromLAN(packet) }); n != 1 {
						t.Fatalf("%s with DF: %d hits", kind, n)
					}
					if p := w.one(w.atWAN()); p.ID() != 7 {
						t.Fatalf("%s with DF left with id %d", kind, p.ID())
					}
				}
				if len(ids) != c.distinctIDs {
					t.Errorf("%s: 20 packets with DF clear left with %d ids, want %d", kind, len(ids), c.distinctIDs)
				}
			}
			if n := w.hits(func() { w.fromWAN(mayBeCut(udpTo(s, nat, "answer"), 9)) }); n != 1 {
				t.Errorf("inbound: %d hits", n)
			}
			if p := w.one(w.atLAN()); p.ID() != 9 {
				t.Errorf("inbound: id %d", p.ID())
			}
		})
	}
}

// A listener in front of the group changes nothing about that.
func TestWithDFClearRewritingAServersConnectionTakesTheFastPathWithDFOnly_R29(t *testing.T) {
	v := forwarding("v", "203.0.113.0/24")
	v.SourceTranslation = vserver.Automap
	w := newWorld(t, dfClear, serving(v))
	packet := udpTo(at(client1, 40000), at(server, 443), "more")
	for range 3 {
		w.isAnswered(w.asks(packet), packet)
	}
	for range 5 {
		if n := w.hits(func() { w.fromLAN(mayBeCut(packet, 7)) }); n != 0 {
			t.Errorf("with DF clear: %d hits, want none", n)
		}
		if id := w.oneID(w.atWAN()); id == 7 {
			t.Error("with DF clear it left with its own id")
		}
		if n := w.hits(func() { w.fromLAN(packet) }); n != 1 {
			t.Errorf("with DF: %d hits, want one", n)
		}
		w.one(w.atWAN())
	}
}

func TestManyPacketsWithDFClearNeverStopForWantOfAnID_R29(t *testing.T) {
	w := newWorld(t, dfClear)
	packet := mayBeCut(udpTo(at(client1, 5353), at(upstream, 53), "question"), 7)
	last := map[uint16]int{}
	for i := range 70_000 {
		w.fromLAN(packet)
		id := w.oneID(w.atWAN())
		if before, ok := last[id]; ok && i-before < 31_744 {
			t.Fatalf("id %d came again after %d packets", id, i-before)
		}
		last[id] = i
	}
	// What leaves in pieces has ids of its own.
	for _, b := range fragments(udpTo(at(client2, 5353), at(upstream, 53), text(2000)), 1500) {
		w.fromLAN(b)
	}
	whole := w.parsed(w.joined(w.atWAN()))
	if _, taken := last[whole.ID()]; taken {
		t.Errorf("pieces left with id %d of a whole packet", whole.ID())
	}
	if w.dropped()[drop.FragmentOverflow.String()] != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}
