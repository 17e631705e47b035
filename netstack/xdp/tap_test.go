//go:build linux && !noxdp

package xdp

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// A guest has the file of a TAP device, as a virtual machine has: the device
// is its cable to us.
type guest struct {
	t  testing.TB
	fd int
}

func newGuest(t testing.TB, device string) *guest {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	r, err := unix.NewIfreq(device)
	must(t, err)
	r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	must(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, r))
	setUp(t, device)
	return &guest{t, fd}
}

func (g *guest) send(p packet) {
	g.t.Helper()
	_, err := unix.Write(g.fd, p.bytes())
	must(g.t, err)
}

func (g *guest) wants(p packet) {
	g.t.Helper()
	buf, n := make([]byte, 2000), 0
	until(g.t, "a frame comes to the guest", func() (ok bool) {
		var err error
		n, err = unix.Read(g.fd, buf)
		return err == nil && n > 20 && buf[12] != 0x86 // no IPv6 of the kernel's
	})
	if diff := cmp.Diff(p.bytes(), buf[:n]); diff != "" {
		g.t.Errorf("not the frame that was expected (-want +got):\n%s", diff)
	}
}

func TestAVirtualMachinesPortForwardsBothWays(t *testing.T) {
	for _, mode := range []Mode{Auto, Generic} {
		for _, tag := range []uint16{0, lanVLAN} {
			t.Run(fmt.Sprint(mode, " tag ", tag), func(t *testing.T) {
				ownNamespace(t)
				lan := newGuest(t, "lan")
				wan := newGuest(t, "wan")
				w := &world{t: t}
				var err error
				w.Offload, err = Open(Config{Ports: worldPorts(), Mode: mode, Log: w.journal.logger()})
				must(t, err)
				t.Cleanup(func() { must(t, w.Close()) })
				if want := map[Mode]string{Auto: "native", Generic: "generic"}[mode]; w.Status().Ports[0].Mode != want || w.Status().Ports[1].Mode != want {
					t.Errorf("status %+v, want %s", w.Status(), want)
				}
				w.setHops()
				in := map[uint16]frame.Interface{0: lanPlain, lanVLAN: lanTagged}[tag]
				ref := w.add(offloaded(frame.ProtoUDP, 1, in, taggedHop))
				come, leave := outbound(frame.ProtoUDP, 1, tag, wanVLAN)
				for range 100 {
					lan.send(come)
					wan.wants(leave)
				}
				w.wantCount(ref, 100, 100*uint64(28+len(come.payload)))
			})
		}
	}
}

func TestATAPAndAVethForwardToEachOther(t *testing.T) {
	ownNamespace(t)
	lan := newGuest(t, "lan")
	veth(t, "wan", "host-wan")
	gro(t, "host-wan", true)
	w := &world{t: t, wan: newHost(t, "host-wan")}
	var err error
	w.Offload, err = Open(Config{Ports: worldPorts(), Log: w.journal.logger()})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	w.setHops()
	come, leave := outbound(frame.ProtoESP, 1, 0, 0)
	w.add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	back := offloaded(frame.ProtoESP, 1, wanPlain, insideHop)
	w.add(back)
	for range 10 {
		lan.send(come)
		w.wan.wants(leave)
		home, there := come, leave
		home.dst = router["wan"]
		there.src = router["lan"]
		w.wan.send(home.bytes())
		lan.wants(there)
	}
	for _, p := range w.Status().Ports {
		if p.Mode != "native" {
			t.Errorf("port %+v", p)
		}
	}
}
