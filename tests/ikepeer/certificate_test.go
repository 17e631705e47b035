package ikepeer

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"spigate/netstack/ipsec/ike"
)

// certificates plays the tunnel with certificates, begun by both ends. RSA
// ones make IKE_AUTH so long that it goes in fragments.
func certificates(t *testing.T, rsa bool) {
	if !asked(t) {
		return
	}
	a, err := NewAuthority(rsa, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := a.Issue("gw.example")
	if err != nil {
		t.Fatal(err)
	}
	files, err := a.Files(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	own, ownKey, err := a.Issue("us.example")
	if err != nil {
		t.Fatal(err)
	}
	i, e := modern()
	peer := pskPeer(t, "", i, e)
	peer.LocalAuth, peer.RemoteAuth = ike.Certificate, ike.Certificate
	peer.Chain, peer.Key, peer.Authorities = []*x509.Certificate{own}, ownKey, []*x509.Certificate{a.Cert}
	p := newPlace(t, swanctl("aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "auth = pubkey\ncerts = gw.pem", ""), files, peer)
	p.up()
	p.traffic()
	p.node.Do(func(now int64) []ike.Action { return p.node.engine.Close("swan", now) })
	p.becomes(ike.IKEDown, 1)
	if out, err := p.swan.Ctl(p.ctx, "--initiate --child net --timeout 30"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.becomes(ike.ChildUp, 2)
	p.traffic()
	if split := strings.Contains(p.swan.Log(), "IKE_AUTH request 1 [ EF(1/"); split != rsa {
		t.Fatalf("IKE_AUTH went in fragments: %v; want %v", split, rsa)
	}
}

func TestECDSACertificates(t *testing.T) { certificates(t, false) }
func TestRSACertificates(t *testing.T)   { certificates(t, true) }

func TestAProposalAndASelectorThatDoNotFitAreNamed(t *testing.T) {
	if !asked(t) {
		return
	}
	i, e := modern()
	p := newPlace(t, swanctl("aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "auth = psk", pskSecret), nil, pskPeer(t, "correct horse", i, e))
	// strongSwan offers other selectors than are configured here.
	other := strings.ReplaceAll(swanctl("aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "auth = psk", pskSecret), "10.72.0.0/24", "10.99.0.0/24")
	p.reload(other)
	p.swan.Ctl(p.ctx, "--initiate --child net --timeout 5") // fails, and we say why
	p.wait("selectors", func(v ike.Event) bool {
		return v.Kind == ike.ChildFailed && strings.Contains(v.Reason, "10.99.0.0/24") && strings.Contains(v.Reason, "10.72.0.0/24")
	})
	p.reload(swanctl("aes128gcm16-prfsha256-x25519", "aes128-sha256", "auth = psk", pskSecret))
	p.swan.Ctl(p.ctx, "--terminate --ike v2")
	p.swan.Ctl(p.ctx, "--initiate --child net --timeout 5")
	p.wait("the child's proposal", func(v ike.Event) bool {
		return v.Kind == ike.ChildFailed && strings.Contains(v.Reason, "offers aes128-cbc-sha256") && strings.Contains(v.Reason, "configured is aes256-gcm-ecp256")
	})
	p.reload(swanctl("aes256-sha512-modp4096", "aes128-sha256", "auth = psk", pskSecret))
	p.swan.Ctl(p.ctx, "--terminate --ike v2")
	p.swan.Ctl(p.ctx, "--initiate --child net --timeout 5")
	p.wait("the proposal", func(v ike.Event) bool {
		return v.Kind == ike.IKEFailed && strings.Contains(v.Reason, "aes256-cbc-sha512-prfsha512-modp4096")
	})
}
