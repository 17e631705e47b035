package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// gatewayOf is a gateway of the first traffic domain; its last port has the
// cable.
func gatewayOf(t *testing.T, c *configs.Config, cable *link.Memory) *gateway {
	t.Helper()
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
	return &gateway{t, ch, ch.Router(0), served(t, v), cable}
}

// others is the end of a tunnel to an example: what is there here, and the other
// way round.
const others = `version = 1
[port.lan]
driver = "raw"
device = "eth0"
[port.wan]
driver = "raw"
device = "eth1"
[vlan.lan]
port = "lan"
addresses = ["10.99.0.1/24"]
[vlan.wan]
port = "wan"
addresses = ["198.51.100.200/24"]
[net.ipsec.peer.gw1]
remote_address = "198.51.100.1"
psk = "correct horse battery staple"
[net.ipsec.policy.to-gw1]
mode = "tunnel"
peer = "gw1"
`

// selectorsOf writes selectors of others: names, then networks there and here.
func selectorsOf(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		w := strings.Fields(line)
		b.WriteString("[net.ipsec.selector." + w[0] + "]\nsource_address = \"" + w[1] + "\"\ndestination_address = \"" + w[2] + "\"\npolicy = \"to-gw1\"\n")
	}
	return b.String()
}

// bringUp brings up a selector and says which suites both ends have.
func bringUp(t *testing.T, here, there *gateway, selector string) string {
	t.Helper()
	if _, err := here.client.InitiateNetIPsec(t.Context(), control.Filter{Name: selector}); err != nil {
		t.Fatal(err)
	}
	of := func(g *gateway, s string) []control.NetIPsecSA {
		return rowsOf(t, g.client.NetIPsecSAs(t.Context(), control.Filter{Selector: s}))
	}
	talk(t, here, there, func() bool { return len(of(here, selector)) == 2 && len(of(there, selector)) == 2 })
	return of(here, selector)[0].Suite + " " + of(there, selector)[0].Suite
}

func TestTheExamplesOfTunnelsComeUp(t *testing.T) {
	for _, c := range []struct {
		name, text, other string
		selectors         []string
	}{
		{"ipsec-tunnel", configs.IPsecTunnel(), selectorsOf("to-remote 10.1.1.0/24 10.2.1.0/24"), []string{"to-remote"}},
		{"ipsec-interface", configs.IPsecInterface(), selectorsOf("networks 10.3.1.0/24 10.2.1.0/24", "my-nat-selector 192.168.15.2/32 10.1.1.0/24"),
			[]string{"networks", "my-nat-selector"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := link.NewPair(frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}, 1500)
			here, there := gatewayOf(t, parsed(t, secretly(c.text)), a), gatewayOf(t, parsed(t, others+c.other), b)
			for _, s := range c.selectors {
				if got := bringUp(t, here, there, s); got != "aes-gcm-128 aes-gcm-128" {
					t.Errorf("%s: %s", s, got)
				}
			}
			if n := len(rowsOf(t, here.client.NetIPsecPeers(t.Context(), control.Filter{}))); n != 1 {
				t.Errorf("%d peers, want one for all policies", n)
			}
		})
	}
}

// With certificates, CBC, an identity that is a subject, one that is a name, and
// one end that may be anywhere.
func TestCertificatesOfTheFileProveWhoTheyAre(t *testing.T) {
	dir := t.TempDir()
	caKey, key := newECDSA(t), newECDSA(t)
	issue(t, dir)
	ca := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "CA 2"}, NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	inPEM(t, dir, "ca2.crt", "CERTIFICATE", der, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: "gw2"}, NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"gw2.example.net"},
	}
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	inPEM(t, dir, "gw2.crt", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	inPEM(t, dir, "gw2.key", "PRIVATE KEY", der, err)

	load := func(text string) *configs.Config {
		path := filepath.Join(dir, "spigate.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, warnings, err := configs.Load(path)
		if err != nil || len(warnings) > 0 {
			t.Fatal(warnings, err)
		}
		return c
	}
	mine := "my_cert_file = \"gw1.crt\"\nmy_cert_key_file = \"gw1.key\"\nca_cert_file = \"ca2.crt\"\npeers_id_value = \"gw2.example.net\"\nphase1_encrypt_algorithm = \"aes128\"\n"
	theirs := "my_cert_file = \"gw2.crt\"\nmy_cert_key_file = \"gw2.key\"\nca_cert_file = \"ca.crt\"\nmy_id_value = \"gw2.example.net\"\npeers_id_value = \"O=Example, CN=gw1\"\nphase1_encrypt_algorithm = \"aes128\"\n"
	cbc := "ike_phase2_encrypt_algorithm = \"aes256\"\nike_phase2_auth_algorithm = \"sha512\"\n"
	text := strings.Replace(configs.IPsecTunnel(), `psk            = "file:gw2.psk"`, mine, 1)
	other := strings.Replace(strings.Replace(others, `psk = "correct horse battery staple"`, theirs, 1), `remote_address = "198.51.100.1"`, `remote_address = "any"`, 1)
	other = strings.Replace(other, "peer = \"gw1\"\n", "peer = \"gw1\"\ntunnel_local_address = \"198.51.100.200\"\n"+cbc, 1)
	a, b := link.NewPair(frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}, 1500)
	here := gatewayOf(t, load(strings.Replace(text, "[net.ipsec.policy.Rio]\n", "[net.ipsec.policy.Rio]\n"+cbc, 1)), a)
	there := gatewayOf(t, load(other+selectorsOf("to-remote 10.1.1.0/24 10.2.1.0/24")), b)
	if got := bringUp(t, here, there, "to-remote"); got != "aes-cbc-256+hmac-sha2-512-256 aes-cbc-256+hmac-sha2-512-256" {
		t.Error(got)
	}
	var ends []string
	for _, r := range []*netstack.Router{here.router, there.router} {
		ends = append(ends, r.Keying().View(0)[0].Identity)
	}
	if diff := cmp.Diff([]string{"gw2.example.net", "O=Example, CN=gw1"}, ends); diff != "" {
		t.Errorf("who the other ends are (-want +got):\n%s", diff)
	}
	if q := there.router.IPsec().Policies(); len(q.Locals()) != 1 || q.Locals()[0] != netip.MustParseAddr("198.51.100.200") {
		t.Error("no listener")
	}
}

func newECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
