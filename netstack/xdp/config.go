package xdp

import (
	"log/slog"

	"spigate/netstack/frame"
)

// Mode says where in the kernel the program of a port runs.
type Mode uint8

// The modes.
const (
	Auto    Mode = iota // in the driver, or behind it where a port cannot
	Native              // in the driver, or not at all
	Generic             // behind the driver, on any port
)

// Port is a kernel port between which packets are forwarded.
type Port struct {
	Name   string // for people
	Device string // the kernel's name, in the caller's network namespace; empty: Name

	// Index is the kernel's number of the device that the router has opened as
	// this port. Another device of the name gets no program: the router does not
	// hear it, and has not taken it from the kernel. 0: whichever there is.
	Index int

	// MAC is the router's address on the port, the only one whose frames are
	// forwarded. Zero: the device's own.
	MAC frame.MAC

	// Interfaces is the number of each VLAN on the port by its id, 0 for
	// untagged. A VLAN without number goes to the stack.
	Interfaces map[uint16]frame.Interface

	// Unfinished returns how many frames came in on the port with a transport
	// checksum that their sender had left to its hardware, as the hosts at the
	// other end of a veth do. The program cannot see that and would spoil the
	// sum, so from a port that has such senders only ESP is taken. nil: none.
	Unfinished func() uint64
}

// Config is what Open needs to know.
type Config struct {
	Ports []Port
	Flows int // directions, at most; 0: DefaultFlows
	Mode  Mode
	Log   *slog.Logger // nil: silent
}

// DefaultFlows is the number of directions when Config does not say.
const DefaultFlows = 8192

// Status is how the offload is doing.
type Status struct {
	Ports    []PortStatus
	Flows    int    // directions that the kernel forwards now
	Capacity int    // directions, at most
	Refused  uint64 // that it could not take: full, or a port without program
	Hits     uint64 // packets forwarded
	Punts    []Punt // packets left to the stack, by reason, only those that occurred
}

// PortStatus is how one port takes part.
type PortStatus struct {
	Name string
	Mode string // native, generic or off
	Why  string // why not native, or what is not taken; empty if there is nothing to say
}

// Punt is why packets went to the stack, and how many.
type Punt struct {
	Reason  string
	Packets uint64
}

// String returns the mode's name.
func (m Mode) String() string {
	switch m {
	case Native:
		return "native"
	case Generic:
		return "generic"
	}
	return "auto"
}
