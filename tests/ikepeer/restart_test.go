package ikepeer

import (
	"os"
	"path/filepath"
	"testing"

	"spigate/netstack/ipsec/ike"
)

// strongSwan is killed and begins anew: INITIAL_CONTACT ends what was left.
func TestStrongSwanRestarts(t *testing.T) {
	if !asked(t) {
		return
	}
	i, e := modern()
	conf := swanctl("aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "auth = psk", pskSecret)
	p := newPlace(t, conf, nil, pskPeer(t, "correct horse", i, e))
	p.up()
	p.traffic()
	old := p.node.Children()[0]
	if err := p.swan.process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	<-p.swan.process.Done()
	if err := os.Remove(filepath.Join(p.swan.dir, "charon.vici")); err != nil {
		t.Fatal(err)
	}
	again, err := StartStrongSwan(p.ctx, p.there, p.swan.root, p.swan.dir, conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.swan = again
	if out, err := p.swan.Ctl(p.ctx, "--initiate --child net --timeout 30"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.becomes(ike.ChildUp, 2)
	p.becomes(ike.ChildDown, 1)
	p.traffic()
	if now := p.node.Children(); len(now) != 1 || now[0] == old {
		t.Fatalf("children %x, before %x", now, old)
	}
}

// Rekeying from both sides at the same moment, again and again.
func TestBothSidesRekeyAtOnce(t *testing.T) {
	if !asked(t) {
		return
	}
	i, e := modern()
	p := newPlace(t, swanctl("aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "auth = psk", pskSecret), nil, pskPeer(t, "correct horse", i, e))
	p.up()
	for range 5 {
		done := make(chan error, 1)
		go func() {
			_, err := p.swan.Ctl(p.ctx, "--rekey --child net")
			done <- err
		}()
		for _, in := range p.node.Children() {
			p.node.Do(func(now int64) []ike.Action { return p.node.engine.RekeyChild(in, now) })
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.traffic()
		p.node.Do(func(now int64) []ike.Action { return p.node.engine.Rekey("swan", now) })
		p.traffic()
	}
	// One that meets a busy strongSwan (TEMPORARY_FAILURE) is put off, and
	// those asked for meanwhile are one with it.
	p.becomes(ike.IKERekeyed, 1)
	p.traffic()
	if p.events(ike.IKEDown) != 0 || p.events(ike.IKEUp) != 1 || p.events(ike.PeerDead) != 0 {
		t.Fatal("the IKE SA was lost")
	}
}
