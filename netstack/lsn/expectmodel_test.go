package lsn

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Random traffic with expectations in it keeps all tables in step.
func TestExpectationsAmongRandomTraffic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		app := AppProfile{
			Name: "A", Proto: frame.ProtoUDP,
			Mapping: Mapping(rapid.IntRange(0, 2).Draw(t, "mapping")), Filtering: Filtering(rapid.IntRange(0, 2).Draw(t, "filtering")),
			Pooling: Pooling(rapid.IntRange(0, 1).Draw(t, "pooling")),
		}
		c := config(nat1, app)
		c.MaxSessions = 40
		draws := uint32(0)
		c.Rand = func(n uint32) uint32 { draws++; return draws % min(n, 3) } // ports are shared at once
		f := build(t, c)
		var known []Binding
		var open []frame.Endpoint
		now := int64(0)
		end := func(a frame.Addr, ports ...uint16) frame.Endpoint {
			return at(a, rapid.SampledFrom(ports).Draw(t, "port"))
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, 20*second).Draw(t, "time")
			server := rapid.SampledFrom([]frame.Addr{serverY, serverZ}).Draw(t, "server")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				client := rapid.SampledFrom([]frame.Addr{subscriber, other}).Draw(t, "client")
				if b, why := f.out(udp(end(client, 1, 2), end(server, 0, 69, 70)), Hints{}, now); why == drop.None {
					known = append(known, b)
				}
			case 2:
				if len(known) > 0 {
					b := rapid.SampledFrom(known).Draw(t, "control")
					if e, why := f.Expect(b.Session, rapid.SampledFrom([]uint16{1, 2, 3}).Draw(t, "wanted"), now); why == drop.None {
						open = append(open, e)
					}
				}
			case 3:
				if len(open) > 0 {
					f.in(frame.ProtoUDP, rapid.SampledFrom(open).Draw(t, "to"), end(server, 0, 69, 70, 3000), 0, now)
				}
			case 4:
				f.Sweep(now)
			}
			f.check()
		}
		f.Sweep(now + int64(time.Hour))
		f.check()
		if got := f.Expectations(); got.Waiting != 0 || len(f.gone) == 0 && f.Stats().Created[1] > 0 {
			t.Fatalf("%+v", got)
		}
	})
}

// Several ports at once: packets of both directions, expectations and the sweep.
func TestExpectationsFromManyGoroutines(t *testing.T) {
	c := config(nat1)
	c.OnGone = func(uint64) {}
	f := build(t, c)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			inside := at(frame.Addr{192, 0, 2, byte(n % 2)}, 50000)
			for i := range 500 {
				now := int64(i) * second
				pl, _ := f.DecideOut(tcp(inside, at(serverY, 21)), Hints{TCPFlags: frame.TCPSyn}, now)
				b, why := f.CommitOut(&pl, now)
				if why != drop.None {
					t.Errorf("out: %v", why)
					return
				}
				e, why := f.Expect(b.Session, uint16(2000+i%3), now)
				if why != drop.None {
					continue // another goroutine is ahead in time, and the session has ended for it
				}
				in, _ := f.DecideIn(frame.ProtoTCP, e, at(serverY, uint16(1000+i)), Hints{TCPFlags: frame.TCPSyn}, now)
				f.CommitIn(&in, now)
				if i%50 == 0 {
					f.Sweep(now)
				}
			}
		})
	}
	all.Wait()
	f.check()
	f.Sweep(10_000 * second)
	f.check()
	if got := f.Expectations(); got.Waiting != 0 || got.Opened == 0 || got.Used == 0 || got.Used > got.Opened {
		t.Errorf("%+v", got)
	}
}
