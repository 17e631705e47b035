package netns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"spigate/tests/golden"
)

func namespaces(t *testing.T, l *Lab, names ...string) []*Namespace {
	t.Helper()
	if !Root() {
		t.Fatal("network namespaces need root")
	}
	var all []*Namespace
	for _, n := range names {
		ns, err := l.Namespace(n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ns)
	}
	return all
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestClosingTheLabLeavesNothing(t *testing.T) {
	const name = "spigate-lab-test"
	namespaces(t, For(t), "warm-up") // the runtime's own descriptors are open from now on
	before := openFiles(t)
	l := New()
	ns := namespaces(t, l, "a", "b")
	if err := l.Wire(End{ns[0], "x"}, End{ns[1], "y"}); err != nil {
		t.Fatal(err)
	}
	if err := ns[0].Publish(name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(nameDir, name)); err != nil {
		t.Fatal(err)
	}
	p, err := ns[0].Start(Command{Path: "/bin/sleep", Args: []string{"1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ns[1].Capture("y"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", p.Pid(), err)
	}
	if _, err := os.Stat(filepath.Join(nameDir, name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the name is still there: %v", err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestANameLeftByAKilledRunIsTakenOver(t *testing.T) {
	const name = "spigate-lab-left"
	l := For(t)
	ns := namespaces(t, l, "old", "new")
	for _, n := range ns {
		if err := n.Publish(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := ns[0].Publish("../escape"); err == nil {
		t.Error("a name with a slash was accepted")
	}
}

func TestWhatRunsInANamespaceSeesItsDevices(t *testing.T) {
	l := For(t)
	ns := namespaces(t, l, "a", "b")
	if err := l.Wire(End{ns[0], "left"}, End{ns[1], "right"}); err != nil {
		t.Fatal(err)
	}
	has := func(device string) func() error {
		return func() error {
			_, err := net.InterfaceByName(device)
			return err
		}
	}
	if err := ns[0].Do(has("left")); err != nil {
		t.Error(err)
	}
	if ns[0].Do(has("right")) == nil || has("left")() == nil {
		t.Error("a device is visible where it is not")
	}
	out, err := ns[1].Run(deadline(t), "", "/bin/cat", "/proc/net/dev")
	if err != nil || !strings.Contains(out, "right") {
		t.Errorf("a process in b does not see its device: %v\n%s", err, out)
	}
	if err := ns[0].Do(func() error { panicked := errors.New("from inside"); return panicked }); err == nil {
		t.Error("the function's error was lost")
	}
	if err := ns[0].Sysctl("net/no/such/key", "1"); err == nil {
		t.Error("an unknown setting was accepted")
	}
}

func TestAProcessIsEndedByItsID(t *testing.T) {
	ns := namespaces(t, For(t), "a")[0]
	var lines []string
	p, err := ns.Start(Command{
		Path: "/bin/sh", Args: []string{"-c", `trap 'echo bye; exit 3' TERM; echo up; echo again >&2; while :; do sleep 0.05; done`},
		Line: func(s string) { lines = append(lines, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WaitLine(deadline(t), func(s string) bool { return s == "again" }); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if p.Err() == nil || !strings.Contains(p.Err().Error(), "3") {
		t.Errorf("it ended with %v, expected status 3", p.Err())
	}
	if got := strings.Join(p.Output(), ","); got != "up,again,bye" || strings.Join(lines, ",") != got {
		t.Errorf("output %q, lines %q", got, lines)
	}
	if _, err := p.WaitLine(deadline(t), func(string) bool { return false }); !errors.Is(err, errNoLine) {
		t.Errorf("waiting for a line of an ended process: %v", err)
	}
	if _, err := ns.Start(Command{Path: "/no/such/program"}); err == nil {
		t.Error("a program that does not exist was started")
	}
}

func TestOutputIsBounded(t *testing.T) {
	l := newLines(nil)
	for range 3 * maxLines {
		if _, err := l.Write([]byte("x\ny")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.all()); n > maxLines {
		t.Errorf("%d lines are kept", n)
	}
	if _, next, _ := l.since(0); next != 3*maxLines {
		t.Errorf("the next line has number %d, want %d", next, 3*maxLines)
	}
}

func TestACaptureSeesWhatIsSentAndReceived(t *testing.T) {
	l := For(t)
	ns := namespaces(t, l, "a", "b")
	err := errors.Join(
		l.Wire(End{ns[0], "x"}, End{ns[1], "y"}),
		ns[0].Address("x", netip.MustParsePrefix("192.0.2.1/24")),
		ns[1].Address("y", netip.MustParsePrefix("192.0.2.2/24")),
	)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ns[0].Capture("x")
	if err != nil {
		t.Fatal(err)
	}
	err = ns[0].Do(func() error {
		conn, err := net.Dial("udp4", "192.0.2.2:9")
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("hello, other side"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	isUDP := func(f Captured) bool { return f.Sent && strings.Contains(string(f.Frame), "hello, other side") }
	isUnreachable := func(f Captured) bool {
		return !f.Sent && len(f.Frame) > 34 && f.Frame[23] == 1 && f.Frame[34] == 3
	}
	if _, err := c.Wait(deadline(t), isUDP); err != nil {
		t.Error("the datagram:", err)
	}
	if _, err := c.Wait(deadline(t), isUnreachable); err != nil {
		t.Error("the port unreachable:", err)
	}
	if n := len(c.Stop()); n < 4 { // ARP both ways too
		t.Errorf("%d frames", n)
	}
}

// A link that is down for a moment loses IKE; the hosts recover as daemons do.
func TestHostsRecoverFromLostIKE(t *testing.T) {
	s := site(t)
	if err := errors.Join(s.RouterKernel(), s.GatewayRouteInside()); err != nil {
		t.Fatal(err)
	}
	first, second, err := Conversations(golden.IKEv2First, golden.IKEv2Second, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Switch.SetLink("client2", false); err != nil {
		t.Fatal(err)
	}
	patience := DefaultPatience()
	patience.IKE = 100 * time.Millisecond
	sent := 0
	r, err := s.Run(deadline(t), Scenario{
		First: first, Second: second, Patience: patience,
		Overlap: func(context.Context) error { return nil },
		Event: func(e Event) {
			if e.Host != "client2" || e.What != Resent {
				return
			}
			if sent++; sent == 2 {
				if err := s.Switch.SetLink("client2", true); err != nil {
					t.Error(err)
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Faults() {
		t.Error(f)
	}
	if d := r.Delivery(second.Name, golden.Client); d.Resent < 2 {
		t.Errorf("the second client sent %d packets again", d.Resent)
	}
}

func TestPollEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := Poll(ctx, time.Millisecond, func() bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
