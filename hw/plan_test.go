package hw_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/hw"
	"spigate/hw/hwtest"
)

func TestEachFaultOfAPlanIsASentenceOfItsOwn(t *testing.T) {
	c := hwtest.Small()
	c.VLANs, c.LeastID = 5, 2
	p := hw.Plan{MTU: 2001, VLANs: []hw.VLAN{
		{ID: 1},
		{ID: 4095},
		{ID: 10, Untagged: []string{"lan1"}},
		{ID: 10},
		{ID: 11, Untagged: []string{"lan1"}},
		{ID: 12, Untagged: []string{"lan1"}, Tagged: []string{"lan1"}},
		{ID: 13, Tagged: []string{"lan9", "cpu"}},
	}}
	err := p.Check(c)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	want := []string{
		"VLAN 1: fake revision 1 has VLANs from 2 to 4094",
		"VLAN 4095: fake revision 1 has VLANs from 2 to 4094",
		"VLAN 10 is there twice",
		"VLAN 11: port lan1 has VLAN 10 untagged already: which of them is a frame without tag?",
		"VLAN 12: port lan1 is a member twice",
		"VLAN 12: port lan1 has VLAN 10 untagged already: which of them is a frame without tag?",
		"VLAN 13: fake revision 1 has no port lan9, it has lan1, lan2, lan3, lan4",
		"VLAN 13: port cpu is the router's own: it is a member by itself",
		"there are 7 VLANs, and the table of fake revision 1 has 5 rows",
		"mtu 2001: fake revision 1 passes packets of 2000 bytes at most",
	}
	if d := cmp.Diff(want, strings.Split(err.Error(), "\n")); d != "" {
		t.Error(d)
	}
	if err := (hw.Plan{}).Check(c); err != nil {
		t.Errorf("an empty plan: %v", err)
	}
}

func TestTheTableOfAPlan(t *testing.T) {
	p := hw.Plan{MTU: 1400, VLANs: []hw.VLAN{
		{ID: 30, Tagged: []string{"lan4", "lan1"}, Untagged: []string{"lan3", "lan2"}},
		{ID: 10, Untagged: []string{"lan1"}},
	}}
	want := hw.Table{
		VLANs: []hw.VLAN{
			{ID: 10, Tagged: []string{"cpu"}, Untagged: []string{"lan1"}},
			{ID: 30, Tagged: []string{"cpu", "lan1", "lan4"}, Untagged: []string{"lan2", "lan3"}},
		},
		PVID: map[string]uint16{"lan1": 10, "lan2": 30, "lan3": 30},
		On:   map[string]bool{"cpu": true, "lan1": true, "lan2": true, "lan3": true, "lan4": true},
		MTU:  1400,
	}
	if d := cmp.Diff(want, p.Table(hwtest.Small())); d != "" {
		t.Error(d)
	}
	if p.VLANs[0].Tagged[0] != "lan4" || p.VLANs[0].ID != 30 {
		t.Error("the plan itself was sorted")
	}
}

// drawPlan draws a plan for the ports of hwtest.Small.
func drawPlan(t *rapid.T, name string) hw.Plan {
	ids := rapid.SliceOfNDistinct(rapid.Uint16Range(1, 8), 0, 5, rapid.ID[uint16]).Draw(t, name+" ids")
	var p hw.Plan
	free := map[string]bool{"lan1": true, "lan2": true, "lan3": true, "lan4": true}
	for _, id := range ids {
		v := hw.VLAN{ID: id}
		for _, port := range []string{"lan1", "lan2", "lan3", "lan4"} {
			switch k := rapid.IntRange(0, 2).Draw(t, name+" "+port); {
			case k == 1:
				v.Tagged = append(v.Tagged, port)
			case k == 2 && free[port]:
				v.Untagged = append(v.Untagged, port)
				free[port] = false
			}
		}
		p.VLANs = append(p.VLANs, v)
	}
	return p
}

func TestTheRouterIsTaggedInEveryVLANAndNowhereElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, c := drawPlan(t, "plan"), hwtest.Small()
		if err := p.Check(c); err != nil {
			t.Fatal(err)
		}
		is := p.Table(c)
		members := map[string]bool{"cpu": true}
		for i, v := range is.VLANs {
			if i > 0 && is.VLANs[i-1].ID >= v.ID {
				t.Errorf("row %d is in no order", v.ID)
			}
			if !slices.Contains(v.Tagged, "cpu") || slices.Contains(v.Untagged, "cpu") {
				t.Errorf("the router's port is %+v", v)
			}
			for _, name := range v.Untagged {
				if is.PVID[name] != v.ID {
					t.Errorf("port %s sends VLAN %d without tag and takes frames without one for VLAN %d", name, v.ID, is.PVID[name])
				}
			}
			for _, name := range slices.Concat(v.Tagged, v.Untagged) {
				members[name] = true
			}
		}
		if d := cmp.Diff(members, is.On); d != "" {
			t.Errorf("members and ports that are on: %s", d)
		}
		if err := hw.Compare(is, p.Table(c)); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryDifferenceOfTwoTablesIsNamed(t *testing.T) {
	is := hw.Table{
		VLANs: []hw.VLAN{{ID: 10, Tagged: []string{"cpu"}}, {ID: 20, Tagged: []string{"cpu", "lan1"}}},
		PVID:  map[string]uint16{"lan1": 10, "lan2": 20}, On: map[string]bool{"cpu": true, "lan3": true}, MTU: 1500,
	}
	want := hw.Table{
		VLANs: []hw.VLAN{{ID: 20, Tagged: []string{"cpu"}, Untagged: []string{"lan1"}}, {ID: 30, Tagged: []string{"cpu"}}},
		PVID:  map[string]uint16{"lan1": 20, "lan2": 20}, On: map[string]bool{"cpu": true, "lan3": false, "lan1": true}, MTU: 1400,
	}
	err := hw.Compare(is, want)
	if err == nil {
		t.Fatal("no difference")
	}
	lines := []string{
		"VLAN 20: tagged [cpu lan1] untagged [], not tagged [cpu] untagged [lan1]",
		"VLAN 30 is missing",
		"VLAN 10 should not be there",
		"port lan1: frames without tag are VLAN 10, not 20",
		"port lan1: on is false, not true",
		"port lan3: on is true, not false",
		"mtu is 1500, not 1400",
	}
	if d := cmp.Diff(lines, strings.Split(err.Error(), "\n")); d != "" {
		t.Error(d)
	}
	want.MTU = 0
	if err := hw.Compare(want, hw.Table{VLANs: want.VLANs, PVID: want.PVID, On: map[string]bool{"cpu": true, "lan1": true}, MTU: 9000}); err != nil {
		t.Errorf("a chip that does not say its MTU, and a port that is not on: %v", err)
	}
}
