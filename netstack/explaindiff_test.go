package netstack

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// What explain says of a packet is what then happens to it: configurations and
// packets are drawn, each packet is explained, then sent, and the two are
// compared. Connections, sessions and locks grow meanwhile, so that explain
// meets them in every state, and established ones on the fast path.

var (
	lanHost  = addr("192.0.2.77")   // on the subscribers' network; a subscriber, but with servers of its own
	deep     = addr("10.9.0.5")     // behind lanHost
	natHost  = addr("203.0.113.90") // of an ltm nat
	snatHost = addr("203.0.113.91") // of an ltm snat or a server
	snat2    = addr("203.0.113.92")
	onesOwn  = addr("203.0.113.93") // a static NAT address of client2
)

// drawer draws a world and its packets.
type drawer struct {
	*rand.Rand
	w     *world
	last  []byte // the latest packet that was forwarded, as it left
	id    uint16
	wan   bool // last left by the outside
	ended map[string]int
}

func pick[T any](d *drawer, from ...T) T { return from[d.IntN(len(from))] }

func (d *drawer) chance(percent int) bool { return d.IntN(100) < percent }

// server draws a virtual server.
func (d *drawer) server(i int) vserver.Server {
	s := vserver.Server{Name: fmt.Sprint("vs", i), Role: vserver.Forward, Protocol: pick(d, uint8(0), 0, 6, 17, 1, 50)}
	s.Destination = netip.MustParsePrefix(pick(d, "0.0.0.0/0", "0.0.0.0/0", "203.0.113.0/24", "203.0.113.254/32", "198.51.100.0/24", "198.51.100.7/32",
		"10.9.0.0/16", "192.0.2.0/24", "192.0.2.11/32", "203.0.113.90/32"))
	s.Source = netip.MustParsePrefix(pick(d, "0.0.0.0/0", "0.0.0.0/0", "192.0.2.0/24", "10.9.0.0/16", "198.51.100.0/24"))
	if s.Protocol == 6 || s.Protocol == 17 {
		s.Port = pick(d, uint16(0), 0, 80)
	}
	switch d.IntN(10) {
	case 0:
		s.Disabled = true
	case 1:
		s.Role = vserver.Reject
	case 2:
		s.ConnectionLimit = 2
	case 3:
		s.RateLimit = 1
	}
	s.VLANs = pick(d, vserver.VLANs{}, vserver.VLANs{}, vserver.VLANs{Enabled: true, List: []frame.Interface{lanIf}},
		vserver.VLANs{Enabled: true, List: []frame.Interface{wanIf}}, vserver.VLANs{List: []frame.Interface{wanIf}}, vserver.VLANs{Enabled: true})
	s.SourcePort = pick(d, vserver.PreservePort, vserver.PreserveStrict, vserver.ChangePort)
	switch s.SourceTranslation = pick(d, vserver.TranslateNone, vserver.TranslateNone, vserver.Automap, vserver.TranslateSNAT, vserver.TranslateLSN); s.SourceTranslation {
	case vserver.TranslateSNAT:
		s.Translations = []netip.Addr{snatHost.Netip(), snat2.Netip()}[:1+d.IntN(2)]
	case vserver.TranslateLSN:
		s.Group = "G"
	}
	return s
}

// configuration draws who listens and how the NAT behaves.
func (d *drawer) configuration(c *Config) {
	c.Routes = append(c.Routes, Route{To: netip.MustParsePrefix("10.9.0.0/16"), Via: lanHost.Netip()})
	if d.chance(20) {
		c.Routes[0].To = netip.MustParsePrefix("198.51.100.0/24")
	}
	g := &c.LSN.Groups[0]
	g.FTP, g.TFTP = d.chance(30), d.chance(30)
	if d.chance(20) {
		g.ALGProfile = ""
	}
	if d.chance(20) {
		g.Exempt = prefixes("198.51.100.0/24")
	}
	g.OnRefusal = pick(d, lsn.RefuseHostUnreachable, lsn.RefuseProhibited, lsn.RefuseSilently)
	for _, proto := range []uint8{frame.ProtoTCP, frame.ProtoUDP, frame.ProtoICMP} {
		g.Apps = append(g.Apps, lsn.AppProfile{
			Name: fmt.Sprint("A", proto), Proto: proto, Pooling: pick(d, lsn.Random, lsn.Paired),
			Mapping: pick(d, lsn.APDM, lsn.ADM, lsn.EIM), Filtering: pick(d, lsn.APDF, lsn.ADF, lsn.EIF),
		})
	}
	g.Apps[0].Pooling = lsn.Paired
	if d.chance(30) {
		c.LSN.Pools[0].Ranges = []lsn.Range{{First: natAddr, Last: addr("203.0.113.5")}}
	}
	if d.chance(30) {
		c.LSN.Statics = append(c.LSN.Statics, lsn.Static{Name: "web", Proto: frame.ProtoTCP, Inside: at(client1, 80), Outside: at(natAddr, 8080)})
	}
	if d.chance(30) {
		c.LSN.Statics = append(c.LSN.Statics, lsn.Static{Name: "own", Inside: at(client2, 0), Outside: at(onesOwn, 0)})
	}
	d.listeners(&c.Listeners)
	c.KeepSilent = d.chance(20)
}

func (d *drawer) listeners(v *vserver.Config) {
	v.ContinueMatching = d.chance(20)
	if d.chance(30) {
		v.Profiles = []vserver.FastL4{{Name: "fastL4", LooseInitialization: true}}
	}
	for i := range d.IntN(5) {
		s := d.server(i)
		same := func(o vserver.Server) bool {
			return o.Destination == s.Destination && o.Source == s.Source && o.Port == s.Port && o.Protocol == s.Protocol
		}
		if !slices.ContainsFunc(v.Servers, same) { // on a VLAN in common they would conflict
			v.Servers = append(v.Servers, s)
		}
	}
	vlans := pick(d, vserver.VLANs{}, vserver.VLANs{}, vserver.VLANs{Enabled: true, List: []frame.Interface{lanIf}})
	if d.chance(40) {
		v.NATs = []vserver.NAT{{Name: "n", Originating: pick(d, deep, client1).Netip(), Translation: natHost.Netip(), VLANs: vlans}}
	}
	if d.chance(40) {
		s := vserver.SNAT{Name: "s", Origins: prefixes(pick(d, "10.0.0.0/8", "192.0.2.0/24")), Automap: true, VLANs: vlans,
			SourcePort: pick(d, vserver.PreservePort, vserver.PreserveStrict, vserver.ChangePort)}
		if d.chance(60) {
			s.Automap, s.Translations = false, []netip.Addr{snatHost.Netip(), snat2.Netip()}[:1+d.IntN(2)]
		}
		v.SNATs = []vserver.SNAT{s}
	}
}

var (
	insiders  = []frame.Addr{client1, client1, client2, lanHost, deep, deep}
	outsiders = []frame.Addr{server, server2, upstream, upstream}
	oddities  = []frame.Addr{natAddr, natHost, snatHost, onesOwn, lanAddr, wanAddr, addr("192.0.2.255"), addr("203.0.113.255"),
		addr("255.255.255.255"), addr("224.0.0.5"), addr("169.254.3.4"), addr("0.1.2.3"), addr("127.0.0.1"), addr("172.31.1.1"), beyond}
	somePorts = []uint16{80, 80, 53, 443, 500, 4500, 21, 69, 8080, 40000}
)

// packet draws a packet and the side that it comes from.
func (d *drawer) packet() (b []byte, outside bool) {
	if d.last != nil && d.chance(45) {
		return d.answer()
	}
	if outside = d.chance(35); outside {
		b = d.make(pick(d, outsiders...), d.target(insiders))
	} else {
		b = d.make(pick(d, insiders...), d.target(outsiders))
	}
	if d.chance(4) {
		b = readdressed(b, pick(d, oddities...), frame.Addr(b[16:20]))
	}
	if d.chance(4) {
		b = ttl(b, uint8(1+d.IntN(2)))
	}
	return b, outside
}

func (d *drawer) target(mostly []frame.Addr) frame.Addr {
	if d.chance(45) {
		return pick(d, oddities...)
	}
	return pick(d, mostly...)
}

func (d *drawer) make(src, dst frame.Addr) []byte {
	from, to := pick(d, somePorts...), pick(d, somePorts...)
	switch d.IntN(12) {
	case 0, 1, 2:
		return udpTo(at(src, from), at(dst, to), "hello")
	case 3, 4, 5:
		flags := uint8(frame.TCPSyn)
		if d.chance(25) {
			flags = pick(d, uint8(tcpACK), frame.TCPRst, frame.TCPSyn|tcpACK, frame.TCPFin|tcpACK)
		}
		return tcpTo(at(src, from), at(dst, to), flags, "")
	case 6, 7:
		return echo(src, dst, pick(d, uint8(8), 8, 0), pick(d, uint16(7), 8), "ping")
	case 8, 9:
		return esp(src, dst, pick(d, uint32(0x1001), 0x1002, 0x2001, 9), 1, "0123456789abcdef")
	case 10:
		version := pick(d, uint8(1), 2)
		message := ike(version, pick(d, uint64(0x11), 0x12), pick(d, uint64(0), 0x21), pick(d, uint8(ikeSAInit), ikeAuth, createSA, quickMode), 0x20*uint8(d.IntN(2)), uint32(d.IntN(3)), 200)
		return udpTo(at(src, 500), at(dst, 500), message)
	}
	return ip(src, dst, pick(d, uint8(47), frame.ProtoAH), []byte("whatever it is"))
}

// answer turns a packet round that left, as its receiver would, or sends it once
// more from where it went.
func (d *drawer) answer() ([]byte, bool) {
	var p frame.Packet
	last := d.last
	if p.Parse(last) != drop.None {
		return last, d.wan
	}
	src, dst := frame.Endpoint{Addr: p.Dst, Port: p.DstPort}, frame.Endpoint{Addr: p.Src, Port: p.SrcPort}
	if d.chance(8) { // the receiver, or a router on the way to it, says that it does not work
		from := pick(d, p.Dst, p.Dst, upstream)
		return icmpError(from, p.Src, 3, pick(d, uint8(1), 3, 4), last, pick(d, 28, 28, 20)), d.wan
	}
	if d.chance(15) { // a stranger, or another port
		src = at(pick(d, src.Addr, server2, client2), pick(d, somePorts...))
	}
	switch p.Proto {
	case frame.ProtoTCP:
		flags := pick(d, uint8(frame.TCPSyn|tcpACK), tcpACK, tcpACK, tcpACK, frame.TCPRst|tcpACK, frame.TCPFin|tcpACK)
		return tcpTo(src, dst, flags, pick(d, "", "text")), d.wan
	case frame.ProtoUDP:
		return udpTo(src, dst, string(p.UDPPayload())), d.wan
	case frame.ProtoICMP:
		return echo(p.Dst, p.Src, 8-p.ICMPType, p.ICMPID, "ping"), d.wan
	case frame.ProtoESP:
		return esp(p.Dst, p.Src, pick(d, p.SPI, p.SPI+1), p.Seq, "0123456789abcdef"), d.wan
	}
	return ip(p.Dst, p.Src, p.Proto, p.Transport()), d.wan
}

// readdressed is a packet between others, with its checksums.
func readdressed(b []byte, src, dst frame.Addr) []byte { return ip(src, dst, b[9], b[20:]) }

// numbered gives a packet an IPv4 id by which it is known again.
func numbered(b []byte, id uint16) []byte {
	h := header.IPv4(slices.Clone(b))
	h.SetID(id)
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	return h
}

func newDrawer(t *testing.T, seed uint64, also ...func(*drawer, *Config)) *drawer {
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 77)), ended: map[string]int{}}
	d.w = newWorld(t, d.configuration, func(c *Config) {
		for _, fn := range also {
			fn(d, c)
		}
	})
	for _, a := range []frame.Addr{lanHost} {
		d.w.neighbor(lanIf, a)
	}
	return d
}

// one explains and sends a packet.
func (d *drawer) one(t *testing.T) {
	b, outside := d.packet()
	d.id = d.id&0x7fff + 1 | 0x8000
	b = numbered(b, d.id)
	in := lanIf
	if outside {
		in = wanIf
	}
	x, err := d.w.r.Explain(Question{In: in, Packet: b})
	if err != nil {
		t.Fatalf("% x: %v", b, err)
	}
	d.compare(t, x, d.try(b, outside, b), b, in)
}

// compare fails unless x is what happened to b.
func (d *drawer) compare(t *testing.T, x Explanation, h happened, b []byte, in frame.Interface) {
	t.Helper()
	if why := differs(x, h); why != "" {
		var p frame.Packet
		p.Parse(b)
		t.Fatalf("in by %d: %d %v:%d > %v:%d flags %x id %d spi %x ttl %d\nexplained as %v %v %v %v > %v drawn %v\n%v\nbut %s; drops %v",
			in, p.Proto, p.Src, p.SrcPort, p.Dst, p.DstPort, p.TCPFlags, p.ICMPID, p.SPI, p.TTL(),
			x.Fate.End, x.Fate.Reason, x.Fate.Stack, x.Fate.Src, x.Fate.Dst, x.Fate.Drawn, lines(x), why, h.drops)
	}
	word := x.Fate.Stack
	if word == "" {
		word = x.Fate.Reason.String()
	}
	if d.ended[x.Fate.End.String()+" "+word]++; x.Fate.Depends {
		d.ended["depends"]++
	}
	if h.forwarded != nil && h.spi == 0 {
		d.last, d.wan = h.forwarded, h.out == wanIf
	}
}

// lines are the findings of an explanation as people read them.
func lines(x Explanation) string {
	var b strings.Builder
	for _, f := range x.Findings {
		fmt.Fprintf(&b, "%s %s: %s (%s)\n", f.Hook, f.Step, f.Says, f.Rule)
	}
	return b.String()
}

// reached are the ends that a run of these tests has to see, or it tests less
// than it seems to.
var reached = []string{
	"forwarded none", "delivered none", "held none", "dropped no_listener", "dropped vlan_miss", "dropped vs_disabled", "dropped vs_rejected",
	"dropped connection_limit", "dropped connection_rate", "dropped not_syn", "dropped no_free_port", "dropped client_not_reachable", "dropped client_spoofed",
	"dropped nat_address_spoofed", "dropped no_mapping", "dropped filtered", "dropped protocol_unsupported", "dropped ah", "dropped hairpin", "dropped esp_hairpin",
	"dropped esp_no_gate_in", "dropped esp_no_gate_out", "dropped esp_no_nat_address", "dropped esp_bad_spi", "dropped broadcast",
	"dropped icmp_no_flow", "dropped icmp_malformed",
	"dropped stack_no_route", "dropped stack_source_invalid", "dropped stack_destination_invalid", "dropped stack_ttl_exceeded",
}

func TestWhatIsExplainedIsWhatHappens(t *testing.T) {
	ended := map[string]int{}
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			d := newDrawer(t, seed)
			for range 120 {
				d.one(t)
				if d.chance(3) {
					d.w.advance(time.Duration(1+d.IntN(40)) * time.Second)
				}
			}
			for what, n := range d.ended {
				ended[what] += n
			}
		})
	}
	wantEnds(t, ended, reached)
}

// wantEnds fails unless packets have seen all these ends, and most of them are
// certain.
func wantEnds(t *testing.T, ended map[string]int, wanted []string) {
	t.Helper()
	for _, what := range wanted {
		if ended[what] == 0 {
			t.Errorf("no packet was %s", what)
		}
	}
	all := 0
	for _, n := range ended {
		all += n
	}
	if ended["depends"]*50 > all {
		t.Errorf("of %d packets the ends of %d depend on what is drawn", all, ended["depends"])
	}
}

func TestEveryStepIsExplained(t *testing.T) {
	known := halves()
	for _, hook := range [][]step{prerouting, input, forward, postrouting, egress} {
		for _, s := range hook {
			if known[s.name] == nil {
				t.Errorf("step %s has no deciding half: see explain.go", s.name)
			}
		}
	}
	for name := range known {
		if !slices.ContainsFunc(slices.Concat(prerouting, input, forward, postrouting, egress), func(s step) bool { return s.name == name }) {
			t.Errorf("there is no step %s", name)
		}
	}
}

func TestPiecesAreNotExplainedByThemselves(t *testing.T) {
	w := newWorld(t)
	for name, b := range map[string][]byte{
		"a fragment": {0x45, 0, 0, 28, 0, 7, 0x20, 0, 64, 17, 0, 0, 192, 0, 2, 11, 203, 0, 113, 254, 0, 5, 0, 5, 0, 100, 0, 0},
		"no packet":  []byte("what is that"),
	} {
		if x, err := w.r.Explain(Question{In: lanIf, Packet: b}); err == nil {
			t.Errorf("%s: %+v", name, x)
		}
	}
}
