package ikepeer

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spigate/netstack/ipsec/ike"
	"spigate/tests/netns"
)

var (
	theirs = netip.MustParseAddr("198.51.100.1")
	ours   = netip.MustParseAddr("198.51.100.2")
)

// place is a daemon and a node at the two ends of a cable.
type place struct {
	t     *testing.T
	ctx   context.Context
	swan  *StrongSwan
	node  *Node
	there *netns.Namespace
}

// asked reports whether the test was asked for: it downloads packages.
func asked(t *testing.T) bool {
	if os.Getenv("SPIGATE_PEERS") != "1" {
		t.Log("the part with a real daemon was not asked for (SPIGATE_PEERS=1)")
		return false
	}
	if !netns.Root() {
		t.Fatal("network namespaces need root")
	}
	return true
}

func cache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "spigate-ikepeer")
}

func newPlace(t *testing.T, swanctl string, files map[string][]byte, peer ike.Peer) *place {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	root, err := Unpack(ctx, cache(t))
	if err != nil {
		t.Fatal(err)
	}
	lab := netns.For(t)
	p := &place{t: t, ctx: ctx}
	ns := func(name string) *netns.Namespace {
		n, err := lab.Namespace(name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	p.there = ns("strongswan")
	here := ns("node")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(lab.Wire(netns.End{In: p.there, Device: "eth0"}, netns.End{In: here, Device: "eth0"}))
	must(p.there.Address("eth0", netip.PrefixFrom(theirs, 24)))
	must(p.there.Address("lo", netip.MustParsePrefix("10.71.0.1/24")))
	must(here.Address("eth0", netip.PrefixFrom(ours, 24)))
	p.swan, err = StartStrongSwan(ctx, p.there, root, t.TempDir(), swanctl, files)
	must(err)
	p.node, err = Start(here, ours, ike.Config{Peers: []ike.Peer{peer}, Random: rand.Reader, Date: time.Now})
	must(err)
	t.Cleanup(func() {
		p.node.Stop()
		if err := p.swan.Stop(); err != nil {
			t.Log(err)
		}
		if t.Failed() {
			for _, v := range p.node.Events() {
				t.Log(v.String())
			}
			t.Log(p.swan.Log())
		}
	})
	return p
}

func prefix(s string) []ike.Selector {
	return []ike.Selector{ike.PrefixSelector(netip.MustParsePrefix(s))}
}

func identity(t *testing.T, s string) ike.Identity {
	t.Helper()
	id, err := ike.ParseIdentity(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func pskPeer(t *testing.T, secret string, p ike.Proposal, esp ike.Proposal) ike.Peer {
	return ike.Peer{Name: "swan", Local: ours, Remote: theirs, LocalID: identity(t, "us.example"), RemoteID: identity(t, "gw.example"),
		LocalAuth: ike.PSK, RemoteAuth: ike.PSK, Secret: ike.Secret(secret), Proposals: []ike.Proposal{p},
		Children: []ike.Child{{Name: "net", Local: prefix("10.72.0.0/24"), Remote: prefix("10.71.0.0/24"), Proposals: []ike.Proposal{esp}}}}
}

func swanctl(ike, esp, auth, more string) string {
	return fmt.Sprintf(`connections { v2 {
	version = 2
	local_addrs = %v
	remote_addrs = %v
	proposals = %s
	local { id = gw.example
		%s }
	remote { id = us.example
		%s }
	children { net { local_ts = 10.71.0.0/24
		remote_ts = 10.72.0.0/24
		esp_proposals = %s } } } }
%s
`, theirs, ours, ike, auth, strings.ReplaceAll(auth, "certs = gw.pem", "cacerts = ca.pem"), esp, more)
}

const pskSecret = `secrets { ike-1 { secret = "correct horse" } }`

// traffic sends a datagram from behind strongSwan through the tunnel and
// wants it back: the node's ESP answers.
func (p *place) traffic() {
	p.t.Helper()
	err := p.there.Do(func() error {
		c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.71.0.1:0")), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.72.0.9:7")))
		if err != nil {
			return err
		}
		defer c.Close()
		buf := make([]byte, 100)
		for range 20 {
			if _, err := c.Write([]byte("through the tunnel")); err != nil {
				return err
			}
			c.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := c.Read(buf); err == nil && string(buf[:n]) == "through the tunnel" {
				return nil
			}
		}
		return fmt.Errorf("no echo")
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) wait(what string, match func(ike.Event) bool) {
	p.t.Helper()
	if err := p.node.Wait(p.ctx, match); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

func (p *place) up() {
	p.t.Helper()
	p.node.Do(func(now int64) []ike.Action {
		out, err := p.node.engine.Initiate("swan", "net", now)
		if err != nil {
			p.t.Error(err)
		}
		return out
	})
	p.wait("the tunnel comes up", func(v ike.Event) bool { return v.Kind == ike.ChildUp })
}

func (p *place) events(k ike.EventKind) int {
	n := 0
	for _, v := range p.node.Events() {
		if v.Kind == k {
			n++
		}
	}
	return n
}

// becomes waits until as many events of a kind were logged.
func (p *place) becomes(k ike.EventKind, n int) {
	p.t.Helper()
	if err := netns.Poll(p.ctx, 20*time.Millisecond, func() bool { return p.events(k) >= n }); err != nil {
		p.t.Fatalf("%d events %v; want %d", p.events(k), k, n)
	}
}

func modern() (ike.Proposal, ike.Proposal) {
	return ike.Proposal{Ciphers: []ike.Cipher{ike.AESGCM128}, PRFs: []ike.PRF{ike.PRFSHA256}, Groups: []ike.Group{ike.X25519}},
		ike.Proposal{Ciphers: []ike.Cipher{ike.AESGCM256}, Groups: []ike.Group{ike.ECP256}}
}

func TestWeBeginAndBothSidesRekey(t *testing.T) {
	if !asked(t) {
		return
	}
	i, e := modern()
	p := newPlace(t, swanctl("aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "auth = psk", pskSecret), nil, pskPeer(t, "correct horse", i, e))
	p.up()
	p.traffic()
	// We rekey the child, then the IKE SA, then strongSwan does both.
	in := p.node.Children()[0]
	p.node.Do(func(now int64) []ike.Action { return p.node.engine.RekeyChild(in, now) })
	p.becomes(ike.ChildUp, 2)
	p.becomes(ike.ChildDown, 1)
	p.traffic()
	p.node.Do(func(now int64) []ike.Action { return p.node.engine.Rekey("swan", now) })
	p.becomes(ike.IKERekeyed, 1)
	for _, what := range []string{"--rekey --child net", "--rekey --ike v2"} {
		if out, err := p.swan.Ctl(p.ctx, what); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	p.becomes(ike.ChildUp, 3)
	p.becomes(ike.ChildDown, 2)
	p.becomes(ike.IKERekeyed, 2)
	p.traffic()
	if n := p.events(ike.ChildFailed) + p.events(ike.IKEFailed); n != 0 || len(p.node.Children()) != 1 {
		t.Fatalf("%d failures, %d children", n, len(p.node.Children()))
	}
}

func TestStrongSwanBegins(t *testing.T) {
	if !asked(t) {
		return
	}
	i := ike.Proposal{Ciphers: []ike.Cipher{ike.AESCBC256}, Integrity: []ike.Integrity{ike.HMACSHA384}, PRFs: []ike.PRF{ike.PRFSHA384}, Groups: []ike.Group{ike.MODP2048}}
	e := ike.Proposal{Ciphers: []ike.Cipher{ike.AESCBC128}, Integrity: []ike.Integrity{ike.HMACSHA256}}
	// Its first group is another one: INVALID_KE_PAYLOAD is played too.
	p := newPlace(t, swanctl("aes256-sha384-prfsha384-ecp384-modp2048", "aes128-sha256", "auth = psk", pskSecret), nil, pskPeer(t, "correct horse", i, e))
	if out, err := p.swan.Ctl(p.ctx, "--initiate --child net --timeout 30"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.wait("the tunnel comes up", func(v ike.Event) bool { return v.Kind == ike.ChildUp })
	p.traffic()
	if out, err := p.swan.Ctl(p.ctx, "--terminate --ike v2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.becomes(ike.IKEDown, 1)
	if len(p.node.Children()) != 0 {
		t.Fatal("a child is left")
	}
}

func TestAWrongSecretIsNamed(t *testing.T) {
	if !asked(t) {
		return
	}
	i, e := modern()
	p := newPlace(t, swanctl("aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "auth = psk", pskSecret), nil, pskPeer(t, "wrong horse", i, e))
	p.node.Do(func(now int64) []ike.Action {
		out, _ := p.node.engine.Initiate("swan", "net", now)
		return out
	})
	p.wait("we hear of it", func(v ike.Event) bool {
		return v.Kind == ike.IKEFailed && strings.Contains(v.Reason, "AUTHENTICATION_FAILED") && strings.Contains(v.Remedy, "pre-shared key")
	})
	p.swan.Ctl(p.ctx, "--initiate --child net --timeout 5") // fails, and we say why
	p.becomes(ike.IKEFailed, 2)
	if v := p.node.Events(); !strings.Contains(v[len(v)-1].Remedy, "pre-shared key") {
		t.Fatal(v[len(v)-1].String())
	}
}

// reload gives strongSwan another configuration.
func (p *place) reload(swanctl string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.swan.dir, "swanctl.conf"), []byte(swanctl), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if out, err := p.swan.Ctl(p.ctx, "--load-all --file "+p.swan.dir+"/swanctl.conf"); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}
