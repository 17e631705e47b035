package board

import (
	"fmt"
	"strings"

	"spigate/hw"
)

// Board is a row of the table.
type Board struct {
	Name       string   // as in [board] model
	Title      string   // as on the case
	Compatible []string // strings of the device tree that are this board's alone
	Ports      []Port   // those that the router can have, but for a switch's
	Switch     *Switch  // nil: none
	RAM        int64    // bytes: as built, or what the kernel has (Detect); 0: not known
	Memory     Memory   // Budget(RAM)
	Flash      Flash
	Modules    []string // kernel modules that the devices above need
	Watchdog   string   // device, "" for none
	Console    string   // kernel's name of the serial console, "" for any
}

// Port is a network device of the board.
type Port struct {
	Name   string // as on the case
	Device string // as the kernel names it
	MAC    string // where the address comes from, for people
}

// Switch is the board's switch chip.
type Switch struct {
	Driver   string   // [switch] driver: "dsa"
	Chip     string   // the chip's name
	Conduits []string // kernel devices on the chip's own ports, the one in use first
	Own      []int    // the chip's ports that they are at, in the same order
	Ports    []SwitchPort
}

// SwitchPort is a socket of the switch.
type SwitchPort struct {
	Name   string // on the case and in the kernel
	Number int    // the chip's
}

// Flash is where the configuration lives.
type Flash struct {
	Dir   string // folder of the slots
	Bytes int64  // how much of the flash may be used for them
}

// Capabilities says what the chip can do, without asking it: what
// hw.Plan.Check needs to judge a configuration on another machine.
func (s *Switch) Capabilities() hw.Capabilities {
	c := hw.Capabilities{Driver: s.Driver, Chip: s.Chip}
	for _, p := range s.Ports {
		c.Ports = append(c.Ports, hw.Port{Name: p.Name})
	}
	c.Ports = append(c.Ports, hw.Port{Name: "cpu", CPU: true})
	return c
}

// Find returns the board of a name.
func Find(name string) (Board, error) {
	var names []string
	for _, b := range Boards() {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return Board{}, fmt.Errorf("no board %q is known, only %s", name, strings.Join(names, ", "))
}

// Device reports whether the board has a kernel device of this name: a port, a
// socket of its switch or the way to it. A board without ports (generic, tap)
// has them all.
func (b Board) Device(name string) bool {
	if len(b.Ports) == 0 && b.Switch == nil {
		return true
	}
	for _, p := range b.Ports {
		if p.Device == name {
			return true
		}
	}
	if b.Switch == nil {
		return false
	}
	for _, c := range b.Switch.Conduits {
		if c == name {
			return true
		}
	}
	for _, p := range b.Switch.Ports {
		if p.Name == name {
			return true
		}
	}
	return false
}
