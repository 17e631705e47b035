package wire

import (
	"fmt"
	"strings"

	"spigate/netstack/vserver"
)

// What scripts ask of virtual servers, NATs and SNATs.

// checkListener reads "virtual|nat|snat NAME [in=N] [out=N] [current=N]
// [maximum=N] [total=N] [limited=N] [expired=N] [td=N]": packets of those who
// began connections and to them, and connections. What the fast path carried is
// counted once a second.
func checkListener(kind vserver.Kind) func(*world, *words) {
	return func(w *world, in *words) {
		name := in.next("a name")
		l := w.router(in).Connections().Listeners().Find(kind, name)
		if l == nil {
			in.fail("there is none of this name")
			return
		}
		s := l.Counters().Stats()
		got, want := "", ""
		for _, row := range []struct {
			word string
			n    any
		}{
			{"in", s.PacketsIn}, {"out", s.PacketsOut}, {"current", s.Current}, {"maximum", s.Maximum},
			{"total", s.Total}, {"limited", s.Limited}, {"expired", s.Expired},
		} {
			if n, ok := in.key(row.word); ok {
				got += fmt.Sprintf(" %s=%d", row.word, row.n)
				want += fmt.Sprintf(" %s=%s", row.word, n)
			}
		}
		if got != want {
			in.fail("it has%s", got)
		}
	}
}

// checkConnections reads "connections N": all of virtual servers, NATs and
// SNATs together.
func (w *world) checkConnections(in *words) {
	want, got := in.parse("connections", in.next("a number"), 10, 32), 0
	for _, r := range w.routers(in) {
		got += r.Connections().Len()
	}
	if uint64(got) != want {
		in.fail("%d connections", got)
	}
}

// checkMissed reads "missed KIND NAME in=VLAN listens=VLAN,…": what `show
// drops` says of flows that came on the wrong VLAN (VR46).
func (w *world) checkMissed(in *words) {
	kind, name := in.next("virtual, nat or snat"), in.next("a name")
	on, _ := in.key("in")
	listens, _ := in.key("listens")
	v := newViews(w.config)
	v.chassis = w.chassis
	all := ""
	for _, m := range v.vlanMisses() {
		if m.Kind == kind && m.Name == name && m.In == on && strings.Join(m.Listens, ",") == listens {
			return
		}
		all += "\n\t" + m.Advice()
	}
	in.fail("missed were:%s", all)
}
