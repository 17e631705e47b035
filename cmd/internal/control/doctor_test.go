package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *fake) Doctor() []Check {
	name, do := "lan", "plug in the cable"
	return []Check{{Part: "ports", State: CheckFail, Found: "0 of 1 are well"}, {Part: "ports", Name: &name, State: CheckFail, Found: "down", Do: &do}}
}

func TestTheTreeOfChecksComesOverTheSocket(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	if diff := cmp.Diff(b.Doctor(), collect(t, c.Doctor(t.Context()))); diff != "" {
		t.Errorf("(-sent +received):\n%s", diff)
	}
}
