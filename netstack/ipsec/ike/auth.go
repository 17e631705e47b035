package ike

import (
	"crypto/hmac"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Auth is how one end proves who it is.
type Auth uint8

// The ways to authenticate. EAP is not supported.
const (
	PSK         Auth = iota + 1 // a secret that both ends have
	Certificate                 // an X.509 certificate and a signature
)

// String returns the name used in configuration.
func (a Auth) String() string {
	switch a {
	case PSK:
		return "psk"
	case Certificate:
		return "certificate"
	}
	return fmt.Sprintf("auth(%d)", uint8(a))
}

const keyPad = "Key Pad for IKEv2"

// signedOctets is what an end proves to have said (RFC 7296 section 2.15): its
// IKE_SA_INIT message, the other's nonce and its identity.
func (s suite) signedOctets(initMessage, otherNonce, pKey, idBody []byte) []byte {
	out := append(append([]byte{}, initMessage...), otherNonce...)
	return append(out, s.prf.mac(pKey, idBody)...)
}

// pskAuth is the AUTH data of a pre-shared key.
func (s suite) pskAuth(secret Secret, octets []byte) []byte {
	key := s.prf.mac(secret, []byte(keyPad))
	defer clear(key)
	return s.prf.mac(key, octets)
}

// proof is what is known about an end that authenticates itself.
type proof struct {
	suite  suite
	octets []byte
	hashes []uint16 // of SIGNATURE_HASH_ALGORITHMS, what the verifier takes
}

// prove makes the AUTH payload of our end.
func (p *proof) prove(peer *Peer) (*authentication, error) {
	if peer.LocalAuth == PSK {
		return &authentication{methodPSK, p.suite.pskAuth(peer.Secret, p.octets)}, nil
	}
	return sign(peer.Key, p.octets, p.hashes)
}

var (
	errPSK    = errors.New("the pre-shared keys of the two ends differ, or their identities are not what the other end expects")
	errMethod = errors.New("the other end authenticates itself in another way than is configured")
)

// check verifies the AUTH payload of the other end, which says it is id.
func (p *proof) check(peer *Peer, id Identity, a *authentication, certs [][]byte, date time.Time) error {
	if peer.RemoteAuth == PSK {
		if a.method != methodPSK {
			return errMethod
		}
		if !hmac.Equal(a.data, p.suite.pskAuth(peer.Secret, p.octets)) {
			return errPSK
		}
		return nil
	}
	if a.method == methodPSK {
		return errMethod
	}
	leaf, err := chainOf(peer, certs, date)
	if err != nil {
		return err
	}
	if err := named(leaf, id); err != nil {
		return err
	}
	return verify(leaf.PublicKey, a, p.octets)
}

// chainOf checks that the peer's certificate leads to one of the configured
// authorities, and returns it.
func chainOf(peer *Peer, certs [][]byte, date time.Time) (*x509.Certificate, error) {
	if len(certs) == 0 {
		return nil, errors.New("the other end sent no certificate: let it send one (RFC 7296 section 3.6)")
	}
	leaf, err := x509.ParseCertificate(certs[0])
	if err != nil {
		return nil, fmt.Errorf("the other end's certificate cannot be read: %w", err)
	}
	between := x509.NewCertPool()
	for _, der := range certs[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	roots := x509.NewCertPool()
	for _, c := range peer.Authorities {
		roots.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: date,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, fmt.Errorf("the certificate of %q does not lead to a configured authority: %w", leaf.Subject, err)
	}
	return leaf, nil
}

// named checks that a certificate is of the identity that its owner claims:
// otherwise each holder of a certificate could be everyone.
func named(c *x509.Certificate, id Identity) error {
	switch id.Kind {
	case IDIPv4:
		for _, ip := range c.IPAddresses {
			if v4 := ip.To4(); v4 != nil && string(v4) == id.Data {
				return nil
			}
		}
	case IDFQDN:
		for _, n := range c.DNSNames {
			if (Identity{IDFQDN, n}).equal(id) {
				return nil
			}
		}
	case IDRFC822:
		for _, n := range c.EmailAddresses {
			if (Identity{IDRFC822, n}).equal(id) {
				return nil
			}
		}
	case IDDN:
		if (Identity{IDDN, string(c.RawSubject)}).equal(id) {
			return nil
		}
	}
	return fmt.Errorf("the certificate of %q is not for the identity %v: add it to the certificate's alternative names, or let the other end claim its subject", c.Subject, id)
}
