package hw

import (
	"errors"
)

// MaxVLAN is the greatest VLAN id that may be used (IEEE 802.1Q table 9-2:
// 4095 is reserved, and 0 means no VLAN).
const MaxVLAN = 4094

// ErrSilent is the error, wrapped, of a chip that does not answer: the bus
// fails, the kernel's device is gone, or what is read cannot be.
var ErrSilent = errors.New("the switch does not answer")

// Port is a port of a chip.
type Port struct {
	Name string // as on the case, or as the kernel names it: "lan1"
	CPU  bool   // the one that the router is at
}

// Capabilities says what a chip is and where its limits are.
type Capabilities struct {
	Driver string // "dsa", "soft", or the chip's name
	Chip   string // what the chip says that it is, with its revision
	Ports  []Port // in the order of their numbers; exactly one is CPU

	VLANs    int    // rows of the VLAN table; 0: MaxVLAN
	Untagged int    // how many VLANs one port may send without tag; 0: any
	LeastID  uint16 // the smallest VLAN id that the chip takes; 0: 1
	MaxMTU   int    // the greatest MTU of IP on its ports, in bytes; 0: not limited here
}

// CPU returns the name of the router's own port.
func (c Capabilities) CPU() string {
	for _, p := range c.Ports {
		if p.CPU {
			return p.Name
		}
	}
	return ""
}

// VLAN is a row of a chip's VLAN table. Lists hold names of ports, sorted; a
// port stands in one of them at most.
type VLAN struct {
	ID       uint16
	Tagged   []string
	Untagged []string
}

// Table is what a chip does with VLANs at a time.
type Table struct {
	VLANs []VLAN            // by ID, ascending; rows without members are left out
	PVID  map[string]uint16 // VLAN of frames without tag by port; no entry: they are dropped
	On    map[string]bool   // ports that pass frames
	MTU   int               // of IP on the ports, in bytes; 0: the chip does not say
}

// Link is the state of a port's cable.
type Link struct {
	Port   string
	Up     bool
	Speed  int  // megabits a second; 0: not known, or down
	Duplex bool // full
}

// Counters are what a port has counted since the chip, or the driver, began.
// A value that a chip cannot tell is 0.
type Counters struct {
	Port               string
	RxFrames, TxFrames uint64
	RxBytes, TxBytes   uint64
	RxErrors           uint64 // bad checksum, too short, too long, aligned badly
	RxDropped          uint64 // refused by VLAN rules, or for want of room
	TxDropped          uint64
}

// Chip is a driver's switch. Its methods are called by one goroutine at a time.
// Every error about a chip that does not answer wraps ErrSilent; any other is a
// request that the chip refuses.
type Chip interface {
	// Capabilities does not ask the chip: it is known since the opening.
	Capabilities() Capabilities

	// Prepare brings the chip into the mode in which VLANs are obeyed on all
	// ports: a frame of a VLAN passes between its members only, and one of an
	// unknown VLAN nowhere. It keeps rows and members that are there already,
	// so that a restart of the router interrupts nobody. It may be called again
	// at any time, after a reset of the chip for one.
	Prepare() error

	// Table reads from the chip, not from memory.
	Table() (Table, error)

	// SetVLAN makes or replaces a row. A port that it leaves out is no member
	// any more.
	SetVLAN(VLAN) error

	// RemoveVLAN removes a row; one that is not there is none.
	RemoveVLAN(id uint16) error

	// SetPVID says which VLAN frames without tag are of; 0: they are dropped.
	SetPVID(port string, vlan uint16) error

	// SetPort lets a port pass frames, or none.
	SetPort(port string, on bool) error

	// SetMTU sets the greatest IP packet, in bytes, of all ports.
	SetMTU(mtu int) error

	// Flush forgets the addresses learned at a port.
	Flush(port string) error

	// Links and Counters have a row for each port, in the order of Ports.
	Links() ([]Link, error)
	Counters() ([]Counters, error)

	// Close gives back what the driver holds. The chip goes on switching as it
	// was told, but for one in software, which ends.
	Close() error
}

// Notifier is a Chip that tells when a link changes. Any other one is asked
// from time to time.
type Notifier interface {
	// Changes has a value when a link may have changed since it was last read;
	// several changes are one. It is closed by Close.
	Changes() <-chan struct{}
}

// Remover is a Chip whose driver has made something of the kernel's, or changed
// it. Remove takes that back, once the router is gone; the chip is not used
// after it but for Close.
type Remover interface {
	Remove() error
}
