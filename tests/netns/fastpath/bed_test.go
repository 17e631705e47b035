package fastpath

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"spigate/alg/ipsec"
	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
	"spigate/tests/netns"
)

// The machines of the beds: subscribers behind the port lan, servers behind the
// port wan.
var (
	client1  = addr("192.0.2.11")
	client2  = addr("192.0.2.12")
	own      = addr("192.0.2.20") // has a NAT address of its own
	lanAddr  = addr("192.0.2.1")
	natAddr  = addr("203.0.113.3")
	ownNAT   = addr("203.0.113.20")
	wanAddr  = addr("203.0.113.1")
	server   = addr("203.0.113.254")
	server2  = addr("203.0.113.253")
	upstream = addr("198.51.100.7") // behind server, by the default route
	served   = addr("10.9.9.9")     // the same, and by the virtual server

	routerMAC = [2]frame.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
)

const (
	lan = 0 // index of a side, and of its port
	wan = 1
)

// shape is how the networks of a bed differ from plain ones.
type shape struct {
	name string
	tag  [2]uint16 // of the VLAN on each side, 0: untagged
	mtu  [2]int    // of the router's ports
	ids  bool      // packets that may be cut get an id (rewrite_id)
}

func shapes() []shape {
	return []shape{
		{name: "untagged", mtu: [2]int{1600, 1500}},
		{name: "tagged inside", tag: [2]uint16{10, 0}, mtu: [2]int{1600, 1500}},
		{name: "tagged outside", tag: [2]uint16{0, 20}, mtu: [2]int{1600, 1400}},
		{name: "another tag", tag: [2]uint16{10, 4094}, mtu: [2]int{1500, 1500}},
		{name: "new ids", tag: [2]uint16{10, 10}, mtu: [2]int{1400, 1500}, ids: true},
	}
}

// bed is a router in this process between two real cables, with a clock that
// the test moves and every port's own goroutine: one for each variant.
//
//	host lan ─ veth ─ lan [namespace of the router] wan ─ veth ─ host wan
type bed struct {
	t       tb
	variant variant
	shape   shape
	ns      [3]*netns.Namespace // the router's, the hosts'
	clock   *faketime.ManualClock
	r       *netstack.Router
	side    [2]*host
	hits    uint64    // of the flow table, before the packets that are compared
	padding [2]uint64 // bytes behind the packets that went in on each side
}

// patience bounds every wait; a busy machine needs some.
const patience = 10 * time.Second

func within(t tb) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newBed(t tb, s shape, v variant) *bed {
	t.Helper()
	b := &bed{t: t, variant: v, shape: s, clock: faketime.NewManualClock()}
	b.ns, b.side = cables(t, s, nil)
	var drivers [2]link.Driver
	err := b.ns[0].Do(func() (err error) {
		for i, device := range []string{"lan", "wan"} {
			if drivers[i], err = link.OpenRing(link.RingConfig{Device: device, Threads: 1}); err != nil { // one lane: see settle
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	c := b.config(drivers)
	v.prepare(b, &c)
	if b.r, err = netstack.New(c); err != nil {
		t.Fatalf("%v", err)
	}
	b.run()
	return b
}

// cables lays out the namespaces of a router and of its hosts. with changes a
// host before it receives; it may be nil.
func cables(t tb, s shape, with func(side int, h *host)) (ns [3]*netns.Namespace, hosts [2]*host) {
	t.Helper()
	lab := netns.For(t)
	for i, name := range []string{"router", "host lan", "host wan"} {
		var err error
		if ns[i], err = lab.Namespace(name); err != nil {
			t.Fatalf("%v", err)
		}
	}
	for i, device := range []string{"lan", "wan"} {
		err := errors.Join(
			lab.Wire(netns.End{In: ns[0], Device: device}, netns.End{In: ns[1+i], Device: "eth0"}),
			ns[0].SetMAC(device, routerMAC[i][:]),
			ns[0].SetMTU(device, s.mtu[i]),
			ns[1+i].SetMTU("eth0", 1700),
		)
		if err != nil {
			t.Fatalf("%v", err)
		}
		h := &host{tag: s.tag[i], prober: [2]frame.Addr{addr("192.0.2.250"), addr("203.0.113.250")}[i], machines: macOf}
		if with != nil {
			with(i, h)
		}
		hosts[i] = openHost(t, ns[1+i], "eth0", h)
	}
	return ns, hosts
}

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// config is a router with some of everything that has flows: NAT44, the IPsec
// ALG, an address of its own for one subscriber, a virtual server.
func (b *bed) config(drivers [2]link.Driver) netstack.Config {
	p := ipsec.DefaultProfile()
	p.Name = "P"
	next, mu := uint32(0), sync.Mutex{}
	port := func(i int, name, vlan, address string) netstack.Port {
		return netstack.Port{Name: name, Driver: drivers[i], VLANs: []netstack.VLAN{
			{ID: frame.Interface(i + 1), Name: vlan, Tag: b.shape.tag[i], Addresses: prefixes(address)},
		}}
	}
	return netstack.Config{
		ChassisConfig: netstack.ChassisConfig{
			Clock: b.clock, Flows: 4096,
			Ports: []netstack.Port{port(lan, "lan", "inside", "192.0.2.1/24"), port(wan, "wan", "outside", "203.0.113.1/24")},
		},
		RouterConfig: netstack.RouterConfig{
			Routes:   []netstack.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: server.Netip()}},
			Profiles: map[string]ipsec.Profile{"P": p},
			LSN: lsn.Config{
				Clients: []lsn.Client{{Name: "C", Networks: prefixes("192.0.2.0/24")}},
				Pools:   []lsn.Pool{{Name: "N", Ranges: []lsn.Range{{First: natAddr, Last: natAddr}}}},
				Statics: []lsn.Static{{Name: "own", Inside: at(own, 0), Outside: at(ownNAT, 0)}},
				Groups: []lsn.Group{{
					Name: "G", Client: "C", Pools: []string{"N"}, ALGProfile: "P", PairingHold: time.Hour, RewriteID: b.shape.ids,
					Transports: []lsn.TransportProfile{{Name: "patient", Proto: frame.ProtoTCP, FinRstTimeout: longest, SynIdleTimeout: longest}},
					Apps:       []lsn.AppProfile{{Name: "IKE", Proto: frame.ProtoUDP, Ports: []lsn.PortRange{{First: 500, Last: 500}}, Pooling: lsn.Paired}},
				}},
				Rand: func(n uint32) uint32 { // the same in every bed
					mu.Lock()
					defer mu.Unlock()
					next += 7919
					return next % n
				},
			},
			Listeners: vserver.Config{Servers: []vserver.Server{{
				Name: "v", Profile: "patient", Destination: netip.MustParsePrefix("10.9.9.0/24"), Role: vserver.Forward, SourceTranslation: vserver.Automap,
			}}, Profiles: []vserver.FastL4{{Name: "patient", IdleTimeout: longest}}},
		},
	}
}

// longest is how long a flow may be idle, of those that end in a test.
const longest = 120 * time.Second

// run moves frames until the test ends.
func (b *bed) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.r.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("%s: the router ended with: %v", b, err)
		}
	})
}

func (b *bed) String() string { return b.variant.name() }

// put sends IPv4 packets from one side's machines.
func (b *bed) put(side int, packets ...[]byte) {
	for _, p := range packets {
		b.side[side].put(inFrame(routerMAC[side], frame.Addr(p[12:16]), p))
	}
}

// settle returns when the router has done all that the frames sent so far
// cause: what the kernel forwards is on its way at once, and for the rest each
// port answers a question about a NAT address in its turn, and what the router
// says it sent has arrived.
func (b *bed) settle() {
	b.t.Helper()
	ctx := within(b.t)
	for {
		before := b.answers()
		for _, h := range b.side {
			// A port answers ARP before it handles the IPv4 packets of the same
			// batch; a second question comes in a later one.
			for range 2 {
				if err := h.ask(ctx, natAddr); err != nil {
					b.t.Fatalf("%s: %v; host %+v; drops: %v; %+v", b, err, h.counted(), b.drops(), b.r.Counters())
				}
			}
		}
		if err := netns.Poll(ctx, time.Millisecond/2, b.allArrived); err != nil {
			b.t.Fatalf("%s: what was sent has not arrived: %v", b, err)
		}
		if b.answers() == before {
			return
		}
	}
}

// allArrived reports whether the hosts have what the router says it sent. Two
// frames to one host may overtake each other, if two ports' goroutines send them,
// and the router counts a frame a moment after it was sent.
func (b *bed) allArrived() bool {
	for i, c := range b.r.Counters() {
		h := b.side[i]
		h.mu.Lock()
		n := h.count.received
		h.mu.Unlock()
		if n < c.TxFrames || n > c.TxFrames && !b.variant.countsLate() {
			return false
		}
	}
	return true
}

// answers is how many ARP requests of the router were answered.
func (b *bed) answers() (n uint64) {
	for _, h := range b.side {
		h.mu.Lock()
		n += h.count.answered
		h.mu.Unlock()
	}
	return n
}

// one waits for exactly one IPv4 frame at a side and returns its packet.
func (b *bed) one(side int) frame.Packet {
	b.t.Helper()
	h := b.side[side]
	if err := h.wait(within(b.t), "one packet", func() bool { return len(h.got) > 0 }); err != nil {
		b.t.Fatalf("%s: %v; drops: %v", b, err, b.drops())
	}
	b.settle()
	got := h.taken()
	var p frame.Packet
	if len(got) != 1 {
		b.t.Fatalf("%s: %d frames, want one", b, len(got))
	}
	if r := p.Parse(untagged(got[0])[frame.HeaderLen:]); r != 0 {
		b.t.Fatalf("%s: % x: %v", b, got[0], r)
	}
	return p
}

// advance moves the clock, so that a sweep comes, and waits for what it causes.
func (b *bed) advance(d time.Duration) {
	b.clock.Advance(d)
	b.variant.swept(b)
	b.settle()
}
