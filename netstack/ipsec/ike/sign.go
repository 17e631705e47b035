package ike

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // registered: signatures name their hash
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Hash algorithms of SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4).
const (
	hashSHA256 = 2
	hashSHA384 = 3
	hashSHA512 = 4
)

// hashNotify is the data of our SIGNATURE_HASH_ALGORITHMS notify.
func hashNotify() []byte { return []byte{0, hashSHA256, 0, hashSHA384, 0, hashSHA512} }

// parseHashes reads the peer's notify.
func parseHashes(b []byte) []uint16 {
	var out []uint16
	for ; len(b) >= 2 && len(out) < 16; b = b[2:] {
		out = append(out, binary.BigEndian.Uint16(b))
	}
	return out
}

func hashOf(id uint16) crypto.Hash {
	switch id {
	case hashSHA256:
		return crypto.SHA256
	case hashSHA384:
		return crypto.SHA384
	case hashSHA512:
		return crypto.SHA512
	}
	return 0
}

// algorithm is a signature algorithm of RFC 7427.
type algorithm struct {
	hash  crypto.Hash
	pss   bool
	ecdsa bool
}

// oid is that of the algorithm (RFC 7427 appendix A). PSS has its hash in
// parameters.
func (a algorithm) oid() asn1.ObjectIdentifier {
	n := int(a.hash - crypto.SHA256)
	switch {
	case a.ecdsa:
		return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2 + n}
	case a.pss:
		return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	}
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11 + n}
}

// pssParameters are those of RFC 8017 appendix A.2.3.
type pssParameters struct {
	Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
	MGF     pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
	Salt    int                      `asn1:"explicit,tag:2"`
	Trailer int                      `asn1:"optional,explicit,tag:3,default:1"`
}

func hashOID(h crypto.Hash) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1 + int(h-crypto.SHA256)}
}

func mgf1() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8} }

// identifier writes the algorithm as an AlgorithmIdentifier in DER.
func (a algorithm) identifier() ([]byte, error) {
	id := pkix.AlgorithmIdentifier{Algorithm: a.oid()}
	switch {
	case a.pss:
		h := pkix.AlgorithmIdentifier{Algorithm: hashOID(a.hash), Parameters: asn1.NullRawValue}
		inner, err := asn1.Marshal(h)
		if err != nil {
			return nil, err
		}
		params, err := asn1.Marshal(pssParameters{Hash: h, Salt: a.hash.Size(), Trailer: 1,
			MGF: pkix.AlgorithmIdentifier{Algorithm: mgf1(), Parameters: asn1.RawValue{FullBytes: inner}}})
		if err != nil {
			return nil, err
		}
		id.Parameters = asn1.RawValue{FullBytes: params}
	case !a.ecdsa:
		id.Parameters = asn1.NullRawValue
	}
	return asn1.Marshal(id)
}

// parseAlgorithm reads an AlgorithmIdentifier.
func parseAlgorithm(der []byte) (algorithm, error) {
	var id pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(der, &id); err != nil || len(rest) != 0 {
		return algorithm{}, errors.New("the algorithm of the signature cannot be read")
	}
	for h := crypto.SHA256; h <= crypto.SHA512; h++ {
		for _, a := range []algorithm{{hash: h}, {hash: h, ecdsa: true}} {
			if a.oid().Equal(id.Algorithm) {
				return a, nil
			}
		}
	}
	if (algorithm{hash: crypto.SHA256, pss: true}).oid().Equal(id.Algorithm) {
		return parsePSS(id.Parameters.FullBytes)
	}
	return algorithm{}, fmt.Errorf("the signature algorithm %v is not supported: use ECDSA or RSA with SHA-2", id.Algorithm)
}

func parsePSS(der []byte) (algorithm, error) {
	var p pssParameters
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) != 0 {
		return algorithm{}, errors.New("the parameters of the RSA-PSS signature cannot be read; the defaults mean SHA-1, which is not supported")
	}
	for h := crypto.SHA256; h <= crypto.SHA512; h++ {
		var inner pkix.AlgorithmIdentifier
		_, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &inner)
		if p.Hash.Algorithm.Equal(hashOID(h)) && p.MGF.Algorithm.Equal(mgf1()) && err == nil && inner.Algorithm.Equal(hashOID(h)) {
			return algorithm{hash: h, pss: true}, nil
		}
	}
	return algorithm{}, errors.New("the RSA-PSS signature uses a hash that is not supported: use SHA-2")
}

// bestHash is the strongest sensible hash for a key that the verifier takes.
func bestHash(public crypto.PublicKey, theirs []uint16) crypto.Hash {
	order := []uint16{hashSHA256, hashSHA384, hashSHA512}
	if k, ok := public.(*ecdsa.PublicKey); ok && k.Curve.Params().BitSize > 256 {
		order = []uint16{hashSHA384, hashSHA512, hashSHA256}
	}
	for _, id := range order {
		if slices.Contains(theirs, id) {
			return hashOf(id)
		}
	}
	return 0
}

// sign makes a signature as of RFC 7427, or as of RFC 4754 for a verifier
// that named no hash algorithms. RSA without them would mean SHA-1 and is
// refused. RSA signs with PKCS #1 v1.5, which every peer can verify; PSS is
// verified too.
func sign(key crypto.Signer, octets []byte, theirs []uint16) (*authentication, error) {
	ec, isEC := key.Public().(*ecdsa.PublicKey)
	h := bestHash(key.Public(), theirs)
	if h == 0 {
		if isEC {
			return signOld(key, ec, octets)
		}
		return nil, errors.New("the other end does not name a SHA-2 hash for signatures (RFC 7427): update it, or use an ECDSA certificate")
	}
	return signWith(key, algorithm{hash: h, ecdsa: isEC}, octets)
}

func signWith(key crypto.Signer, a algorithm, octets []byte) (*authentication, error) {
	der, err := a.identifier()
	if err != nil {
		return nil, err
	}
	var opts crypto.SignerOpts = a.hash
	if a.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
	}
	sig, err := key.Sign(rand.Reader, digest(a.hash, octets), opts)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	data := append([]byte{byte(len(der))}, der...)
	return &authentication{methodSignature, append(data, sig...)}, nil
}

func digest(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// oldECDSA gives the hash and the size of a coordinate of RFC 4754.
func oldECDSA(k *ecdsa.PublicKey) (method uint8, h crypto.Hash, size int) {
	switch k.Curve.Params().BitSize {
	case 256:
		return methodECDSA256, crypto.SHA256, 32
	case 384:
		return methodECDSA384, crypto.SHA384, 48
	}
	return 0, 0, 0
}

func signOld(key crypto.Signer, public *ecdsa.PublicKey, octets []byte) (*authentication, error) {
	method, h, size := oldECDSA(public)
	if method == 0 {
		return nil, errors.New("the other end does not know RFC 7427: use an ECDSA key of 256 or 384 bits")
	}
	der, err := key.Sign(rand.Reader, digest(h, octets), h)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	out := make([]byte, 2*size)
	rs.R.FillBytes(out[:size])
	rs.S.FillBytes(out[size:])
	return &authentication{method, out}, nil
}

var errSignature = errors.New("the other end's signature does not fit its certificate")

// verify checks a signature over octets.
func verify(public crypto.PublicKey, a *authentication, octets []byte) error {
	switch a.method {
	case methodECDSA256, methodECDSA384:
		return verifyOld(public, a, octets)
	case methodRSA:
		return errors.New("the other end signs with RSA and SHA-1: let it use RFC 7427 signatures (SIGNATURE_HASH_ALGORITHMS)")
	case methodSignature:
	default:
		return errMethod
	}
	if len(a.data) < 1 || len(a.data) < 1+int(a.data[0]) {
		return errSignature
	}
	n := 1 + int(a.data[0])
	alg, err := parseAlgorithm(a.data[1:n])
	if err != nil {
		return err
	}
	sum, sig, ok := digest(alg.hash, octets), a.data[n:], false
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		ok = alg.ecdsa && ecdsa.VerifyASN1(k, sum, sig)
	case *rsa.PublicKey:
		switch {
		case k.Size() < 256:
			return fmt.Errorf("the other end's RSA key has %d bits; at least 2048 are wanted", k.N.BitLen())
		case alg.pss:
			ok = rsa.VerifyPSS(k, alg.hash, sum, sig, nil) == nil
		default:
			ok = !alg.ecdsa && rsa.VerifyPKCS1v15(k, alg.hash, sum, sig) == nil
		}
	}
	if !ok {
		return errSignature
	}
	return nil
}

func verifyOld(public crypto.PublicKey, a *authentication, octets []byte) error {
	k, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return errSignature
	}
	method, h, size := oldECDSA(k)
	if method != a.method || len(a.data) != 2*size {
		return errSignature
	}
	r, s := new(big.Int).SetBytes(a.data[:size]), new(big.Int).SetBytes(a.data[size:])
	if !ecdsa.Verify(k, digest(h, octets), r, s) {
		return errSignature
	}
	return nil
}
