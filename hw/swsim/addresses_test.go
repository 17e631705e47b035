package swsim

import (
	"testing"
	"time"
)

func TestTheTableIsBoundedAndTheMostSilentMakesWay(t *testing.T) {
	a := newTable(ways, time.Hour)
	for n := range ways + 3 {
		a.learn(key(1, address(n+1)), n%4, int64(n))
	}
	for n := range ways + 3 {
		val, ok := a.find(key(1, address(n+1)), ways+3)
		if ok != (n >= 3) || ok && portOf(val) != n%4 {
			t.Errorf("station %d: found %v at port %d", n, ok, portOf(val))
		}
	}
	if n := a.evicted.Load(); n != 3 {
		t.Errorf("%d made way, want 3", n)
	}
	if got := len(newTable(1000, time.Hour).places) * ways; got != 1024 {
		t.Errorf("a table for 1000 has room for %d", got)
	}
}

func TestOneThatIsSilentForTooLongMakesWayUncounted(t *testing.T) {
	a := newTable(ways, time.Hour)
	for n := range ways {
		a.learn(key(1, address(n+1)), 0, int64(n))
	}
	a.learn(key(1, 100), 1, int64(2*time.Hour))
	if n := a.evicted.Load() + a.moves.Load(); n != 0 {
		t.Errorf("%d made way or moved", n)
	}
	a.learn(key(1, 1), 1, int64(2*time.Hour))
	if n := a.moves.Load(); n != 0 {
		t.Errorf("one that was forgotten moved")
	}
}

// Two goroutines read the clock at different times; the later one may be first.
func TestAnEntryFromTheFutureIsFresh(t *testing.T) {
	a := newTable(ways, time.Hour)
	a.learn(key(1, 1), 3, 1000)
	if val, ok := a.find(key(1, 1), 900); !ok || portOf(val) != 3 {
		t.Errorf("found %v at %d", ok, portOf(val))
	}
	for _, now := range []int64{0, 1<<timeBits - 1, 1 << timeBits, 1<<62 + 12345} {
		if got := age(seenAt(63, now), now+77); got != 77 {
			t.Errorf("written at %d: age %d, want 77", now, got)
		}
	}
}

// Somebody is in the middle of writing: key and value need not belong together.
func TestAPlaceThatIsWrittenToIsNotRead(t *testing.T) {
	a := newTable(ways, time.Hour)
	a.learn(key(1, 1), 3, 1000)
	p := a.place(key(1, 1))
	p.lock()
	if val, ok := a.find(key(1, 1), 1000); ok {
		t.Errorf("found at port %d", portOf(val))
	}
	p.unlock()
	if _, ok := a.find(key(1, 1), 1000); !ok {
		t.Error("not found afterwards")
	}
}

// A station that many goroutines see at two ports is always found at one of
// them, and never a mixture of two stations.
func TestReadersNeverSeeHalfAnEntry(t *testing.T) {
	a := newTable(ways, time.Hour)
	const rounds = 5000
	done := make(chan int)
	for w := range 2 {
		go func() {
			for n := range rounds {
				// Station n is only ever at port n%32 or n%32+32.
				k := n % (4 * ways)
				a.learn(key(1, address(k+1)), k%32+32*w, int64(n))
			}
			done <- 0
		}()
	}
	go func() {
		wrong := 0
		for n := range 4 * rounds {
			k := n % (4 * ways)
			if val, ok := a.find(key(1, address(k+1)), rounds); ok && portOf(val)%32 != k%32 {
				wrong++
			}
		}
		done <- wrong
	}()
	if wrong := <-done + <-done + <-done; wrong != 0 {
		t.Errorf("%d wrong answers", wrong)
	}
}
