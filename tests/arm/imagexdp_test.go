package arm

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// theKernelForwards sends packets of one session until the program in the
// machine's kernel forwards them by itself, and they arrive: what it counts is
// what it has sent on.
func theKernelForwards(t *testing.T, ctx context.Context, site *netns.Site, r *router) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	arrived, stop := arrivals(t, site.Gateway)
	defer stop()
	begun, sent := netns.Monotonic(), uint64(0)
	var rows []netns.StatusRow
	for len(rows) == 0 || rows[0].Offload.Packets == 0 {
		if ctx.Err() != nil {
			t.Fatalf("the kernel forwards nothing: %+v", rows)
		}
		if err := site.Client1.Do(burst); err != nil {
			t.Fatal(err)
		}
		sent += maxPending
		r.show(&rows, "status")
	}
	byKernel := rows[0].Offload.Packets
	if err := netns.Poll(ctx, time.Millisecond, func() bool { return arrived.Load() > sent-byKernel }); err != nil {
		t.Errorf("%d of %d packets arrived, and the kernel says that it forwarded %d", arrived.Load(), sent, byKernel)
	}
	for _, p := range rows[0].Ports {
		if p.Offload != "native" && p.Offload != "generic" {
			t.Errorf("port %s is %s: %s", p.Port, p.Offload, p.OffloadWhy)
		}
		t.Logf("port %s is %s: %s", p.Port, p.Offload, p.OffloadWhy)
	}
	t.Logf("%d of %d packets by the kernel, %d arrived, %.1f s; left to the router: %v",
		byKernel, sent, arrived.Load(), float64(netns.Monotonic()-begun)/1e9, rows[0].Offload.Left)
}

// arrivals counts the datagrams that come to the gateway.
func arrivals(t *testing.T, in *netns.Namespace) (n *atomic.Uint64, stop func()) {
	t.Helper()
	conn := listen(t, in)
	n = &atomic.Uint64{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var buf [64]byte
		for {
			if _, err := conn.Read(buf[:]); err != nil {
				return
			}
			n.Add(1)
		}
	}()
	return n, func() { conn.Close(); <-done }
}

// burst sends what makes a flow busy.
func burst() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for range maxPending {
		if err := unix.Sendto(fd, datagram(0), 0, &unix.SockaddrInet4{Addr: netns.Remote.Addr().As4()}); err != nil {
			return err
		}
	}
	return nil
}
