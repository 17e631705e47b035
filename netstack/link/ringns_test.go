package link

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// ownNamespace puts the test's goroutine into a network namespace of its own.
// The thread is never unlocked, so it ends with the test, and the namespace
// with it.
func ownNamespace(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes a network namespace and needs root")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
}

// vethPair makes two connected devices in the namespace and sets them up, with
// IPv6 off so that the kernel sends nothing by itself.
func vethPair(t testing.TB, a, b string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644))
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a, TxQLen: 1000}, PeerName: b}))
	setUp(t, a)
	setUp(t, b)
}

func setUp(t testing.TB, name string) {
	t.Helper()
	must(t, netlink.LinkSetUp(linkNamed(t, name)))
}

func setDown(t testing.TB, name string) {
	t.Helper()
	must(t, netlink.LinkSetDown(linkNamed(t, name)))
}

func linkNamed(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waitCarrier waits until the kernel has told everybody that a device has
// carrier or has lost it: it does so some time after the fact.
func waitCarrier(t testing.TB, name string, want bool) {
	t.Helper()
	updates, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	must(t, netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{ListExisting: true}))
	for u := range updates {
		if u.Attrs().Name == name && (u.Attrs().RawFlags&unix.IFF_RUNNING != 0) == want {
			break
		}
	}
	close(done)
	for u := range updates { // until the subscription has ended
		_ = u
	}
}

// closeRead closes a port of which frames may still be lent.
func closeRead(b testing.TB, d Driver) {
	b.Helper()
	_ = d.Close()
	var batch [1]frame.Frame
	if _, err := d.Read(batch[:]); !errors.Is(err, net.ErrClosed) {
		b.Errorf("read after close: %v", err)
	}
}

// testFrames makes n broadcast frames of an experimental type (IEEE 802) and
// the given length, numbered in their first payload byte.
func testFrames(n, length int) []frame.Frame {
	out := make([]frame.Frame, n)
	for i := range out {
		b := make([]byte, length)
		copy(b, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, byte(i)})
		out[i] = frame.Copy(b, 0)
	}
	return out
}
