package vserver

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"spigate/netstack/frame"
)

// BenchmarkMatch: attempts to random addresses around the servers, all of which
// a wildcard server takes in the end.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("%d servers", n), func(b *testing.B) {
			l, err := New(Config{Servers: append(unique(n-1), vs("wild", "any", "any", 0, 0))})
			if err != nil {
				b.Fatal(err)
			}
			as := make([]Attempt, 1<<14)
			for i := range as {
				as[i] = Attempt{In: lan, Proto: 6, Port: 80, Src: frame.Addr{10, 2, 1, 1}, Dst: frame.Addr{11}}
				binary.BigEndian.PutUint32(as[i].Dst[:], 11<<24|rand.Uint32N(1<<24))
			}
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				if !admits(l, as, at) {
					b.Fatal("refused")
				}
				at = (at + 1) & (1<<14 - 1)
			}
		})
	}
}

// admits stands by itself because b.Loop keeps what its calls are given on the
// heap.
func admits(l *Listeners, as []Attempt, at int) bool { return l.Match(as[at]).Verdict == Admit }

// BenchmarkNew: what a commit costs.
func BenchmarkNew(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		c := Config{Servers: unique(n)}
		b.Run(fmt.Sprintf("%d servers", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func openTable(b *testing.B, n int) *Table {
	l, err := New(Config{Servers: []Server{vs("s", "any", "any", 0, 0)}})
	if err != nil {
		b.Fatal(err)
	}
	tab := NewTable(TableConfig{Capacity: n, Listeners: l})
	for i := range n {
		if v := openOne(tab, i, 0); v != Admit {
			b.Fatal(v)
		}
	}
	return tab
}

func numbered(i int) Key {
	k := udpKey("10.2.1.1", 1000, "10.1.1.1", 53)
	binary.BigEndian.PutUint32(k.Src[:], 10<<24|uint32(i))
	return k
}

func openOne(tab *Table, i int, now int64) Verdict {
	k := numbered(i)
	r := tab.Listeners().Match(Attempt{In: lan, Proto: k.Proto, Src: k.Src, Dst: k.Dst, Port: k.DstPort})
	_, v := tab.Open(r, k, k.Reversed(), Segment{Length: 60}, lan, now)
	return v
}

// BenchmarkHit: random packets of 100,000 connections, found and touched.
func BenchmarkHit(b *testing.B) {
	const n = 100_000
	tab := openTable(b, n)
	b.ReportAllocs()
	for b.Loop() {
		k := numbered(rand.IntN(n))
		h, ok := tab.Find(k, Segment{}, 1)
		if !ok {
			b.Fatal("missed")
		}
		tab.Touch(h, Segment{Length: 60}, lan, 1)
	}
}

// BenchmarkOpen: match, decide, open, and the sweep that ends it.
func BenchmarkOpen(b *testing.B) {
	tab := openTable(b, 0)
	tab.capacity = 1 << 17
	now := int64(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if openOne(tab, i&(1<<20-1), now) != Admit {
			b.Fatal("refused")
		}
		if i&0xffff == 0xffff {
			now += 301 * second
			tab.Sweep(now, nil)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conns/s")
}

// BenchmarkSweep: 100,000 connections, none of them due.
func BenchmarkSweep(b *testing.B) {
	tab := openTable(b, 100_000)
	now := second
	for b.Loop() {
		tab.Sweep(now, nil)
	}
}

// unique is listed without those whose destinations came twice.
func unique(n int) []Server {
	var out []Server
	for i := 2; len(out) < n; i *= 2 {
		seen := map[string]bool{}
		out = out[:0]
		for _, s := range listed(n * i) {
			if k := s.Destination.String(); !seen[k] && len(out) < n {
				seen[k] = true
				s.Protocol, s.Port = 0, 0
				out = append(out, s)
			}
		}
	}
	return out
}
