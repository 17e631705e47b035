package main

import (
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

func (h *house) Routes() []control.Route {
	if h.empty {
		return nil
	}
	via := "198.51.100.254"
	return []control.Route{
		{Destination: "10.2.1.0/24", Type: "connected", Out: "vlan-internal-2-0"},
		{Destination: "10.1.1.0/24", Type: "tunnel", Out: "ipsec-tunnel"},
		{Destination: "0.0.0.0/0", Type: "static", Via: &via, Out: "external", TD: 7},
	}
}

func (h *house) ARP() []control.Neighbor {
	if h.empty {
		return nil
	}
	mac := "02:00:5e:00:00:fe"
	return []control.Neighbor{
		{Address: "10.2.1.17", VLAN: "vlan-internal-2-0", State: "incomplete", Since: 1.5},
		{Address: "198.51.100.254", MAC: &mac, VLAN: "external", State: "reachable", Since: 12, TD: 7},
	}
}

func TestOneRouteAndOneNeighbourAreAskedByAddress(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for words, want := range map[string]string{"show net route 0.0.0.0/0": "external", "show net arp 10.2.1.17": "incomplete"} {
		code, stdout, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...)
		if code != exitOK || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit %d\n%s%s", words, code, stdout, stderr)
		}
	}
	code, _, stderr := spigate(t, "show", "net", "arp", "10.2.1.18", "--socket", socket)
	if code != exitNotFound || !strings.Contains(stderr, `did you mean "10.2.1.17"?`) {
		t.Errorf("a neighbour that is not there: exit %d, %q", code, stderr)
	}
}
