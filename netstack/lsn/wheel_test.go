package lsn

import (
	"testing"

	"pgregory.net/rapid"
)

// check walks through all lists and returns how many slots are in them. Every
// one must be looked at no later than its deadline allows, or within a turn.
func (w *wheel[T, P]) check(t tester, s *slab[T, P], deadline func(slot uint32) int64) (n int) {
	t.Helper()
	for list, slot := range w.heads {
		prev := uint32(list) | listMark
		for ; slot != 0; slot = P(s.at(slot)).timer().next {
			if at := P(s.at(slot)).timer(); at.prev != prev {
				t.Fatalf("list %d: slot %d comes after %x, not %x", list, slot, at.prev, prev)
			}
			prev = slot
			n++
			if list == dueList {
				continue
			}
			// The second in which the sweep comes to this list.
			looked := w.tick + (int64(list)-w.tick%wheelTicks+wheelTicks)%wheelTicks
			if d := deadline(slot) / tickLength; looked > max(d, w.tick) {
				t.Fatalf("slot %d is due in second %d and looked at in %d", slot, d, looked)
			}
		}
	}
	return n
}

type clockwork struct {
	timerIn  timer
	deadline int64
}

func (c *clockwork) chain() *uint32 { return &c.timerIn.next }
func (c *clockwork) timer() *timer  { return &c.timerIn }

// TestWheelFindsWhatIsDue: whatever the order of deadlines, removals and leaps
// in time, a sweep shows exactly those slots as expired that are.
func TestWheelFindsWhatIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slab[clockwork, *clockwork]
		var w wheel[clockwork, *clockwork]
		live := map[uint32]bool{}
		now := int64(0)
		deadline := func(slot uint32) int64 { return s.at(slot).deadline }
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				slot := s.take()
				*s.at(slot) = clockwork{deadline: now + rapid.SampledFrom([]int64{0, 1, second, 120 * second, 255 * second, 256 * second, 7440 * second}).Draw(t, "idle")}
				w.set(&s, slot, s.at(slot).deadline)
				live[slot] = true
			},
			"later": func(t *rapid.T) {
				for slot := range live {
					s.at(slot).deadline += 40 * second // tells nobody
					break
				}
			},
			"sooner": func(t *rapid.T) {
				for slot := range live {
					s.at(slot).deadline = now + second/2
					w.set(&s, slot, now+second/2)
					break
				}
			},
			"remove": func(t *rapid.T) {
				for slot := range live {
					w.remove(&s, slot)
					w.remove(&s, slot) // twice does no harm
					s.give(slot)
					delete(live, slot)
					break
				}
			},
			"time passes": func(t *rapid.T) {
				now += rapid.SampledFrom([]int64{1, second / 3, second, 17 * second, 255 * second, 256 * second, 36000 * second}).Draw(t, "step")
			},
			"sweep": func(t *rapid.T) {
				looks := 0
				for r := (round{now: now}); ; looks++ {
					slot := w.next(&s, &r)
					if slot == 0 {
						break
					}
					if s.at(slot).deadline < now {
						s.give(slot)
						delete(live, slot)
					} else {
						w.set(&s, slot, s.at(slot).deadline)
					}
					if looks > 4*len(live)+1000 {
						t.Fatal("the sweep does not end")
					}
				}
				for slot := range live {
					if s.at(slot).deadline < now {
						t.Fatalf("slot %d was due %d ns ago", slot, now-s.at(slot).deadline)
					}
				}
			},
			"": func(t *rapid.T) {
				if n := w.check(t, &s, deadline); n != len(live) {
					t.Fatalf("%d slots in the wheel, %d live", n, len(live))
				}
			},
		})
	})
}
