package wire

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// What stands in the file is what the tables are made of.
func TestEveryKeyOfLargeScaleNATReachesTheTables(t *testing.T) {
	c, _, err := configs.Parse("f", []byte(`version = 1
[lsn.client.C]
networks = ["192.0.2.0/25"]
[lsn.pool.P]
addresses = ["203.0.113.3"]
nat_type = "DETERMINISTIC"
[lsn.pool.Q]
addresses = ["203.0.113.9"]
port_realloc_timeout = "7s"
max_port_realloc_tmq = 8
[lsn.appsattributes.D]
protocol = "UDP"
ports = ["53", "5353"]
session_timeout = "31s"
[lsn.appsprofile.A]
protocol = "UDP"
ports = ["1-9999"]
appsattributes = ["D"]
inbound_refresh = true
exempt = true
[lsn.transportprofile.T]
protocol = "UDP"
session_timeout = "301s"
stun_timeout = "302s"
port_quota = 1
session_quota = 2
group_session_limit = 3
port_preserve_parity = true
port_preserve_range = true
[lsn.static.S]
protocol = "TCP"
subscriber = "192.0.2.10:80"
nat = "203.0.113.4:8080"
dest_ip = "198.51.100.7"
[lsn.static.all]
protocol = "ALL"
subscriber = "192.0.2.11"
nat = "203.0.113.5:*"
[lsn.group.G]
client = "C"
pools = ["P"]
nat_type = "DETERMINISTIC"
alloc_policy = "IPADDRS"
port_block_size = 300
transport_profiles = ["T"]
apps_profiles = ["A"]
snmp_trap_limit = 0
exempt = ["10.0.0.0/8"]
icmp_on_exhaustion = "PROHIBITED"
icmp_on_unasked_syn = false
ftp = false
`))
	if err != nil {
		t.Fatal(err)
	}
	got := lsnConfig(c, 0)
	if _, err := lsn.New(got); err != nil {
		t.Errorf("the tables refuse what the configuration takes: %v", err)
	}
	address := func(last byte) frame.Addr { return frame.Addr{203, 0, 113, last} }
	want := lsn.Config{
		MaxSessions: 65536,
		Pools: []lsn.Pool{
			{Name: "P", Ranges: []lsn.Range{{First: address(3), Last: address(3)}}, Type: lsn.Deterministic, PortBlocks: true, MaxReallocQueue: 65536},
			{Name: "Q", Ranges: []lsn.Range{{First: address(9), Last: address(9)}}, ReallocTimeout: 7 * time.Second, MaxReallocQueue: 8},
		},
		Groups: []lsn.Group{{
			Name: "G", Client: "C", Pools: []string{"P"}, Type: lsn.Deterministic, Alloc: lsn.ByAddresses, BlockSize: 300, TrapLimit: lsn.NoTraps, TFTP: true,
			Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, OnRefusal: lsn.RefuseProhibited, SilentSYN: true,
			Apps: []lsn.AppProfile{{
				Name: "A", Proto: frame.ProtoUDP, Ports: []lsn.PortRange{{First: 1, Last: 9999}},
				Attributes:     []lsn.Attributes{{Ports: []lsn.PortRange{{First: 53, Last: 53}, {First: 5353, Last: 5353}}, SessionTimeout: 31 * time.Second}},
				InboundRefresh: lsn.Enabled, Exempt: true,
			}},
			Transports: []lsn.TransportProfile{{
				Name: "T", Proto: frame.ProtoUDP, SessionTimeout: 301 * time.Second, FinRstTimeout: 30 * time.Second,
				SynIdleTimeout: time.Minute, SynCheck: lsn.Enabled, StunTimeout: 302 * time.Second,
				PortQuota: 1, SessionQuota: 2, GroupSessionLimit: 3, PreserveParity: true, PreserveRange: true,
			}},
		}},
		Statics: []lsn.Static{
			{
				Name: "S", Proto: frame.ProtoTCP, Remote: frame.Addr{198, 51, 100, 7},
				Inside:  frame.Endpoint{Addr: frame.Addr{192, 0, 2, 10}, Port: 80},
				Outside: frame.Endpoint{Addr: address(4), Port: 8080},
			},
			{
				Name: "all", Inside: frame.Endpoint{Addr: frame.Addr{192, 0, 2, 11}},
				Outside: frame.Endpoint{Addr: address(5)},
			},
		},
	}
	ignore := cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreUnexported(lsn.Group{}), cmpopts.IgnoreFields(lsn.Config{}, "Clients", "Rand", "OnGone", "OnEvent")}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
