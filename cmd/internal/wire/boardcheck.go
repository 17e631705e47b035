package wire

import (
	"fmt"
	"slices"
	"strings"

	"spigate/board"
	"spigate/configs"
)

// CheckBoard compares a configuration with the board that it is for: what its
// switch has not got is a fault; tables that do not fit, and devices that the
// board was not made with (somebody may have plugged one in), are warnings.
func CheckBoard(c *configs.Config, b board.Board) (warnings []configs.Warning, faults []error) {
	warnings = CheckMemory(c, b)
	for _, p := range c.Ports {
		if !p.Driver.Ring() {
			continue
		}
		of := madeBySwitch(c, p)
		switch conduit := isConduit(b, p.Device); {
		case of != nil && (conduit || known(b) && b.Device(p.Device)):
			text := fmt.Sprintf("%s has a device %s, and the driver of [switch.%s] makes a bridge of this name: give it another one, such as br-lan", b.Title, p.Device, of.Name)
			faults = append(faults, c.Fault(text, "port", p.Name, "device"))
		case conduit:
			text := fmt.Sprintf("%s leads to the %s of the %s, and its frames have tags of that chip: it is used by a [switch.NAME] with driver %s, whose cpu_port has another device", p.Device, b.Switch.Chip, b.Title, b.Switch.Driver)
			warnings = append(warnings, c.Warning(text, "port", p.Name, "device"))
		case of == nil && !b.Device(p.Device):
			warnings = append(warnings, c.Warning(fmt.Sprintf("%s has no device %s, only %s", b.Title, p.Device, devices(b)), "port", p.Name, "device"))
		}
	}
	for _, sw := range c.Switches {
		for _, f := range checkSockets(c, sw, b) {
			// What is not on a board's switch is not; anything else may be plugged in.
			if sw.Driver == configs.SwitchDSA && b.Switch != nil {
				faults = append(faults, f)
			} else {
				warnings = append(warnings, configs.Warning(f))
			}
		}
	}
	return warnings, faults
}

// known reports whether the devices of a board are in its row.
func known(b board.Board) bool { return len(b.Ports) > 0 || b.Switch != nil }

// isConduit reports whether a device is the processor's end of the board's
// switch chip.
func isConduit(b board.Board, device string) bool {
	return b.Switch != nil && slices.Contains(b.Switch.Conduits, device)
}

// madeBySwitch returns the kernel switch whose driver makes the device of a port,
// or nil.
func madeBySwitch(c *configs.Config, p *configs.Port) *configs.Switch {
	for _, sw := range c.Switches {
		if sw.CPUPort == p && sw.Driver == configs.SwitchDSA {
			return sw
		}
	}
	return nil
}

// checkSockets finds the ports of a switch whose devices the board has not got.
func checkSockets(c *configs.Config, sw *configs.Switch, b board.Board) (out []configs.Fault) {
	for _, p := range sw.Ports {
		switch {
		case p.Device == "" || p.Driver == configs.DriverTAP: // a chip's over MDIO, or made when it is opened
		case isConduit(b, p.Device):
			text := fmt.Sprintf("%s leads to the %s itself: it is no socket", p.Device, b.Switch.Chip)
			out = append(out, c.PortFault(sw, p.Name, text))
		case !b.Device(p.Device):
			text := fmt.Sprintf("%s has no device %s, only %s", b.Title, p.Device, devices(b))
			out = append(out, c.PortFault(sw, p.Name, text))
		}
	}
	return out
}

// devices lists what a board has, for people.
func devices(b board.Board) string {
	var names []string
	for _, p := range b.Ports {
		names = append(names, p.Device)
	}
	if b.Switch != nil {
		for _, p := range b.Switch.Ports {
			names = append(names, p.Name)
		}
	}
	return strings.Join(names, ", ")
}
