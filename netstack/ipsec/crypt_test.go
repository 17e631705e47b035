package ipsec

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestWipedKeysAreOverwritten(t *testing.T) {
	for _, s := range suites() {
		out, in := ends(t, s, nil)
		sealed := seal(t, out, udpPacket(60), 0)
		if _, v := open(in, sealed, 0); v != Pass {
			t.Fatal(v)
		}
		c := in.crypt
		auth, lent, kept := c.auth, c.take(), c.take()
		c.put(kept)
		in.Wipe()
		c.put(lent)
		if !bytes.Equal(auth, make([]byte, len(auth))) || c.salt != [4]byte{} {
			t.Errorf("%v: keys are left: % x % x", s, auth, c.salt)
		}
		for _, l := range []*lane{kept, lent} {
			if l.salted != [12]byte{} || l.mac != nil || l.enc != nil || l.dec != nil || l.sum != [64]byte{} {
				t.Errorf("%v: a lane is left: %+v", s, l)
			}
		}
		if c.take() != nil {
			t.Errorf("%v: a lane after the end", s)
		}
	}
}

func TestKeysAreInNoLog(t *testing.T) {
	k := someKeys(cbc256, 0x41)
	k.Encrypt = []byte("AAAAsecret")
	c := SAConfig{SPI: 1, Suite: cbc256, Keys: k}
	m := ManualSA{Name: "m", Keys: k}
	text := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", k, k, k, k, c, m, m)
	for _, secret := range []string{"secret", "0x41", "65 65", "736563726574"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
	k.Wipe()
	if !bytes.Equal(k.Encrypt, make([]byte, 10)) {
		t.Error("not wiped")
	}
}

func TestRandomnessThatFailsIsToldAtOnce(t *testing.T) {
	_, err := NewSA(SAConfig{
		SPI: 0x100, Outbound: true, Suite: cbc256, Keys: someKeys(cbc256, 1), Local: addr("10.0.0.1"), Remote: addr("10.0.0.2"), Random: strings.NewReader("short"),
	}, 0)
	if err == nil {
		t.Error("no error")
	}
}

// Many goroutines seal and open the packets of one SA while it is rekeyed,
// listed, reloaded and at last removed.
func TestEverybodyAtOnce(t *testing.T) {
	for _, s := range []Suite{gcm128, {AESCBC, 128, HMACSHA256}} {
		near, far := newGate(t, false), newGate(t, true)
		with := func(c SAConfig) SAConfig {
			c.Suite, c.Keys, c.Window = s, someKeys(s, byte(c.SPI)), MaxWindow
			return c
		}
		far.add(with(far.config(0x1001, false)), 0)
		old := near.add(with(near.config(0x1001, true)), 0)
		var passed, ended atomic.Int64
		var seen sync.Map
		var wg sync.WaitGroup
		const senders, packets = 4, 300
		for range senders {
			wg.Go(func() {
				for range packets {
					r, sealed := near.send(udpPacket(80), 0)
					if r.Verdict != Pass {
						ended.Add(1)
						continue
					}
					if _, twice := seen.LoadOrStore([8]byte(sealed[20:28]), true); twice {
						t.Errorf("SPI and number twice: % x", sealed[20:28])
					}
					if got := far.receive(sealed, 0); got.Verdict == Pass {
						passed.Add(1)
					} else {
						t.Errorf("%v", got.Verdict)
					}
				}
			})
		}
		wg.Go(func() {
			for i := range uint32(10) {
				far.add(with(far.config(0x2000+i, false)), 0)
				next := near.add(with(near.config(0x2000+i, true)), 0)
				near.db.Remove(old)
				old = next
				near.apply(rioConfig(false), 0)
				near.db.List(0)
				far.db.Sweep(0, func(e Event) { t.Errorf("%+v", e) })
			}
		})
		wg.Wait()
		if passed.Load()+ended.Load() != senders*packets || ended.Load() > 0 {
			t.Errorf("%v: %d passed, %d were lost in rekeys", s, passed.Load(), ended.Load())
		}
		near.db.Remove(old)
		if r, _ := near.send(udpPacket(80), 0); r.Verdict != Held {
			t.Errorf("%v", r.Verdict)
		}
	}
}
