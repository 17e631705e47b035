package netstack

import (
	"bytes"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// exempting makes a network exempt, and a port.
func exempting(c *Config) {
	c.LSN.Groups[0].Exempt = prefixes("198.51.100.0/24")
	c.LSN.Groups[0].Apps = append(c.LSN.Groups[0].Apps,
		lsn.AppProfile{Name: "portal", Proto: frame.ProtoUDP, Ports: []lsn.PortRange{{First: 8443, Last: 8443}}, Exempt: true})
}

func TestRFC6888_REQ6_ExemptTrafficIsRoutedAsItIs(t *testing.T) {
	for name, s := range map[string]frame.Endpoint{"by its network": at(upstream, 53), "by its port": at(server, 8443)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, exempting)
			question := udpTo(at(client1, 5000), s, "question")
			w.fromLAN(question)
			left := w.atWAN()
			if p := w.one(left); p.Src != client1 || p.SrcPort != 5000 {
				t.Fatalf("left as %v:%d", p.Src, p.SrcPort)
			}
			w.fromWAN(udpTo(s, at(client1, 5000), "answer"))
			if p := w.one(w.atLAN()); p.Dst != client1 || p.Src != s.Addr {
				t.Errorf("%v > %v", p.Src, p.Dst)
			}
			// Errors about it, from outside and from inside.
			w.fromWAN(icmpError(server2, client1, 3, 1, left[0], 60))
			w.one(w.atLAN())
			w.fromLAN(icmpError(client1, s.Addr, 3, 3, udpTo(s, at(client1, 5000), "answer"), 60))
			if p := w.one(w.atWAN()); p.Src != client1 {
				t.Errorf("error leaves as %v", p.Src)
			}
			if st := w.r.lsn.Stats(); st.Created != [3]uint64{} {
				t.Errorf("sessions were made: %v", st.Created)
			}
			if n := len(w.dropped()); n != 0 {
				t.Errorf("dropped %v", w.dropped())
			}
		})
	}
}

func TestWhatIsNotExemptIsStillTranslatedAndGuarded(t *testing.T) {
	w := newWorld(t, exempting)
	w.fromLAN(udpTo(at(client1, 5000), at(server, 53), "x"))
	if p := w.one(w.atWAN()); p.Src != natAddr {
		t.Errorf("left as %v", p.Src)
	}
	w.wantDrop(drop.ClientNotReachable, 3, func() {
		w.fromWAN(udpTo(at(server, 53), at(client1, 5000), "x"))
		w.fromWAN(tcpTo(at(server, 8443), at(client1, 5000), frame.TCPSyn, ""))
		w.fromWAN(icmpError(server, client1, 3, 1, udpTo(at(client1, 5000), at(server, 53), "x"), 60))
	})
}

// A datagram in pieces is exempt by its port as a whole one is.
func TestExemptDatagramsInPiecesPassBothWays(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := newWorld(t, exempting)
		out := fragments(udpTo(at(client1, 5000), at(server, 8443), string(make([]byte, 200))), 124)
		in := fragments(udpTo(at(server, 8443), at(client1, 5000), string(make([]byte, 200))), 124)
		if late {
			reversed(out)
		}
		w.fromLAN(out...)
		got := w.atWAN()
		if p := w.joined(got); !bytes.Contains(p, client1[:]) {
			t.Errorf("left as % x", p[:20])
		}
		w.fromWAN(in...)
		if n := len(w.atLAN()); n != len(in) {
			t.Errorf("%d of %d pieces came in", n, len(in))
		}
		w.wantDrop(drop.ClientNotReachable, 1, func() {
			w.fromWAN(fragments(udpTo(at(server, 53), at(client1, 5000), string(make([]byte, 200))), 124)[0])
		})
	}
}
