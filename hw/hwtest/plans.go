package hwtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"spigate/hw"
)

// Draw returns a plan that a chip can do. Ids are few, so that two plans often
// share some; small plans come first.
func Draw(rng *rand.Rand, c hw.Capabilities, most int) hw.Plan {
	least := lowest(c)
	ids := []uint16{least, least + 1, 20, 30, 40, 100, hw.MaxVLAN}
	rng.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	if c.VLANs != 0 {
		most = min(most, c.VLANs)
	}
	var p hw.Plan
	untagged := map[string]bool{}
	for _, id := range slices.Compact(ids)[:rng.IntN(min(most, 5)+1)] {
		p.VLANs = append(p.VLANs, drawMembers(rng, id, users(c), untagged))
	}
	if rng.IntN(4) == 0 {
		p.MTU = []int{1400, 1500}[rng.IntN(2)]
		if c.MaxMTU != 0 {
			p.MTU = min(p.MTU, c.MaxMTU)
		}
	}
	return p
}

// drawMembers draws who is in a VLAN; untagged are the ports that are so already.
func drawMembers(rng *rand.Rand, id uint16, names []string, untagged map[string]bool) hw.VLAN {
	v := hw.VLAN{ID: id}
	for _, name := range names {
		switch k := rng.IntN(3); {
		case k == 1:
			v.Tagged = append(v.Tagged, name)
		case k == 2 && !untagged[name]:
			v.Untagged = append(v.Untagged, name)
			untagged[name] = true
		}
	}
	return v
}

// plans calls visit for the drawn pairs, the same on each run.
func plans(o Options, c hw.Capabilities, visit func(n int, from, to hw.Plan) bool) {
	rng := rand.New(rand.NewPCG(7, 21))
	var from hw.Plan
	for n := range o.draws() {
		to := Draw(rng, c, 1+n/4)
		if !visit(n, from, to) {
			return
		}
		from = to
	}
}

func walk(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	plans(o, c, func(n int, from, to hw.Plan) bool {
		what := fmt.Sprintf("draw %d, from %v to %v", n, from.VLANs, to.VLANs)
		before := table(t, chip)
		r, err := hw.Apply(chip, to)
		do(t, what, err)
		expect(t, what, chip, to.Table(c))
		if err := judgeReport(r, before, to.Table(c)); err != nil {
			t.Errorf("%s: the report %+v: %v", what, r, err)
		}
		again, err := hw.Apply(chip, to)
		do(t, what+", again", err)
		if !again.Nothing() {
			t.Errorf("%s: applied again it changed %+v", what, again)
		}
		return !t.Failed()
	})
}

// judgeReport compares what Apply says with what two tables show.
func judgeReport(r hw.Report, before, after hw.Table) error {
	var want hw.Report
	for _, v := range after.VLANs {
		i := slices.IndexFunc(before.VLANs, func(w hw.VLAN) bool { return w.ID == v.ID })
		switch {
		case i < 0:
			want.Added = append(want.Added, v.ID)
		case !slices.Equal(before.VLANs[i].Tagged, v.Tagged) || !slices.Equal(before.VLANs[i].Untagged, v.Untagged):
			want.Changed = append(want.Changed, v.ID)
		}
	}
	for _, v := range before.VLANs {
		if !slices.ContainsFunc(after.VLANs, func(w hw.VLAN) bool { return w.ID == v.ID }) {
			want.Removed = append(want.Removed, v.ID)
		}
	}
	want.MTU = after.MTU != 0 && before.MTU != after.MTU
	if !slices.Equal(r.Added, want.Added) || !slices.Equal(r.Changed, want.Changed) || !slices.Equal(r.Removed, want.Removed) {
		return fmt.Errorf("want added %v, changed %v, removed %v", want.Added, want.Changed, want.Removed)
	}
	if r.MTU != want.MTU && before.MTU != 0 {
		return fmt.Errorf("want mtu changed %v", want.MTU)
	}
	for _, name := range r.Ports {
		if before.PVID[name] == after.PVID[name] && before.On[name] == after.On[name] {
			return fmt.Errorf("port %s has not changed", name)
		}
	}
	return nil
}

// astray looks at every moment of every Apply.
func astray(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	tr := Transition{}
	for _, p := range c.Ports {
		tr.Ports = append(tr.Ports, p.Name)
	}
	watching, moments, where := false, 0, ""
	step := func(what string, r Reach) {
		if !watching || t.Failed() {
			return
		}
		moments++
		for _, fault := range tr.Judge(r) {
			t.Errorf("%s: after %s: %s", where, what, fault)
		}
	}
	watched := hw.Chip(&stepping{chip, step})
	if o.Observe != nil {
		watched = chip
		o.Observe(chip, step)
	}
	plans(o, c, func(n int, from, to hw.Plan) bool {
		tr.Before, tr.After = table(t, chip), to.Table(c)
		where = fmt.Sprintf("draw %d, from %v to %v", n, from.VLANs, to.VLANs)
		watching = true
		_, err := hw.Apply(watched, to)
		watching = false
		do(t, where, err)
		return !t.Failed()
	})
	if moments < o.draws() {
		t.Errorf("only %d moments were seen in %d draws", moments, o.draws())
	}
}

func refused(t testing.TB, o Options) {
	chip := fresh(t, o)
	c := chip.Capabilities()
	want := example(t, chip)
	u := users(c)
	bad := map[string]hw.Plan{
		"a port that is not there": {VLANs: []hw.VLAN{{ID: 30, Tagged: []string{"nosuch0"}}}},
		"the router's own port":    {VLANs: []hw.VLAN{{ID: 30, Tagged: []string{c.CPU()}}}},
		"VLAN 0":                   {VLANs: []hw.VLAN{{ID: 0, Tagged: u[:1]}}},
		"VLAN 4095":                {VLANs: []hw.VLAN{{ID: 4095, Tagged: u[:1]}}},
		"a VLAN twice":             {VLANs: []hw.VLAN{{ID: 30}, {ID: 30}}},
		"untagged in two":          {VLANs: []hw.VLAN{{ID: 30, Untagged: u[:1]}, {ID: 31, Untagged: u[:1]}}},
	}
	if c.MaxMTU != 0 {
		bad["too great an mtu"] = hw.Plan{MTU: c.MaxMTU + 1}
	}
	for what, p := range bad {
		r, err := hw.Apply(chip, p)
		refuse(t, what, err)
		if !r.Nothing() {
			t.Errorf("%s is refused and reports %+v", what, r)
		}
		expect(t, "after "+what, chip, want)
	}
}

// closed: whatever is asked of a closed chip, it is silent.
func closed(t testing.TB, o Options) {
	chip := fresh(t, o)
	u := users(chip.Capabilities())
	do(t, "close", chip.Close())
	_, table := chip.Table()
	_, links := chip.Links()
	_, counters := chip.Counters()
	for what, err := range map[string]error{
		"Prepare": chip.Prepare(), "Table": table, "Links": links, "Counters": counters,
		"SetVLAN": chip.SetVLAN(hw.VLAN{ID: 20, Tagged: u[:1]}), "RemoveVLAN": chip.RemoveVLAN(20),
		"SetPVID": chip.SetPVID(u[0], 20), "SetPort": chip.SetPort(u[0], true), "SetMTU": chip.SetMTU(1500), "Flush": chip.Flush(u[0]),
	} {
		if !errors.Is(err, hw.ErrSilent) {
			t.Errorf("%s of a closed chip says %v", what, err)
		}
	}
	if len(chip.Capabilities().Ports) == 0 {
		t.Errorf("a closed chip has forgotten what it was")
	}
	if n, ok := chip.(hw.Notifier); ok {
		for range n.Changes() { // a change from before may be there still
		}
	}
	if err := chip.Close(); err != nil && !errors.Is(err, hw.ErrSilent) {
		t.Errorf("closed again: %v", err)
	}
}
