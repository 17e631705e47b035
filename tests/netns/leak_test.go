package netns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The same kernel, under traffic that never stops: a port that comes up while
// spigate takes it, a kill, and the repair at the next start are the moments
// in which the kernel could forward by itself. The ports are down at first, as
// in a router that boots.
func TestNothingLeavesUntranslatedWhileSpigateStartsIsKilledAndStartsAgain(t *testing.T) {
	s := site(t)
	if err := errors.Join(s.RouterKernel(), s.GatewayRouteInside()); err != nil {
		t.Fatal(err)
	}
	seen, err := s.Gateway.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	if err := probe(s, 'A'); err != nil {
		t.Fatal(err)
	}
	if got := sources(ctx, seen, 'A'); got != Client1.String() {
		t.Fatalf("the kernel alone sent from %q: the harness could not see a leak", got)
	}
	if err := errors.Join(s.Router.SetLink("lan", false), s.Router.SetLink("wan", false)); err != nil {
		t.Fatal(err)
	}
	stop := stream(t, s, 'S')
	dir := t.TempDir()
	for range 2 {
		d := routerIn(t, s, DaemonConfig{Dir: dir})
		before := len(seen.Frames())
		if err := Poll(ctx, 5*time.Millisecond, func() bool { return countFrom(seen.Frames()[before:], NATAddress) >= 20 }); err != nil {
			t.Fatal("the stream does not come through spigate:", err)
		}
		if err := d.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-d.Done()
		if err := probe(s, 'K'); err != nil { // some more with nobody there
			t.Fatal(err)
		}
	}
	stop()
	for _, f := range seen.Stop() {
		if isProbe(f, 'S') && source(f) != NATAddress || isProbe(f, 'K') {
			t.Fatalf("left from %v: % x", source(f), f.Frame)
		}
	}
}

// stream has client 1 send marked datagrams every millisecond, in a goroutine,
// until the function that it returns is called.
func stream(t *testing.T, s *Site, mark byte) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Client1.Do(func() error {
			conn, err := net.Dial("udp4", netip.AddrPortFrom(Remote.Addr(), 4000).String())
			if err != nil {
				return err
			}
			defer conn.Close()
			// Refusals and an unreachable router are what it has to live with.
			_ = Poll(ctx, time.Millisecond, func() bool { _, _ = conn.Write([]byte(marked(mark))); return false })
			return nil
		})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func isProbe(f Captured, mark byte) bool {
	return !f.Sent && len(f.Frame) > 34 && strings.Contains(string(f.Frame), marked(mark))
}

func source(f Captured) netip.Addr { return netip.AddrFrom4([4]byte(f.Frame[26:30])) }

// countFrom counts the stream's datagrams from one address.
func countFrom(frames []Captured, from netip.Addr) (n int) {
	for _, f := range frames {
		if isProbe(f, 'S') && source(f) == from {
			n++
		}
	}
	return n
}
