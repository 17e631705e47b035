package wire

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"spigate/hw"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// A softBench is a switch in software in a namespace of its own: port lan1 is a
// TAP device, lan2 one end of a cable whose other end is far2.
type softBench struct {
	t            *testing.T
	opened       openedChip
	host1, host2 link.Driver // what the hosts at lan1 and lan2 send and receive
	ended        chan error
	stop         context.CancelFunc
}

func newSoftBench(t *testing.T) *softBench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes a network namespace and needs root")
	}
	runtime.LockOSThread() // never unlocked: the namespace ends with the thread
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(unix.Unshare(unix.CLONE_NEWNET))
	must(os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644))
	must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan2"}, PeerName: "far2"}))
	far, err := netlink.LinkByName("far2")
	must(err)
	must(netlink.LinkSetUp(far))
	b := &softBench{t: t, ended: make(chan error, 1)}
	began := time.Now()
	s := softSwitch{
		name: "sw0", cpu: "cpu", mac: frame.MAC{2, 0, 0, 0, 0, 0xfe}, mtu: 1500, stateDir: t.TempDir(),
		ports: []softPort{{"lan1", "tap1", true}, {"lan2", "lan2", false}},
		log:   slog.New(slog.DiscardHandler), now: func() int64 { return int64(time.Since(began)) },
	}
	b.opened, err = s.open()
	must(err)
	b.host1, err = link.OpenRing(link.RingConfig{Device: "tap1", KeepTags: true})
	must(err)
	b.host2, err = link.OpenRing(link.RingConfig{Device: "far2", KeepTags: true})
	must(err)
	ctx, cancel := context.WithCancel(t.Context())
	b.stop = cancel
	go func() { b.ended <- b.opened.run(ctx) }()
	t.Cleanup(b.close)
	return b
}

func (b *softBench) close() {
	b.stop()
	if err := <-b.ended; err != nil {
		b.t.Error(err)
	}
	for _, d := range []link.Driver{b.host1, b.host2, b.opened.cpu} {
		_ = d.Close()
		_, _ = d.Read(make([]frame.Frame, 1)) // gives what was lent back
	}
	if err := b.opened.remove(); err != nil {
		b.t.Error(err)
	}
}

// passes sends a frame into a driver and wants it out of others, as it is there.
func (b *softBench) passes(what string, in link.Driver, raw []byte, out map[link.Driver][]byte) {
	b.t.Helper()
	if n, why := in.Write([]frame.Frame{frame.Copy(raw, 0)}); n != 1 {
		b.t.Fatalf("%s: not sent: %v", what, why)
	}
	for d, want := range out {
		var batch [1]frame.Frame
		if _, err := d.Read(batch[:]); err != nil {
			b.t.Fatal(err)
		}
		if diff := cmp.Diff(want, batch[0].Bytes()); diff != "" {
			b.t.Errorf("%s: %s", what, diff)
		}
	}
}

// ether is a frame of an experimental type, with a tag unless vlan is 0.
func ether(dst, src byte, vlan byte) []byte {
	b := []byte{2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src}
	if dst == 0xff {
		copy(b, "\xff\xff\xff\xff\xff")
	}
	if vlan != 0 {
		b = append(b, 0x81, 0, 0, vlan)
	}
	return append(append(b, 0x88, 0xb5), make([]byte, 46)...)
}

// A host on a TAP device, one on a kernel port that was taken, and the router:
// each gets what its VLANs give it, tagged as it should be.
func TestASwitchInSoftwareCarriesFramesBetweenDevicesAndTheRouter(t *testing.T) {
	b := newSoftBench(t)
	cpu := b.opened.cpu
	if _, err := hw.Apply(b.opened.chip, hw.Plan{VLANs: []hw.VLAN{{ID: 10, Untagged: []string{"lan1"}, Tagged: []string{"lan2"}}, {ID: 20, Tagged: []string{"lan2"}}}, MTU: 1500}); err != nil {
		t.Fatal(err)
	}
	b.passes("a broadcast of 1", b.host1, ether(0xff, 1, 0), map[link.Driver][]byte{b.host2: ether(0xff, 1, 10), cpu: ether(0xff, 1, 10)})
	b.passes("2 answers 1", b.host2, ether(1, 2, 10), map[link.Driver][]byte{b.host1: ether(1, 2, 0)})
	b.passes("the router to 2, whom nobody knows in 20", cpu, ether(2, 0xfe, 20), map[link.Driver][]byte{b.host2: ether(2, 0xfe, 20)})
	b.passes("2 to the router", b.host2, ether(0xfe, 2, 20), map[link.Driver][]byte{cpu: ether(0xfe, 2, 20)})
	b.passes("the router to 1", cpu, ether(1, 0xfe, 10), map[link.Driver][]byte{b.host1: ether(1, 0xfe, 0)})
	b.passes("1 to 2, not to the router", b.host1, ether(2, 1, 0), map[link.Driver][]byte{b.host2: ether(2, 1, 10)})
	b.passes("the next one for the router", b.host1, ether(0xfe, 1, 0), map[link.Driver][]byte{cpu: ether(0xfe, 1, 10)})
	if cpu.MAC() != (frame.MAC{2, 0, 0, 0, 0, 0xfe}) || cpu.MTU() != 1500 || !cpu.Up() {
		t.Errorf("the router's end: %v, mtu %d, up %v", cpu.MAC(), cpu.MTU(), cpu.Up())
	}
}

func TestAnUnpluggedDeviceIsToldByTheSwitch(t *testing.T) {
	b := newSoftBench(t)
	changes := b.opened.chip.(hw.Notifier).Changes()
	far, err := netlink.LinkByName("far2")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetDown(far); err != nil {
		t.Fatal(err)
	}
	for up := true; up; {
		<-changes
		links, err := b.opened.chip.Links()
		if err != nil {
			t.Fatal(err)
		}
		up = links[1].Up
		if !links[0].Up || !links[2].Up {
			t.Errorf("links %v", links)
		}
	}
}

func TestASwitchInSoftwareThatCannotBeMadeLeavesNothing(t *testing.T) {
	newSoftBench(t) // holds tap1
	s := softSwitch{name: "sw1", cpu: "cpu", stateDir: t.TempDir(), log: slog.New(slog.DiscardHandler), now: func() int64 { return 0 },
		ports: []softPort{{"lan3", "far2", false}, {"lan4", "tap1", true}}}
	_, err := s.open()
	if err == nil || !strings.Contains(err.Error(), "port lan4: tap tap1: attach: device or resource busy") {
		t.Errorf("error %v", err)
	}
	if _, err = (softSwitch{ports: nil}).open(); err == nil {
		t.Error("a switch without ports was made")
	}
	// The kernel has far2 back: nothing is dropped on its way in any more.
	filters, err := netlink.FilterList(linkOf(t, "far2"), netlink.HANDLE_MIN_INGRESS)
	if err != nil || len(filters) != 0 {
		t.Errorf("%d filters on far2, %v", len(filters), err)
	}

}

func linkOf(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
