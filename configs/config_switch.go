package configs

import "time"

// Board is [board].
type Board struct {
	Model string // a name of the table of boards, or "auto": what the device tree says
}

// Switch is [switch.NAME]: a switch between the router and the cables. The
// router is a tagged member of all of its VLANs.
type Switch struct {
	Name      string
	Driver    SwitchDriver
	CPUPort   *Port         // where the router is; no other switch has it. DriverSwitch with SwitchSoft, else one with a ring
	CPUNumber int           // chips over MDIO: the chip's port that the router is at, 0 or 6
	MDIO      string        // chips over MDIO: the device whose bus leads to the chip; else ""
	MTU       int           // bytes of IP on all ports; 0: as it is
	Ageing    time.Duration // an address is forgotten so long after its last frame; 0: the chip's own time
	// Ports are those of the file in its order, or, where a kernel switch has
	// none there, those that the VLANs name, sorted.
	Ports []*SwitchPort
}

// SwitchPort is [switch.NAME.port.NAME].
type SwitchPort struct {
	Name   string
	Device string // kernel device, at most 15 bytes; "" at chips over MDIO
	Driver Driver // SwitchSoft: DriverTAP or DriverRaw; else DriverRaw, without a meaning
	Number int    // chips over MDIO: the chip's port, 0 to 6; else 0
}

// SwitchDriver says whose words a switch speaks.
type SwitchDriver uint8

// The drivers of this build.
const (
	SwitchDSA     SwitchDriver = iota // a switch of the kernel
	SwitchSoft                        // no chip: frames are moved by this program
	SwitchQCA8337                     // registers over MDIO
	SwitchAR8327                      // its older sibling
)

func switchDriverWords() []word[SwitchDriver] {
	return []word[SwitchDriver]{
		{SwitchDSA, "dsa", nil}, {SwitchSoft, "soft", nil}, {SwitchQCA8337, "qca8337", nil}, {SwitchAR8327, "ar8327", nil},
	}
}

// String returns the word of the file.
func (d SwitchDriver) String() string { return spell(switchDriverWords(), d) }

// overMDIO reports whether d drives a chip by its registers.
func (d SwitchDriver) overMDIO() bool { return d == SwitchQCA8337 || d == SwitchAR8327 }
