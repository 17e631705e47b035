package netstack

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
)

// goleak in TestMain sees what a half-built router leaves behind.
func TestAConfigurationThatCannotBeBuiltLeavesNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*Config)
		says  string
	}{
		{"two VLANs of one number", func(c *Config) { c.Ports[1].VLANs[0].ID = lanIf }, "port wan: vlan outside: "},
		{"the VLAN number 0", func(c *Config) { c.Ports[0].VLANs[0].ID = 0 }, "port lan: vlan inside: "},
		{"an address twice on one VLAN", func(c *Config) {
			c.Ports[1].VLANs[0].Addresses = prefixes("203.0.113.1/24", "203.0.113.1/24")
		}, "address 203.0.113.1/24"},
		{"a next hop that is nowhere", func(c *Config) { c.Routes[0].Via = netip.MustParseAddr("10.9.9.9") }, "next hop 10.9.9.9 is on no connected network"},
		{"a group without a client", func(c *Config) { c.LSN.Clients = nil }, "lsn: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			near, far := link.NewPair(lanMAC, wanMAC, 1500)
			near2, far2 := link.NewPair(lanMAC, wanMAC, 1500)
			c := Config{ChassisConfig{
				Ports: []Port{
					{Name: "lan", Driver: near, VLANs: []VLAN{{ID: lanIf, Name: "inside", Addresses: prefixes("192.0.2.1/24")}}},
					{Name: "wan", Driver: near2, VLANs: []VLAN{{ID: wanIf, Name: "outside", Addresses: prefixes("203.0.113.1/24")}}},
				},
			}, RouterConfig{
				Routes: []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("203.0.113.254")}},
				LSN:    testLSN(),
			}}
			tc.spoil(&c)
			r, err := New(c)
			if err == nil {
				r.Close()
				t.Fatal("built")
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
			for _, d := range []link.Driver{near, near2, far, far2} {
				_ = d.Close()
			}
		})
	}
}

func TestARouterWithoutALogIsSilent(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Log = nil })
	w.tunnel(client1, 0x1000).up() // writes events
}

func TestANextHopIsLookedForInTheSmallestNetwork(t *testing.T) {
	for range 20 { // the answer must not depend on the order of a map
		w := newWorld(t, func(c *Config) {
			c.Ports[0].VLANs[0].Addresses = prefixes("192.0.2.1/24", "10.0.0.1/8")
			c.Ports[1].VLANs[0].Addresses = prefixes("203.0.113.1/24", "10.1.0.1/16")
			c.Routes = []Route{{To: netip.MustParsePrefix("198.51.100.0/24"), Via: netip.MustParseAddr("10.1.0.9")}}
		})
		w.neighbor(wanIf, addr("10.1.0.9"))
		w.fromLAN(udpTo(at(client1, 5353), at(upstream, 53), "x"))
		w.one(w.atWAN())
		w.r.Close()
	}
}

func TestCloseClosesThePorts(t *testing.T) {
	w := newWorld(t)
	w.r.Close()
	if _, err := w.r.drivers[0].Read(make([]frame.Frame, 1)); err == nil {
		t.Error("a port of a closed router can be read")
	}
}

// hosts answers for everybody behind a port until the port is closed: ARP with
// the MAC of the test's hosts, and UDP by sending it back, in the VLAN that it
// came in.
func hosts(d link.Driver, seen func([]byte)) {
	batch := make([]frame.Frame, frame.Batch)
	for {
		n, err := d.Read(batch)
		if err != nil {
			return
		}
		for i := range batch[:n] {
			seen(batch[i].Bytes())
			if b := answer(batch[i].Bytes()); b != nil {
				d.Write([]frame.Frame{frame.Copy(b, batch[i].VLAN)})
			}
		}
	}
}

// answer is what a host says to a frame, or nil.
func answer(b []byte) []byte {
	out := append([]byte(nil), b...)
	var p frame.Packet
	switch {
	case len(b) >= 42 && b[12] == 8 && b[13] == 6 && bytes.Equal(b[28:32], b[38:42]): // an announcement
		return nil
	case len(b) >= 42 && b[12] == 8 && b[13] == 6 && b[21] == 1: // who has
		out[21] = 2
		copy(out[22:], hostMAC(frame.Addr(b[38:42])))
		copy(out[28:32], b[38:42])
		copy(out[32:42], b[22:32])
		copy(out, b[6:12])
		copy(out[6:], out[22:28])
	case len(b) > 34 && b[12] == 8 && b[13] == 0:
		p.Parse(b[14:])
		if p.Proto != frame.ProtoUDP || p.DstPort != 7 {
			return nil
		}
		copy(out[14:], udpTo(at(p.Dst, 7), at(p.Src, p.SrcPort), string(p.UDPPayload())))
		copy(out, b[6:12])
		copy(out[6:], b[:6])
	default:
		return nil
	}
	return out
}

func TestARouterRunsOnTheRealClockAndEndsUnderLoad(t *testing.T) {
	lan, lanFar := link.NewPair(lanMAC, frame.MAC{2, 0, 0, 0, 1, 1}, 1500)
	wan, wanFar := link.NewPair(wanMAC, frame.MAC{2, 0, 0, 0, 1, 2}, 1500)
	r, err := New(Config{ChassisConfig{
		Ports: []Port{
			{Name: "lan", Driver: lan, VLANs: []VLAN{{ID: lanIf, Name: "inside", Addresses: prefixes("192.0.2.1/24")}}},
			{Name: "wan", Driver: wan, VLANs: []VLAN{{ID: wanIf, Name: "outside", Addresses: prefixes("203.0.113.1/24")}}},
		},
	}, RouterConfig{
		LSN: lsn.Config{Clients: testLSN().Clients, Pools: testLSN().Pools, Groups: testLSN().Groups[:1]},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ended error
	var all sync.WaitGroup
	all.Go(func() { ended = r.Run(ctx) })
	enough, came, far := make(chan struct{}), 0, sync.WaitGroup{}
	// Each port has a goroutine in the stack, which once gave the memory of one
	// packet's header to the other before it had read its TTL (keep.go).
	ttl := func(b []byte) {
		if b[12] == 8 && b[13] == 0 && b[14+9] == frame.ProtoUDP && b[14+8] != 63 {
			t.Errorf("a packet left with the TTL %d", b[14+8])
		}
	}
	far.Go(func() { hosts(wanFar, ttl) })
	far.Go(func() {
		hosts(lanFar, func(b []byte) {
			ttl(b)
			if came++; came == 2000 { // announcements and ARP among them
				close(enough)
			}
		})
	})
	stop := make(chan struct{})
	far.Go(func() { // subscribers who ask on and on, of whom some speak IKE
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			c := frame.Addr{192, 0, 2, byte(11 + i%32)}
			f := frameTo(lanMAC, udpTo(at(c, uint16(2000+i/32%64)), at(server, 7), "anybody there?"))
			lanFar.Write([]frame.Frame{frame.Copy(f, 0)})
			f = frameTo(lanMAC, udpTo(at(c, 500), at(server, 500), ike(2, uint64(i+1), 0, ikeSAInit, flagV2Init, 0, 300)))
			lanFar.Write([]frame.Frame{frame.Copy(f, 0)})
		}
	})
	<-enough
	cancel() // while all of them go on
	all.Wait()
	if ended != nil && !errors.Is(ended, context.Canceled) {
		t.Errorf("ended with %v", ended)
	}
	r.Close() // Run has done so
	close(stop)
	_, _ = lanFar.Close(), wanFar.Close()
	far.Wait()
	if n := r.Flows().Stats().Hits; n == 0 {
		t.Error("nothing took the fast path")
	}
	if n := len(r.kept.places) - len(r.kept.free); n != 0 {
		t.Errorf("%d headers are still held for packets that have left", n)
	}
	if n := r.Drops().Snapshot(); n[0] != 0 {
		t.Errorf("%d drops without a reason", n[0])
	}
}

func TestNeighboursAreToldWhereOurAddressesAreNow(t *testing.T) {
	w := newWorld(t)
	w.r.announce()
	said := func(frames [][]byte) (out []frame.Addr) {
		for _, b := range frames {
			if len(b) >= 42 && b[12] == 8 && b[13] == 6 && bytes.Equal(b[28:32], b[38:42]) {
				out = append(out, frame.Addr(b[28:32]))
			}
		}
		return out
	}
	if got, want := said(w.lan.Drain()), []frame.Addr{lanAddr}; !slices.Equal(got, want) {
		t.Errorf("inside: %v, want %v", got, want)
	}
	if got, want := said(w.wan.Drain()), []frame.Addr{wanAddr, natAddr}; !slices.Equal(got, want) {
		t.Errorf("outside: %v, want %v", got, want)
	}
}
