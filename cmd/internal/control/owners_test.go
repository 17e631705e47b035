package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhoseAPortIsComesOverTheSocketWhole(t *testing.T) {
	udp, port, server := "UDP", uint16(4000), uint16(443)
	b := &fake{
		computed: []LSNDeterministic{
			{SubscriberIP: ip("192.0.2.1"), NATIP: ip("203.0.113.3"), FirstPort: 1024, LastPort: 1279, SubscriberTD: 7, Group: "G", Client: "LSN-CLIENT-1"},
			{SubscriberIP: ip("192.0.2.2"), NATIP: ip("203.0.113.4"), FirstPort: 1280, LastPort: 1535, Group: "H"},
		},
		blocks: []LSNBlock{
			{SubscriberIP: ip("192.0.2.1"), NATIP: ip("203.0.113.3"), FirstPort: 2048, LastPort: 2559, Mappings: 9, UsedUDP: 4, UsedTCP: 5, Pool: "P", Group: "G", Client: "LSN-CLIENT-1"},
			{SubscriberIP: ip("192.0.2.2"), SubscriberTD: 7, NATIP: ip("203.0.113.4"), FirstPort: 2560, LastPort: 3071, Pool: "P"},
		},
		owners: []Who{
			{Known: ByBlock, SubscriberIP: ip("192.0.2.1"), NATIP: ip("203.0.113.3"), FirstPort: 2048, LastPort: 2559, Group: "G"},
			{Known: ByMapping, SubscriberIP: ip("192.0.2.1"), SubscriberPort: &port, NATIP: ip("203.0.113.3"), FirstPort: 2100, LastPort: 2100,
				Protocol: &udp, DestIP: Addr{ip("198.51.100.9")}, DestPort: &server, Group: "G"},
		},
	}
	c, _ := serve(t, b)
	ctx := t.Context()
	same := func(name string, want, got any) {
		t.Helper()
		hidden := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Client" }, cmp.Ignore())
		if diff := cmp.Diff(want, got, byValue(), hidden); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	same("computed", b.computed, collect(t, c.LSNDeterministic(ctx, Filter{})))
	for name, text := range map[string]string{BySourceIP: "192.0.2.1", ByNATIP: "203.0.113.3", ByClient: "LSN-CLIENT-1", ByNetwork: "192.0.2.0/31", ByTD: "7"} {
		same(name, b.computed[:1], collect(t, c.LSNDeterministic(ctx, filterOf(t, name, text))))
	}
	same("blocks", b.blocks, collect(t, c.LSNBlocks(ctx, Filter{})))
	for name, text := range map[string]string{BySourceIP: "192.0.2.1", ByNATIP: "203.0.113.3", ByClient: "LSN-CLIENT-1", ByTD: "0", ByNATPort: "2559"} {
		same(name, b.blocks[:1], collect(t, c.LSNBlocks(ctx, filterOf(t, name, text))))
	}
	same("who", b.owners, collect(t, c.Who(ctx, filterOf(t, ByNATIP, "203.0.113.3", ByNATPort, "2100"))))
	same("who else", b.owners[:1], collect(t, c.Who(ctx, filterOf(t, ByNATIP, "203.0.113.3", ByNATPort, "2101"))))
	for _, half := range []Filter{{}, filterOf(t, ByNATIP, "203.0.113.3"), filterOf(t, ByNATPort, "2100")} {
		if err := failure(t, c.Who(ctx, half)); err == nil || err.Error() != "nat_ip and nat_port are needed" {
			t.Errorf("%+v: %v", half, err)
		}
	}
	if b.owners[0].Lasting() || !(Who{Known: ByDeterministic}).Lasting() || !(Who{Known: ByStatic}).Lasting() {
		t.Error("what is computed or static lasts, and a drawn block does not")
	}
}
