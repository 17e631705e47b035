package ipsec

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnInboundSAHasItsLifetime(t *testing.T) {
	out, in := ends(t, gcm128, func(c *SAConfig) { c.Lifetime = Lifetime{HardBytes: 150} })
	out.Lifetime = Lifetime{}
	if _, v := open(in, seal(t, out, udpPacket(98), 0), 9*second); v != Pass || in.LastPacket() != 9*second || in.Info(10*second).Idle != time.Second {
		t.Errorf("the first 100 bytes: %v, last packet at %d", v, in.LastPacket())
	}
	forged := seal(t, out, udpPacket(98), 0)
	forged[40] ^= 1
	if _, v := open(in, forged, 11*second); v != ICV || in.LastPacket() != 9*second || in.Info(0).Bytes != 100 {
		t.Errorf("a forged packet uses nothing up: %v, %+v", v, in.Info(11*second))
	}
	for range 2 {
		if _, v := open(in, seal(t, out, udpPacket(98), 0), 12*second); v != Expired {
			t.Errorf("beyond 150: %v", v)
		}
	}
}

func TestManualSAsAskForNoSuccessor(t *testing.T) {
	sa, _ := ends(t, cbc256, func(c *SAConfig) { c.Manual = true })
	sa.sent.Store(1 << 40)
	if why, soft := sa.softened(int64(1 << 62)); soft {
		t.Errorf("because of its %v", why)
	}
	if why, over := sa.ended(int64(1 << 62)); over {
		t.Errorf("over because of its %v", why)
	}
}

func TestLifetimesAskForASuccessorAndThenEnd(t *testing.T) {
	type event struct {
		kind EventKind
		spi  uint32
		why  Why
	}
	for name, c := range map[string]struct {
		change func(*SAConfig)
		run    func(g *gate, sa *SA) // before the sweep at 60 s
		soft   []event               // at 60 s
		hard   []event               // at 120 s
		last   Verdict               // of a packet at 120 s, before that sweep
	}{
		"time": {func(c *SAConfig) { c.Lifetime = Lifetime{SoftTime: time.Minute, HardTime: 2 * time.Minute} }, nil,
			[]event{{RekeyWanted, 0x1001, ByTime}}, []event{{SAEnded, 0x1001, ByTime}}, Expired},
		"bytes": {func(c *SAConfig) { c.Lifetime = Lifetime{SoftBytes: 150, HardBytes: 300} }, func(g *gate, sa *SA) {
			g.send(udpPacket(98), 0)
			g.send(udpPacket(98), 0)
		}, []event{{RekeyWanted, 0x1001, ByBytes}}, nil, Pass},
		"all bytes": {func(c *SAConfig) { c.Lifetime = Lifetime{HardBytes: 150} }, func(g *gate, sa *SA) {
			g.send(udpPacket(98), 0)
		}, nil, []event{{SAEnded, 0x1001, ByBytes}}, Expired},
		"numbers": {func(*SAConfig) {}, func(_ *gate, sa *SA) { sa.sent.Store(softShort) },
			[]event{{RekeyWanted, 0x1001, BySequence}}, nil, Pass},
		"the last number": {func(*SAConfig) {}, func(_ *gate, sa *SA) { sa.sent.Store(maxShort) },
			[]event{{RekeyWanted, 0x1001, BySequence}}, []event{{SAEnded, 0x1001, BySequence}}, Exhausted},
		"without end": {func(*SAConfig) {}, nil, nil, nil, Pass},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, false)
			cfg := g.config(0x1001, true)
			c.change(&cfg)
			sa := g.add(cfg, 0)
			if c.run != nil {
				c.run(g, sa)
			}
			sweep := func(now int64) (got []event) {
				g.db.Sweep(now, func(e Event) {
					got = append(got, event{e.Kind, e.SA.SPI, e.Why})
					if !slices.Equal(e.Selectors, []string{"lan"}) {
						t.Errorf("whose: %v", e.Selectors)
					}
				})
				return got
			}
			if got := sweep(59 * second); name == "time" && got != nil {
				t.Errorf("too early: %v", got)
			} else if name != "time" {
				if d := cmp.Diff(c.soft, got, cmp.AllowUnexported(event{})); d != "" {
					t.Error(d)
				}
				c.soft = nil // said once
			}
			if d := cmp.Diff(c.soft, sweep(60*second), cmp.AllowUnexported(event{})); d != "" {
				t.Error(d)
			}
			if r, _ := g.send(udpPacket(98), 120*second); r.Verdict != c.last || r.Acquire != (c.last != Pass) {
				t.Errorf("at 120 s: %+v, want %v", r, c.last)
			}
			if d := cmp.Diff(c.hard, sweep(120*second), cmp.AllowUnexported(event{})); d != "" {
				t.Error(d)
			}
			if left := len(g.db.List(0)); left != 1-len(c.hard) {
				t.Errorf("%d SAs are left", left)
			}
		})
	}
}
