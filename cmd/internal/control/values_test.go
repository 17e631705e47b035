package control

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestValuesInJSONAndForPeople(t *testing.T) {
	for _, c := range []struct {
		value        any
		json, people string
	}{
		{SPI(0), "null", "-"},
		{SPI(0x100), `"00000100"`, "00000100"},
		{SPI(0xffffffff), `"ffffffff"`, "ffffffff"},
		{MessageID(0), `"00000000"`, "00000000"},
		{Seconds(0), "0", "0s"},
		{Seconds(1.23456), "1.235", "1.2s"},
		{Seconds(12.6), "12.6", "13s"},
		{Seconds(3661), "3661", "1h1m1s"},
		{Addr{}, "null", "-"},
		{Addr{ip("192.0.2.1")}, `"192.0.2.1"`, "192.0.2.1"},
	} {
		got, err := json.Marshal(c.value)
		if err != nil || string(got) != c.json {
			t.Errorf("%v: %s, %v, want %s", c.value, got, err, c.json)
		}
		if people := c.value.(interface{ String() string }).String(); people != c.people {
			t.Errorf("%s prints %q, want %q", c.json, people, c.people)
		}
	}
}

func TestAFlowShowsTheKeyOfItsProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		protocol uint8
		id       uint32
		want     Flow
	}{
		"TCP":  {6, 40000<<16 | 443, Flow{Protocol: "TCP", SourcePort: number16(40000), DestPort: number16(443), NewPort: number16(7)}},
		"UDP":  {17, 500<<16 | 501, Flow{Protocol: "UDP", SourcePort: number16(500), DestPort: number16(501), NewPort: number16(7)}},
		"ICMP": {1, 77<<16 | 8, Flow{Protocol: "ICMP", ICMPID: number16(77), NewPort: number16(7)}},
		"ESP":  {50, 0xc3a1b2d4, Flow{Protocol: "ESP", SPI: 0xc3a1b2d4}},
		"GRE":  {47, 5, Flow{Protocol: "47", NewPort: number16(7)}},
	} {
		var f Flow
		f.SetID(c.protocol, c.id)
		f.SetNew(SideSource, ip("203.0.113.3"), 7)
		c.want.Side, c.want.NewIP = SideSource, Addr{ip("203.0.113.3")}
		if diff := cmp.Diff(c.want, f, byValue(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheDaemonIsUnwellWhenAPortIsDownOrAPartIsNotReady(t *testing.T) {
	up, down := PortStatus{Port: "lan", Up: true}, PortStatus{Port: "wan"}
	for want, s := range map[string]Status{
		"":                        {Ready: true, Ports: []PortStatus{up}},
		"the daemon is not ready": {Ports: []PortStatus{down}},
		"port down: wan":          {Ready: true, Ports: []PortStatus{up, down, down}},

		`switch failed: sw0 (see "show switch")`: {Ready: true, Ports: []PortStatus{up}, FailedSwitches: Words{"sw0"}},
	} {
		if got := s.Unhealthy(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheBuildSaysWhatItIs(t *testing.T) {
	v := BuildVersion()
	if v.Version == "" || !strings.HasPrefix(v.Go, "go1") || v.OS == "" || v.Arch == "" {
		t.Errorf("got %+v", v)
	}
}
