package wire

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/cmd/internal/control"
	"spigate/netstack/frame"
)

const pathsConfig = `version = 1
[port.lan]
driver = "raw"
device = "eth0"
[port.wan]
driver = "raw"
device = "eth1"
[vlan.inside]
port = "lan"
addresses = ["10.2.1.254/24"]
[vlan.red]
port = "lan"
id = 7
traffic_domain = 7
addresses = ["10.2.1.254/24"]
[vlan.outside]
port = "wan"
addresses = ["198.51.100.1/24"]
[route."0.0.0.0/0"]
via = "198.51.100.254"
[route."10.1.1.0/24"]
tunnel = "t"
[net.tunnel.t]
policy = "P"
addresses = ["10.9.0.1/30"]
[net.ipsec.policy.P]
mode = "interface"
peer = "gw2"
tunnel_local_address = "198.51.100.1"
tunnel_remote_address = "198.51.100.200"
[net.ipsec.peer.gw2]
remote_address = "198.51.100.200"
psk = "a secret of more than sixteen bytes"
`

func TestShowNetRouteHasTheLongestPrefixFirstInEachDomain(t *testing.T) {
	o := operatedBy(t, pathsConfig)
	rows, err := gathered(o.client.Routes(t.Context(), control.Filter{}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		via := "-"
		if r.Via != nil {
			via = *r.Via
		}
		got = append(got, fmt.Sprintf("%d %s %s %s %s", r.TD, r.Destination, r.Type, via, r.Out))
	}
	if !slices.IsSortedFunc(rows, func(a, b control.Route) int {
		if a.TD != b.TD {
			return int(a.TD) - int(b.TD)
		}
		return strings.Compare(b.Destination[strings.Index(b.Destination, "/"):], a.Destination[strings.Index(a.Destination, "/"):])
	}) {
		t.Errorf("the longest prefix is not first: %v", got)
	}
	slices.Sort(got)
	want := []string{
		"0 0.0.0.0/0 static 198.51.100.254 outside", "0 10.1.1.0/24 tunnel - t", "0 10.2.1.0/24 connected - inside",
		"0 10.9.0.0/30 connected - t", "0 198.51.100.0/24 connected - outside", "7 10.2.1.0/24 connected - red",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestShowNetARPHasWhoWasHeardOf(t *testing.T) {
	o := operatedBy(t, pathsConfig)
	rows, err := gathered(o.client.ARP(t.Context(), control.Filter{}))
	if len(rows) != 0 || err != nil {
		t.Fatalf("before anybody spoke: %v, %v", rows, err)
	}
	all := frame.MAC{255, 255, 255, 255, 255, 255}
	for _, last := range []byte{17, 5} {
		h := &host{addr: frame.Addr{10, 2, 1, last}}
		for _, tag := range []uint16{0, 7} {
			o.router.Chassis.Port(0).Input([]frame.Frame{frame.Copy(arp(1, h, frame.Addr{10, 2, 1, 254}, all, frame.MAC{}), tag)})
		}
	}
	rows, err = gathered(o.client.ARP(t.Context(), control.Filter{}))
	var got []string
	for _, n := range rows {
		got = append(got, fmt.Sprintf("%d %s %s %s %s", n.TD, n.Address, *n.MAC, n.VLAN, n.State))
	}
	want := []string{
		"0 10.2.1.5 06:00:0a:02:01:05 inside stale", "0 10.2.1.17 06:00:0a:02:01:11 inside stale",
		"7 10.2.1.5 06:00:0a:02:01:05 red stale", "7 10.2.1.17 06:00:0a:02:01:11 red stale",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// gathered takes all rows of an answer.
func gathered[T any](rows iter.Seq2[T, error]) (out []T, err error) {
	for row, err := range rows {
		if err != nil {
			return out, err
		}
		out = append(out, row)
	}
	return out, nil
}
