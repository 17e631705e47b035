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
		if p.Driver == configs.DriverRaw && !b.Device(p.Device) && !madeBySwitch(c, p) {
			warnings = append(warnings, c.Warning(fmt.Sprintf("%s has no device %s, only %s", b.Title, p.Device, devices(b)), "port", p.Name, "device"))
		}
	}
	if b.Switch == nil {
		return warnings, nil
	}
	for _, sw := range c.Switches {
		faults = append(faults, checkSockets(c, sw, b)...)
	}
	return warnings, faults
}

// madeBySwitch reports whether the device of a port is a bridge that the driver
// of a switch makes.
func madeBySwitch(c *configs.Config, p *configs.Port) bool {
	return slices.ContainsFunc(c.Switches, func(sw *configs.Switch) bool { return sw.CPUPort == p && sw.Driver == configs.SwitchDSA })
}

// checkSockets finds the ports of a kernel switch that are no sockets of the
// board's.
func checkSockets(c *configs.Config, sw *configs.Switch, b board.Board) (faults []error) {
	if sw.Driver != configs.SwitchDSA {
		return nil
	}
	for _, p := range sw.Ports {
		if !b.Device(p.Device) {
			text := fmt.Sprintf("%s has no device %s, only %s", b.Title, p.Device, devices(b))
			faults = append(faults, c.PortFault(sw, p.Name, text))
		}
	}
	return faults
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
