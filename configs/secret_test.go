package configs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// folder is where a test has its configuration and the files that it names.
type folder struct {
	t    *testing.T
	path string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (d folder) write(name, content string, mode os.FileMode) {
	d.t.Helper()
	path := filepath.Join(d.path, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		d.t.Fatal(err)
	}
}

// load loads a text from the folder; the folder's name is left out of messages.
func (d folder) load(text string, mode os.FileMode) (*Config, []string) {
	d.t.Helper()
	d.write("spigate.toml", text, mode)
	c, warnings, err := Load(filepath.Join(d.path, "spigate.toml"))
	var out []string
	add := func(m string) {
		out = append(out, strings.SplitN(strings.ReplaceAll(m, d.path+"/", ""), ":", 4)[3][1:])
	}
	for _, f := range Faults(err) {
		add(f.Error())
	}
	for _, w := range warnings {
		add(w.String())
	}
	return c, out
}

// inFile is tunnelled with the secrets of gw2 and of an SA in files.
func inFile() string {
	text := strings.Replace(tunnelled, `psk = "correct horse battery staple"`, `psk = "file:keys/gw2.psk"`, 1)
	i := strings.Index(text, "encrypt_key = ")
	return text[:i] + strings.Replace(text[i:], `"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"`, `"file:out1.key"`, 1)
}

const octets32 = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func TestSecretsAreReadFromFiles(t *testing.T) {
	const psk, key = "net.ipsec.peer.gw2.psk: ", "net.ipsec.manual_sa.out1.encrypt_key: "
	const absent = "there is no such file: put "
	for _, c := range []struct {
		name     string
		psk, key string
		mode     os.FileMode
		want     []string
	}{
		{"as they should be", "correct horse battery staple\n", octets32 + "\n", 0o600, nil},
		{"readable by a group", "correct horse battery staple", octets32, 0o640, nil},
		{"readable by everybody", "correct horse battery staple", octets32, 0o644, []string{
			psk + "warning: keys/gw2.psk: everybody on this machine may read or change the pre-shared key (mode 0644): chmod o-rwx, or 0600",
			key + "warning: out1.key: everybody on this machine may read or change the key (mode 0644): chmod o-rwx, or 0600"}},
		{"empty", "\n", "", 0o600, []string{psk + "keys/gw2.psk is empty: the pre-shared key is wanted there", key + "out1.key is empty: the key is wanted there"}},
		{"not there", "-", "-", 0o600, []string{
			psk + "keys/gw2.psk: " + absent + "the pre-shared key there (a check of this file elsewhere needs it, too)",
			key + "out1.key: " + absent + "the key there (a check of this file elsewhere needs it, too)"}},
		{"too long", "correct horse battery staple", strings.Repeat("0", maxFile+1), 0o600, []string{key + "out1.key: has more than 65536 bytes: the key is wanted there"}},
		{"a key that is none", "correct horse battery staple", "swordfish", 0o600, []string{
			key + "is not hexadecimal: aes256 needs a key of 32 bytes: 0x and 64 hexadecimal digits, here or in a file (file:PATH)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newFolder(t)
			if err := os.Mkdir(filepath.Join(d.path, "keys"), 0o700); err != nil {
				t.Fatal(err)
			}
			if c.psk != "-" {
				d.write("keys/gw2.psk", c.psk, c.mode)
				d.write("out1.key", c.key, c.mode)
			}
			got, messages := d.load(inFile(), 0o600)
			if diff := cmp.Diff(c.want, messages); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if got == nil {
				return
			}
			if s := string(got.IPsec.Peers[0].PSK.Octets()); s != "correct horse battery staple" {
				t.Errorf("the pre-shared key is %q", s)
			}
			if k := hex.EncodeToString(got.IPsec.Manual[0].EncryptKey.Octets()); "0x"+k != octets32 {
				t.Errorf("the key is %s", k)
			}
		})
	}
}

func TestWhatIsNoFileIsNotRead(t *testing.T) {
	d := newFolder(t)
	if err := os.Mkdir(filepath.Join(d.path, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(d.path, "keys", "gw2.psk"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.write("out1.key", octets32, 0o600)
	_, got := d.load(inFile(), 0o600)
	if diff := cmp.Diff([]string{"net.ipsec.peer.gw2.psk: keys/gw2.psk: is not a regular file: the pre-shared key is wanted there"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestASecretInAFileThatEverybodyReadsIsWarnedOf(t *testing.T) {
	text := strings.Split(tunnelled, "[net.ipsec.peer.gw3]")[0]
	text = strings.Replace(text, "\n[route.\"10.8.0.0/16\"]\ntunnel = \"ipsec-tunnel\"\n", "\n", 1)
	want := []string{
		"net.ipsec.peer.gw2: warning: no policy names it: it is not spoken to",
		"net.ipsec.peer.gw2.psk: warning: everybody on this machine may read this file and the pre-shared key in it (mode 0644): chmod o-rwx, or write it as file:PATH",
	}
	_, got := newFolder(t).load(text, 0o644)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, got = newFolder(t).load(text, 0o640); len(got) != 1 {
		t.Errorf("of a file that everybody cannot read: %q", got)
	}
}

func TestParseReadsNoOtherFile(t *testing.T) {
	c, messages := parse(inFile())
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	if c.IPsec.Peers[0].PSK.Known() || c.IPsec.Manual[0].EncryptKey.Known() || !c.IPsec.Peers[1].PSK.Known() {
		t.Error("a secret from a file, or none from the text")
	}
}

// holder has a configuration in a field that fmt cannot ask.
type holder struct{ hidden *Config }

func TestSecretsAreNotPrinted(t *testing.T) {
	d := newFolder(t)
	d.issue(t)
	text := strings.Replace(tunnelled, `psk = "correct horse battery staple"`, `my_cert_file = "gw1.crt"
my_cert_key_file = "gw1.key"
ca_cert_file = "ca.crt"`, 1)
	c, messages := d.load(text, 0o600)
	if c == nil {
		t.Fatal(messages)
	}
	key := c.IPsec.Peers[0].Key.Signer().(*ecdsa.PrivateKey)
	raw, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	scalar := new(big.Int).SetBytes(raw)
	never := []string{
		"correct horse", hex.EncodeToString([]byte("correct horse")), "99 111 114 114", "0x63, 0x6f, 0x72", "Y29ycmVjdC",
		"000102030405", "0 1 2 3 4 5 6 7", "0x0, 0x1, 0x2, 0x3", "AAECAwQFBgc", scalar.String(), hex.EncodeToString(raw[:8]),
	}
	h := holder{c}
	everything := cmp.Exporter(func(reflect.Type) bool { return true })
	changed := *c.IPsec.Peers[1]
	changed.PSK = newSecret([]byte("correct horse battery"))
	if diff := cmp.Diff(*c.IPsec.Peers[1], changed, everything, cmpopts.EquateComparable(netip.Addr{})); diff == "" || strings.Contains(diff, "horse") {
		t.Errorf("the difference of two secrets is told as %q", diff)
	}
	for _, v := range []any{c, *c, h, &h, c.IPsec, *c.IPsec.Peers[0], *c.IPsec.Peers[1], *c.IPsec.Manual[0], c.IPsec.Peers[1].PSK, &c.IPsec.Peers[1].PSK, c.IPsec.Peers[0].Key} {
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T as JSON: %v", v, err)
		}
		for _, text := range []string{
			fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%x", v), fmt.Sprintf("%q", v), fmt.Sprintf("%s", v), fmt.Sprintf("%d", v), string(asJSON),
			cmp.Diff(v, nil, everything),
		} {
			for _, secret := range never {
				if strings.Contains(text, secret) {
					t.Fatalf("%T is printed with its secret (%s)", v, secret)
				}
			}
		}
	}
}

func TestSecretsAreNotInFaults(t *testing.T) {
	const secret = "0xdeadbeefdeadbeef"
	text := strings.Replace(tunnelled, octets32, secret, 1)
	text = strings.Replace(text, `psk = "correct horse battery staple"`, `psk = "hush"`, 1)
	_, messages := parse(text)
	if len(messages) != 2 {
		t.Fatal(messages)
	}
	for _, m := range messages {
		if strings.Contains(m, "deadbeef") || strings.Contains(m, "hush") {
			t.Errorf("a message tells the secret: %s", m)
		}
	}
}

// issue writes an authority, a certificate for gw1.example.net with its key in
// each form, and files that are wrong in one way each.
func (d folder) issue(t *testing.T) {
	t.Helper()
	caKey, key := newKey(t), newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Unix(1<<32, 0), IsCA: true, BasicConstraintsValid: true,
	}
	caDER := certify(t, ca, ca, caKey.Public(), caKey)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "gw1"}, NotAfter: time.Unix(1<<32, 0), DNSNames: []string{"gw1.example.net"},
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs8 := func(k any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	ec, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	d.write("ca.crt", block("CERTIFICATE", caDER), 0o644)
	d.write("gw1.crt", block("CERTIFICATE", certify(t, leaf, ca, key.Public(), caKey)), 0o644)
	d.write("gw1.key", block("PRIVATE KEY", pkcs8(key)), 0o600)
	d.write("ec.key", block("EC PRIVATE KEY", ec), 0o600)
	d.write("other.key", block("PRIVATE KEY", pkcs8(caKey)), 0o600)
	d.write("locked.key", block("ENCRYPTED PRIVATE KEY", ec), 0o600)
	d.write("broken.key", block("PRIVATE KEY", []byte("no key")), 0o600)
	d.write("broken.crt", block("CERTIFICATE", []byte("no certificate")), 0o644)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	d.write("short.key", block("PRIVATE KEY", pkcs8(short)), 0o600)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certify(t *testing.T, c, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCertificatesAreReadFromFiles(t *testing.T) {
	d := newFolder(t)
	d.issue(t)
	const at = "net.ipsec.peer.gw2."
	for _, c := range []struct{ name, crt, key, ca, id, want string }{
		{"as they should be", "gw1.crt", "gw1.key", "ca.crt", "", ""},
		{"a key in the older form, and file: before the paths", "file:gw1.crt", "file:ec.key", "file:ca.crt", "gw1.example.net", ""},
		{"another's key", "gw1.crt", "other.key", "ca.crt", "", at + `my_cert_key_file: is not the key of the first certificate in my_cert_file, which is for "CN=gw1"`},
		{"a key with a password", "gw1.crt", "locked.key", "ca.crt", "", at + "my_cert_key_file: the key is encrypted, and nobody is there to type its password: decrypt it with openssl pkey, and chmod it 0600"},
		{"a key that is none", "gw1.crt", "broken.key", "ca.crt", "", at + "my_cert_key_file: the private key cannot be read: openssl pkey writes one that can"},
		{"a certificate for a key", "gw1.crt", "gw1.crt", "ca.crt", "", at + "my_cert_key_file: warning: gw1.crt: everybody on this machine may read or change the key of our certificate (mode 0644): chmod o-rwx, or 0600"},
		{"an RSA key that is short", "gw1.crt", "short.key", "ca.crt", "", at + "my_cert_key_file: the RSA key has less than 2048 bits: make another one, or one of ECDSA"},
		{"a certificate that is none", "broken.crt", "gw1.key", "ca.crt", "", at + "my_cert_file: certificate 1 of the file: x509: malformed certificate"},
		{"no certificate of an authority", "gw1.crt", "gw1.key", "gw1.key", "", at + "ca_cert_file: the file has no certificate in PEM form (-----BEGIN CERTIFICATE-----)"},
		{"a name that the certificate lacks", "gw1.crt", "gw1.key", "ca.crt", "gw2.example.net", at + `my_id_value: the certificate in my_cert_file is not for "gw2.example.net"; its names are gw1.example.net`},
		{"a file that is not there", "gw1.crt", "gw1.key", "ca.pem", "", at + "ca_cert_file: ca.pem: there is no such file: put the certificate of the authority that signed the other end's there (a check of this file elsewhere needs it, too)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := fmt.Sprintf("my_cert_file = %q\nmy_cert_key_file = %q\nca_cert_file = %q", c.crt, c.key, c.ca)
			if c.id != "" {
				lines += fmt.Sprintf("\nmy_id_value = %q", c.id)
			}
			got, messages := d.load(strings.Replace(tunnelled, `psk = "correct horse battery staple"`, lines, 1), 0o600)
			if c.name == "a certificate for a key" {
				messages, c.want = messages[:1], at+"my_cert_key_file: the file has no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
			}
			if strings.Join(messages, "\n") != c.want {
				t.Fatalf(" got %q\nwant %q", messages, c.want)
			}
			if got != nil && (len(got.IPsec.Peers[0].Chain) != 1 || len(got.IPsec.Peers[0].Authorities) != 1 || got.IPsec.Peers[0].Key.Signer() == nil) {
				t.Error("something was not kept")
			}
		})
	}
}
