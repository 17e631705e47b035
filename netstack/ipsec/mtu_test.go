package ipsec

import (
	"testing"
	"time"

	"spigate/netstack/frame"
)

// The inner MTU is the longest packet that fits: one byte more does not.
func TestTheLongestInnerPacketFitsAndOneByteMoreDoesNot(t *testing.T) {
	for _, s := range suites() {
		for _, mode := range []Mode{Tunnel, Transport} {
			for _, port := range []uint16{0, 4500} {
				for path := 576; path <= 1600; path += 7 {
					sa, _ := ends(t, s, func(c *SAConfig) { c.Mode, c.LocalPort, c.RemotePort = mode, port, port })
					n := sa.InnerMTU(path, 20)
					if sa.SealedLen(n, 20) > path || sa.SealedLen(n+1, 20) <= path {
						t.Fatalf("%v %v port %d path %d: %d bytes become %d, one more %d", s, mode, port, path, n, sa.SealedLen(n, 20), sa.SealedLen(n+1, 20))
					}
					b, off := room(inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 17, df: true, size: n}.packet())
					if start, end, v := sa.Seal(b, off, n, path, 0); v != Pass || end-start > path || b[start+6]&0x40 == 0 {
						t.Fatalf("%v: %d bytes on a way of %d: %v, %d bytes", s, n, path, v, end-start)
					}
					b, off = room(inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 17, df: true, size: n + 1}.packet())
					if _, _, v := sa.Seal(b, off, n+1, path, 0); v != TooBig {
						t.Fatalf("%v: one byte more: %v", s, v)
					}
				}
			}
		}
	}
}

func TestInnerMTUsOfAnEthernet(t *testing.T) {
	for _, c := range []struct {
		s    Suite
		mode Mode
		port uint16
		want int
	}{
		{Suite{AESGCM, 128, AuthNone}, Tunnel, 0, 1446},
		{Suite{AESGCM, 128, AuthNone}, Tunnel, 4500, 1438},
		{Suite{AESCBC, 128, HMACSHA256}, Tunnel, 0, 1438},
		{Suite{AESCBC, 256, HMACSHA256}, Tunnel, 4500, 1422},
		{Suite{AESCBC, 256, HMACSHA512}, Tunnel, 0, 1422},
		{Suite{AESGCM, 256, AuthNone}, Transport, 0, 1466},
		{Suite{Null, 0, HMACSHA256}, Tunnel, 0, 1454},
	} {
		sa, _ := ends(t, c.s, func(cfg *SAConfig) { cfg.Mode, cfg.LocalPort, cfg.RemotePort = c.mode, c.port, c.port })
		if got := sa.InnerMTU(1500, 20); got != c.want {
			t.Errorf("%v %v port %d: %d, want %d", c.s, c.mode, c.port, got, c.want)
		}
	}
	sa, _ := ends(t, Suite{AESCBC, 256, HMACSHA512}, nil)
	if got := sa.InnerMTU(60, 20); got != 0 {
		t.Errorf("nothing fits: %d", got)
	}
}

func TestHeadroomAndTailroomAreEnoughForEverySuite(t *testing.T) {
	for _, s := range suites() {
		for size := 20; size < 60; size++ {
			sa, _ := ends(t, s, func(c *SAConfig) { c.LocalPort, c.RemotePort = 4500, 4500 })
			f, v := sa.plan(make([]byte, 0), 0, 0, 0, 0)
			if v != InnerMalformed {
				t.Fatal(v, f)
			}
			b, off := room(inner{src: "10.1.1.1", dst: "10.2.2.2", proto: frame.ProtoESP, size: size}.packet())
			if _, _, v := sa.Seal(b, off, size, 0, 0); v != Pass {
				t.Errorf("%v, %d bytes: %v", s, size, v)
			}
		}
	}
}

func TestWhatICMPSaysOfTheWayIsBelievedForTenMinutes(t *testing.T) {
	sa, _ := ends(t, Suite{AESGCM, 128, AuthNone}, nil)
	now := 5 * second
	sa.LearnMTU(1400, now)
	if got := sa.narrow(1500, now); got != 1400 {
		t.Errorf("learned 1400: %d", got)
	}
	if got := sa.narrow(1300, now); got != 1300 {
		t.Errorf("the interface is narrower: %d", got)
	}
	sa.LearnMTU(1450, now)
	if got := sa.narrow(0, now); got != 1400 {
		t.Errorf("a wider one is not believed yet: %d", got)
	}
	sa.LearnMTU(68, now+second)
	if got := sa.narrow(1500, now+second); got != minPath {
		t.Errorf("nobody makes us send tiny packets: %d", got)
	}
	later := now + int64(11*time.Minute)
	if got := sa.narrow(1500, later); got != 1500 {
		t.Errorf("after eleven minutes: %d", got)
	}
	sa.LearnMTU(1450, later)
	if got := sa.narrow(1500, later); got != 1450 {
		t.Errorf("then a wider one counts: %d", got)
	}
}
