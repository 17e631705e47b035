package wire

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spigate/cmd/internal/control"
	"spigate/netstack"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// Interfaces of guideConfig, which are numbered in the order of the file.
const (
	guideInternal = frame.Interface(1)
	guideExternal = frame.Interface(2)
	guideRed      = frame.Interface(3)
)

func tuple(proto uint8, src, dst string) vserver.Key {
	from, to := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return vserver.Key{Src: from.Addr().As4(), Dst: to.Addr().As4(), SrcPort: from.Port(), DstPort: to.Port(), Proto: proto}
}

// admit opens a connection as a Router does: matched by the client's key,
// answered under the remote one.
func admit(t *testing.T, r *netstack.Router, in frame.Interface, client, remote vserver.Key, s vserver.Segment) vserver.Hit {
	t.Helper()
	tab := r.Connections()
	m := tab.Listeners().Match(vserver.Attempt{In: in, Proto: client.Proto, Src: client.Src, Dst: client.Dst, Port: client.DstPort})
	h, verdict := tab.Open(m, client, remote, s, in, r.Now())
	if verdict != vserver.Admit {
		t.Fatalf("%v: %v", client, verdict)
	}
	return h
}

func TestShowLTMShowsWhatTheTablesCount(t *testing.T) {
	o := operatedBy(t, guideConfig)
	r, red := o.router, o.router.Chassis.Router(7)
	syn := vserver.Segment{Length: 60, Flags: frame.TCPSyn, Seq: 1, Size: 1}
	web := tuple(frame.ProtoTCP, "10.2.1.1:40000", "10.1.1.1:80")
	h := admit(t, r, guideInternal, web, web.Reversed(), syn)
	r.Connections().Touch(h, vserver.Segment{Length: 40, Flags: frame.TCPRst, Seq: 2}, guideInternal, r.Now())
	admit(t, r, guideInternal, web, web.Reversed(), syn)
	in := tuple(frame.ProtoESP, "198.51.100.9:0", "172.17.1.1:0")
	admit(t, r, guideExternal, in, tuple(frame.ProtoESP, "192.168.15.2:0", "198.51.100.9:0"), vserver.Segment{Length: 120})
	ping := tuple(frame.ProtoICMP, "10.2.1.1:77", "10.3.0.9:77")
	admit(t, red, guideRed, ping, ping.Reversed(), vserver.Segment{Length: 84})
	ctx := t.Context()

	rows := map[string]control.LTMVirtual{}
	var names []string
	for v, err := range o.client.LTMVirtuals(ctx, control.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		rows[v.Name] = v
		names = append(names, v.Name)
	}
	if want := "all homes ipsec-0 ipsec-2 one red web"; strings.Join(names, " ") != want {
		t.Errorf("names %q, want %s", names, want)
	}
	ignored := cmpopts.IgnoreFields(control.LTMTraffic{}, "MinDuration", "MaxDuration", "MeanDuration")
	for name, want := range map[string]control.LTMVirtual{
		"ipsec-0": {Name: "ipsec-0", Availability: "unknown", State: "enabled", Reason: control.ReasonUnknown, CMP: true,
			Destination: "10.1.1.0:any", Mask: "255.255.255.0", Source: "10.2.1.0/24", Protocol: "tcp", VLANs: control.Words{},
			LTMTraffic: control.LTMTraffic{BitsIn: 8 * 160, PacketsIn: 3, Current: 1, Maximum: 1, Total: 2, Closed: 1, Resets: 1}},
		"all": {Name: "all", Availability: "unknown", State: "disabled", Reason: control.ReasonUnknown, CMP: true,
			Destination: "0.0.0.0:any", Mask: "any", Source: "0.0.0.0/0", Protocol: "any", VLANs: control.Words{"external"}},
		"web": {Name: "web", Availability: "unknown", State: "enabled", Reason: control.ReasonUnknown,
			Destination: "10.1.1.5:443", Mask: "255.255.255.255", Source: "0.0.0.0/0", Protocol: "tcp", VLANs: control.Words{}},
		"red": {Name: "red", TD: 7, Availability: "unknown", State: "enabled", Reason: control.ReasonUnknown, CMP: true,
			Destination: "10.3.0.0:any", Mask: "255.255.0.0", Source: "0.0.0.0/0", Protocol: "any", VLANs: control.Words{},
			LTMTraffic: control.LTMTraffic{BitsIn: 8 * 84, PacketsIn: 1, Current: 1, Maximum: 1, Total: 1}},
	} {
		if diff := cmp.Diff(want, rows[name], ignored); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := rows["ipsec-2"].VLANs; !rows["ipsec-2"].VLANsEnabled || !slices.Equal(got, control.Words{"external", "vlan-internal-2-0"}) {
		t.Errorf("ipsec-2 listens on %q, enabled %v", got, rows["ipsec-2"].VLANsEnabled)
	}
	nats := seen(o, o.client.LTMNATs(ctx, control.Filter{}), func(n control.LTMNAT) string {
		return fmt.Sprintf("%s/%s/%s/%d/%d", n.Name, n.Originating, n.Translation, n.Total, n.BitsIn)
	})
	if want := "NAT-1/192.168.15.2/172.17.1.1/1/960 quiet/192.168.15.3/172.17.1.2/0/0"; nats != want {
		t.Errorf("NATs %s, want %s", nats, want)
	}
	snats := seen(o, o.client.LTMSNATs(ctx, control.Filter{}), func(s control.LTMSNAT) string {
		return fmt.Sprintf("%s/%s/%s/%v", s.Name, strings.Join(s.Origins, "+"), strings.Join(s.Translation, "+"), s.Automap)
	})
	if want := "S1/10.9.0.0/16+10.8.0.0/16/203.0.113.21/false S2/10.7.0.0/16//true S3/10.6.0.0/16/203.0.113.22+203.0.113.23/false"; snats != want {
		t.Errorf("SNATs %s, want %s", snats, want)
	}

	for filter, want := range map[string]string{
		"": "ESP/198.51.100.9:0>172.17.1.1:0/198.51.100.9:0>192.168.15.2:0/nat/NAT-1/0 " +
			"ICMP/10.2.1.1:77>10.3.0.9:0/10.2.1.1:77>10.3.0.9:0/virtual/red/7 " +
			"TCP/10.2.1.1:40000>10.1.1.1:80/10.2.1.1:40000>10.1.1.1:80/virtual/ipsec-0/0",
		"dest_ip=192.168.15.2": "ESP/198.51.100.9:0>172.17.1.1:0/198.51.100.9:0>192.168.15.2:0/nat/NAT-1/0",
		"virtual=ipsec-0":      "TCP/10.2.1.1:40000>10.1.1.1:80/10.2.1.1:40000>10.1.1.1:80/virtual/ipsec-0/0",
		"virtual=S1":           "",
		"virtual=ipsec-1":      `no ltm virtual, nat or snat "ipsec-1"; did you mean "ipsec-2"?`,
		"td=7":                 "ICMP/10.2.1.1:77>10.3.0.9:0/10.2.1.1:77>10.3.0.9:0/virtual/red/7",
		"source_ip=10.1.1.1":   "",
	} {
		f := control.Filter{}
		if name, text, ok := strings.Cut(filter, "="); ok {
			f = asked(t, name, text)
		}
		got := seen(o, o.client.Connections(ctx, f), func(c control.Connection) string {
			return fmt.Sprintf("%s/%s:%d>%s:%d/%s:%d>%s:%d/%s/%s/%d", c.Protocol, c.CSClientIP, c.CSClientPort, c.CSServerIP, c.CSServerPort,
				c.SSClientIP, c.SSClientPort, c.SSServerIP, c.SSServerPort, c.Kind, c.Virtual, c.TD)
		})
		if filter == "" {
			got = sorted(got)
		}
		if got != want {
			t.Errorf("connections with %q:\n%s\nwant\n%s", filter, got, want)
		}
	}
}

func TestAFlowOfAServerThatTranslatesNothingIsShownAsRouted(t *testing.T) {
	v := guideViews(t)
	v.chassis = operatedBy(t, guideConfig).router.Chassis
	key := flow.Key{Src: frame.Addr{10, 2, 1, 1}, Dst: frame.Addr{10, 1, 1, 1}, ID: 40000<<16 | 80, Proto: frame.ProtoTCP, In: guideInternal}
	for _, c := range []struct {
		name   string
		in     flow.Info
		routed bool
	}{
		{"from the client", flow.Info{Entry: flow.Entry{Key: key, Side: flow.Source, Addr: key.Src, Port: 40000}}, true},
		{"answers", flow.Info{Entry: flow.Entry{Key: key, Side: flow.Destination, Addr: key.Dst, Port: 80}}, true},
		{"another address", flow.Info{Entry: flow.Entry{Key: key, Side: flow.Source, Addr: frame.Addr{203, 0, 113, 20}, Port: 40000}}, false},
		{"another port", flow.Info{Entry: flow.Entry{Key: key, Side: flow.Source, Addr: key.Src, Port: 40001}}, false},
	} {
		c.in.Owner = flow.Owner{Kind: flow.OwnerConn, ID: 5}
		if row := v.flow(c.in, 0); row.NewIP.IsValid() == c.routed || row.Owner != "ltm" {
			t.Errorf("%s: %+v", c.name, row)
		}
	}
}
