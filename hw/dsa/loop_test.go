package dsa

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"spigate/hw"
	"spigate/hw/hwtest"
)

// These run in the virtual machine of tests/arm (SPIGATE_DSA=1), in a kernel
// with DSA and its mock of a chip, dsa_loop, that logs what it is told: lan1 to
// lan4 are its ports 0 to 3, and the processor is at its port 5.
func loop(t *testing.T) bool {
	t.Helper()
	if os.Getenv("SPIGATE_DSA") != "1" {
		t.Log("there is no DSA here: this runs in the virtual machine of tests/arm alone")
		return false
	}
	return true
}

func openLoop(t testing.TB, c Config) hw.Chip {
	t.Helper()
	s, err := Open(c)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func TestTheSuiteOfChipsOnDSA(t *testing.T) {
	if !loop(t) {
		return
	}
	hwtest.Run(t, hwtest.Options{
		Draws:    draws(),
		Patterns: 2 * draws(),
		Open:     func(t testing.TB) hw.Chip { return openLoop(t, config()) },
		Again:    func(t testing.TB, _ hw.Chip) hw.Chip { return openLoop(t, config()) },
	})
	must(t, remove(openLoop(t, config())))
}

// A kernelLog reads what the kernel logs from now on.
type kernelLog struct {
	t  testing.TB
	fd int
}

func newLog(t testing.TB) *kernelLog {
	t.Helper()
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.Seek(fd, 0, unix.SEEK_END)
	must(t, err)
	return &kernelLog{t, fd}
}

var operation = regexp.MustCompile(`dsa_loop_port_(\w+): port: (\d+),? (.*)`)

// ops returns what has reached the chip: all that is there, and for states of
// the spanning tree, which the kernel sets a moment later, what comes until
// there is nothing for a while.
func (l *kernelLog) ops(kinds ...string) []string {
	l.t.Helper()
	var out []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(l.fd, buf)
		switch {
		case errors.Is(err, unix.EPIPE): // older lines were overwritten
			l.t.Fatal("the kernel's log was too short")
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}, 400); err == nil && n == 0 {
				return out
			}
			continue
		}
		must(l.t, err)
		m := operation.FindStringSubmatch(strings.TrimSpace(string(buf[:n])))
		for _, kind := range kinds {
			if m != nil && m[1] == kind {
				out = append(out, fmt.Sprintf("%s %s: %s", m[1], m[2], strings.TrimSpace(m[3])))
				if kind == "vlan_del" { // how the member was is of no interest to a chip
					out[len(out)-1], _, _ = strings.Cut(out[len(out)-1], ",")
				}
			}
		}
	}
}

func (l *kernelLog) want(what string, want []string, kinds ...string) {
	l.t.Helper()
	if d := cmp.Diff(want, l.ops(kinds...)); d != "" {
		l.t.Errorf("%s: what reached the chip (-want +got):\n%s", what, d)
	}
}

func vlanAdd(port int, id uint16, how string) string {
	pvid := 0
	if strings.HasSuffix(how, " pvid") {
		how, pvid = strings.TrimSuffix(how, " pvid"), 1
	}
	return fmt.Sprintf("vlan_add %d: vlan: %d, %s, pvid: %d", port, id, how, pvid)
}

func TestOnlyWhatChangesReachesTheChip(t *testing.T) {
	if !loop(t) {
		return
	}
	log := newLog(t)
	s := openLoop(t, config())
	var want []string
	for port := range 4 {
		want = append(want, fmt.Sprintf("bridge_join %d: bridge: br-sw0", port), fmt.Sprintf("vlan_filtering %d: vlan_filtering: 1", port))
	}
	kinds := []string{"bridge_join", "bridge_leave", "vlan_filtering", "vlan_add", "vlan_del"}
	log.want("opening", want, kinds...)
	apply := func(what string, p hw.Plan, want ...string) {
		t.Helper()
		_, err := hw.Apply(s, p)
		must(t, err)
		log.want(what, want, kinds...)
	}
	apply("the first plan", mixed(),
		vlanAdd(5, 10, "tagged"), vlanAdd(0, 10, "untagged"), vlanAdd(2, 10, "tagged"),
		vlanAdd(5, 20, "tagged"), vlanAdd(1, 20, "untagged"), vlanAdd(2, 20, "untagged"),
		vlanAdd(5, 30, "tagged"), vlanAdd(1, 30, "tagged"), vlanAdd(2, 30, "tagged"),
		vlanAdd(5, 40, "tagged"),
		vlanAdd(0, 10, "untagged pvid"), vlanAdd(1, 20, "untagged pvid"), vlanAdd(2, 20, "untagged pvid"))
	apply("the same again", mixed())

	p := mixed()
	p.VLANs[2].Tagged = []string{"lan2"}
	apply("lan3 leaves VLAN 30", p, "vlan_del 2: vlan: 30")
	p.VLANs = p.VLANs[:3]
	apply("VLAN 40 goes", p, "vlan_del 5: vlan: 40")
	p.VLANs[0].Untagged, p.VLANs[1].Untagged = nil, []string{"lan1", "lan2", "lan3"}
	apply("lan1 goes from VLAN 10 to 20", p,
		vlanAdd(0, 10, "untagged"), "vlan_del 0: vlan: 10", vlanAdd(0, 20, "untagged"), vlanAdd(0, 20, "untagged pvid"))

	must(t, s.Close())
	s = openLoop(t, config())
	apply("after a restart of the router", p)
	must(t, remove(s))
	if got := log.ops("bridge_leave"); len(got) != 4 {
		t.Errorf("ports that left: %v", got)
	}
}

// The mock cannot switch learning off, as some chips: it forgets when the port
// stops for a moment.
func TestForgettingAddressesReachesTheChip(t *testing.T) {
	if !loop(t) {
		return
	}
	s := openLoop(t, config())
	_, err := hw.Apply(s, mixed())
	must(t, err)
	log := newLog(t)
	log.ops() // states that are set late
	must(t, s.Flush("lan2"))
	must(t, s.Flush("lan4")) // is off: has forgotten
	must(t, s.Flush("br-sw0"))
	// Forwarding, the kernel says twice.
	if d := cmp.Diff([]string{"stp_state_set 1: state: 4", "stp_state_set 1: state: 3"}, slices.Compact(log.ops("stp_state_set"))); d != "" {
		t.Errorf("lan2 forgets: what reached the chip (-want +got):\n%s", d)
	}
	must(t, remove(s))
}

func TestTheChipIsKnownAndTheConduitIsSetUp(t *testing.T) {
	if !loop(t) {
		return
	}
	up := func(device string) bool {
		t.Helper()
		l, err := netlink.LinkByName(device)
		must(t, err)
		return l.Attrs().RawFlags&unix.IFF_UP != 0
	}
	conduit, err := netlink.LinkByName("eth0")
	must(t, err)
	must(t, netlink.LinkSetDown(conduit))
	s := openLoop(t, config())
	if c := s.Capabilities(); c.Chip != "fixed-0:1f (driver dsa-loop)" || c.MaxMTU < 1500 {
		t.Errorf("%+v", c)
	}
	if !up("eth0") {
		t.Error("the conduit is off: no port could come up")
	}
	_, err = hw.Apply(s, hw.Plan{VLANs: []hw.VLAN{{ID: 20, Untagged: []string{"lan1"}}}})
	must(t, err)
	links, err := s.Links()
	must(t, err)
	if l := links[1]; !l.Up || l.Speed != 100 || !l.Duplex {
		t.Errorf("%+v; the mock's ports have 100 Mbit/s full duplex", l)
	}
	if links[2].Up || !links[0].Up {
		t.Errorf("%+v; lan2 is off, and the router's port is the conduit's", links)
	}
	must(t, remove(s))
	if up("eth0") || up("lan1") {
		t.Error("conduit and port were off before")
	}
}

// The kernel's words come with a refusal.
func TestARefusalHasTheKernelsWords(t *testing.T) {
	if !loop(t) {
		return
	}
	s := openLoop(t, config())
	defer func() { must(t, remove(s)) }()
	k := s.(*chip).kernel
	l, err := k.link("lan1")
	must(t, err)
	err = k.setVLAN(l, 4095, 0)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ERANGE) || !strings.Contains(err.Error(), "Vlan id is invalid") {
		t.Errorf("%v; want what the bridge says", err)
	}
}
