package dsa

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"spigate/hw"
	"spigate/hw/hwtest"
)

// In a namespace the kernel's bridge is itself the chip: all but what a chip's
// own driver does is the same as under DSA.
func TestTheSuiteOfChipsOnABridge(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	hwtest.Run(t, hwtest.Options{
		Draws:    draws(),
		Patterns: 2 * draws(),
		Open:     func(t testing.TB) hw.Chip { return b.again(t) },
		Again:    func(t testing.TB, _ hw.Chip) hw.Chip { return b.again(t) },
		SetLink:  func(_ hw.Chip, port string, up bool) { b.plug(t, port, up) },
	})
}

// again opens the switch for a suite that closes it itself.
func (b *bed) again(t testing.TB) hw.Chip {
	t.Helper()
	s, err := b.try(config())
	must(t, err)
	return s
}

// mixed has ports with and without tags, one that is both, and one that is off.
func mixed() hw.Plan {
	return hw.Plan{VLANs: []hw.VLAN{
		{ID: 10, Untagged: []string{"lan1"}, Tagged: []string{"lan3"}},
		{ID: 20, Untagged: []string{"lan2", "lan3"}},
		{ID: 30, Tagged: []string{"lan2", "lan3"}},
		{ID: 40},
	}}
}

func TestPortsAreGivenBackAsTheyWere(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("after a kill ", killed), func(t *testing.T) {
			b := newBed(t)
			if b == nil {
				return
			}
			b.change(t, "lan2", netlink.LinkSetDown)
			b.change(t, "lan3", func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1400) })
			before := b.picture(t)
			c := config()
			c.MTU = 1450
			s := b.open(t, c)
			if _, err := hw.Apply(s, mixed()); err != nil {
				t.Fatal(err)
			}
			if got := b.picture(t)["lan3"]; got.MTU != 1450 || got.Master == 0 || !got.Up {
				t.Errorf("%+v, want mtu 1450 and in the bridge", got)
			}
			if killed {
				must(t, s.Close())
				s = b.open(t, c)
			}
			must(t, remove(s))
			if d := cmp.Diff(before, b.picture(t)); d != "" {
				t.Errorf("devices (-before +after):\n%s", d)
			}
			must(t, remove(s)) // nothing is left to remove
		})
	}
}

// Otherwise its ports would be off, and in a bridge that nobody knows of.
func TestAStartThatFailsLeavesPortsAsTheyWere(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	before := b.picture(t)
	c := config()
	c.MTU = 1 << 17
	if s, err := b.try(c); err == nil || !strings.Contains(err.Error(), "mtu 131072") {
		t.Fatalf("%v, %v", s, err)
	}
	if d := cmp.Diff(before, b.picture(t)); d != "" {
		t.Errorf("devices (-before +after):\n%s", d)
	}
	s := b.open(t, config())
	if _, err := hw.Apply(s, mixed()); err != nil {
		t.Fatal(err)
	}
	running := b.picture(t)
	if _, err := b.try(c); err == nil {
		t.Fatal("it was opened")
	}
	if d := cmp.Diff(running, b.picture(t)); d != "" {
		t.Errorf("what another run has left (-before +after):\n%s", d)
	}
	must(t, remove(s))
}

func remove(s hw.Chip) error { return s.(interface{ Remove() error }).Remove() }

func TestWhatIsSomebodyElsesIsRefusedAndNotTouched(t *testing.T) {
	zero := uint16(0)
	named := func(name string) netlink.LinkAttrs { return netlink.LinkAttrs{Name: name} }
	for name, x := range map[string]struct {
		before func(t *testing.T, b *bed)
		says   string
	}{
		"a bridge": {func(t *testing.T, b *bed) { b.add(t, &netlink.Bridge{LinkAttrs: named("br-sw0")}) }, "somebody else's"},
		"a bridge with a name": {func(t *testing.T, b *bed) {
			b.add(t, &netlink.Bridge{LinkAttrs: named("br-sw0"), VlanDefaultPVID: &zero})
			b.change(t, "br-sw0", func(l netlink.Link) error { return netlink.LinkSetAlias(l, "mine") })
		}, `alias is "mine"`},
		"a bridge that is used": {func(t *testing.T, b *bed) {
			b.add(t, &netlink.Bridge{LinkAttrs: named("br-sw0"), VlanDefaultPVID: &zero})
			b.change(t, "br-sw0", netlink.LinkSetUp)
		}, "somebody else's"},
		"no bridge": {func(t *testing.T, b *bed) {
			b.add(t, &netlink.Veth{LinkAttrs: named("br-sw0"), PeerName: "other"})
		}, `is no bridge but "veth"`},
		"a port of another bridge": {func(t *testing.T, b *bed) {
			b.add(t, &netlink.Bridge{LinkAttrs: named("br-lan")})
			b.change(t, "lan3", func(l netlink.Link) error {
				br, err := netlink.LinkByName("br-lan")
				if err != nil {
					return err
				}
				return netlink.LinkSetMaster(l, br)
			})
		}, "port lan3 is a member of br-lan: take it out first (ip link set lan3 nomaster)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			if b == nil {
				return
			}
			x.before(t, b)
			before := b.picture(t)
			s, err := b.try(config())
			if err == nil {
				_ = s.Close()
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), x.says) || errors.Is(err, hw.ErrSilent) {
				t.Errorf("%v; want %q, and no silence", err, x.says)
			}
			if d := cmp.Diff(before, b.picture(t)); d != "" {
				t.Errorf("something was changed:\n%s", d)
			}
		})
	}
}

// A router that was killed between making its bridge and marking it can take it
// over.
func TestABridgeThatIsNobodysIsTaken(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	zero, yes := uint16(0), true
	b.add(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br-sw0"}, VlanDefaultPVID: &zero, VlanFiltering: &yes})
	s := b.open(t, config())
	must(t, remove(s))
}

func TestDevicesThatAreNotThereAreSilent(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	c := config()
	c.Ports = append(c.Ports, Port{"lan9", "lan9"}, Port{"lan8", "lan8"})
	_, err := b.try(c)
	if !errors.Is(err, hw.ErrSilent) || !strings.Contains(err.Error(), "lan9") || !strings.Contains(err.Error(), "lan8") || !strings.Contains(err.Error(), "driver loaded") {
		t.Errorf("%v; want both ports named, and what to look at", err)
	}
	if _, made := b.picture(t)["br-sw0"]; made {
		t.Error("a bridge was made for a switch that is not there")
	}
	s := b.open(t, config())
	b.change(t, "lan2", netlink.LinkDel) // its driver was unbound
	_, terr := s.Table()
	_, lerr := s.Links()
	_, cerr := s.Counters()
	for what, err := range map[string]error{
		"Table": terr, "Links": lerr, "Counters": cerr, "Prepare": s.Prepare(), "SetPort": s.SetPort("lan2", true), "Flush": s.Flush("lan2"),
		"SetVLAN": s.SetVLAN(hw.VLAN{ID: 20, Untagged: []string{"lan2"}}), "SetMTU": s.SetMTU(1400),
	} {
		if !errors.Is(err, hw.ErrSilent) || !strings.Contains(err.Error(), "lan2") {
			t.Errorf("%s: %v; want silence of lan2", what, err)
		}
	}
	must(t, remove(s))
}

// A chip whose driver is loaded anew has new devices of the same names.
func TestAPortThatComesBackIsTakenAndGivenBack(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	s := b.open(t, config())
	_, err := hw.Apply(s, mixed())
	must(t, err)
	b.change(t, "lan2", netlink.LinkDel)
	b.add(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan2", MTU: 1450}, PeerName: "other"})
	r, err := hw.Apply(s, mixed())
	if err != nil || r.Nothing() {
		t.Errorf("%v, %v", r, err)
	}
	if got := b.picture(t)["lan2"]; got.Master == 0 || !got.Up {
		t.Errorf("%+v, want it in the bridge and up", got)
	}
	must(t, s.SetMTU(1400))
	must(t, remove(s))
	if got := b.picture(t)["lan2"]; got.Master != 0 || got.Up || got.MTU != 1450 {
		t.Errorf("%+v, want it as it was made", got)
	}
}

// A port that somebody takes out, or VLANs that somebody sets, come back as they
// should be with the next Apply.
func TestWhatSomebodyChangesIsSeenAndRepaired(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	s := b.open(t, config())
	_, err := hw.Apply(s, mixed())
	must(t, err)
	want, err := s.Table()
	must(t, err)
	b.change(t, "lan2", netlink.LinkSetNoMaster)
	b.change(t, "lan1", func(l netlink.Link) error { return netlink.BridgeVlanAdd(l, 30, false, false, false, true) })
	b.change(t, "br-sw0", func(l netlink.Link) error { return netlink.BridgeVlanDel(l, 20, false, false, true, false) })
	b.change(t, "lan1", netlink.LinkSetDown)
	b.change(t, "br-sw0", func(l netlink.Link) error {
		k, err := openKernel()
		if err != nil {
			return err
		}
		defer k.close()
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
		data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
		data.AddRtAttr(nl.IFLA_BR_VLAN_FILTERING, []byte{0})
		data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{1})
		return k.change(&link{LinkAttrs: *l.Attrs()}, info)
	})
	is, err := s.Table()
	must(t, err)
	if hw.Compare(is, want) == nil {
		t.Error("nothing was seen")
	}
	_, err = hw.Apply(s, mixed())
	must(t, err)
	if again, err := hw.Apply(s, mixed()); err != nil || !again.Nothing() {
		t.Errorf("%v, %v: the repair was none", again, err)
	}
	b.wantBridge(t, func(l *netlink.Bridge) error {
		if !*l.VlanFiltering || *l.VlanDefaultPVID != 0 || *l.MulticastSnooping {
			return fmt.Errorf("the bridge is not as it should be: %+v", l)
		}
		return nil
	})
}

// wantBridge looks at the bridge as the kernel tells of it.
func (b *bed) wantBridge(t testing.TB, look func(l *netlink.Bridge) error) {
	t.Helper()
	b.change(t, "br-sw0", func(l netlink.Link) error { return look(l.(*netlink.Bridge)) })
}

func TestTheBridgeIsMadeAsAsked(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	c := config()
	c.MAC, c.Ageing = net.HardwareAddr{2, 0, 0, 0, 0, 0x77}, 5*time.Minute
	s := b.open(t, c)
	b.wantBridge(t, func(l *netlink.Bridge) error {
		if l.HardwareAddr.String() != "02:00:00:00:00:77" || *l.AgeingTime != 30000 || !strings.HasPrefix(l.Alias, "spigate switch:") {
			return fmt.Errorf("the bridge is not as asked: %+v", l)
		}
		return nil
	})
	if table, err := s.Table(); err != nil || len(table.VLANs) != 0 {
		t.Errorf("the kernel has VLANs by itself: %v, %v", table, err)
	}
	if d := cmp.Diff(Capabilities(c).Ports, s.Capabilities().Ports); d != "" || s.Capabilities().Chip != "bridge of the kernel" || s.Capabilities().MaxMTU == 0 {
		t.Errorf("%+v %s", s.Capabilities(), d)
	}
}
