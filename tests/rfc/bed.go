package rfc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// The two sides of the router. Subscribers are the first half of 192.0.2.0/24,
// the second half is routed untranslated; the next hop of the default route is 203.0.113.254; every other address of 203.0.113.0/24
// but the router's and the NAT's is a server on the spot.
const (
	inside  = 0
	outside = 1
)

var (
	routerAddr = [2]frame.Addr{{192, 0, 2, 1}, {203, 0, 113, 1}}
	probeAddr  = [2]frame.Addr{{192, 0, 2, 250}, {203, 0, 113, 250}}
	gateway    = frame.Addr{203, 0, 113, 254}
	homes      = netip.MustParsePrefix("192.0.2.0/25")
	networks   = [2]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("203.0.113.0/24")}
)

// wire is the far end of a router's port.
type wire interface {
	put(frame []byte) error
	// next returns a frame that the router has sent. nil means that there is
	// none and will be none; where that cannot be known it waits.
	next() ([]byte, error)
	mac() frame.MAC // the router's
}

// bed is a router between two networks that are in the test's hands.
type bed struct {
	t     testing.TB
	clock *faketime.ManualClock
	r     *netstack.Router
	drops *drop.Counters
	ends  [2]wire
	known map[frame.Addr]bool // hosts that the router has heard of
	own   map[frame.Addr]bool // addresses for which the router itself answers
	probe uint16
	quiet time.Duration // since a test's packet

	rounds int // of settling: one where a port is given its frames one by one
}

// settings are what a test wants of the router.
type settings struct {
	lsn lsn.Config
	mtu [2]int // 0: 1500
}

// onEachBed runs a test over links in memory and over veth devices.
func onEachBed(t *testing.T, s settings, fn func(b *bed)) {
	t.Helper()
	for i := range s.mtu {
		if s.mtu[i] == 0 {
			s.mtu[i] = 1500
		}
	}
	t.Run("memory", func(t *testing.T) { fn(inMemory(t, s)) })
	t.Run("veth", func(t *testing.T) { fn(onVeth(t, s)) })
}

// newBed builds the router; the caller says how frames reach it.
func newBed(t testing.TB, s settings, drivers [2]link.Driver) *bed {
	t.Helper()
	b := &bed{t: t, clock: faketime.NewManualClock(), drops: &drop.Counters{}, known: map[frame.Addr]bool{}, own: map[frame.Addr]bool{}}
	c := netstack.Config{}
	c.Clock, c.Drops, c.Flows = b.clock, b.drops, 1<<14
	for i, name := range []string{"in", "out"} {
		c.Ports = append(c.Ports, netstack.Port{Name: name, Driver: drivers[i], VLANs: []netstack.VLAN{{
			ID: frame.Interface(i + 1), Name: name + "side",
			Addresses: []netip.Prefix{netip.PrefixFrom(routerAddr[i].Netip(), 24)},
		}}})
	}
	c.Routes = []netstack.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: gateway.Netip()}}
	c.LSN = s.lsn
	for i, name := range []string{"inward", "outward"} {
		c.Listeners.Servers = append(c.Listeners.Servers, vserver.Server{ // for settle
			Name: name, Role: vserver.Forward,
			Source:      netip.PrefixFrom(probeAddr[1-i].Netip(), 32),
			Destination: netip.PrefixFrom(probeAddr[i].Netip(), 32),
		})
	}
	r, err := netstack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.r = r
	for _, a := range routerAddr {
		b.own[a] = true
	}
	for _, st := range s.lsn.Statics {
		b.own[st.Outside.Addr] = true
	}
	for _, p := range s.lsn.Pools {
		for _, r := range p.Ranges {
			for a := r.First.Netip(); !r.Last.Netip().Less(a); a = a.Next() {
				b.own[a.As4()] = true
			}
		}
	}
	return b
}

// inMemory is a bed without a kernel.
func inMemory(t testing.TB, s settings) *bed {
	var near, far [2]*link.Memory
	for i := range near {
		near[i], far[i] = link.NewPair(frame.MAC{2, 0, 0, 0, 0, byte(i + 1)}, frame.MAC{2, 0, 0, 0, 1, byte(i + 1)}, s.mtu[i])
	}
	b := newBed(t, s, [2]link.Driver{near[0], near[1]})
	b.rounds = 1
	t.Cleanup(b.r.Close)
	for i := range b.ends {
		b.ends[i] = &memoryWire{port: b.r.Port(i), near: near[i], far: far[i]}
	}
	b.greet()
	return b
}

// memoryWire hands frames to a port as its receive loop would.
type memoryWire struct {
	port      *link.Port
	near, far *link.Memory
}

func (w *memoryWire) mac() frame.MAC { return w.near.MAC() }

func (w *memoryWire) put(b []byte) error {
	w.port.Input([]frame.Frame{frame.Copy(b, 0)})
	return nil
}

func (w *memoryWire) next() ([]byte, error) {
	var batch [1]frame.Frame
	if w.far.TryRead(batch[:]) == 0 {
		return nil, nil
	}
	return batch[0].Bytes(), nil
}

// sideOf is where a host lives.
func sideOf(a frame.Addr) int {
	if networks[inside].Contains(a.Netip()) {
		return inside
	}
	return outside
}

func hostMAC(a frame.Addr) frame.MAC { return frame.MAC{6, 0, a[0], a[1], a[2], a[3]} }

// station is the host on the network through which a is reached.
func station(a frame.Addr) frame.Addr {
	if networks[inside].Contains(a.Netip()) || networks[outside].Contains(a.Netip()) {
		return a
	}
	return gateway
}

// put sends a packet from its source's host and returns what the router has
// sent in consequence, on both sides.
func (b *bed) put(d datagram) [2][]datagram {
	b.t.Helper()
	return b.putFrom(sideOf(d.Src.Addr), d)
}

// putFrom is put for a packet whose source does not live where it comes from.
func (b *bed) putFrom(side int, d datagram) [2][]datagram {
	b.t.Helper()
	b.meet(d.Src.Addr)
	b.meet(d.Dst.Addr)
	b.quiet = 0
	b.inject(side, station(d.Src.Addr), frame.TypeIPv4, d.bytes())
	return b.settle()
}

func (b *bed) inject(side int, from frame.Addr, kind uint16, payload []byte) {
	b.t.Helper()
	mac := b.ends[side].mac()
	f := append([]byte(nil), mac[:]...)
	src := hostMAC(from)
	f = append(f, src[:]...)
	f = binary.BigEndian.AppendUint16(f, kind)
	if err := b.ends[side].put(append(f, payload...)); err != nil {
		b.t.Fatal(err)
	}
}

// greet makes the hosts known that settle needs.
func (b *bed) greet() {
	b.t.Helper()
	for side, host := range probeAddr {
		b.known[host] = true
		b.inject(side, host, frame.TypeARP, arp(1, host, routerAddr[side], frame.MAC{}))
	}
	b.settle()
}

// meet lets the router hear of a host, by its ARP request, before anything is
// sent to it: what the stack keeps back while it asks comes out at a time of
// its own.
func (b *bed) meet(a frame.Addr) {
	host := station(a)
	if b.known[host] || b.own[host] {
		return
	}
	b.known[host] = true
	side := sideOf(host)
	b.inject(side, host, frame.TypeARP, arp(1, host, routerAddr[side], frame.MAC{}))
	b.settle()
}

// arp is a request (1) or a reply (2).
func arp(op byte, from, to frame.Addr, toMAC frame.MAC) []byte {
	mac := hostMAC(from)
	out := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, mac[:]...)
	out = append(out, from[:]...)
	out = append(out, toMAC[:]...)
	return append(out, to[:]...)
}

// settle collects what the router has sent so far. On each side a ping comes
// back behind it, and a packet that is routed comes across behind it: the
// kernel keeps the order of what one thread sends, and not more. A port that
// reads batches sends what was held at the end of one: a second round waits.
func (b *bed) settle() (out [2][]datagram) {
	b.t.Helper()
	for i := range 2 * b.rounds {
		side := i % 2
		b.probe++
		here, there := frame.Endpoint{Addr: probeAddr[side], Port: b.probe}, frame.Endpoint{Addr: probeAddr[1-side], Port: b.probe}
		b.inject(side, here.Addr, frame.TypeIPv4, udp(here, there).bytes())
		b.inject(side, here.Addr, frame.TypeIPv4, ping(here, routerAddr[side]).bytes())
		b.until(1-side, &out, func(d datagram) bool { return d.Proto == frame.ProtoUDP && d.Dst == there })
		b.until(side, &out, func(d datagram) bool { return d.Proto == frame.ProtoICMP && d.Type == 0 && d.Dst == here })
	}
	return out
}

// until takes what came on a side, up to the packet that last accepts, or all.
func (b *bed) until(side int, out *[2][]datagram, last func(datagram) bool) {
	b.t.Helper()
	for {
		f, err := b.ends[side].next()
		if err != nil {
			b.t.Fatalf("side %d: %v (drops %v)", side, err, b.dropped())
		}
		if f == nil {
			return
		}
		b.sort(side, f, &out[side])
		if d, ok := ipv4In(f); ok && last(d) {
			return
		}
	}
}

// sort keeps what a test wants to see, and answers ARP.
func (b *bed) sort(side int, f []byte, out *[]datagram) {
	b.t.Helper()
	if kind := binary.BigEndian.Uint16(f[12:]); kind == frame.TypeARP {
		if asked := frame.Addr(f[38:42]); f[21] == 1 && !b.own[asked] {
			b.inject(side, asked, frame.TypeARP, arp(2, asked, frame.Addr(f[28:32]), b.ends[side].mac()))
		}
		return
	}
	d, err := parse(f[14:])
	if err != nil {
		b.t.Errorf("the router sent a bad packet: %v", err)
		return
	}
	if d.Dst.Addr == probeAddr[side] {
		return
	}
	*out = append(*out, d)
	if want := hostMAC(station(d.Dst.Addr)); !bytes.Equal(f[:6], want[:]) {
		b.t.Errorf("%v went to % x, want % x", d, f[:6], want)
	}
}

func ipv4In(f []byte) (datagram, bool) {
	if len(f) < 34 || binary.BigEndian.Uint16(f[12:]) != frame.TypeIPv4 {
		return datagram{}, false
	}
	d, err := parse(f[14:])
	return d, err == nil
}

// across sends a packet and returns it as it comes out on the other side, and
// nothing else may come.
func (b *bed) across(d datagram) datagram {
	b.t.Helper()
	out := b.put(d)
	from := sideOf(d.Src.Addr)
	if len(out[1-from]) != 1 || len(out[from]) != 0 {
		b.t.Fatalf("%v: came out %v; want one packet on the other side (drops %v)", d, out, b.dropped())
	}
	return out[1-from][0]
}

// dies sends a packet of which nothing may be seen again, for one reason.
func (b *bed) dies(d datagram, why drop.Reason) {
	b.t.Helper()
	before := b.drops.Snapshot()
	if out := b.put(d); len(out[0])+len(out[1]) != 0 {
		b.t.Fatalf("%v: came out %v; want nothing", d, out)
	}
	after := b.drops.Snapshot()
	if n := after[why] - before[why]; n != 1 {
		b.t.Errorf("%v: %d drops by %v, want 1 (all drops: %v)", d, n, why, b.dropped())
	}
}

// answered sends a packet that does not pass but is answered to its sender.
func (b *bed) answered(d datagram) datagram {
	b.t.Helper()
	out := b.put(d)
	from := sideOf(d.Src.Addr)
	if len(out[from]) != 1 || len(out[1-from]) != 0 {
		b.t.Fatalf("%v: came out %v; want one answer (drops %v)", d, out, b.dropped())
	}
	return out[from][0]
}

func (b *bed) dropped() map[string]uint64 {
	out := map[string]uint64{}
	for r, n := range b.drops.Snapshot() {
		if n > 0 {
			out[fmt.Sprint(drop.Reason(r))] = n
		}
	}
	return out
}

// after lets time pass. The router asks after the neighbours that it has used
// in the last seconds, so the first ones go by slowly, and are answered; of
// the others it hears again before anything is sent to them.
func (b *bed) after(d time.Duration) (out [2][]datagram) {
	b.t.Helper()
	for d > 0 {
		step := d
		if b.quiet < 10*time.Second {
			step = min(d, time.Second)
		}
		b.clock.Advance(step)
		b.quiet += step
		d -= step
		for host := range b.known {
			side := sideOf(host)
			b.inject(side, host, frame.TypeARP, arp(1, host, routerAddr[side], frame.MAC{}))
		}
		came := b.settle()
		for side := range out {
			out[side] = append(out[side], came[side]...)
		}
	}
	return out
}
