package hw

import "fmt"

// late is a chip that could not be opened yet.
type late struct {
	caps Capabilities
	open func() (Chip, error)
	chip Chip // nil: not open
}

// Late returns a Chip that is opened by its first Prepare, and by the next one
// if that fails: the router starts whether its switch answers or not. caps are
// what is known of it without asking; once it is open, its own count. Until
// then every other method fails with ErrSilent.
func Late(caps Capabilities, open func() (Chip, error)) Chip {
	return &late{caps: caps, open: open}
}

// Prepare implements Chip.
func (l *late) Prepare() error {
	if l.chip == nil {
		chip, err := l.open()
		if err != nil {
			return err
		}
		l.chip, l.caps = chip, chip.Capabilities()
	}
	return l.chip.Prepare()
}

// opened returns the chip, or an error.
func (l *late) opened() (Chip, error) {
	if l.chip == nil {
		return nil, fmt.Errorf("%s is not open yet: %w", l.caps.Chip, ErrSilent)
	}
	return l.chip, nil
}

// do calls f with the chip, if it is open.
func (l *late) do(f func(Chip) error) error {
	chip, err := l.opened()
	if err != nil {
		return err
	}
	return f(chip)
}

// Capabilities implements Chip.
func (l *late) Capabilities() Capabilities { return l.caps }

// Table implements Chip.
func (l *late) Table() (t Table, err error) {
	err = l.do(func(c Chip) (err error) { t, err = c.Table(); return err })
	return t, err
}

// SetVLAN implements Chip.
func (l *late) SetVLAN(v VLAN) error { return l.do(func(c Chip) error { return c.SetVLAN(v) }) }

// RemoveVLAN implements Chip.
func (l *late) RemoveVLAN(id uint16) error {
	return l.do(func(c Chip) error { return c.RemoveVLAN(id) })
}

// SetPVID implements Chip.
func (l *late) SetPVID(port string, vlan uint16) error {
	return l.do(func(c Chip) error { return c.SetPVID(port, vlan) })
}

// SetPort implements Chip.
func (l *late) SetPort(port string, on bool) error {
	return l.do(func(c Chip) error { return c.SetPort(port, on) })
}

// SetMTU implements Chip.
func (l *late) SetMTU(mtu int) error { return l.do(func(c Chip) error { return c.SetMTU(mtu) }) }

// Flush implements Chip.
func (l *late) Flush(port string) error { return l.do(func(c Chip) error { return c.Flush(port) }) }

// Links implements Chip.
func (l *late) Links() (links []Link, err error) {
	err = l.do(func(c Chip) (err error) { links, err = c.Links(); return err })
	return links, err
}

// Counters implements Chip.
func (l *late) Counters() (n []Counters, err error) {
	err = l.do(func(c Chip) (err error) { n, err = c.Counters(); return err })
	return n, err
}

// Close implements Chip.
func (l *late) Close() error {
	if l.chip == nil {
		return nil
	}
	return l.chip.Close()
}
