package ipsec

import (
	"errors"
	"fmt"
)

// Cipher is an encryption algorithm of ESP.
type Cipher uint8

// The ciphers.
const (
	AESGCM Cipher = iota // RFC 4106, with an ICV of 16 bytes; it authenticates, too
	AESCBC               // RFC 3602
	Null                 // RFC 2410
)

// Auth is an authentication algorithm of ESP.
type Auth uint8

// The authentication algorithms (RFC 4868): the ICV is the first half.
const (
	AuthNone   Auth = iota // for AESGCM only
	HMACSHA256             // HMAC-SHA-256-128
	HMACSHA384             // HMAC-SHA-384-192
	HMACSHA512             // HMAC-SHA-512-256
)

// Suite is what an SA computes.
type Suite struct {
	Cipher Cipher
	Bits   int // of the cipher's key: 128, 192 or 256; 0 for Null
	Auth   Auth
}

// Keys is the key material of one SA. NewSA copies it; who made it wipes it.
type Keys struct {
	Encrypt []byte // AESGCM: the key, then 4 bytes of salt (RFC 4106 section 8.1)
	Auth    []byte
}

// Wipe overwrites the keys.
func (k *Keys) Wipe() {
	clear(k.Encrypt)
	clear(k.Auth)
}

// String keeps keys out of logs.
func (k Keys) String() string { return "(keys)" }

// GoString does so for %#v.
func (k Keys) GoString() string { return k.String() }

const saltLen = 4

// Check reports what does not fit together.
func (s Suite) Check() error {
	aes := s.Bits == 128 || s.Bits == 192 || s.Bits == 256
	switch {
	case s.Cipher > Null || s.Auth > HMACSHA512:
		return fmt.Errorf("cipher %d with authentication %d is unknown", s.Cipher, s.Auth)
	case s.Cipher == Null && s.Bits != 0 || s.Cipher != Null && !aes:
		return fmt.Errorf("%v has no keys of %d bits", s.Cipher, s.Bits)
	case s.Cipher == AESGCM && s.Auth != AuthNone:
		return errors.New("aes-gcm authenticates by itself: no other authentication may be named")
	case s.Cipher != AESGCM && s.Auth == AuthNone:
		// Encryption alone is broken (RFC 8221 section 5), and replay could not be seen.
		return fmt.Errorf("%v needs authentication", s.Cipher)
	}
	return nil
}

// KeyLengths is how many bytes of key material each direction needs: the
// cipher's, with a GCM's salt, then the authentication's (RFC 7296 section 2.17).
func (s Suite) KeyLengths() (encrypt, auth int) {
	encrypt = s.Bits / 8
	if s.Cipher == AESGCM {
		encrypt += saltLen
	}
	return encrypt, 2 * s.Auth.icv()
}

// icv is half of the hash, which is also as long as the key.
func (a Auth) icv() int { return [...]int{0, 16, 24, 32}[a] }

func (s Suite) icvLen() int {
	if s.Cipher == AESGCM {
		return 16
	}
	return s.Auth.icv()
}

func (s Suite) ivLen() int { return [...]int{8, 16, 0}[s.Cipher] }

// align is what payload and trailer together are a multiple of: the cipher's
// block, and four bytes at least (RFC 4303 section 2.4): a power of two.
func (s Suite) align() int { return [...]int{4, 16, 4}[s.Cipher] }

func (c Cipher) String() string { return [...]string{"aes-gcm", "aes-cbc", "null"}[c] }

func (a Auth) String() string {
	return [...]string{"none", "hmac-sha2-256-128", "hmac-sha2-384-192", "hmac-sha2-512-256"}[a]
}

// String is for show commands: aes-gcm-128, aes-cbc-256+hmac-sha2-256-128.
func (s Suite) String() string {
	w := s.Cipher.String()
	if s.Bits != 0 {
		w = fmt.Sprintf("%s-%d", w, s.Bits)
	}
	if s.Auth != AuthNone {
		w += "+" + s.Auth.String()
	}
	return w
}
