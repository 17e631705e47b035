package netstack

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// rejecting refuses what goes to the other site.
func rejecting(s *vserver.Server) { s.Role = vserver.Reject }

// refusals are the ways in which a server refuses a flow from near to far, with
// what has to happen before.
var refusals = []struct {
	reason drop.Reason
	server func(*vserver.Server)
	before func(*world)
}{
	{drop.VSRejected, rejecting, func(*world) {}},
	{drop.ConnectionLimit, func(s *vserver.Server) { s.ConnectionLimit = 1 },
		func(w *world) { w.fromLAN(udpTo(at(near2, 1), at(far, 53), "the one")) }},
	{drop.ConnectionRate, func(s *vserver.Server) { s.RateLimit = 1 },
		func(w *world) { w.fromLAN(udpTo(at(near2, 1), at(far, 53), "the one of this second")) }},
}

func TestVR9_WhoIsRefusedIsToldByRSTOrProhibited(t *testing.T) {
	for _, tc := range refusals {
		t.Run(tc.reason.String(), func(t *testing.T) {
			w := newSites(t, serving(change(forwarding("site", "10.1.1.0/24"), tc.server)))
			tc.before(w)
			w.atWAN()
			w.wantDrop(tc.reason, 1, func() { w.fromLAN(segment(at(near, 40000), at(far, 80), 9000, 0, syn, "")) })
			want := rst{at(far, 80), at(near, 40000), 0, 9001, frame.TCPRst | ack}
			if got := w.resets(w.atLAN()); len(got) != 1 || got[0] != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			for _, b := range [][]byte{
				udpTo(at(near, 1), at(far, 53), "x"), echo(near, far, 8, 1, "x"), esp(near, far, 0x1000, 1, "x"), ip(near, far, 47, make([]byte, 8)),
				fragments(udpTo(at(near, 2), at(far, 53), text(200)), 124)[0],
			} {
				w.wantDrop(tc.reason, 1, func() { w.fromLAN(b) })
				p := w.one(w.atLAN())
				if p.Src != addr("10.2.1.254") || p.Dst != near || p.ICMPType != 3 || p.ICMPCode != 13 || !bytes.Equal(p.Transport()[8:], b) {
					t.Errorf("%v > %v type %d code %d quotes % x", p.Src, p.Dst, p.ICMPType, p.ICMPCode, p.Transport()[8:])
				}
			}
			w.none(w.atWAN())
		})
	}
}

// RFC 1812, section 4.3.2.7, and RFC 9293, section 3.10.7.1.
func TestVR9_NobodyIsToldOfWhatMayNotBeAnswered(t *testing.T) {
	for _, tc := range refusals {
		t.Run(tc.reason.String(), func(t *testing.T) {
			w := newSites(t, serving(change(forwarding("site", "10.1.1.0/24"), tc.server)))
			tc.before(w)
			w.atWAN()
			c, s := at(near, 1), at(far, 53)
			pieces := fragments(udpTo(c, s, text(200)), 124)
			w.fromLAN(pieces[0])
			w.one(w.atLAN())
			for _, b := range [][]byte{
				pieces[1],
				udpTo(at(addr("10.2.1.255"), 1), s, "x"), udpTo(at(frame.Addr{}, 1), s, "x"), udpTo(at(addr("127.0.0.1"), 1), s, "x"), udpTo(at(addr("224.0.0.9"), 1), s, "x"),
				segment(c, at(far, 80), 1, 1, frame.TCPRst, ""), segment(c, at(far, 80), 1, 1, frame.TCPRst|ack, ""),
				icmpError(near, far, 3, 1, udpTo(s, c, "x"), 28),
			} {
				w.fromLAN(b)
			}
			w.inBroadcastFrame(0, udpTo(c, s, "x"))
			w.inBroadcastFrame(0, segment(c, at(far, 80), 1, 0, syn, ""))
			w.none(w.atLAN())
			w.none(w.atWAN())
		})
	}
}

// Whoever floods is not paid back packet for packet; the next second is new.
func TestVR9_RefusalsAreAnsweredAFewTimesASecond(t *testing.T) {
	for name, b := range map[string][]byte{
		"TCP": segment(at(near, 40000), at(far, 80), 1, 0, syn, ""),
		"UDP": udpTo(at(near, 1), at(far, 53), "x"),
	} {
		w := newSites(t, serving(change(forwarding("site", "10.1.1.0/24"), rejecting)))
		flood := func() int {
			w.wantDrop(drop.VSRejected, 1000, func() {
				for range 1000 {
					w.fromLAN(b)
				}
			})
			return len(w.atLAN())
		}
		for range 3 {
			if n := flood(); n == 0 || n > maxRejects {
				t.Errorf("%s: %d answers in a second", name, n)
			}
			w.advance(time.Second)
		}
	}
}

func TestVR18_TheConnectionLimitIsOfTheServerAndOfThoseThatLive(t *testing.T) {
	w := newSites(t, serving(
		change(forwarding("one", "10.1.1.0/24"), func(s *vserver.Server) { s.ConnectionLimit = 2 }),
		forwarding("two", "203.0.113.254/32"),
	))
	a := w.talk(true, at(near, 1), at(far, 80)).shake()
	w.talk(true, at(near, 2), at(far, 80)).shake()
	refused := func() {
		t.Helper()
		w.wantDrop(drop.ConnectionLimit, 1, func() { w.fromLAN(segment(at(near, 3), at(far, 80), 1, 0, syn, "")) })
		if got := w.resets(w.atLAN()); len(got) != 1 {
			t.Errorf("%d RST", len(got))
		}
		w.none(w.atWAN())
	}
	refused()
	w.talk(true, at(near, 3), at(server, 80)).shake() // no limit there
	a.say(vserver.Remote, frame.TCPRst|ack, "")       // one is over at once
	w.talk(true, at(near, 3), at(far, 80)).shake().part()
	refused() // closed connections live until their time
	w.wait(6)
	w.talk(true, at(near, 4), at(far, 80)).shake()
	if s := w.stats(vserver.KindServer, "one"); s.Limited != 2 || s.Maximum != 2 || s.Current != 2 || s.Total != 4 {
		t.Errorf("%+v", s)
	}
}

func TestVR18_TheRateLimitIsOfConnectionsNotOfPackets(t *testing.T) {
	w := newSites(t, serving(change(forwarding("site", "10.1.1.0/24"), func(s *vserver.Server) { s.RateLimit = 10 })))
	admitted := 0
	for second := range 3 {
		for i := range 50 {
			w.fromLAN(udpTo(at(near, uint16(second*100+i)), at(far, 53), "x"))
			admitted += len(w.atWAN())
		}
		w.atLAN()
		w.advance(time.Second)
	}
	if admitted != 30 {
		t.Errorf("%d flows of 150 in three seconds, want 30", admitted)
	}
	if s := w.stats(vserver.KindServer, "site"); s.RateLimited != 120 || s.Total != 30 {
		t.Errorf("%+v", s)
	}
	for i := range 50 {
		w.fromLAN(udpTo(at(near, 5), at(far, 53), fmt.Sprint("packet ", i)))
	}
	if n := len(w.atWAN()); n != 50 {
		t.Errorf("%d packets of a flow that was admitted", n)
	}
}

// Every reason of the listeners, and nothing else is counted with it (VR46).
func TestVR46_EveryRefusalOfAListenerHasItsReason(t *testing.T) {
	first := udpTo(at(near, 1), at(far, 53), "x")
	site := forwarding("site", "10.1.1.0/24")
	for _, tc := range []struct {
		reason drop.Reason
		world  option
		before [][]byte
		then   []byte
	}{
		{drop.NoListener, serving(), nil, first},
		{drop.VLANMiss, serving(on(site, wanIf)), nil, first},
		{drop.VSDisabled, serving(change(site, func(s *vserver.Server) { s.Disabled = true })), nil, first},
		{drop.VSRejected, serving(change(site, rejecting)), nil, first},
		{drop.NotSYN, serving(site), nil, segment(at(near, 1), at(far, 80), 1, 1, ack, "")},
		{drop.ConnectionLimit, serving(change(site, func(s *vserver.Server) { s.ConnectionLimit = 1 })), [][]byte{first}, udpTo(at(near, 2), at(far, 53), "x")},
		{drop.ConnectionRate, serving(change(site, func(s *vserver.Server) { s.RateLimit = 1 })), [][]byte{first}, udpTo(at(near, 2), at(far, 53), "x")},
		{drop.ConnectionTableFull, func(c *Config) { serving(site)(c); c.MaxConnections = 1 }, [][]byte{first}, udpTo(at(near, 2), at(far, 53), "x")},
		{drop.TupleBusy, serving(site), nil, udpTo(at(far, 53), at(far, 53), "to itself: both sides have one 5-tuple")},
	} {
		t.Run(tc.reason.String(), func(t *testing.T) {
			w := newSites(t, tc.world)
			w.fromLAN(tc.before...)
			w.wantDrop(tc.reason, 1, func() { w.fromLAN(tc.then) })
			if w.r.conns.Len() != len(tc.before) {
				t.Errorf("%d connections", w.r.conns.Len())
			}
		})
	}
}
