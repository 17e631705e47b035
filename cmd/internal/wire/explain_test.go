package wire

import (
	"fmt"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

// explainConfig is the guide's gateway: a virtual server in front of a tunnel with
// manual keys, one in front of a tunnel's interface that nobody has negotiated
// yet, and subscribers of an LSN group.
const explainConfig = `version = 1
[port.lan]
driver = "raw"
device = "eth0"
[port.wan]
driver = "raw"
device = "eth1"
[vlan.internal]
port = "lan"
addresses = ["10.2.1.254/24", "192.0.2.254/24"]
[vlan.external]
port = "wan"
addresses = ["198.51.100.1/24"]
[vlan.red]
port = "lan"
id = 7
traffic_domain = 7
addresses = ["10.2.1.254/24"]
[route."0.0.0.0/0"]
via = "198.51.100.254"
[route.site-b]
to = "10.7.0.0/16"
tunnel = "ipsec-tunnel"
[lsn.client.homes]
networks = ["192.0.2.0/24"]
[lsn.pool.outside]
addresses = ["203.0.113.3"]
[lsn.group.homes]
client = "homes"
pools = ["outside"]
[ltm.virtual.ipsec-0]
destination = "10.1.1.0/24:any"
source = "10.2.1.0/24"
ip_forward = true
profiles = ["fastL4"]
vlans = ["internal"]
vlans_enabled = true
require_protection = true
[ltm.virtual.ipsec-2]
destination = "10.2.1.0/24:any"
ip_forward = true
profiles = ["fastL4"]
vlans = ["internal"]
vlans_enabled = true
[ltm.virtual.site-b]
destination = "10.7.0.0/16:any"
ip_forward = true
profiles = ["fastL4"]
[net.ipsec.policy.Rio]
mode = "tunnel"
tunnel_local_address = "198.51.100.1"
tunnel_remote_address = "198.51.100.200"
[net.ipsec.selector.to-rio]
source_address = "10.2.1.0/24"
destination_address = "10.1.1.0/25"
policy = "Rio"
[net.ipsec.manual_sa.out]
policy = "Rio"
source_address = "198.51.100.1"
destination_address = "198.51.100.200"
spi = 0xc0ffee01
encrypt_algorithm = "null"
auth_algorithm = "sha256"
auth_key = "0x0707070707070707070707070707070707070707070707070707070707070707"
[net.ipsec.manual_sa.in]
policy = "Rio"
source_address = "198.51.100.200"
destination_address = "198.51.100.1"
spi = 0xc0ffee02
encrypt_algorithm = "null"
auth_algorithm = "sha256"
auth_key = "0x0707070707070707070707070707070707070707070707070707070707070707"
[net.ipsec.peer.gw2]
remote_address = "198.51.100.201"
psk = "correct horse battery staple"
[net.ipsec.policy.Rio-if]
mode = "interface"
peer = "gw2"
tunnel_local_address = "198.51.100.1"
tunnel_remote_address = "198.51.100.201"
[net.tunnel.ipsec-tunnel]
policy = "Rio-if"
addresses = ["10.9.0.1/30"]
`

// explained asks what would become of a packet.
func (o *operated) explained(question ...string) control.Explained {
	o.t.Helper()
	var f control.Filter
	for i := 0; i < len(question); i += 2 {
		if err := f.Set(question[i], question[i+1]); err != nil {
			o.t.Fatal(err)
		}
	}
	row, err := o.client.Explain(o.t.Context(), f)
	if err != nil {
		o.t.Fatal(err)
	}
	return row
}

// place is FILE:LINE of a table's header.
func place(text, header string) string {
	line := 1 + strings.Count(text[:strings.Index(text, "\n"+header)+1], "\n")
	return fmt.Sprintf("example.toml:%d %s", line, header)
}

func TestExplainNamesTheStepsTheLinesAndTheEnd(t *testing.T) {
	o := operatedBy(t, explainConfig)
	for _, tt := range []struct {
		name     string
		question []string
		end      string
		reason   string
		decided  []string // headers of tables, in order
		says     string   // of some step
	}{
		{"from a subscriber", []string{"in", "internal", "frame", "udp,192.0.2.10:500,198.51.100.9:500"}, control.EndForwarded, "",
			[]string{"[lsn.group.homes]", "[vlan.external]", "[lsn.group.homes]", "[lsn.group.homes]"}, "its source would be drawn from 203.0.113.3, ports 1024 to 65535"},
		{"into the tunnel", []string{"in", "internal", "frame", "tcp,10.2.1.1:40000,10.1.1.1:80"}, control.EndSealed, "",
			[]string{"[ltm.virtual.ipsec-0]", `[route."0.0.0.0/0"]`, "[net.ipsec.selector.to-rio]"}, "sealed with the security association c0ffee01"},
		{"outside of the selector", []string{"in", "internal", "frame", "tcp,10.2.1.1:40000,10.1.1.200:80"}, control.EndDropped, "selector_miss",
			[]string{"[ltm.virtual.ipsec-0]", `[route."0.0.0.0/0"]`, "[ltm.virtual.ipsec-0]"}, "requires protection, and no selector is about 10.2.1.1:40000 > 10.1.1.200:80"},
		{"too long for it", []string{"in", "internal", "frame", "udp,10.2.1.1:40000,10.1.1.1:80", "size", "1490", "df", "true"}, control.EndDropped, "frame_too_big",
			[]string{"[ltm.virtual.ipsec-0]", `[route."0.0.0.0/0"]`, "[net.ipsec.selector.to-rio]"}, "too long once it is sealed: 1454 bytes would fit"},
		{"in clear from the other side", []string{"in", "external", "frame", "tcp,10.1.1.1:40000,10.2.1.1:80"}, control.EndDropped, "selector_reject",
			[]string{"[net.ipsec.selector.to-rio]"}, "should have come out of its tunnel"},
		{"out of the tunnel, and the server does not listen there", []string{"in", "external", "frame", "tcp,10.1.1.1:40000,10.2.1.1:80", "unsealed", "true"}, control.EndDropped, "vlan_miss",
			[]string{"[ltm.virtual.ipsec-2]"}, "it listens on internal, not on external"},
		{"ESP for the tunnel", []string{"in", "external", "frame", "esp,198.51.100.200,198.51.100.1,c0ffee02"}, control.EndOpened, "",
			[]string{"[net.ipsec.selector.to-rio]", "[net.ipsec.selector.to-rio]"}, "10.1.1.0-10.1.1.127 > 10.2.1.0-10.2.1.255; it comes in by external"},
		{"ESP of nobody", []string{"in", "external", "frame", "esp,198.51.100.200,198.51.100.1,c0ffee03"}, control.EndDropped, "no_sa", nil, "has the SPI c0ffee03"},
		{"the first into the other tunnel", []string{"in", "internal", "frame", "icmp,10.2.1.1,10.7.0.1,9"}, control.EndHeld, "",
			[]string{"[ltm.virtual.site-b]", "[route.site-b]", "[net.tunnel.ipsec-tunnel]"}, "one would be negotiated, and this first packet waits for it"},
		{"out of the other tunnel", []string{"in", "ipsec-tunnel", "frame", "icmp,10.7.0.1,10.2.1.1,9"}, control.EndDropped, "vlan_miss",
			[]string{"[ltm.virtual.ipsec-2]"}, "not on ipsec-tunnel"},
		{"to a subscriber from outside", []string{"in", "external", "frame", "udp,198.51.100.9:500,192.0.2.10:500"}, control.EndDropped, "client_not_reachable",
			[]string{"[lsn.group.homes]"}, "inside address"},
		{"for us", []string{"in", "internal", "frame", "icmp,10.2.1.1,10.2.1.254"}, control.EndDelivered, "",
			[]string{"[vlan.internal]", "[vlan.internal]"}, "a ping is answered"},
		{"a traffic domain of its own", []string{"in", "red", "frame", "tcp,10.2.1.1:40000,10.1.1.1:80", "td", "7"}, control.EndDropped, "no_listener", nil, "no virtual server, NAT, SNAT or LSN group admits it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.t = t
			row := o.explained(tt.question...)
			var decided, says []string
			for _, s := range row.Steps {
				says = append(says, s.Says)
				if s.Decided != nil {
					decided = append(decided, s.Decided.String())
				}
			}
			var want []string
			for _, header := range tt.decided {
				want = append(want, place(explainConfig, header))
			}
			if fmt.Sprint(decided) != fmt.Sprint(want) {
				t.Errorf("decided by %q, want %q\n%s", decided, want, strings.Join(says, "\n"))
			}
			if !strings.Contains(strings.Join(says, "\n"), tt.says) {
				t.Errorf("nobody says %q:\n%s", tt.says, strings.Join(says, "\n"))
			}
			reason := ""
			if row.Fate.Reason != nil {
				reason = *row.Fate.Reason
			}
			if row.Fate.End != tt.end || reason != tt.reason || (reason != "") != (row.Fate.Do != "" && row.Fate.Means != "") {
				t.Errorf("ends as %+v", row.Fate)
			}
		})
	}
}

func TestExplainKnowsTheVLANsOfATrafficDomain(t *testing.T) {
	o := operatedBy(t, explainConfig)
	for _, c := range []struct{ in, td, want string }{
		{"internl", "", `no VLAN or tunnel "internl"; did you mean "internal"?`},
		{"internal", "7", `no VLAN or tunnel of this traffic domain "internal"`},
	} {
		var f control.Filter
		f.Question.In = c.in
		f.Question.Frame, _ = control.ParseFrame("gre,10.2.1.1,10.1.1.1")
		if c.td != "" {
			if err := f.Set(control.ByTD, c.td); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := o.client.Explain(t.Context(), f); !control.IsNotFound(err) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", c.in, err)
		}
	}
	var f control.Filter
	f.Question.In, f.Question.Flags = "internal", 2
	f.Question.Frame, _ = control.ParseFrame("gre,10.2.1.1,10.1.1.1")
	if _, err := o.client.Explain(t.Context(), f); err == nil || err.Error() != "only TCP has flags" {
		t.Errorf("flags: %v", err)
	}
}
