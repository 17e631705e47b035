package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"spigate/tests/golden"
)

// Two traffic domains as VLANs 10 and 20 on the router's two ports. Every
// address is in both: the client's, the NAT's, the gateway's, the router's.
//
//	blue client ─ VLAN 10 ─┐                        ┌─ VLAN 10 ─ blue gateway
//	                       ├─ trunk ─ lan[router]wan ─ trunk ─┤
//	red client ── VLAN 20 ─┘                        └─ VLAN 20 ─ red gateway
type domainSite struct{ blue, red *Site } // they share the router

func newDomainSite(t *testing.T) domainSite {
	t.Helper()
	l := For(t)
	ns := namespaces(t, l, "router", "lan trunk", "wan trunk", "blue client", "blue gateway", "red client", "red gateway")
	at := func(client, gateway *Namespace) *Site {
		return &Site{Client1: client, Router: ns[0], Gateway: gateway}
	}
	d := domainSite{blue: at(ns[3], ns[4]), red: at(ns[5], ns[6])}
	err := errors.Join(
		l.Wire(End{ns[0], "lan"}, End{ns[1], "trunk"}),
		l.Wire(End{ns[0], "wan"}, End{ns[2], "trunk"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Site{"blue": d.blue, "red": d.red} {
		err := errors.Join(
			l.Wire(End{s.Client1, "eth0"}, End{ns[1], name}),
			l.Wire(End{s.Gateway, "eth0"}, End{ns[2], name}),
			s.Client1.Address("eth0", netip.PrefixFrom(Client1, Inside.Bits())),
			s.Gateway.Address("eth0", Remote),
			s.Client1.Route(netip.MustParsePrefix("0.0.0.0/0"), Inside.Addr()),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []*Namespace{ns[1], ns[2]} {
		if err := l.Trunk(at, "trunk", map[uint16]string{10: "blue", 20: "red"}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// domainTemplate is the shipped example with VLAN 10 in domain 0, and all of it
// once more with VLAN 20 in domain 7.
func domainTemplate(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	blue := strings.NewReplacer(
		"[vlan.inside]\n", "[vlan.inside]\nid = 10\n", "[vlan.outside]\n", "[vlan.outside]\nid = 10\n",
		"[route.\"0.0.0.0/0\"]\n", "[route.\"0.0.0.0/0\"]\ntraffic_domain = 0\n",
	).Replace(string(text))
	red := `
[vlan.red-inside]
port           = "lan"
id             = 20
addresses      = ["192.0.2.1/24"]
traffic_domain = 7
[vlan.red-outside]
port           = "wan"
id             = 20
addresses      = ["203.0.113.1/24"]
traffic_domain = 7
[route.red-default]
to             = "0.0.0.0/0"
via            = "203.0.113.254"
traffic_domain = 7
[lsn.client.RED]
networks       = ["192.0.2.0/24"]
traffic_domain = 7
[lsn.pool.RED]
addresses = ["203.0.113.3"]
[lsn.group.RED]
client           = "RED"
pools            = ["RED"]
apps_profiles    = ["LSN-APPSPROFILE-1"]
ipsecalg_profile = "IPSECALGPROFILE-1"
`
	path := filepath.Join(t.TempDir(), "template.toml")
	if err := os.WriteFile(path, []byte(blue+red), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// play plays one conversation in each domain at the same time.
func (d domainSite) play(ctx context.Context, blue, red golden.Conversation) (*Result, *Result, error) {
	var both sync.WaitGroup
	results, errs := [2]*Result{}, [2]error{}
	for i, run := range []struct {
		in *Site
		c  golden.Conversation
	}{{d.blue, blue}, {d.red, red}} {
		both.Go(func() { results[i], errs[i] = run.in.RunOne(ctx, run.c, DefaultPatience()) })
	}
	both.Wait()
	return results[0], results[1], errors.Join(errs[:]...)
}

func TestTwoDomainsWithTheSameAddressesDoNotMeet(t *testing.T) {
	for _, c := range []struct{ name, blue, red string }{
		{"other VPNs", golden.IKEv2First, golden.IKEv2Second},
		{"the same cookies and SPIs", golden.IKEv2First, golden.IKEv2First},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := newDomainSite(t)
			d := routerIn(t, site.blue, DaemonConfig{Dir: t.TempDir(), Template: domainTemplate(t)})
			ctx, cancel := d.While(deadline(t))
			defer cancel()
			blue, err := golden.Load(c.blue)
			if err != nil {
				t.Fatal(err)
			}
			red, err := golden.Load(c.red)
			if err != nil {
				t.Fatal(err)
			}
			blue, red = blue.Rebase(Client1, Remote.Addr()).Repeat(10), red.Rebase(Client1, Remote.Addr()).Repeat(10)
			inBlue, inRed, err := site.play(ctx, blue, red)
			if err != nil {
				t.Fatal(err)
			}
			for name, r := range map[string]*Result{"blue": inBlue, "red": inRed} {
				t.Log("\n" + name + "\n" + r.Summary())
				for _, f := range r.Faults() {
					t.Error(name, f)
				}
				for _, e := range r.Deliveries {
					if e.At == golden.Gateway && e.Peer.Addr() != NATAddress {
						t.Errorf("%s: the gateway saw the client at %v", name, e.Peer)
					}
				}
			}
			checkDomains(t, ctx, d, map[uint16]golden.Conversation{0: blue, 7: red})
		})
	}
}

// checkDomains compares the sessions of each domain with its recording.
func checkDomains(t *testing.T, ctx context.Context, d *Daemon, played map[uint16]golden.Conversation) {
	t.Helper()
	for td, c := range played {
		var rows []SessionRow
		if err := d.Show(ctx, &rows, "ipsecalg", "session", "--td", fmt.Sprint(td)); err != nil {
			t.Fatal(err)
		}
		if want := len(c.SPIs(golden.Gateway)); len(rows) != want {
			t.Errorf("domain %d has %d sessions, its recording %d", td, len(rows), want)
		}
		for _, r := range rows {
			if r.TD != td || r.NATIP != NATAddress || r.SourceIP != Client1 {
				t.Errorf("a session in domain %d: %+v", td, r)
			}
		}
	}
	var status []StatusRow
	if err := d.Show(ctx, &status, "status"); err != nil {
		t.Fatal(err)
	}
	if len(status) != 1 || status[0].FastHits < 100 {
		t.Errorf("status %+v: established ESP should take the fast path", status)
	}
}
