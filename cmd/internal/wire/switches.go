package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"spigate/cmd/internal/task"
	"spigate/configs"
	"spigate/hw"
	"spigate/netstack/link"
)

// openedChip is a chip with what belongs to its kind.
type openedChip struct {
	chip   hw.Chip
	cpu    link.Driver                     // a switch in software: the router's end; else nil
	run    func(ctx context.Context) error // and what moves its frames
	remove func() error                    // a kernel switch: gives its ports back; else nil
}

// ownSwitch is a [switch]: its chip, and what keeps that at its plan.
type ownSwitch struct {
	openedChip
	name    string
	log     *slog.Logger
	now     func() int64
	keeper  *hw.Keeper
	changes <-chan struct{} // links may have changed; nil: nobody tells

	patience time.Duration // see await
	asking   chan struct{} // has a place for each who may wait for the chip to tell something
}

// switches are all of them, in the order of the configuration.
type switches struct {
	log *slog.Logger
	now func() int64 // monotonic, in nanoseconds
	all []*ownSwitch

	patience time.Duration
	openChip func(*configs.Config, *configs.Switch, *slog.Logger) (openedChip, error)
}

// newSwitches returns none, with a clock that begins now.
func newSwitches(log *slog.Logger) switches {
	began := time.Now()
	return switches{log: log, now: func() int64 { return int64(time.Since(began)) }, patience: patience, openChip: openChip}
}

// open opens every switch and tells it what to do. A chip that fails then is no
// error: the router starts with what passes, and the chip is tried again.
func (s *switches) open(c *configs.Config) error {
	for _, sw := range c.Switches {
		one, err := s.openOne(c, sw)
		if err != nil {
			return fmt.Errorf("switch %s: %w", sw.Name, err)
		}
		s.all = append(s.all, one)
		if err := plan(c, sw).Check(one.keeper.Capabilities()); err != nil {
			return fmt.Errorf("switch %s: %w", sw.Name, err)
		}
		one.set(plan(c, sw)) // the keeper tells what fails
	}
	return nil
}

func (s *switches) openOne(c *configs.Config, sw *configs.Switch) (*ownSwitch, error) {
	one := &ownSwitch{
		name: sw.Name, log: s.log.With("switch", sw.Name), now: s.now, patience: s.patience, asking: make(chan struct{}, mostAsking),
	}
	var err error
	if one.openedChip, err = s.openChip(c, sw, one.log); err != nil {
		return nil, err
	}
	one.keeper = hw.NewKeeper(one.chip, one.tell)
	if n, ok := one.chip.(hw.Notifier); ok {
		one.changes = n.Changes()
	}
	return one, nil
}

// tell writes to the log what a keeper says.
func (o *ownSwitch) tell(e hw.Event) {
	if e.Bad() {
		o.log.Warn(e.String())
	} else {
		o.log.Info(e.String())
	}
}

// plan is what a configuration wants of a switch: both [switch] and [vlan] say
// it, and the router's interfaces are made of the same VLANs.
func plan(c *configs.Config, sw *configs.Switch) hw.Plan {
	p := hw.Plan{MTU: sw.MTU}
	for _, v := range c.VLANs {
		if v.Switch == sw {
			p.VLANs = append(p.VLANs, hw.VLAN{ID: v.ID, Tagged: v.Tagged, Untagged: v.Untagged})
		}
	}
	return p
}

// driver returns the router's end of the switch in software at a port, or nil.
func (s *switches) driver(c *configs.Config, p *configs.Port) link.Driver {
	for i, sw := range c.Switches {
		if sw.CPUPort == p && i < len(s.all) {
			return s.all[i].cpu
		}
	}
	return nil
}

// named returns the switch of a name, or nil.
func (s *switches) named(name string) *ownSwitch {
	for _, o := range s.all {
		if o.name == name {
			return o
		}
	}
	return nil
}

// check asks the chips whether they can do what c wants.
func (s *switches) check(c *configs.Config) (faults []error) {
	for _, sw := range c.Switches {
		if o := s.named(sw.Name); o != nil {
			if err := plan(c, sw).Check(o.keeper.Capabilities()); err != nil {
				faults = append(faults, fmt.Errorf("switch %s: %w", sw.Name, err))
			}
		}
	}
	return faults
}

// apply tells the chips what c wants, by the differences. A chip that fails is
// tried again by its keeper: the router goes on.
func (s *switches) apply(c *configs.Config) {
	for _, sw := range c.Switches {
		if o := s.named(sw.Name); o != nil {
			if report := o.set(plan(c, sw)); !report.Nothing() {
				o.log.Info("the switch has changed: " + report.String())
			}
		}
	}
}

// tasks are what runs beside the router: one that looks after each switch, and
// one that moves the frames of each in software.
func (s *switches) tasks() (out []task.Task) {
	for _, o := range s.all {
		out = append(out, task.Func("switch "+o.name, o.keep))
		if o.run != nil {
			out = append(out, task.Func("frames of switch "+o.name, o.run))
		}
	}
	return out
}

// close ends the switches. Kernel switches give their ports back, chips go on
// as they were told. One that hangs is left as it is.
func (s *switches) close() error {
	var errs []error
	for _, o := range s.all { // which stays: somebody may still be looking
		errs = append(errs, o.close())
	}
	return errors.Join(errs...)
}
