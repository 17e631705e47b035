package wire

import (
	"context"
	"fmt"
	"time"

	"spigate/hw"
)

// patience is how long anything but the keeper of a switch waits for its chip. A
// bus that hangs in the kernel returns when it likes: the router starts, reloads,
// answers and ends all the same.
const patience = 3 * time.Second

// mostAsking bounds how many wait for one chip to tell something.
const mostAsking = 4

// await waits until done is closed, but not longer than patience.
func (o *ownSwitch) await(done <-chan struct{}) bool {
	late := time.NewTimer(o.patience)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}

// within calls do, which is at the chip, and reports whether it came back in
// time. If it did not, it may yet: the caller leaves alone what do writes.
func (o *ownSwitch) within(do func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	return o.await(done)
}

// set makes p the plan of the switch and returns what that has changed by now.
func (o *ownSwitch) set(p hw.Plan) (done hw.Report) {
	var report hw.Report
	if !o.within(func() { report, _ = o.keeper.SetPlan(p, o.now()) }) { // the keeper tells what fails
		o.log.Warn("the switch has not answered in time: it is told what the configuration says when it answers, and what passed goes on passing")
		return hw.Report{}
	}
	return report
}

// counters asks the chip for them.
func (o *ownSwitch) counters() ([]hw.Counters, error) {
	select {
	case o.asking <- struct{}{}:
	default:
		return nil, o.hangs()
	}
	var counters []hw.Counters
	var err error
	if !o.within(func() {
		defer func() { <-o.asking }()
		counters, err = o.keeper.Counters()
	}) {
		return nil, o.hangs()
	}
	return counters, err
}

func (o *ownSwitch) hangs() error {
	return fmt.Errorf("it has not told its counters within %v: %w", o.patience, hw.ErrSilent)
}

// keep looks after one switch until ctx ends.
func (o *ownSwitch) keep(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.look(ctx)
	}()
	<-ctx.Done()
	o.await(done) // what hangs is told by close
	return nil
}

func (o *ownSwitch) look(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	changes := o.changes
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case _, ok := <-changes:
			if !ok {
				changes = nil
			}
			o.keeper.Changed()
		}
		if ctx.Err() == nil { // else a switch in software is ending, too, and would be told as silent
			o.keeper.Step(o.now())
		}
	}
}

// close takes back what the driver made, and closes the chip.
func (o *ownSwitch) close() error {
	var err error
	if !o.within(func() { err = o.keeper.Close(o.remove) }) {
		return fmt.Errorf("switch %s hangs, and is left as it is: %w", o.name, hw.ErrSilent)
	}
	return err
}
