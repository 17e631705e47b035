package wire

import (
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// What the ring tells of its device, the offload must know: which one it is, and
// whether its senders leave checksums to their hardware.
func TestTheOffloadsPortIsTheDeviceThatIsOpen(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("this test makes a network namespace, which needs root: %v", err)
	}
	tap, err := link.OpenTAP(link.TAPConfig{Name: "lan", MAC: frame.MAC{2, 0, 0, 0, 0, 1}, MTU: 1500})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	ring, err := link.OpenRing(link.RingConfig{Device: "lan", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	device, err := net.InterfaceByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	p := offloadPort(&configs.Config{}, &configs.Port{Name: "lan", Device: "lan"}, ring)
	if p.Index != device.Index || p.MAC != frame.MAC(device.HardwareAddr) || p.Unfinished == nil || p.Unfinished() != 0 {
		t.Errorf("%+v, the device is %+v", p, device)
	}
}
