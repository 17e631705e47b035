package lsn

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

var fullCone = AppProfile{Name: "cone", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}

// held is config with hold-down.
func held(c Config, timeout time.Duration, queue int) Config {
	c.Pools[0].ReallocTimeout, c.Pools[0].MaxReallocQueue = timeout, queue
	return c
}

// wishFor asks for one port and reports whether it was had.
func (f *fixture) wishFor(inside frame.Endpoint, port uint16, now int64) bool {
	f.t.Helper()
	b, why := f.out(udp(inside, at(serverY, 53)), Hints{Port: port}, now)
	if why != drop.None {
		f.t.Fatal(why)
	}
	f.check()
	return b.Outside.Port == port
}

// RFC 6888 REQ-8: 120 seconds.
func TestAFreedPortIsHeldForItsTime_R25(t *testing.T) {
	f := build(t, held(config(nat1, fullCone), 120*time.Second, 65536))
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.Sweep(121 * second) // it ended at 120 s
	if st := f.Stats().Pools[0]; st.Used[1] != 0 || st.Held[1] != 1 {
		t.Errorf("%d ports used, %d held", st.Used[1], st.Held[1])
	}
	if _, why := f.in(b.Proto, b.Outside, b.Remote, 0, 122*second); why != drop.NoMapping {
		t.Errorf("a packet to a held port: %v", why)
	}
	if f.wishFor(at(other, 1), b.Outside.Port, 240*second-1) {
		t.Error("the port was given a nanosecond too early")
	}
	if !f.wishFor(at(other, 2), b.Outside.Port, 240*second) {
		t.Error("the port is held for more than its time")
	}
	if st := f.Stats().Pools[0]; st.Used[1] != 2 || st.Held[1] != 0 {
		t.Errorf("%d ports used, %d held", st.Used[1], st.Held[1])
	}
}

func TestAHeldPortFreesItselfWithoutTraffic_R25(t *testing.T) {
	f := build(t, held(config(nat1, fullCone), 60*time.Second, 65536))
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.Sweep(130 * second)
	f.Sweep(180 * second)
	if held := f.Stats().Pools[0].Held[1]; held != 0 {
		t.Errorf("%d ports are held for ever", held)
	}
	f.check()
}

// RFC 6888 REQ-8 B and C, and table 1.1.
func TestHoldDownIsNotForPortsThatNeedNone_R25(t *testing.T) {
	adf, apdf := fullCone, fullCone
	adf.Filtering, apdf.Filtering = ADF, APDF
	dealt := deterministic(config(nat1, fullCone), ByPorts, 256)
	dealt.Clients[0].Networks = prefixes("192.0.2.0/30")
	for name, c := range map[string]Config{
		"no time": config(nat1, fullCone), "no queue": held(config(nat1, fullCone), 600*time.Second, 0),
		"address dependent filter":          held(config(nat1, adf), 600*time.Second, 9),
		"address and port dependent filter": held(config(nat1, apdf), 600*time.Second, 9),
		"blocks":                            held(blocked(config(nat1, fullCone), 256), 600*time.Second, 9),
		"deterministic":                     held(dealt, 600*time.Second, 9),
	} {
		t.Run(name, func(t *testing.T) {
			f := build(t, c)
			b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
			keep := b
			for keep.Outside.Port == b.Outside.Port || c.Groups[0].BlockSize == 0 && keep == b {
				keep = f.mustOut(udp(at(subscriber, 2), at(serverY, 53)), 0, 0) // so that a block stays
			}
			f.RemoveMapping(b.Mapping)
			if !f.wishFor(at(subscriber, 3), b.Outside.Port, 1) {
				t.Error("the port is held")
			}
		})
	}
}

func TestAFullQueueHoldsNoMorePorts_R25(t *testing.T) {
	f := build(t, held(config(nat1, fullCone), 600*time.Second, 2))
	var ports []uint16
	for i := range uint16(3) {
		b := f.mustOut(udp(at(subscriber, i), at(serverY, 53)), 0, 0)
		ports = append(ports, b.Outside.Port)
		f.RemoveMapping(b.Mapping)
	}
	for i, port := range ports {
		if got := f.wishFor(at(other, uint16(i)), port, 1); got != (i == 2) {
			t.Errorf("port %d of three: given %v; a queue of two holds the first two", i, got)
		}
	}
}

func TestAnAddressWhosePortsAreAllHeldRefusesUntilTheirTime_R25(t *testing.T) {
	f := build(t, held(config(nat1, fullCone), 100*time.Second, 65536))
	fill(t, f, at(serverY, 53), 0)
	f.Sweep(121 * second) // all ended at 120 s
	late := udp(at(subscriber, 65000), at(serverY, 53))
	for _, now := range []int64{121 * second, 220*second - 1} {
		if _, why := f.DecideOut(late, Hints{}, now); why != drop.NoFreePort {
			t.Errorf("decided %v at %d", why, now)
		}
		if _, why := f.out(late, Hints{}, now); why != drop.NoFreePort {
			t.Errorf("%v at %d", why, now)
		}
	}
	f.check()
	f.mustOut(late, 0, 220*second)
	if st := f.Stats().Pools[0]; st.Held[1] != 0 || st.Used[1] != 1 {
		t.Errorf("%d held, %d used", st.Held[1], st.Used[1])
	}
	f.check()
}

// The heap against a list that is searched, with instants that do not come in
// order.
func TestPortsLeaveHoldDownExactlyInTime_R25(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h holdDown
		limit := rapid.IntRange(1, 20).Draw(t, "queue")
		h.init(Pool{ReallocTimeout: 10, MaxReallocQueue: limit})
		var model []heldPort
		now := int64(100)
		for i := range 200 {
			now += rapid.Int64Range(0, 3).Draw(t, "step")
			p := heldPort{now - rapid.Int64Range(0, 5).Draw(t, "late"), uint16(i + 1024), frame.ProtoUDP}
			if h.put(p) {
				model = append(model, p)
			} else if len(model) < limit {
				t.Fatalf("a queue of %d with %d ports is full", limit, len(model))
			}
			var kept []heldPort
			due := map[heldPort]bool{}
			for _, p := range model {
				if now-p.at >= 10 {
					due[p] = true
				} else {
					kept = append(kept, p)
				}
			}
			model = kept
			for {
				p, ok := h.pop(now)
				if !ok {
					break
				}
				if !due[p] {
					t.Fatalf("at %d: %v is not due", now, p)
				}
				delete(due, p)
			}
			if len(due) > 0 || len(h.heap) != len(model) || int(h.count[1].Load()) != len(model) {
				t.Fatalf("at %d: %v are due, %d wait, want %d", now, due, len(h.heap), len(model))
			}
		}
	})
}

// Whatever traffic and time do, no port is given to anybody within its time.
func TestNoPortIsGivenWithinItsTime_R25(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := held(config(nat1, fullCone, AppProfile{Name: "t", Proto: frame.ProtoTCP}), 30*time.Second, 65536)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 7))
		c.Rand = func(n uint32) uint32 { return r.Uint32N(min(n, 12)) }
		now := int64(0)
		freed := map[uint16]int64{}
		last := map[uint16]int64{} // ports in use: the last packet
		f := build(rt, c)
		for range 150 {
			now += rapid.SampledFrom([]int64{0, 1, second, 29 * second, 30 * second, 60 * second}).Draw(rt, "step")
			for port, when := range last {
				if end := when + 120*second; now > end {
					freed[port] = end
					delete(last, port)
				}
			}
			if rapid.Bool().Draw(rt, "sweep") {
				f.Sweep(now)
			}
			b := f.mustOut(udp(at(subscriber, uint16(rapid.IntRange(1, 6).Draw(rt, "port"))), at(serverY, 53)), 0, now)
			port := b.Outside.Port
			if _, mine := last[port]; !mine {
				if at, ever := freed[port]; ever && now-at < 30*second {
					rt.Fatalf("port %d was freed at %d and given at %d", port, at, now)
				}
			}
			last[port] = now
		}
		f.check()
	})
}
