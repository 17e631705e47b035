package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"spigate/alg/ipsec"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// checks are the verbs that look at the world and change nothing.
var checks = map[string]func(*world, *words){
	"expect":   (*world).checkExpect,
	"drops":    (*world).checkDrops,
	"counters": (*world).checkCounters,
	"gate":     (*world).checkGate,
	"session":  (*world).checkSession,
	"sessions": (*world).checkSessions,
	"ike":      (*world).checkIKE,
	"ikes":     (*world).checkIKEs,
	"mapping":  (*world).checkMapping,
	"fast":     (*world).checkFast,
	"log":      (*world).checkLog,
	"nolog":    (*world).checkNoLog,

	"virtual":     checkListener(vserver.KindServer),
	"nat":         checkListener(vserver.KindNAT),
	"snat":        checkListener(vserver.KindSNAT),
	"connections": (*world).checkConnections,
	"missed":      (*world).checkMissed,
	"history":     (*world).checkHistory,
}

// checkExpect reads "expect PORT PACKET from=END to=END" and "expect nothing".
func (w *world) checkExpect(in *words) {
	name := in.next("a port, or nothing")
	if name == "nothing" {
		if err := w.settled(); err != nil {
			in.fail("%w", err)
		}
		return
	}
	p, err := w.port(name)
	if err != nil {
		in.fail("%w", err)
		return
	}
	toInside := w.inside(p.router, p.domain)
	s := w.readPacket(in, !toInside)
	if s.to == (end{}) && !toInside {
		s.to = w.end(in, "gateway")
	}
	if s.from == (end{}) && toInside {
		s.from = w.end(in, "gateway")
	}
	to := w.hostOf(s.to.addr, p.domain)
	if in.err == nil && (to == nil || to.port != p) {
		in.fail("to=: no host on %s", p.name)
	}
	if in.err != nil {
		return
	}
	if err := w.expected(to, &s, s.from, s.to); err != nil {
		in.fail("%w", err)
	}
}

// checkDrops reads "drops REASON +N …": these and no others since the last
// mention.
func (w *world) checkDrops(in *words) {
	want := map[string]uint64{}
	for len(in.plain) > 0 {
		word := in.next("a reason")
		want[word] = in.parse(word, strings.TrimPrefix(in.next("a number"), "+"), 10, 64)
	}
	if got := list(w.newDrops()); got != list(want) {
		in.fail("dropped: %s", got)
	}
	w.stated = w.allDrops()
}

// checkCounters reads "counters [td=N] NAME=N …": all of the ALG's counters
// that are not zero, added up over the traffic domains unless one is named.
func (w *world) checkCounters(in *words) {
	w.begun = false
	var all ipsec.Counters
	for _, r := range w.routers(in) {
		c := r.ALG().Counters()
		all.Add(&c)
	}
	var got, want []string
	for _, row := range counterRows(all) {
		if n, ok := in.key(row.word); ok {
			want = append(want, row.word+"="+n)
		}
		if row.n != 0 {
			got = append(got, fmt.Sprintf("%s=%d", row.word, row.n))
		}
	}
	if !slices.Equal(got, want) {
		in.fail("counters %s", strings.Join(got, " "))
	}
}

type counterRow struct {
	word string
	n    uint64
}

func counterRows(c ipsec.Counters) []counterRow {
	return []counterRow{
		{"total", c.Total}, {"active", c.Active}, {"dropped", c.Dropped}, {"blocked", c.Blocked},
		{"rx", c.RxPkts}, {"tx", c.TxPkts},
		{"esp_no_gate_in", c.ESPNoGateIn}, {"esp_no_gate_out", c.ESPNoGateOut},
		{"gate_timeout", c.GateTimeout}, {"gate_fail", c.GateFail}, {"late_bind", c.LateBind},
		{"spi_collision_suspect", c.SPICollisionSuspect}, {"stale_spi", c.StaleSPI}, {"seq_reject", c.SeqReject},
		{"p2_held", c.P2Held}, {"p2_dropped", c.P2Dropped},
		{"ike_half_limit", c.IKEHalfLimit}, {"malformed_ike", c.MalformedIKE},
		{"ike", c.IKESessions}, {"ike_half_open", c.IKEHalfOpen}, {"esp", c.ESPSessions},
	}
}

// checkGate reads "gate NAT SERVER none" or "gate NAT SERVER STATE [holder=HOST]
// [waiters=HOST,…] [open|closed] [in=SPI,…] [td=N]". Who waits is always compared, in
// turn; in= is the inbound SPIs that the gate has bound.
func (w *world) checkGate(in *words) {
	f := ipsec.Filter{NAT: w.addr(in, in.next("a NAT address")), Server: w.addr(in, in.next("a server"))}
	state := in.next("a state")
	rows := slices.Collect(w.router(in).ALG().Gates(f))
	if state == "none" || len(rows) == 0 {
		if state != "none" || len(rows) != 0 {
			in.fail("gates: %+v", rows)
		}
		return
	}
	g := rows[0]
	got := "gate " + strings.ToLower(g.State.String())
	want := "gate " + state
	if holder, ok := in.key("holder"); ok {
		got += fmt.Sprintf(" holder=%v", g.Inside)
		want += fmt.Sprintf(" holder=%v", w.addr(in, holder))
	}
	for _, x := range g.Waiting {
		got += fmt.Sprintf(" waits=%v", x.Inside)
	}
	if waiters, ok := in.key("waiters"); ok {
		for _, name := range strings.Split(waiters, ",") {
			want += fmt.Sprintf(" waits=%v", w.addr(in, name))
		}
	}
	if in.flag("open") && !g.Open || in.flag("closed") && g.Open {
		in.fail("open is %v", g.Open)
	}
	if spis, ok := in.key("in"); ok {
		got += " in=" + hexes(g.SPIsIn)
		want += " in=" + spis
	}
	if got != want {
		in.fail("%s", got)
	}
}

func hexes(spis []uint32) string {
	out := make([]string, len(spis))
	for i, spi := range spis {
		out[i] = strconv.FormatUint(uint64(spi), 16)
	}
	return strings.Join(out, ",")
}

// checkSession reads "session CLIENT STATE in=SPI out=SPI [nat=NAT]
// [server=HOST] [td=N]"; "-" is an SPI that is not known.
func (w *world) checkSession(in *words) {
	inside, state := w.addr(in, in.next("a client")), in.next("a state")
	want := []string{inside.String(), w.addr(in, orElse(in, "nat", "nat")).String(), w.addr(in, orElse(in, "server", "gateway")).String(),
		orElse(in, "in", "-"), orElse(in, "out", "-"), state}
	all := ""
	for s := range w.router(in).ALG().Sessions(ipsec.Filter{}) {
		row := []string{s.Inside.String(), s.NAT.String(), s.Server.String(), spiWord(s.SPIIn), spiWord(s.SPIOut),
			strings.ToLower(s.State.String())}
		if slices.Equal(row, want) {
			return
		}
		all += "\n\t" + strings.Join(row, " ")
	}
	in.fail("sessions:%s", all)
}

func spiWord(spi uint32) string {
	if spi == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(spi), 16)
}

func orElse(in *words, key, def string) string {
	if v, ok := in.key(key); ok {
		return v
	}
	return def
}

// checkSessions reads "sessions N [td=N]".
func (w *world) checkSessions(in *words) {
	n := 0
	for _, r := range w.routers(in) {
		n += len(slices.Collect(r.ALG().Sessions(ipsec.Filter{})))
	}
	w.number(in, n)
}

func (w *world) number(in *words, got int) {
	if want := in.next("a number"); want != strconv.Itoa(got) {
		in.fail("there are %d", got)
	}
}

// checkIKE reads "ike CLIENT STATE spi=I:R [server=HOST] [td=N]"; without R it is not
// known.
func (w *world) checkIKE(in *words) {
	inside, state := w.addr(in, in.next("a client")), in.next("a state")
	initiator, responder := in.two("spi", ":", 16)
	server := w.addr(in, orElse(in, "server", "gateway"))
	all := ""
	for s := range w.router(in).ALG().IKESessions(ipsec.Filter{Inside: inside, Server: server}) {
		if s.Initiator == initiator && s.Responder == responder && strings.ToLower(s.State.String()) == state {
			return
		}
		all += fmt.Sprintf("\n\t%s spi=%x:%x", strings.ToLower(s.State.String()), s.Initiator, s.Responder)
	}
	in.fail("its IKE sessions:%s", all)
}

// checkIKEs reads "ikes N [td=N]".
func (w *world) checkIKEs(in *words) {
	n := 0
	for _, r := range w.routers(in) {
		n += len(slices.Collect(r.ALG().IKESessions(ipsec.Filter{})))
	}
	w.number(in, n)
}

// checkMapping reads "mapping CLIENT:PORT SERVER:PORT NAT:PORT|none [td=N]", for UDP.
func (w *world) checkMapping(in *words) {
	inside, remote := w.end(in, in.next("an inside end")), w.end(in, in.next("a remote end"))
	text := in.next("an outside end, or none")
	b, ok := w.router(in).LSN().FindOut(lsn.Tuple{
		Proto:  frame.ProtoUDP,
		Inside: frame.Endpoint{Addr: inside.addr, Port: inside.port}, Remote: frame.Endpoint{Addr: remote.addr, Port: remote.port},
	})
	if text == "none" {
		if ok {
			in.fail("it is mapped to %v", b.Outside)
		}
		return
	}
	want := w.end(in, text)
	if got := (end{addr: b.Outside.Addr, port: b.Outside.Port, has: true}); !ok || got != want {
		in.fail("it is mapped to %v (%v)", b.Outside, ok)
	}
}

// checkFast reads "fast yes|no": did the last packet meet a flow of the flow
// table, past the stack.
func (w *world) checkFast(in *words) {
	took := map[bool]string{false: "no", true: "yes"}[w.chassis.Flows().Stats().Hits > w.hits]
	if want := in.next("yes or no"); took != want {
		in.fail("it did: %s", took)
	}
}

// checkLog reads "log EVENT key=value …": such a line stands behind the one
// that was asked for last.
func (w *world) checkLog(in *words) {
	lines := w.log.all()
	i := w.findLog(in, lines)
	if i < 0 {
		in.fail("not in the log, which goes on with:\n\t%s", strings.Join(lines[w.mark:min(len(lines), w.mark+30)], "\n\t"))
		return
	}
	w.mark = i + 1
}

// checkNoLog reads "nolog EVENT key=value …": no such line stands there.
func (w *world) checkNoLog(in *words) {
	lines := w.log.all()
	if i := w.findLog(in, lines); i >= 0 {
		in.fail("in the log: %s", lines[i])
	}
}

// findLog returns the first line from the mark on that has every word.
func (w *world) findLog(in *words, lines []string) int {
	want := []string{in.next("an event")}
	for k, v := range in.keys {
		if k == "src" || k == "nat" || k == "dst" {
			v = w.addr(in, v).String()
		}
		want = append(want, k+"="+v)
	}
	clear(in.keys)
	for i := w.mark; i < len(lines); i++ {
		has := strings.Fields(lines[i])
		missing := func(word string) bool { return !slices.Contains(has, word) }
		if !slices.ContainsFunc(want, missing) {
			return i
		}
	}
	return -1
}
