package ike

import (
	"crypto/hmac"
	"encoding/binary"
)

// mac calculates the function over the concatenation of parts.
func (p PRF) mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(p.hash(), key)
	for _, b := range parts {
		h.Write(b)
	}
	return h.Sum(nil)
}

// plus is prf+ (RFC 7296 section 2.13): n octets, at most 255 blocks.
func (p PRF) plus(key, seed []byte, n int) []byte {
	out := make([]byte, 0, n+p.size())
	var last []byte
	for i := byte(1); len(out) < n; i++ {
		last = p.mac(key, last, seed, []byte{i})
		out = append(out, last...)
	}
	clear(out[n:cap(out)])
	return out[:n]
}

// ikeKeys are the keys of an IKE SA (RFC 7296 section 2.14). I and R are the
// initiator of the SA and the other side.
type ikeKeys struct {
	d              []byte
	ai, ar, ei, er []byte
	pi, pr         []byte
	material       []byte // what all of them are slices of
}

// deriveIKE makes the keys from SKEYSEED.
func (s suite) deriveIKE(skeyseed, ni, nr []byte, spiI, spiR uint64) *ikeKeys {
	seed := append(append([]byte{}, ni...), nr...)
	seed = binary.BigEndian.AppendUint64(seed, spiI)
	seed = binary.BigEndian.AppendUint64(seed, spiR)
	a, e, p := s.integrity.KeyLen(), s.cipher.KeyLen(), s.prf.size()
	k := &ikeKeys{material: s.prf.plus(skeyseed, seed, 3*p+2*a+2*e)}
	rest := k.material
	cut := func(n int) []byte {
		out := rest[:n:n]
		rest = rest[n:]
		return out
	}
	k.d, k.ai, k.ar, k.ei, k.er, k.pi, k.pr = cut(p), cut(a), cut(a), cut(e), cut(e), cut(p), cut(p)
	return k
}

// seedInitial is SKEYSEED of a new IKE SA.
func (s suite) seedInitial(secret, ni, nr []byte) []byte {
	return s.prf.mac(append(append([]byte{}, ni...), nr...), secret)
}

// seedRekey is SKEYSEED of an IKE SA that takes over from one whose function
// was old (RFC 7296 section 2.18).
func seedRekey(old PRF, oldD, secret, ni, nr []byte) []byte { return old.mac(oldD, secret, ni, nr) }

// wipe overwrites all keys.
func (k *ikeKeys) wipe() {
	if k == nil {
		return
	}
	clear(k.material)
}

// childKeys are those of the two ESP SAs of a child.
type childKeys struct {
	fromI, fromR Keys
}

// deriveChild makes a child's keys (RFC 7296 section 2.17): those of the SA
// from the initiator of the exchange first, the cipher's before integrity.
// secret is nil without perfect forward secrecy.
func (s suite) deriveChild(p PRF, d, secret, ni, nr []byte) childKeys {
	seed := append([]byte{}, secret...)
	seed = append(append(seed, ni...), nr...)
	defer clear(seed)
	e, a := s.cipher.KeyLen(), s.integrity.KeyLen()
	m := p.plus(d, seed, 2*(e+a))
	cut := func(n int) []byte {
		out := m[:n:n]
		m = m[n:]
		return out
	}
	var k childKeys
	k.fromI = Keys{Cipher: cut(e), Integrity: cut(a)}
	k.fromR = Keys{Cipher: cut(e), Integrity: cut(a)}
	return k
}
