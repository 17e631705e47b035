package wire

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

func TestStatOfTheNATFromTheTablesToTheClient(t *testing.T) {
	o := operatedBy(t, configs.IPsecPassthrough()+`
[lsn.static.web]
protocol = "TCP"
subscriber = "192.0.2.77:80"
nat = "203.0.113.50:8080"
[lsn.static.own]
protocol = "ALL"
subscriber = "192.0.2.78"
nat = "203.0.113.51"
dest_ip = "198.51.100.9"
`)
	table := o.router.LSN()
	tup := lsn.Tuple{
		Proto:  frame.ProtoUDP,
		Inside: frame.Endpoint{Addr: frame.Addr{192, 0, 2, 5}, Port: 5000},
		Remote: frame.Endpoint{Addr: frame.Addr{198, 51, 100, 9}, Port: 53},
	}
	plan, _ := table.DecideOut(tup, lsn.Hints{Bytes: 60}, 0)
	b, why := table.CommitOut(&plan, 0)
	if why != drop.None {
		t.Fatal(why)
	}
	table.FlowActive(b.Session, false, 1, 3, 900)
	table.Refused(b.Group, tup, drop.NotSYN, 1)
	table.Refused(nil, tup, drop.NoMapping, 1)

	want := control.LSNStat{Subscribers: 1, Protocols: []control.LSNProtocol{
		{Protocol: "TCP"},
		{Protocol: "UDP", Sessions: 1, RxPackets: 3, RxBytes: 900, TxPackets: 1, TxBytes: 60, Dropped: 2},
		{Protocol: "ICMP"},
	}}
	same := func(what string, want control.LSNStat, ask func() (control.LSNStat, error)) {
		t.Helper()
		got, err := ask()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}
	same("stat lsn", want, func() (control.LSNStat, error) { return o.client.LSNStat(t.Context(), control.Filter{}) })
	rows := 0
	for row, err := range o.client.LSNGroupStats(t.Context(), control.Filter{}) {
		rows++
		if err != nil || *row.Group != b.Group.Name || *row.TD != 0 || row.Subscribers != 1 || row.Protocols[1].Dropped != 1 || row.Protocols[1].RxBytes != 900 {
			t.Errorf("stat lsn group: %+v, %v", row, err)
		}
	}
	for row, err := range o.client.LSNPoolStats(t.Context(), control.Filter{}) {
		rows++
		if err != nil || row.Allocated != 1 || row.Addresses != 7 || row.TCP != 0 || row.NonTCP <= 0 || row.NonTCP > 0.001 {
			t.Errorf("stat lsn pool: %+v, %v", row, err)
		}
	}
	if rows != 2 {
		t.Errorf("%d rows of groups and pools", rows)
	}
	same("stat lsn --clear-stats", want, func() (control.LSNStat, error) { return o.client.ClearLSNStat(t.Context(), control.Filter{}) })
	want.Protocols[1] = control.LSNProtocol{Protocol: "UDP", Sessions: 1}
	same("after it", want, func() (control.LSNStat, error) { return o.client.LSNStat(t.Context(), control.Filter{}) })
	o.seesStatics(b.Group.Name)
}

func (o *operated) seesStatics(group string) {
	o.t.Helper()
	var got []control.LSNStatic
	for row, err := range o.client.LSNStatics(o.t.Context(), control.Filter{}) {
		if err != nil {
			o.t.Fatal(err)
		}
		got = append(got, row)
	}
	inside, out := uint16(80), uint16(8080)
	want := []control.LSNStatic{
		{Name: "web", Protocol: "TCP", SubscriberIP: netip.MustParseAddr("192.0.2.77"), SubscriberPort: &inside, NATIP: netip.MustParseAddr("203.0.113.50"), NATPort: &out, Status: control.StatusActive, Group: group},
		{Name: "own", Protocol: "ALL", SubscriberIP: netip.MustParseAddr("192.0.2.78"), NATIP: netip.MustParseAddr("203.0.113.51"), DestIP: control.Addr{Addr: netip.MustParseAddr("198.51.100.9")}, Status: control.StatusActive, Group: group},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, control.Addr{})); diff != "" {
		o.t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHelpersAndLogHaveCounters(t *testing.T) {
	o := newOperated(t)
	var names []string
	for row, err := range o.client.LSNHelperStats(t.Context(), control.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, row.Name)
		if len(row.Counters) == 0 {
			t.Errorf("%s counts nothing", row.Name)
		}
	}
	if !slices.Equal(names, []string{"ftp", "tftp", "expected"}) {
		t.Errorf("helpers %q", names)
	}
	for row := range o.client.LSNLogStats(t.Context(), control.Filter{}) {
		t.Errorf("there is no [log.nat], but a target %+v", row)
	}
}
