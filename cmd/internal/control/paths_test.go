package control

import (
	"strings"
	"testing"
)

func (b *fake) Routes() []Route {
	return []Route{{Destination: "10.2.1.0/24", Type: "connected", Out: "inside"}, {Destination: "0.0.0.0/0", Type: "static", Out: "wan", TD: 7}}
}

func (b *fake) ARP() []Neighbor {
	return []Neighbor{{Address: "10.2.1.1", VLAN: "inside", State: "stale"}}
}

func TestRoutesAndNeighboursAreAskedByTheirAddress(t *testing.T) {
	c, _ := serve(t, &fake{})
	rows, err := all(c.Routes(t.Context(), Filter{Name: "0.0.0.0/0"}))
	if len(rows) != 1 || rows[0].Out != "wan" || err != nil {
		t.Errorf("routes %v, %v", rows, err)
	}
	domain := uint16(0)
	if rows, err = all(c.Routes(t.Context(), Filter{TD: &domain})); len(rows) != 1 || rows[0].Out != "inside" || err != nil {
		t.Errorf("routes of domain 0 %v, %v", rows, err)
	}
	near, err := all(c.ARP(t.Context(), Filter{Name: "10.2.1.1"}))
	if len(near) != 1 || near[0].MAC != nil || err != nil {
		t.Errorf("neighbours %v, %v", near, err)
	}
	if _, err := all(c.ARP(t.Context(), Filter{Name: "10.2.1.2"})); !IsNotFound(err) || !strings.Contains(err.Error(), `did you mean "10.2.1.1"?`) {
		t.Errorf("a neighbour that is not there: %v", err)
	}
}
