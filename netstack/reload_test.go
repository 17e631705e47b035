package netstack

import (
	"slices"
	"strings"
	"testing"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/natlog"
)

var newNAT = addr("203.0.113.4")

// on is the settings of the test's router with other NAT addresses.
func (w *world) on(addrs ...frame.Addr) Settings {
	c := testLSN()
	c.Pools[0].Ranges = nil
	for _, a := range addrs {
		c.Pools[0].Ranges = append(c.Pools[0].Ranges, lsn.Range{First: a, Last: a})
	}
	p := ipsec.DefaultProfile()
	p.Name = "P"
	return Settings{LSN: c, Profiles: map[string]ipsec.Profile{"P": p}}
}

func (w *world) reload(s Settings) Reloaded {
	w.t.Helper()
	n, err := w.r.Reload(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// announced returns the addresses in gratuitous ARP among frames.
func announced(frames [][]byte) (out []frame.Addr) {
	for _, b := range frames {
		if len(b) >= 42 && b[12] == 8 && b[13] == 6 && string(b[28:32]) == string(b[38:42]) {
			out = append(out, frame.Addr(b[28:32]))
		}
	}
	return out
}

// answersFor reports whether the router answers ARP for an address.
func (w *world) answersFor(a frame.Addr) bool {
	w.wan.Drain()
	w.frame(1, asked(a))
	return len(w.wan.Drain()) == 1
}

func TestN28_APoolAddressLeavesARunningRouterWithAllThatUsedIt(t *testing.T) {
	w := newWorld(t)
	out := udpTo(at(client1, 4000), at(server, 9), "x")
	w.fromLAN(out, out, out)
	if n := len(w.atWAN()); n != 3 || w.r.flows.Stats().Entries == 0 {
		t.Fatalf("%d packets, %d flows", n, w.r.flows.Stats().Entries)
	}
	k := w.tunnel(client2, 0x1000)
	k.up()
	n := w.reload(w.on(newNAT))
	if n != (Reloaded{Sessions: Survival{Cleared: 2}, ALG: Survival{Cleared: 2}}) {
		t.Errorf("told %+v", n)
	}
	if got := announced(w.wan.Drain()); !slices.Equal(got, []frame.Addr{newNAT}) {
		t.Errorf("announced %v, want the new address alone", got)
	}
	w.r.flows.Walk(func(i flow.Info) bool { t.Errorf("flow left: %+v", i); return true })
	if n := w.r.lsn.Stats().Sessions; n != [3]int{} {
		t.Errorf("sessions left: %v", n)
	}
	if n := len(slices.Collect(w.r.alg.Sessions(ipsec.Filter{}))); n != 0 {
		t.Errorf("%d ESP sessions left", n)
	}
	if w.answersFor(natAddr) || !w.answersFor(newNAT) {
		t.Error("ARP is not answered for the addresses there are now")
	}
	w.wantDrop(drop.None, 0, func() { w.fromLAN(out) })
	if p := w.one(w.atWAN()); p.Src != newNAT {
		t.Errorf("left as %v", p.Src)
	}
}

func TestAReloadTouchesNoFlowThatCanStay(t *testing.T) {
	w := newWorld(t)
	out := udpTo(at(client1, 4000), at(server, 9), "x")
	w.fromLAN(out, out, out)
	w.atWAN()
	k := w.tunnel(client2, 0x1000)
	k.up()
	hits := w.r.flows.Stats().Hits
	if n := w.reload(w.on(natAddr, newNAT)); n != (Reloaded{Sessions: Survival{Kept: 2}, ALG: Survival{Kept: 2}}) {
		t.Errorf("told %+v", n)
	}
	w.wan.Drain()
	w.fromLAN(out)
	w.one(w.atWAN())
	if w.r.flows.Stats().Hits != hits+1 {
		t.Error("the flow was not there any more")
	}
	k.traffic()
}

func TestARefusedReloadSaysAllAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.on(newNAT)
	s.LSN.Groups[0].RewriteID = true
	s.LSN.Clients = nil
	_, err := w.r.Reload(s)
	if err == nil || !strings.Contains(err.Error(), "df-clear") || !strings.Contains(err.Error(), `client "C" does not exist`) {
		t.Errorf("told %v", err)
	}
	if !w.answersFor(natAddr) || w.answersFor(newNAT) {
		t.Error("something changed")
	}
}

// The end of a session is logged as its beginning was, though the new settings
// log nothing.
func TestTheLogHearsOfWhatAReloadEnds(t *testing.T) {
	var kinds []natlog.Kind
	logged := map[string]LoggedGroup{"G": {Sessions: true}}
	w := newWorld(t, func(c *Config) {
		c.NATLog = NATLog{Emit: func(r natlog.Record) { kinds = append(kinds, r.Kind) }, Groups: logged}
	})
	w.fromLAN(udpTo(at(client1, 4000), at(server, 9), "x"))
	kinds = nil
	w.reload(w.on(newNAT))
	if !slices.Contains(kinds, natlog.SessionDeleted) || !slices.Contains(kinds, natlog.MappingDeleted) {
		t.Errorf("told %v", kinds)
	}
	kinds = nil
	w.fromLAN(udpTo(at(client1, 4000), at(server, 9), "x"))
	if len(kinds) != 0 {
		t.Errorf("told %v, and the group is not logged any more", kinds)
	}
	s := w.on(natAddr)
	s.Logged = logged
	w.reload(s)
	w.fromLAN(udpTo(at(client1, 4000), at(server, 9), "x"))
	if !slices.Contains(kinds, natlog.SessionCreated) {
		t.Errorf("told %v, and the group is logged again", kinds)
	}
}
