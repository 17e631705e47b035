package hw

import (
	"errors"
	"fmt"
	"slices"
)

// Report says what Apply has changed. Empty lists: the chip was as it should be.
type Report struct {
	Added, Changed, Removed []uint16 // VLAN ids, ascending
	Ports                   []string // whose PVID or state changed
	MTU                     bool
}

// Nothing reports whether nothing was changed.
func (r Report) Nothing() bool {
	return len(r.Added)+len(r.Changed)+len(r.Removed)+len(r.Ports) == 0 && !r.MTU
}

// Apply brings the chip from what it has to what the plan says, by the
// differences alone, reads it back and compares. A plan that Check refuses
// changes nothing. After any other error the chip is somewhere on the way: call
// it again.
//
// The order is the invariant of the package: first untagged frames of ports
// that change are refused, then members leave, then others join, and at last
// untagged frames are let in again; a port that is new opens last of all.
func Apply(chip Chip, p Plan) (Report, error) {
	caps := chip.Capabilities()
	if err := p.Check(caps); err != nil {
		return Report{}, err
	}
	if err := chip.Prepare(); err != nil {
		return Report{}, fmt.Errorf("prepare %s: %w", caps.Chip, err)
	}
	was, err := chip.Table()
	if err != nil {
		return Report{}, fmt.Errorf("read the table of %s: %w", caps.Chip, err)
	}
	c := change{chip: chip, caps: caps, was: was, want: p.Table(caps)}
	if err := c.run(); err != nil {
		return c.report, err
	}
	is, err := chip.Table()
	if err != nil {
		return c.report, fmt.Errorf("read the table of %s back: %w", caps.Chip, err)
	}
	if err := Compare(is, c.want); err != nil {
		return c.report, fmt.Errorf("%s has not done what it was told: %w", caps.Chip, err)
	}
	return c.report, nil
}

// change is one way from a table to another.
type change struct {
	chip      Chip
	caps      Capabilities
	was, want Table
	report    Report
}

func (c *change) run() error {
	for _, step := range []func() error{c.mtu, c.close, c.leave, c.join, c.open} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) mtu() error {
	if c.want.MTU == 0 || c.want.MTU == c.was.MTU {
		return nil
	}
	c.report.MTU = true
	if err := c.chip.SetMTU(c.want.MTU); err != nil {
		return fmt.Errorf("mtu %d: %w", c.want.MTU, err)
	}
	return nil
}

// close refuses frames without tag where their VLAN changes, and turns off the
// ports that are in no VLAN any more.
func (c *change) close() error {
	for _, p := range c.caps.Ports {
		was := c.was.PVID[p.Name]
		if was != 0 && was != c.want.PVID[p.Name] {
			if err := c.chip.SetPVID(p.Name, 0); err != nil {
				return fmt.Errorf("port %s: refuse frames without tag: %w", p.Name, err)
			}
		}
		if c.was.On[p.Name] && !c.want.On[p.Name] {
			if err := c.chip.SetPort(p.Name, false); err != nil {
				return fmt.Errorf("port %s: turn off: %w", p.Name, err)
			}
		}
	}
	return nil
}

// leave removes VLANs, and members that are none any more. One that changes from
// untagged to tagged does so here, the other way round in join: so at no moment
// a port sends two VLANs without tag.
func (c *change) leave() error {
	for _, v := range c.was.VLANs {
		want, ok := c.want.vlan(v.ID)
		if !ok {
			if err := c.chip.RemoveVLAN(v.ID); err != nil {
				return fmt.Errorf("VLAN %d: remove: %w", v.ID, err)
			}
			c.report.Removed = append(c.report.Removed, v.ID)
			continue
		}
		stay := v.staying(want)
		if same(stay, v) {
			continue
		}
		if err := c.chip.SetVLAN(stay); err != nil {
			return fmt.Errorf("VLAN %d: take members out: %w", v.ID, err)
		}
	}
	return nil
}

func (c *change) join() error {
	for _, v := range c.want.VLANs {
		was, there := c.was.vlan(v.ID)
		if there && same(was, v) {
			continue
		}
		if there {
			c.report.Changed = append(c.report.Changed, v.ID)
		} else {
			c.report.Added = append(c.report.Added, v.ID)
		}
		if there && same(was.staying(v), v) {
			continue // leave has done it
		}
		if err := c.chip.SetVLAN(v); err != nil {
			return fmt.Errorf("VLAN %d: %w", v.ID, err)
		}
	}
	return nil
}

// open lets frames in: what was learned at a port whose VLAN has changed is
// forgotten first.
func (c *change) open() error {
	for _, p := range c.caps.Ports {
		was, want := c.was.PVID[p.Name], c.want.PVID[p.Name]
		wasOn, on := c.was.On[p.Name], c.want.On[p.Name]
		if was == want && wasOn == on {
			continue
		}
		c.report.Ports = append(c.report.Ports, p.Name)
		if err := c.chip.Flush(p.Name); err != nil {
			return fmt.Errorf("port %s: forget addresses: %w", p.Name, err)
		}
		if want != was && want != 0 {
			if err := c.chip.SetPVID(p.Name, want); err != nil {
				return fmt.Errorf("port %s: frames without tag are VLAN %d: %w", p.Name, want, err)
			}
		}
		if on && !wasOn {
			if err := c.chip.SetPort(p.Name, true); err != nil {
				return fmt.Errorf("port %s: turn on: %w", p.Name, err)
			}
		}
	}
	return nil
}

// vlan returns the row of an id.
func (t Table) vlan(id uint16) (VLAN, bool) {
	i := slices.IndexFunc(t.VLANs, func(v VLAN) bool { return v.ID == id })
	if i < 0 {
		return VLAN{}, false
	}
	return t.VLANs[i], true
}

// staying is v with those members alone that want has, too. They are untagged if
// they are so in both.
func (v VLAN) staying(want VLAN) VLAN {
	stay := VLAN{ID: v.ID}
	for _, name := range slices.Concat(v.Tagged, v.Untagged) {
		switch {
		case slices.Contains(v.Untagged, name) && slices.Contains(want.Untagged, name):
			stay.Untagged = append(stay.Untagged, name)
		case slices.Contains(want.Tagged, name), slices.Contains(want.Untagged, name):
			stay.Tagged = append(stay.Tagged, name)
		}
	}
	slices.Sort(stay.Tagged)
	return stay
}

func same(a, b VLAN) bool {
	return a.ID == b.ID && slices.Equal(a.Tagged, b.Tagged) && slices.Equal(a.Untagged, b.Untagged)
}

// Compare returns each difference between what a chip has and what it should
// have, joined; nil if there is none. An MTU of 0 on either side is no
// difference.
func Compare(is, want Table) error {
	var out []error
	fault := func(format string, args ...any) { out = append(out, fmt.Errorf(format, args...)) }
	for _, v := range want.VLANs {
		switch got, ok := is.vlan(v.ID); {
		case !ok:
			fault("VLAN %d is missing", v.ID)
		case !same(got, v):
			fault("VLAN %d: tagged %v untagged %v, not tagged %v untagged %v", v.ID, got.Tagged, got.Untagged, v.Tagged, v.Untagged)
		}
	}
	for _, v := range is.VLANs {
		if _, ok := want.vlan(v.ID); !ok {
			fault("VLAN %d should not be there", v.ID)
		}
	}
	for _, name := range names(is, want) {
		if is.PVID[name] != want.PVID[name] {
			fault("port %s: frames without tag are VLAN %d, not %d", name, is.PVID[name], want.PVID[name])
		}
		if is.On[name] != want.On[name] {
			fault("port %s: on is %v, not %v", name, is.On[name], want.On[name])
		}
	}
	if is.MTU != want.MTU && is.MTU != 0 && want.MTU != 0 {
		fault("mtu is %d, not %d", is.MTU, want.MTU)
	}
	return errors.Join(out...)
}

// names are those of all ports that two tables say something about, sorted.
func names(tables ...Table) (out []string) {
	for _, t := range tables {
		for name := range t.PVID {
			out = append(out, name)
		}
		for name := range t.On {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
