package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A certificate of our own is for two years and a bit, which is the most that
// browsers take, and is replaced while it is still good for a month.
const (
	ownFile  = "web.pem"
	ownLife  = 820 * 24 * time.Hour
	ownSpare = 30 * 24 * time.Hour
)

// certificates is what the server proves itself with.
type certificates struct {
	now  func() time.Time
	make func() (*tls.Certificate, error) // another one of our own; nil: the operator's never changes

	mu sync.Mutex
	is *tls.Certificate
}

// get implements tls.Config.GetCertificate. A certificate of our own is renewed
// while the server runs; if that fails the old one goes on.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.make != nil && !fresh(c.is.Leaf, c.now()) {
		if another, err := c.make(); err == nil {
			c.is = another
		}
	}
	return c.is, nil
}

// fresh reports whether a certificate of ours need not be replaced yet. One that
// is not valid yet is kept: at a start the clock may be far behind.
func fresh(leaf *x509.Certificate, now time.Time) bool {
	return now.Add(ownSpare).Before(leaf.NotAfter)
}

// certificates takes the operator's certificate, or ours from the last start, or
// makes one.
func (s *Server) certificates() (*certificates, error) {
	w := s.config.Web
	if len(w.Chain) > 0 {
		out := &tls.Certificate{PrivateKey: w.Key.Signer(), Leaf: w.Chain[0]}
		for _, c := range w.Chain {
			out.Certificate = append(out.Certificate, c.Raw)
		}
		return &certificates{now: s.config.Now, is: out}, nil
	}
	path := filepath.Join(s.config.StateDir, ownFile)
	anew := func() (*tls.Certificate, error) {
		c, err := s.makeCertificate(path)
		if err != nil {
			s.log.Error("web: certificate", "file", path, "error", err)
			return nil, err
		}
		s.log.Info("web: certificate made", "file", path, "sha256", fingerprint(c.Leaf))
		return c, nil
	}
	own, err := readOwn(path)
	if err != nil || !fresh(own.Leaf, s.config.Now()) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("web: another certificate is made", "file", path, "reason", err)
		}
		if own, err = anew(); err != nil {
			return nil, err
		}
	}
	s.log.Info("web: certificate", "file", path, "sha256", fingerprint(own.Leaf), "until", own.Leaf.NotAfter.UTC().Format(time.DateOnly))
	return &certificates{now: s.config.Now, make: anew, is: own}, nil
}

// fingerprint is as browsers print it, for people who compare.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	var b bytes.Buffer
	for i, octet := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", octet)
	}
	return b.String()
}

// readOwn reads what makeCertificate has written.
func readOwn(path string) (*tls.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseOwn(text)
}

func parseOwn(text []byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, err
	}
	if c.Leaf == nil {
		c.Leaf, err = x509.ParseCertificate(c.Certificate[0])
	}
	return &c, err
}

// makeCertificate signs itself, for the names and addresses that are known. Key
// and certificate are one file, so that they cannot part, which is replaced as a
// whole and which nobody else may read.
func (s *Server) makeCertificate(path string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), s.config.Rand)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(s.config.Rand, serial); err != nil {
		return nil, err
	}
	now := s.config.Now()
	of := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: s.config.Hostname, Organization: []string{"spigate"}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(ownLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: []string{s.config.Hostname, "localhost"},
	}
	of.IPAddresses = addresses(s.config.Address)
	raw, err := x509.CreateCertificate(s.config.Rand, of, of, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	// A flash that cannot be written keeps no router from its work.
	if err := replace(path, text); err != nil {
		s.log.Warn("web: the certificate cannot be kept: the next start makes another, with another fingerprint", "file", path, "reason", err)
	}
	return parseOwn(text)
}

// maxAddresses bounds those that a certificate of ours is for.
const maxAddresses = 32

// addresses are those under which the pages can be asked for.
func addresses(listen string) (out []net.IP) {
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && ip != nil && !ip.IsUnspecified() {
		return []net.IP{ip}
	}
	all, err := net.InterfaceAddrs()
	if err != nil { // then it is for names alone
		return nil
	}
	for _, a := range all[:min(len(all), maxAddresses)] {
		if n, ok := a.(*net.IPNet); ok {
			out = append(out, n.IP)
		}
	}
	return out
}

// replace writes a file that only its owner may read, whole or not at all.
func replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".web-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
