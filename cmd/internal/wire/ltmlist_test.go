package wire

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// guideConfig is the configuration of BIG-IP's guide to virtual servers and
// IPsec, with one more of everything.
const guideConfig = `version = 1
[port.lan]
driver = "raw"
device = "eth0"
[port.wan]
driver = "raw"
device = "eth1"
[vlan.vlan-internal-2-0]
port = "lan"
addresses = ["10.2.1.254/24"]
[vlan.external]
port = "wan"
addresses = ["10.1.1.254/24"]
[vlan.red]
port = "lan"
id = 7
traffic_domain = 7
addresses = ["10.2.1.254/24"]
[lsn.client.homes]
networks = ["192.0.2.0/24"]
[lsn.pool.outside]
addresses = ["203.0.113.3"]
[lsn.group.homes]
client = "homes"
pools = ["outside"]
[ltm.virtual.ipsec-2]
destination = "10.2.1.0/24:any"
source = "10.1.1.0/24"
ip_protocol = "tcp"
ip_forward = true
profiles = ["fastL4"]
translate_address = false
translate_port = false
vlans = ["vlan-internal-2-0", "external"]
vlans_enabled = true
[ltm.virtual.ipsec-0]
destination = "10.1.1.0/24:any"
source = "10.2.1.0/24"
ip_protocol = "tcp"
ip_forward = true
profiles = ["fastL4"]
translate_address = false
translate_port = false
[ltm.virtual.all]
destination = "0.0.0.0:any"
reject = true
disabled = true
vlans = ["external"]
vlans_disabled = true
[ltm.virtual.web]
destination = "10.1.1.5:443"
ip_protocol = "tcp"
ip_forward = true
profiles = ["patient"]
source_address_translation = "snat"
snat_pool = "two"
connection_limit = 20
rate_limit = 10
source_port = "change"
cmp_enabled = false
[ltm.virtual.one]
destination = "10.1.1.6:8443"
ip_forward = true
source_address_translation = "snat"
snat_translation = "203.0.113.20"
[ltm.virtual.homes]
destination = "10.1.1.7:any"
ip_forward = true
source_address_translation = "lsn"
lsn_group = "homes"
[ltm.virtual.red]
destination = "10.3.0.0/16:any"
ip_forward = true
traffic_domain = 7
[ltm.profile.fastl4.patient]
idle_timeout = "indefinite"
loose_initialization = true
[ltm.nat.NAT-1]
originating_address = "192.168.15.2"
translation_address = "172.17.1.1"
[ltm.nat.quiet]
originating_address = "192.168.15.3"
translation_address = "172.17.1.2"
arp = false
vlans = ["external"]
vlans_enabled = true
[ltm.snat.S1]
origins = ["10.9.0.0/16", "10.8.0.0/16"]
translation = "203.0.113.21"
[ltm.snat.S2]
origins = ["10.7.0.0/16"]
automap = true
vlans = ["external"]
vlans_enabled = true
[ltm.snat.S3]
origins = ["10.6.0.0/16"]
snatpool = "two"
[ltm.snatpool.two]
members = ["203.0.113.22", "203.0.113.23"]
`

func guideViews(t *testing.T) *views {
	t.Helper()
	c, _, err := configs.Parse("guide.toml", []byte(guideConfig))
	if err != nil {
		t.Fatal(err)
	}
	return newViews(c)
}

// oneLine is tmsh's form on one line. all includes what it leaves out.
func oneLine(properties []control.LTMProperty, all bool) string {
	var words []string
	for _, p := range properties {
		if p.Default && !all {
			continue
		}
		words = append(words, p.Name)
		switch {
		case p.Value != "":
			words = append(words, p.Value)
		case p.Block != nil:
			words = append(words, "{ "+oneLine(p.Block, true)+" }")
		case p.Braces:
			words = append(words, "{ }")
		}
	}
	return strings.Join(words, " ")
}

func TestObjectsAreListedAsTmshDoes(t *testing.T) {
	v := guideViews(t)
	for kind, want := range map[control.LTMKind]string{
		control.KindVirtual: `
all destination 0.0.0.0:any disabled mask any profiles { fastL4 { } } reject source 0.0.0.0/0 translate-address disabled translate-port disabled vlans { external }
homes destination 10.1.1.7:any ip-forward mask 255.255.255.255 profiles { fastL4 { } } source 0.0.0.0/0 source-address-translation { pool homes type lsn } translate-address disabled translate-port disabled
ipsec-0 destination 10.1.1.0:any ip-forward ip-protocol tcp mask 255.255.255.0 profiles { fastL4 { } } source 10.2.1.0/24 translate-address disabled translate-port disabled
ipsec-2 destination 10.2.1.0:any ip-forward ip-protocol tcp mask 255.255.255.0 profiles { fastL4 { } } source 10.1.1.0/24 translate-address disabled translate-port disabled vlans { external vlan-internal-2-0 } vlans-enabled
one destination 10.1.1.6:8443 ip-forward mask 255.255.255.255 profiles { fastL4 { } } source 0.0.0.0/0 source-address-translation { translation 203.0.113.20 type snat } translate-address disabled translate-port disabled
red destination 10.3.0.0%7:any ip-forward mask 255.255.0.0 profiles { fastL4 { } } source 0.0.0.0%7/0 translate-address disabled translate-port disabled
web cmp-enabled no connection-limit 20 destination 10.1.1.5:https ip-forward ip-protocol tcp mask 255.255.255.255 profiles { patient { } } rate-limit 10 source 0.0.0.0/0 source-address-translation { pool two type snat } source-port change translate-address disabled translate-port disabled
`,
		control.KindNAT: `
NAT-1 inherited-traffic-group true originating-address 192.168.15.2 traffic-group traffic-group-1 translation-address 172.17.1.1
quiet arp disabled inherited-traffic-group true originating-address 192.168.15.3 traffic-group traffic-group-1 translation-address 172.17.1.2 vlans { external } vlans-enabled
`,
		control.KindSNAT: `
S1 origins { 10.9.0.0/16 { } 10.8.0.0/16 { } } translation 203.0.113.21
S2 automap origins { 10.7.0.0/16 { } } vlans { external } vlans-enabled
S3 origins { 10.6.0.0/16 { } } snatpool two
`,
		control.KindFastL4: `
fastL4 
patient idle-timeout indefinite loose-initialization enabled
`,
	} {
		var got []string
		for _, o := range v.LTMConfig(kind) {
			got = append(got, o.Name+" "+oneLine(o.Properties, false))
		}
		if diff := cmp.Diff(strings.Split(strings.TrimPrefix(want, "\n"), "\n"), append(got, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind.Words(), diff)
		}
	}
}

func TestEveryPropertyIsListedWithItsDefault(t *testing.T) {
	v := guideViews(t)
	for kind, want := range map[control.LTMKind]string{
		control.KindVirtual: "auto-lasthop default cmp-enabled yes connection-limit 0 destination 10.1.1.0:any enabled ip-forward ip-protocol tcp mask 255.255.255.0 mirror disabled " +
			"profiles { fastL4 { } } rate-limit disabled require-protection disabled source 10.2.1.0/24 source-address-translation { type none } source-port preserve " +
			"translate-address disabled translate-port disabled vlans none vlans-disabled",
		control.KindNAT: "arp enabled auto-lasthop default inherited-traffic-group true originating-address 192.168.15.2 require-protection disabled traffic-group traffic-group-1 " +
			"translation-address 172.17.1.1 vlans none vlans-disabled",
		control.KindSNAT: "mirror disabled origins { 10.9.0.0/16 { } 10.8.0.0/16 { } } source-port preserve translation 203.0.113.21 vlans none vlans-disabled",
		control.KindFastL4: "client-timeout 30 idle-timeout 300 ip-ttl-mode decrement loose-close disabled loose-initialization disabled mss-override 0 " +
			"reset-on-timeout enabled tcp-close-timeout 5 tcp-handshake-timeout 5",
	} {
		var all []string
		for _, o := range v.LTMConfig(kind) {
			if slices.Contains([]string{"ipsec-0", "NAT-1", "S1", "fastL4"}, o.Name) {
				if got := oneLine(o.Properties, true); got != want {
					t.Errorf("%s %s:\n%s\nwant\n%s", kind.Words(), o.Name, got, want)
				}
			}
			for _, p := range o.Properties {
				all = append(all, p.Name)
			}
		}
		slices.Sort(all)
		known := kind.Properties()
		if diff := cmp.Diff(known, slices.Compact(all)); diff != "" {
			t.Errorf("%s: Properties (-) and what objects have (+):\n%s", kind.Words(), diff)
		}
	}
}
