package inside

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spigate/netstack/flow"
	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
	"spigate/tests/bench/report"
	"spigate/tests/bench/traffic"
)

// hitPath is a flow table full of ESP flows, and batches of packets of all of
// them in an order that no cache guesses.
type hitPath struct {
	flows  traffic.Flows
	table  *flow.Table
	reader *flow.Reader
	batch  []frame.Frame
	order  []uint32
	at     int
	blank  []byte
}

// hitHeader is how much of a frame a hit may change or read.
const hitHeader = frame.HeaderLen + 28

func newHitPath(n int) (*hitPath, error) {
	h := &hitPath{
		flows: traffic.Flows{
			Proto: frame.ProtoESP, From: frame.MAC{2, 0, 0, 0, 0, 9}, To: frame.MAC{2, 0, 0, 0, 0, 1},
			Source: frame.Addr{100, 64, 0, 10}, Target: frame.Addr{203, 0, 113, 254}, SPI: 0x10000, Count: n, Length: 100,
		},
		table: flow.New(flow.Config{Capacity: n}), order: traffic.Uniform(n, 1),
	}
	h.reader = h.table.Reader()
	h.blank = h.flows.Frame(0)
	for range frame.Batch {
		f := frame.Copy(h.blank, 0)
		f.In = lan
		h.batch = append(h.batch, f)
	}
	hop, ok := h.table.Hop(wan, frame.Addr{203, 0, 113, 254}, frame.MAC{2}, frame.MAC{2}, 1500)
	if !ok {
		return nil, errors.New("no next hop")
	}
	left := make([]uint32, n)
	for i := range left {
		left[i] = uint32(i)
	}
	for range 100 {
		left = h.insert(left, hop)
	}
	if len(left) > n/homeless {
		return nil, fmt.Errorf("%d of %d flows were not taken", len(left), n)
	}
	return h, nil
}

// homeless is of how many flows one may find no place in a table that is as full
// as it gets; its packets take the stack.
const homeless = 100_000

// sweepEvery is after how many new flows the table is swept, as in a second.
const sweepEvery = 20_000

// insert enters flows and returns those that a table which is growing, or making
// room, did not take yet.
func (h *hitPath) insert(flows []uint32, hop flow.HopID) (later []uint32) {
	for i, n := range flows {
		h.number(0, n)
		key, ok := flow.KeyOf(&h.batch[0])
		e := flow.Entry{Key: key, Addr: frame.Addr{203, 0, 113, 3}, Hop: hop, Idle: time.Hour}
		if !ok || !h.table.Insert(e, h.table.Epoch(), 0) {
			later = append(later, n)
		}
		if i%sweepEvery == sweepEvery-1 || i == len(flows)-1 {
			h.table.Sweep(0)
		}
	}
	return later
}

// number makes the i-th frame of the batch a new one of a flow.
func (h *hitPath) number(i int, flow uint32) {
	b := h.batch[i].Bytes()
	copy(b[:hitHeader], h.blank)
	spi := h.flows.SPI + flow
	b[34], b[35], b[36], b[37] = byte(spi>>24), byte(spi>>16), byte(spi>>8), byte(spi)
	h.batch[i].Out = 0
}

// renew makes the whole batch anew, of the flows that are next.
func (h *hitPath) renew() {
	for i := range h.batch {
		h.number(i, h.order[h.at])
		if h.at++; h.at == len(h.order) {
			h.at = 0
		}
	}
}

// times returns the CPU time of a packet in nanoseconds: of a batch that is made
// and processed, less that of one which is only made.
func (h *hitPath) times(batches int) (float64, error) {
	missed := 0
	whole, err := onThread(func() {
		for range batches {
			h.renew()
			missed += len(h.batch) - h.reader.Process(h.batch, 1)
		}
	})
	made, merr := onThread(func() {
		for range batches {
			h.renew()
		}
	})
	if err = errors.Join(err, merr); err == nil && missed > batches*frame.Batch/homeless*2 {
		err = fmt.Errorf("%d packets missed", missed)
	}
	return float64(whole-made) / float64(batches*frame.Batch), err
}

// onThread is the CPU time that fn takes.
func onThread(fn func()) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before)
	fn()
	return time.Duration(after.Nano() - before.Nano()), errors.Join(err, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after))
}

// allocs is how often the heap is asked for each packet.
func (h *hitPath) allocs() float64 {
	return testing.AllocsPerRun(100, func() {
		h.renew()
		h.reader.Process(h.batch, 1)
	}) / frame.Batch
}

// HitPath measures what the flow table's hit path takes of a packet, with the
// frames in the cache: parsing, look-up and rewriting in batches, for numbers of
// flows that all have packets, in turns.
func HitPath(rounds, most int, into report.Figures, out io.Writer) error {
	sizes := []struct {
		flows int
		key   string
	}{{1000, report.HitAt1k}, {100_000, report.HitAt100k}, {1_000_000, report.HitAt1M}}
	paths := map[int]*hitPath{}
	values := report.Figures{}
	for round := range rounds {
		for _, s := range sizes {
			if s.flows > most {
				continue
			}
			if round == 0 {
				h, err := newHitPath(s.flows)
				if err != nil {
					return err
				}
				defer h.reader.Close()
				paths[s.flows] = h
			}
			ns, err := paths[s.flows].times(traffic.Draws / frame.Batch)
			if err != nil {
				return fmt.Errorf("%d flows: %w", s.flows, err)
			}
			values[s.key] = append(values[s.key], ns)
			values[report.HitAllocs] = append(values[report.HitAllocs], paths[s.flows].allocs())
		}
	}
	t := report.Table{Head: []string{"hit path in this process, ESP, batches of 64", "ns a packet"}}
	for _, s := range sizes {
		if len(values[s.key]) > 0 {
			t.Row(fmt.Sprintf("%d flows", s.flows), report.Ranged(values[s.key], 1, 1))
		}
	}
	t.Row("allocations", report.Ranged(values[report.HitAllocs], 1, 2))
	t.Print(out)
	for key, v := range values {
		into.Set(key, v)
	}
	return flowMemory(into, out)
}

// memorySessions is a number of sessions whose flows fill whole buckets.
const memorySessions = 1_200_000

// flowMemory fills a table as the load factor allows and notes what its memory
// off the heap is for each session, which has two flows.
func flowMemory(into report.Figures, out io.Writer) error {
	mem, err := bucket.Anonymous(bucket.Slots(2 * memorySessions))
	if err != nil {
		return err
	}
	t, err := bucket.New(mem.Bytes(), bucket.Seed{0x243f6a8885a308d3, 0x13198a2e03707344}, nil)
	if err != nil {
		return errors.Join(err, mem.Release())
	}
	defer func() { _ = errors.Join(t.Release(), mem.Release()) }() // gives memory back; there is nothing to lose
	later := make([]uint32, 0, 2*memorySessions)
	for i := range uint32(2 * memorySessions) {
		later = append(later, i)
	}
	for range 8 {
		later = place(t, later)
	}
	if len(later) > memorySessions/homeless {
		return fmt.Errorf("%d flows found no place in %d bytes", len(later), t.Footprint())
	}
	into.Set(report.FlowMemory, []float64{float64(t.Footprint()) / memorySessions})
	_, err = fmt.Fprintf(out, "memory off the heap: %d bytes for %d sessions, of whose flows %d found no place\n\n", t.Footprint(), memorySessions, len(later))
	return err
}

// place enters flows and returns those that found no place yet: where others
// have moved to make room, it rests until two sweeps have passed.
func place(t *bucket.Table, flows []uint32) (later []uint32) {
	for _, i := range flows {
		if _, ok := t.Insert(bucket.MakeKey(uint64(i%2), i/2, frame.ProtoESP, 1), 0, 0, i); !ok {
			later = append(later, i)
		}
	}
	for range 2 {
		t.Sweep(0, t.Len(), func(uint32, uint32, uint64, uint64, bucket.State) {})
	}
	return later
}
