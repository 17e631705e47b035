package wire

import (
	"fmt"
	"log/slog"
	"strings"

	"spigate/configs"
	"spigate/hw"
)

// openChip opens the chip of a [switch] with the driver that it names.
func openChip(_ *configs.Config, sw *configs.Switch, log *slog.Logger) (openedChip, error) {
	if sw.Driver == configs.SwitchSoft {
		return openSoft(sw, log)
	}
	return openedChip{}, fmt.Errorf("driver %s is not in this build", sw.Driver)
}

// limits are what the driver of a [switch] knows about its chip without asking.
func limits(sw *configs.Switch) (hw.Capabilities, bool) {
	if sw.Driver == configs.SwitchSoft {
		return softLimits(sw), true
	}
	return hw.Capabilities{}, false
}

// checkSwitches asks the drivers what they would refuse. Each fault stands at
// the table of its switch.
func checkSwitches(c *configs.Config) (faults []error) {
	for _, sw := range c.Switches {
		caps, ok := limits(sw)
		if !ok {
			continue
		}
		for _, err := range each(plan(c, sw).Check(caps)) {
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
