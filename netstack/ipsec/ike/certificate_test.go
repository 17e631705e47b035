package ike

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// noon is the time of day of all certificate tests.
func noon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var k crypto.Signer
	var err error
	switch kind {
	case "rsa":
		k, err = rsa.GenerateKey(rand.Reader, 2048)
	case "p384":
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newAuthority(t testing.TB, name string, above *authority) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t, "p256")}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: noon().AddDate(-1, 0, 0), NotAfter: noon().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if above == nil {
		above = &authority{cert: c, key: a.key}
	}
	a.cert = parsed(t, c, above, a.key)
	return a
}

func parsed(t testing.TB, c *x509.Certificate, above *authority, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, above.cert, key.Public(), above.key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (a *authority) issue(name, kind string, from time.Time) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	key := newKey(a.t, kind)
	return parsed(a.t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: from, NotAfter: from.AddDate(0, 6, 0), DNSNames: []string{name}, EmailAddresses: []string{"admin@" + name},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}, a, key), key
}

// certified gives both ends certificates of one authority.
func certified(t testing.TB, a *authority, kind string) func(ca, cb *Config) {
	return func(ca, cb *Config) {
		for i, c := range []*Config{ca, cb} {
			p := &c.Peers[0]
			name := []string{"a.example", "b.example"}[i]
			cert, key := a.issue(name, kind, noon().AddDate(0, -1, 0))
			p.LocalAuth, p.RemoteAuth, p.Secret = Certificate, Certificate, nil
			p.Chain, p.Key, p.Authorities = []*x509.Certificate{cert}, key, []*x509.Certificate{a.cert}
			c.Date = noon
		}
	}
}

func TestCertificatesProveBothEnds(t *testing.T) {
	root := newAuthority(t, "root", nil)
	for _, kind := range []string{"rsa", "p256", "p384"} {
		w, a, b := tunnel(t, certified(t, root, kind))
		w.agree(a, b, 1)
	}
	// Identities of every kind, and any.
	for _, id := range []string{"admin@a.example", "192.0.2.1", "CN=a.example, O=Example", ""} {
		w, a, b := tunnel(t, func(ca, cb *Config) {
			certified(t, root, "p256")(ca, cb)
			own := ident(id)
			if own.Kind == AnyID {
				own = ident("a.example")
			}
			if own.Kind == IDDN {
				own.Data = string(ca.Peers[0].Chain[0].RawSubject)
			}
			ca.Peers[0].LocalID, cb.Peers[0].RemoteID = own, ident(id)
			if id != "" && own.Kind != IDDN && !cb.Peers[0].RemoteID.equal(own) {
				t.Fatal(own)
			}
			if own.Kind == IDDN {
				cb.Peers[0].RemoteID = own
			}
		})
		w.agree(a, b, 1)
		if id != "" && b.e.list[0].identity.Kind != ident(id).Kind {
			t.Fatalf("%v is %v", id, b.e.list[0].identity)
		}
	}
}

func TestAChainLeadsToTheAuthority(t *testing.T) {
	root := newAuthority(t, "root", nil)
	between := newAuthority(t, "between", root)
	w, a, b := tunnel(t, func(ca, cb *Config) {
		certified(t, between, "p256")(ca, cb)
		for _, c := range []*Config{ca, cb} {
			c.Peers[0].Chain = append(c.Peers[0].Chain, between.cert)
			c.Peers[0].Authorities = []*x509.Certificate{root.cert}
		}
	})
	w.agree(a, b, 1)
}

func TestCertificatesThatDoNotProveAnything(t *testing.T) {
	root, other := newAuthority(t, "root", nil), newAuthority(t, "other", nil)
	for what, x := range map[string]struct {
		change func(ca, cb *Config)
		say    string
	}{
		"another authority": {func(ca, cb *Config) { cb.Peers[0].Authorities = []*x509.Certificate{other.cert} }, "does not lead to a configured authority"},
		"not valid any more": {func(ca, cb *Config) {
			ca.Peers[0].Chain[0], ca.Peers[0].Key = root.issue("a.example", "p256", noon().AddDate(-1, 0, 0))
		}, "expired"},
		"of somebody else": {func(ca, cb *Config) {
			ca.Peers[0].LocalID = ident("c.example")
			ca.Peers[0].Chain[0], ca.Peers[0].Key = root.issue("c.example", "p256", noon())
			cb.Peers[0].RemoteID = ident("c.example")
			cb.Peers[0].Authorities = []*x509.Certificate{other.cert}
		}, "does not lead"},
		"a secret instead": {func(ca, cb *Config) {
			ca.Peers[0].LocalAuth, ca.Peers[0].Secret = PSK, Secret("x")
		}, "in another way than is configured"},
		"a key that is not the certificate's": {func(ca, cb *Config) { ca.Peers[0].Key = newKey(t, "p256") }, "signature does not fit"},
	} {
		w, _, b := tunnel(t, func(ca, cb *Config) {
			certified(t, root, "p256")(ca, cb)
			x.change(ca, cb)
		})
		t.Run(what, func(t *testing.T) { fails(t, w, b, IKEFailed, x.say) })
	}
}

func TestACertificateIsForItsNamesAlone(t *testing.T) {
	c, _ := newAuthority(t, "root", nil).issue("a.example", "p256", noon())
	for id, ok := range map[string]bool{"a.example": true, "A.Example": true, "b.example": false, "admin@a.example": true, "root@a.example": false,
		"192.0.2.1": true, "192.0.2.2": false, "CN=a.example": false} {
		if err := named(c, ident(id)); (err == nil) != ok {
			t.Errorf("%s: %v", id, err)
		}
	}
	if named(c, Identity{IDKeyID, "a.example"}) == nil {
		t.Error("a key id is taken")
	}
}

func TestEverySignatureAlgorithm(t *testing.T) {
	octets := []byte("what was said")
	for _, kind := range []string{"rsa", "p256", "p384"} {
		key := newKey(t, kind)
		for h := crypto.SHA256; h <= crypto.SHA512; h++ {
			for _, pss := range []bool{false, kind == "rsa"} {
				a, err := signWith(key, algorithm{hash: h, pss: pss, ecdsa: kind != "rsa"}, octets)
				if err != nil {
					t.Fatal(err)
				}
				if err := verify(key.Public(), a, octets); err != nil {
					t.Errorf("%s %v pss %v: %v", kind, h, pss, err)
				}
				if verify(key.Public(), a, octets[1:]) == nil || verify(newKey(t, "p256").Public(), a, octets) == nil {
					t.Errorf("%s %v: a wrong signature is taken", kind, h)
				}
				for i := range a.data {
					bad := &authentication{a.method, bytes.Clone(a.data)}
					bad.data[i] ^= 0x20
					if verify(key.Public(), bad, octets) == nil && i > int(a.data[0]) {
						t.Errorf("%s %v: octet %d may change", kind, h, i)
					}
				}
			}
		}
	}
}

func TestAVerifierThatDoesNotKnowRFC7427(t *testing.T) {
	octets := []byte("what was said")
	for kind, method := range map[string]uint8{"p256": methodECDSA256, "p384": methodECDSA384} {
		key := newKey(t, kind)
		a, err := sign(key, octets, nil)
		if err != nil || a.method != method {
			t.Fatal(a, err)
		}
		if verify(key.Public(), a, octets) != nil || verify(key.Public(), a, octets[1:]) == nil {
			t.Errorf("%s: wrong", kind)
		}
	}
	if _, err := sign(newKey(t, "rsa"), octets, []uint16{1}); err == nil || !strings.Contains(err.Error(), "RFC 7427") {
		t.Error("RSA with SHA-1", err)
	}
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	a, err := signWith(newKey(t, "rsa"), algorithm{hash: crypto.SHA256}, octets)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(weak, a, octets); err == nil || !strings.Contains(err.Error(), "1024 bits") {
		t.Error(err)
	}
}
