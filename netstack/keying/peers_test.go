package keying

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// site is one end of a tunnel between 10.1.0.0/16 and 10.2.0.0/16, with what
// goes on between the ends: datagrams arrive at once, one after the other.
type site struct {
	t      *testing.T
	db     *ipsec.Database
	keyer  *Keyer
	config Config
	sent   []ike.Datagram
	log    []ike.Event
}

func mustID(t *testing.T, text string) ike.Identity {
	t.Helper()
	id, err := ike.ParseIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newSite makes the near or the far end. change may alter its configuration.
func newSite(t *testing.T, far bool, change func(*ike.Peer)) *site {
	t.Helper()
	s := &site{t: t, db: ipsec.NewDatabase(ipsec.Options{})}
	a, b := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	inside, outside := netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16")
	ids := []string{"near.example", "far.example"}
	if far {
		a, b, inside, outside = b, a, outside, inside
		slices.Reverse(ids)
	}
	whole := func(p netip.Prefix) []ike.Selector { return []ike.Selector{ike.PrefixSelector(p)} }
	esp := []ike.Proposal{{Ciphers: []ike.Cipher{ike.AESGCM128}}}
	peer := ike.Peer{
		Name: "there", Local: a, Remote: b, LocalID: mustID(t, ids[0]), RemoteID: mustID(t, ids[1]),
		LocalAuth: ike.PSK, RemoteAuth: ike.PSK, Secret: ike.Secret("correct horse"), NATTraversal: ike.NATOff,
		Proposals: []ike.Proposal{{Ciphers: []ike.Cipher{ike.AESGCM128}, PRFs: []ike.PRF{ike.PRFSHA256}, Groups: []ike.Group{ike.X25519}}},
		Children:  []ike.Child{{Name: "lan", Local: whole(inside), Remote: whole(outside), Proposals: esp}},
	}
	if change != nil {
		change(&peer)
	}
	s.config = Config{Peers: []ike.Peer{peer}}
	policies, err := ipsec.NewPolicies(ipsec.Config{
		Policies:  []ipsec.Policy{{Name: "P", Mode: ipsec.Tunnel, Local: a, Remote: b}},
		Selectors: []ipsec.TrafficSelector{{Name: "lan", Source: inside, Destination: outside, Policy: "P"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Apply(policies, 0); err != nil {
		t.Fatal(err)
	}
	s.keyer, err = New(Deps{Database: s.db,
		Send: func(d ike.Datagram) { s.sent = append(s.sent, d) },
		Log:  func(e ike.Event) { s.log = append(s.log, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.keyer.Apply(s.config, nil, 0); err != nil {
		t.Fatal(err)
	}
	return s
}

// talk lets both ends work until neither has anything to say.
func talk(a, b *site, now int64) {
	for range 50 {
		a.keyer.Work(now)
		b.keyer.Work(now)
		if len(a.sent)+len(b.sent) == 0 {
			return
		}
		for _, x := range [][2]*site{{a, b}, {b, a}} {
			for _, d := range x[0].sent {
				x[1].keyer.Datagram(d.Remote, d.Local, d.Bytes, d.Marker)
			}
			x[0].sent = nil
		}
	}
	a.t.Fatal("they talk without end")
}

// failure is what Peers says of the only peer.
func (s *site) failure() *Failure {
	s.t.Helper()
	p := s.keyer.Peers()
	if len(p) != 1 {
		s.t.Fatalf("peers: %+v", p)
	}
	return p[0].Failure
}

func (s *site) initiate(now int64) {
	s.t.Helper()
	if err := s.keyer.Initiate("lan"); err != nil {
		s.t.Fatal(err)
	}
}

const aSecond = int64(time.Second)

func TestAPeerIsShownAsItIsConfiguredWithoutItsSecret(t *testing.T) {
	s := newSite(t, false, func(p *ike.Peer) { p.Passive = true })
	got := s.keyer.Peers()[0]
	if got.Name != "there" || got.Local.String() != "198.51.100.1" || got.Remote.String() != "198.51.100.2" || got.LocalID != "near.example" ||
		got.RemoteID != "far.example" || !got.Passive || !slices.Equal(got.Selectors, []string{"lan"}) || got.Failure != nil {
		t.Errorf("%+v", got)
	}
	anyone := newSite(t, false, func(p *ike.Peer) { p.Remote = netip.IPv4Unspecified() })
	if got := anyone.keyer.Peers()[0]; got.Remote.IsValid() {
		t.Errorf("any address is %v", got.Remote)
	}
}

func TestWhatFailedLastStaysWithItsRemedyUntilItWorks(t *testing.T) {
	for name, c := range map[string]struct {
		wrong     func(*ike.Peer) // of the far end
		near, far string          // in the reasons
		nearSays  string          // in the remedies
		farSays   string
		child     string // whose failure it is, at the near end
	}{
		"a wrong secret": {
			wrong: func(p *ike.Peer) { p.Secret = ike.Secret("another") },
			near:  "AUTHENTICATION_FAILED", far: "pre-shared key", nearSays: "same pre-shared key", farSays: "same pre-shared key",
		},
		"an identity that nobody has": {
			wrong: func(p *ike.Peer) { p.RemoteID = mustID(t, "somebody.example") },
			near:  "AUTHENTICATION_FAILED", far: "no peer is configured for near.example", nearSays: "expects near.example", farSays: "configure a peer",
		},
		"other proposals": {
			wrong: func(p *ike.Peer) { p.Proposals[0].Ciphers = []ike.Cipher{ike.AESGCM256} },
			near:  "NO_PROPOSAL_CHOSEN", far: "NO_PROPOSAL_CHOSEN", nearSays: "configure one of these", farSays: "",
		},
		"other selectors": {
			wrong: func(p *ike.Peer) {
				p.Children[0].Remote[0] = ike.PrefixSelector(netip.MustParsePrefix("10.9.0.0/16"))
			},
			near: "TS_UNACCEPTABLE", far: "TS_UNACCEPTABLE", nearSays: "selector", farSays: "selector", child: "lan",
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := newSite(t, false, nil), newSite(t, true, c.wrong)
			near.initiate(aSecond)
			talk(near, far, aSecond)
			for _, x := range []struct {
				who          string
				f            *Failure
				reason, says string
			}{{"near", near.failure(), c.near, c.nearSays}, {"far", far.failure(), c.far, c.farSays}} {
				if x.f == nil || x.f.Over || x.f.At != aSecond || !strings.Contains(x.f.Reason, x.reason) || x.f.Remedy == "" || !strings.Contains(x.f.Remedy, x.says) {
					t.Errorf("%s: %+v, want %q and %q", x.who, x.f, x.reason, x.says)
				}
			}
			if f := near.failure(); f != nil && f.Child != c.child {
				t.Errorf("it is of child %q, want %q", f.Child, c.child)
			}

			// The far end is set right, and the near one tries again.
			right := newSite(t, true, nil)
			if err := far.keyer.Apply(right.config, nil, 2*aSecond); err != nil {
				t.Fatal(err)
			}
			talk(near, far, 100*aSecond)
			near.initiate(200 * aSecond)
			talk(near, far, 200*aSecond)
			if len(near.db.List(0)) != 2 || len(far.db.List(0)) != 2 {
				t.Fatalf("it is not up:\n%v\n%v", near.log, far.log)
			}
			if a, b := near.failure(), far.failure(); a == nil || !a.Over || b == nil || !b.Over {
				t.Errorf("it works now: near %+v, far %+v", a, b)
			}
			if err := near.keyer.Apply(Config{}, nil, 300*aSecond); err != nil || len(near.keyer.Peers()) != 0 || len(near.keyer.failures) != 0 {
				t.Errorf("without the peer: %v %+v", err, near.keyer.failures)
			}
		})
	}
}

func TestTheSAsOfASelectorAreTerminatedAtBothEnds(t *testing.T) {
	near, far := newSite(t, false, nil), newSite(t, true, nil)
	near.initiate(aSecond)
	talk(near, far, aSecond)
	before := near.db.List(0)
	if len(before) != 2 || len(far.db.List(0)) != 2 {
		t.Fatal("it is not up")
	}
	if err := near.keyer.TerminateChild("lan"); err != nil {
		t.Fatal(err)
	}
	talk(near, far, 2*aSecond)
	if a, b := near.db.List(0), far.db.List(0); len(a)+len(b) != 0 {
		t.Errorf("still there: %+v %+v", a, b)
	}
	if v := near.keyer.View(2 * aSecond); len(v) != 1 || v[0].State != "up" {
		t.Errorf("the IKE SA stays: %+v", v)
	}
	if err := near.keyer.TerminateChild("lam"); err == nil || !strings.Contains(err.Error(), `"lam"`) {
		t.Errorf("a selector that is not there: %v", err)
	}
	near.initiate(3 * aSecond)
	talk(near, far, 3*aSecond)
	if after := near.db.List(0); len(after) != 2 || after[0].SPI == before[0].SPI {
		t.Errorf("and it comes up anew: %+v", after)
	}
}
