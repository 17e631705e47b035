package ike

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// keyPair is one side's half of a key exchange. It is used once.
//
// The MODP groups calculate with math/big, which does not run in constant
// time. Each private exponent is drawn for one exchange and used for two
// exponentiations, so that a watcher has no series of measurements on the
// same secret; where that is not enough, configure a group on a curve, whose
// code in the standard library is constant-time.
type keyPair struct {
	group  Group
	public []byte   // as in a KE payload
	x      *big.Int // MODP
	curve  *ecdh.PrivateKey
}

var errPublic = errors.New("the peer's public value is not in the group")

// newKeyPair draws a private key from random.
func newKeyPair(g Group, random io.Reader) (*keyPair, error) {
	if c := curveOf(g); c != nil {
		return newCurvePair(g, c, random)
	}
	p := prime(g)
	if p == nil {
		return nil, fmt.Errorf("group %v is not known", g)
	}
	// 512 bits are twice the strength of the largest group here (RFC 3526
	// section 8 asks for 240 to 480).
	secret := make([]byte, 64)
	defer clear(secret)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, fmt.Errorf("random numbers: %w", err)
	}
	k := &keyPair{group: g, x: new(big.Int).SetBytes(secret)}
	k.x.SetBit(k.x, 511, 1)
	y := new(big.Int).Exp(big.NewInt(2), k.x, p)
	k.public = y.FillBytes(make([]byte, (p.BitLen()+7)/8))
	return k, nil
}

// newCurvePair draws octets until they are a private key: for P-256 and P-384
// all but one in 2^32 are.
func newCurvePair(g Group, c ecdh.Curve, random io.Reader) (*keyPair, error) {
	secret := make([]byte, 32)
	if g == ECP384 {
		secret = make([]byte, 48)
	}
	defer clear(secret)
	for range 16 {
		if _, err := io.ReadFull(random, secret); err != nil {
			return nil, fmt.Errorf("random numbers: %w", err)
		}
		if k, err := c.NewPrivateKey(secret); err == nil {
			return &keyPair{group: g, public: wirePoint(g, k.PublicKey().Bytes()), curve: k}, nil
		}
	}
	return nil, errors.New("random numbers: none of sixteen is a private key")
}

// wirePoint takes the leading 4 off an uncompressed point: a KE payload has x
// and y alone (RFC 5903 section 7).
func wirePoint(g Group, b []byte) []byte {
	if g == X25519 {
		return b
	}
	return b[1:]
}

// shared calculates the secret that both sides get. A public value outside of
// the group is refused (RFC 6989).
func (k *keyPair) shared(public []byte) ([]byte, error) {
	if k.curve != nil {
		if k.group != X25519 {
			public = append([]byte{4}, public...)
		}
		pub, err := k.curve.Curve().NewPublicKey(public)
		if err != nil {
			return nil, errPublic
		}
		out, err := k.curve.ECDH(pub)
		if err != nil { // X25519 gave zero
			return nil, errPublic
		}
		return out, nil
	}
	p := prime(k.group)
	size := (p.BitLen() + 7) / 8
	y := new(big.Int).SetBytes(public)
	last := new(big.Int).Sub(p, big.NewInt(1))
	if len(public) != size || y.Cmp(big.NewInt(1)) <= 0 || y.Cmp(last) >= 0 {
		return nil, errPublic
	}
	return y.Exp(y, k.x, p).FillBytes(make([]byte, size)), nil
}

// wipe overwrites the private exponent. The standard library gives no way to
// overwrite a private key of a curve: it is left to the garbage collector.
func (k *keyPair) wipe() {
	if k == nil {
		return
	}
	if k.x != nil {
		clear(k.x.Bits())
	}
	k.x, k.curve = nil, nil
}

func curveOf(g Group) ecdh.Curve {
	switch g {
	case ECP256:
		return ecdh.P256()
	case ECP384:
		return ecdh.P384()
	case X25519:
		return ecdh.X25519()
	}
	return nil
}
