package rfc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/tests/netns"
)

// onVeth is a bed whose router has two kernel devices, in a namespace of its
// own, and reads and writes them as it does on a router.
func onVeth(t testing.TB, s settings) *bed {
	t.Helper()
	if !netns.Root() {
		t.Fatal("these tests make network namespaces: run them as root")
	}
	lab := netns.New()
	router, hosts := must(lab.Namespace("router"))(t), must(lab.Namespace("hosts"))(t)
	var drivers [2]link.Driver
	var ends [2]*vethWire
	for i, name := range []string{"in", "out"} {
		fatal(t, lab.Wire(netns.End{In: hosts, Device: name}, netns.End{In: router, Device: name}))
		for _, n := range []*netns.Namespace{hosts, router} {
			fatal(t, n.SetMTU(name, s.mtu[i]))
		}
		fatal(t, router.Do(func() error {
			d, err := link.OpenRing(link.RingConfig{Device: name, Threads: 1})
			drivers[i] = netns.Patient(d)
			return err
		}))
		ends[i] = &vethWire{routerMAC: drivers[i].MAC()}
		fatal(t, hosts.Do(func() error { return ends[i].open(name) }))
	}
	b := newBed(t, s, drivers)
	b.rounds = 2
	for i := range ends {
		b.ends[i] = ends[i]
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("router: %v", err)
		}
		for _, e := range ends {
			unix.Close(e.fd)
		}
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	b.greet()
	return b
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		fatal(t, err)
		return v
	}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// vethWire is a packet socket on the far device.
type vethWire struct {
	routerMAC frame.MAC
	fd        int
}

// patience is how long the router may take for a packet on a busy machine.
const patience = 20 * time.Second

func (w *vethWire) open(device string) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all)); err != nil {
		return err
	}
	tv := unix.NsecToTimeval(int64(patience))
	return errors.Join(
		unix.SetsockoptInt(w.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index}),
	)
}

func (w *vethWire) mac() frame.MAC { return w.routerMAC }

func (w *vethWire) put(f []byte) (err error) {
	netns.Insist(func() bool {
		_, err = unix.Write(w.fd, f)
		return !errors.Is(err, unix.ENOBUFS)
	})
	return err
}

func (w *vethWire) next() ([]byte, error) {
	buf := make([]byte, 1<<16)
	for {
		n, err := unix.Read(w.fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the router has not answered a ping in %v: %w", patience, err)
		}
		return buf[:n], nil
	}
}
