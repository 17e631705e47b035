//go:build linux && !noxdp

package xdp

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

// A flood sends packets of random flows until it is stopped, as fast as they
// are taken at the other end: none is lost in a full queue.
type flood struct {
	stop  chan struct{}
	done  sync.WaitGroup
	sent  uint64
	taken atomic.Uint64
}

// ahead is how many packets are on their way at most.
const ahead = 500

func (w *world) startFlood(flows uint16) *flood {
	f := &flood{stop: make(chan struct{})}
	f.done.Add(1)
	frames := make([][]byte, flows)
	for n := range flows {
		come, _ := outbound(frame.ProtoESP, n, 0, 0)
		frames[n] = come.bytes()
	}
	to := &unix.SockaddrLinklayer{Ifindex: w.lan.index}
	go func() {
		defer f.done.Done()
		for {
			select {
			case <-f.stop:
				return
			default:
			}
			if f.sent-f.taken.Load() >= ahead {
				runtime.Gosched()
				continue
			}
			if unix.Sendto(w.lan.fd, frames[rand.N(len(frames))], 0, to) == nil {
				f.sent++
			}
		}
	}()
	return f
}

// end stops the flood and returns how many packets were sent.
func (f *flood) end() uint64 {
	close(f.stop)
	f.done.Wait()
	return f.sent
}

// tally counts frames by flow until there are so many.
type tally struct {
	t       testing.TB
	packets map[uint32]uint64 // by SPI
	total   uint64
}

func (y *tally) take(h *host, leave bool) bool {
	b := h.receive(false)
	if b == nil {
		return false
	}
	src := frame.Addr(b[26:30])
	if leave != (src == natAddr) {
		y.t.Errorf("left by the wrong side, or with the wrong address: %x", b)
	}
	y.packets[binary.BigEndian.Uint32(b[34:])]++
	y.total++
	return true
}

func TestCountsAreExactWhileFlowsComeAndGoUnderAFlood(t *testing.T) {
	for _, mode := range []Mode{Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			ownNamespace(t)
			w := newWorld(t, mode, 300)
			const flows = 400
			out := &tally{t: t, packets: map[uint32]uint64{}}
			up := &tally{t: t, packets: map[uint32]uint64{}}
			counted := w.churn(flows, out, up)
			for n := range uint16(flows) {
				spi := flow.PortsID(1000+n, 2000)
				if got := out.packets[spi]; got != counted[n] {
					t.Errorf("flow %d: counted %d packets, %d came out", n, counted[n], got)
				}
			}
			if out.total == 0 || up.total == 0 {
				t.Errorf("%d forwarded, %d left alone: nothing was tested", out.total, up.total)
			}
			if s := w.Status(); s.Hits != out.total {
				t.Errorf("%d hits, %d came out", s.Hits, out.total)
			}
		})
	}
}

// churn adds and removes flows at random under a flood, as the table does, and
// returns what was counted for each.
func (w *world) churn(flows uint16, out, up *tally) map[uint16]uint64 {
	f := w.startFlood(flows)
	live, gone := map[uint16]uint32{}, map[uint32]uint16{}
	counted := map[uint16]uint64{}
	credit := func(n uint16, ref uint32) {
		packets, bytes := w.count(ref)
		come, _ := outbound(frame.ProtoESP, n, 0, 0)
		if bytes != packets*uint64(len(come.bytes())-frame.HeaderLen) {
			w.t.Errorf("flow %d: %d packets of %d bytes", n, packets, bytes)
		}
		counted[n] += packets
	}
	drain := func() {
		for n := 0; n < 16 && (out.take(w.wan, true) || up.take(w.up, false)); n++ {
			f.taken.Add(1)
		}
	}
	rounds := 60
	if testing.Short() {
		rounds = 6 // in an emulated machine
	}
	for range rounds {
		var rest []uint32
		for range 200 {
			n := rand.N(flows)
			if ref, ok := live[n]; ok {
				w.Remove(ref)
				delete(live, n)
				gone[ref] = n
				rest = append(rest, ref)
			} else if ref, ok := w.Add(offloaded(frame.ProtoESP, n, lanPlain, plainHop)); ok {
				live[n] = ref
			}
			drain()
		}
		for n, ref := range live {
			credit(n, ref)
		}
		w.second()
		for _, ref := range rest {
			credit(gone[ref], ref)
			w.Release(ref)
		}
	}
	sent := f.end()
	until(w.t, "every packet is somewhere", func() bool {
		drain()
		return out.total+up.total == sent
	})
	for n, ref := range live {
		credit(n, ref)
	}
	return counted
}

// BenchmarkAFlowComesAndGoes is what a flow costs the table above, under its
// lock: Add, Count, Remove, Count, Release, with its part of the sweeps.
func BenchmarkAFlowComesAndGoes(b *testing.B) {
	ownNamespace(b)
	w := newWorld(b, Generic, 8192)
	refs := make([]uint32, 0, 1000)
	for b.Loop() {
		refs = refs[:0]
		for n := range uint16(1000) {
			if ref, ok := w.Add(offloaded(frame.ProtoESP, n, lanPlain, plainHop)); ok {
				w.count(ref)
				w.Remove(ref)
				refs = append(refs, ref)
			}
		}
		w.sweep()
		w.sweep()
		for _, ref := range refs {
			w.count(ref)
			w.Release(ref)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/flow")
}
