package ikepeer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"spigate/netstack/ipsec/ike"
)

// espPair is a pair of ESP SAs that answers UDP in tunnel mode: enough to
// prove that both ends have the same keys. It knows AES-GCM, and AES-CBC with
// SHA-256.
type espPair struct {
	sa  *ike.ChildSA
	seq uint32
}

func newPair(c *ike.ChildSA) *espPair { return &espPair{sa: c} }

// echo opens a packet, swaps its addresses and ports and seals it again. It
// returns nil for a packet that is not of this pair.
func (p *espPair) echo(b []byte) []byte {
	if len(b) < 8 || binary.BigEndian.Uint32(b) != p.sa.In {
		return nil
	}
	inner := p.open(b)
	if len(inner) < 30 {
		return nil
	}
	inner = inner[:len(inner)-2-int(inner[len(inner)-2])]
	if len(inner) < 28 || inner[0] != 0x45 || inner[9] != 17 {
		return nil
	}
	for i := range 4 {
		inner[12+i], inner[16+i] = inner[16+i], inner[12+i]
	}
	for i := range 2 { // neither swap changes a checksum
		inner[20+i], inner[22+i] = inner[22+i], inner[20+i]
	}
	p.seq++
	head := binary.BigEndian.AppendUint32(nil, p.sa.Out)
	return p.seal(binary.BigEndian.AppendUint32(head, p.seq), inner)
}

func (p *espPair) open(b []byte) []byte {
	k := p.sa.KeysIn
	if p.sa.Cipher.AEAD() {
		gcm, salt := gcmOf(k.Cipher)
		out, err := gcm.Open(nil, append(salt, b[8:16]...), b[16:], b[:8])
		if err != nil {
			return nil
		}
		return out
	}
	m := hmac.New(sha256.New, k.Integrity)
	m.Write(b[:len(b)-16])
	if !hmac.Equal(m.Sum(nil)[:16], b[len(b)-16:]) {
		return nil
	}
	block, err := aes.NewCipher(k.Cipher)
	if err != nil {
		return nil
	}
	text := b[24 : len(b)-16]
	out := make([]byte, len(text))
	cipher.NewCBCDecrypter(block, b[8:24]).CryptBlocks(out, text)
	return out
}

func (p *espPair) seal(head, inner []byte) []byte {
	k := p.sa.KeysOut
	align := 4
	if !p.sa.Cipher.AEAD() {
		align = aes.BlockSize
	}
	pad := (align - (len(inner)+2)%align) % align
	for i := range pad {
		inner = append(inner, byte(i+1))
	}
	inner = append(inner, byte(pad), 4)
	if p.sa.Cipher.AEAD() {
		gcm, salt := gcmOf(k.Cipher)
		iv := binary.BigEndian.AppendUint64(nil, uint64(p.seq))
		return gcm.Seal(append(head, iv...), append(salt, iv...), inner, head)
	}
	iv := sha256.Sum256(head)
	block, err := aes.NewCipher(k.Cipher)
	if err != nil {
		return nil
	}
	cipher.NewCBCEncrypter(block, iv[:16]).CryptBlocks(inner, inner)
	out := append(append(head, iv[:16]...), inner...)
	m := hmac.New(sha256.New, k.Integrity)
	m.Write(out)
	return append(out, m.Sum(nil)[:16]...)
}

func gcmOf(key []byte) (cipher.AEAD, []byte) {
	block, err := aes.NewCipher(key[:len(key)-4])
	if err != nil {
		panic(err) // the engine gives keys of the right length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm, append([]byte{}, key[len(key)-4:]...)
}
