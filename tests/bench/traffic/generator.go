package traffic

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// Generator makes the frames of a set of flows and sends them out of a device.
// One Run at a time.
type Generator struct {
	in           *netns.Namespace
	flows        Flows
	flood, paced *ebpf.Program
	state, draws *memory
	words        []uint64 // of each flow
	drawn        bool
	soft         map[int]string // softThread, by processor
	close        []func() error
}

// Load says how much is sent.
type Load struct {
	Frames uint64 // at most so many; for a flood the duration as well
	For    time.Duration
	Rate   float64 // frames a second; 0: as many as one processor can make
	CPU    int     // which generates
}

// Sent is what a Run came to.
type Sent struct {
	Frames uint64
	Took   time.Duration
	Cost   time.Duration // of the processor: this thread's time and that of the kernel's softirq thread there
}

// Rate returns frames a second.
func (s Sent) Rate() float64 { return float64(s.Frames) / s.Took.Seconds() }

// Batches of the kernel's test run: how many frames are made before those that
// were made are sent. A paced frame waits for the end of its batch, most of
// which are frames that are left out, so that batch is short.
const (
	floodBatch = 64
	pacedBatch = 8
)

// A program runs many times before the generator looks at its context and the
// clock: to begin anew takes the kernel milliseconds, in which a pace stands still.
// The first time it runs firstChunk times, and from then on about atOnce long, but
// mostRuns times at most: a frame that is left out takes 30 ns, one that is sent
// ten times as long, and nothing ends a run that was thought shorter.
const (
	firstChunk = 1 << 13
	mostRuns   = 1 << 23
	atOnce     = 250 * time.Millisecond
)

// Open loads a generator that sends out of a device of a namespace. The other
// end of a veth pair must have an XDP program or GRO, or the kernel drops
// everything without a word (see Admit). It must be closed. If nothing else
// is drawn, it sends one flow after the other.
func Open(in *netns.Namespace, device string, f Flows) (*Generator, error) {
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("generator: %w", err)
	}
	g := &Generator{in: in, flows: f, words: f.words(), soft: map[int]string{}}
	err := in.Do(func() error { return g.load(device) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("generator on %s: %w", device, err), g.Close())
	}
	return g, nil
}

func (g *Generator) load(device string) (err error) {
	if g.state, err = newMemory("gen_state", stateSize); err != nil {
		return err
	}
	g.close = append(g.close, g.state.Close)
	if g.draws, err = newMemory("gen_draws", 8*Draws); err != nil {
		return err
	}
	g.close = append(g.close, g.draws.Close)
	out, err := deviceMap(device)
	if err != nil {
		return err
	}
	g.close = append(g.close, out.Close)
	for _, p := range []struct {
		to    **ebpf.Program
		name  string
		paced bool
	}{{&g.flood, "gen_flood", false}, {&g.paced, "gen_paced", true}} {
		*p.to, err = newProgram(p.name, ebpf.XDP, generating(&g.flows, g.state.Map, g.draws.Map, out, p.paced))
		if err != nil {
			return err
		}
		g.close = append(g.close, (*p.to).Close)
	}
	return nil
}

// Close gives everything back.
func (g *Generator) Close() error { return closeAll(g.close) }

// Draw sets the sequence of flows, and begins it anew. Its length is Draws.
func (g *Generator) Draw(sequence []uint32) error {
	if len(sequence) != Draws {
		return fmt.Errorf("a sequence of %d draws, not %d", len(sequence), Draws)
	}
	draws := make([]uint64, Draws)
	for i, flow := range sequence {
		if int(flow) >= len(g.words) {
			return fmt.Errorf("draw %d: flow %d of %d", i, flow, len(g.words))
		}
		draws[i] = g.words[flow]
	}
	g.drawn = true
	b := unsafe.Slice((*byte)(unsafe.Pointer(&draws[0])), 8*Draws)
	return errors.Join(g.draws.write(0, b), g.state.set(statePosition, 0))
}

// words is what the program reads of each flow: its source and its identifier,
// as they stand in a frame.
func (f *Flows) words() []uint64 {
	out := make([]uint64, f.Count)
	for i := range out {
		addr, id := f.SourceOf(i)
		out[i] = native.Uint64(append(addr[:], id[:]...))
	}
	return out
}

// Run sends what l says, or until ctx ends, which is an error. It goes on in
// the sequence where the Run before ended.
func (g *Generator) Run(ctx context.Context, l Load) (s Sent, err error) {
	if l.Frames == 0 || l.For == 0 || l.For > time.Hour {
		return s, errors.New("generator: a load needs a bound of frames and one of time")
	}
	if !g.drawn {
		if err := g.Draw(Once(g.flows.Count)); err != nil {
			return s, fmt.Errorf("generator: %w", err)
		}
	}
	soft, err := g.softThread(l.CPU)
	if err != nil {
		return s, fmt.Errorf("generator: %w", err)
	}
	err = g.in.Do(func() error {
		if err := pin(l.CPU); err != nil {
			return err
		}
		softBefore, softErr := softIRQ(soft)
		before, err := threadTime()
		if err = errors.Join(err, softErr); err != nil {
			return err
		}
		start := netns.Monotonic()
		s.Frames, err = g.run(ctx, l, start)
		s.Took = time.Duration(netns.Monotonic() - start)
		after, costErr := threadTime() // before the other one, which is work itself
		softAfter, softErr := softIRQ(soft)
		s.Cost = after - before + softAfter - softBefore
		return errors.Join(err, costErr, softErr)
	})
	if err != nil {
		err = fmt.Errorf("generator: %w", err)
	}
	return s, err
}

// softThread looks once for each processor: that takes longer than a short Run.
func (g *Generator) softThread(cpu int) (path string, err error) {
	path, known := g.soft[cpu]
	if !known {
		path, err = softThread(cpu)
		g.soft[cpu] = path
	}
	return path, err
}

func (g *Generator) run(ctx context.Context, l Load, start int64) (sent uint64, err error) {
	program, batch := g.flood, uint32(floodBatch)
	if l.Rate > 0 {
		program, batch = g.paced, pacedBatch
		if err := errors.Join(g.state.set(stateInterval, uint64(1e9/l.Rate)), g.state.set(stateDue, uint64(start))); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(g.state.set(stateSent, 0), g.state.set(stateLimit, l.Frames)); err != nil {
		return 0, err
	}
	o := ebpf.RunOptions{
		Data: g.flows.Frame(0), Repeat: firstChunk, BatchSize: batch, Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES,
	}
	for last := start; sent < l.Frames && last-start < int64(l.For) && err == nil; {
		if left := l.Frames - sent; l.Rate == 0 && left < uint64(o.Repeat) {
			o.Repeat = uint32(left)
		}
		if _, err = program.Run(&o); err == nil {
			sent, err = g.state.get(stateSent)
		}
		err = errors.Join(err, ctx.Err())
		now := netns.Monotonic()
		o.Repeat = next(o.Repeat, time.Duration(now-last), l.left(sent, time.Duration(now-start)))
		last = now
	}
	return sent, err
}

// left is for how long the load goes on, of which so much is done.
func (l *Load) left(sent uint64, took time.Duration) time.Duration {
	left := l.For - took
	if l.Rate > 0 {
		left = time.Duration(min(float64(left), float64(l.Frames-min(sent, l.Frames))/l.Rate*1e9))
	}
	return max(left, 0)
}

// next is how many times a program runs next that ran n times in took, of a load
// that ends in left.
func next(n uint32, took, left time.Duration) uint32 {
	times := float64(n) / float64(max(took, 1)) * float64(min(left, atOnce))
	return uint32(min(max(times, firstChunk/8), mostRuns))
}
