package hwtest

import (
	"fmt"
	"slices"
	"strings"

	"spigate/hw"
)

// faults are what a Fake has been told to do wrong.
type faults struct {
	silent  bool
	until   int // operations that still work before the chip falls silent; 0: no limit
	forget  *string
	refuses map[string]error
	observe func(op string)
}

// Silence: the chip does not answer from now on, until Answer.
func (f *Fake) Silence() { f.fault(func(x *faults) { x.silent, x.until = true, 0 }) }

// SilenceAfter lets n operations (calls of hw.Chip, reading ones too) work, and
// none after them, until Answer.
func (f *Fake) SilenceAfter(n int) { f.fault(func(x *faults) { x.silent, x.until = n == 0, n }) }

// Answer ends a silence. What the chip had, it has still.
func (f *Fake) Answer() { f.fault(func(x *faults) { x.silent, x.until = false, 0 }) }

// Forget has the next write whose words in the log begin with op be acknowledged
// and not done: "set 20", "pvid lan1", "port". "" is the next one of any kind.
func (f *Fake) Forget(op string) { f.fault(func(x *faults) { x.forget = &op }) }

// Refuse has every operation whose words begin with op be refused with err; nil
// ends it. Refusals are not silence.
func (f *Fake) Refuse(op string, err error) {
	f.fault(func(x *faults) {
		if x.refuses == nil {
			x.refuses = map[string]error{}
		}
		x.refuses[op] = err
		if err == nil {
			delete(x.refuses, op)
		}
	})
}

// Observe has fn called after each operation that was done, in the goroutine
// that asked for it, without locks. nil ends it.
func (f *Fake) Observe(fn func(op string)) { f.fault(func(x *faults) { x.observe = fn }) }

func (f *Fake) fault(set func(x *faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set(&f.faults)
}

// Reset is a glitch on the chip's supply: rows, PVIDs and states of ports are
// as after power-on, and VLANs are not obeyed until Prepare. Counters begin at
// 0. Links go nowhere: the cables are as they were.
func (f *Fake) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.memory.power(f.caps)
	for name := range f.memory.counters {
		f.memory.counters[name] = hw.Counters{Port: name}
	}
	f.log = append(f.log, "reset")
}

// SetLink sets the state of a cable: unplugged, or a gigabit a second. Changes
// has a value if it was another one.
func (f *Fake) SetLink(port string, up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.memory.links[port]
	is := hw.Link{Port: port}
	if up {
		is = hw.Link{Port: port, Up: true, Speed: 1000, Duplex: true}
	}
	f.memory.links[port] = is
	if was == is || f.closed {
		return
	}
	select {
	case f.change <- struct{}{}:
	default: // one is waiting already
	}
}

// Flap unplugs and plugs the cable of a port n times.
func (f *Fake) Flap(port string, n int) {
	for range n {
		f.SetLink(port, false)
		f.SetLink(port, true)
	}
}

// SetCounters replaces what a port has counted.
func (f *Fake) SetCounters(c hw.Counters) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.memory.counters[c.Port] = c
}

// Log lists what was done since the opening, in words: "prepare", "table",
// "set 20 tagged [cpu] untagged [lan1]", "remove 20", "pvid lan1 20", "port
// lan1 true", "mtu 1500", "flush lan1", "links", "counters", "reset". With
// begins given only those that begin with one of them.
func (f *Fake) Log(begins ...string) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range f.log {
		if len(begins) == 0 || slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(op, b) }) {
			out = append(out, op)
		}
	}
	return out
}

// ClearLog forgets the log.
func (f *Fake) ClearLog() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}

// Reach tells where frames go now: before Prepare everywhere, as in a chip that
// nobody has told about VLANs.
func (f *Fake) Reach() Reach {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.memory.table()
	if f.memory.obeys {
		return ReachOf(t)
	}
	return func(from string, tag uint16) (out []Out) {
		for _, p := range f.caps.Ports {
			if p.Name != from && t.On[from] && t.On[p.Name] {
				out = append(out, Out{p.Name, tag})
			}
		}
		return out
	}
}

// Notifying is a Fake that tells of links that change (hw.Notifier).
type Notifying struct{ *Fake }

// Changes implements hw.Notifier.
func (n Notifying) Changes() <-chan struct{} { return n.change }

// read does an operation that changes nothing.
func (f *Fake) read(op string, do func(m *memory)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.admit(op); err != nil {
		return err
	}
	f.log = append(f.log, op)
	do(f.memory)
	return nil
}

// write does one that changes something, if check allows it.
func (f *Fake) write(op string, check func() error, do func(m *memory)) error {
	observe, err := f.locked(op, check, do)
	if err == nil && observe != nil {
		observe(op)
	}
	return err
}

func (f *Fake) locked(op string, check func() error, do func(m *memory)) (observe func(string), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.admit(op); err != nil {
		return nil, err
	}
	if err := check(); err != nil {
		return nil, err
	}
	f.log = append(f.log, op)
	if forget := f.faults.forget; forget != nil && strings.HasPrefix(op, *forget) {
		f.faults.forget = nil
		return f.faults.observe, nil
	}
	do(f.memory)
	return f.faults.observe, nil
}

// admit says why an operation cannot be done.
func (f *Fake) admit(op string) error {
	if f.closed {
		return fmt.Errorf("%s: closed: %w", op, hw.ErrSilent)
	}
	if f.faults.silent {
		return fmt.Errorf("%s: %w", op, hw.ErrSilent)
	}
	if f.faults.until > 0 {
		f.faults.until--
		f.faults.silent = f.faults.until == 0
	}
	for begins, err := range f.faults.refuses {
		if strings.HasPrefix(op, begins) {
			return err
		}
	}
	return nil
}
