package bucket

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// draws are the packets of a benchmark: which flow each is of.
const draws = 1 << 20

func uniform(n int) []uint32 {
	r := rand.New(rand.NewPCG(1, 1))
	d := make([]uint32, draws)
	for i := range d {
		d[i] = uint32(r.IntN(n))
	}
	return d
}

// zipf has s = 1.1 over all flows; the busy ones are spread over the numbers.
func zipf(n int) []uint32 {
	r := rand.New(rand.NewPCG(1, 1))
	z := rand.NewZipf(r, 1.1, 1, uint64(n-1))
	to := r.Perm(n)
	d := make([]uint32, draws)
	for i := range d {
		d[i] = uint32(to[z.Uint64()])
	}
	return d
}

// filled is a table with n flows; with small, the arena has no huge pages.
func filled(b *testing.B, n int, small bool) *world {
	w := newWorld(b, Slots(n), seedOf(1))
	if small {
		smallPages(b, w.memory)
	}
	missing, _ := insertAll(w, n, espKey)
	if missing > n/10_000 {
		b.Fatalf("%d of %d flows have no place", missing, n)
	}
	return w
}

const batch = 64

// lookups is the hit path without parsing: key, hash, touch, find, count.
func lookups(b *testing.B, w *world, packets []uint32) {
	var hashes [batch]uint64
	var keys [batch]Key
	sum, hits := uint64(0), 0
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		for i, p := range packets[n%draws:][:batch] {
			keys[i] = espKey(int(p))

		}
		sum += w.Seek(keys[:], hashes[:])
		for i, k := range keys {
			if f, ok := w.Find(k, hashes[i]); ok {
				f.Entry.Add(100)
				hits++
			}
		}
	}
	b.StopTimer()
	if hits < b.N/10*9 || sum == math.MaxUint64 {
		b.Errorf("%d hits of %d packets", hits, b.N)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		for _, d := range []struct {
			name string
			draw func(int) []uint32
		}{{"uniform", uniform}, {"zipf", zipf}} {
			for _, pages := range []string{"huge", "small"} {
				b.Run(fmt.Sprintf("%d/%s/%s", n, d.name, pages), func(b *testing.B) {
					lookups(b, filled(b, n, pages == "small"), d.draw(n))
				})
			}
		}
	}
}
