package wire

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/link"
)

// gateway is a router with a tunnel behind a real socket; a cable leads to the
// other end's.
type gateway struct {
	t      *testing.T
	ch     *netstack.Chassis
	router *netstack.Router
	client *control.Client
	cable  *link.Memory
}

const gatewayConfig = `
version = 1
[port.lan]
driver = "tap"
device = "tap0"
[port.wan]
driver = "tap"
device = "tap1"
[vlan.inside]
port = "lan"
addresses = ["NEAR.254/24"]
traffic_domain = 7
[vlan.external]
port = "wan"
addresses = ["HERE/24"]
traffic_domain = 7
[net.ipsec.peer.gw2]
remote_address = "THERE"
psk = "the horse is correct"
my_id_value = "HERE.example"
peers_id_value = "THERE.example"
[net.ipsec.peer.off]
remote_address = "198.51.100.77"
psk = "nobody's business"
state = "disabled"
[net.ipsec.policy.Rio]
mode = "tunnel"
peer = "gw2"
tunnel_local_address = "HERE"
ike_phase2_lifetime_kilobytes = 100000
[net.ipsec.policy.asleep]
mode = "tunnel"
peer = "off"
tunnel_local_address = "HERE"
[net.ipsec.selector.lan]
source_address = "NEAR.0/24"
destination_address = "FAR.0/24"
policy = "Rio"
order = 5
[net.ipsec.selector.open]
source_address = "NEAR.0/24"
destination_address = "192.0.2.0/24"
destination_port = "53"
ip_protocol = "udp"
action = "bypass"
traffic_domain = 7
[net.ipsec.policy.by-hand]
mode = "tunnel"
tunnel_local_address = "HERE"
tunnel_remote_address = "198.51.100.220"
[net.ipsec.selector.hand]
source_address = "NEAR.0/24"
destination_address = "10.7.0.0/16"
policy = "by-hand"
order = 9
[net.ipsec.manual_sa.out]
policy = "by-hand"
source_address = "HERE"
destination_address = "198.51.100.220"
spi = 4096
encrypt_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
auth_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
`

// gateways are two that are each other's peer. change alters the text of the
// second one.
func gateways(t *testing.T, change ...string) (here, there *gateway) {
	t.Helper()
	a, b := link.NewPair(frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}, 1500)
	words := strings.NewReplacer("NEAR", "10.1.1", "FAR", "10.2.2", "HERE", "198.51.100.1", "THERE", "198.51.100.200")
	mirrored := strings.NewReplacer("NEAR", "10.2.2", "FAR", "10.1.1", "THERE", "198.51.100.1", "HERE", "198.51.100.200")
	return newGateway(t, words.Replace(gatewayConfig), a), newGateway(t, strings.NewReplacer(change...).Replace(mirrored.Replace(gatewayConfig)), b)
}

func newGateway(t *testing.T, text string, cable *link.Memory) *gateway {
	t.Helper()
	c, _, err := configs.Parse("gateway.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lan, _ := link.NewPair(frame.MAC{2, 0, 0, 0, 1, 1}, frame.MAC{2, 0, 0, 0, 1, 2}, 1500)
	shared, routers := chassisConfig(c, []link.Driver{lan, cable})
	shared.Log = slog.New(slog.DiscardHandler)
	ch, err := netstack.NewChassis(shared, routers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ch.Close)
	v := newViews(c)
	v.start(ch)
	return &gateway{t, ch, ch.Router(7), served(t, v), cable}
}

// talk carries frames between the ends until done says so: who resolves an
// address does it on a goroutine of its own.
func talk(t *testing.T, here, there *gateway, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for batch := make([]frame.Frame, frame.Batch); !done(); runtime.Gosched() {
		for _, g := range []*gateway{here, there} {
			if n := g.cable.TryRead(batch); n > 0 {
				g.router.Port(1).Input(batch[:n])
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("nothing comes of it:\n%+v\n%+v", here.peers(), there.peers())
		}
	}
}

func rowsOf[T any](t *testing.T, rows func(yield func(T, error) bool)) (out []T) {
	t.Helper()
	for r, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func (g *gateway) sas() []control.NetIPsecSA {
	g.t.Helper()
	return rowsOf(g.t, g.client.NetIPsecSAs(g.t.Context(), control.Filter{Selector: "lan"}))
}

func (g *gateway) peers() map[string]control.NetIPsecPeer {
	g.t.Helper()
	out := map[string]control.NetIPsecPeer{}
	for _, p := range rowsOf(g.t, g.client.NetIPsecPeers(g.t.Context(), control.Filter{})) {
		out[p.Name] = p
	}
	return out
}

func (g *gateway) selectors() map[string]control.NetIPsecSelector {
	g.t.Helper()
	out := map[string]control.NetIPsecSelector{}
	for _, s := range rowsOf(g.t, g.client.NetIPsecSelectors(g.t.Context(), control.Filter{})) {
		out[s.Name] = s
	}
	return out
}

func (g *gateway) initiate() {
	g.t.Helper()
	if got, err := g.client.InitiateNetIPsec(g.t.Context(), control.Filter{Name: "lan"}); err != nil || strings.Join(got.Selectors, " ") != "lan" {
		g.t.Fatal(got, err)
	}
}

func (g *gateway) up() bool { return len(g.sas()) == 2 }

// seal makes ESP of a packet for the tunnel.
func (g *gateway) seal(src, dst string) []byte {
	g.t.Helper()
	from, to := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	b := make([]byte, tunnels.Headroom+28+tunnels.Tailroom)
	p := b[tunnels.Headroom:]
	copy(p, []byte{0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, frame.ProtoUDP})
	copy(p[12:], from[:])
	copy(p[16:], to[:])
	p[25] = 8 // the length of UDP
	s, _ := g.router.IPsec().Policies().Selector("lan")
	got := g.router.IPsec().Send(s, tunnels.Flow{Src: from, Dst: to, Proto: frame.ProtoUDP, Ports: true}, b, tunnels.Headroom, 28, 1500, 0, g.router.Now())
	if got.Verdict != tunnels.Pass {
		g.t.Fatal(got.Verdict)
	}
	return b[got.Start:got.End]
}

func TestATunnelIsShownFromDownToUpAndWhatItCarried(t *testing.T) {
	here, there := gateways(t)
	if s := here.selectors(); *s["lan"].State != control.StateDown || s["open"].State != nil || *s["hand"].State != control.StateDown || !s["hand"].Manual || *s["lan"].Peer != "gw2" || s["hand"].Peer != nil {
		t.Errorf("before: %+v", s)
	}
	if p := here.peers(); p["gw2"].State != control.StateDown || p["gw2"].LocalID != "198.51.100.1.example" || p["gw2"].RemoteID != "198.51.100.200.example" ||
		p["gw2"].LocalIP.String() != "198.51.100.1" || p["gw2"].TD != 7 || p["off"].State != control.StateDisabled || p["off"].TD != 7 {
		t.Errorf("before: %+v", p)
	}
	here.initiate()
	talk(t, here, there, func() bool { return here.up() && there.up() })

	out, in := here.sas()[0], here.sas()[1]
	if out.Direction != control.DirectionOut || in.Direction != control.DirectionIn || out.State != control.StateMature || out.Policy != "Rio" || *out.Peer != "gw2" ||
		out.Mode != "tunnel" || out.LocalPort != nil || out.RemoteIP.String() != "198.51.100.200" || out.Suite != "aes-gcm-128" || !out.ESN || out.Manual || out.TD != 7 ||
		out.Rekey == nil || out.Expires == nil || *out.Rekey > *out.Expires || *out.Expires > 3600 || *out.BytesLeft != 100000<<10 || out.Window != 0 || in.Window != 64 {
		t.Errorf("out %+v\nin %+v", out, in)
	}
	if got := out.Traffic; len(got) != 1 || got[0] != (control.NetIPsecPair{Local: "10.1.1.0/24", LocalPort: "any", Remote: "10.2.2.0/24", RemotePort: "any", Protocol: "any"}) {
		t.Errorf("traffic %+v", got)
	}
	p := here.peers()["gw2"]
	if p.State != control.StateUp || len(p.IKESAs) != 1 || p.LastError != nil {
		t.Fatalf("%+v", p)
	}
	if i := p.IKESAs[0]; i.State != control.StateUp || i.Role != "initiator" || *i.Identity != "198.51.100.200.example" || i.Suite == nil || i.NATHere || i.NATThere || len(i.SPIi) != 16 || i.Rekey == nil ||
		len(i.Children) != 1 || i.Children[0].SPIIn != in.SPI || i.Children[0].SPIOut != out.SPI || i.Children[0].Suite != "aes-gcm-128" || i.Children[0].Selector != "lan" {
		t.Errorf("%+v", i)
	}
	if i := there.peers()["gw2"].IKESAs[0]; i.Role != "responder" {
		t.Errorf("there: %+v", i)
	}

	esp := here.seal("10.1.1.9", "10.2.2.9")
	for range 2 { // the second one is a replay
		there.router.IPsec().Receive(append([]byte(nil), esp...), there.router.Now())
	}
	if s := here.selectors()["lan"]; *s.State != control.StateUp || s.PacketsOut != 1 || s.BytesOut == 0 || s.SPIsOut[0] != out.SPI || s.SPIsIn[0] != in.SPI || s.Order != 5 || s.TD != 7 || *s.Mode != "tunnel" {
		t.Errorf("%+v", s)
	}
	if sa := there.sas()[1]; sa.Packets != 1 || sa.Sequence != 1 || sa.Errors["replay"] != 1 || sa.Errors.Sum() != 1 {
		t.Errorf("%+v", sa)
	}
	stat := rowsOf(t, there.client.NetIPsecStats(t.Context(), control.Filter{TD: &p.TD}))
	if len(stat) != 1 || stat[0].SAs != 3 || stat[0].Selectors != 3 || stat[0].IKESAs != 1 || stat[0].In["opened"] != 1 || stat[0].In["replay"] != 1 || stat[0].IKE["child_ups"] != 1 {
		t.Errorf("%+v", stat)
	}
	manual := rowsOf(t, here.client.NetIPsecSAs(t.Context(), control.Filter{Selector: "hand"}))
	if len(manual) != 1 || !manual[0].Manual || manual[0].Peer != nil || manual[0].Expires != nil || manual[0].SPI != 4096 || manual[0].State != control.StateMature {
		t.Errorf("%+v", manual)
	}
	if s := here.selectors()["open"]; s.Action != "bypass" || s.DstPort != "53" || s.Protocol != "UDP" || s.SrcPort != "any" {
		t.Errorf("%+v", s)
	}
}

func TestAnOperatorGivesATunnelNewKeysAndEndsIt(t *testing.T) {
	here, there := gateways(t)
	here.initiate()
	talk(t, here, there, func() bool { return here.up() && there.up() })
	ctx := t.Context()
	was, in := here.sas()[0].SPI, here.sas()[1].SPI
	esp := there.seal("10.2.2.9", "10.1.1.9")
	here.router.IPsec().Receive(esp, here.router.Now())
	if got, err := here.client.RekeyNetIPsecSelector(ctx, control.Filter{Name: "lan"}); err != nil || strings.Join(got.Selectors, " ") != "lan" {
		t.Fatal(got, err)
	}
	talk(t, here, there, func() bool { return here.sas()[0].SPI != was && len(here.peers()["gw2"].IKESAs[0].Children) == 1 })
	for _, sa := range here.sas() { // what still comes on the old one is taken
		if old := sa.SPI == in; (sa.State == control.StateDying) != old || old && *sa.Expires > 5 {
			t.Errorf("%+v", sa)
		}
	}

	spi := here.peers()["gw2"].IKESAs[0].SPIi
	if got, err := here.client.RekeyNetIPsecPeer(ctx, control.Filter{Name: "gw2"}); err != nil || strings.Join(got.Peers, " ") != "gw2" {
		t.Fatal(got, err)
	}
	talk(t, here, there, func() bool {
		all := here.peers()["gw2"].IKESAs
		return len(all) == 1 && all[0].SPIi != spi && len(all[0].Children) == 1
	})

	if got, err := here.client.FlushNetIPsec(ctx, control.Filter{Selector: "lan"}); err != nil || strings.Join(got.Selectors, " ") != "lan" || len(got.Peers) != 0 {
		t.Fatal(got, err)
	}
	talk(t, here, there, func() bool { return len(here.peers()["gw2"].IKESAs[0].Children) == 0 })
	if s := *here.selectors()["lan"].State; s != control.StateDown {
		t.Errorf("it is %s", s)
	}
	here.initiate()
	talk(t, here, there, func() bool { return *here.selectors()["lan"].State == control.StateUp })
	if got, err := here.client.FlushNetIPsec(ctx, control.Filter{}); err != nil || strings.Join(got.Peers, " ") != "gw2" {
		t.Fatal(got, err)
	}
	talk(t, here, there, func() bool { return len(here.peers()["gw2"].IKESAs) == 0 && len(there.peers()["gw2"].IKESAs) == 0 })
	if n := len(rowsOf(t, here.client.NetIPsecSAs(ctx, control.Filter{Selector: "hand"}))); n != 1 {
		t.Errorf("%d manual SAs", n)
	}

	for name, do := range map[string]func(context.Context, control.Filter) (control.NetIPsecAsked, error){
		"initiate": here.client.InitiateNetIPsec, "rekey": here.client.RekeyNetIPsecSelector,
	} {
		if _, err := do(ctx, control.Filter{Name: "hand"}); err == nil || !strings.Contains(err.Error(), "no IKE peer negotiates") {
			t.Errorf("%s a manual one: %v", name, err)
		}
	}
}

func TestAFailureStaysWithThePeerWithItsRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		change         []string
		reason, remedy string
		selector       bool
	}{
		"a wrong secret":       {[]string{"the horse is correct", "the horse is wrong"}, "AUTHENTICATION_FAILED", "pre-shared key", false},
		"another selector":     {[]string{`destination_address = "10.1.1.0/24"`, `destination_address = "10.9.9.0/24"`}, "TS_UNACCEPTABLE", "selector", true},
		"another cipher":       {[]string{"psk = \"the horse is correct\"", "psk = \"the horse is correct\"\nphase1_encrypt_algorithm = [\"aes-gcm192\"]"}, "NO_PROPOSAL_CHOSEN", "configure one of these", false},
		"another child cipher": {[]string{"mode = \"tunnel\"\npeer = \"gw2\"", "mode = \"tunnel\"\npeer = \"gw2\"\nike_phase2_encrypt_algorithm = [\"aes-gcm192\"]"}, "NO_PROPOSAL_CHOSEN", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := gateways(t, c.change...)
			here.initiate()
			talk(t, here, there, func() bool { return here.peers()["gw2"].LastError != nil && there.peers()["gw2"].LastError != nil })
			e := here.peers()["gw2"].LastError
			if !strings.Contains(e.Reason, c.reason) || !strings.Contains(e.Remedy, c.remedy) || e.Remedy == "" || e.Over || (e.Selector != nil) != c.selector {
				t.Errorf("%+v", e)
			}
			if e := there.peers()["gw2"].LastError; e.Remedy == "" || e.Over {
				t.Errorf("there: %+v", e)
			}
			if here.up() {
				t.Error("it is up")
			}
		})
	}
}
