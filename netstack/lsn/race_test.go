package lsn

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// TestManyGoroutinesAtOnce lets port loops, the sweep, the ALG and the control
// socket loose on the same few endpoints; what is left must add up.
func TestManyGoroutinesAtOnce(t *testing.T) {
	for name, allocate := range map[string]func(Config) Config{
		"single ports":  func(c Config) Config { return held(c, 5*time.Second, 16) },
		"blocks":        func(c Config) Config { return blocked(c, 256) },
		"deterministic": func(c Config) Config { return deterministic(c, ByAddresses, 256) },
	} {
		t.Run(name, func(t *testing.T) { runTogether(t, allocate) })
	}
}

func runTogether(t *testing.T, allocate func(Config) Config) {
	const workers, limit = 6, 150
	var gone, clock atomic.Int64
	c := config(frame.Addr{203, 0, 113, 4},
		AppProfile{Name: "eim", Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: ADF, Ports: []PortRange{{1, 2}}},
		AppProfile{Name: "cone", Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: EIF, Ports: []PortRange{{3, 4}}},
		AppProfile{Name: "adm", Proto: frame.ProtoUDP, Mapping: ADM, Filtering: EIF, Ports: []PortRange{{5, 6}}})
	c = allocate(c)
	c.MaxSessions = limit
	draw := seeded(3)
	c.Rand = func(n uint32) uint32 { return draw(min(n, 4)) } // few ports: they overlap and collide
	c.OnGone = func(uint64) { gone.Add(1) }
	f := build(t, c)
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			beBusy(t, f.Table, &clock, rand.New(rand.NewPCG(w, 4)))
		}()
	}
	wg.Wait()
	f.check()
	st := f.Stats()
	created := st.Created[0] + st.Created[1] + st.Created[2]
	if left := st.Sessions[0] + st.Sessions[1] + st.Sessions[2]; uint64(gone.Load())+uint64(left) != created || left > limit {
		t.Errorf("%d created, %d gone, %d left of at most %d", created, gone.Load(), left, limit)
	}
	f.Sweep(clock.Load() + 1000*second)
	if f.sessions.Load() != 0 {
		t.Errorf("%d sessions after everything expired", f.sessions.Load())
	}
	f.check()
}

// beBusy sends packets both ways and now and then does something else.
func beBusy(t *testing.T, table *Table, clock *atomic.Int64, r *rand.Rand) {
	for range 4000 {
		now := clock.Add(second / 50)
		tup := udp(at(frame.Addr{192, 0, 2, byte(r.IntN(4))}, uint16(r.IntN(3))), at(frame.Addr{198, 51, 100, byte(r.IntN(4))}, uint16(r.IntN(9))))
		pl, _ := table.DecideOut(tup, Hints{}, now)
		b, why := table.CommitOut(&pl, now)
		if why != drop.None {
			continue
		}
		in, _ := table.DecideIn(tup.Proto, b.Outside, at(tup.Remote.Addr, uint16(r.IntN(9))), Hints{}, now)
		if got, why := table.CommitIn(&in, now); why == drop.None && got.Outside != b.Outside {
			t.Errorf("sent to %v, taken for %v", b.Outside, got.Outside)
		}
		doSomethingElse(t, table, b, r, now)
	}
}

func doSomethingElse(t *testing.T, table *Table, b Binding, r *rand.Rand, now int64) {
	switch r.IntN(40) {
	case 0:
		table.RemoveMapping(b.Mapping)
	case 1:
		table.SetIdle(b.Mapping, time.Duration(r.IntN(90))*time.Second)
	case 2:
		table.Sweep(now)
	case 3:
		table.Walk(func(s SessionInfo) bool { table.FlowActive(s.Session, true, now, 1, 1); return true })
	case 4:
		table.FindIn(b.Proto, b.Outside, b.Remote)
		table.PairedAddress(b.Inside.Addr)
	case 5:
		table.WalkBlocks(func(b BlockInfo) bool { return b.Mappings > 0 })
		table.Stats()
	case 6:
		table.WhoOwns(b.Outside, now, func(o Owner) bool {
			if o.Kind == OwnedByArithmetic && o.Inside.Addr != b.Inside.Addr {
				t.Errorf("%v has %v, which is computed to be %v's", b.Inside, b.Outside, o.Inside)
			}
			return true
		})
	}
}

// TestSubscribersRaceForTheLastPorts: no port is given twice, and none is left.
func TestSubscribersRaceForTheLastPorts(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM}))
	all := fill(t, f, at(serverY, 53), 0)
	for i := range 50 {
		f.RemoveMapping(all[i*1000].Mapping)
	}
	var won atomic.Int64
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for port := range uint16(25) {
				pl, _ := f.DecideOut(udp(at(frame.Addr{192, 0, 2, byte(201 + w)}, port), at(serverY, 53)), Hints{}, 1)
				if _, why := f.CommitOut(&pl, 1); why == drop.None {
					won.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	if won.Load() != 50 {
		t.Errorf("%d of 50 free ports were given", won.Load())
	}
	f.check()
}
