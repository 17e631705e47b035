package ipsec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// lanesKept is how many goroutines may compute for one SA at once without
// making a lane each time.
const lanesKept = 8

// crypt is the secret half of an SA. What can be shared is made once; what
// cannot (a hash, a chain of blocks, memory for nonces) is in lanes, of which a
// few are kept: so nothing is allocated, no lock is held while computing, and
// all that knows the keys is within reach when they are to be wiped.
type crypt struct {
	suite Suite
	aead  cipher.AEAD
	block cipher.Block
	ivs   cipher.Block // makes CBC's IVs, with a key that nobody else has
	free  [lanesKept]atomic.Pointer[lane]
	dead  atomic.Bool

	mu   sync.Mutex // guards the keys
	salt [saltLen]byte
	auth []byte
}

// cbcMode is a CBC chain that can begin again. The standard library's can:
// crypto/tls depends on it.
type cbcMode interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

// lane computes one packet at a time.
type lane struct {
	salted   [saltLen + 8]byte // a GCM's nonce
	aad      [12]byte          // a GCM's associated data: SPI and number
	hi       [4]byte           // the upper half of the number, for the HMAC
	iv, seed [aes.BlockSize]byte
	sum      [sha512.Size]byte
	enc, dec cbcMode
	mac      hash.Hash
}

func newCrypt(s Suite, k Keys, random io.Reader) (*crypt, error) {
	c := &crypt{suite: s}
	if e, a := s.KeyLengths(); len(k.Encrypt) != e || len(k.Auth) != a {
		return nil, fmt.Errorf("%v needs %d and %d bytes of keys, not %d and %d", s, e, a, len(k.Encrypt), len(k.Auth))
	}
	key := k.Encrypt
	if s.Cipher == AESGCM {
		key = key[:len(key)-saltLen]
		copy(c.salt[:], k.Encrypt[len(key):])
	}
	c.auth = append(c.auth, k.Auth...)
	if s.Cipher == Null {
		return c, nil
	}
	var err error
	if c.block, err = aes.NewCipher(key); err != nil {
		return nil, err
	}
	if s.Cipher == AESGCM {
		c.aead, err = cipher.NewGCM(c.block)
		return c, err
	}
	var seed [16]byte
	if _, err = io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("a key for IVs: %w", err)
	}
	defer clear(seed[:])
	c.ivs, err = aes.NewCipher(seed[:])
	return c, err
}

// take returns a lane, nil if the SA is over.
func (c *crypt) take() *lane {
	for i := range c.free {
		if c.free[i].Load() == nil {
			continue
		}
		if l := c.free[i].Swap(nil); l != nil {
			return l
		}
	}
	return c.newLane()
}

func (c *crypt) newLane() *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead.Load() {
		return nil
	}
	l := &lane{}
	copy(l.salted[:], c.salt[:])
	switch c.suite.Auth {
	case HMACSHA256:
		l.mac = hmac.New(sha256.New, c.auth)
	case HMACSHA384:
		l.mac = hmac.New(sha512.New384, c.auth)
	case HMACSHA512:
		l.mac = hmac.New(sha512.New, c.auth)
	}
	if c.suite.Cipher == AESCBC {
		l.enc = cipher.NewCBCEncrypter(c.block, l.iv[:]).(cbcMode)
		l.dec = cipher.NewCBCDecrypter(c.block, l.iv[:]).(cbcMode)
	}
	return l
}

// put gives a lane back. One that comes back after the end is wiped: wipe marks
// the end before it empties the places, so that either side sees the other.
func (c *crypt) put(l *lane) {
	for i := range c.free {
		if c.free[i].Load() != nil || !c.free[i].CompareAndSwap(nil, l) {
			continue
		}
		if c.dead.Load() {
			c.empty()
		}
		return
	}
	l.wipe()
}

// wipe ends the SA: it overwrites every key that we hold and lets go of the
// rest. The expanded keys are inside the standard library's ciphers and hashes,
// which have no way to overwrite them: they are gone when the collector has
// reused their memory, and so is what it moved or the stack kept.
func (c *crypt) wipe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead.Store(true)
	clear(c.auth)
	clear(c.salt[:])
	c.empty()
}

func (c *crypt) empty() {
	for i := range c.free {
		if l := c.free[i].Swap(nil); l != nil {
			l.wipe()
		}
	}
}

func (l *lane) wipe() { *l = lane{} }

// iv writes an IV for the packet with this number: for GCM the number itself,
// which never comes twice under one key (RFC 4106 section 3.1); for CBC its
// encryption under a key of its own, which nobody can predict (RFC 3602
// section 3).
func (c *crypt) iv(l *lane, iv []byte, number uint64) {
	switch c.suite.Cipher {
	case AESGCM:
		binary.BigEndian.PutUint64(iv, number)
	case AESCBC:
		binary.BigEndian.PutUint64(l.seed[8:], number)
		c.ivs.Encrypt(l.iv[:], l.seed[:])
		copy(iv, l.iv[:])
	}
}

// seal encrypts and authenticates an ESP packet in place: from the SPI to the
// end of the ICV, whose bytes are written. SPI, number, IV, payload and trailer
// are there. hi is the upper half of an extended sequence number, with esn.
func (c *crypt) seal(l *lane, esp []byte, hi uint32, esn bool) {
	head, icv := espHeader+c.suite.ivLen(), c.suite.icvLen()
	body := esp[head : len(esp)-icv]
	switch c.suite.Cipher {
	case AESGCM:
		copy(l.salted[saltLen:], esp[espHeader:head])
		c.aead.Seal(body[:0], l.salted[:], body, l.associated(esp, hi, esn))
		return
	case AESCBC:
		l.enc.SetIV(esp[espHeader:head])
		l.enc.CryptBlocks(body, body)
	}
	copy(esp[len(esp)-icv:], l.hash(esp[:len(esp)-icv], hi, esn)[:icv])
}

// open is the reverse: it reports whether the packet is authentic, and only
// then is the body decrypted.
func (c *crypt) open(l *lane, esp []byte, hi uint32, esn bool) (body []byte, ok bool) {
	head, icv := espHeader+c.suite.ivLen(), c.suite.icvLen()
	body = esp[head : len(esp)-icv]
	if c.suite.Cipher == AESGCM {
		copy(l.salted[saltLen:], esp[espHeader:head])
		_, err := c.aead.Open(body[:0], l.salted[:], esp[head:], l.associated(esp, hi, esn))
		return body, err == nil
	}
	if !hmac.Equal(esp[len(esp)-icv:], l.hash(esp[:len(esp)-icv], hi, esn)[:icv]) {
		return nil, false
	}
	if c.suite.Cipher == AESCBC {
		l.dec.SetIV(esp[espHeader:head])
		l.dec.CryptBlocks(body, body)
	}
	return body, true
}

// associated is a GCM's associated data (RFC 4106 section 5): SPI and number,
// with the upper half between them if it is extended.
func (l *lane) associated(esp []byte, hi uint32, esn bool) []byte {
	copy(l.aad[:], esp[:espHeader])
	if !esn {
		return l.aad[:8]
	}
	copy(l.aad[8:], esp[4:8])
	binary.BigEndian.PutUint32(l.aad[4:], hi)
	return l.aad[:]
}

// hash is the HMAC; with esn the upper half of the number counts as if it
// stood behind the packet (RFC 4303 section 2.2.1). The ICV is its beginning.
func (l *lane) hash(b []byte, hi uint32, esn bool) []byte {
	l.mac.Reset()
	l.mac.Write(b)
	if esn {
		binary.BigEndian.PutUint32(l.hi[:], hi)
		l.mac.Write(l.hi[:])
	}
	return l.mac.Sum(l.sum[:0])
}
