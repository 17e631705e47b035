//go:build linux && !noxdp

package xdp

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"spigate/netstack/frame"
)

const nobody = 0xfffe // a family of generic netlink that no kernel has

const lossy = "generic: the other end of b, a veth, has neither GRO nor XDP, and would lose frames"

func TestPortsWhoseOtherEndsTakeFramesAreNative(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	veth(t, "b", "host-b")
	gro(t, "host-a", true)
	gro(t, "host-b", true)
	b := newBench(t, Auto, "a", "b")
	if !b.check() {
		t.Error("the first check changed nothing")
	}
	b.want(t, "native", "native")
	b.wantLog(t, `msg="XDP on port" port=port-a mode=native`, "port=port-b mode=native")
	if attached(t, "a") != "native" || attached(t, "b") != "native" {
		t.Errorf("the kernel says %q, %q", attached(t, "a"), attached(t, "b"))
	}
	if b.index[0] != b.list[0].dev.index || b.index[1] != b.list[1].dev.index || b.index[0] == b.index[1] {
		t.Errorf("devices %v", b.index)
	}
	for _, p := range b.list {
		if !b.reaches(p) {
			t.Errorf("%s cannot be sent to", p.Device)
		}
	}
	if b.pauses = 0; b.check() || b.pauses != 0 {
		t.Error("a second check changed something")
	}
	b.wantLog(t)
	b.close()
	if attached(t, "a")+attached(t, "b") != "" {
		t.Error("a program is left")
	}
}

func TestOnePortThatLosesFramesMakesAllGenericUntilItTakesThem(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	veth(t, "b", "host-b")
	gro(t, "host-a", true)
	b := newBench(t, Auto, "a", "b")
	b.check()
	b.want(t, lossy, lossy)
	b.wantLog(t, "port=port-a mode=generic why=", "port=port-b mode=generic why=")
	if !b.reaches(b.list[1]) {
		t.Error("a generic program can send to any port")
	}
	gro(t, "host-b", true)
	if !b.check() || b.pauses != 2 {
		t.Errorf("%d pauses", b.pauses)
	}
	b.want(t, "native", "native")
	gro(t, "host-b", false)
	b.check()
	b.want(t, lossy, lossy)
}

// Both ends of one cable: each takes frames only while the other has a program.
func TestPortsThatTakeFramesOnlyWithAProgramAreTriedOnce(t *testing.T) {
	ownNamespace(t)
	veth(t, "x", "y")
	veth(t, "b", "host-b")
	b := newBench(t, Auto, "x", "y", "b")
	b.check()
	b.want(t, lossy, lossy, lossy)
	for range 3 {
		if b.pauses = 0; b.check() || b.pauses != 0 {
			t.Error("the ports were tried again")
		}
	}
	gro(t, "host-b", true)
	b.check()
	b.want(t, "native", "native", "native")
	if b.pauses = 0; b.check() || b.pauses != 0 {
		t.Error("the ports were tried again")
	}
}

func TestWhoWantsNativeAloneSendsNothingToAPortThatWouldLoseIt(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	veth(t, "b", "host-b")
	gro(t, "host-a", true)
	b := newBench(t, Native, "a", "b")
	b.check()
	b.want(t, "native", "native")
	if !b.reaches(b.list[0]) || b.reaches(b.list[1]) {
		t.Errorf("reaches a: %v, b: %v", b.reaches(b.list[0]), b.reaches(b.list[1]))
	}
}

func TestAKernelThatDoesNotTellWhoTakesFrames(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	gro(t, "host-a", true)
	b := newBench(t, Auto, "a")
	b.netdev = nobody
	b.check()
	b.want(t, "generic: the other end of a, a veth, has neither GRO nor XDP, and would lose frames")
	b.close()
	insists := newBench(t, Native, "a")
	insists.netdev = nobody
	insists.check()
	insists.want(t, "native")
	if !insists.reaches(insists.list[0]) {
		t.Error("a veth is not trusted though the operator insists")
	}
}

// Such a kernel takes frames for a driver without XDP, and loses them.
func TestOnAKernelThatDoesNotTellADriverWithoutTheProgramTakesNoFrames(t *testing.T) {
	ownNamespace(t)
	newGuest(t, "a")
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "b"}}))
	setUp(t, "b")
	b := newBench(t, Auto, "a", "b")
	b.netdev = nobody
	b.check()
	const why = "generic: the driver of b takes no frames from other ports' drivers"
	b.want(t, why, why)
	if b.pauses = 0; b.check() || b.pauses != 0 {
		t.Error("the ports were tried again")
	}
	b.close()
	insists := newBench(t, Native, "a", "b")
	insists.netdev = nobody
	insists.check()
	insists.want(t, "native", "off: the driver has no XDP")
	if !insists.reaches(insists.list[0]) || insists.list[1].dev.target {
		t.Errorf("a: %+v, b: %+v", insists.list[0].dev, insists.list[1].dev)
	}
	if insists.pauses = 0; insists.check() || insists.pauses != 0 {
		t.Error("the ports were tried again")
	}
}

func TestGenericIsNoMoreThanAskedFor(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	gro(t, "host-a", true)
	b := newBench(t, Generic, "a")
	b.check()
	b.want(t, "generic")
	if attached(t, "a") != "generic" {
		t.Errorf("the kernel says %q", attached(t, "a"))
	}
}

func TestAPortWithABigMTUIsGenericAndNativeWhenItShrinks(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	gro(t, "host-a", true)
	mtu := func(n int) {
		must(t, netlink.LinkSetMTU(linkNamed(t, "a"), n))
		must(t, netlink.LinkSetMTU(linkNamed(t, "host-a"), n))
	}
	mtu(9000)
	b := newBench(t, Auto, "a")
	b.check()
	b.want(t, "generic: the MTU of 9000 bytes is too great for XDP in the driver")
	b.wantLog(t, "mode=generic why=")
	only := newBench(t, Native, "host-a")
	only.check()
	only.want(t, "off: the MTU of 9000 bytes is too great for XDP in the driver")
	only.wantLog(t, "level=WARN")
	mtu(1400)
	if !b.check() || b.list[0].dev.mtu != 1400 {
		t.Error("the MTU's change went unseen")
	}
	b.want(t, "native")
}

func TestAForeignProgramIsLeftAloneAndItsPlaceTakenWhenItGoes(t *testing.T) {
	for _, flags := range []link.XDPAttachFlags{link.XDPDriverMode, link.XDPGenericMode} {
		t.Run(map[link.XDPAttachFlags]string{link.XDPDriverMode: "native", link.XDPGenericMode: "generic"}[flags], func(t *testing.T) {
			ownNamespace(t)
			veth(t, "a", "host-a")
			gro(t, "host-a", true)
			foreign, err := link.AttachXDP(link.XDPOptions{
				Program: passProgram(t), Interface: linkNamed(t, "a").Attrs().Index, Flags: flags})
			must(t, err)
			id := linkNamed(t, "a").Attrs().Xdp.ProgId
			b := newBench(t, Auto, "a")
			for range 2*retryTurns + 2 {
				b.check()
			}
			b.want(t, "off: somebody else's XDP program is on the device")
			b.wantLog(t, `level=WARN msg="no XDP on port, its packets take the slower path" port=port-a why="somebody else's`)
			if got := linkNamed(t, "a").Attrs().Xdp.ProgId; got != id {
				t.Errorf("program %d stands where %d was", got, id)
			}
			must(t, foreign.Close())
			for range retryTurns {
				b.check()
			}
			b.want(t, "native")
		})
	}
}

// Trying all ports again would take every flow from the kernel for a moment, and
// some cards reset themselves for a program in their driver.
func TestAForeignProgramThatStaysDisturbsNoOtherPort(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	veth(t, "b", "host-b")
	foreign, err := link.AttachXDP(link.XDPOptions{
		Program: passProgram(t), Interface: linkNamed(t, "b").Attrs().Index, Flags: link.XDPGenericMode})
	must(t, err)
	defer foreign.Close()
	b := newBench(t, Auto, "a", "b")
	b.check()
	id := linkNamed(t, "a").Attrs().Xdp.ProgId
	b.pauses = 0
	for range 3 * retryTurns {
		if b.check() {
			t.Error("something changed")
		}
	}
	if b.pauses != 0 {
		t.Errorf("the ports were tried again %d times", b.pauses)
	}
	b.want(t, "generic: the other end of a, a veth, has neither GRO nor XDP, and would lose frames", "off: somebody else's XDP program is on the device")
	if got := linkNamed(t, "a").Attrs().Xdp.ProgId; got != id {
		t.Errorf("program %d stands where %d was", got, id)
	}
}

func TestAPortThatIsMadeAnewUnderItsOldNumberGetsItsProgramAgain(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	a := linkNamed(t, "a").Attrs()
	b := newBench(t, Generic, "a")
	b.check()
	must(t, netlink.LinkDel(linkNamed(t, "a")))
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{
		Name: "a", Index: a.Index, HardwareAddr: a.HardwareAddr, TxQLen: 1000}, PeerName: "host-a"}))
	setUp(t, "a", "host-a")
	clear(b.index)
	b.check()
	b.want(t, "generic")
	if attached(t, "a") != "generic" || b.index[0] != a.Index {
		t.Errorf("the kernel says %q, devices %v", attached(t, "a"), b.index)
	}
}

// The router has not taken such a device from the kernel, and does not hear it.
func TestADeviceThatTheRouterHasNotOpenedGetsNoProgram(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	b := newBench(t, Generic, "a")
	b.list[0].Index = linkNamed(t, "a").Attrs().Index
	b.check()
	b.want(t, "generic")
	must(t, netlink.LinkDel(linkNamed(t, "a")))
	veth(t, "other", "host-other") // takes the number
	veth(t, "a", "host-a")
	b.check()
	b.want(t, "off: it is not the device that the router has opened: a restart takes it")
	if attached(t, "a") != "" || b.reaches(b.list[0]) {
		t.Errorf("the kernel says %q; it is reached: %v", attached(t, "a"), b.reaches(b.list[0]))
	}
}

func TestAPortThatGoesAndComesBackUnderAnotherNumber(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	gro(t, "host-a", true)
	b := newBench(t, Auto, "a")
	b.check()
	b.want(t, "native")
	was := b.index[0]
	must(t, netlink.LinkDel(linkNamed(t, "a")))
	if !b.check() || b.reaches(b.list[0]) {
		t.Error("a port that is gone is reached")
	}
	b.want(t, "off: no such device")
	veth(t, "other", "host-other") // takes the next number
	veth(t, "a", "host-a")
	b.check() // its other end has no GRO yet
	gro(t, "host-a", true)
	b.check()
	b.want(t, "native")
	if b.index[0] == was || b.index[0] != linkNamed(t, "a").Attrs().Index || !b.reaches(b.list[0]) {
		t.Errorf("number %d, was %d", b.index[0], was)
	}
}

func TestAPortThatIsDownKeepsItsProgramAndIsNotReached(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	gro(t, "host-a", true)
	b := newBench(t, Auto, "a")
	b.check()
	for range 3 {
		b.pauses = 0
		setDown(t, "host-a") // takes the carrier of a
		if !b.check() || b.reaches(b.list[0]) {
			t.Error("a port without carrier is reached")
		}
		setUp(t, "host-a")
		if !b.check() || !b.reaches(b.list[0]) {
			t.Error("a port with carrier again is not reached")
		}
		if b.pauses != 0 {
			t.Error("the programs were changed")
		}
		b.want(t, "native")
	}
}

func TestAProgramHasTheAddressOfItsPortEvenWhenThatChanges(t *testing.T) {
	ownNamespace(t)
	veth(t, "a", "host-a")
	veth(t, "b", "host-b")
	var loaded []frame.MAC
	b := newBench(t, Generic, "a", "b")
	b.load = func(_ int, mac frame.MAC) (*ebpf.Program, error) {
		loaded = append(loaded, mac)
		return newPass()
	}
	b.list[1].MAC = frame.MAC{2, 0, 0, 0, 0, 9} // the operator's
	b.check()
	other := frame.MAC{2, 0, 0, 0, 0, 8}
	must(t, netlink.LinkSetHardwareAddr(linkNamed(t, "a"), other[:]))
	b.check()
	b.want(t, "generic", "generic")
	if len(loaded) != 3 || loaded[1] != b.list[1].MAC || loaded[2] != other || loaded[0] == other {
		t.Errorf("loaded for %v", loaded)
	}
}

func TestADeviceWithoutEthernetIsNoPort(t *testing.T) {
	ownNamespace(t)
	must(t, netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "a"}, Mode: netlink.TUNTAP_MODE_TUN}))
	b := newBench(t, Auto, "a")
	b.check()
	b.want(t, "off: not an Ethernet device")
	for range 3 {
		b.check()
	}
	b.wantLog(t, "not an Ethernet device")
}

func TestADriverWithoutXDPGetsTheGenericOne(t *testing.T) {
	ownNamespace(t)
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "a"}}))
	setUp(t, "a")
	b := newBench(t, Auto, "a")
	b.check()
	b.want(t, "generic: the driver has no XDP")
}
