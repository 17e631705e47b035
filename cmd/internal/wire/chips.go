package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"spigate/configs"
	"spigate/hw"
	"spigate/hw/dsa"
	"spigate/hw/qca8k"
	"spigate/hw/qca8k/mii"
)

// openChip opens the chip of a [switch] with the driver that it names.
func openChip(_ *configs.Config, sw *configs.Switch, log *slog.Logger) (openedChip, error) {
	switch sw.Driver {
	case configs.SwitchSoft:
		return openSoft(sw, log)
	case configs.SwitchQCA8337, configs.SwitchAR8327:
		return openedChip{chip: hw.Late(qca8k.Capabilities(registers(sw)), func() (hw.Chip, error) { return openRegisters(sw) })}, nil
	case configs.SwitchDSA:
		return openKernel(sw)
	}
	return openedChip{}, fmt.Errorf("driver %s is not in this build", sw.Driver)
}

// limits are what the driver of a [switch] knows about its chip without asking.
func limits(sw *configs.Switch) (hw.Capabilities, bool) {
	switch sw.Driver {
	case configs.SwitchSoft:
		return softLimits(sw), true
	case configs.SwitchQCA8337, configs.SwitchAR8327:
		return qca8k.Capabilities(registers(sw)), true
	case configs.SwitchDSA:
		return dsa.Capabilities(kernelSwitch(sw)), true
	}
	return hw.Capabilities{}, false
}

// kernelSwitch is what the driver of kernel switches is told: the bridge that it
// makes is the device of the router's port.
func kernelSwitch(sw *configs.Switch) dsa.Config {
	c := dsa.Config{Bridge: sw.CPUPort.Device, Ageing: sw.Ageing, MTU: sw.MTU}
	if sw.CPUPort.HasMAC {
		c.MAC = sw.CPUPort.MAC[:]
	}
	for _, p := range sw.Ports {
		c.Ports = append(c.Ports, dsa.Port{Name: p.Name, Device: p.Device})
	}
	return c
}

// openKernel makes the bridge. Without its devices there would be no port for
// the router to be at, so what fails here ends the start.
func openKernel(sw *configs.Switch) (openedChip, error) {
	chip, err := dsa.Open(kernelSwitch(sw))
	if err != nil {
		return openedChip{}, err
	}
	out := openedChip{chip: chip}
	if r, ok := chip.(hw.Remover); ok {
		out.remove = r.Remove
	}
	return out, nil
}

// registers is what the driver over MDIO is told; the bus is not open yet.
func registers(sw *configs.Switch) qca8k.Config {
	c := qca8k.Config{Driver: sw.Driver.String(), CPU: sw.CPUNumber, CPUName: sw.CPUPort.Name}
	for _, p := range sw.Ports {
		c.Ports = append(c.Ports, qca8k.Port{Name: p.Name, Number: p.Number})
	}
	return c
}

// openRegisters finds the chip at its bus. A device that is not there yet is a
// chip that does not answer: it may come.
func openRegisters(sw *configs.Switch) (hw.Chip, error) {
	bus, err := mii.Open(sw.MDIO)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hw.ErrSilent, err)
	}
	c := registers(sw)
	c.Bus = bus
	chip, err := qca8k.Open(c)
	if err != nil {
		return nil, errors.Join(err, bus.Close())
	}
	return chip, nil
}

// checkSwitches asks the drivers what they would refuse. Each fault stands at
// the table of its switch, or at its MTU.
func checkSwitches(c *configs.Config) (faults []error) {
	for _, sw := range c.Switches {
		caps, ok := limits(sw)
		if !ok {
			continue
		}
		for _, err := range each(hw.Plan{MTU: sw.MTU}.Check(caps)) {
			faults = append(faults, c.Fault(err.Error(), "switch", sw.Name, "mtu"))
		}
		for _, err := range each(hw.Plan{VLANs: plan(c, sw).VLANs}.Check(caps)) {
			faults = append(faults, c.Fault(err.Error(), "switch", sw.Name))
		}
	}
	return faults
}

// each returns the errors that errors.Join has joined.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// flat is a joined error on one line.
func flat(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
