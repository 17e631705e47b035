package ike

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

func hashOfMessage(b []byte) [32]byte { return sha256.Sum256(b) }

// cookieJar makes and checks cookies without remembering them (RFC 7296
// section 2.6). Its secret changes every minute; the one before is still good.
type cookieJar struct {
	secrets [2][]byte
	version byte
	since   int64
}

const cookieTime = 60 * second

func (j *cookieJar) turn(e *Engine) {
	if j.secrets[0] != nil && e.now-j.since < cookieTime {
		return
	}
	clear(j.secrets[1])
	j.secrets[1], j.secrets[0] = j.secrets[0], e.random(32)
	if e.now-j.since >= 2*cookieTime {
		j.secrets[1] = nil
	}
	j.version++
	j.since = e.now
}

// make writes version and HMAC(secret, SPIi, address, nonce).
func (j *cookieJar) make(version byte, secret []byte, remote netip.AddrPort, spiI uint64, nonce []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(binary.BigEndian.AppendUint64([]byte{version}, spiI))
	h.Write(binary.BigEndian.AppendUint16(remote.Addr().AsSlice(), remote.Port()))
	h.Write(nonce)
	return h.Sum([]byte{version})
}

// bake gives a cookie for a first message.
func (j *cookieJar) bake(e *Engine, remote netip.AddrPort, spiI uint64, nonce []byte) []byte {
	j.turn(e)
	return j.make(j.version, j.secrets[0], remote, spiI, nonce)
}

// good reports whether a cookie is ours, for this message, and not old.
func (j *cookieJar) good(e *Engine, cookie []byte, remote netip.AddrPort, spiI uint64, nonce []byte) bool {
	j.turn(e)
	if len(cookie) == 0 {
		return false
	}
	i := int(j.version - cookie[0])
	if i > 1 || j.secrets[i] == nil {
		return false
	}
	return hmac.Equal(cookie, j.make(cookie[0], j.secrets[i], remote, spiI, nonce))
}
