package web

import (
	"net/netip"
	"sync"
	"time"
)

// Attempts to log in: so many at once, then one in so long. The second pair is
// of all addresses together but loopback's: with it the hashes of a flood of
// attempts cost a small router a tenth of a processor, and leave the packets alone.
const (
	burstOfOne, everyOfOne = 5, 10 * time.Second
	burstOfAll, everyOfAll = 10, 10 * time.Second
	maxSources             = 1024 // of which attempts are remembered
)

// bucket lets through a burst, then one in a while.
type bucket struct {
	empty time.Time // when nothing would be in it any more; it fills as time goes by
}

// take reports whether there is room for one more.
func (b *bucket) take(now time.Time, burst int, every time.Duration) bool {
	if b.empty.Before(now) {
		b.empty = now
	}
	if b.empty.Sub(now) > time.Duration(burst-1)*every {
		return false
	}
	b.empty = b.empty.Add(every)
	return true
}

// attempts counts attempts to log in.
type attempts struct {
	mu   sync.Mutex
	all  bucket
	from map[netip.Prefix]*bucket
}

// allow reports whether somebody may try now.
func (a *attempts) allow(from netip.Prefix, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	own, known := a.from[from]
	if !known {
		a.makeRoom(now)
		own = &bucket{}
		a.from[from] = own
	}
	if !own.take(now, burstOfOne, everyOfOne) {
		return false
	}
	// This machine's own attempts are not held up by others', nor hold them up.
	return from.Addr().IsLoopback() || a.all.take(now, burstOfAll, everyOfAll)
}

// makeRoom forgets who has nothing to wait for. If nobody has, the one who has
// least: what is forgotten can only be tried as often as all together may try.
func (a *attempts) makeRoom(now time.Time) {
	if len(a.from) < maxSources {
		return
	}
	var least netip.Prefix
	var soonest time.Time
	for from, b := range a.from {
		if !b.empty.After(now) {
			delete(a.from, from)
			continue
		}
		if soonest.IsZero() || b.empty.Before(soonest) {
			least, soonest = from, b.empty
		}
	}
	if len(a.from) >= maxSources {
		delete(a.from, least)
	}
}
