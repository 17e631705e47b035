package ikepeer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// Authority signs certificates for a test.
type Authority struct {
	Cert *x509.Certificate
	key  crypto.Signer
	rsa  bool
	now  time.Time
}

// NewAuthority makes an authority whose certificates have RSA or ECDSA keys.
func NewAuthority(withRSA bool, now time.Time) (*Authority, error) {
	a := &Authority{rsa: withRSA, now: now}
	key, err := a.newKey()
	if err != nil {
		return nil, err
	}
	a.key = key
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a.Cert, err = x509.ParseCertificate(der)
	return a, err
}

func (a *Authority) newKey() (crypto.Signer, error) {
	if a.rsa {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
}

// Issue signs a certificate for a name.
func (a *Authority) Issue(name string) (*x509.Certificate, crypto.Signer, error) {
	key, err := a.newKey()
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(a.now.UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.Add(time.Hour), DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	return c, key, err
}

// Files are the certificates and the key of a name as swanctl wants them.
func (a *Authority) Files(c *x509.Certificate, key crypto.Signer) (map[string][]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	return map[string][]byte{"x509ca/ca.pem": block("CERTIFICATE", a.Cert.Raw), "x509/gw.pem": block("CERTIFICATE", c.Raw),
		"pkcs8/gw.pem": block("PRIVATE KEY", der)}, nil
}
