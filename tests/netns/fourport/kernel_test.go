package fourport

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"spigate/tests/netns"
)

// openKernel lays out the office around a switch of the kernel. Where bridges do
// not filter VLANs it returns nil: then these tests run in the virtual machine
// of tests/arm alone, whose kernel must (SPIGATE_BRIDGE=1).
func openKernel(t *testing.T) *office {
	t.Helper()
	if !netns.Root() {
		t.Fatal("these tests make network namespaces: run them as root")
	}
	n, err := netns.For(t).Namespace("probe")
	if err != nil {
		t.Fatal(err)
	}
	if n.FiltersVLANs() {
		return openWith(t, kernel())
	}
	if os.Getenv("SPIGATE_BRIDGE") == "1" {
		t.Fatal("this kernel's bridges do not filter VLANs")
	}
	t.Log("this kernel's bridges do not filter VLANs: this runs in the virtual machine of tests/arm alone")
	return nil
}

// The same office with a switch of the kernel: the router makes the bridge,
// takes its own port of it as a trunk, and gives all back at its end.
func TestAKernelSwitchKeepsVLANsApartAndTheRouterJoinsThem(t *testing.T) {
	o := openKernel(t)
	if o == nil {
		return
	}
	printer := o.serve(o.printer, 631)
	o.serve(o.printer, 22)
	o.serve(o.dave, 7)
	web := o.serve(o.web, 80)

	o.talks(o.alice, o.dave, 7, 1000)
	staff := o.vlan("staff")
	o.talks(o.alice, o.dave, 7, 1<<20)
	// Hosts tell a group of theirs from time to time, which every port hears.
	if is := o.vlan("staff"); is.RxFrames > staff.RxFrames+5 || is.TxFrames != staff.TxFrames {
		t.Errorf("staff among themselves: the router's counters moved from %+v to %+v", staff, is)
	}
	for _, guest := range []*host{o.gwen, o.erin} {
		o.talks(guest, o.printer, 631, 100000)
		o.refused(guest, o.printer, 22)
		o.talks(guest, o.web, 80, 100000)
	}
	if got := addrs(printer.visitors()); !slices.Equal(got, []string{"10.0.20.11", "10.0.20.14"}) {
		t.Errorf("the printer was visited by %v", got)
	}
	for _, a := range addrs(web.visitors()) {
		if !strings.HasPrefix(a, "203.0.113.") {
			t.Errorf("%s came to the web untranslated", a)
		}
	}

	c := o.watch(o.printer, o.gwen)
	o.send(o.alice, marked(everybody, 1, "into guests"), 20)
	o.send(o.alice, marked(everybody, 1, "to staff"), 0)
	o.send(o.erin, marked(everybody, 2, "to guests"), 0)
	o.hears(c[o.printer], o.printer, "to staff")
	o.hears(c[o.gwen], o.gwen, "to guests")
	o.heardNothing(c[o.gwen], o.gwen, "into guests")
	o.heardNothing(c[o.gwen], o.gwen, "to staff")
}

func TestAPortOfAKernelSwitchMovesByReload(t *testing.T) {
	o := openKernel(t)
	if o == nil {
		return
	}
	o.serve(o.printer, 631)
	o.serve(o.gwen, 7)
	o.talks(o.alice, o.printer, 631, 1000)
	before := len(o.daemon.Output())
	o.must(o.daemon.Reconfigure(o.template(`["lan1", "lan2"]`, `["lan2"]`, `["lan3"]`, `["lan1", "lan3"]`)))
	o.logs(before, "VLANs changed [10 20]", "lan1")
	o.becomesAGuest(o.alice, "10.0.20.12")
	o.talks(o.alice, o.gwen, 7, 10000)
	o.talks(o.alice, o.printer, 631, 10000)

	before = len(o.daemon.Output())
	o.must(o.router.SetLink("lan2", false))
	o.logs(before, "port lan2 is down", "switch=sw0")
	o.talks(o.alice, o.gwen, 7, 10000)
	o.must(o.router.SetLink("lan2", true))
	o.logs(before, "port lan2 is up")
	o.talks(o.alice, o.printer, 631, 10000)
}

// Somebody changes the bridge behind the router's back: it is put right.
func TestAKernelSwitchThatWasChangedByHandIsPutRight(t *testing.T) {
	o := openKernel(t)
	if o == nil {
		return
	}
	o.serve(o.printer, 631)
	o.talks(o.alice, o.printer, 631, 1000)
	before := len(o.daemon.Output())
	o.must(o.router.RemoveVLAN("lan2", 10))
	o.logs(before, "the switch has lost its configuration", "VLAN 10")
	o.logs(before, "the switch has its configuration again")
	o.talks(o.alice, o.printer, 631, 1000)
}

func TestAKernelSwitchIsGivenBackAtTheEnd(t *testing.T) {
	o := openKernel(t)
	if o == nil {
		return
	}
	devices, err := o.router.Devices()
	o.must(err)
	for _, port := range []string{"lan1", "lan2", "lan3", "lan4"} {
		if devices[port] != "br-lan" {
			t.Errorf("%s is not in the bridge: %v", port, devices)
		}
	}
	o.must(o.daemon.Signal(syscall.SIGTERM))
	<-o.daemon.Done()
	o.must(o.daemon.Err())
	devices, err = o.router.Devices()
	o.must(err)
	if _, there := devices["br-lan"]; there || devices["lan1"] != "" {
		t.Errorf("the bridge is still there: %v", devices)
	}
}
