package qca8k

import (
	"fmt"

	"spigate/hw"
)

// chip implements hw.Chip.
type chip struct {
	registers
	config Config
	model  model
	caps   hw.Capabilities
	id     uint32         // what the id register read at the opening
	board  []setting      // what the boot loader had set then
	number map[string]int // of the ports, by name
	counts [ports]tally
	closed bool
}

// setting is a register of the board's and the bits of it that can be written.
type setting struct{ addr, mask, value uint32 }

// Open finds the chip on the bus. The bus is the driver's from then on, and is
// closed with it; after an error it is still the caller's. An error of
// a chip that is not there wraps hw.ErrSilent.
func Open(c Config) (hw.Chip, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	m, _ := modelOf(c.Driver)
	x := &chip{registers: registers{bus: c.Bus, page: -1, looks: looks}, config: c, model: m, caps: Capabilities(c), number: map[string]int{}}
	for _, p := range c.all() {
		x.number[p.Name] = p.Number
	}
	id, err := x.read(regID)
	if err != nil {
		return nil, fmt.Errorf("look for a %s: %w", m.title, err)
	}
	x.id = id & 0xffff
	switch kind := x.id >> 8; {
	case x.id == 0xffff || x.id == 0:
		return nil, silent("look for a %s: nothing is at PHY address 0x10 of this bus (id %#04x)", m.title, x.id)
	case kind != m.id:
		return nil, fmt.Errorf("the chip says that it is %#02x revision %d, and a %s is %#02x", kind, x.id&0xff, m.title, m.id)
	}
	x.caps.Chip = fmt.Sprintf("%s revision %d", m.title, x.id&0xff)
	return x, x.remember()
}

// remember reads what the boot loader has set.
func (x *chip) remember() error {
	x.board = []setting{
		{regPad0, ^uint32(0), 0}, {regPad5, ^uint32(0), 0}, {regPad6, ^uint32(0), 0}, {regStrap, ^uint32(0), 0}, {regSGMII, ^uint32(0), 0},
		{regStatus(x.config.CPU), statusSet, 0},
	}
	for i, s := range x.board {
		v, err := x.read(s.addr)
		if err != nil {
			return err
		}
		x.board[i].value = v
	}
	// Between two writes of a change of the MTU the router's port is off: found
	// so, it has been forgotten there. If a PHY tells it what to be, that alone is
	// put back.
	cpu := &x.board[len(x.board)-1]
	cpu.value |= statusTx | statusRx
	if cpu.value&statusAuto != 0 {
		cpu.mask = statusTx | statusRx | statusAuto
	}
	return nil
}

// begin forgets the page, which a reset changes, and holds the chip to its id:
// a bus with nothing on it reads as ones.
func (x *chip) begin() error {
	if x.closed {
		return silent("closed")
	}
	x.page, x.looks = -1, looks
	id, err := x.read(regID)
	if err != nil {
		return err
	}
	if id&0xffff != x.id {
		return silent("its id reads %#04x, it was %#04x", id&0xffff, x.id)
	}
	return nil
}

// Capabilities implements hw.Chip.
func (x *chip) Capabilities() hw.Capabilities { return x.caps }

// Prepare implements hw.Chip. Ports that nobody named go off first; then each
// port obeys the VLAN table; then rows that another program has left with
// members that hw has no word for are set right.
func (x *chip) Prepare() error {
	if err := x.begin(); err != nil {
		return err
	}
	for _, step := range []func() error{x.restore, x.strangers, x.obey, x.forward, x.tidy} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// restore puts back what the boot loader had set, if a reset has taken it away.
func (x *chip) restore() error {
	for _, s := range x.board {
		if err := x.change(s.addr, s.mask, s.value); err != nil {
			return err
		}
	}
	return nil
}

// strangers turns off the ports that the configuration does not name.
func (x *chip) strangers() error {
	for n := range ports {
		if x.named()&(1<<n) != 0 {
			continue
		}
		if err := x.change(regLookup(n), lookupPorts|lookupMode|lookupState|lookupLearn|lookupDangerous, lookupSecure|lookupOff); err != nil {
			return err
		}
	}
	return nil
}

// named is the set of the configuration's ports.
func (x *chip) named() (mask uint32) {
	for _, n := range x.number {
		mask |= 1 << n
	}
	return mask
}

// obey brings each port to 802.1Q, mode secure, with the port's state as it is.
func (x *chip) obey() error {
	for _, p := range x.config.all() {
		n := p.Number
		for _, c := range []setting{
			{regLookup(n), lookupPorts | lookupMode | lookupLearn | lookupDangerous, x.named()&^(1<<n) | lookupSecure | lookupLearn},
			{regTagging(n), taggingOut | taggingKeep | taggingDangerous, taggingKeep},
			{regHOL1(n), holMirror, 0},
			{regHeader(n), 0xf, 0},
		} {
			if err := x.change(c.addr, c.mask, c.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// forward sets what is of the whole chip: no mirror, floods to all members of a
// VLAN, counters that are kept.
func (x *chip) forward() error {
	if on, err := x.counting(); err != nil {
		return err
	} else if !on {
		x.anew()
	}
	for _, c := range []setting{
		{regForward0, forwardCPU | forwardMirror, forwardCPU | forwardMirror},
		{regForward1, 0x7f<<24 | forwardAll, forwardAll},
		{regModules, modulesMIB, modulesMIB},
		{regMIB, mibKeep, mibKeep},
	} {
		if err := x.change(c.addr, c.mask, c.value); err != nil {
			return err
		}
	}
	return nil
}

// Close implements hw.Chip.
func (x *chip) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	return x.bus.Close()
}

// port returns a port's number.
func (x *chip) port(name string) (int, error) {
	n, ok := x.number[name]
	if !ok {
		return 0, fmt.Errorf("there is no port %q", name)
	}
	return n, nil
}
