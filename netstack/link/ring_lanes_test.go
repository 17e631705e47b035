package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// openLanes opens a port with lanes and spreads it.
func openLanes(t testing.TB, device string, lanes int) *ring {
	t.Helper()
	r := openTestRing(t, RingConfig{Device: device, Threads: lanes, Blocks: 8}).(*ring)
	must(t, r.Spread())
	return r
}

// closeLanes is for the lanes beyond the first what closeRead is for it.
func closeLanes(t testing.TB, r *ring) {
	t.Helper()
	_ = r.Close()
	var batch [1]frame.Frame
	for _, l := range r.lanes[1:] {
		if _, err := l.Read(batch[:]); err == nil {
			t.Error("a lane reads after close")
		}
	}
}

// sift sends frames from the other end and tells by which lane each came: it
// ends every lane with a frame of the lane's own.
func sift(t testing.TB, from Driver, to *ring, frames [][]byte, vlan uint16) [][]frame.Frame {
	t.Helper()
	for _, b := range frames {
		sendAll(t, from, frame.Copy(b, vlan))
	}
	out := make([][]frame.Frame, len(to.lanes))
	for k := range to.lanes {
		sendAll(t, from, frame.Copy(endOf(k, len(to.lanes)), 0))
	}
	for k, l := range to.lanes {
		for ended := false; !ended; {
			var batch [7]frame.Frame
			n, err := l.Read(batch[:])
			must(t, err)
			for i := range batch[:n] {
				f := frame.Copy(batch[i].Bytes(), batch[i].VLAN)
				if f.Payload()[9] == 254 {
					ended = true
					continue
				}
				out[k] = append(out[k], f)
			}
		}
	}
	return out
}

// endOf is a frame of an experimental protocol (RFC 3692) that goes to one lane.
func endOf(lane, lanes int) []byte {
	b := steered(254, 0, 0, 40)
	for b[frame.HeaderLen+12] = 0; laneOf(b, lanes) != lane; b[frame.HeaderLen+13]++ {
	}
	return b
}

func TestEachFrameComesOnceByTheLaneOfItsFlow(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		const lanes = 3
		a := openTestRing(t, RingConfig{Device: "a", Threads: 1})
		b := openLanes(t, "b", lanes)
		var frames [][]byte
		for spi := range uint32(60) {
			for _, length := range []int{40, 60, 200} { // the first are padded
				frames = append(frames, steered(frame.ProtoESP, 0x1000+spi, 0, length))
			}
			frames = append(frames, steered(frame.ProtoTCP, spi<<16|443, 0x4000, 60), steered(frame.ProtoUDP, spi<<16|53, 0, 48))
			frames = append(frames, steered(frame.ProtoUDP, spi, 0x2000, 60), steered(frame.ProtoUDP, ^spi, 5, 60))
			frames = append(frames, ether(broadcast, hostMAC, 0, frame.TypeARP, ip(46)))
		}
		for n := range frames {
			frames[n] = append(frames[n], byte(n>>8), byte(n)) // padding that tells them apart
		}
		for _, vlan := range []uint16{0, 20} {
			seen, used := map[uint16]bool{}, map[int]bool{}
			fragments := map[int]bool{}
			for lane, got := range sift(t, a, b, frames, vlan) {
				last := -1
				for _, f := range got {
					raw := f.Bytes()
					n := binary.BigEndian.Uint16(raw[len(raw)-2:])
					if want := laneOf(frames[n], lanes); want != lane || f.VLAN != vlan || seen[n] || int(n) <= last {
						t.Errorf("VLAN %d: frame %d came by lane %d in VLAN %d, again %v, after %d; want lane %d", vlan, n, lane, f.VLAN, seen[n], last, want)
					}
					last = int(n)
					seen[n] = true
					if raw[23] == frame.ProtoESP {
						used[lane] = true
					}
					if binary.BigEndian.Uint16(raw[20:])&0x3fff != 0 && f.EtherType() == frame.TypeIPv4 {
						fragments[lane] = true
					}
				}
			}
			if len(seen) != len(frames) || len(used) != lanes || len(fragments) != 1 {
				t.Errorf("VLAN %d: %d of %d frames, ESP on %d lanes, fragments on %d", vlan, len(seen), len(frames), len(used), len(fragments))
			}
		}
		closeLanes(t, b)
	})
}

func TestAFlowKeepsItsLaneWhenThePortComesBack(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		const lanes = 4
		a := openTestRing(t, RingConfig{Device: "a", Threads: 1})
		b := openLanes(t, "b", lanes)
		var frames [][]byte
		for spi := range uint32(40) {
			frames = append(frames, steered(frame.ProtoESP, spi, 0, 60))
		}
		for range 3 {
			n := 0
			for lane, got := range sift(t, a, b, frames, 0) {
				n += len(got)
				for _, f := range got {
					if want := laneOf(f.Bytes(), lanes); want != lane {
						t.Errorf("%x came by lane %d, want %d", f.Bytes()[34:38], lane, want)
					}
				}
			}
			if n != len(frames) {
				t.Errorf("%d of %d frames", n, len(frames))
			}
			setDown(t, "b")
			waitCarrier(t, "a", false)
			setUp(t, "b")
			waitCarrier(t, "a", true)
		}
		closeLanes(t, b)
	})
}

// What was there before Spread belongs to the first lane.
func TestUntilItIsSpreadAPortReceivesByItsFirstLane(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a", Threads: 1})
		b := openTestRing(t, RingConfig{Device: "b", Threads: 3}).(*ring)
		for spi := range uint32(30) {
			sendAll(t, a, frame.Copy(steered(frame.ProtoESP, spi, 0, 60), 0))
		}
		must(t, b.Spread())
		if got := readFrames(t, b, 30); len(got) != 30 {
			t.Errorf("%d frames", len(got))
		}
		closeLanes(t, b)
	})
}

func TestLossesOfAllLanesAddUp(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a", Threads: 1})
		b := openTestRing(t, RingConfig{Device: "b", Threads: 2, Blocks: 2}).(*ring)
		must(t, b.Spread())
		const flows, each = 20, 200
		for n := range uint32(flows * each) {
			sendAll(t, a, frame.Copy(steered(frame.ProtoESP, n%flows, 0, 60), 0))
		}
		held := 0
		for _, l := range b.lanes {
			if l.kernelDrops() == 0 {
				t.Error("a lane has lost nothing")
			}
			held += l.cells.cells
		}
		if lost := b.Lost(); lost != uint64(flows*each-held) || b.Lost() != lost {
			t.Errorf("lost %d of %d, of which %d are there", lost, flows*each, held)
		}
		closeLanes(t, b)
	})
}

// lanesFast counts what each lane's fast path saw, by SPI.
type lanesFast struct {
	mu   sync.Mutex
	seen []map[uint32]int
	all  int
	done func()
	want int
}

func (l *lanesFast) lane() FastPath {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := map[uint32]int{}
	l.seen = append(l.seen, mine)
	return fastFunc(func(f *frame.Frame) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		mine[binary.BigEndian.Uint32(f.Payload()[20:])]++
		if l.all++; l.all == l.want {
			l.done()
		}
		f.Out = 2
		return true
	})
}

// The whole of it: a port with several lanes runs, each flow meets one fast
// path, everything leaves by the other port and is counted once, and the end
// ends every lane.
func TestAPortRunsAllLanesUntilTheEnd(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		vethPair(t, "c", "d")
		ctx, cancel := context.WithCancel(t.Context())
		const flows, each, lanes = 32, 50, 3
		fast := &lanesFast{done: cancel, want: flows * each}
		drops := new(drop.Counters)
		f := NewFabric(Config{Fast: fast.lane, Drops: drops, Log: slog.New(slog.DiscardHandler)})
		in, err := OpenRing(RingConfig{Device: "b", Threads: lanes})
		must(t, err)
		out, err := OpenRing(RingConfig{Device: "c", Threads: 2})
		must(t, err)
		defer func() { must(t, out.Close()) }()
		lan, wan := f.AddPort("lan", in), f.AddPort("wan", patientRing{out.(*ring)})
		_, err = lan.AddInterface(1, "lan", 0)
		must(t, err)
		_, err = wan.AddInterface(2, "wan", 0)
		must(t, err)
		a := openTestRing(t, RingConfig{Device: "a", Threads: 1})
		d := openTestRing(t, RingConfig{Device: "d", Threads: 1, Blocks: 128})
		must(t, in.(*ring).Spread()) // as Run does: what comes before is the first lane's
		for n := range uint32(flows * each) {
			b := steered(frame.ProtoESP, n%flows, 0, 60)
			mac := in.MAC()
			copy(b, mac[:])
			sendAll(t, a, frame.Copy(b, 0))
		}
		must(t, lan.Run(ctx))
		got := map[uint32]int{}
		for _, fr := range readFrames(t, d, flows*each) {
			got[binary.BigEndian.Uint32(fr.Payload()[20:])]++
		}
		for spi := range uint32(flows) {
			by := 0
			for _, l := range fast.seen {
				if l[spi] != 0 && l[spi] != each {
					t.Errorf("flow %d: a lane saw %d frames", spi, l[spi])
				}
				if l[spi] != 0 {
					by++
				}
			}
			if by != 1 || got[spi] != each {
				t.Errorf("flow %d: by %d lanes, %d of %d frames came out", spi, by, got[spi], each)
			}
		}
		c := f.Counters()
		const bytes = flows * each * 74
		if c[0].RxFrames != flows*each || c[0].Fast != flows*each || c[0].RxBytes != bytes || c[1].TxFrames != flows*each || c[1].TxBytes != bytes {
			t.Errorf("counters: %+v", c)
		}
		if n := drops.Snapshot(); n != [drop.NumReasons]uint64{} {
			t.Errorf("drops: %v", n)
		}
	})
}

func TestALaneThatCannotReadAnyMoreEndsThePort(t *testing.T) {
	broken := &brokenLanes{Driver: &nullDriver{mac: routerMAC}, closed: make(chan struct{})}
	p := NewFabric(Config{}).AddPort("lan", broken)
	if err := p.Run(t.Context()); err == nil || err.Error() != "port lan: read: broken" {
		t.Errorf("the port ended with %v", err)
	}
}

// A kernel that cannot spread leaves a port of one lane.
func TestAPortThatCannotBeSpreadReceivesByOneLane(t *testing.T) {
	broken := &brokenLanes{Driver: &nullDriver{mac: routerMAC}, closed: make(chan struct{}), spread: fmt.Errorf("no")}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewFabric(Config{}).AddPort("lan", broken).Run(ctx); err != nil {
		t.Errorf("the port ended with %v", err)
	}
}

// brokenLanes is a driver with two lanes: the first waits for the end, the
// second is broken.
type brokenLanes struct {
	Driver
	closed chan struct{}
	spread error
}

func (d *brokenLanes) Lanes() []Lane { return []Lane{d, brokenLane{d.Driver}} }
func (d *brokenLanes) Spread() error { return d.spread }
func (d *brokenLanes) Close() error  { close(d.closed); return nil }

func (d *brokenLanes) Read(batch []frame.Frame) (int, error) {
	<-d.closed
	return d.Driver.Read(batch)
}

type brokenLane struct{ Lane }

func (brokenLane) Read([]frame.Frame) (int, error) { return 0, fmt.Errorf("broken") }
