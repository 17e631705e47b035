package natlog

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAGapStandsWhereTheLostRecordsWouldHaveStood(t *testing.T) {
	q := newQueue(4)
	for n := range 7 {
		q.push(numbered(n)) // 4, 5 and 6 find it full
	}
	got := q.pop(nil, 2)
	q.push(numbered(7)) // with the gap there are four again
	q.push(numbered(8)) // lost
	got = q.pop(got, 100)
	want := []Record{*numbered(0), *numbered(1), *numbered(2), *numbered(3), {}, *numbered(7), {}}
	second := int64(time.Second)
	start := numbered(0).Wall
	want[4] = Record{Kind: Gap, Lost: 3, LostTotal: 3, LostFrom: start + 4*second, Wall: start + 6*second}
	want[6] = Record{Kind: Gap, Lost: 1, LostTotal: 4, LostFrom: start + 8*second, Wall: start + 8*second}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("record %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	if waiting, lost := q.depth(); waiting != 0 || lost != 4 {
		t.Errorf("%d waiting, %d lost", waiting, lost)
	}
}

func TestTheReaderIsWokenForTheFirstRecordAlone(t *testing.T) {
	q := newQueue(3)
	if !q.push(numbered(0)) || q.push(numbered(1)) {
		t.Error("woken other than for the first record")
	}
	q.pop(nil, 10)
	if !q.push(numbered(2)) {
		t.Error("not woken after the queue was empty")
	}
}

// Every record comes out, or is counted in the gap that stands in its place.
func TestNothingIsLostSilently(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(rapid.IntRange(2, 8).Draw(t, "size"))
		in, next := 0, 0
		take := func(most int) {
			for _, r := range q.pop(nil, most) {
				if r.Kind == Gap {
					from, to := numbered(next), numbered(next+int(r.Lost)-1)
					if r.LostFrom != from.Wall || r.Wall != to.Wall {
						t.Fatalf("gap %+v, want it from record %d", r, next)
					}
					next += int(r.Lost)
				} else if r != *numbered(next) {
					t.Fatalf("%+v, want record %d", r, next)
				} else {
					next++
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) { q.push(numbered(in)); in++ },
			"pop":  func(t *rapid.T) { take(rapid.IntRange(1, 5).Draw(t, "most")) },
		})
		take(1000)
		if next != in {
			t.Fatalf("%d records and gaps came out of %d", next, in)
		}
	})
}
