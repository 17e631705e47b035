package boot

import "sync"

// ahead is a bounded queue of what was typed: whoever reads the keys never
// waits, or Ctrl-C would not be seen.
type ahead struct {
	mu    sync.Mutex
	queue []Typed
	bytes int
	lost  int
	wake  chan struct{} // has a value while there may be something
}

func newAhead() *ahead { return &ahead{wake: make(chan struct{}, 1)} }

func (a *ahead) put(typed []Typed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range typed {
		if a.bytes+len(t.Line)+lineCost > maxAhead {
			a.lost++
			continue
		}
		a.queue = append(a.queue, t)
		a.bytes += len(t.Line) + lineCost
	}
	a.nudge()
}

func (a *ahead) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// take returns the next one. lost is how many were thrown away before now.
func (a *ahead) take() (t Typed, lost int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	lost, a.lost = a.lost, 0
	if len(a.queue) == 0 {
		return Typed{}, lost, false
	}
	t, a.queue = a.queue[0], a.queue[1:]
	a.bytes -= len(t.Line) + lineCost
	return t, lost, true
}

// clear forgets what was typed.
func (a *ahead) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue, a.bytes, a.lost = nil, 0, 0
}

// back puts one that was taken in front again.
func (a *ahead) back(t Typed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append([]Typed{t}, a.queue...)
	a.bytes += len(t.Line) + lineCost
}
