package netstack

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"spigate/alg/ipsec"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// From both sides at once, through all lanes of both ports, while an operator
// looks, flushes and reloads.
func TestAfterAStormOfManyNothingIsLeft(t *testing.T) {
	for _, kind := range stormKinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, lanes(3), stormy(kind), func(c *Config) {
				random := c.LSN.Rand
				var mu sync.Mutex
				c.LSN.Rand = func(n uint32) uint32 {
					mu.Lock()
					defer mu.Unlock()
					return random(n)
				}
			})
			for _, a := range []string{"192.0.2.20", "192.0.2.14"} {
				w.neighbor(lanIf, addr(a))
			}
			var mu sync.Mutex
			var seen []frame.Packet
			var wg sync.WaitGroup
			for i, step := range []func(*storm, int){
				operate,
				func(s *storm, _ int) { w.fromLAN(s.outward()...); s.look() },
				func(s *storm, _ int) { w.fromWAN(s.inward()...); s.look() },
				func(s *storm, _ int) { w.fromLAN(s.outward()...); s.look() },
				func(s *storm, _ int) { w.fromWAN(s.inward()...); s.look() },
			} {
				s := &storm{w: w, rand: rand.New(rand.NewPCG(uint64(i), 2)), mu: &mu, seen: &seen}
				wg.Add(1)
				go func() {
					defer wg.Done()
					for n := range 2500 {
						step(s, n)
					}
				}()
			}
			wg.Wait()
			w.atLAN()
			w.atWAN()
			w.reload(settingsOf(kind))
			(&storm{w: w, computed: kind == "deterministic"}).over()
		})
	}
}

// operate does what an operator does, and moves the clock.
func operate(s *storm, n int) {
	r := s.w.r
	switch {
	case n%10 == 0:
		s.w.advance(time.Duration(s.rand.IntN(3000)) * time.Millisecond)
	case n%97 == 0:
		kinds := stormKinds
		if s.rand.IntN(2) == 0 {
			kinds = kinds[:2] // ports stay as they are divided, and so do sessions
		}
		set := settingsOf(kinds[s.rand.IntN(len(kinds))])
		if s.rand.IntN(3) == 0 {
			set.LSN.Statics = set.LSN.Statics[:s.rand.IntN(3)]
		}
		s.w.reload(set)
	case n%151 == 0:
		r.FlushLSN(lsn.Filter{NAT: s.pick(natAddr, newNAT)})
	case n%173 == 0:
		r.FlushALG(ipsec.Filter{})
	case n%31 == 0:
		r.LSN().Stats()
		r.LSN().Walk(func(lsn.SessionInfo) bool { return true })
		r.LSN().WalkStatic(func(lsn.StaticInfo) bool { return true })
	}
}

var stormKinds = []string{"single ports", "held ports", "blocks", "deterministic"}

// settingsOf is what stormy configures, for a router that runs.
func settingsOf(kind string) Settings {
	c := Config{RouterConfig: RouterConfig{LSN: testLSN()}}
	stormy(kind)(&c)
	p := ipsec.DefaultProfile()
	p.Name = "P"
	return Settings{LSN: c.LSN, Profiles: map[string]ipsec.Profile{"P": p}}
}
