package link

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// openTestTAP makes a TAP device in a namespace of its own, and a ring on the
// kernel's end of it, through which the test plays the kernel.
func openTestTAP(t *testing.T, c TAPConfig) (tap, kernel Driver) {
	t.Helper()
	ownNamespace(t)
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644))
	c.Name = "tap0"
	tap, err := OpenTAP(c)
	must(t, err)
	t.Cleanup(func() { closeRead(t, tap) })
	return tap, openTestRing(t, RingConfig{Device: "tap0"})
}

func TestFramesPassTheTAPBothWays(t *testing.T) {
	tap, kernel := openTestTAP(t, TAPConfig{})
	plain := testFrames(frame.Batch, 100)
	sendAll(t, kernel, plain...)
	for i, f := range readFrames(t, tap, len(plain)) {
		if !bytes.Equal(f.Bytes(), plain[i].Bytes()) {
			t.Fatalf("frame %d: %x", i, f.Bytes())
		}
	}
	sendAll(t, tap, plain...)
	for i, f := range readFrames(t, kernel, len(plain)) {
		if !bytes.Equal(f.Bytes(), plain[i].Bytes()) {
			t.Fatalf("frame %d back: %x", i, f.Bytes())
		}
	}
	if tap.MAC() == kernel.MAC() || tap.MAC().IsGroup() {
		t.Errorf("our address %v, the kernel's %v", tap.MAC(), kernel.MAC())
	}
}

func TestTagsStayInAFrameFromATAP(t *testing.T) {
	tap, kernel := openTestTAP(t, TAPConfig{})
	plain := testFrames(1, 100)[0].Bytes()
	sendAll(t, kernel, frame.Copy(plain, 20))
	f := readFrames(t, tap, 1)[0]
	if f.VLAN != 0 || f.EtherType() != frame.TypeVLAN {
		t.Fatalf("read vlan %d: %x", f.VLAN, f.Bytes())
	}
	f.StripTag()
	if f.VLAN != 20 || !bytes.Equal(f.Bytes(), plain) {
		t.Fatalf("stripped: vlan %d: %x", f.VLAN, f.Bytes())
	}
	sendAll(t, tap, f)
	if f := readFrames(t, kernel, 1)[0]; f.VLAN != 20 || !bytes.Equal(f.Bytes(), plain) {
		t.Errorf("came back in vlan %d: %x", f.VLAN, f.Bytes())
	}
}

func TestATAPGoesDownAndComesBack(t *testing.T) {
	tap, kernel := openTestTAP(t, TAPConfig{})
	got := make(chan int)
	go func() {
		var batch [1]frame.Frame
		n, _ := tap.Read(batch[:]) // waits through the whole of it
		got <- n
	}()
	for range 3 {
		setDown(t, "tap0")
		if tap.Up() {
			t.Error("up while it is down")
		}
		if n, why := tap.Write(testFrames(5, 100)); n != 0 || why != drop.PortDown {
			t.Errorf("down: sent %d, %v", n, why)
		}
		setUp(t, "tap0")
		waitCarrier(t, "tap0", true)
	}
	sendAll(t, kernel, testFrames(1, 100)...)
	if n := <-got; n != 1 {
		t.Errorf("read %d frames after coming back", n)
	}
	if !tap.Up() {
		t.Error("not up again")
	}
}

func TestCloseEndsAReadOfATAPAndTakesTheDeviceAway(t *testing.T) {
	ownNamespace(t)
	d, err := OpenTAP(TAPConfig{Name: "tap0"})
	must(t, err)
	ended := make(chan error)
	go func() {
		var batch [1]frame.Frame
		_, err := d.Read(batch[:])
		ended <- err
	}()
	must(t, d.Close())
	if err := <-ended; err != net.ErrClosed {
		t.Errorf("read ended with %v", err)
	}
	must(t, d.Close())
	if n, why := d.Write(testFrames(1, 60)); n != 0 || why != drop.PortDown {
		t.Errorf("after close: sent %d, %v", n, why)
	}
	if _, err := netlink.LinkByName("tap0"); err == nil {
		t.Error("the device is still there")
	}
}

func TestATAPTakesItsMTUAndAddress(t *testing.T) {
	tap, kernel := openTestTAP(t, TAPConfig{MTU: 1300, MAC: hostMAC})
	if tap.MTU() != 1300 || tap.MAC() != hostMAC {
		t.Errorf("mtu %d, address %v", tap.MTU(), tap.MAC())
	}
	batch := testFrames(3, 100)
	batch[1] = frame.Copy(make([]byte, frame.HeaderLen+1301), 0)
	if n, why := tap.Write(batch); n != 2 || why != drop.FrameTooBig {
		t.Errorf("sent %d, %v; want 2, %v", n, why, drop.FrameTooBig)
	}
	readFrames(t, kernel, 2)
}

func TestAFrameLongerThanTheTAPsMTUIsDroppedAndCounted(t *testing.T) {
	drops := new(drop.Counters)
	tap, _ := openTestTAP(t, TAPConfig{MTU: 1300, Drops: drops})
	must(t, netlink.LinkSetMTU(linkNamed(t, "tap0"), 1500)) // behind the driver's back
	kernel := openTestRing(t, RingConfig{Device: "tap0"})
	sendAll(t, kernel, frame.Copy(make([]byte, 1500), 0), testFrames(1, 100)[0])
	if f := readFrames(t, tap, 1)[0]; f.Len() != 100 {
		t.Errorf("read a frame of %d bytes", f.Len())
	}
	if drops.Get(drop.FrameTooBig) != 1 {
		t.Errorf("%d drops, want 1", drops.Get(drop.FrameTooBig))
	}
}

func TestADeletedTAPEndsTheRead(t *testing.T) {
	tap, _ := openTestTAP(t, TAPConfig{})
	must(t, netlink.LinkDel(linkNamed(t, "tap0")))
	var batch [1]frame.Frame
	if _, err := tap.Read(batch[:]); err == nil || err == net.ErrClosed {
		t.Errorf("error %v", err)
	}
	if n, why := tap.Write(testFrames(1, 60)); n != 0 || why != drop.PortDown {
		t.Errorf("sent %d, %v", n, why)
	}
}

func TestATAPThatCannotBeOpenedSaysWhy(t *testing.T) {
	_, kernel := openTestTAP(t, TAPConfig{})
	vethPair(t, "a", "b")
	for _, c := range []struct {
		config TAPConfig
		want   string
	}{
		{TAPConfig{Name: "tap0"}, "tap tap0: attach: device or resource busy"},
		{TAPConfig{Name: "a"}, "tap a: attach: invalid argument"},
		{TAPConfig{Name: "a-name-that-is-too-long"}, "name: "},
		{TAPConfig{Name: "tap1", MTU: 10}, "mtu 10: "},
	} {
		_, err := OpenTAP(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.config, err, c.want)
		}
	}
	_ = kernel
}

func TestATAPRefusesTheKernelsOwnAddress(t *testing.T) {
	ownNamespace(t)
	must(t, netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap0"}, Mode: netlink.TUNTAP_MODE_TAP}))
	own := frame.MAC(linkNamed(t, "tap0").Attrs().HardwareAddr)
	if _, err := OpenTAP(TAPConfig{Name: "tap0", MAC: own}); err == nil || !strings.Contains(err.Error(), "kernel's own") {
		t.Errorf("error %v", err)
	}
	d, err := OpenTAP(TAPConfig{Name: "tap0"}) // one that exists can be attached to
	must(t, err)
	closeRead(t, d)
	linkNamed(t, "tap0") // and stays
}

func TestAFullSizedFrameMayHaveItsTagInPlace(t *testing.T) {
	tap, kernel := openTestTAP(t, TAPConfig{MTU: 1300})
	raw := ether(hostMAC, routerMAC, 20, frame.TypeIPv4, ip(1300))
	sendAll(t, tap, frame.Copy(raw, 0))
	if f := readFrames(t, kernel, 1)[0]; f.Len() != frame.HeaderLen+1300 || f.VLAN != 20 {
		t.Errorf("%d bytes came, VLAN %d", f.Len(), f.VLAN)
	}
}
