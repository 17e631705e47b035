package netstack

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// red is the number of a second traffic domain, and the tag of its VLANs on
// the two ports that it shares with domain 0.
const red = 7

// twoDomains is a Chassis whose two Routers have the same addresses but for the
// NAT's, so that whose an address is can be told.
type twoDomains struct {
	t        *testing.T
	ch       *Chassis
	clock    *faketime.ManualClock
	lan, wan *link.Memory
	log      *logBuffer
}

var redNAT = addr("203.0.113.7")

func newTwoDomains(t *testing.T, spoil ...func(*ChassisConfig, []RouterConfig)) (*twoDomains, error) {
	t.Helper()
	d := &twoDomains{t: t, clock: faketime.NewManualClock(), log: &logBuffer{}}
	lanNear, lanFar := link.NewPair(lanMAC, frame.MAC{2, 0, 0, 0, 1, 1}, 1500)
	wanNear, wanFar := link.NewPair(wanMAC, frame.MAC{2, 0, 0, 0, 1, 2}, 1500)
	d.lan, d.wan = lanFar, wanFar
	vlans := func(id frame.Interface, name, address string) []VLAN {
		return []VLAN{
			{ID: id, Name: name, Addresses: prefixes(address)},
			{ID: id + 2, Name: name + "-red", Tag: red, Domain: red, Addresses: prefixes(address)},
		}
	}
	profile := ipsec.DefaultProfile()
	profile.Name = "P"
	router := func(domain uint16, nat frame.Addr) RouterConfig {
		c := RouterConfig{
			Domain: domain, LSN: testLSN(), Profiles: map[string]ipsec.Profile{"P": profile},
			Routes: []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("203.0.113.254")}},
		}
		c.LSN.Pools[0].Ranges[0].First, c.LSN.Pools[0].Ranges[0].Last = nat, nat
		return c
	}
	shared := ChassisConfig{
		Clock: d.clock, Flows: 4096, Log: slog.New(slog.NewTextHandler(d.log, nil)),
		Ports: []Port{
			{Name: "lan", Driver: lanNear, VLANs: vlans(lanIf, "inside", "192.0.2.1/24")},
			{Name: "wan", Driver: wanNear, VLANs: vlans(wanIf, "outside", "203.0.113.1/24")},
		},
	}
	routers := []RouterConfig{router(red, redNAT), router(0, natAddr)}
	for _, fn := range spoil {
		fn(&shared, routers)
	}
	ch, err := NewChassis(shared, routers)
	t.Cleanup(func() {
		if err == nil {
			ch.Close()
		}
		for _, m := range []*link.Memory{lanNear, lanFar, wanNear, wanFar} {
			_ = m.Close()
		}
	})
	if err != nil {
		return nil, err
	}
	d.ch = ch
	for a, nic := range map[frame.Addr]frame.Interface{client1: lanIf, server: wanIf} {
		d.neighbor(nic, a)
	}
	return d, nil
}

// neighbor tells both routers a host's MAC address; nic is domain 0's.
func (d *twoDomains) neighbor(nic frame.Interface, a frame.Addr) {
	d.t.Helper()
	for _, r := range d.ch.Routers() {
		err := r.stack.AddStaticNeighbor(tcpip.NICID(nic), ipv4.ProtocolNumber, tcpip.AddrFrom4(a), tcpip.LinkAddress(string(hostMAC(a))))
		if err != nil {
			d.t.Fatal(err)
		}
		nic += 2 // in the order of the domains
	}
}

func mustTwoDomains(t *testing.T) *twoDomains {
	t.Helper()
	d, err := newTwoDomains(t)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put sends an IPv4 packet into a port with a tag, 0 for none.
func (d *twoDomains) put(port int, tag uint16, packet []byte) {
	f := framed(map[int]frame.MAC{0: lanMAC, 1: wanMAC}[port], packet)
	d.ch.Port(port).Input([]frame.Frame{frame.Copy(f.Bytes(), tag)})
}

// got returns the frames that wait at an end of a cable by their tags.
func got(m *link.Memory) map[uint16][][]byte {
	out := map[uint16][][]byte{}
	for _, b := range m.Drain() {
		f := frame.Copy(b, 0)
		f.StripTag()
		out[f.VLAN] = append(out[f.VLAN], f.Bytes())
	}
	return out
}

// The order in which the domains are given does not matter.
func TestRoutersStandInTheOrderOfTheirDomains(t *testing.T) {
	d := mustTwoDomains(t)
	if r := d.ch.Routers(); r[0].Domain() != 0 || r[1].Domain() != red {
		t.Errorf("domains %d, %d", r[0].Domain(), r[1].Domain())
	}
	if d.ch.Router(red) != d.ch.RouterOf(wanIf+2) || d.ch.Router(9) != nil {
		t.Error("a router is not found by its domain, or one is that does not exist")
	}
}

func TestADomainThatCannotBeBuiltIsNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*ChassisConfig, []RouterConfig)
		says  string
	}{
		{"a domain twice", func(_ *ChassisConfig, r []RouterConfig) { r[1].Domain = red }, "traffic domain 7: there are two routers"},
		{"a VLAN in no domain", func(c *ChassisConfig, _ []RouterConfig) { c.Ports[1].VLANs[1].Domain = 9 },
			"port wan: vlan outside-red: there is no router for traffic domain 9"},
		{"a next hop that is nowhere", func(_ *ChassisConfig, r []RouterConfig) { r[0].Routes[0].Via = netip.MustParseAddr("10.9.9.9") },
			"traffic domain 7: route 0.0.0.0/0: next hop 10.9.9.9 is on no connected network"},
		{"a group without a client", func(_ *ChassisConfig, r []RouterConfig) { r[0].LSN.Clients = nil }, "traffic domain 7: lsn: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newTwoDomains(t, c.spoil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
		})
	}
}

// asked makes an ARP request for an address, from server's host.
func asked(about frame.Addr) []byte {
	b := make([]byte, 42)
	copy(b, []byte{255, 255, 255, 255, 255, 255})
	copy(b[6:], hostMAC(server))
	copy(b[12:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1})
	copy(b[22:], hostMAC(server))
	copy(b[28:], server[:])
	copy(b[38:], about[:])
	return b
}

func TestANATAddressIsAnsweredForInItsOwnDomainAlone(t *testing.T) {
	d := mustTwoDomains(t)
	for _, c := range []struct {
		about frame.Addr
		tag   uint16
		yes   bool
	}{{natAddr, 0, true}, {natAddr, red, false}, {redNAT, red, true}, {redNAT, 0, false}} {
		d.ch.Port(1).Input([]frame.Frame{frame.Copy(asked(c.about), c.tag)})
		answers := got(d.wan)
		if yes := len(answers[c.tag]) == 1; yes != c.yes || len(answers) > 1 {
			t.Errorf("%v with tag %d: %d answers, want one: %v", c.about, c.tag, len(answers[c.tag]), c.yes)
		}
	}
}

// Another domain's NAT address is anybody's address: neither spoofed nor ours.
func TestAnAddressIsSpoofedInItsOwnDomainOnly(t *testing.T) {
	d := mustTwoDomains(t)
	before := d.ch.drops.Get(drop.NATAddressSpoofed)
	d.put(1, 0, udpTo(at(redNAT, 5), at(upstream, 5), "x"))
	if n := d.ch.drops.Get(drop.NATAddressSpoofed) - before; n != 0 {
		t.Errorf("in domain 0: %d drops of an address of domain 7", n)
	}
	d.put(1, red, udpTo(at(redNAT, 5), at(upstream, 5), "x"))
	if n := d.ch.drops.Get(drop.NATAddressSpoofed) - before; n != 1 {
		t.Errorf("in domain 7: %d drops, want 1", n)
	}
}

func TestEveryPacketOfASubscriberLeavesInItsDomain(t *testing.T) {
	d := mustTwoDomains(t)
	for round := range 3 { // the third takes the fast path
		for tag, nat := range map[uint16]frame.Addr{0: natAddr, red: redNAT} {
			hits := d.ch.Flows().Stats().Hits
			d.put(0, tag, udpTo(at(client1, 5353), at(server, 53), "question"))
			out := got(d.wan)
			if len(out) != 1 || len(out[tag]) != 1 {
				t.Fatalf("tag %d: came out %v", tag, out)
			}
			src := out[tag][0][26:30]
			if !bytes.Equal(src, nat[:]) {
				t.Errorf("tag %d: it left from %v", tag, src)
			}
			port := binary.BigEndian.Uint16(out[tag][0][34:])
			d.put(1, tag, udpTo(at(server, 53), at(nat, port), "answer"))
			if back := got(d.lan); len(back) != 1 || len(back[tag]) != 1 {
				t.Fatalf("tag %d: the answer came back as %v", tag, back)
			}
			if fast := d.ch.Flows().Stats().Hits - hits; round == 2 && fast != 2 {
				t.Errorf("tag %d: %d packets of 2 took the fast path", tag, fast)
			}
		}
	}
	for _, r := range d.ch.Routers() {
		if n := r.LSN().Stats().Sessions; n != [3]int{0, 1, 0} {
			t.Errorf("domain %d has the sessions %v", r.Domain(), n)
		}
	}
}

// On the real clock, each port and each host in a goroutine of its own; the
// race detector watches what the routers share.
func TestTwoRoutersRunAtOnceAndEndUnderLoad(t *testing.T) {
	d, err := newTwoDomains(t, func(c *ChassisConfig, _ []RouterConfig) { c.Clock = nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ended error
	var all, far sync.WaitGroup
	all.Go(func() { ended = d.ch.Run(ctx) })
	far.Go(func() { hosts(d.wan, func([]byte) {}) })
	enough, came := make(chan struct{}), 0
	far.Go(func() {
		hosts(d.lan, func([]byte) {
			if came++; came == 2000 {
				close(enough)
			}
		})
	})
	for _, tag := range []uint16{0, red} {
		far.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c := frame.Addr{192, 0, 2, byte(11 + i%32)}
				b := frameTo(lanMAC, udpTo(at(c, uint16(2000+i/32%64)), at(server, 7), "anybody there?"))
				d.lan.Write([]frame.Frame{frame.Copy(b, tag)})
				b = frameTo(lanMAC, udpTo(at(c, 500), at(server, 500), ike(2, uint64(i+1), 0, ikeSAInit, flagV2Init, 0, 300)))
				d.lan.Write([]frame.Frame{frame.Copy(b, tag)})
			}
		})
	}
	<-enough
	cancel()
	all.Wait()
	_ = d.lan.Close()
	_ = d.wan.Close()
	far.Wait()
	if ended != nil {
		t.Errorf("it ended with: %v", ended)
	}
	for _, r := range d.ch.Routers() {
		if st := r.LSN().Stats(); st.Sessions[1] == 0 {
			t.Errorf("domain %d has no session", r.Domain())
		}
		if all, free := len(r.kept.places), len(r.kept.free); all != free {
			t.Errorf("domain %d: %d headers of %d are kept for ever", r.Domain(), all-free, all)
		}
	}
	if n := d.ch.drops.Get(drop.InsideAddress) + d.ch.drops.Get(drop.StackPanic); n != 0 {
		t.Errorf("%d packets would have shown an inside address, or were met by a panic", n)
	}
}

func TestDropsOfTheStacksAddUp(t *testing.T) {
	d := mustTwoDomains(t)
	count := func(drops []StackDrop) uint64 {
		for _, s := range drops {
			if s.Word == "stack_no_listener" {
				return s.Count
			}
		}
		return 0
	}
	d.put(0, 0, udpTo(at(client1, 5), at(lanAddr, 9), "x"))
	d.put(0, red, udpTo(at(client1, 5), at(lanAddr, 9), "x"))
	d.put(0, red, udpTo(at(client1, 5), at(lanAddr, 9), "x"))
	blue, other, all := count(d.ch.Router(0).StackDrops()), count(d.ch.Router(red).StackDrops()), count(d.ch.StackDrops())
	if blue != 1 || other != 2 || all != 3 {
		t.Errorf("%d in domain 0, %d in domain 7, %d together", blue, other, all)
	}
}

// A domain costs what its stack and its empty tables take.
func BenchmarkTrafficDomain(b *testing.B) {
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	const domains = 100
	for b.Loop() {
		before := heap()
		routers := make([]RouterConfig, domains)
		for i := range routers {
			routers[i] = RouterConfig{Domain: uint16(i), LSN: testLSN()}
		}
		ch, err := NewChassis(ChassisConfig{Flows: 4096}, routers)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((heap()-before)/domains/1024, "KiB/domain")
		ch.Close()
	}
}
