package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"spigate/tests/golden"
)

func TestASecondDaemonOnTheSameSocketIsRefused(t *testing.T) {
	s := site(t)
	d := router(t, s)
	second, err := s.Router.Start(Command{Path: spigate(t), Args: []string{"run", "--config", d.Config}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	select {
	case <-second.Done():
	case <-ctx.Done():
		t.Fatal("the second daemon runs")
	}
	said := strings.Join(second.Output(), "\n")
	if second.Err() == nil || !strings.Contains(said, d.Socket) {
		t.Errorf("it ended with %v and did not name the socket:\n%s", second.Err(), said)
	}
	var st []StatusRow
	if err := d.Show(ctx, &st, "status"); err != nil || !st[0].Ready {
		t.Errorf("the first daemon: %v %+v", err, st)
	}
	if err := reach(s, 1); err != nil {
		t.Error("the first daemon forwards no more:", err)
	}
}

func TestSIGTERMUnderLoadIsACleanEnd(t *testing.T) {
	s := site(t)
	d := router(t, s)
	first, second, err := Conversations(golden.IKEv2First, golden.IKEv2Second, 50)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := d.While(deadline(t))
	defer cancel()
	var seen atomic.Int32
	_, err = s.Run(ctx, Scenario{
		First: first, Second: second, Patience: DefaultPatience(),
		Overlap: func(context.Context) error { return nil },
		Event: func(e Event) {
			if e.What == Received && e.Step.Kind == golden.ESP && seen.Add(1) == 300 {
				if err := d.Signal(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(); err != nil || d.Err() != nil {
		t.Errorf("SIGTERM: %v, exit %v", err, d.Err())
	}
	if n := seen.Load(); n < 300 {
		t.Errorf("only %d ESP packets before the end", n)
	}
}

// A port that loses its link under traffic comes back by itself.
func TestTrafficGoesOnAfterAPortWasDown(t *testing.T) {
	for _, port := range []string{"lan", "wan"} {
		t.Run(port, func(t *testing.T) {
			s := site(t)
			d := router(t, s)
			c, err := golden.Load(golden.IKEv2First)
			if err != nil {
				t.Fatal(err)
			}
			c = c.Rebase(Client1, Remote.Addr()).Repeat(20)
			ctx, cancel := d.While(deadline(t))
			defer cancel()
			patience := DefaultPatience()
			patience.ESP = 200 * time.Millisecond
			var seen, missed atomic.Int32
			r, err := s.runOne(ctx, c, patience, func(e Event) {
				if e.Step.Kind != golden.ESP || e.Host != "client1" {
					return
				}
				// Down for two packets that the client sends into the hole.
				if e.What == Received && seen.Add(1) == 50 {
					flap(t, s, port, false)
				}
				if e.What == Sent && seen.Load() >= 50 && missed.Add(1) == 3 {
					flap(t, s, port, true)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			// What waited for ARP when the link went is late, not lost, so
			// only both ends together show the hole.
			client, gateway := r.Delivery(c.Name, golden.Client), r.Delivery(c.Name, golden.Gateway)
			lost := client.WantESP - client.GotESP + gateway.WantESP - gateway.GotESP
			if r.TimedOut || lost == 0 || lost > 40 {
				t.Errorf("timed out %v, %d ESP packets lost", r.TimedOut, lost)
			}
			t.Logf("%d ESP packets lost\n%s", lost, r.Summary())
			var st []StatusRow
			if err := d.Show(ctx, &st, "status"); err != nil || !st[0].Ready {
				t.Errorf("afterwards: %v %+v", err, st)
			}
		})
	}
}

func flap(t *testing.T, s *Site, port string, up bool) {
	if err := s.Router.SetLink(port, up); err != nil {
		t.Error(err)
	}
}

// The kernel of a router that is set to forward must not forward by itself,
// untranslated, while spigate runs nor after it was killed. It may again after
// a clean end.
func TestTheKernelForwardsNothingBehindOurBack(t *testing.T) {
	s := site(t)
	if err := errors.Join(s.RouterKernel(), s.GatewayRouteInside()); err != nil {
		t.Fatal(err)
	}
	seen, err := s.Gateway.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	step := func(mark byte, want string) {
		t.Helper()
		if err := probe(s, mark); err != nil {
			t.Fatal(err)
		}
		got := sources(ctx, seen, mark)
		if got != want {
			t.Errorf("probe %c arrived from %q, expected %q\n%v", mark, got, want, got)
		}
	}
	step('A', Client1.String()) // the kernel alone: the harness can see a leak
	dir := t.TempDir()
	d := routerIn(t, s, DaemonConfig{Dir: dir})
	step('B', NATAddress.String())
	if err := d.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	step('C', "")
	d = routerIn(t, s, DaemonConfig{Dir: dir})
	step('D', NATAddress.String())
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	step('E', Client1.String())
}

// probe has client 1 send three datagrams with a mark to the gateway.
func probe(s *Site, mark byte) error {
	return s.Client1.Do(func() error {
		conn, err := net.Dial("udp4", netip.AddrPortFrom(Remote.Addr(), 4000).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		for range 3 {
			if _, err := conn.Write([]byte(marked(mark))); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				return err
			}
		}
		return nil
	})
}

func marked(mark byte) string { return "probe-" + strings.Repeat(string(mark), 8) }

// sources returns where the marked datagrams came from, empty if none came
// within a quarter of a second.
func sources(ctx context.Context, c *Capture, mark byte) string {
	ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	f, err := c.Wait(ctx, func(f Captured) bool {
		return !f.Sent && len(f.Frame) > 34 && strings.Contains(string(f.Frame), marked(mark))
	})
	if err != nil {
		return ""
	}
	return netip.AddrFrom4([4]byte(f.Frame[26:30])).String()
}

// reach sends a datagram of an ordinary socket through the router and waits
// for the answer. Hosts on veth leave the checksum to a network card that is
// not there; the router has to cope with that.
func reach(s *Site, count int) error {
	var server *net.UDPConn
	err := s.Gateway.Do(func() (err error) {
		server, err = net.ListenUDP("udp4", &net.UDPAddr{IP: Remote.Addr().AsSlice(), Port: 7})
		return err
	})
	if err != nil {
		return err
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if _, err := server.WriteToUDPAddrPort(buf[:n], from); err != nil {
				return
			}
		}
	}()
	err = s.Client1.Do(func() error { return echo("udp4", netip.AddrPortFrom(Remote.Addr(), 7), count) })
	server.Close()
	<-done
	return err
}

// echo sends count messages to an echo server and compares the answers. The
// socket's own timeout ends a wait for what does not come.
func echo(network string, to netip.AddrPort, count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	buf := make([]byte, 2000)
	for i := range count {
		want := fmt.Sprintf("message %d of %s", i, strings.Repeat("x", i%1300))
		if _, err := io.WriteString(conn, want); err != nil {
			return err
		}
		n, err := io.ReadFull(conn, buf[:len(want)])
		if network == "udp4" && errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		if err != nil || string(buf[:n]) != want {
			return fmt.Errorf("message %d: %d of %d bytes came back: %w", i, n, len(want), err)
		}
	}
	return nil
}

func TestDatagramsOfOrdinarySocketsPass(t *testing.T) {
	s := site(t)
	router(t, s)
	if err := reach(s, 200); err != nil {
		t.Error(err)
	}
}

func TestATCPConnectionPasses(t *testing.T) {
	s := site(t)
	router(t, s)
	var l net.Listener
	err := s.Gateway.Do(func() (err error) {
		l, err = net.Listen("tcp4", netip.AddrPortFrom(Remote.Addr(), 7).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.Copy(conn, conn)
			conn.Close()
		}
		done <- err
	}()
	if err := s.Client1.Do(func() error { return echo("tcp4", netip.AddrPortFrom(Remote.Addr(), 7), 200) }); err != nil {
		t.Error(err)
	}
	l.Close()
	<-done
}
