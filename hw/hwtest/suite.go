package hwtest

import (
	"slices"
	"testing"

	"spigate/hw"
)

// Options says how a driver's chip is opened and what it can.
type Options struct {
	// Open returns a chip as after power-on, or as the test before has left it:
	// the suite clears it. The suite closes it, perhaps twice.
	Open func(t testing.TB) hw.Chip

	// Again opens the chip that a closed driver has left once more, as a restart
	// of the router does. nil: not tested.
	Again func(t testing.TB, closed hw.Chip) hw.Chip

	// Draws is the number of drawn plans to walk through; 0: 100.
	Draws int

	// Patterns is how many member patterns of a row are tried at most; 0: 300.
	Patterns int

	// SetLink plugs or unplugs the cable of a port. nil: not tested.
	SetLink func(chip hw.Chip, port string, up bool)

	// Observe has step called after every single write to the chip. nil: the
	// suite reads the table after each call of a method.
	Observe func(chip hw.Chip, step func(what string, r Reach))
}

// Test is one of the suite's.
type Test struct {
	Name string
	Run  func(t testing.TB, o Options)
}

// Tests are those of the suite, each on a chip of its own.
func Tests() []Test {
	return []Test{
		{"capabilities are sane", capabilities},
		{"a row is set, replaced, removed and read back", rows},
		{"every pattern of members is read back", patterns},
		{"ids that do not exist are refused and change nothing", badIDs},
		{"ports that do not exist are refused and change nothing", badPorts},
		{"a full table refuses one more row and keeps the others", fullTable},
		{"frames without tag: each port has its own VLAN", pvids},
		{"a row replaced leaves the VLAN of frames without tag", pvidStays},
		{"each port is turned on and off by itself", onOff},
		{"the mtu is set and read back", mtus},
		{"addresses are forgotten and nothing else", flush},
		{"prepare keeps what is there", prepare},
		{"a restart keeps what is there", restart},
		{"from plan to plan", walk},
		{"from plan to plan no frame goes astray", astray},
		{"a plan refused changes nothing", refused},
		{"links have a row for each port", links},
		{"counters have a row for each port and never fall", counters},
		{"after close nothing answers", closed},
	}
}

// Run runs the suite.
func Run(t *testing.T, o Options) {
	for _, test := range Tests() {
		t.Run(test.Name, func(t *testing.T) { test.Run(t, o) })
	}
}

// Failures runs the suite and returns the names of those tests that fail, with
// what they say.
func Failures(o Options) map[string][]string {
	out := map[string][]string{}
	for _, test := range Tests() {
		if said := record(test.Name, func(t testing.TB) { test.Run(t, o) }); len(said) != 0 {
			out[test.Name] = said
		}
	}
	return out
}

func (o Options) draws() int {
	if o.Draws == 0 {
		return 100
	}
	return o.Draws
}

// fresh opens a chip, prepares it and takes everything out of it: no row, no
// PVID, all ports off but the router's.
func fresh(t testing.TB, o Options) hw.Chip {
	t.Helper()
	chip := o.Open(t)
	t.Cleanup(func() { _ = chip.Close() })
	do(t, "prepare", chip.Prepare())
	is := table(t, chip)
	for _, p := range chip.Capabilities().Ports {
		if is.PVID[p.Name] != 0 {
			do(t, "no PVID at "+p.Name, chip.SetPVID(p.Name, 0))
		}
		do(t, "turn "+p.Name, chip.SetPort(p.Name, p.CPU))
	}
	for _, v := range is.VLANs {
		do(t, "remove a row", chip.RemoveVLAN(v.ID))
	}
	expect(t, "after everything was taken out", chip, empty(chip))
	return chip
}

// empty is the table of a chip that is told nothing.
func empty(chip hw.Chip) hw.Table {
	return hw.Table{PVID: map[string]uint16{}, On: map[string]bool{chip.Capabilities().CPU(): true}}
}

// users are the ports that are not the router's.
func users(c hw.Capabilities) (out []string) {
	for _, p := range c.Ports {
		if !p.CPU {
			out = append(out, p.Name)
		}
	}
	return out
}

// do fails at once: what comes after would have no sense.
func do(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// table reads a table and holds its form: rows ascending and with members,
// lists sorted, nobody twice.
func table(t testing.TB, chip hw.Chip) hw.Table {
	t.Helper()
	is, err := chip.Table()
	do(t, "read the table", err)
	for i, v := range is.VLANs {
		all := slices.Concat(v.Tagged, v.Untagged)
		slices.Sort(all)
		switch {
		case i > 0 && is.VLANs[i-1].ID >= v.ID:
			t.Errorf("row %d stands before row %d", is.VLANs[i-1].ID, v.ID)
		case len(all) == 0:
			t.Errorf("row %d has no members: it should be left out", v.ID)
		case !slices.IsSorted(v.Tagged) || !slices.IsSorted(v.Untagged):
			t.Errorf("row %d is not sorted: %v %v", v.ID, v.Tagged, v.Untagged)
		case len(slices.Compact(all)) != len(v.Tagged)+len(v.Untagged):
			t.Errorf("row %d names a port twice: %v %v", v.ID, v.Tagged, v.Untagged)
		}
	}
	return is
}

// expect compares what is read with what should be there.
func expect(t testing.TB, when string, chip hw.Chip, want hw.Table) {
	t.Helper()
	if err := hw.Compare(table(t, chip), want); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}
