//go:build linux && !noxdp

package xdp

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

// forwards sends a packet of the flow and reports whether the kernel forwards
// it; if not, it has come up.
func (w *world) forwards(n uint16) bool {
	w.t.Helper()
	come, leave := outbound(frame.ProtoESP, n, 0, 0)
	w.lan.send(come.bytes())
	var out, up []byte
	until(w.t, "the packet goes somewhere", func() bool {
		out, up = w.wan.receive(false), w.up.receive(false)
		return out != nil || up != nil
	})
	if out != nil && string(out) != string(leave.bytes()) || up != nil && string(up) != string(come.bytes()) {
		w.t.Errorf("forwarded %x, left alone %x", out, up)
	}
	return out != nil
}

func TestFlowsGoOnWhenTheirPortComesBack(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Auto, 100)
	ref := w.add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	for range 3 {
		if !w.forwards(1) {
			t.Fatal("not forwarded")
		}
		setDown(t, "host-wan")
		w.Check(w.now)
		if w.forwards(1) {
			t.Error("forwarded out of a port without carrier")
		}
		setUp(t, "host-wan")
		w.Check(w.now)
	}
	w.wantCount(ref, 3, 3*uint64(len("what is carried")+28))
}

func TestFlowsGoOnWhenTheirDeviceIsMadeAnew(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Auto, 100)
	ref := w.add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	must(t, netlink.LinkDel(linkNamed(t, "wan")))
	// Before the process knows, the kernel has forgotten the device already.
	come, _ := outbound(frame.ProtoESP, 1, 0, 0)
	w.lan.send(come.bytes())
	w.up.receive(true)
	w.Check(w.now)
	if _, ok := w.Add(offloaded(frame.ProtoESP, 2, lanPlain, plainHop)); ok {
		t.Error("a flow to a port that is gone was taken")
	}
	veth(t, "other", "host-other")
	veth(t, "wan", "host-wan")
	gro(t, "host-wan", true)
	w.Check(w.now)
	w.hosts()
	if !w.forwards(1) {
		t.Error("not forwarded to the new device")
	}
	w.wantCount(ref, 1, uint64(len("what is carried")+28))
	if s := w.Status(); s.Ports[1].Mode != "native" {
		t.Errorf("status %+v", s)
	}
}

// The table above goes on to set hops while ports change.
func TestNothingIsForwardedWhilePortsChange(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Auto, 100)
	w.add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	w.pause()
	w.SetHop(plainHop, flow.OffloadHop{})
	w.setHops()
	if w.forwards(1) {
		t.Error("forwarded")
	}
	if _, ok := w.Add(offloaded(frame.ProtoESP, 2, lanPlain, plainHop)); ok {
		t.Error("a flow was taken")
	}
	setDown(t, "host-wan") // a reason to look at the ports
	w.Check(w.now)
	setUp(t, "host-wan")
	w.Check(w.now)
	if !w.forwards(1) {
		t.Error("not forwarded any more")
	}
}

func TestADeviceWithABigMTUForwardsToo(t *testing.T) {
	ownNamespace(t)
	veth(t, "lan", "host-lan")
	veth(t, "wan", "host-wan")
	gro(t, "host-lan", true)
	gro(t, "host-wan", true)
	mtu := func(n int) {
		for _, d := range []string{"lan", "host-lan", "wan", "host-wan"} {
			must(t, netlink.LinkSetMTU(linkNamed(t, d), n))
		}
	}
	mtu(9000)
	w := newWorldOf(t, Auto, 100)
	w.SetHop(plainHop, flow.OffloadHop{Out: wanPlain, Dst: peer, Src: router["wan"], MTU: 9000, Valid: true})
	w.add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	come, leave := outbound(frame.ProtoESP, 1, 0, 0)
	come.payload = strings.Repeat("x", 8000)
	leave.payload = come.payload
	w.lan.send(come.bytes())
	w.wan.wants(leave)
	if s := w.Status(); s.Ports[0].Mode != "generic" || !strings.Contains(s.Ports[0].Why, "MTU of 9000") {
		t.Errorf("status %+v", s)
	}
	// The way out becomes narrower than the neighbour's row says.
	must(t, netlink.LinkSetMTU(linkNamed(t, "wan"), 1400))
	w.Check(w.now)
	w.lan.send(come.bytes())
	w.up.receive(true)
	come.payload = strings.Repeat("x", 1400-28)
	leave.payload = come.payload
	w.lan.send(come.bytes())
	w.wan.wants(leave)
	come.payload += "x"
	w.lan.send(come.bytes())
	w.up.receive(true)
	w.wan.wantsNothing()
}

func TestAClosedOffloadForwardsNothingAndStillKnowsItsCounts(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Auto, 100)
	ref := w.add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	if !w.forwards(1) {
		t.Error("not forwarded")
	}
	must(t, w.Close())
	if w.forwards(1) || attached(t, "lan")+attached(t, "wan") != "" {
		t.Error("a closed offload forwards")
	}
	w.wantCount(ref, 1, uint64(len("what is carried")+28))
	if _, ok := w.Add(offloaded(frame.ProtoESP, 2, lanPlain, plainHop)); ok {
		t.Error("a closed offload took a flow")
	}
	w.SetHop(plainHop, flow.OffloadHop{})
	w.Punt(plainHop)
	w.Remove(ref)
	w.Release(ref)
	w.second()
	if s := w.Status(); s.Hits != 1 || s.Punts != nil {
		t.Errorf("status %+v", s)
	}
}

// offloadAndWait is a process that forwards a flow until it is killed.
func offloadAndWait() {
	w := &world{}
	var err error
	if w.Offload, err = Open(Config{Ports: worldPorts()}); err != nil {
		_, _ = io.WriteString(os.Stdout, "error: "+err.Error()+"\n")
		os.Exit(1)
	}
	w.SetHop(plainHop, flow.OffloadHop{Out: wanPlain, Dst: peer, Src: router["wan"], MTU: 1500, Valid: true})
	_, _ = w.Add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	_, _ = io.WriteString(os.Stdout, "on\n")
	_, _ = os.Stdin.Read(make([]byte, 1)) // for ever
	os.Exit(1)
}

// startOffload starts offloadAndWait and returns what it said first.
func startOffload(t *testing.T, attr *syscall.SysProcAttr) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return cmd, strings.TrimSpace(line)
}

func TestAKilledProcessLeavesNothingThatForwards(t *testing.T) {
	ownNamespace(t)
	veth(t, "lan", "host-lan")
	veth(t, "wan", "host-wan")
	gro(t, "host-lan", true)
	gro(t, "host-wan", true)
	w := &world{t: t}
	w.hosts()
	cmd, said := startOffload(t, nil)
	if said != "on" || attached(t, "lan") != "native" || attached(t, "wan") != "native" {
		t.Fatalf("the process said %q and has %q, %q", said, attached(t, "lan"), attached(t, "wan"))
	}
	if !w.forwards(1) {
		t.Error("the process does not forward")
	}
	must(t, cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	// The kernel closes the last file of a process as it ends, or a moment after.
	until(t, "the programs are gone", func() bool { return attached(t, "lan")+attached(t, "wan") == "" })
	if w.forwards(1) {
		t.Error("the flows of a killed process are forwarded")
	}
}

func TestAProcessWithoutTheRightsSaysSoInOneLine(t *testing.T) {
	ownNamespace(t)
	// Root of a user namespace of its own has no rights over this one.
	_, said := startOffload(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER})
	if !strings.HasPrefix(said, "error: not permitted: CAP_BPF") {
		t.Errorf("it said %q", said)
	}
}

func TestWhyAKernelCannot(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSYS:          "the kernel has no BPF (CONFIG_BPF_SYSCALL)",
		syscall.EPERM:           "not permitted: CAP_BPF",
		syscall.EINVAL:          "the kernel is too old",
		errors.New("some\nwhy"): "some",
	} {
		if got := unable(err).Error(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%v: %q", err, got)
		}
	}
}

func TestWhatIsNoConfiguration(t *testing.T) {
	ownNamespace(t)
	for name, ports := range map[string][]Port{
		"no ports":                    nil,
		"an interface twice":          {{Name: "a", Interfaces: map[uint16]frame.Interface{0: 1}}, {Name: "b", Interfaces: map[uint16]frame.Interface{0: 1}}},
		"an interface of no number":   {{Name: "a", Interfaces: map[uint16]frame.Interface{0: 0}}},
		"a VLAN that there cannot be": {{Name: "a", Interfaces: map[uint16]frame.Interface{4095: 1}}},
	} {
		if o, err := Open(Config{Ports: ports}); err == nil {
			t.Errorf("%s: opened", name)
			must(t, o.Close())
		}
	}
}
