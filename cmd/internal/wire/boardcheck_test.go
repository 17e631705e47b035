package wire

import (
	"fmt"
	"strings"
	"testing"

	"spigate/board"
	"spigate/configs"
)

// onTheOmnia is a configuration of a switch for it.
const onTheOmnia = `version = 1
[board]
model = "turris-omnia"
[port.lan]
driver = "raw"
device = "BRIDGE"
[port.wan]
driver = "raw"
device = "WAN"
[switch.sw0]
driver = "dsa"
cpu_port = "lan"
[vlan.inside]
switch = "sw0"
id = 20
untagged = ["lan1", "LAST"]
`

func TestWhatTheBoardHasNotGotIsSaidBeforeTheRouterStarts(t *testing.T) {
	b, err := board.Find("turris-omnia")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ bridge, wan, last, warning, fault string }{
		{"br-lan", "eth2", "lan4", "", ""},
		{"eth1", "eth2", "lan4", "", "omnia.toml:6:10: port.lan.device: Turris Omnia has a device eth1, and the driver of [switch.sw0] makes a bridge of this name: give it another one, such as br-lan"},
		{"lan0", "eth2", "lan4", "", "port.lan.device: Turris Omnia has a device lan0, and the driver of [switch.sw0] makes a bridge of this name"},
		{"br-lan", "eth1", "lan4", "omnia.toml:9:10: port.wan.device: warning: eth1 leads to the mv88e6176 of the Turris Omnia, and its frames have tags of that chip: " +
			"it is used by a [switch.NAME] with driver dsa, whose cpu_port has another device", ""},
		{"br-lan", "eth2", "eth0", "", "vlan.inside.untagged[1]: eth0 leads to the mv88e6176 itself: it is no socket"},
		{"br-lan", "usb0", "lan4", "port.wan.device: warning: Turris Omnia has no device usb0, only eth2, lan0, lan1, lan2, lan3, lan4", ""},
		{"br-lan", "eth2", "lan5", "", ":16:21: vlan.inside.untagged[1]: Turris Omnia has no device lan5, only eth2, lan0"},
	} {
		text := strings.NewReplacer("BRIDGE", c.bridge, "WAN", c.wan, "LAST", c.last).Replace(onTheOmnia)
		conf, _, err := configs.Parse("omnia.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		warnings, faults := CheckBoard(conf, b)
		said := func(want string, all string) bool { return (want == "") == (all == "") && strings.Contains(all, want) }
		var warned []string
		for _, w := range warnings {
			warned = append(warned, fmt.Sprint(w))
		}
		if !said(c.warning, strings.Join(warned, "\n")) {
			t.Errorf("%s, %s: warned %q, want %q", c.wan, c.last, warned, c.warning)
		}
		var wrong []string
		for _, f := range faults {
			wrong = append(wrong, f.Error())
		}
		if !said(c.fault, strings.Join(wrong, "\n")) {
			t.Errorf("%s, %s: faults %q, want %q", c.wan, c.last, wrong, c.fault)
		}
	}
}

func TestAnyDeviceWillDoOnABoardWithoutATable(t *testing.T) {
	b, err := board.Find(board.Generic)
	if err != nil {
		t.Fatal(err)
	}
	conf, _, err := configs.Parse("any.toml", []byte(strings.NewReplacer("BRIDGE", "eth1", "WAN", "usb0", "LAST", "lan77", "turris-omnia", "generic").Replace(onTheOmnia)))
	if err != nil {
		t.Fatal(err)
	}
	warnings, faults := CheckBoard(conf, b)
	if len(faults)+len(warnings) > 0 {
		t.Errorf("%v, %v", warnings, faults)
	}
}

func TestWhatMayBePluggedInIsAWarning(t *testing.T) {
	b, err := board.Find("qemu-virt-arm")
	if err != nil {
		t.Fatal(err)
	}
	conf, _, err := configs.LoadText("any.toml", []byte(`version = 1
[port.a]
driver = "raw"
device = "br-lan"
[port.b]
driver = "switch"
[switch.a]
driver = "dsa"
cpu_port = "a"
[switch.b]
driver = "soft"
cpu_port = "b"
[switch.b.port.x]
driver = "raw"
device = "eth1"
[switch.b.port.y]
driver = "raw"
device = "eth2"
[switch.b.port.z]
driver = "tap"
device = "tap0"
[vlan.a]
switch = "a"
id = 1
tagged = ["eth0", "lan1"]
[vlan.b]
switch = "b"
id = 1
tagged = ["x", "y", "z"]
`), LoadOptions(machine("linux,dummy-virt", "107000")))
	if err != nil {
		t.Fatal(err)
	}
	warnings, faults := CheckBoard(conf, b)
	want := "[any.toml:25:19: vlan.a.tagged[1]: warning: QEMU virt (ARMv7) has no device lan1, only eth0, eth1 " +
		"any.toml:18:10: switch.b.port.y.device: warning: QEMU virt (ARMv7) has no device eth2, only eth0, eth1]"
	if got := fmt.Sprint(warnings); got != want || len(faults) > 0 {
		t.Errorf("%s, %v", got, faults)
	}
}
