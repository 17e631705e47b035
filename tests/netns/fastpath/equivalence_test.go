package fastpath

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.Remove()
		os.Exit(code)
	}))
}

var built netns.Build

// seed is SPIGATE_SEED, or another one in each run.
func seed(t *testing.T) uint64 {
	n := rand.Uint64()
	if s := os.Getenv("SPIGATE_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with SPIGATE_SEED=%d", n)
		}
	})
	return n
}

// steps is how many steps a shape is tested with.
func steps() int {
	if testing.Short() {
		return 100
	}
	return 300
}

// Every bed gets the same packets, each on its own way through the router.
// Nobody at the cables or the counters may tell them apart.
func TestNobodyCanTellTheWaysThroughTheRouterApart(t *testing.T) {
	first := seed(t)
	for i, s := range shapes() {
		if testing.Short() && i != int(first%uint64(len(shapes()))) {
			continue // one of them, another one in each run
		}
		t.Run(s.name, func(t *testing.T) {
			judged(t, func(try *attempt) { compare(try, s, first, uint64(i)) })
		})
	}
}

// compare takes all variants of one shape through the same steps.
func compare(t tb, s shape, first, second uint64) {
	defer oneProcessor(t)()
	a := &apart{tb: t, draw: &draw{Rand: rand.New(rand.NewPCG(first, second)), shape: s}}
	for _, v := range variants() {
		a.beds = append(a.beds, newBed(t, s, v))
	}
	a.converse()
	for n := range steps() {
		a.step(n)
		if n%20 == 19 {
			a.sweep(time.Second)
		}
	}
	a.sweep(12 * time.Second) // an offloaded flow without packets comes back
	for n := range steps() / 10 {
		a.step(n)
	}
	a.sweep(time.Second)
	for _, b := range a.beds {
		b.variant.went(b)
	}
	a.end()
}

// oneProcessor lets all frames be sent from one processor: those of two wait in
// two queues of the kernel and may overtake each other, and settle's question
// would overtake what it asks about. The function that it returns ends that.
func oneProcessor(t tb) (end func()) {
	t.Helper()
	runtime.LockOSThread()
	var all, one unix.CPUSet
	err := unix.SchedGetaffinity(0, &all)
	for cpu := 0; err == nil && one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err == nil {
		err = unix.SchedSetaffinity(0, &one)
	}
	if err != nil {
		t.Fatalf("one processor: %v", err)
	}
	return func() {
		if unix.SchedSetaffinity(0, &all) == nil {
			runtime.UnlockOSThread() // else the thread ends with its goroutine
		}
	}
}

// apart holds the beds of one test, the first of which is the slow path.
type apart struct {
	tb
	draw *draw
	beds []*bed
}

// converse sets up the same flows in all beds.
func (a *apart) converse() {
	a.Helper()
	for _, b := range a.beds {
		talks := b.talks()
		if a.draw.talks == nil {
			a.draw.talks = talks
		}
		for i, k := range a.draw.talks {
			for _, side := range []int{lan, wan} {
				want, got := k.packet(side, nil), talks[i].packet(side, nil)
				if string(want[12:24]) != string(got[12:24]) {
					a.Fatalf("%s of %s: % x; in the first bed it is % x", k.name, b, got, want)
				}
			}
		}
		b.advance(2 * time.Second) // what became of it is told
		b.hits = b.r.Flows().Stats().Hits
	}
	a.counted()
}

// step sends the next packets into all beds and compares what comes out.
func (a *apart) step(n int) {
	a.Helper()
	packets := a.draw.step()
	var want [2][][]byte
	for i, b := range a.beds {
		b.variant.send(b, packets)
		if i == 0 {
			arrived := [2][][]byte{b.side[lan].taken(), b.side[wan].taken()}
			a.draw.heard(arrived)
			want = [2][][]byte{shown(arrived[lan]), shown(arrived[wan])}
			continue
		}
		if err := b.arrived(want); err != nil {
			a.Fatalf("step %d:\n%sthen %v\ncounts of both:\n%s", n, describe(packets), err,
				strings.Join(differences(a.beds[0].counts(), b.counts()), "\n"))
		}
	}
}

// sweep moves the clocks, and compares what comes out by itself and all
// counters.
func (a *apart) sweep(d time.Duration) {
	a.Helper()
	a.pass(1, d)
}

// end lets everything run out. What the fast path carried counts up to a second
// later than what the stack did (R22), so the order in which flows end is not
// compared, but only what comes of it.
func (a *apart) end() {
	a.Helper()
	a.pass(int(longest/time.Second)+5, time.Second) // in steps: neighbours are asked whether they are there
	if n := a.beds[0].r.LSN().Stats().Sessions; n[0] != 0 || n[2] != 0 {
		a.Errorf("at the end there are %v sessions: something did not run out, and was not compared", n)
	}
}

// pass moves the clocks n times and compares what came out by itself.
func (a *apart) pass(n int, d time.Duration) {
	a.Helper()
	var want [2][][]byte
	for i, b := range a.beds {
		for range n {
			b.advance(d)
		}
		if i == 0 {
			want = [2][][]byte{shown(b.side[lan].taken()), shown(b.side[wan].taken())}
		} else if err := b.arrived(want); err != nil {
			a.Fatalf("%d times %v later: %v", n, d, err)
		}
	}
	a.counted()
}

// counted compares all counters. The router counts a frame a moment after it
// was sent, so it has that moment.
func (a *apart) counted() {
	a.Helper()
	for _, b := range a.beds[1:] {
		var diff []string
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_ = netns.Poll(ctx, time.Millisecond, func() bool {
			diff = append(differences(a.beds[0].counts(), b.counts()), b.receivedAs(a.beds[0])...)
			return len(diff) == 0
		})
		cancel()
		if len(diff) > 0 {
			a.Fatalf("%s counts otherwise than %s:\n%s", b, a.beds[0], strings.Join(diff, "\n"))
		}
	}
}
