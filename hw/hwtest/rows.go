package hwtest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"spigate/hw"
)

func capabilities(t testing.TB, o Options) {
	chip := o.Open(t)
	t.Cleanup(func() { _ = chip.Close() })
	c := chip.Capabilities()
	cpus, names := 0, []string{}
	for _, p := range c.Ports {
		if p.CPU {
			cpus++
		}
		if p.Name == "" {
			t.Errorf("a port has no name")
		}
		names = append(names, p.Name)
	}
	slices.Sort(names)
	switch {
	case c.Driver == "" || c.Chip == "":
		t.Errorf("driver %q, chip %q: neither may be empty", c.Driver, c.Chip)
	case cpus != 1:
		t.Errorf("%d ports are the router's; there is one", cpus)
	case len(slices.Compact(slices.Clone(names))) != len(names):
		t.Errorf("two ports have one name: %v", names)
	case len(names) < 2:
		t.Errorf("only %d ports", len(names))
	case c.VLANs < 0 || c.VLANs > hw.MaxVLAN || c.LeastID > hw.MaxVLAN || c.Untagged < 0 || c.MaxMTU < 0:
		t.Errorf("limits that cannot be: %+v", c)
	}
}

// lowest is the smallest id that a chip takes.
func lowest(c hw.Capabilities) uint16 { return max(1, c.LeastID) }

func rows(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	u, want := users(c), empty(chip)
	set := func(v hw.VLAN) {
		t.Helper()
		slices.Sort(v.Tagged)
		slices.Sort(v.Untagged)
		do(t, fmt.Sprintf("set %v", v), chip.SetVLAN(v))
		want.VLANs = slices.DeleteFunc(want.VLANs, func(w hw.VLAN) bool { return w.ID == v.ID })
		want.VLANs = append(want.VLANs, v)
		slices.SortFunc(want.VLANs, func(a, b hw.VLAN) int { return int(a.ID) - int(b.ID) })
		expect(t, fmt.Sprintf("after %v was set", v), chip, want)
	}
	remove := func(id uint16) {
		t.Helper()
		do(t, fmt.Sprintf("remove %d", id), chip.RemoveVLAN(id))
		want.VLANs = slices.DeleteFunc(want.VLANs, func(w hw.VLAN) bool { return w.ID == id })
		expect(t, fmt.Sprintf("after %d was removed", id), chip, want)
	}
	set(hw.VLAN{ID: 20, Tagged: []string{c.CPU()}, Untagged: []string{u[0]}})
	set(hw.VLAN{ID: hw.MaxVLAN, Tagged: append([]string{c.CPU()}, u...)})
	set(hw.VLAN{ID: lowest(c), Tagged: []string{c.CPU(), u[0]}})
	last := u[len(u)-1]
	set(hw.VLAN{ID: 20, Tagged: []string{c.CPU()}, Untagged: []string{last}}) // u[0] is out
	set(hw.VLAN{ID: 20, Tagged: []string{c.CPU(), last}})                     // with tag from now on
	set(hw.VLAN{ID: 20, Tagged: []string{c.CPU(), last}})                     // again
	remove(hw.MaxVLAN)
	remove(hw.MaxVLAN) // is none
	remove(30)         // never was one
	remove(20)
	remove(lowest(c))
}

func patterns(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	u, most := users(c), o.Patterns
	if most == 0 {
		most = 300
	}
	all := 1
	for range u {
		all *= 3
	}
	// A stride that is no multiple of 3 visits every digit's values when not all
	// patterns can be tried.
	stride := max(1, all/most) | 1
	if stride%3 == 0 {
		stride += 2
	}
	for i, n := 0, 0; n < min(all, most); i, n = (i+stride)%all, n+1 {
		v := hw.VLAN{ID: 77, Tagged: []string{c.CPU()}}
		for k, rest := 0, i; k < len(u); k, rest = k+1, rest/3 {
			switch rest % 3 {
			case 1:
				v.Tagged = append(v.Tagged, u[k])
			case 2:
				v.Untagged = append(v.Untagged, u[k])
			}
		}
		slices.Sort(v.Tagged)
		slices.Sort(v.Untagged)
		want := empty(chip)
		want.VLANs = []hw.VLAN{v}
		do(t, fmt.Sprintf("set %v", v), chip.SetVLAN(v))
		expect(t, fmt.Sprintf("after %v", v), chip, want)
	}
}

func badIDs(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	want := example(t, chip)
	ids := []uint16{0, 4095, 4096, 4096 + 20, 0xffff}
	if c.LeastID > 1 {
		ids = append(ids, c.LeastID-1)
	}
	for _, id := range ids {
		refuse(t, fmt.Sprintf("row %d", id), chip.SetVLAN(hw.VLAN{ID: id, Tagged: []string{c.CPU()}}))
		expect(t, fmt.Sprintf("after row %d was refused", id), chip, want)
		if id == 0 {
			continue // no VLAN
		}
		refuse(t, fmt.Sprintf("PVID %d", id), chip.SetPVID(users(c)[0], id))
		expect(t, fmt.Sprintf("after PVID %d was refused", id), chip, want)
	}
}

func badPorts(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	want := example(t, chip)
	for _, name := range []string{"", "nosuch0", users(c)[0] + "x"} {
		refuse(t, "a member "+name, chip.SetVLAN(hw.VLAN{ID: 20, Tagged: []string{c.CPU(), name}}))
		refuse(t, "a member in a new row "+name, chip.SetVLAN(hw.VLAN{ID: 21, Tagged: []string{c.CPU()}, Untagged: []string{name}}))
		refuse(t, "PVID of "+name, chip.SetPVID(name, 20))
		refuse(t, "no PVID of "+name, chip.SetPVID(name, 0))
		refuse(t, "on "+name, chip.SetPort(name, true))
		refuse(t, "off "+name, chip.SetPort(name, false))
		refuse(t, "flush "+name, chip.Flush(name))
		expect(t, "after port "+name+" was refused", chip, want)
	}
}

// refuse wants an error of the request, not of the chip.
func refuse(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s is not refused", what)
	}
	if errors.Is(err, hw.ErrSilent) {
		t.Errorf("%s: the chip is called silent, and it answers: %v", what, err)
	}
}

// example puts VLAN 20 on the first port, without tag, and on the last with
// one, and returns the table.
func example(t testing.TB, chip hw.Chip) hw.Table {
	t.Helper()
	c := chip.Capabilities()
	u := users(c)
	v := hw.VLAN{ID: 20, Tagged: []string{c.CPU()}, Untagged: []string{u[0]}}
	if len(u) > 1 {
		v.Tagged = append(v.Tagged, u[len(u)-1])
	}
	want := hw.Plan{VLANs: []hw.VLAN{{ID: 20, Tagged: v.Tagged[1:], Untagged: v.Untagged}}}.Table(c)
	slices.Sort(v.Tagged)
	do(t, "set a row", chip.SetVLAN(v))
	do(t, "set a PVID", chip.SetPVID(u[0], 20))
	for name := range want.On {
		do(t, "turn on "+name, chip.SetPort(name, true))
	}
	expect(t, "after the example", chip, want)
	return want
}

// fullTable is for small tables: filling 4094 rows of a kernel takes minutes.
func fullTable(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	if c.VLANs == 0 || c.VLANs > 256 {
		return
	}
	want := empty(chip)
	for i := range c.VLANs {
		v := hw.VLAN{ID: lowest(c) + uint16(i)*3, Tagged: []string{c.CPU()}}
		do(t, fmt.Sprintf("row %d of %d", i+1, c.VLANs), chip.SetVLAN(v))
		want.VLANs = append(want.VLANs, v)
	}
	refuse(t, "one more row", chip.SetVLAN(hw.VLAN{ID: 4000, Tagged: []string{c.CPU()}}))
	expect(t, "after one row too many", chip, want)
	do(t, "remove one", chip.RemoveVLAN(want.VLANs[0].ID))
	do(t, "set another", chip.SetVLAN(hw.VLAN{ID: 4000, Tagged: []string{c.CPU()}}))
	want.VLANs = append(want.VLANs[1:], hw.VLAN{ID: 4000, Tagged: []string{c.CPU()}})
	expect(t, "after one made room for another", chip, want)
}
