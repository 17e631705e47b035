package hwtest

import (
	"fmt"
	"slices"
	"testing"

	"spigate/hw"
)

// pvids gives each port a VLAN of its own, so that a driver that mixes ports up
// cannot be right by chance, and takes them away in another order.
func pvids(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	u, want := users(c), empty(chip)
	for i, name := range u {
		v := hw.VLAN{ID: 100 + uint16(i), Tagged: []string{c.CPU()}, Untagged: []string{name}}
		do(t, "set a row", chip.SetVLAN(v))
		do(t, "set the PVID of "+name, chip.SetPVID(name, v.ID))
		want.VLANs = append(want.VLANs, v)
		want.PVID[name] = v.ID
		expect(t, "after the PVID of "+name, chip, want)
	}
	for i := range u {
		name := u[(i+1)%len(u)]
		do(t, "no PVID at "+name, chip.SetPVID(name, 0))
		delete(want.PVID, name)
		expect(t, "after no PVID at "+name, chip, want)
		do(t, "no PVID again at "+name, chip.SetPVID(name, 0))
		expect(t, "after no PVID twice at "+name, chip, want)
	}
}

// pvidStays: another member joins and leaves, and frames without tag of those
// who stay are still of their VLAN.
func pvidStays(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	u, want := users(c), example(t, chip)
	if len(u) < 2 {
		return
	}
	for _, others := range [][]string{u[1:], nil, u[1:2]} {
		v := hw.VLAN{ID: 20, Tagged: []string{c.CPU()}, Untagged: append([]string{u[0]}, others...)}
		slices.Sort(v.Untagged)
		want.VLANs = []hw.VLAN{v}
		do(t, "replace the row", chip.SetVLAN(v))
		expect(t, fmt.Sprintf("after %v joined", others), chip, want)
	}
}

func onOff(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	want := empty(chip)
	set := func(name string, on bool) {
		t.Helper()
		do(t, fmt.Sprintf("turn %s on %v", name, on), chip.SetPort(name, on))
		want.On[name] = on
		expect(t, fmt.Sprintf("after %s on %v", name, on), chip, want)
	}
	u := users(c)
	for _, name := range u {
		set(name, true)
		set(name, true)
	}
	for i := range u {
		set(u[(i+1)%len(u)], false)
	}
	set(u[0], false)
	set(u[0], true)
}

func mtus(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	says := table(t, chip).MTU != 0
	sizes := []int{1500, 1400, 1500}
	if c.MaxMTU != 0 {
		sizes = append(sizes, c.MaxMTU, min(1500, c.MaxMTU))
	}
	for _, mtu := range sizes {
		if c.MaxMTU != 0 && mtu > c.MaxMTU {
			continue
		}
		do(t, fmt.Sprintf("mtu %d", mtu), chip.SetMTU(mtu))
		if is := table(t, chip).MTU; is != mtu && (says || is != 0) {
			t.Errorf("mtu is %d, not %d", is, mtu)
		}
	}
	was := table(t, chip).MTU
	bad := []int{0, -1}
	if c.MaxMTU != 0 {
		bad = append(bad, c.MaxMTU+1, c.MaxMTU*100)
	}
	for _, mtu := range bad {
		refuse(t, fmt.Sprintf("mtu %d", mtu), chip.SetMTU(mtu))
		if is := table(t, chip).MTU; is != was {
			t.Errorf("mtu is %d after a refusal, it was %d", is, was)
		}
	}
}

func flush(t testing.TB, o Options) {
	chip := fresh(t, o)
	want := example(t, chip)
	for _, p := range chip.Capabilities().Ports {
		do(t, "flush "+p.Name, chip.Flush(p.Name))
	}
	expect(t, "after all was forgotten", chip, want)
}

func prepare(t testing.TB, o Options) {
	chip := fresh(t, o)
	want := example(t, chip)
	for range 2 {
		do(t, "prepare again", chip.Prepare())
		expect(t, "after prepare", chip, want)
	}
}

func restart(t testing.TB, o Options) {
	if o.Again == nil {
		return
	}
	chip := fresh(t, o)
	want := example(t, chip)
	do(t, "close", chip.Close())
	chip = o.Again(t, chip)
	t.Cleanup(func() { _ = chip.Close() })
	expect(t, "after the restart", chip, want)
	do(t, "prepare", chip.Prepare())
	expect(t, "after the restart and prepare", chip, want)
}

func links(t testing.TB, o Options) {
	chip := fresh(t, o)
	ports := chip.Capabilities().Ports
	read := func() []hw.Link {
		t.Helper()
		is, err := chip.Links()
		do(t, "read the links", err)
		if len(is) != len(ports) {
			t.Fatalf("%d links of %d ports", len(is), len(ports))
		}
		for i, l := range is {
			if l.Port != ports[i].Name {
				t.Fatalf("link %d is of %s, not %s", i, l.Port, ports[i].Name)
			}
			if l.Speed < 0 || !l.Up && (l.Speed != 0 || l.Duplex) {
				t.Errorf("a link that cannot be: %+v", l)
			}
		}
		return is
	}
	read()
	if o.SetLink == nil {
		return
	}
	for i, p := range ports {
		if p.CPU {
			continue
		}
		do(t, "turn on "+p.Name, chip.SetPort(p.Name, true))
		for _, up := range []bool{false, true, false} {
			before := read()
			o.SetLink(chip, p.Name, up)
			if n, ok := chip.(hw.Notifier); ok && before[i].Up != up {
				<-n.Changes()
			}
			after := read()
			if after[i].Up != up {
				t.Errorf("the link of %s is up %v after it was plugged %v", p.Name, after[i].Up, up)
			}
			before[i], after[i] = hw.Link{}, hw.Link{}
			if !slices.Equal(before, after) {
				t.Errorf("the cable of %s changed other links: %v, then %v", p.Name, before, after)
			}
		}
	}
}

func counters(t testing.TB, o Options) {
	chip := fresh(t, o)
	ports := chip.Capabilities().Ports
	was := make([]hw.Counters, len(ports))
	for range 3 {
		is, err := chip.Counters()
		do(t, "read the counters", err)
		if len(is) != len(ports) {
			t.Fatalf("%d counters of %d ports", len(is), len(ports))
		}
		for i, c := range is {
			if c.Port != ports[i].Name {
				t.Fatalf("counter %d is of %s, not %s", i, c.Port, ports[i].Name)
			}
			w := was[i]
			if c.RxFrames < w.RxFrames || c.TxFrames < w.TxFrames || c.RxBytes < w.RxBytes || c.TxBytes < w.TxBytes ||
				c.RxErrors < w.RxErrors || c.RxDropped < w.RxDropped || c.TxDropped < w.TxDropped {
				t.Errorf("counters of %s fell from %+v to %+v", c.Port, w, c)
			}
		}
		was = is
	}
}
