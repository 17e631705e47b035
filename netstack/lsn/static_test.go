package lsn

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func mustSay(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v does not say %q", err, want)
	}
}

// outsider is a NAT address in no pool.
var outsider = frame.Addr{203, 0, 113, 77}

func withStatics(all ...Static) Config {
	c := config(nat1)
	c.Statics = all
	return c
}

func TestAStaticMappingLetsEverybodyInAndAnswersFromItsPort(t *testing.T) {
	f := build(t, withStatics(Static{Name: "web", Proto: frame.ProtoTCP, Inside: at(subscriber, 80), Outside: at(outsider, 8080)}))
	if !f.Owns(outsider) {
		t.Error("the NAT address of a static mapping is nobody's")
	}
	b, why := f.in(frame.ProtoTCP, at(outsider, 8080), at(serverY, 4000), frame.TCPSyn, 0)
	if why != drop.None || b.Inside != at(subscriber, 80) || !b.Static {
		t.Fatalf("%+v: %v", b, why)
	}
	f.check()
	out := f.mustOut(tcp(at(subscriber, 80), at(serverY, 4000)), frame.TCPSyn|tcpACK, 1)
	if out.Outside != at(outsider, 8080) || !out.Established || out.Session != b.Session {
		t.Errorf("answer: %+v", out)
	}
	if b := f.mustOut(tcp(at(subscriber, 80), at(serverZ, 9)), frame.TCPSyn, 1); b.Outside != at(outsider, 8080) {
		t.Errorf("a session of its own: %v", b.Outside)
	}
	for _, tt := range []struct {
		outside frame.Endpoint
		proto   uint8
		flags   uint8
		want    drop.Reason
	}{
		{at(outsider, 8080), frame.ProtoTCP, tcpACK, drop.NotSYN},
		{at(outsider, 8080), frame.ProtoUDP, 0, drop.NoMapping},
		{at(outsider, 80), frame.ProtoTCP, frame.TCPSyn, drop.NoMapping},
	} {
		if _, why := f.in(tt.proto, tt.outside, at(serverZ, 1), tt.flags, 2); why != tt.want {
			t.Errorf("%v: %v, want %v", tt.outside, why, tt.want)
		}
	}
	f.check()
}

func TestAStaticMappingOutlivesItsSessions(t *testing.T) {
	f := build(t, withStatics(Static{Name: "dns", Proto: frame.ProtoUDP, Inside: at(subscriber, 53), Outside: at(nat1, 53)}))
	for _, now := range []int64{0, 121 * second, 500 * second, 9000 * second} {
		b, why := f.in(frame.ProtoUDP, at(nat1, 53), at(serverY, 7), 0, now)
		if why != drop.None || b.Inside != at(subscriber, 53) {
			t.Fatalf("at %d s: %v", now/second, why)
		}
		if now%2000 == 0 {
			f.Sweep(now)
		}
		f.check()
	}
	f.Sweep(20000 * second)
	if n := f.sessions.Load(); n != 0 {
		t.Errorf("%d sessions do not idle out", n)
	}
	f.check()
}

func TestPortsOfStaticMappingsAreNeverDrawn(t *testing.T) {
	c := withStatics(
		Static{Name: "a", Proto: frame.ProtoUDP, Inside: at(other, 5), Outside: at(nat1, 1024)},
		Static{Name: "all", Proto: frame.ProtoTCP, Inside: at(other, 0), Outside: at(nat1, 0)})
	c.Rand = always(0) // every draw begins at 1024
	f := build(t, c)
	if b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0); b.Outside.Port != 1025 {
		t.Errorf("drew %v", b.Outside)
	}
	if _, why := f.out(tcp(at(subscriber, 1), at(serverY, 80)), Hints{TCPFlags: frame.TCPSyn}, 0); why != drop.NoFreePort {
		t.Errorf("TCP on an address that is another's: %v", why)
	}
	if b := f.mustOut(Tuple{frame.ProtoICMP, at(subscriber, 1), at(serverY, 0)}, 0, 0); b.Outside.Addr != nat1 {
		t.Errorf("ICMP: %v", b.Outside)
	}
	f.check()
}

func TestARemoteRestrictionHoldsBothWays(t *testing.T) {
	f := build(t, withStatics(
		Static{Name: "y", Proto: frame.ProtoUDP, Inside: at(subscriber, 9), Outside: at(nat1, 900), Remote: serverY},
		Static{Name: "z", Proto: frame.ProtoUDP, Inside: at(other, 9), Outside: at(nat1, 900), Remote: serverZ}))
	for remote, want := range map[frame.Addr]frame.Addr{serverY: subscriber, serverZ: other} {
		b, why := f.in(frame.ProtoUDP, at(nat1, 900), at(remote, 3), 0, 0)
		if why != drop.None || b.Inside != at(want, 9) {
			t.Errorf("from %v: %v %v", remote, b.Inside, why)
		}
	}
	if _, why := f.in(frame.ProtoUDP, at(nat1, 900), at(frame.Addr{8, 8, 8, 8}, 3), 0, 0); why != drop.NoMapping && why != drop.Filtered {
		t.Errorf("from elsewhere: %v", why)
	}
	if b := f.mustOut(udp(at(subscriber, 9), at(serverZ, 3)), 0, 0); b.Outside.Port == 900 {
		t.Error("the static mapping served another remote")
	}
	f.check()
}

func TestAOneToOneAddressKeepsEveryPort(t *testing.T) {
	f := build(t, withStatics(
		Static{Name: "one", Inside: at(subscriber, 0), Outside: at(outsider, 0)},
		Static{Name: "but", Proto: frame.ProtoTCP, Inside: at(other, 22), Outside: at(outsider, 22)}))
	for _, proto := range protocols {
		b, why := f.in(proto, at(outsider, 777), at(serverY, 1), frame.TCPSyn, 0)
		if why != drop.None || b.Inside != at(subscriber, 777) {
			t.Errorf("protocol %d in: %v %v", proto, b.Inside, why)
		}
		if b := f.mustOut(Tuple{proto, at(subscriber, 778), at(serverY, 1)}, frame.TCPSyn, 0); b.Outside != at(outsider, 778) {
			t.Errorf("protocol %d out: %v", proto, b.Outside)
		}
	}
	if b, why := f.in(frame.ProtoTCP, at(outsider, 22), at(serverY, 1), frame.TCPSyn, 0); why != drop.None || b.Inside != at(other, 22) {
		t.Errorf("the narrower mapping does not win: %v %v", b.Inside, why)
	}
	if _, why := f.out(tcp(at(subscriber, 22), at(serverY, 1)), Hints{TCPFlags: frame.TCPSyn}, 0); why != drop.NoFreePort {
		t.Errorf("another's port: %v", why)
	}
	if nat, ok := f.OneToOne(subscriber, serverY); !ok || nat != outsider {
		t.Errorf("ESP out: %v %v", nat, ok)
	}
	if in, ok := f.OwnerOf(outsider, serverY); !ok || in != subscriber {
		t.Errorf("ESP in: %v %v", in, ok)
	}
	if _, ok := f.OneToOne(other, serverY); ok {
		t.Error("a mapping of one port has ESP")
	}
	f.check()
}

func TestStaticSessionsCountAndStaticPortsDoNot(t *testing.T) {
	c := withStatics(Static{Name: "s", Inside: at(subscriber, 0), Outside: at(outsider, 0)})
	c.Groups[0].Transports = []TransportProfile{{Proto: frame.ProtoUDP, SessionQuota: 3, PortQuota: 1}}
	f := build(t, c)
	for port := range uint16(3) {
		f.mustOut(udp(at(subscriber, 1000+port), at(serverY, 53)), 0, 0)
	}
	if _, why := f.in(frame.ProtoUDP, at(outsider, 1), at(serverY, 1), 0, 0); why != drop.SessionQuota {
		t.Errorf("a fourth session: %v", why)
	}
	f.check()
}

func TestEventsSayWhatIsStatic(t *testing.T) {
	c := withStatics(Static{Name: "s", Proto: frame.ProtoUDP, Inside: at(subscriber, 5), Outside: at(outsider, 5)})
	var static, dynamic int
	c.OnEvent = func(e Event) {
		if e.Static {
			static++
		} else {
			dynamic++
		}
	}
	f := build(t, c)
	f.in(frame.ProtoUDP, at(outsider, 5), at(serverY, 1), 0, 0)
	f.mustOut(udp(at(subscriber, 6), at(serverY, 1)), 0, 0)
	f.Sweep(1000 * second)
	if static != 4 || dynamic != 4 {
		t.Errorf("%d static events, %d others", static, dynamic)
	}
}

func TestStaticMappingsAreShownInOrder(t *testing.T) {
	want := []Static{
		{Name: "b", Proto: frame.ProtoUDP, Inside: at(subscriber, 5), Outside: at(outsider, 5)},
		{Name: "a", Inside: at(other, 0), Outside: at(nat7, 0)},
	}
	f := build(t, withStatics(want...))
	f.in(frame.ProtoUDP, at(outsider, 5), at(serverY, 1), 0, 0)
	var got []string
	f.WalkStatic(func(s StaticInfo) bool {
		got = append(got, s.Name+" "+s.Group)
		if !s.Active {
			t.Errorf("%s is not active", s.Name)
		}
		return true
	})
	if len(got) != 2 || got[0] != "b G" || got[1] != "a G" {
		t.Errorf("walked %v", got)
	}
	// A dynamic mapping from before the configuration had the static one.
	st := f.cfg().statics.list[0]
	f.Sweep(1000 * second)
	o := &f.outsides[outsideShard(outsider, 5)]
	other := f.mustOut(udp(at(subscriber, 6), at(serverY, 1)), 0, 1000*second)
	o.take(f.cfg().addrs[f.cfg().byAddr[outsider]], 5, newClaim(frame.ProtoUDP, wideAny, at(serverY, 1)), other.Mapping)
	if f.active(st) {
		t.Error("active while another mapping has its port")
	}
	f.WalkStatic(func(StaticInfo) bool { return false })
}

func TestFaultsOfStaticMappings(t *testing.T) {
	const udp = uint8(frame.ProtoUDP)
	_, err := New(withStatics(
		Static{Name: "a", Proto: 47, Inside: at(subscriber, 1), Outside: at(nat1, 1)},
		Static{Name: "b", Proto: udp, Inside: at(subscriber, 1), Outside: at(nat1, 0)},
		Static{Name: "c", Proto: udp, Inside: at(subscriber, 1)},
		Static{Name: "d", Proto: udp, Inside: at(serverY, 1), Outside: at(nat1, 1)},
		Static{Name: "e", Proto: udp, Inside: at(subscriber, 1), Outside: at(other, 1)},
		Static{Name: "f", Group: "X", Proto: udp, Inside: at(subscriber, 1), Outside: at(nat1, 1)},
		Static{Name: "g", Proto: udp, Inside: at(subscriber, 7), Outside: at(nat1, 7)},
		Static{Name: "g", Proto: udp, Inside: at(subscriber, 8), Outside: at(nat1, 8)},
		Static{Name: "h", Inside: at(subscriber, 7), Outside: at(nat1, 9)},
		Static{Name: "i", Proto: udp, Inside: at(subscriber, 9), Outside: at(nat1, 7)},
		Static{Name: "j", Proto: udp, Inside: at(subscriber, 10), Outside: at(nat1, 7), Remote: serverY},
	))
	for _, want := range []string{
		`"a": protocol 47`, `"b": either both`, `"c": the subscriber's or the NAT`, `"d": subscriber 198.51.100.1 is in no client`,
		`"e": NAT address 192.0.2.2 is a subscriber's`, `"f": subscriber 192.0.2.1 is in group "G"`, `"g": defined twice`,
		`"h": 192.0.2.1:7 already belongs to static "g"`, `"i": 203.0.113.3:7 already belongs to static "g"`,
		`"j": 203.0.113.3:7 has a static mapping for every remote`,
	} {
		mustSay(t, err, want)
	}
}

func TestRFC6888_REQ6_DestinationsAreExempt(t *testing.T) {
	c := config(nat1, AppProfile{Name: "portal", Proto: frame.ProtoTCP, Ports: []PortRange{{8443, 8443}}, Exempt: true})
	c.Groups[0].Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("198.51.100.2/32")}
	f := build(t, c)
	for _, tt := range []struct {
		tup  Tuple
		want bool
	}{
		{udp(at(subscriber, 1), at(frame.Addr{10, 1, 2, 3}, 53)), true},
		{Tuple{47, at(subscriber, 0), at(frame.Addr{10, 1, 2, 3}, 0)}, true},
		{udp(at(subscriber, 1), at(serverZ, 53)), true},
		{udp(at(subscriber, 1), at(serverY, 8443)), false},
		{tcp(at(subscriber, 1), at(serverY, 8443)), true},
		{tcp(at(subscriber, 1), at(serverY, 443)), false},
		{tcp(at(frame.Addr{172, 16, 0, 1}, 1), at(serverZ, 443)), false}, // no subscriber: nothing to exempt
	} {
		if got := f.Exempt(tt.tup); got != tt.want {
			t.Errorf("%v: %v", tt.tup, got)
		}
	}
	if !f.MayExempt(subscriber, serverY, frame.ProtoTCP) || f.MayExempt(subscriber, serverY, frame.ProtoUDP) || !f.MayExempt(subscriber, serverZ, 50) || f.MayExempt(serverY, serverZ, 6) {
		t.Error("what a fragment may be")
	}
	c.Groups[0].Exempt = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}
	_, err := New(c)
	mustSay(t, err, "exempt network 2001:db8::/32")
}

func TestAttributesGiveSomePortsAnotherIdleTime(t *testing.T) {
	c := config(nat1,
		AppProfile{Name: "dns", Proto: frame.ProtoUDP, Ports: []PortRange{{53, 53}}, Attributes: []Attributes{{SessionTimeout: 30 * time.Second}}}, // RFC 4787 REQ-5a
		AppProfile{Name: "all", Proto: frame.ProtoUDP})
	f := build(t, c)
	for port, want := range map[uint16]time.Duration{53: 30 * time.Second, 54: DefaultSessionTimeout, stunPort: DefaultStunTimeout} {
		if b := f.mustOut(udp(at(subscriber, port), at(serverY, port)), 0, 0); b.Idle != want {
			t.Errorf("port %d: %v, want %v", port, b.Idle, want)
		}
	}
	c.Groups[0].Transports = []TransportProfile{{Proto: frame.ProtoUDP, StunTimeout: 900 * time.Second}}
	f = build(t, c)
	if b := f.mustOut(udp(at(subscriber, 1), at(serverY, stunPort)), 0, 0); b.Idle != 900*time.Second {
		t.Errorf("STUN: %v", b.Idle)
	}
}

// One mapping, three idle times.
func TestTheNarrowestAttributesApplyToASessionsRemotePort(t *testing.T) {
	c := config(nat1, AppProfile{Name: "all", Proto: frame.ProtoUDP, Mapping: EIM, Attributes: []Attributes{
		{Ports: []PortRange{{1, 1000}}, SessionTimeout: 40 * time.Second},
		{Ports: []PortRange{{53, 53}, {5353, 5353}}, SessionTimeout: 30 * time.Second},
	}})
	f := build(t, c)
	mapping := uint64(0)
	for port, want := range map[uint16]time.Duration{
		53: 30 * time.Second, 5353: 30 * time.Second, 54: 40 * time.Second, 1001: DefaultSessionTimeout, stunPort: DefaultStunTimeout,
	} {
		b := f.mustOut(udp(at(subscriber, 1), at(serverY, port)), 0, 0)
		if b.Idle != want || mapping != 0 && b.Mapping != mapping {
			t.Errorf("port %d: %v on mapping %x, want %v on %x", port, b.Idle, b.Mapping, want, mapping)
		}
		mapping = b.Mapping
	}
	f.Sweep(35 * second)
	for port, want := range map[uint16]bool{53: false, 5353: false, 54: true, 1001: true} {
		if _, live := f.FindOut(udp(at(subscriber, 1), at(serverY, port))); live != want {
			t.Errorf("after 35 seconds the session with port %d is there: %v", port, live)
		}
	}
}

// A RST that the other side did not send must not end the session, and one
// that it did must not be undone by what was on its way (RFC 7857 section 2.2).
func TestRFC7857_2_AForgedRSTDoesNotEndASession(t *testing.T) {
	const syn, ack, rst = frame.TCPSyn, tcpACK, frame.TCPRst
	for _, tt := range []struct {
		name  string
		after func(f *fixture, b Binding)
		want  time.Duration
	}{
		{"the server goes on", func(f *fixture, b Binding) { f.reply(b, ack, 3, drop.None) }, DefaultSessionTimeout},
		{"the client goes on, which proves nothing", func(f *fixture, b Binding) { f.mustOut(b.Tuple, ack, 3) }, DefaultFinRstTimeout},
		{"the server goes on, on the fast path", func(f *fixture, b Binding) { f.FlowActive(b.Session, false, 3, 1, 40) }, DefaultSessionTimeout},
		{"the client goes on, on the fast path", func(f *fixture, b Binding) { f.FlowActive(b.Session, true, 3, 1, 40) }, DefaultFinRstTimeout},
		{"what the fast path reports is older", func(f *fixture, b Binding) { f.FlowActive(b.Session, false, 1, 1, 40) }, DefaultFinRstTimeout},
		{"the server closes", func(f *fixture, b Binding) { f.reply(b, frame.TCPFin|ack, 3, drop.None) }, DefaultFinRstTimeout},
		{"the RST comes again", func(f *fixture, b Binding) { f.reply(b, rst, 3, drop.None) }, DefaultFinRstTimeout},
	} {
		f := build(t, config(nat1))
		b := f.mustOut(tcp(at(subscriber, 1), at(serverY, 80)), syn, 0)
		f.reply(b, syn|ack, 1, drop.None)
		if got := f.reply(b, rst, 2, drop.None); got.Idle != DefaultFinRstTimeout || got.Established {
			t.Fatalf("after RST: %v", got.Idle)
		}
		tt.after(f, b)
		got, _ := f.FindOut(b.Tuple)
		if got.Idle != tt.want {
			t.Errorf("%s: idle %v, want %v", tt.name, got.Idle, tt.want)
		}
	}
}

// Both sides send a SYN before they have the other's (RFC 5382 REQ-2b).
func TestRFC5382_REQ2_SimultaneousOpen(t *testing.T) {
	f := build(t, config(nat1))
	b := f.mustOut(tcp(at(subscriber, 1), at(serverY, 80)), frame.TCPSyn, 0)
	if got := f.reply(b, frame.TCPSyn, 1, drop.None); !got.Established {
		t.Errorf("after both SYN: %+v", got)
	}
	f.mustOut(b.Tuple, frame.TCPSyn|tcpACK, 2)
	f.reply(b, frame.TCPSyn|tcpACK, 3, drop.None)
}

// A mapping for every remote and one for a single remote never share a port
// (R19), so a stranger's packet to the first would shut the second out.
func TestAStaticMappingOfAllPortsAndOneOfASingleRemoteShareNoAddress(t *testing.T) {
	all := Static{Name: "all", Proto: frame.ProtoTCP, Inside: at(subscriber, 0), Outside: at(nat7, 0)}
	one := Static{Name: "one", Proto: frame.ProtoTCP, Inside: at(other, 80), Outside: at(nat7, 80), Remote: serverY}
	for _, list := range [][]Static{{all, one}, {one, all}} {
		_, err := New(withStatics(list...))
		mustSay(t, err, "has a static mapping for every remote and one for a single remote")
	}
	one.Proto = frame.ProtoUDP
	build(t, withStatics(all, one))
	one.Proto, one.Remote = frame.ProtoTCP, frame.Addr{}
	build(t, withStatics(all, one))
}
