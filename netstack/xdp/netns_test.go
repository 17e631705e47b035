//go:build linux && !noxdp

package xdp

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// childEnv makes the test's program one that offloads and waits.
const childEnv = "OFFLOAD_AND_WAIT"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		offloadAndWait()
	}
	goleak.VerifyTestMain(m)
}

// ownNamespace puts the test's goroutine into a network namespace of its own.
// The thread is never unlocked, so it ends with the test, and the namespace
// with it.
func ownNamespace(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes a network namespace and loads programs into the kernel: it needs root")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644))
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

// veth makes a cable, both ends up.
func veth(t testing.TB, a, b string) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a, TxQLen: 1000}, PeerName: b}))
	setUp(t, a, b)
}

func setUp(t testing.TB, names ...string) {
	t.Helper()
	for _, n := range names {
		must(t, netlink.LinkSetUp(linkNamed(t, n)))
	}
}

func setDown(t testing.TB, name string) {
	t.Helper()
	must(t, netlink.LinkSetDown(linkNamed(t, name)))
}

// attached is what stands on a device: "", native or generic.
func attached(t testing.TB, name string) string {
	t.Helper()
	x := linkNamed(t, name).Attrs().Xdp
	switch {
	case x == nil || !x.Attached:
		return ""
	case x.AttachMode == attachedSKB:
		return "generic"
	}
	return "native"
}

// The kernel's numbers of where a program is (linux/if_link.h).
const attachedSKB = 2

// passProgram leaves every frame to the stack.
func passProgram(t testing.TB) *ebpf.Program {
	t.Helper()
	p, err := newPass()
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newPass() (*ebpf.Program, error) {
	const pass = 2
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()},
	})
}

// A journal keeps what was logged, one line each.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, strings.TrimSpace(string(b)))
	return len(b), nil
}

// take returns what was logged since it was last called.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.lines
	j.lines = nil
	return out
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// Commands of ethtool and bits of its flags (linux/ethtool.h).
const (
	setTxChecksum = 0x17
	getFlags      = 0x25
	setGRO        = 0x2c
	flagsVLAN     = 1<<7 | 1<<8
)

// ethtool gives a device a command with one number, and returns the number.
func ethtool(t testing.TB, name string, command, value uint32) uint32 {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	data := [2]uint32{command, value}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data *[2]uint32
		_    [16]byte
	}{data: &data}
	copy(request.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		t.Fatalf("ethtool command %#x for %s: %v", command, name, errno)
	}
	return data[1]
}

// gro switches the merging of frames on or off: a veth with it takes frames
// from its other end's program.
func gro(t testing.TB, name string, on bool) {
	t.Helper()
	value := uint32(0)
	if on {
		value = 1
	}
	ethtool(t, name, setGRO, value)
}

// bench are ports with a program that passes everything.
type bench struct {
	ports
	journal journal
	index   map[int]int // device of each number
	pauses  int
}

func newBench(t testing.TB, mode Mode, devices ...string) *bench {
	t.Helper()
	b := &bench{index: map[int]int{}}
	b.ports = ports{
		mode: mode, log: b.journal.logger(), pause: func() { b.pauses++ },
		load:    func(int, frame.MAC) (*ebpf.Program, error) { return newPass() },
		publish: func(number, index int) error { b.index[number] = index; return nil },
	}
	for i, d := range devices {
		b.list = append(b.list, &port{Port: Port{Name: "port-" + d, Device: d}, number: i})
	}
	t.Cleanup(b.close)
	return b
}

// want fails unless the ports do this: "native", or "generic: WHY".
func (b *bench) want(t testing.TB, want ...string) {
	t.Helper()
	for i, p := range b.list {
		st := p.status()
		got := st.Mode
		if st.Why != "" {
			got += ": " + st.Why
		}
		if got != want[i] {
			t.Errorf("%s: %s; want %s", p.Device, got, want[i])
		}
	}
}

func (b *bench) wantLog(t testing.TB, want ...string) {
	t.Helper()
	got := b.journal.take()
	if len(got) != len(want) {
		t.Fatalf("logged %d lines, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("logged %q, want %q", got[i], want[i])
		}
	}
}

// until asks until the answer is yes, for ten seconds at most.
func until(t testing.TB, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for !yes() {
		if ctx.Err() != nil {
			t.Fatalf("it did not come to pass that %s", what)
		}
		runtime.Gosched()
	}
}
