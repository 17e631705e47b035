package inside

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// Suites are what tunnels are measured with.
var Suites = []ipsec.Suite{
	{Cipher: ipsec.AESGCM, Bits: 128},
	{Cipher: ipsec.AESGCM, Bits: 256},
	{Cipher: ipsec.AESCBC, Bits: 128, Auth: ipsec.HMACSHA256},
	{Cipher: ipsec.AESCBC, Bits: 256, Auth: ipsec.HMACSHA256},
	{Cipher: ipsec.Null, Auth: ipsec.HMACSHA256},
}

// The places in an ESP packet with an outer header.
const (
	espAt  = 20        // where the SPI stands
	ivAt   = espAt + 8 // and the IV
	icvLen = 16        // of every suite here
)

// esp seals and opens a batch of packets, with an SA and with nothing but the
// standard library's cipher and hash, which have the same keys: both compute
// over the same bytes in the same memory. Whatever makes the memory ready
// again is not measured.
type esp struct {
	out, in *ipsec.SA
	plain   []byte
	mem     [frame.Batch][]byte
	sealed  [frame.Batch][]byte // what the SA made of mem: IPv4 packets
	kept    [frame.Batch][]byte // copies of them
	bare    bare
}

func newESP(s ipsec.Suite, length int) (*esp, error) {
	e := &esp{plain: packet{
		proto: frame.ProtoUDP, src: benchClient, dst: benchServer, srcPort: 40000, dstPort: 9999, length: length,
	}.build()[frame.HeaderLen:]}
	keys := SomeKeys(s)
	c := ipsec.SAConfig{
		SPI: 0x1001, Outbound: true, Mode: ipsec.Tunnel, Suite: s, Keys: keys,
		Local: frame.Addr{198, 51, 100, 1}, Remote: frame.Addr{198, 51, 100, 2},
	}
	var err, errIn error
	e.out, err = ipsec.NewSA(c, 0)
	c.Outbound, c.Local, c.Remote = false, c.Remote, c.Local
	e.in, errIn = ipsec.NewSA(c, 0)
	for i := range e.mem {
		e.mem[i] = make([]byte, ipsec.Headroom+length+ipsec.Tailroom)
		e.kept[i] = make([]byte, len(e.mem[i]))
	}
	return e, errors.Join(err, errIn, e.bare.make(s, keys))
}

// SomeKeys are keys that nobody has to guess.
func SomeKeys(s ipsec.Suite) ipsec.Keys {
	n, a := s.KeyLengths()
	k := ipsec.Keys{Encrypt: make([]byte, n), Auth: make([]byte, a)}
	for i := range k.Encrypt {
		k.Encrypt[i] = byte(i)
	}
	for i := range k.Auth {
		k.Auth[i] = byte(200 - i)
	}
	return k
}

// refill puts packets in clear into the memory.
func (e *esp) refill() {
	for i := range e.mem {
		copy(e.mem[i][ipsec.Headroom:], e.plain)
	}
}

// keep copies the sealed packets, and restore puts them back.
func (e *esp) keep() {
	for i, p := range e.sealed {
		copy(e.kept[i], p)
	}
}

func (e *esp) restore() {
	for i, p := range e.sealed {
		copy(p, e.kept[i])
	}
}

// same reports whether the memory is again as the SA left it.
func (e *esp) same() bool {
	for i, p := range e.sealed {
		if string(p) != string(e.kept[i][:len(p)]) {
			return false
		}
	}
	return true
}

func (e *esp) seal() bool {
	for i, b := range e.mem {
		start, end, v := e.out.Seal(b, ipsec.Headroom, len(e.plain), 0, 0)
		if v != ipsec.Pass {
			return false
		}
		e.sealed[i] = b[start:end]
	}
	return true
}

func (e *esp) open() bool {
	for i := range e.sealed {
		if inner, v := e.in.Open(e.sealed[i], 0); v != ipsec.Pass || len(inner) != len(e.plain) {
			return false
		}
	}
	return true
}

func (e *esp) bareSeal() bool {
	for _, p := range e.sealed {
		e.bare.seal(p)
	}
	return true
}

func (e *esp) bareOpen() bool {
	for _, p := range e.sealed {
		if !e.bare.open(p) {
			return false
		}
	}
	return true
}

// chain is a CBC that can begin again with another IV.
type chain interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

// bare is the least that the standard library needs for the same packets.
type bare struct {
	gcm      cipher.AEAD
	enc, dec chain
	mac      hash.Hash
	nonce    [12]byte
	sum      [sha256.Size]byte
}

func (x *bare) make(s ipsec.Suite, k ipsec.Keys) error {
	if s.Auth != ipsec.AuthNone {
		x.mac = hmac.New(sha256.New, k.Auth)
	}
	if s.Cipher == ipsec.Null {
		return nil
	}
	block, err := aes.NewCipher(k.Encrypt[:s.Bits/8])
	if err != nil {
		return err
	}
	if s.Cipher == ipsec.AESGCM {
		copy(x.nonce[:], k.Encrypt[s.Bits/8:])
		x.gcm, err = cipher.NewGCM(block)
		return err
	}
	var ok, okToo bool
	x.enc, ok = cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).(chain)
	x.dec, okToo = cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).(chain)
	if !ok || !okToo {
		return errors.New("the standard library's CBC cannot begin again")
	}
	return nil
}

// body is where the encrypted part of a sealed packet begins.
func (x *bare) body() int {
	switch {
	case x.gcm != nil:
		return ivAt + 8
	case x.enc != nil:
		return ivAt + aes.BlockSize
	}
	return ivAt
}

func (x *bare) seal(p []byte) {
	at, end := x.body(), len(p)-icvLen
	if x.gcm != nil {
		copy(x.nonce[4:], p[ivAt:at])
		x.gcm.Seal(p[at:at], x.nonce[:], p[at:end], p[espAt:ivAt])
		return
	}
	if x.enc != nil {
		x.enc.SetIV(p[ivAt:at])
		x.enc.CryptBlocks(p[at:end], p[at:end])
	}
	copy(p[end:], x.hash(p[espAt:end]))
}

func (x *bare) open(p []byte) bool {
	at, end := x.body(), len(p)-icvLen
	if x.gcm != nil {
		copy(x.nonce[4:], p[ivAt:at])
		_, err := x.gcm.Open(p[at:at], x.nonce[:], p[at:], p[espAt:ivAt])
		return err == nil
	}
	if !hmac.Equal(p[end:], x.hash(p[espAt:end])) {
		return false
	}
	if x.dec != nil {
		x.dec.SetIV(p[ivAt:at])
		x.dec.CryptBlocks(p[at:end], p[at:end])
	}
	return true
}

func (x *bare) hash(b []byte) []byte {
	x.mac.Reset()
	x.mac.Write(b)
	return x.mac.Sum(x.sum[:0])[:icvLen]
}

// The ways that are measured in turns, each pair for its ratio.
const (
	wayBareSeal = iota
	waySeal
	wayBareOpen
	wayOpen
	espWays
)

// espTimes is how many nanoseconds a packet takes each way.
type espTimes [espWays]float64

// times measures turns batches of each way, one after the other, and returns
// the medians: what slows the machine down for a moment is in few batches.
func (e *esp) times(turns int) (m espTimes, err error) {
	var all [espWays][]float64
	clock := func(way int, f func() bool) bool {
		start := netns.Monotonic()
		ok := f()
		all[way] = append(all[way], float64(netns.Monotonic()-start)/frame.Batch)
		return ok
	}
	for range turns {
		e.refill()
		if !clock(waySeal, e.seal) {
			return m, errors.New("a packet was not sealed")
		}
		e.keep()
		if !clock(wayOpen, e.open) {
			return m, errors.New("a packet was not opened")
		}
		e.restore()
		if !clock(wayBareOpen, e.bareOpen) {
			return m, errors.New("the bare cipher does not open what the SA sealed")
		}
		if clock(wayBareSeal, e.bareSeal); !e.same() {
			return m, errors.New("the bare cipher makes other packets than the SA")
		}
	}
	for way := range m {
		m[way] = report.Median(all[way])
	}
	return m, nil
}

// ciphers prints what ESP costs beside the bare cipher.
func ciphers(rounds, turns int, out io.Writer) error {
	for _, length := range Sizes {
		t := report.Table{Head: []string{
			fmt.Sprintf("ESP in process, %d bytes, batches of %d", length, frame.Batch),
			"bare seal ns", "seal ns", "ratio", "bare open ns", "open ns", "ratio",
		}}
		for _, s := range Suites {
			m, err := cipherRounds(s, length, rounds, turns)
			if err != nil {
				return fmt.Errorf("%v, %d bytes: %w", s, length, err)
			}
			ns := func(way int) string { return fmt.Sprintf("%.0f", m[way]) }
			t.Row(s.String(), ns(wayBareSeal), ns(waySeal), report.Ratio(m[wayBareSeal], m[waySeal]),
				ns(wayBareOpen), ns(wayOpen), report.Ratio(m[wayBareOpen], m[wayOpen]))
		}
		t.Print(out)
	}
	return nil
}

// cipherRounds returns the medians of the rounds, each with SAs and memory of
// its own.
func cipherRounds(s ipsec.Suite, length, rounds, turns int) (m espTimes, err error) {
	var all [espWays][]float64
	for range rounds {
		e, err := newESP(s, length)
		if err != nil {
			return m, err
		}
		one, err := e.times(turns)
		if err != nil {
			return m, err
		}
		for way, ns := range one {
			all[way] = append(all[way], ns)
		}
	}
	for way := range m {
		m[way] = report.Median(all[way])
	}
	return m, nil
}
