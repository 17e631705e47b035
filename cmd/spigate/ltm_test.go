package main

import (
	"encoding/json"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/cmd/internal/control"
)

func (h *house) LTMVirtuals() []control.LTMVirtual {
	if h.empty {
		return nil
	}
	return []control.LTMVirtual{
		{Name: "ipsec-0", TD: 7, Availability: control.AvailabilityUnknown, State: "disabled", Reason: control.ReasonUnknown, Destination: "10.1.1.0:any", Mask: "255.255.255.0",
			Source: "10.2.1.0/24", Protocol: "tcp", VLANsEnabled: true, VLANs: control.Words{"ipsec-tunnel", "vlan-internal-2-0"},
			LTMTraffic: control.LTMTraffic{BitsIn: 8_123_456_789_012, BitsOut: 999_949, PacketsIn: 1_000, PacketsOut: 999, Current: 12, Maximum: 1_234, Total: 5_678_901,
				Closed: 5_678_889, Expired: 70, Resets: 8, MinDuration: 3, MaxDuration: 299_999, MeanDuration: 4_250},
			Limited: 4, RateLimited: 5, VLANMisses: 6},
		{Name: "ipsec-2", Availability: control.AvailabilityUnknown, State: "enabled", Reason: control.ReasonUnknown, CMP: true, Destination: "10.2.1.0:any", Mask: "255.255.255.0",
			Source: "10.1.1.0/24", Protocol: "tcp",
			LTMTraffic: control.LTMTraffic{BitsIn: 36_104, BitsOut: 42_256, PacketsIn: 27, PacketsOut: 31, Maximum: 1, Total: 1}},
	}
}

func (h *house) LTMNATs() []control.LTMNAT {
	if h.empty {
		return nil
	}
	return []control.LTMNAT{{Name: "NAT-1", Originating: "192.168.15.2", Translation: "172.17.1.1",
		LTMTraffic: control.LTMTraffic{BitsIn: 8_000, BitsOut: 16_480, PacketsIn: 10, PacketsOut: 20, Current: 1, Maximum: 2, Total: 3}}}
}

func (h *house) LTMSNATs() []control.LTMSNAT {
	if h.empty {
		return nil
	}
	return []control.LTMSNAT{
		{Name: "S1", Origins: control.Words{"10.0.0.0/8", "172.16.0.0/12"}, Translation: control.Words{"203.0.113.20", "203.0.113.21"},
			LTMTraffic: control.LTMTraffic{BitsIn: 800, PacketsIn: 1, Current: 1, Maximum: 1, Total: 1}},
		{Name: "S2", TD: 7, Origins: control.Words{"10.0.0.0/8"}, Automap: true},
	}
}

func value(name, text string) control.LTMProperty {
	return control.LTMProperty{Name: name, Value: text}
}

func byDefault(name, text string) control.LTMProperty {
	return control.LTMProperty{Name: name, Value: text, Default: true}
}

func (h *house) LTMConfig(kind control.LTMKind) []control.LTMObject {
	blue, red := uint16(0), uint16(7)
	switch {
	case h.empty:
		return nil
	case kind == control.KindVirtual:
		return []control.LTMObject{
			{Name: "ipsec-0", TD: &red, Properties: []control.LTMProperty{
				byDefault("connection-limit", "0"), value("destination", "10.1.1.0:any"), {Name: "enabled", Default: true}, {Name: "ip-forward"},
				value("ip-protocol", "tcp"), value("mask", "255.255.255.0"), {Name: "profiles", Block: []control.LTMProperty{{Name: "fastL4", Braces: true}}},
				value("source", "10.2.1.0/24"), {Name: "source-address-translation", Default: true, Block: []control.LTMProperty{value("type", "none")}},
				value("translate-address", "disabled"), value("translate-port", "disabled"),
				{Name: "vlans", Block: []control.LTMProperty{{Name: "ipsec-tunnel"}, {Name: "vlan-internal-2-0"}}}, {Name: "vlans-enabled"},
			}},
			{Name: "ipsec-2", TD: &blue, Properties: []control.LTMProperty{
				value("connection-limit", "20"), value("destination", "10.2.1.0:any"), {Name: "disabled"}, {Name: "reject"}, byDefault("ip-protocol", "any"),
				byDefault("vlans", "none"), {Name: "vlans-disabled", Default: true},
			}},
		}
	case kind == control.KindNAT:
		return []control.LTMObject{{Name: "NAT-1", TD: &blue, Properties: []control.LTMProperty{
			byDefault("arp", "enabled"), value("inherited-traffic-group", "true"), value("originating-address", "192.168.15.2"),
			value("traffic-group", "traffic-group-1"), value("translation-address", "172.17.1.1")}}}
	case kind == control.KindSNAT:
		return []control.LTMObject{{Name: "S1", TD: &blue, Properties: []control.LTMProperty{
			{Name: "origins", Block: []control.LTMProperty{{Name: "10.0.0.0/8", Braces: true}}}, value("translation", "203.0.113.20")}}}
	}
	if kind != control.KindFastL4 {
		return h.configured(kind)
	}
	return []control.LTMObject{{Name: "fastL4", Properties: []control.LTMProperty{byDefault("idle-timeout", "300")}}}
}

func (h *house) Connections(f control.Filter) (iter.Seq[control.Connection], error) {
	if f.Virtual != "" && f.Virtual != "ipsec-2" {
		return nil, control.NotFound("ltm virtual, nat or snat", f.Virtual, "ipsec-2")
	}
	left := control.Seconds(298.8)
	return rowsFor(h, f,
		control.Connection{CSClientIP: ip("10.1.1.1"), CSClientPort: 40000, CSServerIP: ip("10.2.1.1"), CSServerPort: 80,
			SSClientIP: ip("10.1.1.1"), SSClientPort: 40000, SSServerIP: ip("10.2.1.1"), SSServerPort: 80, Protocol: "TCP", State: "established",
			Idle: 1.2, Age: 61, Left: &left, PacketsIn: 27, BytesIn: 4513, PacketsOut: 31, BytesOut: 5282, Kind: control.NounVirtual, Virtual: "ipsec-2"},
		control.Connection{CSClientIP: ip(gateway), CSServerIP: ip("172.17.1.1"), SSClientIP: ip(gateway), SSServerIP: ip("192.168.15.2"),
			Protocol: "ESP", State: "established", Idle: 12, Age: 3725, PacketsIn: 1, BytesIn: 120, Kind: control.NounNAT, Virtual: "NAT-1", TD: 7})
}

// The page of BIG-IP's troubleshooting guide stands in testdata without its
// columns and with its Reason left out.
func TestShowLTMVirtualIsThePageOfTheGuide(t *testing.T) {
	socket, _ := daemon(t, &house{})
	code, stdout, stderr := spigate(t, "show", "ltm", "virtual", "ipsec-2", "--socket", socket)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit %d, stderr %q", code, stderr)
	}
	golden(t, "ltm-virtual-page.txt", stdout)
	guide, err := os.ReadFile("testdata/tmsh-show-ltm-virtual.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := collapsed(string(guide))
	got := collapsed(stdout)
	for i, line := range got {
		if strings.HasPrefix(line, "Reason : ") {
			got[i] = "Reason : ..."
		}
	}
	if diff := cmp.Diff(want, got[:min(len(got), len(want))]); diff != "" {
		t.Errorf("(-guide +got):\n%s", diff)
	}
}

// collapsed makes one blank of each run of blanks and leaves out empty lines.
func collapsed(text string) (out []string) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			out = append(out, strings.Join(words, " "))
		}
	}
	return out
}

func TestShowLTMHasTheFormsOfTmsh(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, words := range []string{"virtual", "nat", "snat"} {
		for name, flags := range map[string]string{"raw": "--raw", "fields": "--field-fmt", "fields-raw": "--field-fmt --raw"} {
			code, stdout, stderr := spigate(t, append(strings.Fields("show ltm "+words+" "+flags), "--socket", socket)...)
			if code != exitOK || stderr != "" {
				t.Errorf("%s %s: exit %d, stderr %q", words, flags, code, stderr)
			}
			golden(t, "ltm-"+words+"-"+name+".txt", stdout)
		}
	}
}

func TestFieldsAreInTheOrderOfTheirNames(t *testing.T) {
	var names []string
	for _, f := range virtualFields(&tmshForm{}, &control.LTMVirtual{}) {
		names = append(names, f.name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("%q", names)
	}
}

func TestNumbersAreScaledByThousands(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		want string
	}{
		{0, "0"}, {999, "999"}, {1000, "1.0K"}, {1049, "1.0K"}, {1050, "1.1K"}, {36_104, "36.1K"}, {42_256, "42.3K"}, {999_949, "999.9K"}, {999_950, "1.0M"},
		{1_000_000, "1.0M"}, {999_949_999, "999.9M"}, {999_950_000, "1.0G"}, {999_950_000_000, "1.0T"}, {1_500_000_000_000, "1.5T"},
		{18_446_744_073_709_551_615, "18446744.1T"},
	} {
		if got := (&tmshForm{}).number(c.n); got != c.want {
			t.Errorf("%d: %s, want %s", c.n, got, c.want)
		}
		if got := (&tmshForm{raw: true}).number(c.n); got != number(c.n) {
			t.Errorf("raw %d: %s", c.n, got)
		}
	}
}

func TestListLTMIsAsInTheGuide(t *testing.T) {
	socket, _ := daemon(t, &house{})
	guide, err := os.ReadFile("testdata/tmsh-list-ltm-virtual.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split("\n"+string(guide), "\n# tmsh ")[1:] {
		words, text, _ := strings.Cut(part, "\n")
		code, stdout, stderr := spigate(t, append(strings.Fields(words), "--td", "7", "--socket", socket)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, stderr %q", words, code, stderr)
		}
		if diff := cmp.Diff(collapsed(text), collapsed(stdout)); diff != "" {
			t.Errorf("%s (-guide +got):\n%s", words, diff)
		}
	}
}

func TestListLTMPrintsItsGoldenText(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for name, words := range map[string]string{
		"list-ltm-virtual.txt": "virtual", "list-ltm-virtual-all.txt": "virtual all-properties", "list-ltm-virtual-one.txt": "virtual ipsec-2",
		"list-ltm-virtual-property.txt": "virtual vlans-enabled connection-limit", "list-ltm-virtual-reject.txt": "virtual ipsec-0 reject",
		"list-ltm-virtual.json": "virtual ipsec-0 vlans source-address-translation --json",
		"list-ltm-nat.txt":      "nat", "list-ltm-snat.txt": "snat S1", "list-ltm-fastl4.txt": "profile fastl4 fastL4 idle-timeout",
	} {
		code, stdout, stderr := spigate(t, append(strings.Fields("list ltm "+words), "--socket", socket)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, stderr %q", words, code, stderr)
		}
		golden(t, name, stdout)
	}
	socket, _ = daemon(t, &house{empty: true})
	if code, stdout, _ := spigate(t, "list", "ltm", "virtual", "--json", "--socket", socket); code != exitOK || stdout != "{\"version\":1,\"items\":[]}\n" {
		t.Errorf("without objects: exit %d, %q", code, stdout)
	}
	if code, stdout, _ := spigate(t, "list", "ltm", "virtual", "vlans", "--socket", socket); code != exitOK || stdout != "" {
		t.Errorf("a property of no object: exit %d, %q", code, stdout)
	}
}

func TestWhatLTMSaysToSlips(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, c := range []struct {
		words string
		code  int
		want  string
	}{
		{"show ltm virtual ipsec-3", exitNotFound, `no ltm virtual "ipsec-3"; did you mean "ipsec-0"?`},
		{"show ltm nat NAT-2", exitNotFound, `did you mean "NAT-1"?`},
		{"show ltm snat elsewhere", exitNotFound, `no ltm snat "elsewhere"`},
		{"show ltm virtual ipsec-0 --td 0", exitNotFound, `no ltm virtual "ipsec-0"; did you mean "ipsec-2"?`},
		{"show ltm virtual --raw --json", exitUsage, "not with --raw"},
		{"show ltm virtul", exitUsage, `did you mean "virtual"?`},
		{"show ltm virtual a b", exitUsage, "accepts at most 1 arg"},
		{"show sys connection --virtual ipsec-9", exitNotFound, `did you mean "ipsec-2"?`},
		{"show sys connection --nat-ip 10.1.1.1", exitUsage, "unknown flag"},
		{"list ltm virtual ipsec-1", exitNotFound, `did you mean "ipsec-0"?`},
		{"list ltm virtual vlan", exitNotFound, `no ltm virtual "vlan"; did you mean "vlans"?`},
		{"list ltm virtual ipsec-0 vlan", exitUsage, `ltm virtual has no property "vlan"; did you mean "vlans"?`},
		{"list ltm virtual vlans ipsec-0", exitUsage, `no property "ipsec-0"`},
		{"list ltm virtual ipsec-0 --td 0", exitNotFound, `did you mean "ipsec-2"?`},
		{"list ltm profile fastl4 --td 0", exitUsage, "unknown flag"},
		{"list ltm nat --watch 1ms", exitUsage, "at least"},
	} {
		code, stdout, stderr := spigate(t, append(strings.Fields(c.words), "--socket", socket)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, want %d\n%s%s", c.words, code, c.code, stdout, stderr)
		}
	}
	if code, _, stderr := spigate(t, "list", "ltm", "nat", "--socket", socket+"-none"); code != exitNoDaemon {
		t.Errorf("without a daemon: exit %d, %s", code, stderr)
	}
}

func TestEveryPageOfLTMHasHelpWithExamplesThatWork(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, words := range []string{"show ltm virtual", "show ltm nat", "show ltm snat", "show sys connection", "list ltm virtual", "list ltm nat", "list ltm snat", "list ltm profile fastl4"} {
		_, help, _ := spigate(t, append(strings.Fields(words), "--help")...)
		_, after, found := strings.Cut(help, "Examples:\n")
		if !found {
			t.Errorf("%s has no examples", words)
		}
		examples, _, _ := strings.Cut(after, "\n\n")
		for line := range strings.Lines(examples) {
			args := strings.Fields(line)[1:]
			if code, _, stderr := spigate(t, append(args, "--socket", socket)...); code != exitOK {
				t.Errorf("%s: exit %d, %s", strings.TrimSpace(line), code, stderr)
			}
		}
	}
}

func TestShowDropsExplainsAMissedVLAN(t *testing.T) {
	socket, _ := daemon(t, &house{missed: true})
	_, stdout, _ := spigate(t, "show", "drops", "--socket", socket)
	golden(t, "drops-vlan-miss.txt", stdout)
	_, stdout, _ = spigate(t, "show", "drops", "--json", "--socket", socket)
	var top struct {
		Items []struct {
			Reason     string
			VLANMisses []map[string]any `json:"vlan_misses"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &top); err != nil {
		t.Fatal(err)
	}
	for _, item := range top.Items {
		if want := item.Reason == "vlan_miss"; want != (len(item.VLANMisses) == 1) {
			t.Errorf("%s: %v", item.Reason, item.VLANMisses)
		}
	}
}
