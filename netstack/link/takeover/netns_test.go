package takeover

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func linkNamed(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

// veth makes a pair of devices and sets both up.
func veth(t testing.TB, a, b string) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a, TxQLen: 1000}, PeerName: b}))
	must(t, netlink.LinkSetUp(linkNamed(t, a)))
	must(t, netlink.LinkSetUp(linkNamed(t, b)))
}

func sysctl(t testing.TB, path, value string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/net/"+path, []byte(value), 0))
}

// A host is one end of a cable, seen as a packet socket.
type host struct {
	t     testing.TB
	fd    int
	index int
}

// newHost opens a packet socket on a device. A read waits at most two seconds.
func newHost(t testing.TB, device string) *host {
	t.Helper()
	h := &host{t: t, index: linkNamed(t, device).Attrs().Index}
	var err error
	h.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(h.fd) })
	must(t, unix.SetsockoptInt(h.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	// Frames of a host must not be stopped by a drop on its device's egress.
	must(t, unix.SetsockoptInt(h.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1))
	must(t, unix.Bind(h.fd, &unix.SockaddrLinklayer{Protocol: nl.Swap16(unix.ETH_P_ALL), Ifindex: h.index}))
	return h
}

func (h *host) send(b []byte) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	err := error(unix.ENOBUFS) // as long as others leave no room in the queue that all namespaces share
	for ; err == unix.ENOBUFS && ctx.Err() == nil; runtime.Gosched() {
		err = unix.Sendto(h.fd, b, 0, &unix.SockaddrLinklayer{Ifindex: h.index})
	}
	must(h.t, err)
}

// receive returns how many frames with the mark came in: it waits until there
// are want of them, or for wait microseconds of silence.
func (h *host) receive(mark string, want int, wait int64) int {
	h.t.Helper()
	tv := unix.NsecToTimeval(wait * 1000)
	must(h.t, unix.SetsockoptTimeval(h.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	buf := make([]byte, 2048)
	got := 0
	for got < want {
		n, _, err := unix.Recvfrom(h.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			break
		}
		must(h.t, err)
		if strings.Contains(string(buf[:n]), mark) {
			got++
		}
	}
	return got
}

// run runs a command of iproute2 in the namespace, for what people would see.
func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}
