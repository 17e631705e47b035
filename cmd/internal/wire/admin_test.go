package wire

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/alg"
	"spigate/alg/ipsec"
	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// peer is one subscriber's VPN with one server. Messages go into the tables
// directly: this is a test of what is shown and flushed, not of packets.
type peer struct {
	o                   *operated
	id                  uint64
	inside, nat, server frame.Addr
	port                uint16
	mapping             uint64
}

func (o *operated) peer(id uint64, inside, server string) *peer {
	o.t.Helper()
	p := &peer{o: o, id: id, inside: addr(netip.MustParseAddr(inside)), server: addr(netip.MustParseAddr(server))}
	now, ike := o.router.Now(), lsn.Tuple{Proto: frame.ProtoUDP,
		Inside: frame.Endpoint{Addr: p.inside, Port: 500}, Remote: frame.Endpoint{Addr: p.server, Port: 500}}
	plan, why := o.router.LSN().DecideOut(ike, lsn.Hints{}, now)
	if why != drop.None {
		o.t.Fatal(why)
	}
	b, why := o.router.LSN().CommitOut(&plan, now)
	if why != drop.None {
		o.t.Fatal(why)
	}
	p.nat, p.port, p.mapping = b.Outside.Addr, b.Outside.Port, b.Mapping
	p.ike(alg.In2Out, 34, 0)
	p.ike(alg.Out2In, 34, 0)
	return p
}

// ike tells the ALG of one IKEv2 message: IKE_SA_INIT is 34, IKE_AUTH 35.
func (p *peer) ike(dir alg.Direction, exchange byte, message uint32) {
	b := make([]byte, 300)
	binary.BigEndian.PutUint64(b, p.id)
	if dir == alg.Out2In || exchange != 34 {
		binary.BigEndian.PutUint64(b[8:], p.id+1)
	}
	b[16], b[17], b[18], b[19] = 46, 2<<4, exchange, 0x08
	if dir == alg.Out2In {
		b[19] = 0x20
	}
	binary.BigEndian.PutUint32(b[20:], message)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	profile := algProfiles(p.o.config)["IPSECALGPROFILE-1"]
	p.o.router.ALG().StepIKE(&ipsec.IKEPacket{
		Dir: dir, Profile: &profile, Inside: p.inside, NAT: p.nat, Server: p.server,
		InsidePort: 500, NATPort: p.port, ServerPort: 500, Mapping: p.mapping, Payload: b, Packet: b, In: 1,
	}, p.o.router.Now())
}

func (p *peer) ask() { p.ike(alg.In2Out, 35, 1) }

// up negotiates and sends one ESP packet each way.
func (p *peer) up() *peer {
	p.o.t.Helper()
	p.ask()
	p.ike(alg.Out2In, 35, 1)
	profile := algProfiles(p.o.config)["IPSECALGPROFILE-1"]
	for dir, spi := range map[alg.Direction]uint32{alg.In2Out: 0xd0000000, alg.Out2In: 0xc0000000} {
		e := ipsec.ESPPacket{Dir: dir, NAT: p.nat, Server: p.server, SPI: spi | uint32(p.id), Seq: 1, Len: 100}
		if dir == alg.In2Out {
			e.Inside, e.Profile = p.inside, &profile
		}
		if r := p.o.router.ALG().StepESP(&e, p.o.router.Now()); r.Verdict != alg.Forward {
			p.o.t.Fatalf("ESP of %v: %s", p.inside, r.Reason)
		}
	}
	return p
}

// seen takes one word of each row.
func seen[T any](o *operated, rows iter.Seq2[T, error], word func(T) string) string {
	o.t.Helper()
	var out []string
	for row, err := range rows {
		if err != nil {
			return err.Error()
		}
		out = append(out, word(row))
	}
	return strings.Join(out, " ")
}

func asked(t *testing.T, pairs ...string) (f control.Filter) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := f.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

const (
	subscriberA = "192.0.2.10"
	subscriberB = "192.0.2.200"
	gatewayX    = "203.0.113.254"
	gatewayY    = "198.51.100.9"
)

func TestFiltersOfIPsecSessionsSelectInTheTables(t *testing.T) {
	o := newOperated(t)
	a := o.peer(0x10, subscriberA, gatewayX).up()
	o.peer(0x20, subscriberB, gatewayY).up()
	for want, f := range map[string]control.Filter{
		"c0000010 c0000020":                      {},
		"c0000010":                               asked(t, control.BySourceIP, subscriberA),
		"c0000020":                               asked(t, control.ByDestIP, gatewayY, control.BySourceIP, "*"),
		"":                                       asked(t, control.ByDestIP, gatewayY, control.BySourceIP, subscriberA),
		"c0000010 ":                              asked(t, control.ByNATIP, a.nat.String(), control.ByDestIP, gatewayX),
		"c0000020 ":                              asked(t, control.ByNetwork, "192.0.2.128/25"),
		"c0000010 c0000020 ":                     asked(t, control.ByClient, "LSN-CLIENT-1"),
		`no lsn client "X"; known: LSN-CLIENT-1`: asked(t, control.ByClient, "X"),
	} {
		got := seen(o, o.client.IPsecSessions(t.Context(), f), func(r control.IPsecSession) string { return r.SPIIn.String() })
		if got != strings.TrimSpace(want) {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
}

func TestStatCountsWhatTheTablesCount(t *testing.T) {
	o := newOperated(t)
	o.peer(0x10, subscriberA, gatewayX).up()
	holder := o.peer(0x20, subscriberA, gatewayY)
	waiter := o.peer(0x30, subscriberB, gatewayY)
	holder.ask()
	waiter.ask()
	for range 2 {
		o.router.Drops().Count(drop.AH, nil, 0)
		o.router.Drops().Count(drop.Fragment, nil, 0)
	}
	none, two := uint64(0), uint64(2)
	got, err := o.client.IPsecStat(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	want := control.IPsecStat{Total: 1, Active: 1, Blocked: 1, RxPackets: 1, TxPackets: 1, P2Held: 1,
		AHDropped: &two, FragDropped: &two, ICMPTranslated: &none, ESPSessions: 1, IKESessions: 3}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	name := "IPSECALGPROFILE-1"
	want.Profile, want.AHDropped, want.FragDropped, want.ICMPTranslated = &name, nil, nil, nil
	got, err = o.client.IPsecStat(t.Context(), name)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("of the profile: %v (-want +got):\n%s", err, diff)
	}
	if _, err := o.client.IPsecStat(t.Context(), "X"); !control.IsNotFound(err) {
		t.Errorf("of no profile: %v", err)
	}
}

func TestClearedCountersBeginAtZeroAndDropsKeepTheirs(t *testing.T) {
	o := newOperated(t)
	o.peer(0x10, subscriberA, gatewayX).up()
	stat := func(profile string) control.IPsecStat {
		t.Helper()
		got, err := o.client.IPsecStat(t.Context(), profile)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	clear := func(want control.IPsecStat, profile string, level control.ClearLevel) {
		t.Helper()
		got, err := o.client.ClearIPsecStat(t.Context(), profile, level)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("cleared: %v (-want +got):\n%s", err, diff)
		}
	}
	o.router.Drops().Count(drop.AH, nil, 0)
	was := stat("")
	if was.Total != 1 || was.RxPackets == 0 || was.TxPackets == 0 || *was.AHDropped != 1 {
		t.Fatalf("nothing to clear: %+v", was)
	}
	clear(stat("IPSECALGPROFILE-1"), "IPSECALGPROFILE-1", control.ClearBasic)
	left := was
	left.Total, left.Dropped, left.RxPackets, left.TxPackets = 0, 0, 0, 0
	if diff := cmp.Diff(left, stat("")); diff != "" {
		t.Errorf("after basic (-want +got):\n%s", diff)
	}
	clear(left, "", control.ClearFull)
	*left.AHDropped = 0
	if diff := cmp.Diff(left, stat("")); diff != "" {
		t.Errorf("after full (-want +got):\n%s", diff)
	}
	o.router.Drops().Count(drop.AH, nil, 0)
	if n := stat("").AHDropped; *n != 1 || o.router.Drops().Get(drop.AH) != 2 {
		t.Errorf("%d AH packets since, %d in all", *n, o.router.Drops().Get(drop.AH))
	}
	if _, err := o.client.ClearIPsecStat(t.Context(), "X", control.ClearFull); !control.IsNotFound(err) {
		t.Errorf("of no profile: %v", err)
	}
}

func TestStatOfAProfileThatNobodyUsedIsZero(t *testing.T) {
	got, err := newOperated(t).client.IPsecStat(t.Context(), "IPSECALGPROFILE-1")
	name := "IPSECALGPROFILE-1"
	if diff := cmp.Diff(control.IPsecStat{Profile: &name}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAFlushOfTheALGFromTheClientToTheTables(t *testing.T) {
	o := newOperated(t)
	a, b := o.peer(0x10, subscriberA, gatewayX).up(), o.peer(0x20, subscriberB, gatewayY).up()
	flush := func(want control.IPsecFlushed, f control.Filter) {
		t.Helper()
		if got, err := o.client.FlushIPsec(t.Context(), f); err != nil || got != want {
			t.Errorf("flushed %+v, %v, want %+v", got, err, want)
		}
	}
	flush(control.IPsecFlushed{}, asked(t, control.BySourceIP, subscriberA, control.ByDestIP, gatewayY))
	flush(control.IPsecFlushed{}, asked(t, control.ByNATIP, "203.0.113.200"))
	flush(control.IPsecFlushed{ESPSessions: 1, IKESessions: 1}, asked(t, control.BySourceIP, subscriberA, control.ByNATIP, a.nat.String(), control.ByDestIP, "*"))
	left := seen(o, o.client.IPsecSessions(t.Context(), control.Filter{}), func(r control.IPsecSession) string { return r.SourceIP.String() })
	if left != subscriberB {
		t.Errorf("left are the sessions of %q", left)
	}
	ports := seen(o, o.client.LSNSessions(t.Context(), control.Filter{}), func(r control.LSNSession) string { return r.SubscriberIP.String() })
	if ports != subscriberB {
		t.Errorf("left are the mappings of %q: those of flushed IKE go too", ports)
	}
	flush(control.IPsecFlushed{ESPSessions: 1, IKESessions: 1}, asked(t, control.ByDestIP, b.server.String()))
	flush(control.IPsecFlushed{}, control.Filter{})
}

func TestAFlushOfTheNATFromTheClientToTheTables(t *testing.T) {
	for name, c := range map[string]struct {
		filter func(a *peer) control.Filter
		left   string
	}{
		"all":        {func(*peer) control.Filter { return control.Filter{} }, ""},
		"port":       {func(a *peer) control.Filter { return control.Filter{NATPort: a.port, NATIP: a.nat.Netip()} }, subscriberB},
		"subscriber": {func(*peer) control.Filter { return asked(t, control.BySourceIP, subscriberB) }, subscriberA},
		"network":    {func(*peer) control.Filter { return asked(t, control.ByNetwork, "192.0.2.0/25") }, subscriberB},
		"subscriber and network": {func(*peer) control.Filter {
			return asked(t, control.BySourceIP, subscriberA, control.ByNetwork, "192.0.2.0/25")
		}, subscriberB},
		"subscriber elsewhere": {func(*peer) control.Filter {
			return asked(t, control.BySourceIP, subscriberA, control.ByNetwork, "192.0.2.128/25")
		}, subscriberA + " " + subscriberB},
		"client":                 {func(*peer) control.Filter { return asked(t, control.ByClient, "LSN-CLIENT-1") }, ""},
		"the traffic domain":     {func(*peer) control.Filter { return asked(t, control.ByTD, "0") }, ""},
		"another traffic domain": {func(*peer) control.Filter { return asked(t, control.ByTD, "1") }, subscriberA + " " + subscriberB},
		"an address of no pool":  {func(*peer) control.Filter { return asked(t, control.ByNATIP, gatewayX) }, subscriberA + " " + subscriberB},
		"everything in one (and)": {func(a *peer) control.Filter {
			return asked(t, control.BySourceIP, subscriberA, control.ByNATIP, a.nat.String(), control.ByClient, "LSN-CLIENT-1", control.ByTD, "0")
		}, subscriberB},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOperated(t)
			a := o.peer(0x10, subscriberA, gatewayX).up()
			o.peer(0x20, subscriberB, gatewayY).up()
			n, err := o.client.FlushLSN(t.Context(), c.filter(a))
			if want := uint64(2 - len(strings.Fields(c.left))); err != nil || n != (control.LSNFlushed{Sessions: want, Mappings: want}) {
				t.Errorf("flushed %+v, %v", n, err)
			}
			var left []string
			for _, who := range []string{subscriberA, subscriberB} {
				rows := o.client.LSNSessions(t.Context(), asked(t, control.BySourceIP, who))
				left = append(left, seen(o, rows, func(r control.LSNSession) string { return r.SubscriberIP.String() }))
			}
			if got := strings.TrimSpace(strings.Join(left, " ")); got != c.left {
				t.Errorf("left are the mappings of %q, want %q", got, c.left)
			}
			if esp := o.router.ALG().Counters().ESPSessions; esp != 2 {
				t.Errorf("%d ESP sessions are left, want both", esp)
			}
		})
	}
	o := newOperated(t)
	if _, err := o.client.FlushLSN(t.Context(), control.Filter{Client: "X"}); !control.IsNotFound(err) {
		t.Errorf("a client that is not configured: %v", err)
	}
}

func TestTheRunningConfigurationIsShown(t *testing.T) {
	o := newOperated(t)
	o.peer(0x10, subscriberA, gatewayX)
	ctx := t.Context()
	pool := func(p control.LSNPool) string {
		return strings.Join([]string{p.Name, strings.Join(p.Addresses, "+"), strings.Join(p.Groups, "+")}, " ")
	}
	for _, c := range []struct{ what, got, want string }{
		{"profile", seen(o, o.client.IPsecProfiles(ctx, control.Filter{}), func(p control.IPsecProfile) string {
			return p.Name + " " + p.IKESessionTimeout.String() + " " + p.ESPSessionTimeout.String() + " " + p.ESPGateTimeout.String() + " " + p.BlockMode + " " + strings.Join(p.Groups, "+")
		}), "IPSECALGPROFILE-1 45m 40m 20s HOLD LSN-GROUP-1"},
		{"client", seen(o, o.client.LSNClients(ctx, control.Filter{}), func(c control.LSNClient) string {
			return c.Name + " " + strings.Join(c.Networks, "+") + " " + strings.Join(c.Groups, "+")
		}), "LSN-CLIENT-1 192.0.2.0/24 LSN-GROUP-1"},
		{"pool", seen(o, o.client.LSNPools(ctx, control.Filter{Name: "LSN-POOL-1"}), pool), "LSN-POOL-1 203.0.113.3 LSN-GROUP-1"},
		{"group", seen(o, o.client.LSNGroups(ctx, control.Filter{}), func(g control.LSNGroup) string {
			return strings.Join([]string{g.Name, g.Client, strings.Join(g.Pools, "+"), strings.Join(g.AppsProfiles, "+"), *g.IPsecALGProfile}, " ")
		}), "LSN-GROUP-1 LSN-CLIENT-1 LSN-POOL-1 LSN-APPSPROFILE-1 IPSECALGPROFILE-1"},
		{"appsprofile", seen(o, o.client.LSNAppsProfiles(ctx, control.Filter{Name: "LSN-APPSPROFILE-1"}), func(p control.LSNAppsProfile) string {
			return strings.Join([]string{p.Name, p.Protocol, p.IPPooling, strings.Join(p.Ports, "+"), strings.Join(p.Groups, "+")}, " ")
		}), "LSN-APPSPROFILE-1 UDP PAIRED 500+4500 LSN-GROUP-1"},
		{"unused", seen(o, o.client.LSNAppsProfiles(ctx, control.Filter{Name: "UNUSED"}), func(p control.LSNAppsProfile) string {
			return p.Name + " " + p.Protocol + strings.Join(p.Ports, "+") + strings.Join(p.Groups, "+")
		}), "UNUSED TCP"},
		{"nobody", seen(o, o.client.LSNGroups(ctx, control.Filter{Name: "X"}), func(g control.LSNGroup) string { return g.Name }), `no lsn group "X"; known: LSN-GROUP-1`},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	for row := range o.client.LSNPools(ctx, control.Filter{}) {
		if row.AddressCount != 1 || row.Ports != 65536-1024 || row.UsedUDP != 1 || row.UsedTCP+row.UsedICMP != 0 {
			t.Errorf("use of the pool: %+v", row)
		}
	}
}

// A preset gives a group copies of its profiles; they are bound all the same.
func TestTheProfilesOfAGroupWithAPresetAreShownAsBound(t *testing.T) {
	text := strings.Replace(configs.IPsecPassthrough(), "[lsn.group.LSN-GROUP-1]\n", "[lsn.group.LSN-GROUP-1]\npreset = \"rfc6888\"\n", 1)
	o := operatedBy(t, text)
	if got := o.config.LSN.Groups[0].Preset; got != configs.PresetRFC6888 {
		t.Fatalf("the preset is %v", got)
	}
	got := seen(o, o.client.LSNAppsProfiles(t.Context(), control.Filter{}), func(p control.LSNAppsProfile) string {
		return p.Name + " " + strings.Join(p.Groups, "+")
	})
	if want := "LSN-APPSPROFILE-1 LSN-GROUP-1 rfc6888 LSN-GROUP-1 rfc6888 LSN-GROUP-1 rfc6888 LSN-GROUP-1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
