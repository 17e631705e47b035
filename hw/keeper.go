package hw

import (
	"errors"
	"sync"
	"time"
)

const (
	auditEvery  = int64(5 * time.Second) // how often the table is read and compared
	firstRetry  = int64(time.Second)     // after a failure; doubled each time
	lastRetry   = int64(30 * time.Second)
	readLinks   = int64(time.Second)
	countEvery  = int64(10 * time.Minute) // of 32 bits, counters go around in 48 minutes of full load
	flapWindow  = int64(10 * time.Second)
	flapChanges = 5 // so many changes in the window, and a port flaps
)

// Keeper holds a chip to its plan while the router runs: it applies it, looks
// from time to time whether the chip still has it, says which cables come and
// go, and when the chip does not answer it goes on trying. Nothing of that is
// an error for the router, which lives with the ports that work.
//
//	        Apply fails                    Apply works
//	kept ──────────────────► failed ──────────────────────► kept
//	 │  ▲                     │  ▲
//	 └──┘ audit: Table as     └──┘ retry after 1, 2, 4 … 30 s
//	      wanted, or repaired
//
// It is safe for concurrent use. A chip may hang in the kernel, and then so does
// who is at it; what is known is told all the same. It reads no clock: now is
// monotonic, in nanoseconds.
type Keeper struct {
	tell func(Event)

	at     sync.Mutex // lets one at a time at the chip, and guards what follows
	chip   Chip
	plan   Plan // that was applied last, or is being applied
	status Status
	wait   int64 // until the next retry, doubled each time
	due    int64 // of the next audit or retry
	linked int64 // when links are read again
	counts int64 // when counters are
	flaps  map[string]*flap
	closed bool

	mu      sync.Mutex // guards what follows; nobody is at the chip with it
	wanted  Plan
	caps    Capabilities
	known   Status // status and caps as they were when the chip was left last
	changed bool   // links are to be read at the next Step
}

// Status is what a Keeper knows about its chip.
type Status struct {
	Kept    bool   // the chip had the whole plan when it was last looked at
	Err     error  // why not; nil if Kept
	Since   int64  // when Kept last changed
	Links   []Link // as they were last read
	Repairs uint64 // how often the chip had lost something of the plan
	Silent  uint64 // how often it did not answer
}

// NewKeeper returns a Keeper that has not touched the chip yet. tell gets every
// Event, from the caller of Step or SetPlan; it must not call the Keeper.
func NewKeeper(chip Chip, tell func(Event)) *Keeper {
	return &Keeper{chip: chip, tell: tell, caps: chip.Capabilities(), flaps: map[string]*flap{}}
}

// SetPlan makes p the plan and applies it at once. A plan that the chip cannot
// do, by Plan.Check, is refused and changes nothing. If the chip fails, the
// error says how, and Step goes on with the new plan. If somebody is at the chip,
// it waits; of several plans that wait the last one is the plan.
func (k *Keeper) SetPlan(p Plan, now int64) (Report, error) {
	if err := k.take(p); err != nil {
		return Report{}, err
	}
	k.at.Lock()
	defer k.leave()
	if k.closed {
		return Report{}, ErrSilent
	}
	k.wait = 0
	return k.apply(now)
}

func (k *Keeper) take(p Plan) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := p.Check(k.caps); err != nil {
		return err
	}
	k.wanted = p
	return nil
}

// leave ends what at.Lock began: others may know now.
func (k *Keeper) leave() {
	caps := k.chip.Capabilities() // a chip that was opened late knows more
	k.mu.Lock()
	k.caps, k.known = caps, k.status
	k.mu.Unlock()
	k.at.Unlock()
}

// Step does what is due: reads links, audits the table, tries again. It is
// called every second or so, and when a Notifier has something.
func (k *Keeper) Step(now int64) {
	k.at.Lock()
	defer k.leave()
	if k.closed {
		return
	}
	if changed := k.hasChanged(); k.status.Kept && (changed || now >= k.linked) {
		k.linked = now + readLinks
		k.readLinks(now)
	}
	if k.status.Kept && now >= k.counts {
		k.counts = now + countEvery
		_, _ = k.chip.Counters() // a driver adds turns up; what fails here the audit tells
	}
	if now < k.due {
		return
	}
	if k.status.Kept {
		k.audit(now)
	} else {
		_, _ = k.apply(now) // the error is in the status
	}
}

// Changed makes the next Step read the links: what a Notifier calls for.
func (k *Keeper) Changed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changed = true
}

func (k *Keeper) hasChanged() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.changed
	k.changed = false
	return was
}

func (k *Keeper) apply(now int64) (Report, error) {
	k.plan = k.Plan()
	report, err := Apply(k.chip, k.plan)
	if err != nil {
		k.failed(err, now)
		return report, err
	}
	k.wait, k.due = 0, now+auditEvery
	if !k.status.Kept {
		e := Event{Kind: Kept, Report: report}
		if k.status.Err != nil {
			e.After = now - k.status.Since
		}
		k.tell(e)
		k.status.Kept, k.status.Err, k.status.Since = true, nil, now
	}
	k.readLinks(now)
	return report, nil
}

// failed takes an error of the chip: told when it is new, tried again later.
func (k *Keeper) failed(err error, now int64) {
	news := k.status.Err == nil || k.status.Err.Error() != err.Error()
	if k.status.Kept || k.status.Err == nil {
		k.status.Since = now
	}
	k.status.Kept, k.status.Err = false, err
	k.wait = min(max(firstRetry, 2*k.wait), lastRetry)
	k.due = now + k.wait
	silent := errors.Is(err, ErrSilent)
	if silent && news {
		k.status.Silent++
	}
	if news {
		k.tell(Event{Kind: Failed, Err: err})
	}
}

// audit looks whether the chip still has the plan. A chip that was reset has
// forgotten it.
func (k *Keeper) audit(now int64) {
	is, err := k.chip.Table()
	if err != nil {
		k.failed(err, now)
		return
	}
	k.due = now + auditEvery
	lost := Compare(is, k.plan.Table(k.chip.Capabilities()))
	if lost == nil {
		return
	}
	k.status.Repairs++
	k.tell(Event{Kind: Lost, Err: lost})
	if report, err := k.apply(now); err == nil {
		k.tell(Event{Kind: Repaired, Report: report})
	}
}

func (k *Keeper) readLinks(now int64) {
	links, err := k.chip.Links()
	if err != nil {
		k.failed(err, now)
		return
	}
	was := map[string]Link{}
	for _, l := range k.status.Links {
		was[l.Port] = l
	}
	for _, l := range links {
		old, known := was[l.Port]
		k.watch(l, known && old.Up == l.Up, now)
	}
	k.status.Links = links
}

// watch tells of a link that changed, unless the port flaps: then it is told
// once that it does, and once when it has stopped.
func (k *Keeper) watch(l Link, unchanged bool, now int64) {
	f := k.flaps[l.Port]
	if f == nil {
		k.flaps[l.Port] = &flap{since: now}
		k.tell(Event{Kind: LinkChanged, Link: l})
		return
	}
	if unchanged {
		if f.loud(now) {
			k.tell(Event{Kind: Settled, Link: l, Changes: f.changes})
			*f = flap{since: now}
		}
		return
	}
	if begins := f.change(now); begins {
		k.tell(Event{Kind: Flapping, Link: l, Changes: f.changes})
	} else if !f.flapping {
		k.tell(Event{Kind: LinkChanged, Link: l})
	}
}

// flap counts the changes of one link.
type flap struct {
	since    int64 // begin of the window
	last     int64 // the latest change
	changes  int
	flapping bool
}

// change counts one and reports whether the port begins to flap with it.
func (f *flap) change(now int64) bool {
	if !f.flapping && now-f.since > flapWindow {
		f.since, f.changes = now, 0
	}
	f.changes++
	f.last = now
	if f.flapping || f.changes < flapChanges {
		return false
	}
	f.flapping = true
	return true
}

// loud reports whether a port that flapped has been quiet for long enough to
// say so.
func (f *flap) loud(now int64) bool { return f.flapping && now-f.last >= flapWindow }

// Status returns what is known, without asking the chip, or waiting for it.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known
}

// Plan returns what the chip is held to.
func (k *Keeper) Plan() Plan {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wanted
}

// Capabilities are those of the chip. It does not wait for it.
func (k *Keeper) Capabilities() Capabilities {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.caps
}

// Counters asks the chip.
func (k *Keeper) Counters() ([]Counters, error) {
	k.at.Lock()
	defer k.at.Unlock()
	if k.closed {
		return nil, ErrSilent
	}
	return k.chip.Counters()
}

// Close calls last, unless it is nil, and closes the chip. Nobody is at the chip
// then, nor later: steps after it do nothing.
func (k *Keeper) Close(last func() error) error {
	k.at.Lock()
	defer k.at.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	var err error
	if last != nil {
		err = last()
	}
	return errors.Join(err, k.chip.Close())
}
