package ike

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
)

// Cipher is an encryption algorithm with its key length (RFC 3602, 4106, 5282).
type Cipher uint8

// The ciphers. NullCipher is for ESP alone, with an integrity algorithm.
const (
	AESGCM128 Cipher = iota + 1
	AESGCM192
	AESGCM256
	AESCBC128
	AESCBC192
	AESCBC256
	NullCipher
)

const (
	idAESCBC = 12
	idAESGCM = 20 // with an ICV of 16 octets
	idNull   = 11
)

// id returns the transform id and the key length attribute in bits, 0 for none.
func (c Cipher) id() (id, bits uint16) {
	switch c {
	case AESGCM128, AESGCM192, AESGCM256:
		return idAESGCM, 128 + 64*uint16(c-AESGCM128)
	case AESCBC128, AESCBC192, AESCBC256:
		return idAESCBC, 128 + 64*uint16(c-AESCBC128)
	}
	return idNull, 0
}

// AEAD reports whether the cipher needs no integrity algorithm.
func (c Cipher) AEAD() bool { return c >= AESGCM128 && c <= AESGCM256 }

// KeyLen is what the cipher takes of the key material, in octets: with the
// salt of four octets that follows an AES-GCM key (RFC 4106 section 8.1).
func (c Cipher) KeyLen() int {
	_, bits := c.id()
	if c.AEAD() {
		return int(bits)/8 + saltLen
	}
	return int(bits) / 8
}

// String returns the name used in configuration and messages.
func (c Cipher) String() string {
	id, bits := c.id()
	switch {
	case c == 0 || c > NullCipher:
		return fmt.Sprintf("cipher(%d)", uint8(c))
	case id == idAESGCM:
		return fmt.Sprintf("aes%d-gcm", bits)
	case id == idAESCBC:
		return fmt.Sprintf("aes%d-cbc", bits)
	}
	return "null"
}

// Integrity is an integrity algorithm by its transform id (RFC 4868).
type Integrity uint16

// The integrity algorithms: the HMAC is cut to half of the hash.
const (
	NoIntegrity Integrity = 0
	HMACSHA256  Integrity = 12
	HMACSHA384  Integrity = 13
	HMACSHA512  Integrity = 14
)

func (i Integrity) hash() func() hash.Hash {
	switch i {
	case HMACSHA384:
		return sha512.New384
	case HMACSHA512:
		return sha512.New
	}
	return sha256.New
}

// KeyLen is the length of the key, that of the hash, in octets.
func (i Integrity) KeyLen() int {
	if i == NoIntegrity {
		return 0
	}
	return i.hash()().Size()
}

func (i Integrity) icvLen() int { return i.KeyLen() / 2 }

func (i Integrity) known() bool { return i >= HMACSHA256 && i <= HMACSHA512 }

// String returns the name used in configuration and messages.
func (i Integrity) String() string {
	if i == NoIntegrity {
		return "none"
	}
	if i.known() {
		return fmt.Sprintf("sha%d", 8*i.KeyLen())
	}
	return fmt.Sprintf("integrity(%d)", uint16(i))
}

// PRF is a pseudo-random function by its transform id (RFC 4868).
type PRF uint16

// The pseudo-random functions: HMAC, uncut.
const (
	PRFSHA256 PRF = 5
	PRFSHA384 PRF = 6
	PRFSHA512 PRF = 7
)

func (p PRF) hash() func() hash.Hash {
	switch p {
	case PRFSHA384:
		return sha512.New384
	case PRFSHA512:
		return sha512.New
	}
	return sha256.New
}

func (p PRF) size() int { return p.hash()().Size() }

func (p PRF) known() bool { return p >= PRFSHA256 && p <= PRFSHA512 }

// String returns the name used in configuration and messages.
func (p PRF) String() string {
	if p.known() {
		return fmt.Sprintf("prfsha%d", 8*p.size())
	}
	return fmt.Sprintf("prf(%d)", uint16(p))
}

// Group is a Diffie-Hellman group by its transform id.
type Group uint16

// The groups (RFC 3526, 5903, 8031). NoGroup in a child's proposal: its keys
// come from the IKE SA's alone.
const (
	NoGroup  Group = 0
	MODP2048 Group = 14
	MODP3072 Group = 15
	MODP4096 Group = 16
	ECP256   Group = 19
	ECP384   Group = 20
	X25519   Group = 31
)

func (g Group) known() bool {
	switch g {
	case MODP2048, MODP3072, MODP4096, ECP256, ECP384, X25519:
		return true
	}
	return false
}

// String returns the name used in configuration and messages.
func (g Group) String() string {
	switch g {
	case NoGroup:
		return "none"
	case MODP2048:
		return "modp2048"
	case MODP3072:
		return "modp3072"
	case MODP4096:
		return "modp4096"
	case ECP256:
		return "ecp256"
	case ECP384:
		return "ecp384"
	case X25519:
		return "x25519"
	}
	return fmt.Sprintf("group(%d)", uint16(g))
}

// suite is what one proposal was narrowed to.
type suite struct {
	cipher    Cipher
	integrity Integrity
	prf       PRF // of an IKE SA
	group     Group
	esn       bool // of a child: extended sequence numbers
}

// String lists the algorithms with dashes, as configured.
func (s suite) String() string {
	out := s.cipher.String()
	if s.integrity != NoIntegrity {
		out += "-" + s.integrity.String()
	}
	if s.prf != 0 {
		out += "-" + s.prf.String()
	}
	if s.group != NoGroup {
		out += "-" + s.group.String()
	}
	if s.esn {
		out += "-esn"
	}
	return out
}
