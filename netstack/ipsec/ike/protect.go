package ike

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	saltLen  = 4 // RFC 5282 section 4
	gcmIV    = 8
	gcmICV   = 16
	fragment = 4 // number and total in an SKF payload (RFC 7383 section 2.5)
)

// protection encrypts and authenticates the messages of one direction of an
// IKE SA (RFC 7296 section 3.14, RFC 5282).
type protection struct {
	suite
	e, a    []byte
	counter uint64 // of AES-GCM: the IV of the next message, never used twice
}

var errIntegrity = errors.New("a message fails its integrity check")

func (p *protection) ivLen() int {
	if p.cipher.AEAD() {
		return gcmIV
	}
	return aes.BlockSize
}

func (p *protection) icvLen() int {
	if p.cipher.AEAD() {
		return gcmICV
	}
	return p.integrity.icvLen()
}

// overhead is what a message has around its inner payloads, at most: header,
// payload header, IV, padding, ICV.
func (p *protection) overhead() int {
	return headerLen + 4 + fragment + p.ivLen() + aes.BlockSize + p.icvLen()
}

// seal writes a message with inner as its encrypted payloads. total is 0, or
// the message is fragment number of total; only the first fragment names the
// first inner payload.
func (p *protection) seal(h header, first uint8, inner []byte, number, total uint16, random io.Reader) ([]byte, error) {
	pad := 1
	if !p.cipher.AEAD() {
		pad = aes.BlockSize - len(inner)%aes.BlockSize
	}
	plain := make([]byte, len(inner)+pad)
	copy(plain, inner)
	plain[len(plain)-1] = byte(pad - 1)
	extra := 0
	h.next = payloadSK
	if total != 0 {
		h.next, extra = payloadFragment, fragment
	}
	size := 4 + extra + p.ivLen() + len(plain) + p.icvLen()
	if size > maxMessage-headerLen {
		return nil, fmt.Errorf("a message of %d octets is too long", size)
	}
	h.version, h.length = version2, uint32(headerLen+size)
	b := h.appendTo(make([]byte, 0, h.length))
	b = append(b, first, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	if total != 0 {
		b = binary.BigEndian.AppendUint16(b, number)
		b = binary.BigEndian.AppendUint16(b, total)
	}
	return p.encrypt(b, plain, random)
}

// encrypt appends IV, ciphertext and ICV to b, all of which is authenticated.
func (p *protection) encrypt(b, plain []byte, random io.Reader) ([]byte, error) {
	block, err := aes.NewCipher(p.key())
	if err != nil {
		return nil, err
	}
	if p.cipher.AEAD() {
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		iv := binary.BigEndian.AppendUint64(nil, p.counter)
		p.counter++
		return gcm.Seal(append(b, iv...), append(p.salt(), iv...), plain, b), nil
	}
	iv := make([]byte, aes.BlockSize)
	if _, err := io.ReadFull(random, iv); err != nil {
		return nil, fmt.Errorf("random numbers: %w", err)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	b = append(append(b, iv...), plain...)
	return append(b, p.icv(b)...), nil
}

func (p *protection) key() []byte { return p.e[:p.keyBytes()] }

func (p *protection) keyBytes() int {
	if p.cipher.AEAD() {
		return len(p.e) - saltLen
	}
	return len(p.e)
}

func (p *protection) salt() []byte { return append([]byte{}, p.e[p.keyBytes():]...) }

func (p *protection) icv(b []byte) []byte {
	m := hmac.New(p.integrity.hash(), p.a)
	m.Write(b)
	return m.Sum(nil)[:p.integrity.icvLen()]
}

// opened is what an encrypted message holds: its inner payloads, or one piece
// of them.
type opened struct {
	first         uint8
	inner         []byte
	number, total uint16 // 0: no fragment
}

// open checks and decrypts a message, which begins with a header of length
// len(b). The SK or SKF payload must be its only one: what stands before it
// would not be encrypted, and nothing of ours does.
func (p *protection) open(h header, b []byte) (opened, error) {
	extra := 0
	if h.next == payloadFragment {
		extra = fragment
	} else if h.next != payloadSK {
		return opened{}, fmt.Errorf("a message begins with payload %d", h.next)
	}
	start := headerLen + 4 + extra
	if len(b) < start+p.ivLen()+1+p.icvLen() || int(binary.BigEndian.Uint16(b[headerLen+2:])) != len(b)-headerLen {
		return opened{}, errors.New("an encrypted payload is too short or not the last")
	}
	o := opened{first: b[headerLen]}
	if extra != 0 {
		o.number, o.total = binary.BigEndian.Uint16(b[headerLen+4:]), binary.BigEndian.Uint16(b[headerLen+6:])
		if o.number == 0 || o.number > o.total {
			return opened{}, fmt.Errorf("fragment %d of %d", o.number, o.total)
		}
	}
	plain, err := p.decrypt(b, start)
	if err != nil {
		return opened{}, err
	}
	pad := int(plain[len(plain)-1]) + 1
	if pad > len(plain) {
		return opened{}, errors.New("padding is longer than the message")
	}
	o.inner = plain[:len(plain)-pad]
	return o, nil
}

// decrypt checks all of b and returns what stands from start on, with padding.
func (p *protection) decrypt(b []byte, start int) ([]byte, error) {
	block, err := aes.NewCipher(p.key())
	if err != nil {
		return nil, err
	}
	iv, text := b[start:start+p.ivLen()], b[start+p.ivLen():]
	if p.cipher.AEAD() {
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		plain, err := gcm.Open(nil, append(p.salt(), iv...), text, b[:start])
		if err != nil {
			return nil, errIntegrity
		}
		return plain, nil
	}
	n := len(text) - p.icvLen()
	if !hmac.Equal(p.icv(b[:len(b)-p.icvLen()]), text[n:]) {
		return nil, errIntegrity
	}
	if n%aes.BlockSize != 0 || n == 0 {
		return nil, fmt.Errorf("a ciphertext has %d octets, not blocks", n)
	}
	plain := make([]byte, n)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text[:n])
	return plain, nil
}
