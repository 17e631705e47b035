package peers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// noLifetime is longer than any test.
const noLifetime = 3 * time.Hour

// openIKED keeps plain ESP by its option -T, on either side.
func (s *Site) openIKED(h *Host, r Role) daemon {
	option := ""
	if r.Plain {
		option = " -T"
	}
	return daemon{
		files: map[string]string{"iked.conf": s.ikedConf(h, r), "local.key": ecKey()},
		start: "mkdir -p /run/iked; mkdir -p /etc/iked/private; cp /run/local.key /etc/iked/private/local.key; " +
			"setsid /usr/sbin/iked -d -v -f /run/iked.conf -s /run/iked.sock" + option + " >/run/iked.log 2>&1 </dev/null & " +
			waitFor("[ -S /run/iked.sock ]"),
		binary: "iked",
		log:    "/run/iked.log",
	}
}

// ikedConf: a client begins by itself, a gateway waits.
func (s *Site) ikedConf(h *Host, r Role) string {
	lifetime, dpd := r.Lifetime, 0
	if lifetime == 0 {
		lifetime = noLifetime
	}
	if r.DPD > 0 {
		dpd = seconds(r.DPD)
	}
	text := fmt.Sprintf("set dpd_check_interval %d\n", dpd)
	policy := func(name, mode, from, to, local, peer, them string) string {
		return fmt.Sprintf(`ikev2 %q %s esp from %s to %s local %s peer %s \
 ikesa enc aes-128 prf hmac-sha2-256 auth hmac-sha2-256 group modp2048 \
 childsa enc aes-128 auth hmac-sha1 \
 srcid %s dstid %s ikelifetime 3h lifetime %d psk %q
`, name, mode, from, to, local, peer, h.id(), them, seconds(lifetime), secret)
	}
	if h != s.Gateway {
		return text + policy("net", "active", h.InnerNet.String(), s.Gateway.InnerNet.String(),
			h.Address.Addr().String(), s.Gateway.Address.Addr().String(), s.Gateway.id())
	}
	for _, c := range s.Clients[:2] {
		text += policy(c.Name, "passive", h.InnerNet.String(), c.InnerNet.String(), h.Address.Addr().String(), "any", c.id())
	}
	return text
}

// startPin lets an OpenIKED gateway encrypt for each client with that client's
// SA, for as long as its daemon runs. On Linux its policies name no SA (no
// reqid), so the kernel takes the newest SA to the peer's address, and two
// clients on one address get each other's: a matter of the gateway, which no
// router can mend. The guest's agent does it, since between the new SA of a
// rekeying and the end of the old one there are a few milliseconds.
func (s *Site) startPin(ctx context.Context) error {
	var clients strings.Builder
	for _, c := range s.Clients[:2] {
		fmt.Fprintf(&clients, " %s=%v", c.Name, c.InnerNet)
	}
	_, err := s.VM.Exec(ctx, "", fmt.Sprintf("setsid /bin/ip netns exec %s /init pin%s >/run/ns-%[1]s/pin.log 2>&1 </dev/null & true", s.Gateway.Name, clients.String()))
	return err
}

// awaitPin waits until an OpenIKED gateway sends to the client with the
// tunnel's SA, or that SA is gone already.
func (r *Run) awaitPin(ctx context.Context, h *Host, t Tunnel) error {
	if r.Row.Gateway != OpenIKED {
		return nil
	}
	spi := fmt.Sprintf("0x%08x", t.GwOut.SPI)
	_, err := r.VM.Exec(ctx, r.Gateway.Name, waitFor(fmt.Sprintf(
		"ip xfrm policy list dir out dst %v | grep -q %s || ! ip xfrm state | grep -q %[2]s", h.InnerNet, spi)))
	if err != nil {
		said, lerr := r.VM.Exec(ctx, r.Gateway.Name, "ip xfrm policy; cat /run/pin.log")
		return fmt.Errorf("the gateway's policy for %s does not come to SPI %s: %w: %s", h.Name, spi, errors.Join(err, lerr), said)
	}
	return nil
}

// ecKey makes the private key that iked will not start without; with a shared
// secret it is never used.
func ecKey() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "" // iked then says what it misses
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}
