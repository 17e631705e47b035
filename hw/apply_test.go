package hw_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/hw"
	"spigate/hw/hwtest"
)

func applied(t testing.TB, p hw.Plan) *hwtest.Fake {
	t.Helper()
	f := hwtest.NewFake(hwtest.Small())
	if _, err := hw.Apply(f, p); err != nil {
		t.Fatal(err)
	}
	f.ClearLog()
	return f
}

func untagged(id uint16, ports ...string) hw.VLAN { return hw.VLAN{ID: id, Untagged: ports} }

func TestAPortThatMovesIsClosedThenLeavesThenJoinsThenOpens(t *testing.T) {
	f := applied(t, hw.Plan{VLANs: []hw.VLAN{untagged(10, "lan1", "lan2"), untagged(20, "lan3")}})
	r, err := hw.Apply(f, hw.Plan{VLANs: []hw.VLAN{untagged(10, "lan1"), untagged(20, "lan2"), untagged(30, "lan4")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"prepare", "table",
		"pvid lan2 0", "pvid lan3 0", "port lan3 false",
		"set 10 tagged [cpu] untagged [lan1]", "set 20 tagged [cpu] untagged []",
		"set 20 tagged [cpu] untagged [lan2]", "set 30 tagged [cpu] untagged [lan4]",
		"flush lan2", "pvid lan2 20", "flush lan3", "flush lan4", "pvid lan4 30", "port lan4 true",
		"table",
	}
	if d := cmp.Diff(want, f.Log()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(hw.Report{Added: []uint16{30}, Changed: []uint16{10, 20}, Ports: []string{"lan2", "lan3", "lan4"}}, r); d != "" {
		t.Error(d)
	}
}

func TestAChipThatHasThePlanIsOnlyRead(t *testing.T) {
	p := hw.Plan{VLANs: []hw.VLAN{untagged(10, "lan1"), {ID: 20, Tagged: []string{"lan1"}}}, MTU: 1400}
	f := applied(t, p)
	for _, chip := range []*hwtest.Fake{f, f.Reopen()} { // and after a restart
		chip.ClearLog()
		r, err := hw.Apply(chip, p)
		if err != nil || !r.Nothing() {
			t.Errorf("%+v %v", r, err)
		}
		if d := cmp.Diff([]string{"prepare", "table", "table"}, chip.Log()); d != "" {
			t.Error(d)
		}
	}
}

// TestTwoPortsChangePlaces: from untagged to tagged before from tagged to
// untagged, so that nobody sends two VLANs without tag at any moment. The chip
// of the test refuses that.
func TestTwoPortsChangePlaces(t *testing.T) {
	f := applied(t, hw.Plan{VLANs: []hw.VLAN{{ID: 10, Tagged: []string{"lan1"}, Untagged: []string{"lan2"}}, {ID: 20, Tagged: []string{"lan2"}, Untagged: []string{"lan1"}}}})
	to := hw.Plan{VLANs: []hw.VLAN{{ID: 10, Tagged: []string{"lan2"}, Untagged: []string{"lan1"}}, {ID: 20, Tagged: []string{"lan1"}, Untagged: []string{"lan2"}}}}
	if _, err := hw.Apply(f, to); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"set 10 tagged [cpu lan1 lan2] untagged []", "set 20 tagged [cpu lan1 lan2] untagged []",
		"set 10 tagged [cpu lan2] untagged [lan1]", "set 20 tagged [cpu lan1] untagged [lan2]",
	}
	if d := cmp.Diff(want, f.Log("set")); d != "" {
		t.Error(d)
	}
}

func TestRowsGoBeforeOthersComeWhenTheTableIsFull(t *testing.T) {
	c := hwtest.Small()
	c.VLANs = 2
	f := hwtest.NewFake(c)
	for _, p := range []hw.Plan{
		{VLANs: []hw.VLAN{untagged(10, "lan1"), untagged(20, "lan2")}},
		{VLANs: []hw.VLAN{untagged(30, "lan1"), untagged(5, "lan2")}},
	} {
		if _, err := hw.Apply(f, p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARefusedPlanDoesNotEvenAskTheChip(t *testing.T) {
	f := applied(t, hw.Plan{})
	r, err := hw.Apply(f, hw.Plan{VLANs: []hw.VLAN{untagged(10, "nosuch")}})
	if err == nil || !r.Nothing() || len(f.Log()) != 0 {
		t.Errorf("%+v %v %v", r, err, f.Log())
	}
}

// TestSilenceAtAnyMomentIsMendedByTheNextApply, and no frame goes astray at any
// moment of either.
func TestSilenceAtAnyMomentIsMendedByTheNextApply(t *testing.T) {
	c := hwtest.Small()
	from := hw.Plan{VLANs: []hw.VLAN{untagged(10, "lan1", "lan2"), {ID: 20, Untagged: []string{"lan3"}, Tagged: []string{"lan1"}}}}
	to := hw.Plan{VLANs: []hw.VLAN{untagged(10, "lan3"), {ID: 20, Untagged: []string{"lan4", "lan2"}, Tagged: []string{"lan3"}}, untagged(30, "lan1")}}
	tr := hwtest.Transition{Ports: []string{"cpu", "lan1", "lan2", "lan3", "lan4"}, Before: from.Table(c), After: to.Table(c)}
	broken := 0
	for n := 0; ; n++ {
		f := applied(t, from)
		f.Observe(func(op string) {
			for _, fault := range tr.Judge(f.Reach()) {
				t.Errorf("silent after %d operations: after %s: %s", n, op, fault)
			}
		})
		f.SilenceAfter(n)
		_, err := hw.Apply(f, to)
		if err == nil {
			break
		}
		broken++
		if !errors.Is(err, hw.ErrSilent) {
			t.Fatalf("silent after %d operations: %v", n, err)
		}
		f.Answer()
		if _, err := hw.Apply(f, to); err != nil {
			t.Fatalf("silent after %d operations, then mended: %v", n, err)
		}
	}
	if broken < 15 {
		t.Errorf("only %d moments", broken)
	}
}

func TestAWriteThatIsForgottenIsNamedAndMended(t *testing.T) {
	to := hw.Plan{VLANs: []hw.VLAN{untagged(10, "lan1"), {ID: 20, Tagged: []string{"lan1"}}}, MTU: 1400}
	for op, want := range map[string]string{
		"set 10":          "VLAN 10 is missing",
		"set 20":          "VLAN 20 is missing",
		"pvid lan1 10":    "port lan1: frames without tag are VLAN 0, not 10",
		"port lan1 true":  "port lan1: on is false, not true",
		"port lan2 false": "port lan2: on is true, not false",
		"mtu":             "mtu is 1500, not 1400",
	} {
		f := hwtest.NewFake(hwtest.Small())
		if op == "port lan1 true" {
			f = applied(t, hw.Plan{})
		}
		f.Forget(op)
		_, err := hw.Apply(f, to)
		if err == nil || errors.Is(err, hw.ErrSilent) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s forgotten: %v", op, err)
		}
		if _, err := hw.Apply(f, to); err != nil {
			t.Errorf("%s forgotten, and not mended: %v", op, err)
		}
	}
}

func TestARefusalSaysWhichPortOrVLAN(t *testing.T) {
	no := errors.New("not today")
	for op, want := range map[string]string{
		"prepare": "prepare fake revision 1", "table": "read the table", "mtu": "mtu 1400", "set 10": "VLAN 10: not", "set 20": "VLAN 20: take members out",
		"remove": "VLAN 30: remove", "pvid lan1 0": "port lan1: refuse", "pvid lan1 10": "port lan1: frames without tag are VLAN 10",
		"port lan4 true": "port lan4: turn on", "port lan3 false": "port lan3: turn off", "flush lan4": "port lan4: forget",
	} {
		f := applied(t, hw.Plan{VLANs: []hw.VLAN{{ID: 20, Untagged: []string{"lan1"}}, {ID: 30, Tagged: []string{"lan3"}}}})
		f.Refuse(op, no)
		_, err := hw.Apply(f, hw.Plan{MTU: 1400, VLANs: []hw.VLAN{untagged(10, "lan1"), {ID: 20, Tagged: []string{"lan4"}}}})
		if !errors.Is(err, no) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s refused: %v", op, err)
		}
	}
}

// drawLeftover gives a chip what some other program may have left: rows with
// anybody in them, PVIDs of VLANs that the port is no member of, any ports on.
func drawLeftover(t *rapid.T, f *hwtest.Fake) {
	ports := []string{"cpu", "lan1", "lan2", "lan3", "lan4"}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.Prepare())
	for _, id := range rapid.SliceOfNDistinct(rapid.Uint16Range(1, 8), 0, 5, rapid.ID[uint16]).Draw(t, "rows") {
		v := hw.VLAN{ID: id}
		for _, p := range ports {
			switch rapid.IntRange(0, 2).Draw(t, "member "+p) {
			case 1:
				v.Tagged = append(v.Tagged, p)
			case 2:
				v.Untagged = append(v.Untagged, p)
			}
		}
		must(f.SetVLAN(v))
	}
	for _, p := range ports {
		must(f.SetPVID(p, rapid.Uint16Range(0, 8).Draw(t, "pvid "+p)))
		must(f.SetPort(p, rapid.Bool().Draw(t, "on "+p)))
	}
}

func TestFromWhateverIsThereToAnyPlanNothingGoesAstray(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := hwtest.Small()
		c.Untagged = 0
		f := hwtest.NewFake(c)
		drawLeftover(t, f)
		was, err := f.Table()
		if err != nil {
			t.Fatal(err)
		}
		p := drawPlan(t, "plan")
		tr := hwtest.Transition{Before: was, After: p.Table(c)}
		for _, port := range c.Ports {
			tr.Ports = append(tr.Ports, port.Name)
		}
		f.Observe(func(op string) {
			for _, fault := range tr.Judge(f.Reach()) {
				t.Errorf("after %s: %s", op, fault)
			}
		})
		if _, err := hw.Apply(f, p); err != nil {
			t.Fatal(err)
		}
		is, err := f.Table()
		if err := errors.Join(err, hw.Compare(is, p.Table(c))); err != nil {
			t.Error(err)
		}
		if again, err := hw.Apply(f, p); err != nil || !again.Nothing() {
			t.Errorf("again: %+v %v", again, err)
		}
		if flushed := f.Log("flush"); !slices.IsSorted(flushed) {
			t.Errorf("flushed in the order %v", flushed)
		}
	})
}
