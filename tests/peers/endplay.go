package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// EndScenarios are the scenarios of tunnels that end on spigate.
func EndScenarios() []EndScenario {
	return []EndScenario{
		{Name: "page", Play: playPage},
		{Name: "rekey", Play: playEndRekey},
		{Name: "restart", Play: playFarRestarts},
		{Name: "faults", Play: playFaults},
		{Name: "ltm nat", Page2: true, Play: playPage2},
		{Name: "NAT-T", NAT: true, Play: playTraversal},
	}
}

// ipsec0 and ipsec2 are the page's servers: towards the far end, and from it.
func ipsec0(protocol string, vlans ...string) string {
	return server("ipsec-0", NearHost, FarHost, protocol, vlans...)
}

func ipsec2(protocol string, vlans ...string) string {
	return server("ipsec-2", FarHost, NearHost, protocol, vlans...)
}

// some is how many bytes show that a connection is possible, and least how many
// of them must have come when iperf3's server counts: what is on its way then
// it does not wait for.
const some, least = 200_000, 100_000

// playPage is the page's first half: one server serves one direction, another
// one with the right VLAN the other; the tunnel is begun by either end.
func playPage(ctx context.Context, e *Ending) error {
	if err := e.begin(ctx, e.config(ipsec0("tcp"))); err != nil {
		return err
	}
	return first(
		func() error { return e.connects(ctx, e.far()) },
		func() error { return e.kernelCounts(ctx) },
		func() error { return e.refused(ctx, "no_listener") },
		func() error {
			return e.Near.Reload(ctx, e.config(ipsec0("tcp"), ipsec2("tcp", e.wrongVLAN())).String())
		},
		func() error { return e.refused(ctx, "vlan_miss") },
		func() error { return e.explained(ctx) },
		func() error {
			return e.Near.Reload(ctx, e.config(ipsec0("tcp"), ipsec2("tcp", e.rightVLAN())).String())
		},
		func() error { return e.isReached(ctx) },
		func() error { return e.keptSAs() },
		func() error { return e.endOrderly(ctx) },
		func() error { return e.farStartsAndBegins(ctx) },
		func() error { return e.isReached(ctx) },
		func() error { return e.connects(ctx, e.far()) },
		func() error { return e.counted(ctx, "ipsec-0", "ipsec-2") },
	)
}

// first does one after the other until something is wrong.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Ending) far() netip.Addr { return e.farHost }

// connects sends something from behind spigate.
func (e *Ending) connects(ctx context.Context, to netip.Addr) error {
	s, err := e.out(ctx, to, amount{Bytes: some})
	if err != nil {
		return err
	}
	e.Say("%v to %v: %d bytes", e.nearHost, to, s.Bytes)
	if s.Bytes < least {
		return fmt.Errorf("%v to %v: %d of %d bytes came", e.nearHost, to, s.Bytes, some)
	}
	return nil
}

// isReached is the other way.
func (e *Ending) isReached(ctx context.Context) error {
	s, err := e.in(ctx, amount{Bytes: some})
	if err != nil {
		return err
	}
	e.Say("%v to %v: %d bytes", e.farHost, e.nearHost, s.Bytes)
	if s.Bytes < least {
		return fmt.Errorf("%v to %v: %d of %d bytes came", e.farHost, e.nearHost, s.Bytes, some)
	}
	return nil
}

// refused demands that no connection comes in, and why.
func (e *Ending) refused(ctx context.Context, reason string) error {
	before, err := e.Near.dropped(ctx, reason)
	if err != nil {
		return err
	}
	if s, err := e.in(ctx, amount{Bytes: some, Vain: true}); err == nil {
		return fmt.Errorf("%v to %v: %d bytes came, expected %s", e.farHost, e.nearHost, s.Bytes, reason)
	}
	after, err := e.Near.dropped(ctx, reason)
	if err != nil {
		return err
	}
	e.Say("%v to %v: %d packets dropped: %s", e.farHost, e.nearHost, after-before, reason)
	if after == before {
		return fmt.Errorf("nothing was dropped for %s", reason)
	}
	return nil
}

// rightVLAN is the page's: the VLAN of the tunnel's outside, or in interface
// mode the tunnel's interface. wrongVLAN is the other one of the two.
func (e *Ending) rightVLAN() string {
	if e.Row.Interface {
		return tunnelName
	}
	return outsideName
}

func (e *Ending) wrongVLAN() string {
	if e.Row.Interface {
		return outsideName
	}
	return insideName
}

// explained demands that `show drops` says which VLAN is missing.
func (e *Ending) explained(ctx context.Context) error {
	page, err := e.Near.Text(ctx, "drops")
	if err != nil {
		return err
	}
	want := []string{
		fmt.Sprintf("virtual server ipsec-2 listens on %s, not on %s", e.wrongVLAN(), e.rightVLAN()),
		fmt.Sprintf("add %q to its vlans", e.rightVLAN()),
	}
	for _, line := range strings.Split(page, "\n") {
		if strings.Contains(line, want[0]) && strings.Contains(line, want[1]) {
			e.Say("show drops: %s", strings.TrimSpace(line))
			return nil
		}
	}
	return fmt.Errorf("show drops does not say %q:\n%s", want, page)
}

// keptSAs demands that reloads have not made the ends negotiate again.
func (e *Ending) keptSAs() error {
	if n := len(e.Near.lines(0, childUp)); n != 1 {
		return fmt.Errorf("the tunnel came up %d times, expected once", n)
	}
	return nil
}

// endOrderly ends the far end's daemon, which tells spigate.
func (e *Ending) endOrderly(ctx context.Context) error {
	mark := len(e.Near.Output())
	if err := e.stopFar(ctx); err != nil {
		return err
	}
	_, err := e.Near.awaitLine(ctx, mark, childDown)
	return err
}

// farStartsAndBegins starts the far end's daemon, and that begins the tunnel.
func (e *Ending) farStartsAndBegins(ctx context.Context) error {
	mark := len(e.Near.Output())
	e.Far.Begins = true
	if err := errors.Join(e.startFar(ctx), e.farBegins(ctx)); err != nil {
		return err
	}
	line, err := e.Near.awaitLine(ctx, mark, childUp)
	e.Say("the far end began: %s", line)
	return err
}

// counted demands that servers have counted packets both ways.
func (e *Ending) counted(ctx context.Context, servers ...string) error {
	for _, name := range servers {
		page, err := e.Near.Text(ctx, "ltm", "virtual", name)
		if err != nil {
			return err
		}
		for _, row := range []string{"Packets In", "Packets Out"} {
			if n := rowOf(page, row); n == "" || n == "0" {
				return fmt.Errorf("show ltm virtual %s: %s is %q:\n%s", name, row, n, page)
			}
		}
	}
	return nil
}

// rowOf returns the first number of a page's row.
func rowOf(page, row string) string {
	for _, line := range strings.Split(page, "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), row); ok {
			if w := strings.Fields(rest); len(w) > 0 {
				return w[0]
			}
		}
	}
	return ""
}

// kernelCounts demands that the far end's kernel has one SA each way, with
// packets, plain or in UDP as it should be.
func (e *Ending) kernelCounts(ctx context.Context) error {
	all, err := e.States(ctx, e.Far.Host)
	if err != nil {
		return err
	}
	var in, out uint64
	for _, sa := range all {
		if sa.UDP != (e.Far.Host != e.Gateway) {
			return fmt.Errorf("SPI %#08x: in UDP: %v", sa.SPI, sa.UDP)
		}
		if sa.Dst == e.Far.Host.Address.Addr() {
			in += sa.Packets
		} else {
			out += sa.Packets
		}
	}
	e.Say("the far end's kernel has %d SAs, counted %d ESP packets in and %d out", len(all), in, out)
	if len(all) != 2 || in == 0 || out == 0 {
		return fmt.Errorf("%d SAs, %d packets in and %d out", len(all), in, out)
	}
	return nil
}

// playPage2 is the page's second half: local users reach a host behind the
// tunnel under the address of an ltm nat, and the selector has the other one.
func playPage2(ctx context.Context, e *Ending) error {
	nat := fmt.Sprintf("[ltm.nat.NAT-1]\noriginating_address = %q\ntranslation_address = %q\n", Originator.Addr(), Translated)
	if err := e.begin(ctx, e.config(nat)); err != nil {
		return err
	}
	return first(
		func() error { return e.connects(ctx, Translated) },
		func() error { return e.kernelCounts(ctx) },
		// The host behind the tunnel begins, and is seen under its other address.
		func() error { return e.isReached(ctx) },
		func() error { return e.natCounted(ctx) },
	)
}

func (e *Ending) natCounted(ctx context.Context) error {
	page, err := e.Near.Text(ctx, "ltm", "nat")
	e.Say("show ltm nat:\n%s", page)
	return err
}

// playTraversal: the far end is behind a NAT and begins; ESP goes in UDP.
func playTraversal(ctx context.Context, e *Ending) error {
	e.Far.Begins = true
	if err := e.begin(ctx, e.config(ipsec0("any"), ipsec2("any"))); err != nil {
		return err
	}
	return first(
		func() error { return e.farBegins(ctx) },
		func() error { _, err := e.Near.awaitLine(ctx, 0, childUp); return err },
		func() error { return e.isReached(ctx) },
		func() error { return e.connects(ctx, e.far()) },
		func() error { return e.kernelCounts(ctx) },
	)
}

// playFarRestarts: the far end loses power and comes back while there is
// traffic for it.
func playFarRestarts(ctx context.Context, e *Ending) error {
	if err := e.begin(ctx, e.config(ipsec0("any"), ipsec2("any"))); err != nil {
		return err
	}
	return first(
		func() error { return e.connects(ctx, e.far()) },
		func() error { return e.Kill(ctx, e.Far.Host) },
		func() error { return e.farStartsAndBegins(ctx) },
		func() error { return e.isReached(ctx) },
		func() error { return e.connects(ctx, e.far()) },
	)
}

// The words of spigate's log for what becomes of SAs.
const (
	childUp    = "CHILD UP"
	childDown  = "CHILD DOWN"
	ikeRekeyed = "IKE REKEYED"
)
