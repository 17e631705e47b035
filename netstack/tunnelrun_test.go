package netstack

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// runningTunnel is a tunnel between two routers that run, with workers, and a
// cable between them; the test has the hosts' ends.
type runningTunnel struct {
	t           *testing.T
	here, there *world
}

func newRunningTunnel(t *testing.T, workers int, options ...option) *runningTunnel {
	t.Helper()
	a, b := link.NewPair(wanMAC, frame.MAC{2, 0, 0, 0, 2, 2}, 1500)
	wired := func(d link.Driver) option {
		return func(c *Config) { c.Ports[1].Driver, c.CryptoWorkers = d, workers }
	}
	r := &runningTunnel{t: t}
	r.here = newWorld(t, append([]option{hereTunnel().site, wired(a)}, options...)...)
	r.there = newWorld(t, append([]option{thereTunnel().site, wired(b)}, options...)...)
	r.here.neighbor(lanIf, near)
	r.there.neighbor(lanIf, far)
	return r
}

// run lets both routers run while fn does; the one here ends first.
func (r *runningTunnel) run(fn func()) {
	r.t.Helper()
	endHere, stopHere := context.WithCancel(context.Background())
	endThere, stopThere := context.WithCancel(context.Background())
	var here, there sync.WaitGroup
	run := func(g *sync.WaitGroup, w *world, ctx context.Context) {
		g.Go(func() {
			if err := w.r.Run(ctx); err != nil {
				r.t.Error(err)
			}
		})
	}
	run(&here, r.here, endHere)
	run(&there, r.there, endThere)
	fn()
	stopHere()
	here.Wait()
	r.gone()
	stopThere()
	there.Wait()
}

// gone waits until the router there has been told that the tunnel ended.
func (r *runningTunnel) gone() {
	r.there.soon(func() [][]byte {
		if len(r.there.r.IPsec().List(r.there.r.now())) == 0 {
			return [][]byte{nil}
		}
		return nil
	})
}

// send gives a router packets of its hosts, as fast as it takes them.
func send(w *world, packets [][]byte) {
	for _, p := range packets {
		batch := []frame.Frame{framed(lanMAC, p)}
		for n := 0; n == 0; n, _ = w.lan.Write(batch) {
		}
	}
}

// receive returns the numbers of the next n packets at a router's hosts.
func receive(w *world, n int) (numbers []uint32) {
	batch := make([]frame.Frame, frame.Batch)
	for len(numbers) < n {
		got, err := w.lan.Read(batch)
		if err != nil {
			return numbers
		}
		for i := range got {
			var p frame.Packet
			if b := batch[i].Bytes(); binary.BigEndian.Uint16(b[12:]) == frame.TypeIPv4 && p.Parse(b[14:]) == 0 && p.Proto == frame.ProtoUDP {
				numbers = append(numbers, binary.BigEndian.Uint32(p.UDPPayload()))
			}
		}
	}
	return numbers
}

func counted(from, to frame.Addr, first, n int) (out [][]byte) {
	for i := range n {
		out = append(out, udpTo(at(from, 9), at(to, 9), string(binary.BigEndian.AppendUint32(nil, uint32(first+i)))))
	}
	return out
}

func TestPacketsOfATunnelKeepTheirOrderWithWorkers(t *testing.T) {
	for _, workers := range []int{0, 3} {
		r := newRunningTunnel(t, workers)
		r.run(func() {
			send(r.here, counted(near, far, 0, 1))
			receive(r.there, 1) // it waited for the tunnel
			const n = 600       // fewer than a lane and a cable take
			var both sync.WaitGroup
			check := func(from, to *world, a, b frame.Addr) {
				both.Go(func() {
					got := receive(to, n)
					for i, x := range got {
						if x != uint32(i+1) {
							t.Errorf("%d workers: packet %d came as number %d", workers, x, i+1)
							return
						}
					}
				})
				send(from, counted(a, b, 1, n))
			}
			check(r.here, r.there, near, far)
			check(r.there, r.here, far, near)
			both.Wait()
		})
	}
}

// Public key cryptography takes its time: no port waits for it.
func TestIKEIsSpokenByAGoroutineOfItsOwnOnceTheRouterRuns(t *testing.T) {
	r := newRunningTunnel(t, 0)
	if r.here.r.negotiator.running.Load() {
		t.Error("before it runs")
	}
	r.run(func() {
		send(r.here, counted(near, far, 0, 1))
		receive(r.there, 1)
		r.here.r.sockets.heard.Store(true)
		if !r.here.r.negotiator.running.Load() || r.here.r.negotiateAtOnce() {
			t.Error("whoever comes to the end of a batch speaks IKE")
		}
	})
}
