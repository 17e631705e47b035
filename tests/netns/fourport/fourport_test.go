package fourport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

var everybody = frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Two that are of one VLAN, at untagged ports or one of them behind a tagged
// one: their frames pass the switch, and the router counts none.
func TestHostsOfOneVLANTalkWithoutTheRouter(t *testing.T) {
	o := open(t)
	for _, to := range []*host{o.printer, o.dave} {
		o.serve(to, 7)
		o.talks(o.alice, to, 7, 1000) // both are known now, to each other and to the switch
		staff, before := o.vlan("staff"), o.ports()
		o.talks(o.alice, to, 7, 1<<20)
		// Hosts tell a group of theirs from time to time, which every port hears.
		if is := o.vlan("staff"); is.RxFrames > staff.RxFrames+5 || is.TxFrames != staff.TxFrames {
			t.Errorf("%s: the router's counters moved from %+v to %+v", to.name, staff, is)
		}
		if n := o.ports()["lan1"].RxFrames - before["lan1"].RxFrames; n < 1<<20/1500 {
			t.Errorf("%s: only %d frames came in at lan1", to.name, n)
		}
	}
	o.serve(o.erin, 7)
	o.talks(o.gwen, o.erin, 7, 1000)
}

// Guests reach the printer, because a virtual server says so, and nothing else
// of staff; staff does not reach guests.
func TestHostsOfDifferentVLANsMeetOnlyWhereAVirtualServerPermits(t *testing.T) {
	o := open(t)
	printer := o.serve(o.printer, 631)
	o.serve(o.printer, 22)
	o.serve(o.alice, 631)
	o.serve(o.gwen, 7)
	staff := o.vlan("staff")
	for _, from := range []*host{o.gwen, o.erin} {
		o.talks(from, o.printer, 631, 100000)
		o.refused(from, o.printer, 22)
		o.refused(from, o.alice, 631)
	}
	o.refused(o.alice, o.gwen, 7)
	o.refused(o.dave, o.gwen, 7)
	if d := slices.Compare(addrs(printer.visitors()), []string{"10.0.20.11", "10.0.20.14"}); d != 0 {
		t.Errorf("the printer was visited by %v", printer.visitors())
	}
	if is := o.vlan("staff"); is.TxFrames < staff.TxFrames+2*100000/1500 {
		t.Errorf("the router sent %d frames to staff: who else forwarded?", is.TxFrames-staff.TxFrames)
	}
}

func addrs(of []netip.Addr) (out []string) {
	for _, a := range of {
		out = append(out, a.String())
	}
	return out
}

// Everybody reaches the Internet, at whatever port of the switch, and is seen
// there with an address of the pool.
func TestEverybodyIsTranslatedOutside(t *testing.T) {
	o := open(t)
	web := o.serve(o.web, 80)
	inside := []*host{o.alice, o.gwen, o.dave, o.erin}
	for _, h := range inside {
		o.talks(h, o.web, 80, 100000)
	}
	first, last := netip.MustParseAddr("203.0.113.3"), netip.MustParseAddr("203.0.113.9")
	for _, a := range web.visitors() {
		if a.Less(first) || last.Less(a) {
			t.Errorf("%v came, which is not of the pool", a)
		}
	}
	var rows []netns.LSNRow
	o.must(o.daemon.Show(o.ctx, &rows, "lsn", "session"))
	for _, h := range inside {
		if !slices.ContainsFunc(rows, func(r netns.LSNRow) bool { return r.SubscriberIP == h.at }) {
			t.Errorf("%s has no LSN session: %v", h.name, rows)
		}
	}
}

// A broadcast is heard by its VLAN, tagged or not, and a host that tags itself
// into a foreign one is heard by nobody.
func TestNothingGetsIntoAForeignVLAN(t *testing.T) {
	o := open(t)
	c := o.watch(o.printer, o.gwen, o.dave, o.erin)
	before := o.ports()["lan1"]
	o.send(o.alice, marked(everybody, 1, "into guests"), 20)
	o.send(o.alice, marked(everybody, 1, "into nobody's"), 99)
	o.send(o.alice, marked(everybody, 1, "to staff"), 0)
	o.send(o.erin, marked(everybody, 2, "to guests"), 0)
	o.hears(c[o.printer], o.printer, "to staff")
	o.hears(c[o.dave], o.dave, "to staff")
	o.hears(c[o.gwen], o.gwen, "to guests")
	if n := o.ports()["lan1"].RxDropped - before.RxDropped; n != 2 {
		t.Errorf("%d frames were dropped at lan1, want 2", n)
	}
	// What was sent first would have come first.
	for h, capture := range c {
		o.heardNothing(capture, h, "into guests")
		o.heardNothing(capture, h, "into nobody's")
	}
	o.heardNothing(c[o.gwen], o.gwen, "to staff")
	o.heardNothing(c[o.erin], o.erin, "to staff")
	o.heardNothing(c[o.printer], o.printer, "to guests")
	o.heardNothing(c[o.dave], o.dave, "to guests")
}

// A cable is pulled and plugged in again: the log says so, and nobody else
// notices.
func TestAPortThatGoesDownIsToldAndTheOthersGoOn(t *testing.T) {
	o := open(t)
	o.serve(o.web, 80)
	o.serve(o.printer, 631)
	o.talks(o.alice, o.printer, 631, 1000)
	before := len(o.daemon.Output())
	o.must(o.router.SetLink("tap-lan1", false))
	o.logs(before, "port lan1 is down", "switch=sw0")
	if p := o.ports(); p["lan1"].Link != "down" || p["lan2"].Link != "up" || p["lan"].Link != "up" {
		t.Errorf("links %+v", p)
	}
	o.talks(o.gwen, o.web, 80, 10000)
	o.talks(o.dave, o.printer, 631, 10000)
	o.must(o.router.SetLink("tap-lan1", true))
	o.logs(before, "port lan1 is up")
	o.talks(o.alice, o.printer, 631, 10000)
	o.talks(o.alice, o.web, 80, 10000)
}

// A loose contact: the log says it once, not each time, and the others go on.
func TestAPortThatFlapsIsToldOnce(t *testing.T) {
	o := open(t)
	o.serve(o.web, 80)
	before := len(o.daemon.Output())
	for n := range 8 {
		up := n%2 == 1
		o.must(o.router.SetLink("tap-lan1", up))
		o.eventually("lan1", func() error {
			if is := o.ports()["lan1"].Link; (is == "up") != up {
				return fmt.Errorf("lan1 is %s", is)
			}
			return nil
		})
		o.talks(o.gwen, o.web, 80, 10000)
	}
	o.logs(before, "level=WARN", "port lan1 has changed", "look at its cable")
	told := 0
	for _, line := range o.daemon.Output()[before:] {
		if strings.Contains(line, "port lan1") {
			told++
		}
	}
	if told >= 8 {
		t.Errorf("%d lines about 8 changes", told)
	}
}

// SIGHUP moves lan1 from staff to guests, under the eyes of a connection that
// has nothing to do with it.
func TestAReloadMovesAPortToAnotherVLAN(t *testing.T) {
	o := open(t)
	o.serve(o.web, 80)
	o.serve(o.printer, 631)
	o.serve(o.gwen, 7)
	o.talks(o.alice, o.printer, 631, 1000)
	through := make(chan error, 1)
	go func() { through <- o.talk(o.dave, o.printer, 631, 4<<20) }()

	before := len(o.daemon.Output())
	o.must(o.daemon.Reconfigure(o.template(`["lan1", "lan2"]`, `["lan2"]`, `["lan3"]`, `["lan1", "lan3"]`)))
	o.logs(before, "msg=reloaded")
	o.logs(before, "VLANs changed [10 20]", "lan1")
	p := o.ports()["lan1"]
	if p.Untagged == nil || *p.Untagged != "guests" || !slices.Equal(o.vlan("guests").Untagged, []string{"lan1", "lan3"}) {
		t.Errorf("lan1 is %+v, guests %+v", p, o.vlan("guests"))
	}
	if err := <-through; err != nil {
		t.Error(err)
	}

	c := o.watch(o.printer, o.gwen)
	o.send(o.alice, marked(everybody, 1, "from lan1"), 0)
	o.hears(c[o.gwen], o.gwen, "from lan1")
	o.heardNothing(c[o.printer], o.printer, "from lan1")
	o.becomesAGuest(o.alice, "10.0.20.12")
	o.talks(o.alice, o.gwen, 7, 10000)
	o.talks(o.alice, o.printer, 631, 10000) // by the router and its virtual server now
	o.talks(o.alice, o.web, 80, 10000)
}

// becomesAGuest gives a host an address of its new network.
func (o *office) becomesAGuest(h *host, at string) {
	o.t.Helper()
	o.must(h.NoAddresses("eth0"))
	h.at = netip.MustParseAddr(at)
	o.must(errors.Join(h.Address("eth0", netip.PrefixFrom(h.at, 24)),
		h.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.20.1"))))
}

// What cannot be is refused as a whole: the switch stays as it was.
func TestAReloadThatAsksForTheImpossibleChangesNothing(t *testing.T) {
	o := open(t)
	o.serve(o.printer, 631)
	before := len(o.daemon.Output())
	o.must(o.daemon.Reconfigure(o.template(`["lan3"]`, `["lan3", "lan2"]`)))
	o.logs(before, "level=ERROR", "still running the old configuration", "lan2")
	o.talks(o.alice, o.printer, 631, 1000)
}

// The pages of an operator.
func TestTheSwitchIsShown(t *testing.T) {
	o := open(t)
	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{"switch"}, []string{"sw0", "soft", "lan1", "staff", "lan3", "guests", "lan4"}},
		{[]string{"net", "vlan"}, []string{"staff", "10", "guests", "20", "10.0.20.1/24", "outside"}},
	} {
		page, err := o.daemon.Text(o.ctx, c.words...)
		o.must(err)
		for _, part := range c.want {
			if !strings.Contains(page, part) {
				t.Errorf("show %v has no %q:\n%s", c.words, part, page)
			}
		}
	}
	p := o.ports()
	if len(p) != 5 || !p["lan"].CPU || !slices.Equal(slices.Sorted(slices.Values(p["lan4"].Tagged)), []string{"guests", "staff"}) || p["lan4"].Untagged != nil {
		t.Errorf("ports %+v", p)
	}
	o.must(o.daemon.Signal(syscall.SIGTERM))
	<-o.daemon.Done()
	o.must(o.daemon.Err())
	if last := fmt.Sprint(o.daemon.Output()); !strings.Contains(last, "msg=ended") || strings.Contains(last, "level=ERROR") {
		t.Errorf("it did not end well: %s", last)
	}
}
