package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

const owning = `
[lsn.client.COMPUTED]
networks = ["100.64.0.0/30"]
[lsn.pool.COMPUTED]
addresses = ["203.0.113.50-203.0.113.51"]
nat_type = "DETERMINISTIC"
[lsn.group.COMPUTED]
client = "COMPUTED"
pools = ["COMPUTED"]
nat_type = "DETERMINISTIC"
alloc_policy = "IPADDRS"
port_block_size = 512

[lsn.client.DRAWN]
networks = ["100.65.0.0/24"]
[lsn.pool.DRAWN]
addresses = ["203.0.113.60"]
port_block_allocation = true
[lsn.group.DRAWN]
client = "DRAWN"
pools = ["DRAWN"]
port_block_size = 512
[lsn.static.WEB]
protocol = "TCP"
subscriber = "192.0.2.9:80"
nat = "203.0.113.3:8080"
`

// opened lets a subscriber send one UDP packet, and returns where it came out.
func (o *operated) opened(subscriber string) frame.Endpoint {
	o.t.Helper()
	tuple := lsn.Tuple{Proto: frame.ProtoUDP, Inside: frame.Endpoint{Addr: addr(netip.MustParseAddr(subscriber)), Port: 4000}, Remote: frame.Endpoint{Addr: addr(netip.MustParseAddr(gatewayX)), Port: 443}}
	now := o.router.Now()
	plan, _ := o.router.LSN().DecideOut(tuple, lsn.Hints{}, now)
	b, why := o.router.LSN().CommitOut(&plan, now)
	if why != drop.None {
		o.t.Fatal(why)
	}
	return b.Outside
}

func (o *operated) who(out frame.Endpoint) string {
	f := control.Filter{NATIP: out.Addr.Netip(), NATPort: out.Port}
	return seen(o, o.client.Who(o.t.Context(), f), func(r control.Who) string {
		text := fmt.Sprintf("%s %v %d-%d %s", r.Known, r.SubscriberIP, r.FirstPort, r.LastPort, r.Group)
		if r.Known == control.ByMapping || r.Known == control.ByStatic {
			text += fmt.Sprintf(" %d %s %v", *r.SubscriberPort, *r.Protocol, r.DestIP)
		}
		return text
	})
}

func TestWhoseAPortIsFromTheTablesToTheClient(t *testing.T) {
	o := operatedBy(t, configs.IPsecPassthrough()+owning)
	ctx := t.Context()
	list := func(f control.Filter) string {
		return seen(o, o.client.LSNDeterministic(ctx, f), func(r control.LSNDeterministic) string {
			return fmt.Sprintf("%v=%v:%d-%d", r.SubscriberIP, r.NATIP, r.FirstPort, r.LastPort)
		})
	}
	rows := []string{
		"100.64.0.0=203.0.113.50:1024-1535", "100.64.0.1=203.0.113.51:1024-1535",
		"100.64.0.2=203.0.113.50:1536-2047", "100.64.0.3=203.0.113.51:1536-2047",
	}
	for _, c := range []struct {
		filter control.Filter
		want   []string
	}{
		{control.Filter{}, rows}, {asked(t, control.ByClient, "COMPUTED"), rows},
		{asked(t, control.ByNATIP, "203.0.113.50"), []string{rows[0], rows[2]}},
		{asked(t, control.BySourceIP, "100.64.0.3"), rows[3:]}, {asked(t, control.BySourceIP, "100.65.0.1"), nil},
	} {
		if got := list(c.filter); got != strings.Join(c.want, " ") {
			t.Errorf("%s: %s, want %s", c.filter.Values().Encode(), got, c.want)
		}
	}
	drawn, computed := o.opened("100.65.0.1"), o.opened("100.64.0.2")
	first := (drawn.Port-1024)/512*512 + 1024
	blocks := seen(o, o.client.LSNBlocks(ctx, control.Filter{}), func(r control.LSNBlock) string {
		return fmt.Sprintf("%v=%v:%d-%d %d %d %s %s", r.SubscriberIP, r.NATIP, r.FirstPort, r.LastPort, r.Mappings, r.UsedUDP, r.Pool, r.Group)
	})
	if want := fmt.Sprintf("100.65.0.1=203.0.113.60:%d-%d 1 1 DRAWN DRAWN", first, first+511); blocks != want {
		t.Errorf("blocks: %s, want %s", blocks, want)
	}
	for out, want := range map[frame.Endpoint]string{
		drawn: fmt.Sprintf("block 100.65.0.1 %d-%d DRAWN mapping 100.65.0.1 %d-%d DRAWN 4000 UDP %s", first, first+511, drawn.Port, drawn.Port, gatewayX),
		computed: fmt.Sprintf("deterministic 100.64.0.2 1536-2047 COMPUTED mapping 100.64.0.2 %d-%d COMPUTED 4000 UDP %s",
			computed.Port, computed.Port, gatewayX),
		{Addr: computed.Addr, Port: 1024}:                            "deterministic 100.64.0.0 1024-1535 COMPUTED",
		{Addr: computed.Addr, Port: 2048}:                            "",
		{Addr: addr(netip.MustParseAddr("203.0.113.3")), Port: 8080}: "static 192.0.2.9 8080-8080 LSN-GROUP-1 80 TCP -",
		{Addr: addr(netip.MustParseAddr(gatewayX)), Port: 8080}:      fmt.Sprintf("no NAT address %q", gatewayX),
	} {
		if got := o.who(out); got != want {
			t.Errorf("%v: %s, want %s", out, got, want)
		}
	}
	for row := range o.client.LSNPools(ctx, control.Filter{}) {
		if want := map[string][2]uint64{"COMPUTED": {252, 4}, "DRAWN": {126, 1}}[row.Name]; row.Blocks != want[0] || row.UsedBlocks != want[1] {
			t.Errorf("%s: %d of %d blocks, want %v", row.Name, row.UsedBlocks, row.Blocks, want)
		}
	}
}
