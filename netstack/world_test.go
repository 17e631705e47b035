package netstack

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The world of these tests: subscribers behind the port lan, servers behind
// the port wan, one NAT address.
var (
	lanMAC   = frame.MAC{2, 0, 0, 0, 0, 1}
	wanMAC   = frame.MAC{2, 0, 0, 0, 0, 2}
	client1  = addr("192.0.2.11")
	client2  = addr("192.0.2.12")
	natAddr  = addr("203.0.113.3")
	lanAddr  = addr("192.0.2.1")
	wanAddr  = addr("203.0.113.1")
	server   = addr("203.0.113.254")
	server2  = addr("203.0.113.253")
	upstream = addr("198.51.100.7") // behind server, by the default route
)

const (
	lanIf = frame.Interface(1)
	wanIf = frame.Interface(2)
)

func addr(s string) frame.Addr { return netip.MustParseAddr(s).As4() }

// world is a Router with hand-moved time whose ports a test holds the other
// ends of. Everything is synchronous: what goes in has come out when send
// returns.
type world struct {
	t        testing.TB
	r        *Router
	clock    *faketime.ManualClock
	lan, wan *link.Memory
	log      *logBuffer
	turns    [2]sync.Mutex // of each port: one goroutine at a time receives there
	lanes    [2]*laned     // of each port; nil: it has but one
}

// logBuffer collects log lines; timers log from goroutines of their own.
type logBuffer struct {
	mu sync.Mutex
	sb strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sb.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sb.String()
}

type option func(*Config)

func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	w := &world{t: t, clock: faketime.NewManualClock(), log: &logBuffer{}}
	lanNear, lanFar := link.NewPair(lanMAC, frame.MAC{2, 0, 0, 0, 1, 1}, 1500)
	wanNear, wanFar := link.NewPair(wanMAC, frame.MAC{2, 0, 0, 0, 1, 2}, 1500)
	w.lan, w.wan = lanFar, wanFar
	profile := ipsec.DefaultProfile()
	profile.Name = "P"
	c := Config{ChassisConfig{
		Clock: w.clock,
		Log:   slog.New(slog.NewTextHandler(w.log, nil)),
		Ports: []Port{
			{Name: "lan", Driver: lanNear, VLANs: []VLAN{{ID: lanIf, Name: "inside", Addresses: prefixes("192.0.2.1/24")}}},
			{Name: "wan", Driver: wanNear, VLANs: []VLAN{{ID: wanIf, Name: "outside", Addresses: prefixes("203.0.113.1/24")}}},
		},
		Flows: 4096,
	}, RouterConfig{
		Routes:   []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("203.0.113.254")}},
		LSN:      testLSN(),
		Profiles: map[string]ipsec.Profile{"P": profile},
	}}
	for _, o := range options {
		o(&c)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.r = r
	for a, nic := range map[frame.Addr]frame.Interface{client1: lanIf, client2: lanIf, server: wanIf, server2: wanIf} {
		w.neighbor(nic, a)
	}
	t.Cleanup(func() {
		r.Close()
		if all, free := len(r.kept.places), len(r.kept.free); all != free {
			t.Errorf("%d headers of %d are kept for ever", all-free, all)
		}
		_ = lanNear.Close()
		_ = wanNear.Close()
	})
	w.runLanes(t)
	return w
}

// neighbor tells the router a host's MAC address, without ARP.
func (w *world) neighbor(nic frame.Interface, a frame.Addr) {
	w.t.Helper()
	err := w.r.stack.AddStaticNeighbor(tcpip.NICID(nic), ipv4.ProtocolNumber, tcpip.AddrFrom4(a), tcpip.LinkAddress(string(hostMAC(a))))
	if err != nil {
		w.t.Fatal(err)
	}
}

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// hostMAC is the MAC address of a host of the test: made from its address.
func hostMAC(a frame.Addr) []byte { return append([]byte{6, 0}, a[:]...) }

// fromLAN and fromWAN send IPv4 packets into the router.
func (w *world) fromLAN(packets ...[]byte) { w.t.Helper(); w.send(0, lanMAC, packets) }
func (w *world) fromWAN(packets ...[]byte) { w.t.Helper(); w.send(1, wanMAC, packets) }

func (w *world) send(port int, to frame.MAC, packets [][]byte) {
	if d := w.lanes[port]; d != nil {
		for _, p := range packets {
			d.give([]frame.Frame{framed(to, p)})
		}
		return
	}
	w.turns[port].Lock()
	defer w.turns[port].Unlock()
	for _, p := range packets {
		w.r.Port(port).Input([]frame.Frame{framed(to, p)})
	}
}

// framed puts an IPv4 packet into a frame from its source's host.
func framed(to frame.MAC, p []byte) frame.Frame {
	b := append([]byte{}, to[:]...)
	src := frame.Addr{}
	if len(p) >= 20 {
		src = frame.Addr(p[12:16])
	}
	b = append(b, hostMAC(src)...)
	b = append(b, 8, 0)
	return frame.Copy(append(b, p...), 0)
}

// frame sends a whole frame into a port.
func (w *world) frame(port int, b []byte) {
	if d := w.lanes[port]; d != nil {
		d.give([]frame.Frame{frame.Copy(b, 0)})
		return
	}
	w.turns[port].Lock()
	defer w.turns[port].Unlock()
	w.r.Port(port).Input([]frame.Frame{frame.Copy(b, 0)})
}

// atLAN and atWAN return the IPv4 packets that the router has sent there since
// the last call.
func (w *world) atLAN() [][]byte { return ipv4In(w.lan.Drain()) }
func (w *world) atWAN() [][]byte { return ipv4In(w.wan.Drain()) }

func ipv4In(frames [][]byte) (out [][]byte) {
	for _, f := range frames {
		if len(f) > 14 && binary.BigEndian.Uint16(f[12:]) == frame.TypeIPv4 {
			out = append(out, f[14:])
		}
	}
	return out
}

// one fails unless exactly one packet came, and returns its view.
func (w *world) one(packets [][]byte) frame.Packet {
	w.t.Helper()
	if len(packets) != 1 {
		w.t.Fatalf("%d packets came out, want 1; drops: %v", len(packets), w.dropped())
	}
	return w.parsed(packets[0])
}

// soon returns the first packets that come. The stack gives up on a neighbour
// in a goroutine of its own, for which there is nothing to wait on.
func (w *world) soon(from func() [][]byte) [][]byte {
	w.t.Helper()
	for range 1_000_000 {
		if got := from(); len(got) > 0 {
			return got
		}
		runtime.Gosched()
	}
	w.t.Fatalf("nothing came; drops: %v", w.dropped())
	return nil
}

// none fails if any packet came.
func (w *world) none(packets [][]byte) {
	w.t.Helper()
	if len(packets) != 0 {
		w.t.Fatalf("%d packets came out, want none: % x", len(packets), packets)
	}
}

// parsed views a packet and checks every checksum in it.
func (w *world) parsed(b []byte) frame.Packet {
	w.t.Helper()
	var p frame.Packet
	if r := p.Parse(b); r != drop.None {
		w.t.Fatalf("packet % x: %s", b, r)
	}
	if !header.IPv4(p.Bytes()).IsChecksumValid() {
		w.t.Errorf("IPv4 checksum of % x is wrong", b)
	}
	if !p.Fragment && !transportSumOK(&p) {
		w.t.Errorf("transport checksum of % x is wrong", b)
	}
	return p
}

func transportSumOK(p *frame.Packet) bool {
	t := p.Transport()
	if p.Proto == frame.ProtoUDP {
		t = t[:header.UDP(t).Length()]
	}
	sum := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(p.Proto),
		tcpip.AddrFrom4(p.Src), tcpip.AddrFrom4(p.Dst), uint16(len(t)))
	switch p.Proto {
	case frame.ProtoICMP:
		return checksum.Checksum(t, 0) == 0xffff
	case frame.ProtoTCP:
		return checksum.Checksum(t, sum) == 0xffff
	case frame.ProtoUDP:
		return header.UDP(t).Checksum() == 0 || checksum.Checksum(t, sum) == 0xffff
	}
	return true
}

// advance moves the clock and waits for the timers that this fires.
func (w *world) advance(d time.Duration) { w.clock.Advance(d) }

// dropped returns the reasons counted since the world began.
func (w *world) dropped() map[string]uint64 {
	out := map[string]uint64{}
	for r, n := range w.r.drops.Snapshot() {
		if n > 0 {
			out[drop.Reason(r).String()] = n
		}
	}
	return out
}

// wantDrop runs fn and fails unless it counted exactly n drops, all of reason.
func (w *world) wantDrop(reason drop.Reason, n uint64, fn func()) {
	w.t.Helper()
	before := w.r.drops.Snapshot()
	fn()
	after := w.r.drops.Snapshot()
	for r := range after {
		want := uint64(0)
		if drop.Reason(r) == reason {
			want = n
		}
		if got := after[r] - before[r]; got != want {
			w.t.Errorf("drops by %s: %d, want %d", drop.Reason(r), got, want)
		}
	}
}

// testLSN is the LSN part of every world: one address, IKE paired on it.
func testLSN() lsn.Config {
	next := uint32(0)
	return lsn.Config{
		Clients: []lsn.Client{{Name: "C", Networks: prefixes("192.0.2.0/24")}},
		Pools:   []lsn.Pool{{Name: "N", Ranges: []lsn.Range{{First: natAddr, Last: natAddr}}}},
		Groups: []lsn.Group{{
			Name: "G", Client: "C", Pools: []string{"N"}, ALGProfile: "P", PairingHold: time.Hour,
			Apps: []lsn.AppProfile{{Name: "IKE", Proto: frame.ProtoUDP, Ports: []lsn.PortRange{{First: 500, Last: 500}}, Pooling: lsn.Paired}},
		}},
		Rand: func(n uint32) uint32 { next += 7919; return next % n }, // the same in every world
	}
}
