package netstack

import (
	"testing"

	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// Windows gives all its pings the identifier 1. Two hosts that ping each other
// have two flows, each with its server, and an error about either goes home.
func TestTwoHostsPingEachOtherWithOneIdentifier(t *testing.T) {
	ping := func(s vserver.Server, name string) vserver.Server {
		return change(s, func(s *vserver.Server) { s.Name, s.Protocol = name, frame.ProtoICMP })
	}
	w := newSites(t, serving(ping(ipsec0(), "out"), ping(ipsec2(), "in")))
	for round := range 3 { // the first two through the stack, then through the flow table
		for _, from := range []struct {
			asks, answers frame.Addr
			give          [2]func(...[]byte)
			take          [2]func() [][]byte
		}{
			{near, far, [2]func(...[]byte){w.fromLAN, w.fromWAN}, [2]func() [][]byte{w.atWAN, w.atLAN}},
			{far, near, [2]func(...[]byte){w.fromWAN, w.fromLAN}, [2]func() [][]byte{w.atLAN, w.atWAN}},
		} {
			for kind, b := range [][]byte{echo(from.asks, from.answers, 8, 1, "ping"), echo(from.answers, from.asks, 0, 1, "ping")} {
				from.give[kind](b)
				if p := w.one(from.take[kind]()); p.ICMPID != 1 || p.ICMPType != b[20] {
					t.Errorf("round %d, %v asks: type %d, identifier %d", round, from.asks, p.ICMPType, p.ICMPID)
				}
			}
		}
	}
	w.fromWAN(icmpError(server, near, 3, 1, echo(near, far, 8, 1, "ping"), 28))
	if p := w.one(w.atLAN()); !p.ICMPError() {
		t.Error("the error about the inside's ping does not come in")
	}
	w.fromLAN(icmpError(near2, far, 3, 1, echo(far, near, 8, 1, "ping"), 28))
	if p := w.one(w.atWAN()); !p.ICMPError() {
		t.Error("the error about the outside's ping does not go out")
	}
	if w.r.flows.Stats().Hits == 0 {
		t.Error("no ping took the fast path")
	}
	w.wait(1)
	for _, name := range []string{"out", "in"} {
		if s := w.stats(vserver.KindServer, name); s.Total != 1 || s.PacketsIn != 3 || s.PacketsOut != 3 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
