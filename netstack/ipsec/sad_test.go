package ipsec

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnSPIIsRandomAndNobodyElses(t *testing.T) {
	g := newGate(t, false)
	g.db.random = bytes.NewReader([]byte{
		0, 0, 0, 0, 0, 0, 0, 255, // reserved ones are not taken
		0, 0, 1, 0,
		0, 0, 1, 0, 0, 0, 1, 1, // nor is one twice
		0, 0, 1, 1, 0, 0, 1, 2, // nor one of an SA
		0, 0, 1, 0, // free again
		0, 0, 1, 1, // after its SA is gone
		0, 0, 1, 2, // after ten minutes
	})
	var got []uint32
	draw := func(now int64) {
		spi, err := g.db.ReserveSPI(now)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, spi)
	}
	draw(0)
	draw(0)
	sa := g.add(g.config(0x101, false), 0)
	draw(0)
	g.db.ReleaseSPI(0x100)
	draw(0)
	g.db.Remove(sa)
	draw(0)
	sa = g.add(g.config(0x101, false), 0)
	g.db.Sweep(int64(10*time.Minute), func(e Event) { t.Errorf("%+v", e) })
	draw(0)
	if d := cmp.Diff([]uint32{0x100, 0x101, 0x102, 0x100, 0x101, 0x102}, got); d != "" {
		t.Error(d)
	}
	if _, err := g.db.ReserveSPI(0); err == nil {
		t.Error("no randomness, and an SPI")
	}
	if g.db.Find(0x101, addr("198.51.100.1")) != sa || g.db.Find(0x101, addr("198.51.100.2")) != nil || g.db.Find(0x103, addr("198.51.100.1")) != nil {
		t.Error("an SA is found by SPI and address")
	}
	g.db = NewDatabase(Options{})
	seen := map[uint32]bool{}
	for range maxReserved {
		spi, err := g.db.ReserveSPI(0)
		if err != nil || spi < 256 || seen[spi] {
			t.Fatal(spi, err)
		}
		seen[spi] = true
	}
	if _, err := g.db.ReserveSPI(0); err == nil {
		t.Error("no bound")
	}
}

func TestInboundSAsOfOneBucketComeAndGo(t *testing.T) {
	g := newGate(t, false)
	var all []*SA
	for i := range uint32(5) {
		all = append(all, g.add(g.config(0x100+i*buckets, false), 0))
	}
	for _, gone := range []int{2, 0, 4, 1, 3} {
		g.db.Remove(all[gone])
		all[gone] = nil
		for i, sa := range all {
			if got := g.db.Find(0x100+uint32(i)*buckets, addr("198.51.100.1")); got != sa {
				t.Errorf("without %d: %d is %v", gone, i, got)
			}
		}
	}
}

func TestWhatCannotBeAdded(t *testing.T) {
	g := newGate(t, false)
	g.add(g.config(0x1001, false), 0)
	beyond := g.config(0x1002, false)
	beyond.Scope = []Pair{{Local: rangeOf(pfx("10.1.0.0/16"), 0), Remote: rangeOf(pfx("192.168.15.0/24"), 0)}}
	for name, c := range map[string]SAConfig{
		"an SPI twice":             g.config(0x1001, false),
		"a reserved SPI":           g.config(255, false),
		"more than the selector":   beyond,
		"keys of the wrong length": func() SAConfig { c := g.config(0x1003, true); c.Keys.Encrypt = c.Keys.Encrypt[:16]; return c }(),
	} {
		if _, err := g.db.Add("lan", c, 0); err == nil {
			t.Errorf("%s: no error", name)
		} else if bytes.Contains([]byte(err.Error()), c.Keys.Encrypt[:4]) {
			t.Errorf("%s: the error shows keys", name)
		}
	}
	if _, err := g.db.Add("wan", g.config(0x1004, false), 0); err == nil {
		t.Error("a selector that does not exist")
	}
	for i := range uint32(maxOutbound) {
		g.add(g.config(0x2000+i, true), 0)
	}
	if _, err := g.db.Add("lan", g.config(0x3000, true), 0); err == nil {
		t.Error("no bound on outbound SAs of a selector")
	}
	g.db.maxSAs = len(g.db.all)
	if _, err := g.db.Add("lan", g.config(0x3001, false), 0); err == nil {
		t.Error("no bound on SAs")
	}
	if n := len(g.db.List(0)); n != maxOutbound+1 {
		t.Errorf("%d SAs", n)
	}
}

func TestFaultsOfAnSA(t *testing.T) {
	good := SAConfig{SPI: 0x100, Suite: cbc256, Keys: someKeys(cbc256, 1), Local: addr("10.0.0.1"), Remote: addr("10.0.0.2")}
	if _, err := NewSA(good, 0); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*SAConfig){
		"spi 0xff is reserved":                   func(c *SAConfig) { c.SPI = 255 },
		"has no keys of 100 bits":                func(c *SAConfig) { c.Suite.Bits = 100 },
		"needs 32 and 32 bytes of keys":          func(c *SAConfig) { c.Keys.Auth = c.Keys.Auth[1:] },
		"needs 36 and 0 bytes of keys":           func(c *SAConfig) { c.Suite = Suite{AESGCM, 256, AuthNone} },
		"must not be used with manual keys":      func(c *SAConfig) { c.Manual, c.Suite, c.Keys = true, gcm128, someKeys(gcm128, 1) },
		"extended sequence numbers need":         func(c *SAConfig) { c.Manual, c.ESN = true, true },
		"window is 4097":                         func(c *SAConfig) { c.Window = MaxWindow + 1 },
		"window is -1":                           func(c *SAConfig) { c.Window = -1 },
		"the ends or the mode are missing":       func(c *SAConfig) { c.Remote = [4]byte{} },
		"only one of two UDP ports":              func(c *SAConfig) { c.LocalPort = 4500 },
		"65 pairs of traffic":                    func(c *SAConfig) { c.Scope = make([]Pair, MaxPairs+1) },
		"a lifetime is negative":                 func(c *SAConfig) { c.Lifetime.SoftTime = -1 },
		"the soft lifetime is longer":            func(c *SAConfig) { c.Lifetime = Lifetime{SoftTime: 2, HardTime: 1} },
		"the soft lifetime is longer than":       func(c *SAConfig) { c.Lifetime = Lifetime{SoftBytes: 2, HardBytes: 1} },
		"security association 00000100: aes-cbc": func(c *SAConfig) { c.Suite.Auth = AuthNone },
	} {
		c := good
		change(&c)
		if _, err := NewSA(c, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
