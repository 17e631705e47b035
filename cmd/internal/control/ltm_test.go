package control

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *fake) LTMVirtuals() []LTMVirtual {
	return []LTMVirtual{
		{Name: "ipsec-0", State: "enabled", Destination: "10.1.1.0:any", VLANsEnabled: true, VLANs: Words{"external"},
			LTMTraffic: LTMTraffic{BitsIn: 36100, Total: 3, MinDuration: 7}, Limited: 2, VLANMisses: 5},
		{Name: "ipsec-2", TD: 7, State: "disabled"},
	}
}

func (b *fake) LTMNATs() []LTMNAT {
	return []LTMNAT{{Name: "NAT-1", Originating: "192.168.15.2", Translation: "172.17.1.1", LTMTraffic: LTMTraffic{PacketsIn: 1}}}
}

func (b *fake) LTMSNATs() []LTMSNAT {
	return []LTMSNAT{{Name: "S1", Origins: Words{"10.0.0.0/8"}, Automap: true}}
}

func (b *fake) LTMConfig(kind LTMKind) []LTMObject {
	td, other := uint16(0), uint16(7)
	switch kind {
	case KindVirtual:
		return []LTMObject{
			{Name: "ipsec-0", TD: &td, Properties: []LTMProperty{{Name: "vlans", Block: []LTMProperty{{Name: "external"}}}, {Name: "mirror", Value: "disabled", Default: true}}},
			{Name: "ipsec-2", TD: &other},
		}
	case KindFastL4:
		return []LTMObject{{Name: "fastL4"}}
	}
	return nil
}

func (b *fake) Connections(f Filter) (iter.Seq[Connection], error) {
	return slices.Values([]Connection{
		{CSClientIP: ip("10.1.1.1"), CSClientPort: 7, CSServerIP: ip("10.2.1.1"), CSServerPort: 80,
			SSClientIP: ip("203.0.113.20"), SSClientPort: 7, SSServerIP: ip("10.2.1.1"), SSServerPort: 80, Protocol: "TCP", State: "established", Kind: NounVirtual, Virtual: "ipsec-2"},
		{CSClientIP: ip("198.51.100.9"), CSServerIP: ip("172.17.1.1"), SSClientIP: ip("198.51.100.9"), SSServerIP: ip("192.168.15.2"),
			Protocol: "ESP", Kind: NounNAT, Virtual: "NAT-1", TD: 7},
	}), b.known(f)
}

func TestLTMComesOverTheSocketWhole(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	ctx := t.Context()
	same := func(name string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, byValue()); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	same("virtuals", b.LTMVirtuals(), collect(t, c.LTMVirtuals(ctx, Filter{})))
	same("nats", b.LTMNATs(), collect(t, c.LTMNATs(ctx, Filter{})))
	same("snats", b.LTMSNATs(), collect(t, c.LTMSNATs(ctx, Filter{})))
	for _, kind := range LTMKinds() {
		same(kind.Words(), b.LTMConfig(kind), collect(t, c.LTMConfig(ctx, kind, Filter{})))
	}
	connections, _ := b.Connections(Filter{})
	same("connections", slices.Collect(connections), collect(t, c.Connections(ctx, Filter{})))
}

func TestLTMIsFiltered(t *testing.T) {
	c, socket := serve(t, &fake{})
	ctx := t.Context()
	names := func(f Filter) (out []string) {
		for _, v := range collect(t, c.LTMVirtuals(ctx, f)) {
			out = append(out, v.Name)
		}
		for _, o := range collect(t, c.LTMConfig(ctx, KindVirtual, Filter{TD: f.TD})) {
			out = append(out, "list "+o.Name)
		}
		for _, o := range collect(t, c.LTMConfig(ctx, KindFastL4, Filter{TD: f.TD})) {
			out = append(out, "list "+o.Name)
		}
		return out
	}
	for want, f := range map[string]Filter{
		"ipsec-0 ipsec-2 list ipsec-0 list ipsec-2 list fastL4": {},
		"ipsec-2 list ipsec-2 list fastL4":                      filterOf(t, ByTD, "7"),
		"ipsec-0 list ipsec-0 list ipsec-2 list fastL4":         filterOf(t, ByName, "ipsec-0"),
	} {
		if got := strings.Join(names(f), " "); got != want {
			t.Errorf("%s: got %s, want %s", f.Values().Encode(), got, want)
		}
	}
	for pair, want := range map[string]string{
		"source_ip=10.1.1.1": "ipsec-2", "source_ip=203.0.113.20": "ipsec-2", "source_ip=10.2.1.1": "",
		"dest_ip=192.168.15.2": "NAT-1", "dest_ip=172.17.1.1": "NAT-1", "dest_ip=10.1.1.1": "",
		"virtual=NAT-1": "NAT-1", "td=7": "NAT-1", "td=0": "ipsec-2",
	} {
		name, text, _ := strings.Cut(pair, "=")
		var got []string
		for _, one := range collect(t, c.Connections(ctx, filterOf(t, name, text))) {
			got = append(got, one.Virtual)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("connections with %s: %v, want %s", pair, got, want)
		}
	}
	for _, path := range []string{pathLTMConfig + "virtual?name=ipsec-0", pathConnections + "?nat_ip=10.1.1.1", pathLTMVirtuals + "?source_ip=10.1.1.1"} {
		if status, _, _ := raw(t, socket, "GET", path, nil); status != 400 {
			t.Errorf("%s: %d, want a refusal of the filter", path, status)
		}
	}
	if status, _, _ := raw(t, socket, "GET", pathLTMConfig+"pool", nil); status != 404 {
		t.Errorf("a kind that there is not: %d", status)
	}
}

func TestANameThatIsNearlyRightIsSuggested(t *testing.T) {
	c, _ := serve(t, &fake{settings: settings{pools: []LSNPool{{Name: "LSN-POOL-1"}, {Name: "LSN-POOL-7", TD: 7}}}})
	ctx := t.Context()
	for want, err := range map[string]error{
		`no ltm virtual "ipsec-1"; did you mean "ipsec-0"?`:    failure(t, c.LTMVirtuals(ctx, Filter{Name: "ipsec-1"})),
		`no ltm nat "NAT1"; did you mean "NAT-1"?`:             failure(t, c.LTMNATs(ctx, Filter{Name: "NAT1"})),
		`no ltm snat "nothing-like-it"; known: S1`:             failure(t, c.LTMSNATs(ctx, Filter{Name: "nothing-like-it"})),
		`no lsn pool "LSN-POOL-2"; did you mean "LSN-POOL-1"?`: failure(t, c.LSNPools(ctx, Filter{Name: "LSN-POOL-2"})),
		`no lsn pool "LSN-POOL-3"; did you mean "LSN-POOL-7"?`: failure(t, c.LSNPools(ctx, filterOf(t, ByName, "LSN-POOL-3", ByTD, "7"))),
	} {
		if !IsNotFound(err) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestTheNamesOfTheFieldsOfLTMAreAsPublished(t *testing.T) {
	_, socket := serve(t, &fake{})
	for path, want := range map[string]string{
		pathLTMVirtuals + "?name=ipsec-0": `{"name":"ipsec-0","td":0,"availability":"","state":"enabled","reason":"","cmp":false,"destination":"10.1.1.0:any","mask":"","source":"",` +
			`"ip_protocol":"","vlans_enabled":true,"vlans":["external"],"bits_in":36100,"bits_out":0,"packets_in":0,"packets_out":0,` +
			`"current_connections":0,"maximum_connections":0,"total_connections":3,"closed_connections":0,"expired":0,"resets":0,` +
			`"min_duration_ms":7,"max_duration_ms":0,"mean_duration_ms":0,"limited":2,"rate_limited":0,"vlan_misses":5}`,
		pathLTMConfig + "virtual?td=0": `{"name":"ipsec-0","td":0,"properties":[{"name":"vlans","block":[{"name":"external"}]},{"name":"mirror","value":"disabled","default":true}]}`,
		pathLTMConfig + "virtual?td=7": `{"name":"ipsec-2","td":7,"properties":[]}`,
		pathConnections + "?td=7": `{"cs_client_ip":"198.51.100.9","cs_client_port":0,"cs_server_ip":"172.17.1.1","cs_server_port":0,` +
			`"ss_client_ip":"198.51.100.9","ss_client_port":0,"ss_server_ip":"192.168.15.2","ss_server_port":0,"protocol":"ESP","state":"",` +
			`"idle_seconds":0,"age_seconds":0,"expires_seconds":null,"packets_in":0,"bytes_in":0,"packets_out":0,"bytes_out":0,"kind":"nat","virtual":"NAT-1","td":7}`,
	} {
		_, _, body := raw(t, socket, "GET", path, nil)
		if diff := cmp.Diff("{\"version\":1,\"items\":[\n"+want+"\n]}\n", body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestAVLANMissSaysWhatToChange(t *testing.T) {
	m := VLANMiss{Kind: NounVirtual, Name: "ipsec-2", In: "external", Listens: Words{"vlan-internal-2-0"}, Enabled: true,
		Protocol: "TCP", SourceIP: ip("10.1.1.1"), SourcePort: 40000, DestIP: ip("10.2.1.1"), DestPort: 80}
	for _, c := range []struct {
		change func(*VLANMiss)
		want   string
	}{
		{func(*VLANMiss) {}, `virtual server ipsec-2 listens on vlan-internal-2-0, not on external, where 10.1.1.1:40000 -> 10.2.1.1:80 (tcp) came in: add "external" to its vlans`},
		{func(m *VLANMiss) { m.Listens = append(m.Listens, "vlan-9") },
			`virtual server ipsec-2 listens on vlan-internal-2-0, vlan-9, not on external, where 10.1.1.1:40000 -> 10.2.1.1:80 (tcp) came in: add "external" to its vlans`},
		{func(m *VLANMiss) { m.Listens = nil }, `virtual server ipsec-2 listens on no VLAN, not on external, where 10.1.1.1:40000 -> 10.2.1.1:80 (tcp) came in: add "external" to its vlans`},
		{func(m *VLANMiss) { m.Kind, m.Name, m.Enabled = NounNAT, "NAT-1", false },
			`nat NAT-1 listens on vlan-internal-2-0, not on external, where 10.1.1.1:40000 -> 10.2.1.1:80 (tcp) came in: take "external" out of its vlans`},
		{func(m *VLANMiss) { m.Protocol, m.SourcePort, m.DestPort = "ESP", 0, 0 },
			`virtual server ipsec-2 listens on vlan-internal-2-0, not on external, where 10.1.1.1 -> 10.2.1.1 (esp) came in: add "external" to its vlans`},
	} {
		one := m
		c.change(&one)
		if got := one.Advice(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
