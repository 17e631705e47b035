package dsa

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"spigate/hw"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is a machine whose devices lan1 to lan4 are the switch: the kernel's
// bridge is the chip. far is at the other ends of their cables, c1 to c4.
type bed struct {
	near, far *netns.Namespace
}

// A kernel whose bridges know no VLANs cannot be one: nil. SPIGATE_BRIDGE=1, as
// in the virtual machine of tests/arm, makes that an error.
func newBed(t testing.TB) *bed {
	t.Helper()
	if !netns.Root() {
		t.Fatal("network namespaces need root")
	}
	lab := netns.For(t)
	b := &bed{}
	var err error
	b.near, err = lab.Namespace("near")
	must(t, err)
	if !filters(b.near) {
		if os.Getenv("SPIGATE_BRIDGE") == "1" {
			t.Fatal("this kernel's bridges do not filter VLANs")
		}
		t.Log("this kernel's bridges do not filter VLANs: this runs in the virtual machine of tests/arm alone")
		return nil
	}
	b.far, err = lab.Namespace("far")
	must(t, err)
	for i := 1; i <= 4; i++ {
		must(t, lab.Wire(netns.End{In: b.near, Device: fmt.Sprint("lan", i)}, netns.End{In: b.far, Device: fmt.Sprint("c", i)}))
	}
	return b
}

// filters reports whether a kernel's bridges filter VLANs.
func filters(n *netns.Namespace) bool {
	yes := true
	return n.Do(func() error {
		l := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "probe"}, VlanFiltering: &yes}
		if err := netlink.LinkAdd(l); err != nil {
			return err
		}
		return netlink.LinkDel(l)
	}) == nil
}

func config() Config {
	c := Config{Bridge: "br-sw0"}
	for i := 1; i <= 4; i++ {
		c.Ports = append(c.Ports, Port{Name: fmt.Sprint("lan", i), Device: fmt.Sprint("lan", i)})
	}
	return c
}

// open opens the switch in the bed's machine.
func (b *bed) open(t testing.TB, c Config) hw.Chip {
	t.Helper()
	s, err := b.try(c)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func (b *bed) try(c Config) (s hw.Chip, err error) {
	err = b.near.Do(func() error {
		s, err = Open(c)
		return err
	})
	return s, err
}

// draws is how many plans the suite draws: few where a processor is emulated.
func draws() int {
	if os.Getenv("SPIGATE_BRIDGE") == "1" {
		return 5
	}
	return 100
}

// in runs fn in a namespace.
func in(t testing.TB, n *netns.Namespace, fn func() error) {
	t.Helper()
	must(t, n.Do(fn))
}

// change changes a device of the machine with the switch.
func (b *bed) change(t testing.TB, device string, fn func(l netlink.Link) error) {
	t.Helper()
	in(t, b.near, func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		return fn(l)
	})
}

// add makes a device.
func (b *bed) add(t testing.TB, l netlink.Link) {
	t.Helper()
	in(t, b.near, func() error { return netlink.LinkAdd(l) })
}

// state is what a device is like, as far as a switch could change it.
type state struct {
	Up            bool
	MTU, Master   int
	Alias, Kind   string
	VLANFiltering *bool
	PVID          *uint16
}

// picture is the state of all devices by name.
func (b *bed) picture(t testing.TB) map[string]state {
	t.Helper()
	out := map[string]state{}
	in(t, b.near, func() error {
		list, err := netlink.LinkList()
		for _, l := range list {
			a := l.Attrs()
			s := state{Up: a.RawFlags&unix.IFF_UP != 0, MTU: a.MTU, Master: a.MasterIndex, Alias: a.Alias, Kind: l.Type()}
			if bridge, ok := l.(*netlink.Bridge); ok {
				s.VLANFiltering, s.PVID = bridge.VlanFiltering, bridge.VlanDefaultPVID
			}
			out[a.Name] = s
		}
		return err
	})
	return out
}

// plug puts a cable in, or pulls it.
func (b *bed) plug(t testing.TB, port string, plugged bool) {
	t.Helper()
	in(t, b.far, func() error {
		l, err := netlink.LinkByName("c" + port[len("lan"):])
		if err != nil {
			return err
		}
		if plugged {
			return netlink.LinkSetUp(l)
		}
		return netlink.LinkSetDown(l)
	})
}

// settle waits until all ports that are on forward: the kernel looks at a cable
// in its own time.
func (b *bed) settle(t testing.TB, table hw.Table) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must(t, netns.Poll(ctx, 20*time.Millisecond, func() bool {
		ready := true
		in(t, b.near, func() error {
			for port, on := range table.On {
				l, err := netlink.LinkByName(port)
				if err != nil {
					return err
				}
				ready = ready && (!on || l.Attrs().OperState == netlink.OperUp)
			}
			return nil
		})
		return ready
	}))
}

// A host sends and receives frames at a device by a packet socket.
type host struct {
	t     testing.TB
	fd    int
	index int
}

func newHost(t testing.TB, n *netns.Namespace, device string) *host {
	t.Helper()
	h := &host{t: t}
	in(t, n, func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		h.index = l.Attrs().Index
		if h.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		for option, value := range map[int]int{unix.PACKET_IGNORE_OUTGOING: 1, unix.PACKET_QDISC_BYPASS: 1, unix.PACKET_AUXDATA: 1} {
			if err := unix.SetsockoptInt(h.fd, unix.SOL_PACKET, option, value); err != nil {
				return err
			}
		}
		if err := unix.SetsockoptPacketMreq(h.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(h.index), Type: unix.PACKET_MR_PROMISC}); err != nil {
			return err
		}
		return unix.Bind(h.fd, &unix.SockaddrLinklayer{Protocol: nl.Swap16(unix.ETH_P_ALL), Ifindex: h.index})
	})
	t.Cleanup(func() { _ = unix.Close(h.fd) })
	return h
}

// frame is one of an experimental type to all; tag 0: without a tag. from tells
// senders apart.
func frame(from byte, tag uint16, text string) []byte {
	b := append(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 2, 0, 0, 0, 0, from)
	if tag != 0 {
		b = binary.BigEndian.AppendUint16(b, 0x8100)
		b = binary.BigEndian.AppendUint16(b, tag)
	}
	b = binary.BigEndian.AppendUint16(b, 0x88b5)
	b = append(b, byte(len(text)))
	return append(append(b, text...), make([]byte, 60)...)
}

// send sends a frame; without a cable it goes nowhere, which the kernel says.
func (h *host) send(b []byte) {
	h.t.Helper()
	if err := unix.Sendto(h.fd, b, 0, &unix.SockaddrLinklayer{Ifindex: h.index, Halen: 6}); err != unix.ENOBUFS {
		must(h.t, err)
	}
}

// hear returns the texts of the frames that have come, with their tags, until
// there is none for a while.
func (h *host) hear() map[string]uint16 {
	h.t.Helper()
	out := map[string]uint16{}
	must(h.t, unix.SetsockoptTimeval(h.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 300e3}))
	buf, control := make([]byte, 2048), make([]byte, 256)
	for {
		n, nc, _, _, err := unix.Recvmsg(h.fd, buf, control, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return out
		}
		b, tag := buf[12:n], accelerated(control[:nc])
		if binary.BigEndian.Uint16(b) == 0x8100 {
			tag, b = binary.BigEndian.Uint16(b[2:])&0xfff, b[4:]
		}
		if binary.BigEndian.Uint16(b) == 0x88b5 {
			out[string(b[3:3+b[2]])] = tag
		}
	}
}

// accelerated is the VLAN that the kernel has taken out of a frame (struct
// tpacket_auxdata: status at 0, the tag at 16).
func accelerated(control []byte) uint16 {
	all, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range all {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20 &&
			binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			return binary.NativeEndian.Uint16(m.Data[16:]) & 0xfff
		}
	}
	return 0
}
