package wire

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/configs"
	"spigate/netstack/vserver"
)

// reloaded is the example with replacements in its text.
func reloaded(t *testing.T, replace ...string) *configs.Config {
	t.Helper()
	text := strings.NewReplacer(replace...).Replace(configs.IPsecPassthrough())
	c, _, err := configs.Parse("example.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatTakesARestartIsNamed(t *testing.T) {
	was := reloaded(t)
	for _, tc := range []struct{ name, from, to, want string }{
		{"nothing", "version = 1", "version = 1", ""},
		{"a gate timeout", `esp_gate_timeout    = "20s"`, `esp_gate_timeout = "3s"`, ""},
		{"a group without its profile", `ipsecalg_profile = "IPSECALGPROFILE-1"`, "", ""},
		{"a pool", "203.0.113.3-203.0.113.9", "203.0.113.3", ""},
		{"a port and an address", "eth0", "eth7", "port, vlan"},
		{"a route", "203.0.113.254", "203.0.113.253", "route"},
		{"the name", "gw1", "gw2", "system"},
		{"a virtual server", "version = 1\n", "version = 1\n[ltm.virtual.v]\ndestination = \"any:any\"\nip_forward = true\n", ""},
		{"a variable", "version = 1\n", "version = 1\nsys.db.tm.rejectunmatched = false\n", ""},
		{"a size", "version = 1\n", "version = 1\nlimits.connections = 1000\n", "limits"},
		{"a user of the pages", "version = 1\n", "version = 1\n" + webUser, ""},
		{"how long a session lasts", "version = 1\n", "version = 1\nweb.session_timeout = \"1h\"\n", ""},
		{"where the pages are", "version = 1\n", "version = 1\n[control]\nhttp = \":8443\"\n" + webUser, "control, web"},
		{"what is offloaded", "version = 1\n", "version = 1\noffload.after = 1\n", "offload"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(fixedChanges(was, reloaded(t, tc.from, tc.to)), ", "); got != tc.want {
				t.Errorf("tables %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAReloadedProfileIsTheOneThatIsShownAndUsed(t *testing.T) {
	c := reloaded(t)
	d := &Daemon{views: newViews(c), chassis: newOperated(t).router.Chassis, log: silent}
	if err := d.Reload(reloaded(t, `"40m"`, `"10m"`)); err != nil {
		t.Fatal(err)
	}
	if got := d.views.config.Load().ALG[0].ESPSessionTimeout.Minutes(); got != 10 {
		t.Errorf("shown: %v minutes", got)
	}
}

func TestReloadedPoolsAreThoseOfTheRouterAtOnce(t *testing.T) {
	c := reloaded(t)
	r := newOperated(t).router
	d := &Daemon{views: newViews(c), chassis: r.Chassis, log: silent}
	if err := d.Reload(reloaded(t, "203.0.113.3-203.0.113.9", "203.0.113.3-203.0.113.5")); err != nil {
		t.Fatal(err)
	}
	if n := len(r.LSN().Addresses()); n != 3 {
		t.Errorf("%d NAT addresses, want 3", n)
	}
	err := d.Reload(reloaded(t, "203.0.113.3-203.0.113.9", "203.0.113.3", "gw1", "gw2"))
	if err == nil || !strings.Contains(err.Error(), "system: changed in the file") {
		t.Errorf("a changed name: %v", err)
	}
	if n := len(r.LSN().Addresses()); n != 3 {
		t.Errorf("a refused reload left %d NAT addresses", n)
	}
}

func TestReloadedListenersAreThoseOfTheRouterAtOnce(t *testing.T) {
	o := operatedBy(t, configs.Office())
	d := &Daemon{views: newViews(o.config), chassis: o.router.Chassis, log: silent}
	names := func() (out []string) {
		for _, l := range o.router.Connections().Listeners().All() {
			if l.Kind != vserver.KindSelf {
				out = append(out, l.Kind.String()+" "+l.Name)
			}
		}
		return out
	}
	before := names()
	if want := "virtual server servers-tcp, virtual server staff-out, virtual server no-mail, virtual server no-inside, virtual server no-guests, " +
		"nat mail, snat servers, lsn group guests"; strings.Join(before, ", ") != want {
		t.Errorf("at the start %v, want %s", before, want)
	}
	text := configs.Office()
	i, j := strings.Index(text, "[ltm.virtual.no-mail]"), strings.Index(text, "# staff-out, the SNAT")
	text = strings.Replace(text[:i]+text[j:], "[ltm.nat.mail]", "[ltm.nat.post]", 1)
	if err := d.Reload(parsed(t, text)); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(names(), ", "), "virtual server servers-tcp, virtual server staff-out, virtual server no-inside, virtual server no-guests, "+
		"nat post, snat servers, lsn group guests"; got != want {
		t.Errorf("reloaded %s, want %s", got, want)
	}
}

func TestReloadedTunnelsAreThoseOfTheRouterAtOnce(t *testing.T) {
	text := secretly(configs.IPsecInterface())
	o := operatedBy(t, text)
	d := &Daemon{views: newViews(o.config), chassis: o.router.Chassis, log: silent}
	selectors := func() (out []string) {
		for _, s := range o.router.IPsec().Policies().Selectors() {
			out = append(out, s.Name)
		}
		return out
	}
	if got := strings.Join(selectors(), " "); got != "my-nat-selector networks" {
		t.Errorf("at the start %s", got)
	}
	more := text + "[net.ipsec.selector.more]\nsource_address = \"10.1.1.0/24\"\ndestination_address = \"10.7.0.0/16\"\npolicy = \"Rio\"\n"
	if err := d.Reload(parsed(t, strings.Replace(more, "correct horse", "another horse", 1))); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(selectors(), " "); got != "more my-nat-selector networks" {
		t.Errorf("reloaded %s", got)
	}
	err := d.Reload(parsed(t, strings.Replace(more, `["10.9.0.1/30"]`, `["10.9.0.5/30"]`, 1)))
	if err == nil || !strings.HasPrefix(err.Error(), "net.tunnel: changed in the file") {
		t.Errorf("another address of a tunnel: %v", err)
	}
	err = d.Reload(parsed(t, strings.Replace(more, `tunnel = "ipsec-tunnel"`, `via = "198.51.100.200"`, 1)))
	if err == nil || !strings.HasPrefix(err.Error(), "route: changed in the file") {
		t.Errorf("a route elsewhere: %v", err)
	}
}

// SAs end when their peer changes: a file that is read again must not look like
// a change.
func TestAFileThatIsReadTwiceHasTheSamePeers(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir)
	text := strings.Replace(configs.IPsecInterface(), `psk            = "file:gw2.psk"`, "my_cert_file = \"gw1.crt\"\nmy_cert_key_file = \"gw1.key\"\nca_cert_file = \"ca.crt\"\npeers_id_value = \"gw2.example.net\"", 1)
	for _, text := range []string{secretly(configs.IPsecTunnel()), text} {
		path := filepath.Join(dir, "spigate.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		first, _, err := configs.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := configs.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		one, two := keyingConfig(first, 0), keyingConfig(again, 0)
		if len(one.Peers) != 1 || !reflect.DeepEqual(one, two) {
			t.Errorf("%d peers, and another file:\n%s", len(one.Peers), cmp.Diff(one, two, same()))
		}
		if _, faults := Check(first, time.Unix(1<<31, 0)); len(faults) > 0 {
			t.Errorf("they are refused: %v", faults)
		}
	}
}

// issue writes an authority, and a certificate of gw1.example.net with its key.
func issue(t *testing.T, dir string) {
	t.Helper()
	caKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Unix(1<<31+86400, 0), IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "gw1", Organization: []string{"Example"}}, NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	inPEM(t, dir, "ca.crt", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, caKey.Public(), caKey)
	inPEM(t, dir, "gw1.crt", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(caKey)
	inPEM(t, dir, "gw1.key", "PRIVATE KEY", der, err)
}

func inPEM(t *testing.T, dir, name, kind string, der []byte, err error) {
	t.Helper()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCertificatesThatEndAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir)
	const proof = "my_cert_file = \"gw1.crt\"\nmy_cert_key_file = \"gw1.key\"\nca_cert_file = \"ca.crt\"\nmy_id_value = "
	path := filepath.Join(dir, "spigate.toml")
	for _, c := range []struct {
		id   string
		now  int64
		want string
	}{
		{`"CN=gw1"`, 1 << 30, `the certificate of "CN=gw1,O=Example" is not for the identity`},
		{`"O=Example, CN=gw1"`, 1 << 30, ""},
		{`"O=Example, CN=gw1"`, 1<<31 - 28*86400, `the certificate of "CN=CA" ends on 2038-01-20: renew it`},
		{`"O=Example, CN=gw1"`, 1<<31 + 2*86400, `the certificate of "CN=CA" ended on 2038-01-20: nobody will take it; renew it, or set the clock`},
		{`"O=Example, CN=gw1"`, -1 << 36, `the certificate of "CN=CA" begins on 0001-01-01 only: is the clock right?`},
	} {
		text := strings.Replace(configs.IPsecTunnel(), `psk            = "file:gw2.psk"`, proof+c.id, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		config, _, err := configs.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		warnings, faults := Check(config, time.Unix(c.now, 0))
		got := ""
		if len(warnings) > 0 {
			got = warnings[0].Text
		}
		if len(faults) > 0 {
			got = faults[0].Error()
			if !strings.Contains(got, "spigate.toml:40:") {
				t.Errorf("not where the peer is: %s", got)
			}
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s at %d: %q, want %q", c.id, c.now, got, c.want)
		}
	}
}
