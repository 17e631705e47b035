package bucket

import (
	"encoding/binary"
	"testing"
)

// insertAll inserts n flows, again after two sweeps what had to wait, and
// returns how many found no place and how many had to wait.
func insertAll(w *world, n int, key func(i int) Key) (failed, later int) {
	waiting := make([]int, 0, n)
	for i := range n {
		waiting = append(waiting, i)
	}
	for range 8 {
		var again []int
		for _, i := range waiting {
			if _, ok := w.Insert(key(i), 0, 0, uint32(i)); !ok {
				again = append(again, i)
			}
		}
		if waiting = again; later == 0 {
			later = len(again)
		}
		w.sweepAll()
		w.sweepAll()
	}
	return len(waiting), later
}

// The keys that networks have: they count upwards.
var populations = []struct {
	name string
	key  func(i int) Key
}{
	{"SPIs of one gateway", espKey},
	{"SPIs in steps of 65536", func(i int) Key { return MakeKey(1, uint32(i)<<16|uint32(i)>>16, 50, 1) }},
	{"ports of one subscriber and hosts of a network", func(i int) Key {
		var b [12]byte
		binary.BigEndian.PutUint32(b[:], 0x64400000+uint32(i>>10))
		binary.BigEndian.PutUint32(b[4:], 0xc6336401)
		binary.BigEndian.PutUint16(b[8:], uint16(1024+i&1023))
		binary.BigEndian.PutUint16(b[10:], 443)
		return MakeKey(binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint32(b[8:]), 17, 2)
	}},
	{"servers of a network", func(i int) Key { return MakeKey(uint64(i)<<32|7, 9, 6, 3) }},
}

func TestFlowsFindTheirPlace(t *testing.T) {
	const flows = 100_000
	for _, load := range []struct {
		percent            int
		maxFailed, maxLate int
	}{
		{60, flows * 3 / 100_000, flows * 2 / 100},
		{75, flows * 5 / 10_000, flows * 6 / 100},
	} {
		for _, p := range populations {
			for s := range uint64(1) {
				w := newWorld(t, flows*100/load.percent, seedOf(s))
				failed, later := insertAll(w, flows, p.key)
				t.Logf("load %d %%, %s: %d wait, %d fail", load.percent, p.name, later, failed)
				if failed > load.maxFailed || later > load.maxLate {
					t.Errorf("load %d %%, %s: %d wait, at most %d; %d fail, at most %d",
						load.percent, p.name, later, load.maxLate, failed, load.maxFailed)
				}
			}
		}
	}
}

// A table that grows, or gets another seed, is filled while nobody reads it.
func TestATableThatNobodyReadsIsFilledAtOnce(t *testing.T) {
	const flows = 100_000
	for _, load := range []struct{ percent, maxFailed int }{{50, 0}, {60, 4}, {75, flows * 5 / 10_000}} {
		w := newWorld(t, flows*100/load.percent, seedOf(9))
		failed := 0
		for i := range flows {
			if _, ok := w.Fill(espKey(i), 0, uint64(i), uint32(i)); !ok {
				failed++
			}
		}
		s := w.Stats()
		t.Logf("load %d %%: %+v", load.percent, s)
		if failed > load.maxFailed || s.Failed != uint64(failed) || s.Live != flows-failed || s.Resting > int(s.Moved) {
			t.Errorf("load %d %%: %d fail, at most %d; %+v", load.percent, failed, load.maxFailed, s)
		}
		found := 0
		for i := range flows {
			if f, ok := w.find(espKey(i)); ok && f.Value == uint64(i) {
				found++
			}
		}
		if found != s.Live {
			t.Errorf("load %d %%: %d flows found of %d", load.percent, found, s.Live)
		}
	}
}
