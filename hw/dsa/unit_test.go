package dsa

import (
	"net"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"spigate/hw"
)

func TestAConfigurationIsCheckedAtOnce(t *testing.T) {
	if err := config().check(); err != nil {
		t.Error(err)
	}
	bad := Config{
		Bridge: "br/0", MAC: net.HardwareAddr{1, 0, 0, 0, 0, 1}, Ageing: -time.Second,
		Ports: []Port{{"lan1", "lan1"}, {"lan1", "eth1"}, {"lan2", "lan1"}, {"", "eth2"}, {"lan4", "a-name-that-is-too-long"}},
	}
	err := bad.check()
	for _, want := range []string{`"br/0" is no name`, "lan1\" is there twice", "device lan1 is port lan1 already", "has no name", "too-long", "01:00:00:00:00:01"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	c := config()
	c.Ports[1].Name = c.Bridge
	if err := c.check(); err == nil {
		t.Error("a port was called as the router's")
	}
	if err := (Config{Bridge: "br0"}).check(); err == nil {
		t.Error("a switch without ports was taken")
	}
	if _, err := Open(bad); err == nil {
		t.Error("opened")
	}
}

func TestCapabilitiesNeedNoKernel(t *testing.T) {
	c := Capabilities(config())
	if c.CPU() != "br-sw0" || len(c.Ports) != 5 || c.Ports[4] != (hw.Port{Name: "lan4"}) {
		t.Errorf("%+v", c)
	}
	if err := mixed().Check(c); err != nil {
		t.Error(err)
	}
}

func TestHowPortsWereIsWrittenDownAndRead(t *testing.T) {
	r := record{}
	for i := range 3 {
		r = r.with(&link{LinkAttrs: netlink.LinkAttrs{Index: 5 + i, MTU: 1500 - i, RawFlags: uint32(i & 1)}})
	}
	r = r.with(&link{LinkAttrs: netlink.LinkAttrs{Index: 5, MTU: 9000}}) // is there
	text, err := r.text()
	if err != nil || text != "spigate switch: 5=down/1500 6=up/1499 7=down/1498" {
		t.Errorf("%q, %v", text, err)
	}
	back, err := parseRecord(text)
	if d := cmp.Diff(r, back, cmp.AllowUnexported(entry{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for i := range 30 {
		r = append(r, entry{100 + i, true, 1500})
	}
	if _, err := r.text(); err == nil {
		t.Error("more was written than an alias has room for")
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", "spigate switch:", "spigate switch: 5=down/1500 6=up/1499", "mine", "spigate switch: 5=off/1500", "spigate switch: -1=up/1500", "spigate switch: 5=up/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRecord(s)
		if err != nil {
			return
		}
		text, err := r.text()
		if err != nil {
			return // numbers may be longer than they were
		}
		again, err := parseRecord(text)
		if d := cmp.Diff(r, again, cmp.AllowUnexported(entry{})); d != "" || err != nil {
			t.Errorf("%q: %v %s", s, err, d)
		}
	})
}

func TestAChipIsCalledAsTheDeviceTreeDoes(t *testing.T) {
	bus := fstest.MapFS{
		"mdio_bus/devices/mdio-mii:10/driver":             {Mode: 0o777 | 1<<27, Data: []byte("../../../bus/mdio_bus/drivers/mv88e6085")},
		"mdio_bus/devices/mdio-mii:10/of_node/compatible": {Data: []byte("marvell,mv88e6190\x00marvell,mv88e6085\x00")},
		"platform/devices/switch/driver":                  {Mode: 0o777 | 1<<27, Data: []byte("../drivers/dsa-loop")},
	}
	port := func(kind, bus, dev string) *link {
		return &link{kind: kind, LinkAttrs: netlink.LinkAttrs{ParentDevBus: bus, ParentDev: dev}}
	}
	for want, ports := range map[string][]*link{
		"marvell,mv88e6190 (driver mv88e6085)":              {port("dsa", "mdio_bus", "mdio-mii:10"), port("dsa", "mdio_bus", "mdio-mii:10")},
		"switch (driver dsa-loop)":                          {port("dsa", "platform", "switch")},
		"gone (driver DSA)":                                 {port("dsa", "platform", "gone")},
		"a DSA switch":                                      {port("dsa", "", "")},
		"bridge of the kernel":                              {port("veth", "", "")},
		"bridge of the kernel and switch (driver dsa-loop)": {port("veth", "", ""), port("dsa", "platform", "switch")},
		"a??b (driver DSA)":                                 {port("dsa", "platform", "a\n\x00b")},
	} {
		if got := chipName(bus, ports); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCountersOfChipsThatAreKnown(t *testing.T) {
	kernels := hw.Counters{Port: "lan1", RxFrames: 1, TxFrames: 2, RxDropped: 9}
	for name, x := range map[string]struct {
		stats map[string]uint64
		want  hw.Counters
	}{
		"mv88e6xxx": {
			map[string]uint64{"in_unicast": 10, "in_broadcasts": 2, "in_multicasts": 3, "out_unicast": 20, "out_broadcasts": 1, "out_multicasts": 1,
				"in_good_octets": 1000, "in_bad_octets": 7, "out_octets": 2000, "in_fcs_error": 4, "in_jabber": 1, "in_discards": 5, "tx_packets": 99},
			hw.Counters{Port: "lan1", RxFrames: 15, TxFrames: 22, RxBytes: 1007, TxBytes: 2000, RxErrors: 5, RxDropped: 5},
		},
		"qca8k": {
			map[string]uint64{"rxunicast": 10, "rxbroad": 2, "rxmulti": 3, "txunicast": 1, "txbroad": 0, "txmulti": 0, "rxgoodbyte": 50, "txbyte": 60, "rxfcserr": 1, "filtered": 2},
			hw.Counters{Port: "lan1", RxFrames: 15, TxFrames: 1, RxBytes: 50, TxBytes: 60, RxErrors: 1, RxDropped: 2},
		},
		"one that is not known": {map[string]uint64{"rx_packets": 5}, kernels},
		"none":                  {nil, kernels},
	} {
		c := kernels
		known(x.stats, &c)
		if d := cmp.Diff(x.want, c); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// message is what the kernel says of a port with one VLAN.
func message() []byte {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(nl.IFLA_BRIDGE_VLAN_INFO, (&nl.BridgeVlanInfo{Vid: 20, Flags: pvidFlag | untaggedFlag | nl.BRIDGE_VLAN_INFO_RANGE_END}).Serialize())
	head := nl.NewIfInfomsg(unix.AF_BRIDGE)
	head.Index = 7
	return append(head.Serialize(), spec.Serialize()...)
}

func TestVLANsAreReadFromTheKernelsMessage(t *testing.T) {
	v := vlans{}
	must(t, v.add(message()))
	if d := cmp.Diff(vlans{7: {20: pvidFlag | untaggedFlag}}, v); d != "" {
		t.Error(d)
	}
	for _, bad := range [][]byte{nil, message()[:12], append(message()[:16], 3, 0, 0, 0), append(message()[:16], 200, 0, 0, 0)} {
		if v.add(bad) == nil {
			t.Errorf("% x was read", bad)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(message())
	f.Add(message()[:17])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = vlans{}.add(b)
		ofLinks(b)
	})
}

func TestOnlyMessagesAboutDevicesAreChanges(t *testing.T) {
	for kind, x := range map[string]struct {
		kind, family int
		want         bool
	}{
		"a device":           {unix.RTM_NEWLINK, unix.AF_UNSPEC, true},
		"a device that went": {unix.RTM_DELLINK, unix.AF_UNSPEC, true},
		"a bridge port":      {unix.RTM_NEWLINK, unix.AF_BRIDGE, false},
		"an address":         {unix.RTM_NEWADDR, unix.AF_UNSPEC, false},
	} {
		req := nl.NewNetlinkRequest(x.kind, 0)
		req.AddData(nl.NewIfInfomsg(x.family))
		if got := ofLinks(req.Serialize()); got != x.want {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if !ofLinks(make([]byte, 16)) {
		t.Error("what cannot be read may be a change")
	}
}
