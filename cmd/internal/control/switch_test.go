package control

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *fake) Switches() []Switch { return []Switch{{Name: "sw0", State: SwitchKept}, {Name: "sw1"}} }

func (b *fake) VLANs() []VLAN {
	return []VLAN{{Name: "inside", ID: 20}, {Name: "guests", ID: 30, TD: 7}}
}

func TestSwitchesAndVLANsAreAskedByName(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	rows, err := all(c.Switches(t.Context(), Filter{Name: "sw0"}))
	if len(rows) != 1 || rows[0].Name != "sw0" || err != nil {
		t.Errorf("switches %v, %v", rows, err)
	}
	td := uint16(7)
	vlans, err := all(c.VLANs(t.Context(), Filter{TD: &td}))
	if diff := cmp.Diff(b.VLANs()[1:], vlans, cmp.Comparer(func(a, b Words) bool { return len(a)+len(b) == 0 })); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
	if _, err := all(c.VLANs(t.Context(), Filter{Name: "guest"})); err == nil || !strings.Contains(err.Error(), "guests") {
		t.Errorf("a name that is not there: %v", err)
	}
}

func TestASwitchWithoutPortsHasAnEmptyList(t *testing.T) {
	text, err := json.Marshal(Switch{Name: "sw0"})
	if err != nil || !strings.Contains(string(text), `"ports":[]`) {
		t.Errorf("%s, %v", text, err)
	}
}
