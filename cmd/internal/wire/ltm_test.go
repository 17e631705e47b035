package wire

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// ltmText has every option of [ltm.…] at another value than its default, and a
// second traffic domain with one object of each kind.
const ltmText = `version = 1
[port.p]
driver = "tap"
device = "tap0"
[vlan.a]
port = "p"
id = 1
addresses = ["10.1.0.1/16"]
[vlan.red]
port = "p"
id = 2
traffic_domain = 7
[vlan.b]
port = "p"
id = 3
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.3"]
[lsn.group.G]
client = "C"
pools = ["P"]
[ltm.virtual.all]
destination = "10.2.0.0/16:https"
source = "10.1.0.0/16"
ip_protocol = "tcp"
ip_forward = true
profiles = ["F"]
vlans = ["b", "a"]
vlans_enabled = true
disabled = true
translate_address = true
translate_port = true
source_address_translation = { type = "snat", pool = "S" }
connection_limit = 5
rate_limit = 6
mirror = true
auto_lasthop = "disabled"
source_port = "change"
cmp_enabled = false
[ltm.virtual.none]
destination = "10.3.0.9:any"
reject = true
[ltm.virtual.lsn]
destination = "10.4.0.0/16:any"
ip_forward = true
source_address_translation = "lsn"
lsn_group = "G"
[ltm.virtual.automap]
destination = "10.5.0.0/16:any"
ip_forward = true
source_address_translation = "automap"
[ltm.virtual.one]
destination = "10.6.0.0/16:any"
ip_forward = true
source_address_translation = "snat"
snat_translation = "203.0.113.30"
[ltm.virtual.red]
destination = "10.2.0.0/16:any"
ip_forward = true
traffic_domain = 7
[ltm.profile.fastl4.F]
idle_timeout = "indefinite"
tcp_handshake_timeout = "6s"
tcp_close_timeout = "7s"
client_timeout = "8s"
loose_initialization = true
loose_close = true
reset_on_timeout = false
ip_ttl_mode = "preserve"
mss_override = 1360
[ltm.profile.fastl4.I]
idle_timeout = "immediate"
[ltm.nat.N]
originating_address = "10.1.0.5"
translation_address = "203.0.113.15"
arp = false
vlans = ["b"]
vlans_disabled = true
auto_lasthop = "disabled"
traffic_group = "other"
[ltm.nat.red]
originating_address = "10.1.0.5"
translation_address = "203.0.113.15"
traffic_domain = 7
[ltm.snat.T]
origins = ["10.1.0.0/16", "10.9.0.0/16"]
snatpool = "S"
vlans = ["a"]
vlans_enabled = true
mirror = true
source_port = "preserve-strict"
[ltm.snat.red]
origins = ["10.1.0.0/16"]
automap = true
traffic_domain = 7
[ltm.snatpool.S]
members = ["203.0.113.20", "203.0.113.21"]
[sys.db]
tm.continuematching = true
tm.rejectunmatched = false
`

func parsed(t *testing.T, text string) *configs.Config {
	t.Helper()
	c, _, err := configs.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addrs(words ...string) (out []netip.Addr) {
	for _, w := range words {
		out = append(out, netip.MustParseAddr(w))
	}
	return out
}

func nets(words ...string) (out []netip.Prefix) {
	for _, w := range words {
		out = append(out, netip.MustParsePrefix(w))
	}
	return out
}

func TestEveryOptionOfAListenerReachesTheRouter(t *testing.T) {
	all, off := nets("0.0.0.0/0")[0], vserver.Off
	network := func(name, to string) vserver.Server {
		return vserver.Server{
			Name: name, Destination: netip.MustParsePrefix(to), Source: all, Role: vserver.Forward, Profile: "fastL4", TranslateAddress: off, TranslatePort: off,
		}
	}
	none, lsn, automap, one := network("none", "10.3.0.9/32"), network("lsn", "10.4.0.0/16"), network("automap", "10.5.0.0/16"), network("one", "10.6.0.0/16")
	none.Role, none.TranslateAddress, none.TranslatePort = vserver.Reject, vserver.On, vserver.On
	lsn.SourceTranslation, lsn.Group = vserver.TranslateLSN, "G"
	automap.SourceTranslation = vserver.Automap
	one.SourceTranslation, one.Translations = vserver.TranslateSNAT, addrs("203.0.113.30")
	profiles := []vserver.FastL4{
		{
			Name: "F", IdleTimeout: vserver.Indefinite, HandshakeTimeout: 6 * time.Second, CloseTimeout: 7 * time.Second, ClientTimeout: 8 * time.Second,
			LooseInitialization: true, LooseClose: true, ResetOnTimeout: off, PreserveTTL: true, MSSOverride: 1360,
		},
		{
			Name: "I", IdleTimeout: vserver.Immediate, HandshakeTimeout: 5 * time.Second, CloseTimeout: 5 * time.Second,
			ClientTimeout: 30 * time.Second, ResetOnTimeout: vserver.On,
		},
	}
	want := vserver.Config{
		Servers: []vserver.Server{{
			Name: "all", Destination: netip.MustParsePrefix("10.2.0.0/16"), Port: 443, Source: netip.MustParsePrefix("10.1.0.0/16"), Protocol: 6,
			Role: vserver.Forward, Profile: "F", VLANs: vserver.VLANs{Enabled: true, List: []frame.Interface{3, 1}}, Disabled: true,
			TranslateAddress: vserver.On, TranslatePort: vserver.On,
			SourceTranslation: vserver.TranslateSNAT, Translations: addrs("203.0.113.20", "203.0.113.21"),
			ConnectionLimit: 5, RateLimit: 6, AutoLasthop: off, SourcePort: vserver.ChangePort, NoCMP: true,
		}, none, lsn, automap, one},
		Profiles: profiles,
		NATs: []vserver.NAT{{
			Name: "N", Originating: addrs("10.1.0.5")[0], Translation: addrs("203.0.113.15")[0], ARP: off,
			VLANs: vserver.VLANs{List: []frame.Interface{3}}, AutoLasthop: off, TrafficGroup: "other",
		}},
		SNATs: []vserver.SNAT{{
			Name: "T", Origins: nets("10.1.0.0/16", "10.9.0.0/16"), Translations: addrs("203.0.113.20", "203.0.113.21"),
			VLANs: vserver.VLANs{Enabled: true, List: []frame.Interface{1}}, SourcePort: vserver.PreserveStrict,
		}},
		ContinueMatching: true,
	}
	red := vserver.Config{
		Servers: []vserver.Server{network("red", "10.2.0.0/16")}, Profiles: profiles, ContinueMatching: true,
		NATs: []vserver.NAT{{
			Name: "red", Originating: addrs("10.1.0.5")[0], Translation: addrs("203.0.113.15")[0], ARP: vserver.On, TrafficGroup: "traffic-group-1",
		}},
		SNATs: []vserver.SNAT{{Name: "red", Origins: nets("10.1.0.0/16"), Automap: true}},
	}
	c, same := parsed(t, ltmText), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	if diff := cmp.Diff(want, ltmConfig(c, 0), same); diff != "" {
		t.Errorf("domain 0 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(red, ltmConfig(c, 7), same); diff != "" {
		t.Errorf("domain 7 (-want +got):\n%s", diff)
	}
	for _, domain := range []uint16{0, 7} {
		at, again := routerConfig(c, domain), settings(c, domain)
		if !at.KeepSilent || !again.KeepSilent || at.MaxConnections != 262144 {
			t.Errorf("domain %d: silent %v, after a reload %v, %d connections", domain, at.KeepSilent, again.KeepSilent, at.MaxConnections)
		}
		if diff := cmp.Diff(at.Listeners, again.Listeners, same); diff != "" || len(at.Listeners.Servers) == 0 {
			t.Errorf("domain %d: a reload has other listeners than the start:\n%s", domain, diff)
		}
	}
	if c := parsed(t, "version = 1\n"); routerConfig(c, 0).KeepSilent || ltmConfig(c, 0).ContinueMatching {
		t.Error("the defaults of the database variables are the wrong way round")
	}
}

// attempts are first packets, as "VLAN PROTOCOL SOURCE DESTINATION:PORT", with
// who admits them or why nobody does.
type attempts []struct{ packet, want string }

func (all attempts) run(t *testing.T, text string) {
	t.Helper()
	o := operatedBy(t, text)
	numbers := map[string]frame.Interface{}
	for v, n := range vlanNumbers(o.config) {
		numbers[v.Name] = n
	}
	for v, n := range tunnelNumbers(o.config) {
		numbers[v.Name] = n
	}
	listeners := o.router.Connections().Listeners()
	for _, c := range all {
		w := strings.Fields(c.packet)
		to := netip.MustParseAddrPort(w[3])
		proto := map[string]uint8{"tcp": frame.ProtoTCP, "udp": frame.ProtoUDP, "icmp": frame.ProtoICMP, "esp": frame.ProtoESP}[w[1]]
		if numbers[w[0]] == 0 || proto == 0 {
			t.Fatalf("no VLAN or protocol: %s", c.packet)
		}
		r := listeners.Match(vserver.Attempt{
			In: numbers[w[0]], Proto: proto, Src: frame.Addr(netip.MustParseAddr(w[2]).As4()), Dst: frame.Addr(to.Addr().As4()), Port: to.Port(),
		})
		got := r.Verdict.String()
		if r.Listener != nil {
			got += " " + r.Listener.Kind.String() + " " + r.Listener.Name
		}
		if r.Source != nil {
			got += ", " + r.Source.Kind.String() + " " + r.Source.Name
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.packet, got, c.want)
		}
	}
}

func TestTheExampleOfVirtualServersAdmitsWhatItSays(t *testing.T) {
	attempts{
		{"vlan-internal-2-0 tcp 10.2.1.1 10.1.1.1:22", "admit virtual server ipsec-0"},
		{"external tcp 10.1.1.1 10.2.1.1:22", "admit virtual server ipsec-2"},
		{"external tcp 10.2.1.1 10.1.1.1:22", "vlan_miss virtual server ipsec-0"},
		{"vlan-internal-2-0 tcp 10.1.1.1 10.2.1.1:22", "vlan_miss virtual server ipsec-2"},
		{"vlan-internal-2-0 udp 10.2.1.1 10.1.1.1:53", "no_listener"},
		{"vlan-internal-2-0 tcp 10.2.1.1 8.8.8.8:53", "no_listener"},
		{"vlan-internal-2-0 icmp 10.2.1.1 10.1.1.1:0", "admit virtual server ping-out"},
		{"external icmp 10.1.1.1 10.2.1.1:0", "admit virtual server ping-in"},
		{"vlan-internal-2-0 udp 10.2.1.1 172.17.1.1:53", "admit nat NAT-1"},
		{"external esp 192.168.15.2 10.2.1.1:0", "admit nat NAT-1"},
		{"external tcp 192.168.15.2 10.2.1.1:80", "admit nat NAT-1"},
		{"external icmp 10.1.1.1 198.51.100.1:0", "admit self address 198.51.100.1"},
	}.run(t, configs.VirtualServer())

	without := configs.VirtualServer()
	i, j := strings.Index(without, "[ltm.virtual.ipsec-2]"), strings.Index(without, "# Ping of both")
	attempts{
		{"vlan-internal-2-0 tcp 10.2.1.1 10.1.1.1:22", "admit virtual server ipsec-0"},
		{"external tcp 10.1.1.1 10.2.1.1:22", "no_listener"},
	}.run(t, without[:i]+without[j:])
}

func TestTheExampleOfAnOfficeAdmitsWhatItsTableSays(t *testing.T) {
	attempts{
		{"staff tcp 10.2.1.1 10.2.2.80:22", "admit virtual server servers-tcp"},
		{"staff udp 10.2.1.1 10.2.2.80:53", "rejected virtual server no-inside"},
		{"staff tcp 10.2.1.1 8.8.8.8:443", "admit virtual server staff-out"},
		{"staff udp 10.2.1.1 8.8.8.8:53", "admit virtual server staff-out"},
		{"staff tcp 10.2.1.1 8.8.8.8:25", "rejected virtual server no-mail"},
		{"staff udp 10.2.1.1 8.8.8.8:25", "admit virtual server staff-out"},
		{"staff tcp 10.2.1.1 192.0.2.7:80", "rejected virtual server no-guests"},
		{"guests tcp 192.0.2.7 8.8.8.8:443", "admit lsn group guests"},
		{"guests tcp 192.0.2.7 10.2.1.1:443", "rejected virtual server no-inside"},
		{"guests tcp 192.0.2.7 10.2.2.80:443", "rejected virtual server no-inside"},
		{"servers tcp 10.2.2.80 8.8.8.8:443", "admit snat servers"},
		{"servers tcp 10.2.2.80 10.2.1.1:443", "rejected virtual server no-inside"},
		{"servers tcp 10.2.2.80 192.0.2.7:443", "rejected virtual server no-guests"},
		{"servers tcp 10.2.2.25 8.8.8.8:25", "admit nat mail"},
		{"servers tcp 10.2.2.25 10.2.1.1:25", "rejected virtual server no-inside"},
		{"external tcp 8.8.8.8 203.0.113.25:25", "admit nat mail"},
		{"staff tcp 10.2.1.1 203.0.113.25:25", "admit nat mail"},
		{"external tcp 8.8.8.8 10.2.2.80:443", "vlan_miss virtual server no-inside"},
		{"external tcp 8.8.8.8 203.0.113.20:443", "no_listener"},
		{"staff icmp 10.2.1.1 10.2.1.254:0", "admit self address 10.2.1.254"},
	}.run(t, configs.Office())
}
