package fourport

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// raw is the example on kernel ports: the router takes them from the kernel.
func raw() kind {
	tap := regexp.MustCompile(`driver = "tap"\ndevice = "tap-(lan\d)"`)
	return kind{driver: "soft", cpu: "lan", taps: []string{"wan"}, text: func(example string) string {
		return tap.ReplaceAllString(example, "driver = \"raw\"\ndevice = \"$1\"")
	}}
}

// The same office over the ends of the cables themselves: what a switch must see
// there is meant for others, with tags that the kernel has taken out, and with
// checksums that hosts leave to their cards.
func TestTheSwitchCarriesFramesOfKernelPorts(t *testing.T) {
	o := openWith(t, raw())
	o.serve(o.printer, 631)
	o.serve(o.printer, 22)
	o.serve(o.dave, 7)
	o.serve(o.web, 80)
	for _, to := range []*host{o.dave, o.printer} {
		port := map[*host]uint16{o.dave: 7, o.printer: 22}[to]
		o.talks(o.alice, to, port, 1<<20)
	}
	for _, guest := range []*host{o.gwen, o.erin} {
		o.talks(guest, o.printer, 631, 100000)
		o.refused(guest, o.printer, 22)
		o.talks(guest, o.web, 80, 100000)
	}
	c := o.watch(o.printer, o.gwen, o.erin)
	o.send(o.alice, marked(everybody, 1, "into guests"), 20)
	o.send(o.alice, marked(everybody, 1, "to staff"), 0)
	o.hears(c[o.printer], o.printer, "to staff")
	if n := o.ports()["lan1"].RxDropped; n != 1 {
		t.Errorf("%d frames were dropped at lan1, want 1", n)
	}
	for h, capture := range c {
		o.heardNothing(capture, h, "into guests")
	}

	before := len(o.daemon.Output())
	o.must(o.alice.SetLink("eth0", false)) // the far end of the cable
	o.logs(before, "port lan1 is down")
	o.talks(o.dave, o.printer, 22, 10000)

	o.must(o.daemon.Signal(syscall.SIGTERM))
	<-o.daemon.Done()
	o.must(o.daemon.Err())
	o.given("lan2")
}

// given fails unless the kernel has a device back as it was.
func (o *office) given(device string) {
	o.t.Helper()
	out, err := o.router.Run(o.ctx, "", "ip", "-details", "link", "show", device)
	o.must(err)
	if !strings.Contains(out, "promiscuity 0") {
		o.t.Errorf("%s is still promiscuous:\n%s", device, out)
	}
	c, err := o.router.Capture(device)
	o.must(err)
	o.send(o.printer, marked(everybody, 9, "to the kernel"), 0)
	o.hears(c, &host{Namespace: o.router, name: "the kernel"}, "to the kernel")
}
