package configs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// switched is a small configuration with a switch of each driver, to be spoiled
// by tests.
const switched = `version = 1
[board]
model = "auto"
[port.lan]
driver = "raw"
device = "br-lan"
[port.lab]
driver = "switch"
[port.trunk]
driver = "raw"
device = "eth0"
[port.wan]
driver = "raw"
device = "eth2"
[switch.sw0]
driver = "dsa"
cpu_port = "lan"
[switch.soft0]
driver = "soft"
cpu_port = "lab"
[switch.soft0.port.a]
driver = "tap"
device = "tap-a"
[switch.soft0.port.b]
driver = "raw"
device = "eth3"
[switch.chip]
driver = "qca8337"
cpu_port = "trunk"
[switch.chip.port.p1]
number = 1
[switch.chip.port.p2]
number = 2
[vlan.home]
switch = "sw0"
id = 20
untagged = ["lan2", "lan1"]
tagged = ["lan4"]
[vlan.guest]
switch = "sw0"
id = 30
tagged = ["lan4", "lan2"]
[vlan.bench]
switch = "soft0"
id = 20
untagged = ["a"]
tagged = ["b"]
[vlan.shop]
switch = "chip"
id = 20
untagged = ["p1", "p2"]
[vlan.outside]
port = "wan"
`

// spoiledSwitch is spoiled for the configuration with switches.
func spoiledSwitch(t *testing.T, old, new string) []string {
	t.Helper()
	if !strings.Contains(switched, old) {
		t.Fatalf("the configuration has no %q", old)
	}
	_, messages := parse(strings.Replace(switched, old, new, 1))
	for i, m := range messages {
		messages[i] = strings.SplitN(m, ":", 4)[3][1:]
	}
	return messages
}

func runSwitchSpoils(t *testing.T, rows []spoil) {
	t.Helper()
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			want := strings.Split(c.want, "\n")
			if c.want == "" {
				want = nil
			}
			if diff := cmp.Diff(want, spoiledSwitch(t, c.old, c.new)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestASwitchIsWhatTheFileSays(t *testing.T) {
	c, messages := parse(switched)
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	lan, lab, trunk := c.Ports[0], c.Ports[1], c.Ports[2]
	dsa := &Switch{Name: "sw0", Driver: SwitchDSA, CPUPort: lan, Ageing: 5 * time.Minute, Ports: []*SwitchPort{
		{Name: "lan1", Device: "lan1"}, {Name: "lan2", Device: "lan2"}, {Name: "lan4", Device: "lan4"},
	}}
	soft := &Switch{Name: "soft0", Driver: SwitchSoft, CPUPort: lab, Ageing: 5 * time.Minute, Ports: []*SwitchPort{
		{Name: "a", Device: "tap-a", Driver: DriverTAP}, {Name: "b", Device: "eth3"},
	}}
	chip := &Switch{Name: "chip", Driver: SwitchQCA8337, CPUPort: trunk, MDIO: "eth0", Ports: []*SwitchPort{
		{Name: "p1", Number: 1}, {Name: "p2", Number: 2},
	}}
	if diff := cmp.Diff([]*Switch{dsa, soft, chip}, c.Switches, sameConfig()); diff != "" {
		t.Errorf("switches (-want +got):\n%s", diff)
	}
	vlans := []*VLAN{
		{Name: "home", ID: 20, Port: lan, Switch: dsa, Untagged: []string{"lan2", "lan1"}, Tagged: []string{"lan4"}},
		{Name: "guest", ID: 30, Port: lan, Switch: dsa, Tagged: []string{"lan4", "lan2"}},
		{Name: "bench", ID: 20, Port: lab, Switch: soft, Untagged: []string{"a"}, Tagged: []string{"b"}},
		{Name: "shop", ID: 20, Port: trunk, Switch: chip, Untagged: []string{"p1", "p2"}},
		{Name: "outside", Port: c.Ports[3]},
	}
	if diff := cmp.Diff(vlans, c.VLANs, sameConfig(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("VLANs (-want +got):\n%s", diff)
	}
	for i, want := range []*Switch{c.Switches[0], c.Switches[0], c.Switches[1], c.Switches[2], nil} {
		if c.VLANs[i].Switch != want {
			t.Errorf("%s is on a copy of its switch", c.VLANs[i].Name)
		}
	}
}

func TestWhatASwitchSaysGoesWhereItBelongs(t *testing.T) {
	text := strings.NewReplacer(
		"driver = \"dsa\"\n", "driver = \"DSA\"\nmtu = 1400\nageing = \"10s\"\n[switch.sw0.port.lan4]\n[switch.sw0.port.lan2]\ndevice=\"p2\"\n[switch.sw0.port.lan1]\n[switch.sw0]\n",
		"driver = \"qca8337\"\n", "driver = \"ar8327\"\nmdio = \"eth1\"\ncpu_number = 6\n",
	).Replace(switched)
	// TOML has a table's header once.
	text = strings.Replace(text, "[switch.sw0]\ncpu_port = \"lan\"\n", "", 1)
	text = strings.Replace(text, "mtu = 1400\n", "mtu = 1400\ncpu_port = \"lan\"\n", 1)
	c, messages := parse(text)
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	var got []string
	for _, s := range c.Switches {
		got = append(got, fmt.Sprint(s.Name, " ", s.Driver, " ", s.CPUPort.Name, " ", s.CPUNumber, " ", s.MDIO, " ", s.MTU, " ", s.Ageing))
		for _, p := range s.Ports {
			got = append(got, fmt.Sprint(p.Name, " ", p.Device, " ", p.Driver, " ", p.Number))
		}
	}
	want := []string{
		"sw0 dsa lan 0  1400 10s", "lan4 lan4 raw 0", "lan2 p2 raw 0", "lan1 lan1 raw 0",
		"soft0 soft lab 0  0 5m0s", "a tap-a tap 0", "b eth3 raw 0",
		"chip ar8327 trunk 6 eth1 0 0s", "p1  raw 1", "p2  raw 2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSwitches(t *testing.T) {
	const soft0 = "[switch.soft0]\ndriver = \"soft\"\ncpu_port = \"lab\""
	runSwitchSpoils(t, []spoil{
		{"nothing wrong", "", "", ""},
		{"no driver", "driver = \"dsa\"\n", "", `switch.sw0.driver: is missing: "dsa", "soft", "qca8337" or "ar8327"`},
		{"a driver nobody has", `"qca8337"`, `"qca8336"`, `switch.chip.driver: "qca8336" is not one of dsa, soft, qca8337, ar8327; did you mean "qca8337"?`},
		{"a driver that is no string", `"qca8337"`, `8337`, `switch.chip.driver: must be a string, not an integer`},
		{"an unknown key", "driver = \"dsa\"", "driver = \"dsa\"\ncpuport = \"lan\"", `switch.sw0.cpuport: unknown key; did you mean "cpu_port"?`},
		{"an unknown key of a port", "device = \"tap-a\"", "device = \"tap-a\"\nspeed = 100", `switch.soft0.port.a.speed: unknown key`},
		{"a name that R1 forbids", "[switch.soft0.port.a]", "[switch.soft0.port.\"-\"]\ndriver=\"tap\"\ndevice=\"x\"\n[switch.soft0.port.a]",
			`switch.soft0.port.-: "-" is no name: it starts with a letter, a digit or _, and goes on with these or # . space : @ = - (rule R1)`},
		{"no cpu_port", "cpu_port = \"lan\"\n", "", "switch.sw0.cpu_port: is missing"},
		{"a cpu_port that is not there", `cpu_port = "lan"`, `cpu_port = "lann"`, `switch.sw0.cpu_port: there is no [port.lann]; did you mean "lan"?`},
		{"one cpu_port for two switches", `cpu_port = "trunk"`, `cpu_port = "lan"`,
			"switch.chip.cpu_port: [port.lan] is already that of [switch.sw0]: a switch has a port of the router for itself"},
		{"a kernel switch behind a cable in memory", `cpu_port = "lan"`, `cpu_port = "lab"`,
			"switch.sw0.cpu_port: [port.lab] has driver switch, which is for switches with driver soft: with dsa it has driver = \"raw\" and a device\n" +
				"switch.soft0.cpu_port: [port.lab] is already that of [switch.sw0]: a switch has a port of the router for itself"},
		{"a kernel switch behind a TAP", "driver = \"raw\"\ndevice = \"br-lan\"", "driver = \"tap\"\ndevice = \"br-lan\"",
			`switch.sw0.cpu_port: [port.lan] has driver tap: frames of a switch with driver dsa come by a device of the kernel, so it must be "raw"`},
		{"a kernel switch behind XDP", "driver = \"raw\"\ndevice = \"br-lan\"", "driver = \"xdp\"\ndevice = \"br-lan\"",
			`switch.sw0.cpu_port: [port.lan] has driver xdp: the bridge of a switch with driver dsa keeps VLAN tags where XDP cannot see them, so it must be "raw"`},
		{"a chip behind XDP", "driver = \"raw\"\ndevice = \"eth0\"", "driver = \"xdp\"\ndevice = \"eth0\"", ""},
		{"a chip behind a file", "driver = \"raw\"\ndevice = \"eth0\"", "driver = \"pcap\"\ndevice = \"f.pcap\"",
			`switch.chip.cpu_port: [port.trunk] has driver pcap: frames of a switch with driver qca8337 come by a device of the kernel, so it must be "raw"`},
		{"a soft switch at a device", "driver = \"switch\"", "driver = \"tap\"\ndevice = \"t0\"",
			`switch.soft0.cpu_port: [port.lab] has driver tap: the router's end of a switch with driver soft has driver = "switch", and no device`},
		{"the wrong port", `cpu_port = "lab"`, `cpu_port = "wan"`,
			"port.lab.driver: \"switch\" is the router's end of a switch in software, and no [switch.NAME] with driver = \"soft\" has cpu_port = \"lab\"\n" +
				"switch.soft0.cpu_port: [port.wan] has driver raw: the router's end of a switch with driver soft has driver = \"switch\", and no device"},
		{"a cable to nowhere", "[port.wan]", "[port.lose]\ndriver = \"switch\"\n[port.wan]",
			`port.lose.driver: "switch" is the router's end of a switch in software, and no [switch.NAME] with driver = "soft" has cpu_port = "lose"`},
		{"a device of nobody for a name", `cpu_port = "lan"`, `cpu_port = "swp0cpu"`,
			"switch.sw0.cpu_port: there is no [port.swp0cpu]: cpu_port is the name of a [port.NAME], whose device leads to the switch"},
		{"a device for a name", `cpu_port = "lan"`, `cpu_port = "br-lan"`, `switch.sw0.cpu_port: there is no [port.br-lan]: "br-lan" is the device of [port.lan], so write "lan"`},
		{"the chip's name for a driver", `"dsa"`, `"mv88e6xxx"`,
			`switch.sw0.driver: "mv88e6xxx" is not one of dsa, soft, qca8337, ar8327: dsa is for every chip that has a driver in the kernel`},
		{"the switch's driver at the port", "driver = \"switch\"", "driver = \"soft\"", `port.lab.driver: "soft" is a driver of a [switch.NAME]: the port that is its cpu_port has "switch"`},
		{"the chip's driver at the port", "driver = \"raw\"\ndevice = \"eth0\"", "driver = \"qca8337\"\nmtu = 1400", `port.trunk.driver: "qca8337" is a driver of a [switch.NAME]: the port that is its cpu_port has "raw"`},
		{"a switch without a name", "[switch.chip]\n", "[switch]\n",
			"switch.driver: must be a table, not a string: tables here have names of yours, as in [switch.NAME]\nswitch.cpu_port: must be a table, not a string: tables here have names of yours, as in [switch.NAME]\n" +
				"switch.chip.cpu_port: is missing\nswitch.chip.driver: is missing: \"dsa\", \"soft\", \"qca8337\" or \"ar8327\""},
		{"a list of ports", "driver = \"soft\"", "driver = \"soft\"\nports = [\"a\", \"b\"]", "switch.soft0.ports: unknown key: each port has a table, [switch.soft0.port.NAME]"},
		{"a list of ports of a switch with blanks", "[switch.soft0]\ndriver = \"soft\"", "[switch.\"a b\"]\nports = [\"a\"]\ndriver = \"dsa\"\ncpu_port = \"wan\"\n[switch.soft0]\ndriver = \"soft\"",
			"switch.\"a b\".ports: unknown key: each port has a table, [switch.\"a b\".port.NAME]\n" +
				`vlan.outside.port: [port.wan] has [switch."a b"] behind it, which lets no frame of this VLAN through: write switch = "a b" and the ports in tagged or untagged instead`},
		{"a board's name", `model`, `name`, `board.name: unknown key; did you mean "model"?`},
		{"a device of a cable", `driver = "switch"`, "driver = \"switch\"\ndevice = \"tap0\"",
			"port.lab.device: a port with driver switch has none: its frames come from the switch whose cpu_port it is"},
		{"an MTU of a cable", `driver = "switch"`, "driver = \"switch\"\nmtu = 1400",
			"port.lab.mtu: a port with driver switch has its switch's MTU: write it in the [switch.NAME]"},
		{"a MAC address of a cable", `driver = "switch"`, "driver = \"switch\"\nmac = \"02:00:5e:00:00:01\"", ""},
		{"an MTU that no chip passes", `cpu_port = "lan"`, "cpu_port = \"lan\"\nmtu = 65535", "switch.sw0.mtu: must be from 576 to 9216, not 65535"},
		{"an age that is too short", `cpu_port = "lan"`, "cpu_port = \"lan\"\nageing = \"1s\"", `switch.sw0.ageing: must be from 10s to 86400s, not "1s"`},
		{"an age without a unit", `cpu_port = "lan"`, "cpu_port = \"lan\"\nageing = 300", `switch.sw0.ageing: a duration is a string with a unit: write "300s" or "300m", not 300`},
		{"the age of a chip", `cpu_port = "trunk"`, "cpu_port = \"trunk\"\nageing = \"5m\"",
			"switch.chip.ageing: only a switch with driver dsa or soft has it: a chip over MDIO keeps its own time"},
		{"a bus of a kernel switch", `cpu_port = "lan"`, "cpu_port = \"lan\"\nmdio = \"eth0\"", "switch.sw0.mdio: only a switch with driver qca8337 or ar8327 has it, not dsa"},
		{"a number of a soft switch", `cpu_port = "lab"`, "cpu_port = \"lab\"\ncpu_number = 6", "switch.soft0.cpu_number: only a switch with driver qca8337 or ar8327 has it, not soft"},
		{"the router at a cable's port", `cpu_port = "trunk"`, "cpu_port = \"trunk\"\ncpu_number = 5", "switch.chip.cpu_number: the chip's ports for a processor are 0 and 6: 5 leads to a cable"},
		{"the router at a port that no chip has", `cpu_port = "trunk"`, "cpu_port = \"trunk\"\ncpu_number = 7", "switch.chip.cpu_number: must be from 0 to 6, not 7"},
		{"a bus whose name is too long", `cpu_port = "trunk"`, "cpu_port = \"trunk\"\nmdio = \"eth0123456789012\"", `switch.chip.mdio: "eth0123456789012": a device name has at most 15 characters`},
		{"a bus without a name", `cpu_port = "trunk"`, "cpu_port = \"trunk\"\nmdio = \"\"", `switch.chip.mdio: must not be empty`},
		{"two chips on a bus", soft0, "[port.t2]\ndriver = \"raw\"\ndevice = \"eth8\"\n[switch.c2]\ndriver = \"ar8327\"\ncpu_port = \"t2\"\nmdio = \"eth0\"\n[switch.c2.port.x]\nnumber = 4\n" + soft0,
			"switch.chip.mdio: the bus of \"eth0\" leads to [switch.c2] already"},
		{"no VLAN", "switch = \"chip\"\nid = 20\nuntagged = [\"p1\", \"p2\"]", "port = \"wan\"\nid = 5", `switch.chip: warning: no VLAN has switch = "chip": all of its ports are off`},
		{"a model that is empty", `"auto"`, `""`, `board.model: must not be empty: write a model, or "auto"`},
		{"an unknown key of the board", `model`, `modle`, `board.modle: unknown key; did you mean "model"?`},
	})
}

func TestPortsOfSwitches(t *testing.T) {
	runSwitchSpoils(t, []spoil{
		{"a soft port without device", "device = \"tap-a\"\n", "", `switch.soft0.port.a.device: is missing: the kernel's device, such as "tap-lan1"`},
		{"a soft port without driver", "driver = \"tap\"\n", "", `switch.soft0.port.a.driver: is missing: "tap" or "raw"`},
		{"a soft port from a file", "driver = \"tap\"\n", "driver = \"pcap\"\n", `switch.soft0.port.a.driver: "pcap" is not one of tap, raw; did you mean "tap"?`},
		{"a number of a soft port", "device = \"tap-a\"", "device = \"tap-a\"\nnumber = 1", "switch.soft0.port.a.number: only a port of a switch with driver qca8337 or ar8327 has it, not of soft"},
		{"a chip's port without number", "number = 1\n", "", "switch.chip.port.p1.number: is missing: the chip's own, from 0 to 6"},
		{"a number that no chip has", "number = 1\n", "number = 7\n", "switch.chip.port.p1.number: must be from 0 to 6, not 7"},
		{"one number for two", "number = 2\n", "number = 1\n", "switch.chip.port.p2.number: 1 is already the number of [switch.chip.port.p1]"},
		{"the number of the router", "number = 2\n", "number = 0\n", "switch.chip.port.p2.number: 0 is the router's own port (cpu_number): it is in every VLAN by itself"},
		{"the number of the other router's port", "number = 2\n", "number = 6\n", ""},
		{"a device of a chip's port", "number = 2\n", "number = 2\ndevice = \"lan2\"\n", "switch.chip.port.p2.device: only a port of a switch with driver dsa or soft has it, not of qca8337"},
		{"a driver of a chip's port", "number = 2\n", "number = 2\ndriver = \"raw\"\n", "switch.chip.port.p2.driver: only a port of a switch with driver soft has it, not of qca8337"},
		{"no ports of a chip", "[switch.chip.port.p1]\nnumber = 1\n[switch.chip.port.p2]\nnumber = 2\n", "",
			"switch.chip.port: is missing: a switch with driver qca8337 has a [switch.chip.port.NAME] for each port"},
		{"a driver of a kernel port", "[switch.soft0]", "[switch.sw0.port.lan1]\ndriver = \"raw\"\n[switch.sw0.port.lan2]\n[switch.sw0.port.lan4]\n[switch.soft0]",
			"switch.sw0.port.lan1.driver: only a port of a switch with driver soft has it, not of dsa"},
		{"a kernel port with a name that is no device", "[switch.soft0]", "[switch.sw0.port.lan1]\n[switch.sw0.port.lan2]\n[switch.sw0.port.lan4]\n[switch.sw0.port.\"the printer\"]\n[switch.soft0]",
			`switch.sw0.port."the printer".device: is missing: without it the port's name is that of its device, and "the printer" is not the name of a device`},
		{"a kernel port that is in no list", "[switch.soft0]", "[switch.sw0.port.lan1]\n[switch.sw0.port.lan2]\n[switch.sw0.port.lan3]\n[switch.soft0]",
			"vlan.home.tagged[0]: there is no [switch.sw0.port.lan4]; did you mean \"lan1\"?\nvlan.guest.tagged[0]: there is no [switch.sw0.port.lan4]; did you mean \"lan1\"?"},
		{"one device for two ports of a switch", `"eth3"`, `"tap-a"`, `switch.soft0.port.b.device: "tap-a" is already the device of [switch.soft0.port.a]`},
		{"a device of two switches", `"eth3"`, `"lan2"`, `switch.soft0.port.b.device: "lan2" is already the device of a port of [switch.sw0]`},
		{"a device of a port of the router", `"eth3"`, `"eth2"`, `switch.soft0.port.b.device: "eth2" is already the device of [port.wan]`},
		{"the bridge as one of its ports", `tagged = ["lan4"]`, `tagged = ["lan4", "br-lan"]`, `vlan.home.tagged[1]: "br-lan" is the router's own side of [switch.sw0]: it is a tagged member by itself, so leave it out`},
		{"a device name that is too long", `"eth3"`, `"enp0s31f6-left-hand"`, `switch.soft0.port.b.device: "enp0s31f6-left-hand": a device name has at most 15 characters`},
		{"a device name that is none", `"eth3"`, `"eth3:1"`, `switch.soft0.port.b.device: "eth3:1" is not the name of a device`},
		{"a device name that is a folder", `"eth3"`, `".."`, `switch.soft0.port.b.device: ".." is not the name of a device`},
		{"an empty device name", `"eth3"`, `""`, `switch.soft0.port.b.device: must not be empty`},
		{"a kernel port of two switches", "[switch.soft0]", "[port.l2]\ndriver = \"raw\"\ndevice = \"br2\"\n[switch.sw1]\ndriver = \"dsa\"\ncpu_port = \"l2\"\n[vlan.x]\nswitch = \"sw1\"\nid = 9\ntagged = [\"lan4\"]\n[switch.soft0]",
			`vlan.x.tagged[0]: "lan4" is already the device of a port of [switch.sw0]`},
		{"a port that is called as the router's", "[switch.soft0.port.b]", "[switch.soft0.port.lab]\ndriver = \"tap\"\ndevice = \"t7\"\n[switch.soft0.port.b]",
			"switch.soft0.port.lab: the router's own side of the switch has this name: call the port otherwise"},
		{"a port that is called as the router's device", "[switch.chip.port.p1]", "[switch.chip.port.eth0]\nnumber = 5\n[switch.chip.port.p1]",
			"switch.chip.port.eth0: the router's own side of the switch has this name: call the port otherwise"},
		{"a port in no VLAN", "tagged = [\"b\"]\n", "", "switch.soft0.port.b: warning: is in no VLAN: the port is off"},
	})
}

func TestVLANsOnSwitches(t *testing.T) {
	runSwitchSpoils(t, []spoil{
		{"a switch that is not there", `switch = "chip"`, `switch = "chpi"`,
			"vlan.shop.switch: there is no [switch.chpi]; did you mean \"chip\"?"},
		{"a switch's name that is empty", `switch = "chip"`, `switch = ""`,
			"vlan.shop.switch: must not be empty"},
		{"a port and a switch", `switch = "chip"`, "switch = \"chip\"\nport = \"wan\"",
			"vlan.shop.port: a VLAN is on a switch or on a port, and switch is there as well: the switch's cpu_port is its port"},
		{"neither", "switch = \"chip\"\nid = 20\nuntagged = [\"p1\", \"p2\"]", "id = 20",
			"vlan.shop.port: is missing"},
		{"members without a switch", `port = "wan"`, "port = \"wan\"\ntagged = [\"lan1\"]", "vlan.outside.switch: is missing: tagged and untagged are ports of one"},
		{"a VLAN at a switch's back", `port = "wan"`, "port = \"lan\"\nid = 99",
			`vlan.outside.port: [port.lan] has [switch.sw0] behind it, which lets no frame of this VLAN through: write switch = "sw0" and the ports in tagged or untagged instead`},
		{"frames without tag at a switch's back", `port = "wan"`, `port = "lab"`,
			`vlan.outside.port: [port.lab] has [switch.soft0] behind it, which lets no frame of this VLAN through: write switch = "soft0" and the ports in tagged or untagged instead`},
		{"members of nothing", "switch = \"sw0\"\nid = 30", "id = 30", "vlan.guest.switch: is missing: tagged and untagged are ports of one"},
		{"no id", "id = 30\n", "", "vlan.guest.id: is missing: a VLAN on a switch has one from 1 to 4094, for its frames come to the router tagged"},
		{"id 0", "id = 30\n", "id = 0\n", "vlan.guest.id: must be from 1 to 4094, not 0"},
		{"id 4095", "id = 30\n", "id = 4095\n", "vlan.guest.id: must be from 1 to 4094, not 4095"},
		{"the greatest id", "id = 30\n", "id = 4094\n", ""},
		{"one id for two", "id = 30\n", "id = 20\n", "vlan.guest.id: id 20 is already that of [vlan.home] on [switch.sw0]"},
		{"a port that is none", `untagged = ["a"]`, `untagged = ["a", "c"]`, `vlan.bench.untagged[1]: there is no [switch.soft0.port.c]`},
		{"a name alone", `untagged = ["a"]`, `untagged = "a"`,
			"vlan.bench.untagged: must be an array of strings: write [\"a\"]"},
		{"names in one string", `untagged = ["p1", "p2"]`, `untagged = "p1, p2"`, `vlan.shop.untagged: must be an array of strings: write ["p1", "p2"]`},
		{"the router among the members", `untagged = ["p1", "p2"]`, `untagged = ["p1", "trunk", "eth0", "CPU"]`,
			"vlan.shop.untagged[1]: \"trunk\" is the router's own side of [switch.chip]: it is a tagged member by itself, so leave it out\n" +
				"vlan.shop.untagged[2]: \"eth0\" is the router's own side of [switch.chip]: it is a tagged member by itself, so leave it out\n" +
				"vlan.shop.untagged[3]: \"CPU\" is the router's own side of [switch.chip]: it is a tagged member by itself, so leave it out"},
		{"another program's word for members", `untagged = ["p1", "p2"]`, `members = ["p1", "p2"]`,
			"vlan.shop.members: unknown key: ports that send its frames with a tag are in tagged, the others in untagged"},
		{"another program's word for a port without tags", `untagged = ["p1", "p2"]`, `access = ["p1", "p2"]`, `vlan.shop.access: unknown key; did you mean "untagged"?`},
		{"a PVID", "id = 30\n", "id = 30\npvid = 30\n", "vlan.guest.pvid: unknown key: the id of the one VLAN that has a port in untagged is that port's PVID"},
		{"a number", `untagged = ["a"]`, `untagged = ["a", 3]`, "vlan.bench.untagged[1]: must be a string, not an integer"},
		{"an empty name", `untagged = ["a"]`, `untagged = ["a", ""]`, "vlan.bench.untagged[1]: must not be empty: it is the name of a switch's port"},
		{"a port twice in a list", `tagged = ["lan4"]`, `tagged = ["lan4", "lan4"]`, `vlan.home.tagged[1]: "lan4" is in the list twice`},
		{"a port with and without tag", `tagged = ["lan4"]`, `tagged = ["lan4", "lan1"]`,
			`vlan.home.tagged[1]: "lan1" is in untagged as well: frames of one VLAN leave a port with a tag or without`},
		{"a port without tag in two VLANs", `tagged = ["lan4", "lan2"]`, `untagged = ["lan4", "lan2"]`,
			`vlan.guest.untagged[1]: "lan2" is untagged in [vlan.home] already: a frame without a tag is of one VLAN; write it in tagged in one of the two`},
		{"a device name that is too long", `tagged = ["lan4", "lan2"]`, `tagged = ["lan4", "enp0s31f6-left-hand"]`,
			`vlan.guest.tagged[1]: "enp0s31f6-left-hand": a device name has at most 15 characters: without a [switch.sw0.port.NAME] a port's name is that of its device`},
		{"a VLAN of nobody", `tagged = ["lan4", "lan2"]`, "", "vlan.guest.switch: warning: no port of [switch.sw0] is in tagged or untagged: nobody is on this VLAN"},
		{"addresses that repeat in another domain", "tagged = [\"lan4\", \"lan2\"]", "tagged = [\"lan4\"]\ntraffic_domain = 7", ""},
	})
}

func TestASwitchHasSoManyPorts(t *testing.T) {
	var names []string
	for i := range maxSwitchPorts + 2 {
		names = append(names, fmt.Sprintf("%q", fmt.Sprint("p", i)))
	}
	head := "version = 1\n[port.l]\ndriver = \"raw\"\ndevice = \"b\"\n[switch.s]\ndriver = \"dsa\"\ncpu_port = \"l\"\n"
	vlan := "[vlan.v]\nswitch = \"s\"\nid = 1\ntagged = [" + strings.Join(names, ", ") + "]\n"
	want := []string{fmt.Sprintf("f:11:%d: vlan.v.tagged[63]: is port number 64: a switch has at most 63", len("tagged = [")+len(strings.Join(names[:63], ", "))+3)}
	if _, got := parse(head + vlan); !cmp.Equal(want, got) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
	var tables strings.Builder
	for _, name := range names {
		tables.WriteString("[switch.s.port." + name + "]\n")
	}
	want = []string{"f:8:11: switch.s.port: there are 65 ports: a switch has at most 63"}
	if _, got := parse(head + tables.String() + vlan); !cmp.Equal(want, got) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
}
