package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"spigate/alg/ipsec"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// redConfig is a second traffic domain with the addresses of the shipped
// example, on the same ports.
const redConfig = `
[vlan.inside-red]
port = "lan"
id = 7
addresses = ["192.0.2.1/24"]
traffic_domain = 7
[vlan.outside-red]
port = "wan"
id = 7
addresses = ["203.0.113.1/24"]
traffic_domain = 7
[lsn.client.red]
networks = ["192.0.2.0/24"]
traffic_domain = 7
[lsn.pool.red]
addresses = ["203.0.113.3"]
[lsn.appsprofile.red]
protocol = "TCP"
traffic_domain = 7
[lsn.group.red]
client = "red"
pools = ["red"]
apps_profiles = ["LSN-APPSPROFILE-1", "red"]
ipsecalg_profile = "IPSECALGPROFILE-1"
`

// newOperatedDomains is a chassis with the domains 0 and 7, each as its own
// operator would see it; the client sees both.
func newOperatedDomains(t *testing.T) (blue, red *operated) {
	t.Helper()
	text := strings.Replace(configs.IPsecPassthrough(), `"203.0.113.3-203.0.113.9"`, `"203.0.113.3"`, 1)
	text = strings.Replace(text, `[route."0.0.0.0/0"]`, "[route.\"0.0.0.0/0\"]\ntraffic_domain = 0", 1)
	blue = operatedBy(t, text+redConfig)
	other := *blue
	other.router = blue.router.Chassis.Router(7)
	return blue, &other
}

func TestEveryViewHasItsDomainAndItsFilter(t *testing.T) {
	blue, red := newOperatedDomains(t)
	blue.peer(0x10, subscriberA, gatewayX).up()
	red.peer(0x10, subscriberA, gatewayX).up()
	red.peer(0x20, subscriberB, gatewayX).ask()
	ctx := t.Context()
	for td, want := range map[string]map[string]string{
		"": {
			"ipsecalg session": "0/192.0.2.10/c0000010 7/192.0.2.10/c0000010",
			"ipsecalg gate":    "0/free 7/provisional",
			"lsn session":      "0/192.0.2.10/0 7/192.0.2.10/7 7/192.0.2.200/7",
			"lsn client":       "0/LSN-CLIENT-1 7/red", "lsn pool": "0/LSN-POOL-1/1 7/red/2", "lsn group": "0/LSN-GROUP-1 7/red",
		},
		"0": {
			"ipsecalg session": "0/192.0.2.10/c0000010", "ipsecalg gate": "0/free", "lsn session": "0/192.0.2.10/0",
			"lsn client": "0/LSN-CLIENT-1", "lsn pool": "0/LSN-POOL-1/1", "lsn group": "0/LSN-GROUP-1",
		},
		"7": {
			"ipsecalg session": "7/192.0.2.10/c0000010", "ipsecalg gate": "7/provisional",
			"lsn session": "7/192.0.2.10/7 7/192.0.2.200/7",
			"lsn client":  "7/red", "lsn pool": "7/red/2", "lsn group": "7/red",
		},
		"9": {},
	} {
		f := control.Filter{}
		if td != "" {
			f = asked(t, control.ByTD, td)
		}
		gates := func(g control.IPsecGate) string { return fmt.Sprintf("%d/%s", g.TD, g.State) }
		for view, got := range map[string]string{
			"ipsecalg session": seen(blue, blue.client.IPsecSessions(ctx, f), func(s control.IPsecSession) string {
				return fmt.Sprintf("%d/%s/%s", s.TD, s.SourceIP, s.SPIIn)
			}),
			"ipsecalg gate": seen(blue, blue.client.IPsecGates(ctx, f), gates),
			"lsn client": seen(blue, blue.client.LSNClients(ctx, f), func(c control.LSNClient) string {
				return fmt.Sprintf("%d/%s", c.TD, c.Name)
			}),
			"lsn pool": seen(blue, blue.client.LSNPools(ctx, f), func(p control.LSNPool) string {
				return fmt.Sprintf("%d/%s/%d", p.TD, p.Name, p.UsedUDP)
			}),
			"lsn group": seen(blue, blue.client.LSNGroups(ctx, f), func(g control.LSNGroup) string {
				return fmt.Sprintf("%d/%s", g.TD, g.Name)
			}),
			"lsn session": sorted(seen(blue, blue.client.LSNSessions(ctx, f), func(s control.LSNSession) string {
				return fmt.Sprintf("%d/%s/%d", s.SubscriberTD, s.SubscriberIP, s.DestTD)
			})),
		} {
			if got != want[view] {
				t.Errorf("%s --td %q: %q, want %q", view, td, got, want[view])
			}
		}
	}
}

// Both domains have the NAT address, one has the port.
func TestWhoAsksEveryDomain(t *testing.T) {
	_, red := newOperatedDomains(t)
	p := red.peer(0x10, subscriberA, gatewayX)
	for td, want := range map[string]string{
		"": "7/192.0.2.10", "7": "7/192.0.2.10", "0": "", "9": "no NAT address " + strconv.Quote(p.nat.String()),
	} {
		f := control.Filter{NATIP: p.nat.Netip(), NATPort: p.port}
		if td != "" {
			if err := f.Set(control.ByTD, td); err != nil {
				t.Fatal(err)
			}
		}
		got := seen(red, red.client.Who(t.Context(), f), func(w control.Who) string {
			return fmt.Sprintf("%d/%s", w.SubscriberTD, w.SubscriberIP)
		})
		if got != want {
			t.Errorf("--td %q: %q, want %q", td, got, want)
		}
	}
}

func TestCountersOfAllDomainsAddUp(t *testing.T) {
	blue, red := newOperatedDomains(t)
	blue.peer(0x10, subscriberA, gatewayX).up()
	red.peer(0x10, subscriberA, gatewayX).up()
	red.peer(0x20, subscriberB, gatewayX)
	for _, profile := range []string{"", "IPSECALGPROFILE-1"} {
		got, err := blue.client.IPsecStat(t.Context(), profile)
		if err != nil || got.Active != 2 || got.Total != 2 || got.IKESessions != 3 || got.ESPSessions != 2 {
			t.Errorf("profile %q: %+v, %v", profile, got, err)
		}
	}
}

func TestAFlushOfOneDomainLeavesTheOther(t *testing.T) {
	blue, red := newOperatedDomains(t)
	blue.peer(0x10, subscriberA, gatewayX).up()
	red.peer(0x10, subscriberA, gatewayX).up()
	ctx, seven := t.Context(), asked(t, control.ByTD, "7", control.BySourceIP, subscriberA)
	left := func() string {
		return fmt.Sprint(blue.router.ALG().Counters().ESPSessions, red.router.ALG().Counters().ESPSessions,
			blue.router.LSN().Stats().Sessions[1], red.router.LSN().Stats().Sessions[1])
	}
	if n, err := blue.client.FlushIPsec(ctx, seven); err != nil || n.ESPSessions != 1 || left() != "1 0 1 0" {
		t.Errorf("IPsec sessions of domain 7: flushed %+v, %v, left %s", n, err, left())
	}
	red.peer(0x30, subscriberA, gatewayX)
	if n, err := blue.client.FlushLSN(ctx, seven); err != nil || n.Sessions != 1 || left() != "1 0 1 0" {
		t.Errorf("NAT sessions of domain 7: flushed %+v, %v, left %s", n, err, left())
	}
	red.peer(0x40, subscriberA, gatewayX)
	if n, err := blue.client.FlushLSN(ctx, asked(t, control.BySourceIP, subscriberA)); err != nil || n.Sessions != 2 {
		t.Errorf("NAT sessions of all domains: flushed %+v, %v", n, err)
	}
}

// A group that loses its ALG profile has its gates closed (R11), in whatever
// domain it is.
func TestAReloadReachesEveryDomain(t *testing.T) {
	_, red := newOperatedDomains(t)
	red.peer(0x10, subscriberA, gatewayX).ask()
	gates := func() int { return len(slices.Collect(red.router.ALG().Gates(ipsec.Filter{}))) }
	if gates() != 1 {
		t.Fatalf("%d gates, want 1", gates())
	}
	bare := *red.config
	bare.LSN.Groups = nil
	for _, g := range red.config.LSN.Groups {
		without := *g
		without.ALG = nil
		bare.LSN.Groups = append(bare.LSN.Groups, &without)
	}
	d := &Daemon{views: newViews(red.config), chassis: red.router.Chassis, log: silent}
	if err := d.Reload(&bare); err != nil {
		t.Fatal(err)
	}
	if gates() != 0 {
		t.Errorf("%d gates are left", gates())
	}
}

func sorted(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(list, " ")
}
