package ipsec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"testing"

	"spigate/netstack/frame"
)

// hot is both ends with an SA, and a packet with its memory.
func hot(t testing.TB, s Suite, size int) (near, far *gate, sel *Selector, mem []byte, off int) {
	near, far = newGate(t, false), newGate(t, true)
	for _, g := range []*gate{near, far} {
		c := g.config(0x1001, !g.far)
		c.Suite, c.Keys = s, someKeys(s, 1)
		g.add(c, 0)
	}
	mem, off = room(udpPacket(size))
	return near, far, near.selector("lan"), mem, off
}

func TestTheWayOfAPacketAllocatesNothing(t *testing.T) {
	for _, s := range suites() {
		near, far, _, mem, off := hot(t, s, 100)
		p := append([]byte(nil), mem[off:off+100]...)
		f := udpFlow("10.1.1.9", "192.168.15.2")
		n := testing.AllocsPerRun(200, func() {
			copy(mem[off:], p)
			l := near.db.Policies().Out(f)
			r := near.db.Send(l.Selector, f, mem, off, len(p), 1500, 0, 0)
			if r.Verdict != Pass {
				t.Fatal(r.Verdict)
			}
			if got := far.db.Receive(mem[r.Start:r.End], 0); got.Verdict != Pass {
				t.Fatal(got.Verdict)
			}
			if near.db.Policies().In(f.Reversed()).Verdict != SelectorReject {
				t.Fatal("In")
			}
		})
		if n != 0 {
			t.Errorf("%v: %v allocations for a packet", s, n)
		}
	}
}

func benchSuites() []Suite {
	return []Suite{{AESGCM, 128, AuthNone}, {AESGCM, 256, AuthNone}, {AESCBC, 128, HMACSHA256}, {AESCBC, 256, HMACSHA512}, {Null, 0, HMACSHA256}}
}

func each(b *testing.B, run func(b *testing.B, s Suite, size int)) {
	for _, s := range benchSuites() {
		for _, size := range []int{100, 1400} {
			b.Run(fmt.Sprintf("%v/%d", s, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				run(b, s, size)
			})
		}
	}
}

// BenchmarkSend is selector, SA and ESP.
func BenchmarkSend(b *testing.B) {
	each(b, func(b *testing.B, s Suite, size int) {
		near, _, _, mem, off := hot(b, s, size)
		p := append([]byte(nil), mem[off:off+size]...)
		f := udpFlow("10.1.1.9", "192.168.15.2")
		for b.Loop() {
			copy(mem[off:], p)
			if r := near.db.Send(near.db.Policies().Out(f).Selector, f, mem, off, size, 1500, 0, 0); r.Verdict != Pass {
				b.Fatal(r.Verdict)
			}
		}
	})
}

// BenchmarkReceive is ESP and all checks; the window forgets, so that one packet
// can come for ever.
func BenchmarkReceive(b *testing.B) {
	each(b, func(b *testing.B, s Suite, size int) {
		near, far, sel, mem, off := hot(b, s, size)
		r := near.db.Send(sel, udpFlow("10.1.1.9", "192.168.15.2"), mem, off, size, 1500, 0, 0)
		sealed := append([]byte(nil), mem[r.Start:r.End]...)
		in := far.db.Find(0x1001, addr("198.51.100.200"))
		work := make([]byte, len(sealed))
		for b.Loop() {
			copy(work, sealed)
			forget(in.window)
			if r := far.db.Receive(work, 0); r.Verdict != Pass {
				b.Fatal(r.Verdict)
			}
		}
	})
}

// BenchmarkSeal is ESP alone; BenchmarkBareSeal is what to compare it with.
func BenchmarkSeal(b *testing.B) {
	each(b, func(b *testing.B, s Suite, size int) {
		sa, _ := ends(b, s, nil)
		p := udpPacket(size)
		mem, off := room(p)
		for b.Loop() {
			copy(mem[off:], p)
			if _, _, v := sa.Seal(mem, off, size, 1500, 0); v != Pass {
				b.Fatal(v)
			}
		}
	})
}

// BenchmarkOpen is ESP alone; BenchmarkBareOpen is what to compare it with.
func BenchmarkOpen(b *testing.B) {
	each(b, func(b *testing.B, s Suite, size int) {
		out, in := ends(b, s, nil)
		sealed := seal(b, out, udpPacket(size), 0)
		work := make([]byte, len(sealed))
		for b.Loop() {
			copy(work, sealed)
			forget(in.window)
			if _, v := in.Open(work, 0); v != Pass {
				b.Fatal(v)
			}
		}
	})
}

// BenchmarkBareSeal is the standard library's cipher and hash alone, on as many
// bytes as a packet of that size has, with the copy that the others make.
func BenchmarkBareSeal(b *testing.B) {
	each(b, func(b *testing.B, s Suite, size int) {
		c, esp := bareParts(b, s, size)
		p := udpPacket(size)
		for b.Loop() {
			copy(esp[espHeader+s.ivLen():], p)
			if c.gcm != nil {
				c.gcm.Seal(esp[16:16], c.nonce, esp[16:len(esp)-16], esp[:8])
				continue
			}
			if c.enc != nil {
				c.enc.CryptBlocks(esp[24:len(esp)-s.icvLen()], esp[24:len(esp)-s.icvLen()])
			}
			c.mac.Reset()
			c.mac.Write(esp[:len(esp)-s.icvLen()])
			c.mac.Sum(c.sum[:0])
		}
	})
}

// BenchmarkBareOpen is the same for decryption.
func BenchmarkBareOpen(b *testing.B) {
	each(b, func(b *testing.B, s Suite, size int) {
		c, esp := bareParts(b, s, size)
		if c.gcm != nil {
			c.gcm.Seal(esp[16:16], c.nonce, esp[16:len(esp)-16], esp[:8])
		}
		sealed := append([]byte(nil), esp...)
		for b.Loop() {
			copy(esp, sealed)
			if c.gcm != nil {
				if _, err := c.gcm.Open(esp[16:16], c.nonce, esp[16:], esp[:8]); err != nil {
					b.Fatal(err)
				}
				continue
			}
			c.mac.Reset()
			c.mac.Write(esp[:len(esp)-s.icvLen()])
			c.mac.Sum(c.sum[:0])
			if c.dec != nil {
				c.dec.CryptBlocks(esp[24:len(esp)-s.icvLen()], esp[24:len(esp)-s.icvLen()])
			}
		}
	})
}

// parts are what the standard library has for a suite.
type parts struct {
	gcm      cipher.AEAD
	enc, dec cipher.BlockMode
	mac      hash.Hash
	nonce    []byte
	sum      [64]byte
}

func bareParts(b *testing.B, s Suite, size int) (*parts, []byte) {
	sa, _ := ends(b, s, nil)
	esp := seal(b, sa, udpPacket(size), 0)[20:]
	c := &parts{nonce: make([]byte, 12)}
	if s.Cipher != Null {
		block, err := aes.NewCipher(make([]byte, s.Bits/8))
		if err != nil {
			b.Fatal(err)
		}
		if s.Cipher == AESGCM {
			c.gcm, err = cipher.NewGCM(block)
			if err != nil {
				b.Fatal(err)
			}
		} else {
			c.enc, c.dec = cipher.NewCBCEncrypter(block, make([]byte, 16)), cipher.NewCBCDecrypter(block, make([]byte, 16))
		}
	}
	c.mac = hmac.New(sha256.New, make([]byte, 32))
	if s.Auth == HMACSHA512 {
		c.mac = hmac.New(sha512.New, make([]byte, 64))
	}
	return c, esp
}

func BenchmarkOuterHeader(b *testing.B) {
	mem, src, dst := make([]byte, 1500), uint32(0xc6336401), uint32(0xc63364c8)
	for b.Loop() {
		putOuter(mem, protoESP, 0, false, 7, src, dst)
	}
}

// BenchmarkOut finds the last of many selectors.
func BenchmarkOut(b *testing.B) {
	for _, n := range []int{1, 64, MaxSelectors} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := Config{Policies: []Policy{rio()}}
			for i := range n {
				c.Selectors = append(c.Selectors, protect(fmt.Sprint(i), i, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256), "192.168.0.0/16"))
			}
			p := policies(b, c)
			f := udpFlow("10.1.1.1", "192.168.15.2")
			f.Src = frame.Addr{10, byte((n - 1) / 256), byte((n - 1) % 256), 7}
			b.ReportAllocs()
			for b.Loop() {
				if p.Out(f).Verdict != Protect {
					b.Fatal("missed")
				}
			}
		})
	}
}
