package bare

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What comes in by one device goes out of the other with other Ethernet
// addresses and nothing else changed, and the devices are given back.
func TestTheLoopPassesOnWhatComes(t *testing.T) {
	lab := netns.For(t)
	source, err := lab.Namespace("source")
	must(t, err)
	router, err := lab.Namespace("router")
	must(t, err)
	sink, err := lab.Namespace("sink")
	must(t, err)
	must(t, lab.Wire(netns.End{In: source, Device: "eth0"}, netns.End{In: router, Device: "lan"}))
	must(t, lab.Wire(netns.End{In: router, Device: "wan"}, netns.End{In: sink, Device: "eth0"}))
	must(t, router.Address("lan", netns.Inside))
	seen, err := sink.Capture("eth0")
	must(t, err)
	c := Config{From: "lan", To: "wan", Next: frame.MAC{2, 0, 0, 0, 0, 9}, Dir: t.TempDir()}
	l, err := Start(router, c)
	must(t, err)
	sent := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, make([]byte, 60)...) // an experiment's type
	sent[40] = 7
	must(t, source.Do(func() error { return send("eth0", sent) }))
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	got, err := seen.Wait(ctx, func(f netns.Captured) bool { return f.Frame[12] == 0x88 && f.Frame[13] == 0xb5 })
	must(t, err)
	wan, err := router.MAC("wan")
	must(t, err)
	want := string(c.Next[:]) + string(wan) + string(sent[12:])
	if string(got.Frame) != want {
		t.Errorf("arrived\n% x, want\n% x", got.Frame, want)
	}
	if worked, err := l.Worked(); err != nil || worked <= 0 {
		t.Errorf("worked %v: %v", worked, err)
	}
	if received, refused := l.Lost(); received != 0 || refused != 0 {
		t.Errorf("lost %d and %d", received, refused)
	}
	must(t, l.Close())
	seen.Stop()
	must(t, router.Do(func() error {
		lan, err := net.InterfaceByName("lan")
		if err != nil {
			return err
		}
		addrs, err := lan.Addrs()
		if len(addrs) != 1 || addrs[0].String() != netns.Inside.String() {
			t.Errorf("the device has %v, not its address", addrs)
		}
		return err
	}))
}

func send(device string, b []byte) error {
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	return syscall.Sendto(fd, b, 0, &syscall.SockaddrLinklayer{Ifindex: ifi.Index})
}

func TestALoopThatCannotStartLeavesNothing(t *testing.T) {
	lab := netns.For(t)
	router, err := lab.Namespace("router")
	must(t, err)
	if _, err := Start(router, Config{From: "lan", To: "wan", Dir: t.TempDir()}); err == nil {
		t.Error("a loop on devices that are not there")
	}
	peer, err := lab.Namespace("peer")
	must(t, err)
	must(t, lab.Wire(netns.End{In: router, Device: "lan"}, netns.End{In: peer, Device: "a"}))
	must(t, lab.Wire(netns.End{In: router, Device: "wan"}, netns.End{In: peer, Device: "b"}))
	if _, err := Start(router, Config{From: "lan", To: "wan", CPU: 1000, Dir: t.TempDir()}); err == nil {
		t.Error("a loop on a processor that is not there")
	}
}
