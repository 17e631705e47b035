package netstack

import (
	"strings"
	"testing"

	"spigate/netstack/flow"
)

func TestEveryOwnerOfAFlowHasAWordInATrace(t *testing.T) {
	words := map[flow.OwnerKind]string{
		0: "an owner of kind 0", flow.OwnerLSN: "LSN session 7", flow.OwnerESP: "ESP session 7", flow.OwnerConn: "connection 7",
		flow.OwnerStatic: "a 1:1 mapping", flow.OwnerStatic + 1: "an owner of kind 5",
	}
	for kind, want := range words {
		i := flow.Info{Entry: flow.Entry{Owner: flow.Owner{Kind: kind, ID: 7}}}
		if s := ofFlow(&i, look{}); !strings.HasSuffix(s, "flow of "+want) {
			t.Errorf("%d: %q, want %q", kind, s, want)
		}
	}
}

func TestESPOfA1to1MappingIsTracedOnTheFastPath(t *testing.T) {
	w := newWorld(t, oneToOne)
	for range 2 {
		w.fromLAN(esp(client2, server, 0x8888, 1, ""))
		w.one(w.atWAN())
	}
	w.traced("t", "esp", 1)
	if hits := w.hits(func() { w.fromLAN(esp(client2, server, 0x8888, 2, "")) }); hits != 1 {
		t.Errorf("%d hits", hits)
	}
	w.one(w.atWAN())
	walks := w.r.Traces().Each("t")
	if len(walks) != 1 || len(walks[0].Events) != 1 || !strings.Contains(walks[0].Events[0].Says, "flow of a 1:1 mapping") {
		t.Errorf("%+v", walks)
	}
}

func TestAPacketGoesOnWhereItsTracePanics(t *testing.T) {
	w := newWorld(t)
	w.r.watch.explain = func(*Router, Question) (Explanation, error) { panic("odd packet") }
	w.traced("t", "", 5)
	for range 3 {
		w.fromLAN(udpTo(at(client1, 40000), at(server, 443), "question"))
		w.one(w.atWAN())
	}
	if n := strings.Count(w.log.String(), "odd packet"); n != 1 {
		t.Errorf("it was logged %d times in a second", n)
	}
	if d := w.dropped(); len(d) != 0 {
		t.Errorf("drops: %v", d)
	}
}
